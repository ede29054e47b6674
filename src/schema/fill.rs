//! Defaults: what a field is when it is absent.

use serde_json::Value;

use super::quantity;
use super::table;
use super::types::{Others, Scalar, TypeRef};

/// Fills in the defaults of a schema: absent fields, and `null` where it is no value of the field.
pub(super) fn fill(ty: &TypeRef, value: &mut Value) {
    // Of metadata the defaults are zero values, which nobody writes.
    if ty.is_builtin() {
        return;
    }
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.get().map else { return };
            for (name, field) in &map.fields {
                if let Some(default) = &field.default
                    && object.get(&**name).is_none_or(|v| v.is_null() && !field.ty.get().rules.nullable)
                {
                    object.insert(name.to_string(), default.clone());
                }
            }
            for (key, value) in object.iter_mut() {
                match (map.fields.get(key.as_str()), &map.others) {
                    (Some(field), _) => fill(&field.ty, value),
                    (None, Others::Typed(ty)) => fill(ty, value),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            let list = ty.get().list.as_ref().and_then(|list| list.items.as_ref());
            if let Some(ty) = list {
                items.iter_mut().for_each(|item| fill(ty, item));
            }
        }
        _ => {}
    }
}

/// Takes out `null` where it is no value of a field, as the API server does on decoding a custom resource.
pub(super) fn drop_nulls(ty: &TypeRef, value: &mut Value) {
    // Where a struct is decoded, `null` is its field's zero.
    if ty.is_builtin() {
        return;
    }
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.get().map else { return };
            let drops = |ty: &TypeRef| !ty.is_builtin() && !ty.get().rules.nullable;
            object.retain(|key, value| !(value.is_null() && map.value_type(key).is_some_and(drops)));
            for (key, value) in object.iter_mut() {
                if let Some(ty) = map.value_type(key) {
                    drop_nulls(ty, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.get().list.as_ref().and_then(|list| list.items.as_ref()) {
                items.iter_mut().for_each(|item| drop_nulls(ty, item));
            }
        }
        _ => {}
    }
}

/// Takes out what the API server does not hold in built-in types (of custom kinds that is metadata alone): `null`,
/// and lists and dictionaries without content where they may be absent. `builtin`: the value is part of one.
pub(super) fn drop_empty(ty: &TypeRef, value: &mut Value, builtin: bool) {
    let builtin = builtin || ty.is_builtin();
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.get().map else { return };
            for (key, value) in object.iter_mut() {
                if let Some(ty) = map.value_type(key) {
                    drop_empty(ty, value, builtin);
                }
            }
            if !builtin {
                return;
            }
            let written = ty.builtin_name().and_then(table::written);
            object.retain(|key, value| {
                let Some(field) = map.fields.get(key.as_str()) else {
                    let text = map.value_type(key).is_some_and(|ty| ty.get().scalar == Some(Scalar::String));
                    if value.is_null() && text {
                        *value = Value::String(String::new());
                    }
                    return true;
                };
                if written.is_some_and(|w| w.zero_is_absent.contains(&key.as_str()) && is_zero(value)) {
                    return false;
                }
                let empty = match value {
                    Value::Null => true,
                    Value::Array(items) => items.is_empty(),
                    Value::Object(map) => map.is_empty() && is_dictionary(&field.ty),
                    _ => false,
                };
                !empty || map.required.iter().any(|name| **name == **key)
            });
            for field in written.into_iter().flat_map(|written| &written.absent_is_null) {
                let value = object.entry((*field).to_owned()).or_insert(Value::Null);
                if value.as_array().is_some_and(Vec::is_empty) {
                    *value = Value::Null;
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.get().list.as_ref().and_then(|list| list.items.as_ref()) {
                items.iter_mut().for_each(|item| drop_empty(ty, item, builtin));
            }
        }
        _ => {}
    }
}

/// Writes quantities in their canonical form.
pub(super) fn canonical_quantities(ty: &TypeRef, value: &mut Value) {
    if ty.is_quantity() {
        let text = match &*value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        if let Some(canonical) = quantity::canonical(&text) {
            *value = Value::String(canonical);
        }
        return;
    }
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.get().map else { return };
            for (key, value) in object.iter_mut() {
                if let Some(ty) = map.value_type(key) {
                    canonical_quantities(ty, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.get().list.as_ref().and_then(|list| list.items.as_ref()) {
                items.iter_mut().for_each(|item| canonical_quantities(ty, item));
            }
        }
        _ => {}
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn is_dictionary(ty: &TypeRef) -> bool {
    ty.get().map.as_ref().is_some_and(|map| map.fields.is_empty() && matches!(map.others, Others::Typed(_)))
}
