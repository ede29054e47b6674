//! Strategic merge patch: a merge patch that knows how lists of built-in kinds are keyed.

use serde_json::{Map, Value};

use super::status::Failure;
use crate::schema::{ListType, TypeRef};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// The object after a strategic merge patch.
pub(crate) fn patch(ty: Option<&TypeRef>, before: &Value, patch: &Value) -> Result<Value, Failure> {
    let (Value::Object(before), Value::Object(patch)) = (before, patch) else {
        return Err(Failure::bad_request("error decoding patch: a strategic merge patch is an object"));
    };
    Ok(Value::Object(map(ty, before.clone(), patch)))
}

fn map(ty: Option<&TypeRef>, mut into: Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => return without_directives(patch),
        Some("delete") => return Map::new(),
        _ => {}
    }
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        into.retain(|key, _| kept.iter().any(|kept| kept == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            if let (Some(Value::Array(items)), Some(gone)) = (into.get_mut(list), value.as_array()) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if key.starts_with('$') {
            continue;
        }
        let map_type = ty.and_then(|ty| ty.get().map.as_ref());
        let child = map_type.and_then(|map| map.value_type(key));
        let replace = map_type.and_then(|map| map.fields.get(key.as_str())).is_some_and(|f| f.patch_replace);
        if value.is_null() {
            into.remove(key);
        } else if replace {
            into.insert(key.clone(), clean(value));
        } else {
            let old = into.remove(key);
            let order = order_of(patch, key, value.as_array().map_or(&[], Vec::as_slice));
            into.insert(key.clone(), merged(child, old, value, order));
        }
    }
    for key in patch.keys().filter_map(|key| key.strip_prefix(ORDER)).filter(|key| !patch.contains_key(*key))
    {
        // Only the order of a list is given.
        let list = ty.and_then(|ty| ty.get().map.as_ref()?.value_type(key)?.get().list.as_ref());
        if let (Some(Value::Array(items)), Some(list)) = (into.get_mut(key), list) {
            let server = items.clone();
            *items =
                ordered(std::mem::take(items), &server, order_of(patch, key, &[]), list.patch_key.as_deref());
        }
    }
    into
}

/// The order that a patch wants a list in: said in so many words, or that of its own items.
fn order_of<'a>(patch: &'a Map<String, Value>, key: &str, items: &'a [Value]) -> &'a [Value] {
    patch.get(&format!("{ORDER}{key}")).and_then(Value::as_array).map_or(items, Vec::as_slice)
}

fn merged(ty: Option<&TypeRef>, old: Option<Value>, patch: &Value, order: &[Value]) -> Value {
    match (old, patch) {
        (Some(Value::Object(old)), Value::Object(patch)) => Value::Object(map(ty, old, patch)),
        (None | Some(Value::Null), Value::Object(patch)) => Value::Object(map(ty, Map::new(), patch)),
        (old, Value::Array(patch)) => {
            let list = ty.and_then(|ty| ty.get().list.as_ref());
            let old = match old {
                Some(Value::Array(old)) => old,
                _ => Vec::new(),
            };
            Value::Array(items(list, old, patch, order))
        }
        (_, other) => clean(other),
    }
}

fn items(list: Option<&ListType>, old: Vec<Value>, patch: &[Value], order: &[Value]) -> Vec<Value> {
    let directive = |item: &Value, word: &str| item.get(DIRECTIVE).is_some_and(|d| d == word);
    let replaces = patch.iter().any(|item| directive(item, "replace"));
    let Some(list) = list.filter(|list| list.patch_merge && !replaces) else {
        return patch.iter().filter(|item| !is_directive_alone(item)).map(clean).collect();
    };
    let Some(key) = list.patch_key.as_deref() else {
        let server = old.clone();
        return ordered(scalars(old, patch), &server, order, None);
    };
    let server = old.clone();
    let mut out = old;
    for item in patch {
        let place = out.iter().position(|there| there.get(key).is_some() && there.get(key) == item.get(key));
        match (place, item) {
            (_, item) if directive(item, "delete") => {
                if let Some(place) = place {
                    out.remove(place);
                }
            }
            (Some(place), Value::Object(_)) => {
                let there = out[place].take();
                out[place] = merged(list.items.as_ref(), Some(there), item, &[]);
            }
            (_, item) => out.push(merged(list.items.as_ref(), None, item, &[])),
        }
    }
    ordered(out, &server, order, Some(key))
}

