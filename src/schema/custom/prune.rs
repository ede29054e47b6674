//! Pruning: what a definition does not specify is taken out of an object.

use serde_json::Value;

use crate::model::FieldPath;
use crate::schema::at::At;
use crate::schema::prune as builtin;
use crate::schema::{Others, Type, TypeRef};

/// What was taken out: of the object's own metadata, of the object, of metadata inside of it.
#[derive(Default)]
pub(crate) struct Pruned {
    own_metadata: Vec<FieldPath>,
    fields: Vec<FieldPath>,
    metadata: Vec<FieldPath>,
}

impl Pruned {
    /// All paths, in the order in which the server tells them.
    pub fn paths(mut self) -> Vec<FieldPath> {
        self.fields.sort_by_cached_key(FieldPath::dotted);
        self.metadata.sort_by_cached_key(FieldPath::dotted);
        self.own_metadata.into_iter().chain(self.fields).chain(self.metadata).collect()
    }
}

/// Prunes an object (or a part of one) by its type.
pub(crate) fn prune(ty: &Type, value: &mut Value) -> Pruned {
    let mut gone = Pruned::default();
    walk(Some(ty), value, &FieldPath::default(), &mut gone);
    gone
}

fn walk(ty: Option<&Type>, value: &mut Value, at: &FieldPath, gone: &mut Pruned) {
    match value {
        Value::Object(object) => {
            let Some(ty) = ty else {
                gone.fields.extend(object.keys().map(|key| at.key(key)));
                return object.clear();
            };
            let keeps = ty.rules.preserve_unknown;
            object.retain(|key, _| {
                let keep = keeps || knows(ty, key);
                if !keep {
                    gone.fields.push(at.key(key));
                }
                keep
            });
            for (key, value) in object.iter_mut().filter(|(_, v)| v.is_object() || v.is_array()) {
                child(ty, key, value, at, gone);
            }
        }
        Value::Array(items) => {
            let item = ty.and_then(|ty| ty.list.as_ref()).and_then(|list| list.items.as_ref());
            // Where unknown fields are kept, items keep theirs.
            let keeps = ty.is_some_and(|ty| ty.rules.preserve_unknown);
            for (index, value) in items.iter_mut().enumerate() {
                match item {
                    None if keeps => {}
                    Some(item) if keeps => skip(item, value, &at.index(index), gone),
                    item => walk(item.map(TypeRef::get), value, &at.index(index), gone),
                }
            }
        }
        _ => {}
    }
}

/// An item of a list that keeps unknown fields keeps its own; what it specifies is pruned below.
fn skip(ty: &TypeRef, value: &mut Value, at: &FieldPath, gone: &mut Pruned) {
    let ty = ty.get();
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                child(ty, key, value, at, gone);
            }
        }
        Value::Array(items) => {
            if let Some(item) = ty.list.as_ref().and_then(|list| list.items.as_ref()) {
                for (index, value) in items.iter_mut().enumerate() {
                    skip(item, value, &at.index(index), gone);
                }
            }
        }
        _ => {}
    }
}

/// Whether a key is specified: by name, or as one of many.
fn knows(ty: &Type, key: &str) -> bool {
    ty.map.as_ref().is_some_and(|map| map.fields.contains_key(key) || !map.free_form)
}

fn child(ty: &Type, key: &str, value: &mut Value, at: &FieldPath, gone: &mut Pruned) {
    let Some(map) = &ty.map else { return };
    match (map.fields.get(key), &map.others) {
        (Some(field), _) if field.ty.is_builtin() => {
            let of = if at.0.is_empty() { &mut gone.own_metadata } else { &mut gone.metadata };
            builtin::prune(&field.ty, value, &At::of(&at.key(key)), of);
        }
        (Some(field), _) => walk(Some(field.ty.get()), value, &at.key(key), gone),
        (None, Others::Typed(ty)) => walk(Some(ty.get()), value, &at.key(key), gone),
        // `additionalProperties: true` specifies keys and nothing of what they hold.
        (None, _) if !map.free_form => walk(None, value, &at.key(key), gone),
        (None, _) => {}
    }
}
