//! Who owns which fields of a live object.

use serde_json::Value;

use super::managers;
use super::path::{Path, PathElement};
use super::set::FieldSet;
use super::value;
use crate::model::{Actor, FieldPath, PathSegment};

/// The fields that a manager owns by applying and by updating, in whatever version and subresource.
pub fn owned(live: &Value, manager: &str) -> FieldSet {
    let mine = managers::decode(live).into_iter().filter(|(identity, _)| identity.manager == manager);
    mine.fold(FieldSet::new(), |all, (_, entry)| all.union(entry.set))
}

/// Who owns the field at a path, or something around it as a whole. Nobody, when the field has no owner.
pub fn owners_of(live: &Value, path: &FieldPath) -> Vec<Actor> {
    let owners = managers::decode(live).into_iter().filter(|(_, entry)| owns(&entry.set, live, &path.0));
    owners
        .map(|(identity, entry)| Actor {
            manager: identity.manager,
            operation: identity.operation,
            time: entry.time,
        })
        .collect()
}

/// Whether a set has the path or a leaf on the way to it.
fn owns(set: &FieldSet, at: &Value, path: &[PathSegment]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let child = step(at, first);
    set.elements().any(|(element, member, below)| {
        names(element, first, child) && {
            let whole = member && (rest.is_empty() || below.is_empty());
            whole || owns(below, child, rest)
        }
    })
}

fn step<'v>(at: &'v Value, segment: &PathSegment) -> &'v Value {
    match segment {
        PathSegment::Key(key) => &at[key.as_str()],
        PathSegment::Index(index) => &at[*index],
    }
}

/// Whether an element of managed fields is this step. Keys that the live item leaves out are defaulted ones.
fn names(element: &PathElement, segment: &PathSegment, child: &Value) -> bool {
    match (element, segment) {
        (PathElement::Field(name), PathSegment::Key(key)) => name == key,
        (PathElement::Index(n), PathSegment::Index(index)) => usize::try_from(*n) == Ok(*index),
        (PathElement::Value(item), PathSegment::Index(_)) => value::equal(item, child),
        (PathElement::Key(keys), PathSegment::Index(_)) => is_item(keys, child),
        _ => false,
    }
}

fn is_item(keys: &[(String, Value)], item: &Value) -> bool {
    let differs = |(name, key): &(String, Value)| item.get(name).is_some_and(|is| !value::equal(is, key));
    item.is_object() && !keys.iter().any(differs) && keys.iter().any(|(name, _)| item.get(name).is_some())
}

fn has_all_keys(element: &PathElement, item: &Value) -> bool {
    match element {
        PathElement::Key(keys) => {
            keys.iter().all(|(name, key)| item.get(name).is_some_and(|is| value::equal(is, key)))
        }
        _ => false,
    }
}

/// A path of managed fields as a path into an object. Of an item that the object does not have, the key stands in
/// brackets.
pub(super) fn locate(object: &Value, path: &Path) -> FieldPath {
    let mut at = object;
    let mut found = FieldPath::default();
    for element in path {
        let segment = match element {
            PathElement::Field(name) => PathSegment::Key(name.clone()),
            PathElement::Index(index) => PathSegment::Index(usize::try_from(*index).unwrap_or_default()),
            item => {
                let items = at.as_array().map(Vec::as_slice).unwrap_or_default();
                // An item that has all the keys comes before one that leaves some to their defaults.
                let exact = items.iter().position(|child| has_all_keys(item, child));
                let close = || items.iter().position(|child| names(item, &PathSegment::Index(0), child));
                match exact.or_else(close) {
                    Some(index) => PathSegment::Index(index),
                    None => PathSegment::Key(item.to_string().trim_matches(['[', ']']).to_owned()),
                }
            }
        };
        at = step(at, &segment);
        found.0.push(segment);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "metadata": {"managedFields": [
                {"manager": "m1", "operation": "Apply", "apiVersion": "v1", "time": "t", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:spec": {"f:selector": {}, "f:ports": {
                     "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}}},
                {"manager": "m2", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:metadata": {"f:finalizers": {"v:\"x\"": {}}}}}]},
            "spec": {"selector": {"app": "a"}, "ports": [
                {"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP", "name": "http"}]},
        })
    }

    fn managers(path: &FieldPath) -> Vec<String> {
        owners_of(&live(), path).into_iter().map(|actor| actor.manager).collect()
    }

    #[test]
    fn the_owner_of_an_item_is_found_by_its_key() {
        let ports = FieldPath::of_keys(["spec", "ports"]);
        assert_eq!(managers(&ports.index(1).key("name")), ["m1"]);
        assert_eq!(managers(&ports.index(0)), [""; 0]);
        assert_eq!(managers(&ports.index(1).key("targetPort")), [""; 0]);
    }

    #[test]
    fn who_owns_the_whole_owns_its_parts() {
        assert_eq!(managers(&FieldPath::of_keys(["spec", "selector", "app"])), ["m1"]);
    }

    #[test]
    fn a_field_of_the_set_is_found_in_the_object() {
        let paths = owned(&live(), "m1").paths();
        let found: Vec<String> = paths.iter().map(|path| locate(&live(), path).to_string()).collect();
        assert_eq!(found, ["spec.selector", "spec.ports[1]", "spec.ports[1].name"]);
    }
}
