//! Create, update, patch and apply: one way from a request's body to a stored object.
//!
//! What is computed is computed from an immutable picture of the object outside any lock and stored only if nobody
//! wrote in between; otherwise the request is tried again, or refused if it named the version that it builds on.
//!
//! ```text
//! body -> check -> merge -> strategy (defaults) -> field managers -> mutating admission -> strategy again
//!      -> validation -> validating admission -> store, if nobody else wrote
//! ```

mod apply;
mod check;
mod create;
mod patch;
mod scale;
mod store;
mod strategy;
mod update;

use serde_json::Value;

use super::call::Call;
use super::convert;
use super::kinds::Resource;
use super::status::Failure;
use super::store::Object;

/// How often a request that names no version is tried again.
const ATTEMPTS: usize = 16;
const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// How a PATCH changes the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Call<'_> {
    fn modified(&self) -> Failure {
        Failure::conflict(&self.resource, self.name(), MODIFIED)
    }

    fn to_storage(&self, body: &mut Value) {
        convert::to_storage(&self.resource, body);
        if self.resource.custom && self.resource.stored != self.resource.gvk {
            self.server.registry().types.as_stored(&self.resource.stored, body);
        }
    }

    /// A stored object in the version of this request.
    pub(super) fn as_served(&self, object: &Object) -> Value {
        served(&self.resource, object)
    }
}

/// A stored object in the version of a resource.
pub(crate) fn served(resource: &Resource, object: &Object) -> Value {
    convert::from_storage(resource, object.body())
}

/// Sets a field, or removes it when there is nothing to set.
pub(crate) fn set_or_remove(object: &mut Value, field: &str, value: Value) {
    let Some(map) = object.as_object_mut() else { return };
    if value.is_null() {
        map.remove(field);
    } else {
        map.insert(field.to_owned(), value);
    }
}
