//! What rules say of objects, kept for reports.

use std::sync::Arc;

use serde_json::Value;

use crate::finding::conceal;
use crate::model::Manifest;
use crate::policy::{PolicyNotes, RuleOutcome, Verdict};

/// What a rule of a policy says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleResult {
    /// Name of the policy, with the namespace before it if it has one.
    pub policy: String,
    /// Name of the rule; a policy that is all CEL has none.
    pub rule: String,
    /// The verdict, as reports show it.
    pub verdict: Verdict,
    /// Whether reports count a failure.
    pub scored: bool,
    /// The policy's message, without the values of a Secret.
    pub message: String,
    /// How the policy describes itself.
    pub notes: Arc<PolicyNotes>,
}

/// What all rules that match say of a rendered object.
#[derive(Debug, Clone)]
pub struct ObjectResults {
    /// The object.
    pub manifest: Arc<Manifest>,
    /// By policy and rule, in the order of evaluation.
    pub results: Arc<[RuleResult]>,
}

impl RuleResult {
    pub(super) fn of(outcome: RuleOutcome, object: &Value) -> RuleResult {
        RuleResult {
            verdict: outcome.reported(),
            message: conceal(&outcome.message, object),
            policy: outcome.policy,
            rule: outcome.rule,
            scored: outcome.scored,
            notes: outcome.notes,
        }
    }
}
