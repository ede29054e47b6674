//! Secret values are never shown: what is printed of a Secret is which keys it has and which of them change.

use serde_json::{Map, Value};

/// What stands for a secret value.
pub const MASK: &str = "(masked)";

/// Fields of a Secret that hold no values.
const OPEN: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];

/// A copy of an object with the values of a Secret masked; any other object as it is. Where `before` is given, a value
/// that differs from the one before prints differently from one that is the same.
pub fn mask_secret(object: &Value, before: Option<&Value>) -> Value {
    let mut masked = object.clone();
    if object["kind"] != "Secret" || !matches!(object["apiVersion"].as_str(), None | Some("v1")) {
        return masked;
    }
    let fields: Vec<String> =
        object.as_object().into_iter().flatten().map(|(field, _)| field.clone()).collect();
    // A field that no Secret has may be a misspelt `stringData`.
    for field in fields.iter().filter(|field| !OPEN.contains(&field.as_str())) {
        let old = before.and_then(|before| before[field.as_str()].as_object());
        match masked.get_mut(field) {
            Some(Value::Object(values)) => mask_values(values, old),
            // No mapping, so the server will refuse it; it may hold a value all the same.
            Some(other) if !other.is_null() => *other = MASK.into(),
            _ => {}
        }
    }
    if let Some(annotations) = masked.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        // kubectl's client-side apply keeps a copy of the whole object, values included, in this annotation.
        if annotations.contains_key("kubectl.kubernetes.io/last-applied-configuration") {
            annotations.insert("kubectl.kubernetes.io/last-applied-configuration".into(), MASK.into());
        }
    }
    masked
}

fn mask_values(values: &mut Map<String, Value>, before: Option<&Map<String, Value>>) {
    for (key, value) in values.iter_mut() {
        let changed = before.is_some_and(|before| before.get(key).is_some_and(|old| old != value));
        *value = if changed { format!("{MASK} changed").into() } else { MASK.into() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_value_of_a_secret_survives() {
        let before = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "b2xk", "b": "c2FtZQ=="}});
        let after = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "bmV3", "b": "c2FtZQ=="},
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"bmV3\"}"}}});
        let masked = mask_secret(&after, Some(&before));
        assert_eq!(masked["data"], json!({"a": "(masked) changed", "b": "(masked)"}));
        assert!(!masked.to_string().contains("bmV3"));
        let odd =
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": "bmV3", "stringdata": {"a": "bmV3"}});
        assert!(!mask_secret(&odd, None).to_string().contains("bmV3"));
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "x"}});
        assert_eq!(mask_secret(&config, None), config);
    }
}
