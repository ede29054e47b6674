//! ValidatingPolicy (policies.kyverno.io v1alpha1, v1beta1, v1): what it is about, what it says, and what it means.

use super::super::action::Action;
use super::super::matching::Matching;
use super::super::reader::{Reader, Result};
use super::Validations;
use super::constraints::Constraints;

/// A ValidatingPolicy's `spec`, compiled.
pub(crate) struct Validating {
    pub(crate) matching: Matching,
    pub(crate) validations: Validations,
    pub(crate) action: Action,
}

/// Whether a kind of policies.kyverno.io is one.
pub(crate) fn is_validating(group: &str, kind: &str) -> bool {
    group == "policies.kyverno.io" && matches!(kind, "ValidatingPolicy" | "NamespacedValidatingPolicy")
}

impl Validating {
    /// Of a `spec`. `None` for a policy about something else than objects of Kubernetes (`evaluation.mode`).
    pub(crate) fn compile(spec: &Reader<'_>) -> Result<Option<Validating>> {
        let mode = match spec.field("evaluation") {
            Some(evaluation) => evaluation.string("mode")?,
            None => None,
        };
        if mode.is_some_and(|mode| mode != "Kubernetes") {
            return Ok(None);
        }
        let constraints =
            spec.field("matchConstraints").ok_or_else(|| spec.error("matchConstraints are missing"))?;
        Ok(Some(Validating {
            matching: Matching::of_constraints(Constraints::compile(&constraints)?),
            validations: Validations::of_policy(spec)?,
            action: action(spec)?,
        }))
    }
}

/// `Deny` among the `validationActions` enforces; it is what a policy means that names none.
pub(crate) fn action(spec: &Reader<'_>) -> Result<Action> {
    let actions = spec.list("validationActions")?;
    let mut enforced = actions.is_empty();
    for action in &actions {
        match action.text()? {
            "Deny" => enforced = true,
            "Audit" | "Warn" => {}
            _ => return Err(action.error("Deny, Audit or Warn is expected here")),
        }
    }
    Ok(if enforced { Action::enforced() } else { Action::default() })
}
