//! Objects of one kind that has a field for each keyword.

use serde_json::{Value, json};

use super::{Case, Step};

/// Where the objects are.
pub const PATH: &str = "/apis/objects.diff.test/v1/namespaces/default/samples";

const FORMATS: [&str; 27] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "date-time",
    "datetime",
    "k8s-short-name",
    "k8s-long-name",
];

/// The definition.
pub fn definition() -> Value {
    let mut formats = json!({});
    for format in FORMATS {
        formats[format] = json!({"type": "string", "format": format});
    }
    let spec = json!({"type": "object", "properties": {
        "text": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "number": {"type": "number", "minimum": 1.5, "maximum": 10, "exclusiveMaximum": true, "multipleOf": 0.5},
        "integer": {"type": "integer", "minimum": 2, "exclusiveMinimum": true, "maximum": 8, "multipleOf": 2},
        "int32": {"type": "integer", "format": "int32"},
        "truth": {"type": "boolean"},
        "mode": {"type": "string", "enum": ["a", "b"]},
        "level": {"type": "integer", "enum": [1, 2]},
        "nothing": {"type": "string", "nullable": true},
        "maybe": {"type": "string", "nullable": true, "enum": ["a"]},
        "either": {"x-kubernetes-int-or-string": true},
        "either2": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^[0-9]+%?$"},
        "list": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "integer"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"}, "size": {"type": "integer", "maximum": 5}}}},
        "keyed2": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "required": ["port"], "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}}},
        "dictionary": {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": {"type": "integer"}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
        "anything": {"x-kubernetes-preserve-unknown-fields": true},
        "true": {"type": "object", "additionalProperties": true},
        "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "narrow": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        "required": {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "x"}}},
        "defaults": {"type": "object", "default": {"a": 1}, "properties": {"a": {"type": "integer"}, "b": {"type": "string", "default": "y"}}},
        "any": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"properties": {"b": {"minLength": 3}}, "required": ["b"]}]},
        "one": {"type": "integer", "oneOf": [{"minimum": 5}, {"multipleOf": 2}]},
        "all": {"type": "string", "allOf": [{"minLength": 2}, {"pattern": "^a"}]},
        "not": {"type": "string", "not": {"enum": ["x", "y"]}},
        "formats": {"type": "object", "properties": formats},
        "whole": {"type": "object", "additionalProperties": false},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "samples.objects.diff.test"},
        "spec": {
            "group": "objects.diff.test", "scope": "Namespaced",
            "names": {"plural": "samples", "singular": "sample", "kind": "Sample", "listKind": "SampleList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.integer", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                "selectableFields": [{"jsonPath": ".spec.mode"}, {"jsonPath": ".spec.level"}, {"jsonPath": ".spec.truth"}],
                "additionalPrinterColumns": [
                    {"name": "Text", "type": "string", "jsonPath": ".spec.text"},
                    {"name": "Int", "type": "integer", "jsonPath": ".spec.number"},
                    {"name": "Num", "type": "number", "jsonPath": ".spec.number", "priority": 1},
                    {"name": "Truth", "type": "boolean", "jsonPath": ".spec.truth"},
                    {"name": "When", "type": "date", "jsonPath": ".spec.formats.date-time"},
                    {"name": "List", "type": "string", "jsonPath": ".spec.list"},
                    {"name": "Items", "type": "string", "jsonPath": ".spec.keyed[*].name"},
                    {"name": "Filter", "type": "integer", "jsonPath": ".spec.keyed[?(@.name==\"b\")].size"},
                    {"name": "Dict", "type": "string", "jsonPath": ".spec.dictionary", "description": "d"},
                    {"name": "Level", "type": "string", "jsonPath": ".spec.level"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}}},
                    "spec": spec,
                    "status": {"type": "object", "properties": {
                        "replicas": {"type": "integer"}, "selector": {"type": "string"},
                        "phase": {"type": "string", "maxLength": 3},
                        "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                            "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}}}}}}}}],
        },
    })
}

fn sample(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "objects.diff.test/v1", "kind": "Sample", "metadata": {"name": name}, "spec": spec})
}

