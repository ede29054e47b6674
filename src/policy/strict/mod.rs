//! What is wrong with a classic policy before anybody evaluates it: fields that do not exist, values of wrong types,
//! and what Kyverno refuses when such a policy is applied to a cluster.
//!
//! A misspelt field would be a rule that says less than its author believes. So an error breaks its rule, or all
//! rules where it stands outside of them, and a broken rule refuses what it could be about.

mod fields;
mod rules;
mod variables;

use serde_json::Value;

use super::reader::{CompileError, Reader};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// It cannot be obeyed.
    pub(crate) errors: Vec<CompileError>,
    /// It can, though Kyverno would not take it.
    pub(crate) warnings: Vec<CompileError>,
}

/// What is wrong with a policy's `spec`, its rules left aside.
pub(crate) fn of_spec(spec: &Reader<'_>) -> Problems {
    let mut problems = Problems::default();
    fields::SPEC.check(spec, &mut problems.errors);
    rules::of_spec(spec, &mut problems);
    problems
}

/// What is wrong with a rule; `background`: whether Kyverno would scan what is there with it.
pub(crate) fn of_rule(rule: &Reader<'_>, background: bool) -> Problems {
    let mut problems = Problems::default();
    fields::RULE.check(rule, &mut problems.errors);
    rules::of_rule(rule, background, &mut problems);
    variables::of_rule(rule, &mut problems.errors);
    problems
}

/// What is wrong with a CleanupPolicy's `spec`.
pub(crate) fn of_cleanup(spec: &Reader<'_>) -> Problems {
    let mut problems = Problems::default();
    fields::CLEANUP.check(spec, &mut problems.errors);
    rules::of_cleanup(spec, &mut problems);
    variables::of_targets(spec, &mut problems.errors);
    problems
}

/// Whether Kyverno scans what is there, which a policy has to say no to.
pub(crate) fn scans_background(spec: &Reader<'_>) -> bool {
    spec.value["background"] != Value::Bool(false)
}

#[cfg(test)]
mod tests;
