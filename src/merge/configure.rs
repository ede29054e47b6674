//! What an expression wants of an object, merged into it.

use serde_json::Value;

use super::{ApplyError, apply, overlay};
use crate::model::Gvk;
use crate::schema::{ListKind, Schemas, TypeRef};

/// An object with a part merged into it as an apply merges, without owners. What would replace a value as a whole is
/// refused, and what the kind does not know; of a kind without a schema nothing is known, and its lists are replaced.
///
/// # Errors
/// In the words of the API server, which has them in `error applying patch: ...`.
pub fn configure(schemas: &Schemas, gvk: &Gvk, object: &Value, part: &Value) -> Result<Value, String> {
    if let Some(field) = schemas.unknown_fields(gvk, part).first() {
        return Err(format!(
            "failed to convert patch object to typed object: .{field}: field not declared in schema"
        ));
    }
    let ty = schemas.type_of(gvk);
    if let Err(ApplyError::NotTyped(why)) = apply(ty.as_ref(), None, part, "admission", true, "") {
        let why = why.split_once("): ").map_or(&*why, |(_, why)| why);
        return Err(format!("failed to convert patch object to typed object: {why}"));
    }
    if let Some(ty) = &ty {
        let mut found = Vec::new();
        atomics(ty, part, "", &mut found);
        if !found.is_empty() {
            return Err(format!(
                "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
                found.join(", ")
            ));
        }
    }
    Ok(overlay(ty.as_ref(), object, part))
}

/// Where a value holds what can only be replaced as a whole.
fn atomics(ty: &TypeRef, value: &Value, at: &str, found: &mut Vec<String>) {
    let ty = ty.get();
    match (value, &ty.map, &ty.list) {
        (Value::Object(fields), Some(map), _) => {
            if map.atomic {
                found.push(at.to_owned());
            }
            for (name, value) in fields {
                if let Some(ty) = map.value_type(name) {
                    atomics(ty, value, &format!("{at}.{name}"), found);
                }
            }
        }
        (Value::Array(items), _, Some(list)) => {
            if list.kind == ListKind::Atomic {
                found.push(at.to_owned());
            }
            for (index, item) in items.iter().enumerate() {
                if let Some(ty) = &list.items {
                    atomics(ty, item, &format!("{at}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}
