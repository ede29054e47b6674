//! Anchors in a strategic merge patch: what they ask is checked, and what is left is a plain patch.

use serde_json::{Map, Value};

use super::super::anchor::{self, Anchor};
use super::super::pattern::Pattern;

/// Why a part of a patch does not apply.
enum Stop {
    /// A condition of this element does not hold.
    Condition,
    /// A condition of the whole rule does not hold.
    Global,
}

/// The patch for an object; `None` when its conditions do not hold.
pub(super) fn prepare(mut patch: Value, object: &Value) -> Result<Option<Value>, String> {
    if walk(&mut patch, Some(object)).is_err() {
        return Ok(None);
    }
    let Value::Object(map) = &mut patch else { return Err("the patch is no mapping".into()) };
    map.retain(|key, value| !strip(value, is_condition(key)));
    Ok(Some(patch))
}

fn is_condition(key: &str) -> bool {
    matches!(anchor::parse(key), Some((Anchor::Condition | Anchor::Global, _)))
}

fn is_any(key: &str) -> bool {
    matches!(anchor::parse(key), Some((Anchor::Condition | Anchor::Global | Anchor::AddIfAbsent, _)))
}

fn walk(patch: &mut Value, object: Option<&Value>) -> Result<(), Stop> {
    match patch {
        Value::Object(map) => walk_map(map, object),
        Value::Array(list) if list.first().is_some_and(Value::is_object) => walk_list(list, object),
        _ => Ok(()),
    }
}

fn walk_map(patch: &mut Map<String, Value>, object: Option<&Value>) -> Result<(), Stop> {
    add_if_absent(patch, object);
    let keys: Vec<String> = patch.keys().cloned().collect();
    for (wanted, stop) in [(Anchor::Global, Stop::Global), (Anchor::Condition, Stop::Condition)] {
        for key in &keys {
            let Some((found, name)) = anchor::parse(key) else { continue };
            if found == wanted && !holds(&mut patch[key], object.and_then(|o| o.get(name))) {
                return Err(stop);
            }
        }
    }
    for key in keys.iter().filter(|key| !is_any(key)) {
        walk(&mut patch[key], object.and_then(|o| o.get(key)))?;
    }
    Ok(())
}

/// `+(key)` is dropped where the object has the key, and becomes the key elsewhere. Whether there was any.
fn add_if_absent(patch: &mut Map<String, Value>, object: Option<&Value>) -> bool {
    let is_add = |key: &&String| matches!(anchor::parse(key), Some((Anchor::AddIfAbsent, _)));
    let keys: Vec<String> = patch.keys().filter(is_add).cloned().collect();
    for written in &keys {
        let value = patch.remove(written);
        if let (Some(value), Some((_, key))) = (value, anchor::parse(written))
            && object.is_none_or(|o| o.get(key).is_none())
        {
            patch.insert(key.to_owned(), value);
        }
    }
    !keys.is_empty()
}

fn holds(condition: &mut Value, value: Option<&Value>) -> bool {
    let Some(value) = value else { return false };
    if let Value::Object(map) = condition
        && add_if_absent(map, Some(value))
    {
        return true;
    }
    Pattern::compile(&as_text(condition)).matches(&as_text(value)).is_ok()
}

/// Scalars are compared by their texts.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.to_string().into(),
        Value::Bool(b) => b.to_string().into(),
        other => other.clone(),
    }
}

/// An element with conditions stands for each element of the object that satisfies them, by name.
fn walk_list(patch: &mut Vec<Value>, object: Option<&Value>) -> Result<(), Stop> {
    let existing = object.and_then(Value::as_array);
    let mut added = Vec::new();
    for pattern in patch.iter() {
        if !has(pattern, is_any) {
            continue;
        }
        let global = has(pattern, |key| matches!(anchor::parse(key), Some((Anchor::Global, _))));
        let (mut passed, mut failed) = (false, false);
        for element in existing.into_iter().flatten() {
            let mut copy = pattern.clone();
            match walk(&mut copy, Some(element)) {
                Err(Stop::Condition) => {}
                Err(Stop::Global) => failed = true,
                Ok(()) => {
                    passed = true;
                    if !global {
                        added.extend(named(copy, element));
                    }
                }
            }
        }
        // Without a list, nothing is there that could satisfy it.
        failed |= existing.is_none() && matches!(walk(&mut pattern.clone(), None), Err(Stop::Global));
        if failed && !passed {
            return Err(Stop::Global);
        }
    }
    patch.extend(added);
    Ok(())
}

