//! Taking fields out of an object.

use serde_json::{Map, Value};

use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::PathElement;
use super::set::FieldSet;

/// The value without the fields of a set; `None` when nothing is left of it.
pub(super) fn remove(ty: Ty<'_>, value: &Value, fields: &FieldSet) -> Option<Value> {
    match (ty.shape(Some(value)), value) {
        (Shape::Scalar(_), value) => Some(value.clone()),
        (Shape::Map(shape), Value::Object(map)) if !shape.atomic() => from_map(shape, map, fields),
        (Shape::List(shape), Value::Array(list)) if !shape.atomic() => from_list(shape, list, fields),
        _ => None,
    }
}

fn from_map(shape: MapShape<'_>, map: &Map<String, Value>, fields: &FieldSet) -> Option<Value> {
    let mut out = Map::new();
    for (key, value) in map {
        let element = PathElement::Field(key.clone());
        if fields.has(&element) {
            continue;
        }
        let kept = match fields.below(&element) {
            Some(below) => remove(shape.value(key), value, below).unwrap_or(Value::Null),
            None => value.clone(),
        };
        out.insert(key.clone(), kept);
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn from_list(shape: ListShape<'_>, list: &[Value], fields: &FieldSet) -> Option<Value> {
    let mut out = Vec::new();
    for item in list {
        let element = shape.element(item).ok();
        if element.as_ref().is_some_and(|element| fields.has(element)) {
            continue;
        }
        match element.and_then(|element| fields.below(&element)) {
            Some(below) => out.push(remove(shape.items(), item, below).unwrap_or(Value::Null)),
            None => out.push(item.clone()),
        }
    }
    (!out.is_empty()).then_some(Value::Array(out))
}

/// The set in which a named field is a member wherever something below it is: a struct's field is there when
/// anything in it is.
pub(super) fn with_named_fields(ty: Option<Ty<'_>>, set: &FieldSet) -> FieldSet {
    let mut out = FieldSet::new();
    // Of a path the elements decide which of the type's kinds is meant.
    let map = ty.and_then(|ty| match ty.shape(Some(&Value::Object(Map::new()))) {
        Shape::Map(map) => Some(map),
        _ => None,
    });
    let list = ty.and_then(|ty| match ty.shape(Some(&Value::Array(Vec::new()))) {
        Shape::List(list) => Some(list),
        _ => None,
    });
    for (element, member, below) in set.elements() {
        let (named, child) = match element {
            PathElement::Field(name) => {
                (map.is_some_and(|map| map.names(name)), map.map(|map| map.value(name)))
            }
            PathElement::Key(_) => (false, list.map(ListShape::items)),
            _ => (false, None),
        };
        if member || (named && !below.is_empty()) {
            out.insert_element(element.clone());
        }
        out.insert_below(element.clone(), with_named_fields(child, below));
    }
    out
}
