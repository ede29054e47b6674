//! The part of an object that a set of fields names.

use serde_json::{Map, Value};

use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::PathElement;
use super::set::FieldSet;
use crate::schema::TypeRef;

/// What an object has at the fields of a set, such as those that a manager owns: equal parts mean that none of these
/// fields has changed, whatever others wrote. Items of lists keep their keys.
pub fn extract(ty: Option<&TypeRef>, object: &Value, fields: &FieldSet) -> Value {
    part(Ty::of(ty), object, fields).unwrap_or_else(|| Value::Object(Map::new()))
}

fn part(ty: Ty<'_>, value: &Value, fields: &FieldSet) -> Option<Value> {
    match (ty.shape(Some(value)), value) {
        (Shape::Map(shape), Value::Object(map)) if !shape.atomic() => from_map(shape, map, fields),
        (Shape::List(shape), Value::Array(items)) if !shape.atomic() => from_list(shape, items, fields),
        (_, value) => Some(value.clone()),
    }
}

fn from_map(shape: MapShape<'_>, map: &Map<String, Value>, fields: &FieldSet) -> Option<Value> {
    let mut out = Map::new();
    for (key, value) in map {
        let element = PathElement::Field(key.clone());
        let ty = shape.value(key);
        let kept = match fields.below(&element) {
            Some(below) => part(ty, value, below),
            None if fields.has(&element) => Some(own(ty, value)),
            None => None,
        };
        out.extend(kept.map(|value| (key.clone(), value)));
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn from_list(shape: ListShape<'_>, items: &[Value], fields: &FieldSet) -> Option<Value> {
    let mut out = Vec::new();
    for item in items {
        let Ok(element) = shape.element(item) else { continue };
        let below = fields.below(&element);
        if below.is_none() && !fields.has(&element) {
            continue;
        }
        let mut kept = below.and_then(|below| part(shape.items(), item, below));
        match &element {
            PathElement::Key(keys) => {
                let kept = kept.get_or_insert_with(|| Value::Object(Map::new()));
                keys.iter().for_each(|(name, key)| kept[name] = key.clone());
            }
            _ => kept = Some(item.clone()),
        }
        out.extend(kept);
    }
    (!out.is_empty()).then_some(Value::Array(out))
}

/// A field that is owned without anything below it: of a mapping only that it is there.
fn own(ty: Ty<'_>, value: &Value) -> Value {
    match (ty.shape(Some(value)), value) {
        (Shape::Map(shape), Value::Object(_)) if !shape.atomic() => Value::Object(Map::new()),
        (Shape::List(shape), Value::Array(_)) if !shape.atomic() => Value::Array(Vec::new()),
        (_, value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{apply, owned};
    use super::*;
    use crate::model::Gvk;
    use crate::schema::Schemas;

    #[test]
    fn what_others_write_does_not_matter() {
        let ty = Schemas::builtin().type_of(&Gvk::new("v1", "Service"));
        let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec});
        let config = service(json!({"ports": [{"port": 80, "name": "http"}], "selector": {"app": "a"}}));
        let live = apply(ty.as_ref(), None, &config, "me", false, "1").unwrap();
        let mine = owned(&live, "me");
        let before = extract(ty.as_ref(), &live, &mine);
        assert_eq!(
            before,
            json!({"spec": {"ports": [{"port": 80, "name": "http", "protocol": "TCP"}], "selector": {"app": "a"}}})
        );
        let other =
            service(json!({"ports": [{"port": 80, "nodePort": 30000}, {"port": 81}], "type": "NodePort"}));
        let live = apply(ty.as_ref(), Some(&live), &other, "other", false, "2").unwrap();
        assert_eq!(extract(ty.as_ref(), &live, &mine), before);
        let drifted = service(json!({"ports": [{"port": 80, "name": "web"}]}));
        let live = apply(ty.as_ref(), Some(&live), &drifted, "other", true, "3").unwrap();
        assert_ne!(extract(ty.as_ref(), &live, &mine), before);
    }
}
