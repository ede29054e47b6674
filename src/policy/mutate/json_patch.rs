//! JSON patches, as forgiving as upstream's: YAML is read too, what is missing need not be removed, parents of what
//! is added are made, and a negative index counts from the end.

use serde_json::{Map, Value};

use crate::yaml;

/// Applies the operations of a text.
pub(super) fn apply(object: &Value, patch: &str) -> Result<Value, String> {
    operations(patch)?.iter().try_fold(object.clone(), |mut object, operation| {
        operate(&mut object, operation)?;
        Ok(object)
    })
}

/// The operations of a text.
pub(super) fn operations(patch: &str) -> Result<Vec<Value>, String> {
    match yaml::parse(patch, false).map_err(|e| format!("the patch cannot be read: {e}"))? {
        Value::Array(operations) => Ok(operations),
        _ => Err("the patch is no list of operations".to_owned()),
    }
}

/// Carries out one operation.
pub(super) fn operate(object: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |name: &str| {
        operation[name].as_str().ok_or(format!("{name} of an operation is missing: {operation}"))
    };
    let path = pointer(text("path")?)?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match text("op")? {
        "add" => add(object, &path, value()),
        "remove" => {
            remove(object, &path);
            Ok(())
        }
        "replace" => {
            let slot = find(object, &path).ok_or_else(|| missing(operation))?;
            *slot = value();
            Ok(())
        }
        "test" => match find(object, &path).is_some_and(|found| *found == value()) {
            true => Ok(()),
            false => Err(format!("testing value {} failed", text("path")?)),
        },
        "copy" => {
            let from = find(object, &pointer(text("from")?)?).ok_or_else(|| missing(operation))?.clone();
            add(object, &path, from)
        }
        "move" => {
            let from = remove(object, &pointer(text("from")?)?).ok_or_else(|| missing(operation))?;
            add(object, &path, from)
        }
        other => Err(format!("{other:?} is not an operation of JSON patches")),
    }
}

fn missing(operation: &Value) -> String {
    format!(
        "there is nothing at {}",
        operation["from"].as_str().or(operation["path"].as_str()).unwrap_or_default()
    )
}

/// The keys of `/a/b~1c/0`.
fn pointer(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text.strip_prefix('/').ok_or_else(|| format!("{text:?} is not a path: it begins with /"))?;
    Ok(rest.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect())
}

/// The place of a key in a list; the end for `-`, from the end for a negative number.
fn place(key: &str, length: usize) -> Option<usize> {
    if key == "-" {
        return Some(length);
    }
    let number: isize = key.parse().ok()?;
    if number < 0 { length.checked_add_signed(number) } else { usize::try_from(number).ok() }
}

fn find<'a>(node: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(node, |node, key| match node {
        Value::Object(map) => map.get_mut(key),
        Value::Array(list) => place(key, list.len()).and_then(|at| list.get_mut(at)),
        _ => None,
    })
}

fn add(object: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else {
        *object = value;
        return Ok(());
    };
    let mut node = object;
    for (at, key) in parents.iter().enumerate() {
        let is_list = path.get(at + 1).is_some_and(|next| next == "-" || next == "0");
        node = descend(node, key, is_list)?;
    }
    match node {
        Value::Object(map) => {
            map.insert(last.clone(), value);
            Ok(())
        }
        Value::Array(list) => match place(last, list.len()).filter(|at| *at <= list.len()) {
            Some(at) => {
                list.insert(at, value);
                Ok(())
            }
            None => Err(format!("{last:?} is no place in a list of {}", list.len())),
        },
        _ => Err(format!("{last:?} cannot be added to a scalar")),
    }
}

/// The value under a key, made if it is not there.
fn descend<'a>(node: &'a mut Value, key: &str, is_list: bool) -> Result<&'a mut Value, String> {
    let empty = || if is_list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    match node {
        Value::Object(map) => {
            let slot = map.entry(key.to_owned()).or_insert_with(empty);
            if slot.is_null() {
                *slot = empty();
            }
            Ok(slot)
        }
        Value::Array(list) => {
            let length = list.len();
            let at = place(key, length).ok_or_else(|| format!("{key:?} is no place in a list"))?;
            if at == length {
                list.push(empty());
            }
            list.get_mut(at).ok_or_else(|| format!("{key:?} is no place in a list of {length}"))
        }
        _ => Err(format!("there is a scalar above {key:?}")),
    }
}

fn remove(object: &mut Value, path: &[String]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    match find(object, parents)? {
        Value::Object(map) => map.remove(last),
        Value::Array(list) => place(last, list.len()).filter(|at| *at < list.len()).map(|at| list.remove(at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_are_applied_in_order() {
        let object = json!({"metadata": {"labels": {"a/b": "1"}}, "l": [1, 2, 3]});
        let patch = "
- {op: add, path: /spec/list/-, value: x}
- {op: replace, path: /metadata/labels/a~1b, value: '2'}
- {op: remove, path: /gone/for/good}
- {op: remove, path: /l/-1}
- {op: add, path: /l/0, value: 0}
- {op: move, from: /l/1, path: /one}
- {op: copy, from: /one, path: /uno}
- {op: test, path: /uno, value: 1}
";
        assert_eq!(
            apply(&object, patch),
            Ok(
                json!({"metadata": {"labels": {"a/b": "2"}}, "l": [0, 2], "spec": {"list": ["x"]}, "one": 1, "uno": 1})
            )
        );
        for bad in [
            "- {op: replace, path: /gone, value: 1}",
            "- {op: test, path: /l/0, value: 2}",
            "- {op: add, path: /l/9, value: 2}",
            "- {op: add, path: l, value: 2}",
            "- {op: rename, path: /l}",
            "- {path: /l}",
            "op: add",
        ] {
            assert!(apply(&object, bad).is_err(), "{bad}");
        }
    }
}
