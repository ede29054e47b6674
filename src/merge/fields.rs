//! The fields that a value sets: what its applier owns.

use serde_json::Value;

use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::PathElement;
use super::set::FieldSet;
use crate::schema::TypeRef;

/// The fields that a configuration sets: what its applier comes to own.
pub fn set_by(ty: Option<&TypeRef>, config: &Value) -> FieldSet {
    fields_of(Ty::of(ty), config)
}

/// The fields that a value sets.
pub(super) fn fields_of(ty: Ty<'_>, value: &Value) -> FieldSet {
    below(ty, value).0
}

/// The fields below a value, and whether the value itself is one.
fn below(ty: Ty<'_>, value: &Value) -> (FieldSet, bool) {
    match ty.shape(Some(value)) {
        Shape::Scalar(_) => (FieldSet::new(), true),
        Shape::Map(map) if map.atomic() => (FieldSet::new(), true),
        Shape::List(list) if list.atomic() => (FieldSet::new(), true),
        Shape::Map(map) => (map_fields(map, value), false),
        Shape::List(list) => (list_fields(list, value), false),
    }
}

fn map_fields(shape: MapShape<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let (fields, leaf) = below(shape.value(key), value);
        let bare = value.is_null() || value.as_object().is_some_and(|map| map.is_empty());
        let element = PathElement::Field(key.clone());
        set.insert_whole(element, leaf || bare || !shape.names(key), fields);
    }
    set
}

fn list_fields(shape: ListShape<'_>, value: &Value) -> FieldSet {
    let items: Vec<(PathElement, &Value)> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| Some((shape.element(item).ok()?, item)))
        .collect();
    let mut seen = std::collections::BTreeMap::new();
    for (element, _) in &items {
        *seen.entry(element).or_insert(0_usize) += 1;
    }
    let mut set = FieldSet::new();
    for (element, item) in &items {
        // Of items that are there twice only their being there is owned.
        set.insert_element(element.clone());
        if seen.get(element) == Some(&1) {
            set.insert_below(element.clone(), below(shape.items(), item).0);
        }
    }
    set
}
