//! Whether what rules made is what the suite says: compared without what is empty and without the tool's own labels.

use serde_json::Value;

/// An object without what a comparison passes over: nulls and what is empty, what generating labels it with, its
/// status.
pub(super) fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !key.starts_with("generate.kyverno.io/"));
            let kept = kept.filter(|(key, _)| *key != "app.kubernetes.io/managed-by" && *key != "status");
            let kept =
                kept.map(|(key, value)| (key.clone(), tidy(value))).filter(|(_, value)| !is_empty(value));
            Value::Object(kept.collect())
        }
        Value::Array(list) => list.iter().map(tidy).filter(|value| !is_empty(value)).collect(),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Where two objects first differ, for people: path, what was wanted, what came.
pub(super) fn difference(wanted: &Value, made: &Value) -> Option<String> {
    let mut path = String::new();
    differs(wanted, made, &mut path)
}

fn differs(wanted: &Value, made: &Value, path: &mut String) -> Option<String> {
    match (wanted, made) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let length = path.len();
                path.push('.');
                path.push_str(key);
                let found =
                    differs(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), path);
                path.truncate(length);
                found
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(at, (a, b))| {
                let length = path.len();
                path.push_str(&format!("[{at}]"));
                let found = differs(a, b, path);
                path.truncate(length);
                found
            })
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{} is {b}, expected {a}", path.trim_start_matches('.'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_empty_does_not_count() {
        let (a, b) = (json!({"a": 1, "b": {}, "c": [null]}), json!({"a": 1, "status": {"x": 1}}));
        assert_eq!(tidy(&a), tidy(&b));
    }

    #[test]
    fn a_difference_names_its_path() {
        let (a, b) = (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]}));
        assert_eq!(difference(&a, &b).unwrap(), "a[0].b is 2, expected 1");
        assert_eq!(difference(&a, &a), None);
    }
}
