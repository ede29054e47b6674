//! Which part of the stored object a part of the new one came from: what did not change is not refused again.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::schema::{ListKind, MapType, Others, Type, TypeRef};

/// The old item of a new one; only lists told apart by keys have such.
pub(crate) fn correlated<'a>(ty: &Type, item: &Value, old: &'a Value) -> Option<&'a Value> {
    let list = ty.list.as_ref()?;
    let ListKind::Map(keys) = &list.kind else { return None };
    let wanted = composite_key(keys, item)?;
    old.as_array()?.iter().find(|old| composite_key(keys, old).is_some_and(|key| key == wanted))
}

/// The keys of an item, if they are all there and scalars.
fn composite_key<'a>(keys: &[Arc<str>], item: &'a Value) -> Option<Vec<&'a Value>> {
    if keys.is_empty() {
        return None;
    }
    keys.iter()
        .map(|key| {
            item.get(&**key).filter(|v| matches!(v, Value::Bool(_) | Value::Number(_) | Value::String(_)))
        })
        .collect()
}

/// The type of a key's value, if the schema says anything about it.
pub(crate) fn key_type<'a>(map: &'a MapType, key: &str) -> Option<&'a TypeRef> {
    match (map.fields.get(key), &map.others) {
        (Some(field), _) => Some(&field.ty),
        (None, Others::Typed(ty)) => Some(ty),
        _ => None,
    }
}

/// Whether nothing changed between the old value and the new one, items of keyed lists in whatever order.
pub(crate) fn same(ty: &Type, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Array(items), Value::Array(before)) => {
            let list = ty.list.as_ref();
            if items.len() != before.len() {
                return false;
            }
            match list.map(|list| (&list.kind, &list.items)) {
                Some((ListKind::Map(_), Some(item_type))) => items.iter().all(|item| {
                    correlated(ty, item, old).is_some_and(|before| same(item_type.get(), item, before))
                }),
                _ => items == before,
            }
        }
        (Value::Object(map), Value::Object(before)) => same_map(ty, map, before),
        _ => new == old,
    }
}

fn same_map(ty: &Type, new: &Map<String, Value>, old: &Map<String, Value>) -> bool {
    new.len() == old.len()
        && new.iter().all(|(key, value)| {
            let known = ty.map.as_ref().and_then(|map| key_type(map, key));
            matches!((known, old.get(key)), (Some(ty), Some(old)) if same(ty.get(), value, old))
        })
}
