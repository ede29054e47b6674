//! Lists that must hold no item twice.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::old::key_type;
use super::result::{At, Outcome};
use crate::schema::show;
use crate::schema::{ListKind, Type, Violation};

/// Items that stand twice in sets, and keys that stand twice in keyed lists.
pub(crate) fn validate(ty: &Type, value: &Value) -> Vec<Violation> {
    let mut found = Outcome::default();
    walk(ty, value, &At::ROOT, &mut found);
    found.wrong
}

fn walk(ty: &Type, value: &Value, at: &At<'_>, found: &mut Outcome) {
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.map else { return };
            for (key, value) in object {
                if let Some(ty) = key_type(map, key).filter(|ty| !ty.is_builtin()) {
                    walk(ty.get(), value, &at.key(key), found);
                }
            }
        }
        Value::Array(items) => {
            let Some(list) = &ty.list else { return };
            match &list.kind {
                ListKind::Atomic => {}
                ListKind::Set => {
                    repeated(items.iter()).for_each(|index| duplicate(at, index, &items[index], found))
                }
                ListKind::Map(keys) => keyed(keys, items, at, found),
            }
            if let Some(ty) = &list.items {
                for (index, item) in items.iter().enumerate() {
                    walk(ty.get(), item, &at.index(index), found);
                }
            }
        }
        _ => {}
    }
}

fn duplicate(at: &At<'_>, index: usize, value: &Value, found: &mut Outcome) {
    let message = format!("Duplicate value: {}", show::value(value));
    found.add(&at.index(index), "FieldValueDuplicate", message);
}

fn keyed(keys: &[std::sync::Arc<str>], items: &[Value], at: &At<'_>, found: &mut Outcome) {
    let odd = items.iter().enumerate().find(|(_, item)| !item.is_object() && !item.is_null());
    if let Some((index, item)) = odd {
        let message =
            format!("Invalid value: {}: must be an object for an array of list-type map", show::value(item));
        found.add(&at.index(index), "FieldValueInvalid", message);
        return;
    }
    let keys_of = |item: &Value| -> Value {
        let present = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
        Value::Object(present.collect::<Map<_, _>>())
    };
    let all: Vec<Value> = items.iter().map(keys_of).collect();
    repeated(all.iter()).for_each(|index| duplicate(at, index, &all[index], found));
}

/// Where a value stands for the second time.
fn repeated<'a>(values: impl Iterator<Item = &'a Value>) -> impl Iterator<Item = usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut second = Vec::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            second.push(index);
        }
    }
    second.into_iter()
}