/// The patch for one element, which merging will find by its name.
fn named(mut patch: Value, element: &Value) -> Option<Value> {
    let name = element.get("name").filter(|name| !name.is_null() && *name != "")?;
    if strip(&mut patch, true) {
        return None;
    }
    patch.as_object_mut()?.insert("name".to_owned(), name.clone());
    Some(patch)
}

fn has(pattern: &Value, is: impl Fn(&str) -> bool + Copy) -> bool {
    match pattern {
        Value::Object(map) => map.iter().any(|(key, value)| is(key) || has(value, is)),
        Value::Array(list) => list.iter().any(|value| has(value, is)),
        _ => false,
    }
}

/// Takes the conditions out; whether nothing but conditions was there.
fn strip(node: &mut Value, scalar: bool) -> bool {
    match node {
        Value::Object(map) => strip_map(map),
        Value::Array(list) => strip_list(list),
        _ => scalar,
    }
}

fn strip_map(map: &mut Map<String, Value>) -> bool {
    map.retain(|key, value| !(is_condition(key) && strip(value, true)));
    // What is left of conditions patches what they asked about.
    let kept: Vec<String> = map.keys().filter(|key| is_condition(key)).cloned().collect();
    for written in kept {
        if let (Some(value), Some((_, key))) = (map.remove(&written), anchor::parse(&written)) {
            map.insert(key.to_owned(), value);
        }
    }
    map.retain(|_, value| !strip(value, false));
    map.is_empty()
}

fn strip_list(list: &mut Vec<Value>) -> bool {
    let was_empty = list.is_empty();
    list.retain_mut(|element| !has(element, is_any) && !strip(element, false));
    list.is_empty() && !was_empty
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patch(patch: Value, object: Value) -> Option<Value> {
        prepare(patch, &object).unwrap()
    }

    #[test]
    fn a_field_is_added_only_where_it_is_absent() {
        let written = json!({"metadata": {"labels": {"+(a)": "1", "b": "2"}}});
        assert_eq!(
            patch(written.clone(), json!({"metadata": {}})),
            Some(json!({"metadata": {"labels": {"a": "1", "b": "2"}}}))
        );
        assert_eq!(
            patch(written, json!({"metadata": {"labels": {"a": "x"}}})),
            Some(json!({"metadata": {"labels": {"b": "2"}}}))
        );
    }

    #[test]
    fn a_condition_chooses_elements_by_name() {
        let written = json!({"spec": {"containers": [{"(image)": "*:latest", "pull": "Always"}]}});
        let object = json!({"spec": {"containers": [{"name": "a", "image": "x:latest"}, {"name": "b", "image": "x:v1"}]}});
        assert_eq!(
            patch(written.clone(), object),
            Some(json!({"spec": {"containers": [{"name": "a", "pull": "Always"}]}}))
        );
        let object = json!({"spec": {"containers": [{"name": "b", "image": "x:v1"}]}});
        assert_eq!(patch(written, object), Some(json!({})));
    }

    #[test]
    fn a_condition_outside_of_lists_is_about_the_whole() {
        let written = json!({"metadata": {"(name)": "w*", "labels": {"a": "1"}}});
        assert_eq!(
            patch(written.clone(), json!({"metadata": {"name": "web"}})),
            Some(json!({"metadata": {"labels": {"a": "1"}}}))
        );
        assert_eq!(patch(written.clone(), json!({"metadata": {"name": "db"}})), None);
        assert_eq!(patch(written, json!({"metadata": {}})), None);
        let global = json!({"spec": {"l": [{"<(image)": "r/*"}], "s": [{"name": "k"}]}});
        let with = |image: &str| json!({"spec": {"l": [{"name": "a", "image": image}]}});
        assert_eq!(patch(global.clone(), with("r/x")), Some(json!({"spec": {"s": [{"name": "k"}]}})));
        assert_eq!(patch(global.clone(), with("q/x")), None);
        assert_eq!(patch(global, json!({"spec": {}})), None);
    }
}
