//! Rules that follow conditions, for many kinds at once.

use super::object::{Condition, Object, degraded, healthy, progressing, stale, suspended};
use crate::model::Health;

/// How a kind that says `Ready` (or the like) is understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByCondition {
    /// The condition that decides.
    pub decisive: &'static str,
    /// Conditions that say, when True, that work goes on.
    pub working: &'static [&'static str],
    /// What `False` means.
    pub on_false: OnFalse,
    /// What it means that the condition is not there.
    pub on_absent: OnAbsent,
}

/// What a decisive condition that is `False` means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum OnFalse {
    /// It failed: its controller says so only after it tried.
    Degraded,
    /// It is on the way, unless the condition's severity is Error.
    BySeverity,
}

/// What it means that a decisive condition is not there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum OnAbsent {
    /// Its controller has not looked yet.
    Progressing,
    /// The kind has no controller that would say anything.
    Healthy,
}

impl ByCondition {
    pub fn health(&self, object: &Object<'_>) -> Health {
        if object.flag(&["spec", "suspend"]) {
            return suspended("reconciliation is suspended");
        }
        if let Some(stalled) = object.is_true("Stalled") {
            return degraded(stalled.sentence());
        }
        if let Some(working) = self.working.iter().find_map(|kind| object.is_true(kind)) {
            return progressing(working.sentence());
        }
        match object.condition(self.decisive).filter(|condition| !condition.is_stale(object)) {
            Some(condition) => self.decide(object, condition),
            None if object.is_stale() => stale(object),
            None if object.condition(self.decisive).is_some() => stale(object),
            None if self.on_absent == OnAbsent::Healthy => healthy("it has no status to wait for"),
            None => progressing(format!("{} is not reported yet", self.decisive)),
        }
    }

    fn decide(&self, object: &Object<'_>, condition: Condition<'_>) -> Health {
        if condition.is("True") {
            return if object.is_stale() { stale(object) } else { healthy(condition.sentence()) };
        }
        let failed = condition.is("False") && (self.on_false == OnFalse::Degraded || condition.is_severe());
        if failed { degraded(condition.sentence()) } else { progressing(condition.sentence()) }
    }
}

/// Kinds that nobody told about: kstatus' rules. Without any of its conditions an object is what it should be.
pub(super) fn unknown_kind(object: &Object<'_>) -> Health {
    if object.flag(&["spec", "suspend"]) {
        return suspended("reconciliation is suspended");
    }
    if object.is_stale() {
        return stale(object);
    }
    if let Some(stalled) = object.is_true("Stalled") {
        return degraded(stalled.sentence());
    }
    if let Some(message) = failure(object) {
        return degraded(message);
    }
    if let Some(reconciling) = object.is_true("Reconciling") {
        return progressing(reconciling.sentence());
    }
    match object.condition("Ready") {
        Some(ready) if ready.is_stale(object) => stale(object),
        Some(ready) if ready.is("True") => healthy(ready.sentence()),
        Some(ready) if ready.is_severe() => degraded(ready.sentence()),
        Some(ready) => progressing(ready.sentence()),
        None => healthy("it is there; its kind reports no readiness"),
    }
}

/// What Cluster API and its providers write when only a person can help.
pub(super) fn failure(object: &Object<'_>) -> Option<String> {
    let field = |name| Some(object.text(&["status", name])).filter(|text| !text.is_empty());
    field("failureMessage").or_else(|| field("failureReason")).map(str::to_owned)
}
