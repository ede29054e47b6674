//! JSON patch and JSON merge patch.

use serde_json::Value;

use super::status::Failure;

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
    let mut patched = object.clone();
    for operation in &operations {
        operation.apply(&mut patched).ok_or_else(Failure::unprocessable)?;
    }
    Ok(patched)
}

/// One operation; what does not fit is `None`.
#[derive(serde::Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    value: Option<Value>,
}

impl Operation {
    fn apply(&self, document: &mut Value) -> Option<()> {
        let value = || self.value.clone().unwrap_or_default();
        match self.op.as_str() {
            "add" => add(document, &self.path, value()),
            "remove" => remove(document, &self.path).map(drop),
            "replace" => replace(document, &self.path, value()),
            "move" => {
                let moved = remove(document, self.from.as_deref()?)?;
                add(document, &self.path, moved)
            }
            "copy" => {
                let copied = get(document, self.from.as_deref()?)?;
                add(document, &self.path, copied)
            }
            "test" => (get(document, &self.path).unwrap_or_default() == value()).then_some(()),
            _ => None,
        }
    }
}

/// The container that a pointer's last token is looked up in, and that token.
fn place<'a>(document: &'a mut Value, pointer: &str) -> Option<(&'a mut Value, String)> {
    let (container, last) = pointer.rsplit_once('/')?;
    let mut at = document;
    for token in container.split('/').skip(1) {
        let token = unescaped(token);
        at = match at {
            Value::Object(map) => map.get_mut(&token)?,
            Value::Array(items) => {
                let index = index(&token, items.len())?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    Some((at, unescaped(last)))
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// An index; `-1` is the last item of a list of this length.
fn index(token: &str, length: usize) -> Option<usize> {
    let index: i64 = token.parse().ok()?;
    let index = if index < 0 { index.checked_add(i64::try_from(length).ok()?)? } else { index };
    usize::try_from(index).ok()
}

fn get(document: &mut Value, pointer: &str) -> Option<Value> {
    match place(document, pointer)? {
        (Value::Object(map), key) => Some(map.get(&key).cloned().unwrap_or_default()),
        (Value::Array(items), key) => items.get(index(&key, items.len())?).cloned(),
        _ => None,
    }
}

fn add(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    match place(document, pointer)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            // A negative index counts from the end that the list will have.
            let index = index(&key, items.len() + 1).filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, pointer: &str) -> Option<Value> {
    match place(document, pointer)? {
        (Value::Object(map), key) => map.remove(&key),
        (Value::Array(items), key) => {
            let index = index(&key, items.len()).filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

fn replace(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    match place(document, pointer)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(items), key) => {
            let index = index(&key, items.len())?;
            *items.get_mut(index)? = value;
        }
        _ => return None,
    }
    Some(())
}

/// The object after an RFC 7386 patch.
pub(crate) fn merge_patch(object: &Value, patch: &[u8]) -> Result<Value, Failure> {
    let patch: Value = serde_json::from_slice(patch)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if !patch.is_object() {
        return Err(Failure::bad_request("error decoding patch: a merge patch is an object"));
    }
    let mut patched = object.clone();
    json_patch::merge(&mut patched, &patch);
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_that_does_not_fit_says_no_more_than_that() {
        let object = json!({"a": {"b": 1}});
        let failure = json_patch(&object, br#"[{"op": "remove", "path": "/x"}]"#).unwrap_err();
        assert_eq!((failure.code, failure.details), (422, Some(json!({}))));
        assert_eq!(json_patch(&object, br#"{"op": "x"}"#).unwrap_err().code, 400);
        assert_eq!(merge_patch(&object, br#"{"a": {"b": null, "c": 2}}"#).unwrap(), json!({"a": {"c": 2}}));
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
