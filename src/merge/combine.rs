//! Merging a configuration into an object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::PathElement;

/// `over` merged into `base`: mappings by key, lists by their kind, the rest replaced. `None` is an empty
/// mapping or list that came out of two that were not both empty.
pub(super) fn combine(ty: Ty<'_>, base: Option<&Value>, over: Option<&Value>) -> Option<Value> {
    let shape = match (base, over) {
        (base, None) => ty.shape(base),
        (_, over) => ty.shape(over),
    };
    match shape {
        Shape::Scalar(_) => over.or(base).cloned(),
        Shape::Map(map) => {
            let (below, above) = (base.and_then(Value::as_object), over.and_then(Value::as_object));
            let empty = |m: Option<&Map<String, Value>>| m.is_none_or(Map::is_empty);
            if map.atomic() || (empty(below) && empty(above)) {
                return over.or(base).cloned();
            }
            combine_maps(map, below, above)
        }
        Shape::List(list) => {
            let items = |v: Option<&'_ Value>| v.and_then(Value::as_array).is_none_or(Vec::is_empty);
            if list.atomic() || (items(base) && items(over)) {
                return over.or(base).cloned();
            }
            combine_lists(list, base, over)
        }
    }
}

fn combine_maps(
    shape: MapShape<'_>,
    base: Option<&Map<String, Value>>,
    over: Option<&Map<String, Value>>,
) -> Option<Value> {
    let mut out = Map::new();
    for (key, below) in base.into_iter().flatten() {
        match over.and_then(|over| over.get(key)) {
            // What is not named above stays as it is.
            None => {
                out.insert(key.clone(), below.clone());
            }
            above => {
                if let Some(value) = combine(shape.value(key), Some(below), above) {
                    out.insert(key.clone(), value);
                }
            }
        }
    }
    for (key, above) in over.into_iter().flatten() {
        if base.is_none_or(|base| !base.contains_key(key))
            && let Some(value) = combine(shape.value(key), None, Some(above))
        {
            out.insert(key.clone(), value);
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// Items of a list by what tells them apart; what is there twice is merged with nothing.
struct Indexed<'v> {
    order: Vec<(PathElement, &'v Value)>,
    by_element: BTreeMap<PathElement, Option<&'v Value>>,
}

impl<'v> Indexed<'v> {
    fn of(shape: ListShape<'_>, list: Option<&'v Value>) -> Indexed<'v> {
        let mut order = Vec::new();
        let mut by_element = BTreeMap::new();
        for item in list.and_then(Value::as_array).into_iter().flatten() {
            let Ok(element) = shape.element(item) else { continue };
            by_element.entry(element.clone()).and_modify(|seen| *seen = None).or_insert(Some(item));
            order.push((element, item));
        }
        Indexed { order, by_element }
    }
}

/// Items of the base keep their order, items of both are in the order of what is merged in, and new items come
/// where they stand there.
fn combine_lists<'v>(
    shape: ListShape<'_>,
    base: Option<&'v Value>,
    over: Option<&'v Value>,
) -> Option<Value> {
    let (below, above) = (Indexed::of(shape, base), Indexed::of(shape, over));
    let count = |list: Option<&Value>| list.and_then(Value::as_array).map_or(0, Vec::len);
    let told_apart = above.by_element.len() == count(over) && below.order.len() == count(base);
    // An apply has refused these; in a layer nothing may get lost.
    if over.is_some() && !told_apart {
        return over.cloned();
    }
    let mut shared: VecDeque<&PathElement> =
        above.order.iter().map(|(e, _)| e).filter(|e| below.by_element.contains_key(*e)).collect();
    let mut next_shared = shared.pop_front();
    let mut merged = BTreeSet::new();
    let mut out = Vec::new();
    let (mut l, mut r) = (0, 0);
    let both = |element: &PathElement| {
        let find = |side: &Indexed<'v>| side.by_element.get(element).copied().flatten();
        combine(shape.items(), find(&below), find(&above))
    };
    while l < below.order.len() || r < above.order.len() {
        if let (Some((element, _)), Some((other, _))) = (below.order.get(l), above.order.get(r)) {
            if element == other {
                merged.insert(element);
                out.extend(both(element));
                (l, r) = (l + 1, r + 1);
                next_shared = shared.pop_front();
                continue;
            }
            // An item of both, but not the one whose turn it is.
            if above.by_element.contains_key(element) && next_shared.is_some_and(|next| next != element) {
                l += 1;
                continue;
            }
        }
        if let Some((element, item)) = below.order.get(l) {
            if !above.by_element.contains_key(element) {
                out.extend(combine(shape.items(), Some(item), None));
                l += 1;
                continue;
            } else if merged.contains(element) {
                l += 1;
            }
        }
        if let Some((element, _)) = above.order.get(r) {
            merged.insert(element);
            out.extend(both(element));
            r += 1;
            if next_shared == Some(element) {
                next_shared = shared.pop_front();
            }
        }
    }
    (!out.is_empty()).then_some(Value::Array(out))
}
