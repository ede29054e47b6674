//! Between the version that an object is stored in and the one that is asked for.
//!
//! Versions of custom kinds differ in nothing but their name (conversion `None`). Of the built-in kinds only events
//! are served in two shapes, and both show the same events.

use serde_json::Value;

use super::kinds::Resource;

/// The fields of an event that have another name in `events.k8s.io`: there, and in the core group.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Whether objects are served as they are stored.
pub(crate) fn is_stored_form(resource: &Resource) -> bool {
    resource.stored == resource.gvk
}

/// A stored object in the version of a resource.
pub(crate) fn from_storage(resource: &Resource, mut body: Value) -> Value {
    if is_stored_form(resource) {
        return body;
    }
    body["apiVersion"] = resource.gvk.api_version().into();
    if is_new_event(resource) {
        EVENT_FIELDS.iter().for_each(|(new, old)| rename(&mut body, old, new));
    }
    body
}

/// An object of a resource in the version that it is stored in.
pub(crate) fn to_storage(resource: &Resource, body: &mut Value) {
    body["apiVersion"] = resource.stored.api_version().into();
    if resource.custom {
        whole_numbers(body);
    }
    if is_new_event(resource) {
        EVENT_FIELDS.iter().for_each(|(new, old)| rename(body, new, old));
    }
}

/// Numbers without a fraction are written as integers, however they were sent.
fn whole_numbers(value: &mut Value) {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < LARGEST);
            if let Some(float) = whole {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn is_new_event(resource: &Resource) -> bool {
    resource.is("events.k8s.io", "Event")
}

fn rename(body: &mut Value, from: &str, to: &str) {
    if let Some(map) = body.as_object_mut()
        && let Some(value) = map.remove(from)
    {
        map.insert(to.to_owned(), value);
    }
}
