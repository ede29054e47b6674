//! What a write changed: fields added, modified and removed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::{Path, PathElement};
use super::set::FieldSet;
use super::value;

/// Fields that two states of an object do not share.
#[derive(Debug, Clone, Default)]
pub(super) struct Comparison {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

impl Comparison {
    /// Without these fields and what is below them.
    pub fn without(self, ignored: &FieldSet) -> Comparison {
        if ignored.is_empty() {
            return self;
        }
        Comparison {
            added: self.added.without(ignored),
            modified: self.modified.without(ignored),
            removed: self.removed.without(ignored),
        }
    }
}

/// What the step from `old` to `new` changed.
pub(super) fn compare(ty: Ty<'_>, old: &Value, new: &Value) -> Comparison {
    let mut walk = Walk::default();
    walk.node(ty, Some(old), Some(new));
    walk.found
}

#[derive(Default)]
struct Walk {
    path: Path,
    found: Comparison,
}

impl Walk {
    fn node(&mut self, ty: Ty<'_>, old: Option<&Value>, new: Option<&Value>) {
        // Most of most objects stays as it is.
        if let (Some(old), Some(new)) = (old, new)
            && value::equal(old, new)
        {
            return;
        }
        let (before, after) = (ty.shape(old), ty.shape(new));
        let leaf = match (old, new) {
            (_, None) => self.shape(before, old, new),
            (None, _) => self.shape(after, old, new),
            _ if same_shape(before, after) => self.shape(after, old, new),
            _ => {
                self.shape(before, old, new);
                self.shape(after, old, new)
            }
        };
        if !leaf {
            match (old, new) {
                (None, _) => self.found.added.insert(&self.path),
                (_, None) => self.found.removed.insert(&self.path),
                _ => {}
            }
        }
    }

    /// Whether the node was a leaf.
    fn shape(&mut self, shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        match shape {
            Shape::Scalar(_) => self.leaf(old, new),
            Shape::Map(map) => {
                let (before, after) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
                let empty = |m: Option<&Map<String, Value>>| m.is_none_or(Map::is_empty);
                if map.atomic() || (empty(before) && empty(after)) {
                    return self.leaf(old, new);
                }
                self.map(map, before, after);
                false
            }
            Shape::List(list) => {
                let items = |v: Option<&'_ Value>| v.and_then(Value::as_array).is_none_or(Vec::is_empty);
                if list.atomic() || (items(old) && items(new)) {
                    return self.leaf(old, new);
                }
                self.list(list, old, new);
                false
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if !value::equal(old, new) => self.found.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn child(&mut self, element: PathElement, ty: Ty<'_>, old: Option<&Value>, new: Option<&Value>) {
        self.path.push(element);
        self.node(ty, old, new);
        self.path.pop();
    }

    fn map(
        &mut self,
        shape: MapShape<'_>,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
    ) {
        for (key, before) in old.into_iter().flatten() {
            let after = new.and_then(|new| new.get(key));
            if after.is_some_and(|after| value::equal(before, after)) {
                continue;
            }
            self.child(PathElement::Field(key.clone()), shape.value(key), Some(before), after);
        }
        for (key, after) in new.into_iter().flatten() {
            if old.is_none_or(|old| !old.contains_key(key)) {
                self.child(PathElement::Field(key.clone()), shape.value(key), None, Some(after));
            }
        }
    }

    fn list(&mut self, shape: ListShape<'_>, old: Option<&Value>, new: Option<&Value>) {
        let before = by_element(shape, old);
        let after = by_element(shape, new);
        for (element, olds) in &before {
            let news = after.get(element).map(Vec::as_slice).unwrap_or_default();
            self.items(shape, element, olds, news);
        }
        for (element, news) in &after {
            if !before.contains_key(element) {
                self.items(shape, element, &[], news);
            }
        }
    }

    /// Items with the same key. Of duplicates only their being there counts.
    fn items(&mut self, shape: ListShape<'_>, element: &PathElement, olds: &[&Value], news: &[&Value]) {
        let mut here = self.path.clone();
        here.push(element.clone());
        match (olds, news) {
            ([] | [_], [] | [_]) => {
                self.child(element.clone(), shape.items(), olds.first().copied(), news.first().copied());
            }
            ([_, _, ..], [_, _, ..]) => {
                let same = olds.len() == news.len() && olds.iter().zip(news).all(|(a, b)| value::equal(a, b));
                if !same {
                    self.found.modified.insert(&here);
                }
            }
            ([_, _, ..], _) => {
                if let Some(new) = news.first() {
                    self.child(element.clone(), shape.items(), None, Some(new));
                }
                self.found.removed.insert(&here);
            }
            (_, _) => {
                if let Some(old) = olds.first() {
                    self.child(element.clone(), shape.items(), Some(old), None);
                }
                self.found.added.insert(&here);
            }
        }
    }
}

fn by_element<'v>(shape: ListShape<'_>, list: Option<&'v Value>) -> BTreeMap<PathElement, Vec<&'v Value>> {
    let mut found: BTreeMap<PathElement, Vec<&Value>> = BTreeMap::new();
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        if let Ok(element) = shape.element(item) {
            found.entry(element).or_default().push(item);
        }
    }
    found
}

/// Whether two values of one type have the same kind of node.
fn same_shape(a: Shape<'_>, b: Shape<'_>) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}
