//! CustomResourceDefinitions: defaults, what is wrong with them, their conditions, and the resources they declare.

mod approval;
mod cel;
mod conditions;
mod conversion;
mod default;
mod defaults;
mod establish;
mod internal;
mod names;
mod node;
pub(crate) mod object;
mod openapi;
mod parts;
mod path;
mod pattern;
mod resources;
mod selectable;
mod structural;
mod validate;
mod warnings;

use serde_json::Value;

pub(crate) use conditions::{
    Taken, initial_status, is_accepted, is_established, note_storage_version, set_terminating, status,
};
pub(crate) use default::default;
pub(crate) use resources::resources;
pub(crate) use validate::{validate, validate_status};
pub(crate) use warnings::warnings;

use super::write::set_or_remove;

/// The group and kind of a definition itself.
pub(crate) const GROUP: &str = "apiextensions.k8s.io";
pub(crate) const KIND: &str = "CustomResourceDefinition";
/// Where definitions are stored.
pub(crate) const COLLECTION: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Keeps a definition until the objects of its kind are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

fn versions(body: &Value) -> impl Iterator<Item = &Value> {
    body["spec"]["versions"].as_array().into_iter().flatten()
}

/// Names of the versions that are marked as stored.
fn storage_versions(body: &Value) -> Vec<&str> {
    versions(body).filter(|v| v["storage"] == true).filter_map(|v| v["name"].as_str()).collect()
}
