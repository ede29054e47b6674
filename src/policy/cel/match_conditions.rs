//! `matchConditions` of a classic policy: which requests its rules look at, asked before anything else, as the API server
//! asks them of a webhook.

use crate::expr::cel::{Budget, Explainer};
use crate::expr::explain::Steps;

use super::super::reader::{CompileError, Reader, Result};
use super::super::request::Request;
use super::condition::{self, Condition, Met};
use super::environment::Scope;
use super::explain::explain_conditions;
use super::inputs::Inputs;

/// The conditions of a policy, compiled.
#[derive(Debug)]
pub(crate) struct MatchConditions {
    conditions: Vec<Condition>,
    ignores_failures: bool,
}

impl MatchConditions {
    /// Of a policy's `spec`: those of its `webhookConfiguration`, or the older ones beside it.
    pub(crate) fn of_spec(spec: &Reader<'_>) -> Result<Option<MatchConditions>> {
        let webhook = spec.field("webhookConfiguration");
        let own = webhook.as_ref().map(|webhook| webhook.list("matchConditions")).transpose()?;
        let list = match own.filter(|list| !list.is_empty()) {
            Some(list) => list,
            None => spec.list("matchConditions")?,
        };
        if list.is_empty() {
            return Ok(None);
        }
        let scope = Scope::of_rule();
        let compile = |entry: &Reader<'_>| -> Result<Condition> {
            if entry.string("name")?.is_none_or(|name| name.is_empty()) {
                return Err(entry.error("name is missing"));
            }
            Condition::compile(entry, &scope)
        };
        let conditions = list.iter().map(compile).collect::<std::result::Result<_, CompileError>>()?;
        let failure = webhook.and_then(|webhook| webhook.field("failurePolicy"));
        let failure = failure.or_else(|| spec.field("failurePolicy"));
        let ignores_failures = failure.is_some_and(|failure| failure.value == "Ignore");
        Ok(Some(MatchConditions { conditions, ignores_failures }))
    }

    /// The conditions up to the first that is false; whether all hold.
    pub(crate) fn explain(&self, request: &Request<'_>, steps: &mut Steps) -> bool {
        let taken: Vec<Explainer> = self.conditions.iter().map(Condition::explainer).collect();
        let inputs = Inputs::of(request);
        explain_conditions(&self.conditions, &taken, &inputs.bindings(&[]), steps)
    }

    /// Whether a request is one that the policy looks at.
    ///
    /// # Errors
    /// Why nobody can tell.
    pub(crate) fn met(&self, request: &Request<'_>) -> std::result::Result<bool, String> {
        let inputs = Inputs::of(request);
        let bindings = inputs.bindings(&[]);
        match condition::met(&self.conditions, &bindings, &mut Budget::kubernetes(), self.ignores_failures) {
            Met::Yes => Ok(true),
            Met::No => Ok(false),
            Met::Error(why) => Err(why),
        }
    }
}
