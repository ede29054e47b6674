//! Definitions with one thing changed, keyword by keyword.

use serde_json::{Map, Value, json};

use super::{Case, DEFINITIONS, Step};

/// A definition that is fine. Each has a group of its own.
fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}}],
        },
    })
}

/// Sets a value at a path; `null` removes.
fn set(body: &mut Value, path: &str, value: Value) {
    let parts: Vec<&str> = path.split('/').collect();
    let (last, parents) = parts.split_last().unwrap();
    let mut at = body;
    for part in parents {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                &mut at[*part]
            }
        };
    }
    if value.is_null() {
        at.as_object_mut().unwrap().remove(*last);
    } else if let Ok(index) = last.parse::<usize>() {
        at[index] = value;
    } else {
        at[*last] = value;
    }
}

/// What the schema of `spec.field` may say: good and bad.
fn field_schemas() -> Vec<Value> {
    let text = || json!({"type": "string"});
    let keyed = |keys: Value, properties: Value, required: Value| {
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
               "items": {"type": "object", "properties": properties, "required": required}})
    };
    vec![
        json!({}),
        json!({"type": "strin"}),
        json!({"type": "null"}),
        json!({"type": "array"}),
        json!({"type": "array", "items": {}}),
        json!({"type": "array", "items": [{"type": "string"}]}),
        json!({"type": "object", "properties": {"a": {}}}),
        json!({"type": "object", "properties": {"a": text()}, "additionalProperties": text()}),
        json!({"type": "object", "properties": {"a": text()}, "additionalProperties": false}),
        json!({"type": "object", "properties": {"a": text()}, "additionalProperties": true}),
        json!({"type": "object", "additionalProperties": {}}),
        json!({"type": "object", "additionalProperties": {"type": "string", "default": "x"}}),
        json!({"type": "string", "uniqueItems": true}),
        json!({"type": "string", "id": "x"}),
        json!({"type": "string", "$ref": "#/x"}),
        json!({"type": "string", "$schema": "x"}),
        json!({"type": "object", "patternProperties": {"a": text()}}),
        json!({"type": "object", "definitions": {"a": text()}}),
        json!({"type": "object", "dependencies": {"a": ["b"]}}),
        json!({"type": "array", "items": text(), "additionalItems": true}),
        json!({"type": "string", "pattern": "("}),
        json!({"type": "string", "pattern": "a{2,1}"}),
        json!({"type": "string", "pattern": "[z-a]"}),
        json!({"type": "string", "pattern": "*a"}),
        json!({"type": "string", "pattern": "(?<=a)b"}),
        json!({"type": "string", "anyOf": [{"type": "string"}]}),
        json!({"type": "string", "anyOf": [{"minLength": 1}, {"maxLength": 2}]}),
        json!({"type": "string", "allOf": [{"default": "x"}]}),
        json!({"type": "string", "oneOf": [{"title": "x"}, {"description": "y"}]}),
        json!({"type": "string", "not": {"nullable": true}}),
        json!({"type": "object", "anyOf": [{"properties": {"a": {"minLength": 1}}}]}),
        json!({"type": "object", "properties": {"a": text()}, "anyOf": [{"properties": {"a": {"minLength": 1}}}]}),
        json!({"type": "object", "anyOf": [{"additionalProperties": {"minLength": 1}}]}),
        json!({"type": "object", "anyOf": [{"additionalProperties": false}]}),
        json!({"type": "object", "allOf": [{"x-kubernetes-preserve-unknown-fields": true}]}),
        json!({"type": "object", "allOf": [{"x-kubernetes-embedded-resource": true}]}),
        json!({"type": "string", "allOf": [{"x-kubernetes-int-or-string": true}]}),
        json!({"type": "array", "items": text(), "allOf": [{"x-kubernetes-list-type": "set"}]}),
        json!({"type": "object", "allOf": [{"x-kubernetes-map-type": "atomic"}]}),
        json!({"type": "string", "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]}),
        json!({"type": "object", "anyOf": [{"properties": {"metadata": {"minProperties": 1}}}]}),
        json!({"x-kubernetes-int-or-string": true}),
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]}),
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-embedded-resource": true}),
        json!({"type": "string", "x-kubernetes-int-or-string": true}),
        json!({"x-kubernetes-preserve-unknown-fields": true}),
        json!({"x-kubernetes-preserve-unknown-fields": false}),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "string", "x-kubernetes-embedded-resource": true}),
        json!({"x-kubernetes-embedded-resource": true}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"kind": {"type": "integer"}, "metadata": {"type": "string"}}}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "additionalProperties": text()}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"metadata": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}),
        json!({"type": "string", "x-kubernetes-map-type": "atomic"}),
        json!({"x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "x-kubernetes-map-type": "odd"}),
        json!({"type": "string", "x-kubernetes-list-type": "set"}),
        json!({"x-kubernetes-list-type": "set", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "array", "items": text(), "x-kubernetes-list-type": "odd"}),
        json!({"type": "array", "items": text(), "x-kubernetes-list-map-keys": ["a"]}),
        json!({"type": "array", "items": text(), "x-kubernetes-list-type": "set", "x-kubernetes-list-map-keys": ["a"]}),
        json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
        json!({"type": "array", "items": {"type": "object", "x-kubernetes-map-type": "atomic"}, "x-kubernetes-list-type": "set"}),
        json!({"type": "array", "items": {"type": "array", "items": text(), "x-kubernetes-list-type": "set"}, "x-kubernetes-list-type": "set"}),
        json!({"type": "array", "items": {"type": "string", "nullable": true}, "x-kubernetes-list-type": "set"}),
        json!({"type": "array", "items": text(), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
        keyed(json!([]), json!({"a": text()}), json!(["a"])),
        keyed(json!(["a"]), json!({"a": text()}), json!(["a"])),
        keyed(json!(["a"]), json!({"a": text()}), json!([])),
        keyed(json!(["a"]), json!({"a": {"type": "string", "default": "x"}}), json!([])),
        keyed(json!(["a"]), json!({"a": {"type": "string", "nullable": true}}), json!(["a"])),
        keyed(json!(["a", "a"]), json!({"a": text()}), json!(["a"])),
        keyed(json!(["b"]), json!({"a": text()}), json!(["a"])),
        keyed(json!(["a"]), json!({"a": {"type": "object"}}), json!(["a"])),
        json!({"type": "string", "default": 5}),
        json!({"type": "string", "default": null}),
        json!({"type": "string", "default": "abc", "maxLength": 2}),
        json!({"type": "string", "default": "abc", "enum": ["a", "b"]}),
        json!({"type": "integer", "default": 1.5}),
        json!({"type": "object", "default": {"x": 1}}),
        json!({"type": "object", "default": {"a": 1}, "properties": {"a": text()}}),
        json!({"type": "object", "default": {}, "required": ["a"], "properties": {"a": text()}}),
        json!({"type": "array", "items": {"type": "integer"}, "default": ["x"]}),
        json!({"type": "string", "format": "ipv4", "default": "x"}),
        json!({"type": "string", "format": "made-up"}),
        json!({"type": "integer", "format": "int32"}),
        json!({"type": "string", "nullable": false, "description": "", "exclusiveMinimum": false}),
        json!({"type": "integer", "minimum": 1, "maximum": 0, "exclusiveMaximum": true, "multipleOf": 2}),
        json!({"type": "string", "enum": []}),
        json!({"type": "string", "enum": ["a", 1, null]}),
        json!({"type": "string", "example": {"a": 1}, "externalDocs": {"url": "x"}}),
        json!({"type": "object", "properties": {}, "required": []}),
    ]
}

/// Changes to the definition itself: a path and what stands there then.
fn definition_changes() -> Vec<(&'static str, Value)> {
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}});
    vec![
        ("metadata/name", json!("wrong")),
        ("spec/scope", json!("Odd")),
        ("spec/scope", Value::Null),
        ("spec/group", json!("UPPER.test")),
        ("spec/group", json!("nodot")),
        ("spec/group", Value::Null),
        ("spec/names/plural", json!("Things")),
        ("spec/names/plural", Value::Null),
        ("spec/names/kind", json!("thing_")),
        ("spec/names/kind", Value::Null),
        ("spec/names/listKind", json!("Thing")),
        ("spec/names/listKind", Value::Null),
        ("spec/names/singular", json!("Thing")),
        ("spec/names/shortNames", json!(["OK", "a b"])),
        ("spec/names/categories", json!(["A"])),
        ("spec/versions", json!([])),
        ("spec/versions", json!([version("v1", false)])),
        ("spec/versions", json!([version("v1", true), version("v1", false)])),
        ("spec/versions", json!([version("v1", true), version("v2", true)])),
        ("spec/versions", json!([version("V1", true)])),
        ("spec/versions/0/served", json!(false)),
        ("spec/versions/0/schema", Value::Null),
        ("spec/versions/0/deprecationWarning", json!("x")),
        ("spec/versions/0/deprecated", json!(true)),
        ("spec/preserveUnknownFields", json!(true)),
        ("spec/preserveUnknownFields", json!(false)),
        ("spec/unknownField", json!(true)),
        ("spec/conversion", json!({"strategy": "Odd"})),
        ("spec/conversion", json!({"strategy": "Webhook"})),
        ("spec/conversion", json!({"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}})),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v2", "v2", "X"], "clientConfig": {"url": "http://u:p@/x?a#b"}}}),
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://a", "service": {"name": "a", "namespace": "b"}}}}),
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "", "namespace": "b", "path": "x//Y/", "port": 70000}}}}),
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "a", "namespace": "b"}}}}),
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "string", "jsonPath": "spec.a"}]),
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "", "type": "odd", "format": "odd", "jsonPath": ""}]),
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "date", "jsonPath": ".a", "priority": 0}]),
        ),
        (
            "spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": "", "statusReplicasPath": ".spec.x"}}),
        ),
        (
            "spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": ".status.x", "statusReplicasPath": "x", "labelSelectorPath": ".x"}}),
        ),
        ("spec/versions/0/subresources", json!({"status": {}})),
        ("spec/versions/0/selectableFields", json!([{"jsonPath": ".spec.a"}])),
        (
            "spec/versions/0/selectableFields",
            json!([{"jsonPath": ""}, {"jsonPath": "spec"}, {"jsonPath": ".spec"}, {"jsonPath": ".metadata.name"}, {"jsonPath": ".spec['a']"}]),
        ),
        ("metadata/labels", json!({"a b": "c d"})),
        ("spec/versions/0/schema/openAPIV3Schema", json!({"type": "array", "items": {"type": "string"}})),
        ("spec/versions/0/schema/openAPIV3Schema", json!({"type": "object", "nullable": true})),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
        ),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "properties": {"metadata": {"type": "object", "description": "x"}}}),
        ),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}}}),
        ),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        ),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "properties": {"metadata": {"type": "string"}, "kind": {"type": "integer"}, "apiVersion": {}}}),
        ),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "properties": {"kind": {"type": "string", "default": "x"}}}),
        ),
        (
            "spec/versions/0/schema/openAPIV3Schema",
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        ),
        ("spec/versions/0/schema/openAPIV3Schema", json!({"type": "object", "default": {}})),
    ]
}

