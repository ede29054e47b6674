//! What a definition may leave out is filled in, and zero values that the server never writes are taken out.

use serde_json::{Map, Value, json};

/// Fields of a schema that the server leaves out at their zero value.
const OMITTED: [&str; 12] = [
    "id",
    "$schema",
    "description",
    "type",
    "format",
    "title",
    "pattern",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "uniqueItems",
    "nullable",
    "x-kubernetes-embedded-resource",
];

/// Brings a definition into the form in which the server holds it.
pub(crate) fn default(body: &mut Value) {
    let spec = &mut body["spec"];
    if !spec.is_object() {
        return;
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    if let Some(service) = spec.pointer_mut("/conversion/webhook/clientConfig/service")
        && service.is_object()
        && service["port"].is_null()
    {
        service["port"] = 443.into();
    }
    if let Some(asked) = spec.get_mut("names") {
        names(asked);
    }
    for version in spec.get_mut("versions").and_then(Value::as_array_mut).into_iter().flatten() {
        let columns = version.get_mut("additionalPrinterColumns").and_then(Value::as_array_mut);
        for column in columns.into_iter().flatten() {
            omit_zero(column, &["priority", "format", "description"]);
        }
        omit_zero(version, &["deprecated"]);
        tidy(version);
        if let Some(root) = version.get_mut("schema").and_then(|schema| schema.get_mut("openAPIV3Schema")) {
            schema(root);
        }
    }
    omit_zero(spec, &["preserveUnknownFields"]);
}

fn names(names: &mut Value) {
    if !names.is_object() {
        return;
    }
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if names.get("singular").and_then(Value::as_str).unwrap_or_default().is_empty() && !kind.is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names.get("listKind").and_then(Value::as_str).unwrap_or_default().is_empty() && !kind.is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    omit_zero(names, &["singular", "listKind"]);
    tidy(names);
}

/// Empty lists are none.
fn tidy(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn omit_zero(object: &mut Value, keys: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        for key in keys {
            if map.get(*key).is_some_and(is_zero) {
                map.remove(*key);
            }
        }
    }
}

fn schema(node: &mut Value) {
    let Some(map) = node.as_object_mut() else { return };
    map.retain(|key, value| !(is_omitted(key) && is_zero(value)));
    for (key, value) in map.iter_mut() {
        match key.as_str() {
            "properties" | "patternProperties" | "definitions" => each_named(value),
            "items" | "not" | "additionalProperties" | "additionalItems" => match value {
                Value::Array(schemas) => schemas.iter_mut().for_each(schema),
                one => schema(one),
            },
            "allOf" | "anyOf" | "oneOf" => value.as_array_mut().into_iter().flatten().for_each(schema),
            "x-kubernetes-validations" => {
                for rule in value.as_array_mut().into_iter().flatten() {
                    omit_zero(rule, &["message", "messageExpression", "fieldPath"]);
                }
            }
            _ => {}
        }
    }
    map.retain(|key, value| match value {
        // A default of nothing is none.
        Value::Null => false,
        Value::Array(list) => !list.is_empty() || matches!(key.as_str(), "default" | "example"),
        Value::Object(map) => {
            !(map.is_empty() && matches!(key.as_str(), "properties" | "patternProperties" | "definitions"))
        }
        _ => true,
    });
}

fn is_omitted(key: &str) -> bool {
    OMITTED.contains(&key) || key == "x-kubernetes-int-or-string"
}

fn each_named(schemas: &mut Value) {
    schemas.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(schema);
}
