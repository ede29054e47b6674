//! JSON patch and JSON merge patch.

use serde_json::Value;

use super::status::Failure;
use crate::merge::json_patch::{Operation, apply};

/// The object after an RFC 6902 patch, as the library that the real server uses understands it: replacing a key that
/// is not there adds it, and negative indices count from the end.
pub(crate) fn json_patch(object: &Value, patch: &[u8]) -> Result<Value, Failure> {
    let operations: Vec<Operation> = serde_json::from_slice(patch)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if operations.len() > 10_000 {
        let message =
            format!("The allowed maximum operations in a JSON patch is 10000, got {}", operations.len());
        return Err(Failure::new(413, "RequestEntityTooLarge", message));
    }
    apply(object, &operations).map_err(|_| Failure::unprocessable())
}

/// The operations of a patch.
pub(crate) fn operations(patch: &[u8]) -> Result<Vec<Operation>, String> {
    serde_json::from_slice(patch).map_err(|error| error.to_string())
}

/// The object after an RFC 7386 patch.
pub(crate) fn merge_patch(object: &Value, patch: &[u8]) -> Result<Value, Failure> {
    let patch: Value = serde_json::from_slice(patch)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_null() {
        return Err(Failure::bad_request("Invalid JSON Patch"));
    }
    if !patch.is_object() {
        return Err(Failure::bad_request("error decoding patch: a merge patch is an object"));
    }
    let mut patched = object.clone();
    json_patch::merge(&mut patched, &patch);
    Ok(patched)
}

/// A patch as Go prints the value that it decoded.
pub(crate) fn go_text(patch: &[u8]) -> String {
    fn go(value: &Value) -> String {
        match value {
            Value::Null => "<nil>".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
            Value::Object(map) => {
                let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", go(v))).collect();
                format!("map[{}]", pairs.join(" "))
            }
            other => other.to_string(),
        }
    }
    serde_json::from_slice::<Value>(patch).map(|patch| go(&patch)).unwrap_or_default()
}