/// Roots of schemas where the status is written apart.
fn roots_with_status() -> Vec<Value> {
    vec![
        json!({"type": "object"}),
        json!({"type": "object", "allOf": [{"required": ["spec"]}]}),
        json!({"type": "object", "minProperties": 1}),
        json!({"type": "array", "items": {"type": "string"}}),
        json!({"properties": {"a": {"type": "string"}}}),
    ]
}

/// Changes to a definition that is there: a JSON merge patch each, in a row.
fn updates() -> Vec<(&'static str, Vec<Value>)> {
    let version = |name: &str, storage: bool, schema: Value| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}});
    let object = || json!({"type": "object"});
    vec![
        ("scope", vec![json!({"spec": {"scope": "Cluster"}})]),
        ("group", vec![json!({"spec": {"group": "other.test"}})]),
        ("plural", vec![json!({"spec": {"names": {"plural": "others"}}})]),
        ("short names", vec![json!({"spec": {"names": {"shortNames": ["th"]}}})]),
        (
            "versions come and go",
            vec![
                json!({"spec": {"versions": [version("v1", false, object()), version("v2", true, object())]}}),
                json!({"spec": {"versions": [version("v2", true, object())]}}),
                json!({"spec": {"versions": [version("v1", true, object()), version("v2", false, object())]}}),
                json!({"spec": {"versions": [version("v1", false, object()), version("v2", true, object()), version("v3", false, json!({}))]}}),
            ],
        ),
        ("schema gets bad", vec![json!({"spec": {"versions": [version("v1", true, json!({}))]}})]),
        ("preserve", vec![json!({"spec": {"preserveUnknownFields": true}})]),
        (
            "finalizer",
            vec![
                json!({"metadata": {"finalizers": ["a.test/b"]}}),
                json!({"metadata": {"finalizers": null}}),
            ],
        ),
    ]
}

