//! Admission: who may change a request before it is stored, and who may refuse it.
//!
//! Configurations are compiled when they are written ([`config`]); a request looks up who is interested in its
//! resource and, if nobody is, goes on at once.

mod attributes;
mod caller;
mod config;
mod matching;
mod mutating;
mod namespace;
mod policy;
mod review;
mod rule;
mod services;
mod validating;
mod validation;
mod webhook;

use std::sync::Arc;

use serde_json::Value;

use self::attributes::Attributes;
pub(crate) use self::config::Admission;
use self::config::Configuration;
use self::mutating::Reinvocation;
pub(crate) use self::policy::mutating_kinds;
pub(crate) use self::services::{Answers, Services};
pub(crate) use self::validation::validate;
use super::call::Call;
use super::kinds::Resource;
use super::status::Failure;
use super::store::Object;

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    /// As rules name it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

/// Whether objects of a resource configure admission. They are not subject to it: nobody can lock himself out.
pub(crate) fn is_configuration(resource: &Resource) -> bool {
    &*resource.gvk.group == "admissionregistration.k8s.io"
}

/// Who a request comes from.
fn user_info(call: &Call<'_>) -> Value {
    call.user.info()
}

impl Call<'_> {
    /// What is configured, if it can concern this request.
    fn admission(&self) -> Option<Arc<Configuration>> {
        self.server.admission.configured().filter(|_| !is_configuration(&self.resource))
    }

    /// Whether somebody may change what this request stores.
    pub(in crate::plane) fn is_mutated(&self, _operation: Operation) -> bool {
        self.admission().is_some_and(|configuration| configuration.mutates(&self.resource))
    }

    /// Lets mutating admission change an object. Whether it did.
    pub(in crate::plane) async fn mutate(
        &self,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<bool, Failure> {
        let Some(configuration) = self.admission().filter(|all| all.mutates(&self.resource)) else {
            return Ok(false);
        };
        let attributes = Attributes::of(self, operation, Some(object), old, &Value::Null);
        let before = object.clone();
        let mut mutated = Some(object.take());
        change(&configuration, &attributes, &mut mutated, old).await?;
        *object = mutated.unwrap_or_default();
        mutating::keep_managers(&attributes, &before, object);
        Ok(*object != before)
    }

    /// Asks validating admission.
    pub(in crate::plane) async fn judge(
        &self,
        operation: Operation,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Failure> {
        let Some(configuration) = self.admission().filter(|all| all.judges(&self.resource)) else {
            return Ok(());
        };
        let attributes = Attributes::of(self, operation, object, old, &Value::Null);
        judge(&configuration, &attributes, object, old).await
    }

    /// Asks admission whether an object may be deleted, with these options.
    pub(in crate::plane) async fn admit_deletion(
        &self,
        live: &Object,
        options: &Value,
    ) -> Result<(), Failure> {
        let Some(configuration) = self.admission() else { return Ok(()) };
        if !configuration.mutates(&self.resource) && !configuration.judges(&self.resource) {
            return Ok(());
        }
        let old = self.as_served(live);
        let attributes = Attributes::of(self, Operation::Delete, None, Some(&old), options);
        change(&configuration, &attributes, &mut None, Some(&old)).await?;
        judge(&configuration, &attributes, None, Some(&old)).await
    }
}

/// Mutating admission, and once more where something changed.
async fn change(
    configuration: &Configuration,
    attributes: &Attributes<'_>,
    object: &mut Option<Value>,
    old: Option<&Value>,
) -> Result<(), Failure> {
    let (mut policies, mut webhooks) = (Reinvocation::default(), Reinvocation::default());
    for round in 0..2 {
        if round > 0 {
            policies.begin_again(object.as_ref());
        }
        let bound = &configuration.mutating_policies;
        let mut changed = policy::change(attributes, bound, object, old, &mut policies, round)?;
        policies.end(object.as_ref());
        if round > 0 {
            webhooks.begin_again(object.as_ref());
        }
        let hooks = &configuration.mutating_webhooks;
        changed |= mutating::ask(attributes, hooks, object, old, &mut webhooks, round).await?;
        webhooks.end(object.as_ref());
        if !changed {
            break;
        }
    }
    Ok(())
}

/// Validating admission.
async fn judge(
    configuration: &Configuration,
    attributes: &Attributes<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), Failure> {
    policy::judge(attributes, &configuration.validating_policies, object, old)?;
    validating::ask(attributes, &configuration.validating_webhooks, object, old).await
}
