//! The kinds of policies that are all CEL, each as the rules it means.

use std::sync::Arc;

use serde_json::Value;

use crate::expr::admission::{Mutator, Validator};
use crate::model::FieldPath;

use super::super::action::Action;
use super::super::matching::Matching;
use super::super::reader::{CompileError, Reader, Result};
use super::super::rule::Body;
use super::admission::{Binding, Bound};
use super::autogen;
use super::constraints::Constraints;
use super::{Authorization, Deletions, Generations, Mutations, Proxy, Validations};

/// A kind of policies.kyverno.io, or of the API server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CelKind {
    /// ValidatingPolicy.
    Validating,
    /// ImageValidatingPolicy.
    ImageValidating,
    /// MutatingPolicy.
    Mutating,
    /// GeneratingPolicy.
    Generating,
    /// DeletingPolicy.
    Deleting,
    /// ValidatingAdmissionPolicy.
    ValidatingAdmission,
    /// MutatingAdmissionPolicy.
    MutatingAdmission,
}

/// The group of the API server's own policies.
const ADMISSION: &str = "admissionregistration.k8s.io";

/// What a rule is about, what it does, and what its failure means.
pub(crate) type Part = (Matching, Body, Action);

/// Why there is no rule.
pub(crate) enum Unusable {
    /// It is about something else than objects of Kubernetes, as this field says.
    Elsewhere(FieldPath),
    /// It does not compile; the constraints say what it could be about.
    Broken(CompileError, Value),
}

impl CelKind {
    /// By group and kind. A kind for one namespace means the same there.
    pub(crate) fn of(group: &str, kind: &str) -> Option<CelKind> {
        if group == ADMISSION {
            return match kind {
                "ValidatingAdmissionPolicy" => Some(CelKind::ValidatingAdmission),
                "MutatingAdmissionPolicy" => Some(CelKind::MutatingAdmission),
                _ => None,
            };
        }
        if group != "policies.kyverno.io" {
            return None;
        }
        match kind.strip_prefix("Namespaced").unwrap_or(kind) {
            "ValidatingPolicy" => Some(CelKind::Validating),
            "ImageValidatingPolicy" => Some(CelKind::ImageValidating),
            "MutatingPolicy" => Some(CelKind::Mutating),
            "GeneratingPolicy" => Some(CelKind::Generating),
            "DeletingPolicy" => Some(CelKind::Deleting),
            _ => None,
        }
    }

