//! Fields that two objects do not share, for people.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kinds::{ListShape, Shape, Ty};
use super::path::PathElement;
use super::value;
use crate::model::FieldPath;
use crate::schema::TypeRef;

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field. An item of a list stands at its index in the new object, a removed one at that in the old.
    pub path: FieldPath,
    /// What it was; `None` for an added field.
    pub old: Option<Value>,
    /// What it is; `None` for a removed field.
    pub new: Option<Value>,
}

/// What the step from `old` to `new` changes. A mapping or item that is added or removed is one change; items of
/// keyed lists and sets are compared by what tells them apart, wherever they stand. Managed fields are left out.
pub fn diff(ty: Option<&TypeRef>, old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut walk = Walk { changes: Vec::new() };
    walk.node(Ty::of(ty), &FieldPath::default(), old, new);
    walk.changes
}

struct Walk {
    changes: Vec<FieldChange>,
}

impl Walk {
    fn change(&mut self, path: FieldPath, old: Option<&Value>, new: Option<&Value>) {
        self.changes.push(FieldChange { path, old: old.cloned(), new: new.cloned() });
    }

    fn node(&mut self, ty: Ty<'_>, path: &FieldPath, old: &Value, new: &Value) {
        match (ty.shape(Some(new)), old, new) {
            (Shape::Map(shape), Value::Object(before), Value::Object(after)) => {
                let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for key in keys {
                    let below = path.key(key);
                    if **key == *"managedFields" && path.0.len() == 1 {
                        continue;
                    }
                    match (before.get(key), after.get(key)) {
                        (Some(old), Some(new)) => self.node(shape.value(key), &below, old, new),
                        (old, new) => self.change(below, old, new),
                    }
                }
            }
            (Shape::List(shape), Value::Array(before), Value::Array(after)) => {
                match (by_element(shape, before), by_element(shape, after)) {
                    (Some(olds), Some(news)) => self.keyed(shape, path, &olds, &news),
                    _ if value::equal(old, new) => {}
                    _ if before.len() == after.len() && before.iter().all(Value::is_object) => {
                        for (index, (old, new)) in before.iter().zip(after).enumerate() {
                            self.node(shape.items(), &path.index(index), old, new);
                        }
                    }
                    _ => self.change(path.clone(), Some(old), Some(new)),
                }
            }
            _ if value::equal(old, new) => {}
            _ => self.change(path.clone(), Some(old), Some(new)),
        }
    }

    fn keyed(&mut self, shape: ListShape<'_>, path: &FieldPath, olds: &Items<'_>, news: &Items<'_>) {
        for (element, (index, old)) in olds {
            if !news.contains_key(element) {
                self.change(path.index(*index), Some(old), None);
            }
        }
        let mut in_order: Vec<_> = news.iter().collect();
        in_order.sort_by_key(|(_, (index, _))| *index);
        for (element, (index, new)) in in_order {
            match olds.get(element) {
                Some((_, old)) => self.node(shape.items(), &path.index(*index), old, new),
                None => self.change(path.index(*index), None, Some(new)),
            }
        }
    }
}

type Items<'v> = BTreeMap<PathElement, (usize, &'v Value)>;

/// Items by what tells them apart; `None` where nothing does, or not all are told apart.
fn by_element<'v>(shape: ListShape<'_>, items: &'v [Value]) -> Option<Items<'v>> {
    let mut found = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        if found.insert(shape.element(item).ok()?, (index, item)).is_some() {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Gvk;
    use crate::schema::Schemas;

    fn lines(ty: Option<&TypeRef>, old: &Value, new: &Value) -> Vec<String> {
        let text = |v: &Option<Value>| v.as_ref().map_or("-".to_owned(), Value::to_string);
        let changes = diff(ty, old, new).into_iter();
        changes.map(|c| format!("{} {} {}", c.path, text(&c.old), text(&c.new))).collect()
    }

    #[test]
    fn items_of_keyed_lists_are_compared_by_key() {
        let ty = Schemas::builtin().type_of(&Gvk::new("v1", "Service"));
        let service = |ports: Value| json!({"spec": {"ports": ports}});
        let old = service(json!([{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP"}]));
        let new = service(json!([
            {"port": 443, "name": "https"}, {"port": 80, "name": "web", "protocol": "TCP"},
        ]));
        assert_eq!(
            lines(ty.as_ref(), &old, &new),
            [
                r#"spec.ports[1] {"port":53,"protocol":"UDP"} -"#,
                r#"spec.ports[0] - {"name":"https","port":443}"#,
                r#"spec.ports[1].name "http" "web""#,
                r#"spec.ports[1].protocol - "TCP""#,
            ]
        );
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        assert_eq!(lines(None, &json!({"a": 1, "b": [1]}), &json!({"a": 1.0, "b": [1.0]})), [""; 0]);
        assert_eq!(lines(None, &json!({"a": [1]}), &json!({"a": [2, 3]})), ["a [1] [2,3]"]);
    }
}
