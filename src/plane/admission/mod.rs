//! Admission: who may change a request before it is stored, and who may refuse it.

mod namespace;

use serde_json::Value;

use super::call::Call;
use super::status::Failure;
use super::store::Object;

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// Who is asked before something is stored.
#[derive(Default)]
pub(crate) struct Admission {}

impl Call<'_> {
    /// Whether somebody may change what this request stores.
    pub(in crate::plane) fn is_mutated(&self, _operation: Operation) -> bool {
        false
    }

    /// Lets mutating admission change an object. Whether it did.
    pub(in crate::plane) async fn mutate(
        &self,
        _operation: Operation,
        _object: &mut Value,
        _old: Option<&Value>,
    ) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Asks validating admission.
    pub(in crate::plane) async fn judge(
        &self,
        _operation: Operation,
        _object: Option<&Value>,
        _old: Option<&Value>,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Asks admission whether an object may be deleted.
    pub(in crate::plane) async fn admit_deletion(&self, live: &Object) -> Result<(), Failure> {
        if !self.is_mutated(Operation::Delete) {
            return Ok(());
        }
        let old = self.as_served(live);
        self.judge(Operation::Delete, None, Some(&old)).await
    }
}