    /// The kind that binds policies of this one.
    pub(crate) fn binding(self) -> Option<&'static str> {
        match self {
            CelKind::ValidatingAdmission => Some("ValidatingAdmissionPolicyBinding"),
            CelKind::MutatingAdmission => Some("MutatingAdmissionPolicyBinding"),
            _ => None,
        }
    }

    /// Whether its rules are known by the policy's name.
    pub(crate) fn names_rules(self) -> bool {
        !matches!(self, CelKind::Validating | CelKind::Mutating)
    }

    /// Whether objects that it could be about are refused when it does not compile.
    pub(crate) fn refuses(self) -> bool {
        !matches!(self, CelKind::Generating | CelKind::Deleting)
    }

    /// The rule of a policy about what is no object of Kubernetes: JSON, or requests of a proxy (`evaluation.mode`).
    pub(crate) fn of_payloads(self, spec: &Reader<'_>) -> Option<Result<Part>> {
        let mode = spec.value["evaluation"]["mode"].as_str().filter(|_| self == CelKind::Validating)?;
        let body = match (mode, Proxy::of_mode(mode)) {
            ("JSON", _) => Validations::of_policy(spec).map(|policy| Body::Policy(Box::new(policy))),
            (_, Some(proxy)) => {
                Authorization::compile(proxy, spec).map(|policy| Body::Proxy(Box::new(policy)))
            }
            _ => return None,
        };
        Some(body.and_then(|body| Ok((Matching::widest(&Value::Null), body, action(spec)?))))
    }

    /// The rules of a policy: one for what it says, and those for the controllers of pods.
    pub(crate) fn parts(
        self,
        spec: &Reader<'_>,
        bindings: Result<Vec<Binding>>,
    ) -> Vec<std::result::Result<Part, Unusable>> {
        let mode = spec.field("evaluation").and_then(|evaluation| evaluation.field("mode"));
        let constraints = spec.value["matchConstraints"].clone();
        let broken = |constraints: Value| |error| Unusable::Broken(error, constraints);
        match mode.as_ref().and_then(|mode| mode.value.as_str()) {
            Some("Kubernetes") => {}
            Some("JSON" | "Envoy" | "HTTP") => {
                return vec![Err(Unusable::Elsewhere(mode.map(|mode| mode.path).unwrap_or_default()))];
            }
            _ => {
                if let Some(mode) = mode {
                    let error = mode.error("mode is Kubernetes, JSON, Envoy or HTTP");
                    return vec![Err(broken(constraints)(error))];
                }
            }
        }
        match self {
            CelKind::Validating | CelKind::ImageValidating => {
                let compile =
                    if self == CelKind::Validating { Validations::of_policy } else { Validations::of_images };
                let rewritten = autogen::rules(spec.value);
                let specs = std::iter::once(spec.value).chain(&rewritten);
                specs
                    .map(|spec_| {
                        let reader = Reader::new(spec_, spec.path.clone());
                        validating(&reader, compile).map_err(broken(spec_["matchConstraints"].clone()))
                    })
                    .collect()
            }
            CelKind::Generating => {
                let part = || {
                    let body = Body::Generations(Box::new(Generations::compile(spec)?));
                    Ok((matching(&self::constraints(spec)?)?, body, Action::default()))
                };
                vec![part().map_err(broken(constraints))]
            }
            CelKind::Deleting => {
                let part = || {
                    let body = Body::Deletions(Box::new(Deletions::compile(spec)?));
                    Ok((matching(&self::constraints(spec)?)?, body, Action::default()))
                };
                vec![part().map_err(broken(constraints))]
            }
            CelKind::ValidatingAdmission => {
                let part = || {
                    let matching = matching(&self::constraints(spec)?)?;
                    let body = Body::Admission(Arc::new(Bound::<Validator>::compile(spec, bindings?)?));
                    failure_action(spec)?;
                    // What of it is enforced is for its bindings to say.
                    Ok((matching, body, Action::enforced()))
                };
                vec![part().map_err(broken(constraints))]
            }
            CelKind::MutatingAdmission => {
                let part = || {
                    let matching = matching(&self::constraints(spec)?)?;
                    let body = Body::AdmissionMutation(Arc::new(Bound::<Mutator>::compile(spec, bindings?)?));
                    Ok((matching, body, failure_action(spec)?))
                };
                vec![part().map_err(broken(constraints))]
            }
            CelKind::Mutating => {
                let own = std::iter::once((None, constraints));
                let controllers = autogen::controllers(spec.value).into_iter();
                own.chain(controllers.map(|(place, constraints)| (Some(place), constraints)))
                    .map(|(place, constraints)| {
                        mutating(spec, place, &constraints).map_err(broken(constraints))
                    })
                    .collect()
            }
        }
    }
}

fn validating(spec: &Reader<'_>, compile: fn(&Reader<'_>) -> Result<Validations>) -> Result<Part> {
    let matching = matching(&constraints(spec)?)?;
    let body = Body::Policy(Box::new(compile(spec)?));
    Ok((matching, body, action(spec)?))
}

/// For pods, or for controllers by their constraints.
fn mutating(spec: &Reader<'_>, place: Option<autogen::Place>, of: &Value) -> Result<Part> {
    let constraints = match place {
        None => constraints(spec)?,
        Some(_) => Reader::new(of, spec.path.key("matchConstraints")),
    };
    let matching = matching(&constraints)?;
    let body = Body::Mutations(Box::new(Mutations::compile(spec, place)?));
    Ok((matching, body, failure_action(spec)?))
}

fn constraints<'a>(spec: &Reader<'a>) -> Result<Reader<'a>> {
    spec.field("matchConstraints").ok_or_else(|| spec.error("matchConstraints are missing"))
}

fn matching(constraints: &Reader<'_>) -> Result<Matching> {
    Constraints::compile(constraints).map(Matching::of_constraints)
}

/// `Deny` among the `validationActions` enforces; it is what a policy means that names none.
fn action(spec: &Reader<'_>) -> Result<Action> {
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

/// What holds an object up of a policy that denies nothing: that it cannot be evaluated, unless it says to ignore that.
fn failure_action(spec: &Reader<'_>) -> Result<Action> {
    match spec.string("failurePolicy")?.as_deref() {
        None | Some("Fail") => Ok(Action::enforced()),
        Some("Ignore") => Ok(Action::default()),
        Some(_) => Err(spec.error("failurePolicy is Fail or Ignore")),
    }
}
