//! What holds for every apply, tried on random configurations.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::fields::fields_of;
use super::kinds::Ty;
use super::{ApplyError, FieldSet, Write, apply, overlay, owned, update};
use crate::model::{Gvk, PathSegment};
use crate::schema::{Schemas, TypeRef};

fn ty() -> TypeRef {
    let keyed = |keys: &[&str]| {
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": {
            "type": "object", "properties": {
                "name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"},
                "size": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}}}})
    };
    let spec = json!({"type": "object", "properties": {
        "keyed": keyed(&["name"]), "ports": keyed(&["name", "protocol"]),
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "steps": {"type": "array", "items": {"type": "string"}},
        "ref": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "size": {"type": "integer"},
        "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let crd = json!({"metadata": {"name": "things.test"}, "spec": {
        "group": "test", "scope": "Cluster", "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": spec}}}}]}});
    let (schemas, refused) = Schemas::builtin().with_crds([&crd]);
    assert!(refused.is_empty(), "{refused:?}");
    schemas.type_of(&Gvk::new("test/v1", "Thing")).unwrap()
}

fn thing(spec: Map<String, Value>) -> Value {
    json!({"apiVersion": "test/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec})
}

/// Items that are told apart by `name` (and `protocol`), each name once.
fn items(prefix: &'static str) -> impl Strategy<Value = Value> {
    let item = (0..3_i64, prop::option::of(prop::bool::ANY), prop::collection::btree_set("[x-z]", 0..3));
    prop::collection::btree_map("[a-d]", item, 0..4).prop_map(move |items| {
        let items = items.into_iter().map(|(name, (size, udp, tags))| {
            let mut item = json!({"name": format!("{prefix}{name}"), "size": size});
            if let Some(udp) = udp {
                item["protocol"] = json!(if udp { "UDP" } else { "TCP" });
            }
            if !tags.is_empty() {
                item["tags"] = tags.iter().map(|tag| format!("{prefix}{tag}")).collect();
            }
            item
        });
        Value::Array(items.collect())
    })
}

fn texts(prefix: &'static str) -> impl Strategy<Value = Value> {
    prop::collection::btree_set("[a-d]", 0..4)
        .prop_map(move |texts| texts.iter().map(|text| format!("{prefix}{text}")).collect())
}

fn dictionary(prefix: &'static str) -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", "[0-2]", 0..4).prop_map(move |entries| {
        let entries = entries.into_iter().map(|(k, v)| (format!("{prefix}{k}"), Value::String(v)));
        Value::Object(entries.collect())
    })
}

/// Fields that several managers can own parts of; with equal prefixes they meet.
fn shared_fields(prefix: &'static str) -> impl Strategy<Value = Map<String, Value>> {
    let field = prop_oneof![
        items(prefix).prop_map(|v| ("keyed", v)),
        items(prefix).prop_map(|v| ("ports", v)),
        texts(prefix).prop_map(|v| ("tags", v)),
        dictionary(prefix).prop_map(|v| ("labels", v)),
        dictionary(prefix).prop_map(|v| ("raw", v)),
    ];
    prop::collection::vec(field, 0..5)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn spec() -> impl Strategy<Value = Map<String, Value>> {
    let whole = prop_oneof![
        texts("").prop_map(|v| ("steps", v)),
        dictionary("").prop_map(|v| ("ref", v)),
        (0..3_i64).prop_map(|v| ("size", json!(v))),
    ];
    // Empty lists and maps are left out: nothing is promised of who owns them.
    (shared_fields(""), prop::collection::vec(whole, 0..3)).prop_map(|(mut spec, whole)| {
        spec.extend(whole.into_iter().map(|(name, value)| (name.to_owned(), value)));
        without_empty(spec)
    })
}

/// Lists in an order of their own, and no times: who changes nothing has none.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| *key != "time");
            Value::Object(kept.map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        other => other.clone(),
    }
}

fn without_empty(spec: Map<String, Value>) -> Map<String, Value> {
    let empty = |v: &Value| v == &json!([]) || v == &json!({});
    spec.into_iter().filter(|(_, v)| !empty(v)).collect()
}

