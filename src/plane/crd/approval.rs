//! Groups of the Kubernetes community: who defines kinds in them needs the project's approval.

use serde_json::Value;

use super::path::{Errors, Path};

const ANNOTATION: &str = "api-approved.kubernetes.io";

/// What the annotation says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Invalid,
    Approved,
    Bypassed,
    Missing,
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn annotation(definition: &Value) -> &str {
    definition["metadata"]["annotations"][ANNOTATION].as_str().unwrap_or_default()
}

fn state(definition: &Value) -> (State, String) {
    const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
    let text = annotation(definition);
    let host = text
        .split_once("://")
        .filter(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/'));
    if text.is_empty() {
        (State::Missing, format!("protected groups must have approval annotation {ANNOTATION:?}, {SEE}"))
    } else if text.starts_with("unapproved") {
        (State::Bypassed, format!("not approved: {text:?}"))
    } else if host.is_some() {
        (State::Approved, format!("approved in {text}"))
    } else {
        let why = format!(
            "protected groups must have approval annotation {ANNOTATION:?} with either a URL or a reason starting with \"unapproved\", {SEE}"
        );
        (State::Invalid, why)
    }
}

pub(super) fn validate(definition: &Value, before: Option<&Value>, errors: &mut Errors) {
    if !is_protected(definition["spec"]["group"].as_str().unwrap_or_default()) {
        return;
    }
    let (now, why) = state(definition);
    if before.is_some_and(|before| state(before).0 == now) {
        return;
    }
    let metadata = Path::new("metadata");
    let annotations = metadata.child("annotations");
    let at = annotations.key(ANNOTATION);
    match now {
        State::Invalid => errors.invalid(&at, annotation(definition), &why),
        State::Missing => errors.required(&at, &why),
        State::Approved | State::Bypassed => {}
    }
}

/// The condition that says whether a definition of such a group was approved: status, reason, message.
pub(super) fn condition(definition: &Value) -> Option<(&'static str, &'static str, String)> {
    if !is_protected(definition["spec"]["group"].as_str().unwrap_or_default()) {
        return None;
    }
    let (state, why) = state(definition);
    let (status, reason) = match state {
        State::Invalid => ("False", "InvalidAnnotation"),
        State::Missing => ("False", "MissingAnnotation"),
        State::Approved => ("True", "ApprovedAnnotation"),
        State::Bypassed => ("False", "UnapprovedAnnotation"),
    };
    Some((status, reason, why))
}
