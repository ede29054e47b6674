//! Layers: an object merged over another without owners.

use serde_json::{Map, Value};

use super::combine::combine;
use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::PathElement;
use crate::schema::TypeRef;

/// `over` merged over `base` as an apply merges: mappings by key, keyed lists by item, sets united, the rest
/// replaced; a list that may be told apart by nothing is replaced. `null` takes a field away.
pub fn overlay(ty: Option<&TypeRef>, base: &Value, over: &Value) -> Value {
    let ty = Ty::of(ty);
    let below = cleared(ty, base, over).unwrap_or(Value::Null);
    let above = without_nulls(ty, over);
    let merged = combine(ty, Some(&below), Some(&above));
    merged.unwrap_or_else(|| Value::Object(Map::new()))
}

/// The base without what `over` takes away; `None` when `over` is `null`.
fn cleared(ty: Ty<'_>, base: &Value, over: &Value) -> Option<Value> {
    match (ty.shape(Some(over)), base, over) {
        (_, _, Value::Null) => None,
        (Shape::Map(shape), Value::Object(base), Value::Object(over)) if !shape.atomic() => {
            Some(Value::Object(cleared_map(shape, base, over)))
        }
        (Shape::List(shape), Value::Array(items), Value::Array(over)) if !shape.atomic() => {
            Some(Value::Array(cleared_list(shape, items, over)))
        }
        _ => Some(base.clone()),
    }
}

fn cleared_map(
    shape: MapShape<'_>,
    base: &Map<String, Value>,
    over: &Map<String, Value>,
) -> Map<String, Value> {
    let kept = base.iter().filter_map(|(key, value)| {
        let value = match over.get(key) {
            None => value.clone(),
            Some(over) => cleared(shape.value(key), value, over)?,
        };
        Some((key.clone(), value))
    });
    kept.collect()
}

fn cleared_list(shape: ListShape<'_>, items: &[Value], over: &[Value]) -> Vec<Value> {
    let over: std::collections::BTreeMap<PathElement, &Value> =
        over.iter().filter_map(|item| Some((shape.element(item).ok()?, item))).collect();
    let kept = items.iter().filter_map(|item| {
        match shape.element(item).ok().and_then(|element| over.get(&element)) {
            Some(over) => cleared(shape.items(), item, over),
            None => Some(item.clone()),
        }
    });
    kept.collect()
}

/// A value without fields that are `null`; what is atomic is one value, `null` in it and all.
fn without_nulls(ty: Ty<'_>, value: &Value) -> Value {
    match (ty.shape(Some(value)), value) {
        (Shape::Map(shape), Value::Object(map)) if !shape.atomic() => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            let kept = kept.map(|(key, value)| (key.clone(), without_nulls(shape.value(key), value)));
            Value::Object(kept.collect())
        }
        (Shape::List(shape), Value::Array(items)) if !shape.atomic() => {
            Value::Array(items.iter().map(|item| without_nulls(shape.items(), item)).collect())
        }
        (_, other) => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Gvk;
    use crate::schema::Schemas;

    #[test]
    fn keyed_lists_merge_by_item_and_null_takes_away() {
        let ty = Schemas::builtin().type_of(&Gvk::new("apps/v1", "Deployment"));
        let pod = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let base = pod(json!([{"name": "a", "image": "a:1", "tty": true}, {"name": "b", "image": "b:1"}]));
        let over = pod(json!([{"name": "b", "image": "b:2"}, {"name": "a", "tty": null}]));
        let merged = overlay(ty.as_ref(), &base, &over);
        assert_eq!(merged, pod(json!([{"name": "b", "image": "b:2"}, {"name": "a", "image": "a:1"}])));
    }

    #[test]
    fn of_an_unknown_kind_lists_are_replaced() {
        let base = json!({"spec": {"a": [1, 2], "b": {"c": 1, "d": 2}}});
        let over = json!({"spec": {"a": [3], "b": {"d": null, "e": 3}}});
        assert_eq!(overlay(None, &base, &over), json!({"spec": {"a": [3], "b": {"c": 1, "e": 3}}}));
    }

    #[test]
    fn all_of_a_mapping_may_go() {
        let merged = overlay(None, &json!({"kind": "A", "data": {"x": "1"}}), &json!({"data": null}));
        assert_eq!(merged, json!({"kind": "A"}));
    }
}