/// The fields of an object but for who owns them, which goes when nobody owns anything.
fn fields_without_owners(object: &Value) -> FieldSet {
    let mut bare = object.clone();
    bare["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
    fields_of(Ty::of(Some(&ty())), &bare)
}

/// An object that some managers applied by force and others updated.
fn live() -> impl Strategy<Value = Value> {
    let write = ((0..3_usize), prop::bool::weighted(0.7), spec());
    prop::collection::vec(write, 1..5).prop_map(|writes| {
        let ty = ty();
        let mut live: Option<Value> = None;
        for (who, applies, spec) in writes {
            let manager = ["m0", "m1", "m2"][who];
            let config = thing(spec);
            live = Some(match (applies, live) {
                (true, live) => apply(Some(&ty), live.as_ref(), &config, manager, true, "t").unwrap(),
                (false, live) => {
                    let write = Write { manager, now: "t", ..Write::default() };
                    update(Some(&ty), live.as_ref(), &config, &write)
                }
            });
        }
        live.unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn applying_again_changes_nothing(live in live(), spec in spec()) {
        let ty = ty();
        let config = thing(spec);
        let once = apply(Some(&ty), Some(&live), &config, "me", true, "1").unwrap();
        let twice = apply(Some(&ty), Some(&once), &config, "me", true, "2").unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_was_applied_is_there_and_owned(live in live(), spec in spec()) {
        let ty = ty();
        let config = thing(spec);
        let new = apply(Some(&ty), Some(&live), &config, "me", true, "1").unwrap();
        for path in owned(&new, "me").paths() {
            let place = super::owners::locate(&new, &path);
            let found = place.0.iter().try_fold(&new, |at, segment| match segment {
                PathSegment::Key(key) => at.get(key),
                PathSegment::Index(index) => at.get(index),
            });
            prop_assert!(found.is_some(), "{}", super::display(&path));
        }
        let again = apply(Some(&ty), Some(&new), &config, "other", false, "2");
        prop_assert!(again.is_ok(), "equal values are no conflict: {:?}", again);
    }

    #[test]
    fn without_force_nothing_of_others_changes(live in live(), spec in spec()) {
        let ty = ty();
        match apply(Some(&ty), Some(&live), &thing(spec), "me", false, "1") {
            Err(ApplyError::Conflicts(conflicts)) => {
                prop_assert!(!conflicts.is_empty());
                prop_assert!(conflicts.iter().all(|c| c.manager != "me"));
            }
            Err(other) => prop_assert!(false, "{other}"),
            Ok(new) => {
                for manager in ["m0", "m1", "m2"] {
                    prop_assert_eq!(owned(&live, manager), owned(&new, manager));
                }
            }
        }
    }

    #[test]
    fn the_order_of_managers_that_share_nothing_does_not_matter(
        a in shared_fields("a-"), b in shared_fields("b-"),
    ) {
        let ty = ty();
        let (a, b) = (thing(without_empty(a)), thing(without_empty(b)));
        let both = |first: &Value, one: &str, second: &Value, two: &str| {
            let live = apply(Some(&ty), None, first, one, false, "t").unwrap();
            apply(Some(&ty), Some(&live), second, two, false, "t").unwrap()
        };
        prop_assert_eq!(sorted(&both(&a, "a", &b, "b")), sorted(&both(&b, "b", &a, "a")));
    }

    #[test]
    fn what_its_last_owner_leaves_out_is_gone(first in spec(), second in spec()) {
        let ty = ty();
        let live = apply(Some(&ty), None, &thing(first), "me", false, "1").unwrap();
        let second = thing(second);
        let new = apply(Some(&ty), Some(&live), &second, "me", false, "2").unwrap();
        let fresh = apply(Some(&ty), None, &second, "me", false, "2").unwrap();
        prop_assert_eq!(owned(&new, "me"), owned(&fresh, "me"));
        let left = fields_without_owners(&new).difference(&fields_without_owners(&fresh));
        prop_assert!(left.is_empty(), "left: {}", left.to_fields_v1());
    }

    #[test]
    fn nothing_but_what_its_last_owner_leaves_out_is_gone(live in live(), first in spec(), second in spec()) {
        let ty = ty();
        let live = apply(Some(&ty), Some(&live), &thing(first), "me", true, "1").unwrap();
        let config = thing(second);
        let new = apply(Some(&ty), Some(&live), &config, "me", true, "2").unwrap();
        let fields = fields_without_owners;
        // What was there and is gone was mine, or stood below something that I replaced as a whole.
        let gone = fields(&live).difference(&fields(&new));
        let mine = owned(&live, "me").union(owned(&new, "me"));
        // A field goes with the last of what is in it.
        let parents = mine.paths();
        let is_mine = |path: &[super::PathElement]| {
            (1..=path.len()).any(|length| mine.contains(&path[..length]))
                || parents.iter().any(|mine| mine.starts_with(path))
        };
        for path in gone.paths() {
            prop_assert!(is_mine(&path), "{} was not mine", super::display(&path));
        }
        // What others own and I do not touch is as it was.
        for manager in ["m0", "m1", "m2"] {
            let lost = owned(&live, manager).difference(&owned(&new, manager));
            for path in lost.paths() {
                prop_assert!(is_mine(&path), "{manager} lost {}", super::display(&path));
            }
        }
    }

    #[test]
    fn fields_of_an_object_survive_being_written(live in live()) {
        for set in [fields_of(Ty::of(Some(&ty())), &live), owned(&live, "m0"), owned(&live, "m1")] {
            prop_assert_eq!(&FieldSet::from_fields_v1(&set.to_fields_v1()), &set);
            prop_assert_eq!(&FieldSet::of(set.paths().iter().map(Vec::as_slice)), &set);
            prop_assert_eq!(set.paths().len(), set.len());
        }
    }

    #[test]
    fn sets_of_fields_are_sets(a in spec(), b in spec()) {
        let ty = ty();
        let [a, b] = [a, b].map(|spec| fields_of(Ty::of(Some(&ty)), &thing(spec)));
        let (both, all) = (a.intersection(&b), a.clone().union(b.clone()));
        prop_assert_eq!(&b.clone().union(a.clone()), &all);
        prop_assert_eq!(&a.difference(&b).union(both.clone()), &a);
        prop_assert_eq!(all.len() + both.len(), a.len() + b.len());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert_eq!(&a.intersection(&all), &a);
    }

    #[test]
    fn over_itself_an_object_is_itself(spec in spec()) {
        let object = thing(spec);
        prop_assert_eq!(&overlay(Some(&ty()), &object, &object), &object);
        prop_assert_eq!(&overlay(None, &object, &object), &object);
    }

    #[test]
    fn any_fields_are_read_without_panic(key in "(f|k|v|i|\\.|x)?:?.{0,12}", inner in "\\PC{0,16}", n in any::<i64>()) {
        let fields = json!({key: {inner.clone(): {}, ".": n}, format!("k:{inner}"): {}, format!("v:{n}"): inner});
        let set = FieldSet::from_fields_v1(&fields);
        prop_assert_eq!(FieldSet::from_fields_v1(&set.to_fields_v1()), set);
    }

    #[test]
    fn any_live_object_is_applied_to_without_panic(fields in "\\PC{0,24}", spec in spec()) {
        let ty = ty();
        let managed = json!([{"manager": 1, "operation": "Apply", "fieldsV1": {format!("f:{fields}"): {}}},
            {"manager": "x", "operation": "Update", "fieldsV1": fields}, null, 3]);
        let live = json!({"apiVersion": "test/v1", "kind": "Thing", "spec": [spec],
            "metadata": {"name": "a", "managedFields": managed}});
        let _ = apply(Some(&ty), Some(&live), &thing(spec), "me", true, "1");
        let _ = apply(None, Some(&json!([1])), &json!("x"), "me", true, "1");
    }
}