/// Lists of scalars that are merged hold each value once.
fn scalars(mut old: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    for item in patch {
        if !old.contains(item) {
            old.push(item.clone());
        }
    }
    old
}

/// Brings a merged list into order: items that the patch names in its order, the others as the server had them, and
/// between the two what the server knows of both; what it does not know goes first.
fn ordered(items: Vec<Value>, server: &[Value], order: &[Value], key: Option<&str>) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    };
    let rank = |list: &[Value], item: &Value| list.iter().position(|there| same(there, item));
    let (mut named, mut kept): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| rank(order, item).is_some());
    named.sort_by_key(|item| rank(order, item));
    kept.sort_by_key(|item| rank(server, item));
    let mut out = Vec::with_capacity(named.len() + kept.len());
    let (mut named, mut kept) = (named.into_iter().peekable(), kept.into_iter().peekable());
    loop {
        let keep = match (kept.peek(), named.peek()) {
            (None, None) => return out,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(kept), Some(named)) => {
                matches!((rank(server, kept), rank(server, named)), (Some(kept), Some(named)) if kept < named)
            }
        };
        out.extend(if keep { kept.next() } else { named.next() });
    }
}

fn is_directive_alone(item: &Value) -> bool {
    item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(DIRECTIVE))
}

fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
        .map(|(key, value)| (key.clone(), clean(value)))
        .collect()
}

/// A patch's value as it stands in an object.
fn clean(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_directives(map)),
        Value::Array(items) => items.iter().filter(|item| !is_directive_alone(item)).map(clean).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gvk;
    use crate::schema::Schemas;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn containers_are_merged_by_name() {
        let ty = Schemas::builtin().type_of(&Gvk::new("apps/v1", "Deployment"));
        let wrap = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let before = wrap(json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]));
        let change =
            wrap(json!([{"name": "a", "image": "z"}, {"name": "b", "$patch": "delete"}, {"name": "c"}]));
        let after = patch(ty.as_ref(), &before, &change).unwrap();
        assert_eq!(after, wrap(json!([{"name": "a", "image": "z"}, {"name": "c"}])));
        let added = patch(ty.as_ref(), &before, &wrap(json!([{"name": "c"}]))).unwrap();
        assert_eq!(added["spec"]["template"]["spec"]["containers"][0]["name"], "c");
        let change = wrap(json!([{"$patch": "replace"}, {"name": "d"}]));
        assert_eq!(patch(ty.as_ref(), &before, &change).unwrap(), wrap(json!([{"name": "d"}])));
    }

    fn pod(names: &[String], images: &[u8]) -> Value {
        let container = |(name, image): (&String, &u8)| json!({"name": name, "image": format!("i:{image}")});
        let containers: Value = names.iter().zip(images).map(container).collect();
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_patch_that_was_applied_changes_nothing_more(
            before in prop::collection::btree_set("[a-e]", 0..5), after in prop::collection::btree_set("[a-e]", 0..5),
            images in prop::collection::vec(0..3_u8, 10),
        ) {
            let ty = Schemas::builtin().type_of(&Gvk::new("apps/v1", "Deployment"));
            let [before, after] = [before, after].map(|names| names.into_iter().collect::<Vec<_>>());
            let (live, change) = (pod(&before, &images), pod(&after, &images[5..]));
            let once = patch(ty.as_ref(), &live, &change).unwrap();
            prop_assert_eq!(&patch(ty.as_ref(), &once, &change).unwrap(), &once);
            prop_assert_eq!(&patch(ty.as_ref(), &live, &json!({})).unwrap(), &live);
            prop_assert_eq!(&patch(ty.as_ref(), &live, &live).unwrap(), &live);
            // Whatever is in one of them is there, and as the patch has it.
            let containers = once["spec"]["template"]["spec"]["containers"].as_array().unwrap();
            for (name, image) in before.iter().zip(&images).filter(|(name, _)| !after.contains(name)).chain(after.iter().zip(&images[5..])) {
                let expected = json!({"name": name, "image": format!("i:{image}")});
                prop_assert_eq!(containers.iter().filter(|c| **c == expected).count(), 1);
            }
        }
    }
}