/// What the converter of strategic patches says where a decoder would say `why`.
pub(crate) fn conversion_error(why: &str) -> String {
    let Some((is, expected)) =
        why.strip_prefix("json: cannot unmarshal ").and_then(|rest| rest.rsplit_once(" of type "))
    else {
        return why.to_owned();
    };
    let is = match is.split(' ').next().unwrap_or_default() {
        "number" if is.contains('.') => "float64",
        "number" => "int64",
        "array" => "slice",
        "object" => "map",
        other => other,
    };
    match expected {
        "string" if matches!(is, "int64" | "float64") => format!("cannot convert {is} to string"),
        expected if expected.starts_with("map[") => format!("cannot restore map from {is}"),
        expected if expected.starts_with("[]") => format!("cannot restore slice from {is}"),
        expected if expected.contains('.') => format!("cannot restore struct from: {is}"),
        expected => format!("unrecognized type: {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_patch_that_does_not_fit_says_no_more_than_that() {
        let object = json!({"a": {"b": 1}});
        let failure = json_patch(&object, br#"[{"op": "remove", "path": "/x"}]"#).unwrap_err();
        assert_eq!((failure.code, failure.details), (422, Some(json!({}))));
        assert_eq!(json_patch(&object, br#"{"op": "x"}"#).unwrap_err().code, 400);
        assert_eq!(merge_patch(&object, br#"{"a": {"b": null, "c": 2}}"#).unwrap(), json!({"a": {"c": 2}}));
    }

    /// Any document with few keys, so that documents meet.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..3_i64).prop_map(Value::from),
            "[a-c~/]{0,2}".prop_map(Value::from)
        ];
        let tree = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/]{1,2}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        });
        prop::collection::btree_map("[a-c~/]{1,2}", tree, 0..4).prop_map(|map| json!(map))
    }

    fn without_null(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let kept = map.iter().filter(|(_, value)| !value.is_null());
                Value::Object(kept.map(|(key, value)| (key.clone(), without_null(value))).collect())
            }
            other => other.clone(),
        }
    }

    /// What makes one document of another, without lists in between.
    fn difference(from: &Value, to: &Value) -> Value {
        let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else { return to.clone() };
        let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
        let changed = changed.map(|(key, value)| {
            (key.clone(), old.get(key).map_or(value.clone(), |old| difference(old, value)))
        });
        Value::Object(gone.chain(changed).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn a_merge_patch_leads_to_what_it_was_made_of(from in document(), to in document()) {
            let (from, to) = (without_null(&from), without_null(&to));
            let patch = difference(&from, &to).to_string();
            let once = merge_patch(&from, patch.as_bytes()).unwrap();
            prop_assert_eq!(&once, &to);
            prop_assert_eq!(&merge_patch(&once, patch.as_bytes()).unwrap(), &to, "a second time");
            prop_assert_eq!(&merge_patch(&from, b"{}").unwrap(), &from);
        }

        #[test]
        fn a_json_patch_undoes_what_another_did(document in document(), key in "[a-c~/]{1,2}", value in document()) {
            let path = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let patched = |on: &Value, patch: Value| json_patch(on, patch.to_string().as_bytes()).map_err(|f| f.code);
            let added = patched(&document, json!([{"op": "add", "path": path, "value": value}])).unwrap();
            prop_assert_eq!(&added[&key], &value);
            patched(&added, json!([{"op": "test", "path": path, "value": value}])).unwrap();
            let undo = match document.get(&key) {
                Some(before) => json!([{"op": "replace", "path": path, "value": before}]),
                None => json!([{"op": "remove", "path": path}]),
            };
            prop_assert_eq!(&patched(&added, undo).unwrap(), &document);
            let there_and_back = json!([
                {"op": "move", "from": path, "path": "/elsewhere"}, {"op": "move", "from": "/elsewhere", "path": path},
            ]);
            prop_assert_eq!(&patched(&added, there_and_back).unwrap(), &added);
            let copied = patched(&added, json!([{"op": "copy", "from": path, "path": "/elsewhere"}])).unwrap();
            prop_assert_eq!(&copied["elsewhere"], &copied[&key]);
        }
    }

    #[test]
    fn a_patch_cannot_make_an_object_grow_without_bounds() {
        let object = json!({"a": {"x": "y".repeat(100)}});
        let doubling = |n: usize| -> Vec<u8> {
            let one = |n: usize| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")});
            (0..n).map(one).collect::<Value>().to_string().into_bytes()
        };
        assert!(json_patch(&object, &doubling(10)).is_ok());
        assert_eq!(json_patch(&object, &doubling(60)).unwrap_err().code, 422);
        let nesting = |n: usize| {
            let one = |n: usize| json!({"op": "add", "path": "/a".repeat(n), "value": {}});
            json_patch(&json!({}), (1..n).map(one).collect::<Value>().to_string().as_bytes())
        };
        assert!(nesting(50).is_ok());
        assert_eq!(nesting(200).unwrap_err().code, 422);
    }

    #[test]
    fn operations_work_as_in_the_real_server() {
        let object = json!({"m": {"a/b": 1}, "l": [1, 2, 3]});
        let patched = |patch: Value| json_patch(&object, patch.to_string().as_bytes()).map_err(|f| f.code);
        let one =
            |op: &str, path: &str, value: Value| patched(json!([{"op": op, "path": path, "value": value}]));
        assert_eq!(one("replace", "/m/new", json!(2)).unwrap()["m"]["new"], 2);
        assert_eq!(one("replace", "/m/a~1b", json!(2)).unwrap()["m"]["a/b"], 2);
        assert_eq!(one("add", "/l/-", json!(4)).unwrap()["l"], json!([1, 2, 3, 4]));
        assert_eq!(one("remove", "/l/-1", Value::Null).unwrap()["l"], json!([1, 2]));
        assert_eq!(one("replace", "/l/3", json!(0)), Err(422));
        assert_eq!(one("replace", "/x/y", json!(0)), Err(422));
        assert_eq!(one("test", "/m/none", Value::Null).unwrap(), object);
        assert_eq!(one("test", "/l/0", json!(2)), Err(422));
        let moved = patched(json!([{"op": "move", "from": "/l/0", "path": "/m/x"}])).unwrap();
        assert_eq!((&moved["l"], &moved["m"]["x"]), (&json!([2, 3]), &json!(1)));
    }
}
