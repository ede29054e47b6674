//! Writing an object in another way than by applying a configuration.

use serde_json::{Value, json};

use super::managers::{self, Managers};
use super::write::{Context, Write};
use crate::schema::TypeRef;

/// Writes an object in another way than by applying: what changed belongs to the writer. `new` is the object as it
/// shall be, with defaults. Managed fields in it replace those of the live object; empty ones do not.
pub fn update(ty: Option<&TypeRef>, live: Option<&Value>, new: &Value, write: &Write<'_>) -> Value {
    let mut old = live.cloned().unwrap_or_else(|| zero(ty, new));
    let mut managers = given_managers(&old, new, write);
    let mut new = new.clone();
    managers::strip(&mut old);
    managers::strip(&mut new);
    // An object that nobody's fields are known of stays so until somebody applies.
    if !managers.is_empty() || live.is_none() {
        let context = Context::new(ty, &new, &managers, write);
        context.refresh(&mut managers);
        managers = context.update(&old, &new, managers, write);
        managers::cap_updaters(&mut managers);
    }
    managers::write(&mut new, &managers);
    new
}

/// The managed fields that an update starts from.
fn given_managers(old: &Value, new: &Value, write: &Write<'_>) -> Managers {
    let given = new["metadata"]["managedFields"].as_array();
    let reset = given.is_some_and(|entries| {
        entries.len() == 1 && entries[0].as_object().is_some_and(|e| e.values().all(is_zero))
    });
    if reset && write.subresource.is_none() {
        return Managers::new();
    }
    let given = managers::decode(new);
    if given.is_empty() || write.subresource.is_some() { managers::decode(old) } else { given }
}

fn is_zero(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// What an API server compares a new object with: of a built-in kind the struct with its zero values.
pub(super) fn zero(ty: Option<&TypeRef>, like: &Value) -> Value {
    let mut zero = match ty {
        Some(ty) if ty.is_builtin() => ty.zero(),
        _ => json!({}),
    };
    zero["apiVersion"] = like["apiVersion"].clone();
    zero["kind"] = like["kind"].clone();
    if ty.is_some_and(TypeRef::is_builtin) {
        // A field that is written whether or not it is set.
        for (field, _) in like.as_object().into_iter().flatten().filter(|(_, value)| value.is_null()) {
            zero[field] = Value::Null;
        }
    }
    zero
}
