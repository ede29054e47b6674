//! Any text as managed fields: they are read, written and read again as the same, and applied to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moin::merge::{FieldSet, apply, extract, owned};
use moin::model::Gvk;
use moin::schema::Schemas;
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let Ok(fields) = serde_json::from_str::<Value>(text) else { return };
    let set = FieldSet::from_fields_v1(&fields);
    assert_eq!(FieldSet::from_fields_v1(&set.to_fields_v1()), set);
    assert_eq!(FieldSet::of(set.paths().iter().map(Vec::as_slice)), set);
    let object = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let mut live = object(json!({"a": "1", "b": "2"}));
    live["metadata"]["managedFields"] = json!([
        {"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields},
        {"manager": "n", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields},
    ]);
    let ty = Schemas::builtin().type_of(&Gvk::new("v1", "ConfigMap"));
    for ty in [ty.as_ref(), None] {
        let _ = extract(ty, &live, &set);
        let config = object(json!({"a": "3"}));
        let Ok(once) = apply(ty, Some(&live), &config, "m", true, "t") else { continue };
        let _ = owned(&once, "m");
        assert_eq!(apply(ty, Some(&once), &config, "m", true, "t").expect("as the first time"), once);
    }
});