/// All cases of definitions.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let dry = format!("{DEFINITIONS}?dryRun=All");
    for (index, schema) in field_schemas().into_iter().enumerate() {
        let mut body = definition(&format!("f{index}.diff.test"));
        set(
            &mut body,
            "spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/field",
            schema.clone(),
        );
        let name = format!("field {index} {schema}");
        cases.push(Case { name, steps: vec![Step::new("POST", dry.as_str(), body)] });
    }
    for (index, (path, value)) in definition_changes().into_iter().enumerate() {
        let mut body = definition(&format!("d{index}.diff.test"));
        set(&mut body, path, value.clone());
        let name = format!("definition {index} {path} {value}");
        cases.push(Case { name, steps: vec![Step::new("POST", dry.as_str(), body)] });
    }
    for (index, root) in roots_with_status().into_iter().enumerate() {
        let mut body = definition(&format!("r{index}.diff.test"));
        set(&mut body, "spec/versions/0/schema/openAPIV3Schema", root.clone());
        set(&mut body, "spec/versions/0/subresources", json!({"status": {}}));
        let name = format!("root {index} {root}");
        cases.push(Case { name, steps: vec![Step::new("POST", dry.as_str(), body)] });
    }
    for (index, (name, patches)) in updates().into_iter().enumerate() {
        let group = format!("u{index}.diff.test");
        let path = format!("{DEFINITIONS}/things.{group}");
        let mut steps = vec![Step::new("POST", DEFINITIONS, definition(&group))];
        steps.extend(patches.into_iter().map(|patch| Step::new("PATCH", path.as_str(), patch)));
        cases.push(Case { name: format!("update {index} {name}"), steps });
    }
    cases
}
