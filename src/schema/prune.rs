//! Pruning: taking out what a schema does not know.

use serde_json::Value;

use super::at::At;
use super::types::{Others, TypeRef};
use crate::model::FieldPath;

/// Takes out the fields that a type does not know; their paths come back.
pub(super) fn prune(ty: &TypeRef, value: &mut Value, at: &At<'_>, gone: &mut Vec<FieldPath>) {
    let ty = ty.get();
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.map else { return };
            let keeps = ty.rules.preserve_unknown || !(map.free_form || matches!(map.others, Others::None));
            object.retain(|key, _| {
                let keep = keeps || map.fields.contains_key(key.as_str());
                if !keep {
                    gone.push(at.key(key).path());
                }
                keep
            });
            for (key, value) in object.iter_mut().filter(|(_, v)| v.is_object() || v.is_array()) {
                if let Some(ty) = map.value_type(key) {
                    prune(ty, value, &at.key(key), gone);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.list.as_ref().and_then(|list| list.items.as_ref()) {
                for (index, item) in items.iter_mut().enumerate() {
                    prune(ty, item, &at.index(index), gone);
                }
            }
        }
        _ => {}
    }
}