fn specs() -> Vec<Value> {
    vec![
        json!({}),
        json!(null),
        json!("x"),
        json!([]),
        json!({"text": "a"}),
        json!({"text": "abcde"}),
        json!({"text": "A1"}),
        json!({"text": 5}),
        json!({"text": null}),
        json!({"text": {"a": 1}}),
        json!({"number": 1}),
        json!({"number": 10}),
        json!({"number": 10.5}),
        json!({"number": 2.25}),
        json!({"number": "2"}),
        json!({"integer": 2}),
        json!({"integer": 9}),
        json!({"integer": 4.0}),
        json!({"integer": 4.5}),
        json!({"integer": true}),
        json!({"int32": 3_000_000_000_i64}),
        json!({"int32": "x"}),
        json!({"int32": 1.5}),
        json!({"truth": "true"}),
        json!({"truth": 1}),
        json!({"mode": "c"}),
        json!({"mode": 1}),
        json!({"level": 3}),
        json!({"level": 1.0}),
        json!({"nothing": null}),
        json!({"maybe": null}),
        json!({"either": 1.5}),
        json!({"either": true}),
        json!({"either": "x"}),
        json!({"either": null}),
        json!({"either2": "x"}),
        json!({"either2": "50%"}),
        json!({"either2": true}),
        json!({"list": []}),
        json!({"list": [1, 2, 3, 4]}),
        json!({"list": ["a", 1.5, null]}),
        json!({"list": {"a": 1}}),
        json!({"set": ["a", "b", "a", "a"]}),
        json!({"set": ["a", 1]}),
        json!({"keyed": [{"name": "a"}, {"name": "a"}]}),
        json!({"keyed": [{"size": 6}]}),
        json!({"keyed": [{"name": "a", "size": "x", "other": 1}]}),
        json!({"keyed": [null]}),
        json!({"keyed": ["x"]}),
        json!({"keyed2": [{"port": 1}, {"port": 1, "protocol": "TCP"}]}),
        json!({"keyed2": [{"port": 1}, {"port": 1, "protocol": "UDP"}]}),
        json!({"dictionary": {}}),
        json!({"dictionary": {"a": 1, "b": 2, "c": 3}}),
        json!({"dictionary": {"a": "x", "b.c": 1.5}}),
        json!({"dictionary": {"a": null}}),
        json!({"open": {"a": 1, "b": {"c": 2}}}),
        json!({"open": {"a": "x", "b": null}}),
        json!({"anything": [1, {"a": null}]}),
        json!({"true": {"a": {"b": 1}, "c": [1, {"d": 2}]}}),
        json!({"whole": {"a": 1}}),
        json!({"embedded": {}}),
        json!({"embedded": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "odd": 1}, "spec": {"x": 1}}}),
        json!({"embedded": {"apiVersion": "a/b/c", "kind": "po d", "metadata": {"labels": {"a b": "c"}}}}),
        json!({"embedded": {"apiVersion": "", "kind": "", "metadata": {"name": "a/b"}}}),
        json!({"narrow": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1}, "odd": 1}}),
        json!({"required": {}}),
        json!({"required": {"a": null}}),
        json!({"defaults": {}}),
        json!({"defaults": {"b": null}}),
        json!({"defaults": null}),
        json!({"any": {}}),
        json!({"any": {"b": "ab"}}),
        json!({"any": {"a": "x"}}),
        json!({"one": 6}),
        json!({"one": 1}),
        json!({"one": 2}),
        json!({"all": "b"}),
        json!({"all": "bc"}),
        json!({"not": "x"}),
        json!({"unknown": 1}),
        json!({"text": "a", "mode": "c", "list": []}),
        json!({"formats": {"made": "x"}}),
    ]
}

