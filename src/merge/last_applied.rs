//! The annotation of client-side apply, which an API server honours for the manager `kubectl`: fields that it
//! says were applied, and that are still so, are no conflict.

use serde_json::Value;

use super::compare::compare;
use super::fields::fields_of;
use super::kinds::Ty;
use super::set::FieldSet;

/// The manager that is taken over from client-side apply.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that client-side apply set and that are as it set them.
pub(super) fn fields(ty: Ty<'_>, live: &Value) -> FieldSet {
    let Some(applied) = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return FieldSet::new();
    };
    if applied["apiVersion"] != live["apiVersion"] {
        return FieldSet::new();
    }
    let compared = compare(ty, &applied, live);
    fields_of(ty, &applied)
        .difference(&compared.modified)
        .difference(&compared.added)
        .difference(&compared.removed)
}

/// Writes the annotation anew where there is one.
pub(super) fn renew(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    object["metadata"]["annotations"][ANNOTATION] = Value::String(format!("{applied}\n"));
}

fn annotation(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())
}