/// Texts that are of a format or nearly so.
fn formatted() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("bsonobjectid", vec!["507f1f77bcf86cd799439011", "x"]),
        (
            "uri",
            vec![
                "https://a.b/c",
                "/a",
                "a/b",
                "",
                "mailto:x",
                "http://[::1]:80/",
                "http://a b",
                "://x",
                "http://a:b/",
            ],
        ),
        ("email", vec!["a@b.c", "A <a@b.c>", "a@", "a b@c", "\"x y\"@z"]),
        ("hostname", vec!["a.example.com", "a", "-a", "a.b.c1", "a..b", "localhost", "a_b.com"]),
        ("ipv4", vec!["1.2.3.4", "01.2.3.4", "::ffff:1.2.3.4", "1.2.3", "::1"]),
        ("ipv6", vec!["::1", "1.2.3.4", "fe80::1%eth0", "1::2::3"]),
        ("cidr", vec!["10.0.0.0/8", "10.0.0.0/33", "::/129", "::/64", "10.0.0.0"]),
        ("mac", vec!["01:23:45:67:89:ab", "0123.4567.89ab", "01:23"]),
        (
            "uuid",
            vec!["123E4567-e89b-12d3-a456-426614174000", "123e4567", "123e4567e89b12d3a456426614174000"],
        ),
        ("uuid3", vec!["123e4567-e89b-32d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"]),
        ("uuid4", vec!["123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-42d3-c456-426614174000"]),
        ("uuid5", vec!["123e4567-e89b-52d3-a456-426614174000", "x"]),
        ("isbn", vec!["0321751043", "978-0321751041", "1"]),
        ("isbn10", vec!["0321751043", "080442957X", "0321751044"]),
        ("isbn13", vec!["978-0321751041", "9780321751042"]),
        ("creditcard", vec!["4111 1111 1111 1111", "4111111111111112"]),
        ("ssn", vec!["111-22-3333", "111223333", "111 22 3333"]),
        ("hexcolor", vec!["#FFF", "fff", "#ffff"]),
        ("rgbcolor", vec!["rgb(1,2,3)", "rgb(256,2,3)"]),
        ("byte", vec!["aGk=", "aGk", "", "a-_="]),
        ("password", vec!["", "x"]),
        ("date", vec!["2024-02-29", "2023-02-29", "24-01-01"]),
        ("duration", vec!["1h", "22 ns", "3 days", "x", "1.5h", "-1h"]),
        (
            "date-time",
            vec![
                "2024-01-01T00:00:00Z",
                "2024-01-01T00:00:00",
                "2024-01-01T24:00:00Z",
                "2024-01-01t00:00:00.1+01:00",
            ],
        ),
        ("datetime", vec!["2024-01-01T00:00:00Z", "x"]),
        ("k8s-short-name", vec!["a-b", "A", "a.b"]),
        ("k8s-long-name", vec!["a.b", "a..b"]),
    ]
}

/// A name, the object as it is created, and named changes of it.
type Updates = (&'static str, Value, Vec<(&'static str, Value)>);

/// Updates of one object: each step is a merge patch of the object or of its status.
fn updates() -> Vec<Updates> {
    vec![
        (
            "status",
            json!({}),
            vec![
                ("/status", json!({"status": {"phase": "long", "replicas": "x"}})),
                ("/status", json!({"status": {"phase": "ok", "replicas": 3, "selector": "a=b"}})),
                ("/status", json!({"status": {"conditions": [{"type": "A"}, {"type": "A"}]}})),
                ("/status", json!({"status": {"conditions": [{}]}})),
                ("/status", json!({"status": {"replicas": -1}})),
                ("/scale", json!({"spec": {"replicas": 4}})),
                ("/scale", json!({"spec": {"replicas": 3}})),
                ("/scale", json!({"spec": {"replicas": -1}})),
            ],
        ),
        (
            "spec",
            json!({"mode": "a", "keyed": [{"name": "a", "size": 1}]}),
            vec![
                ("", json!({"spec": {"mode": "z"}})),
                ("", json!({"spec": {"keyed": [{"name": "a", "size": 6}]}})),
                ("", json!({"spec": {"set": ["a", "a"]}})),
                ("", json!({"spec": {"unknown": 1}})),
                ("", json!({"spec": null})),
            ],
        ),
    ]
}

/// All cases of objects.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for validation in ["Warn", "Strict"] {
        let dry = format!("{PATH}?dryRun=All&fieldValidation={validation}");
        for (index, spec) in specs().into_iter().enumerate() {
            let name = format!("object {validation} {index} {spec}");
            cases.push(Case { name, steps: vec![Step::new("POST", dry.as_str(), sample("a", spec))] });
        }
    }
    let dry = format!("{PATH}?dryRun=All");
    for (format, texts) in formatted() {
        for text in texts {
            let body = sample("a", json!({"formats": {format: text}}));
            let name = format!("format {format} {text}");
            cases.push(Case { name, steps: vec![Step::new("POST", dry.as_str(), body)] });
        }
    }
    let long = sample("longer-than-twelve", json!({}));
    cases.push(Case { name: "long name".to_owned(), steps: vec![Step::new("POST", dry.as_str(), long)] });
    for (index, (name, spec, patches)) in updates().into_iter().enumerate() {
        let object = format!("u{index}");
        let mut steps = vec![Step::new("POST", PATH, sample(&object, spec))];
        for (subresource, patch) in patches {
            steps.push(Step::new("PATCH", format!("{PATH}/{object}{subresource}"), patch));
        }
        steps.push(Step::new("GET", format!("{PATH}/{object}"), Value::Null));
        cases.push(Case { name: format!("update {name}"), steps });
    }
    cases
}
