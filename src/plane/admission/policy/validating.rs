//! ValidatingAdmissionPolicy.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::inputs::{self, Inputs, Shown};
use super::{Action, Binding, params};
use crate::expr::admission::{Decision, Outcome, Validator};
use crate::plane::admission::attributes::Attributes;
use crate::plane::admission::matching::Constraints;
use crate::plane::status::Failure;

/// The longest value of an audit annotation.
const ANNOTATION_LIMIT: usize = 10 * 1024;

/// A policy, compiled.
#[derive(Debug)]
pub(in crate::plane::admission) struct Policy {
    pub name: String,
    pub constraints: Constraints,
    validator: Validator,
}

impl Policy {
    /// A policy, compiled. What does not compile fails when it is evaluated.
    pub fn of(body: &Json) -> Policy {
        let spec = &body["spec"];
        Policy {
            name: body["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            constraints: Constraints::of_policy(&spec["matchConstraints"]),
            validator: Validator::of(spec, true),
        }
    }
}

/// A refusal of a request.
struct Denial {
    message: String,
    reason: &'static str,
}

/// Asks the policies.
pub(in crate::plane::admission) fn judge(
    attributes: &Attributes<'_>,
    policies: &[(Arc<Policy>, Vec<Arc<Binding>>)],
    object: Option<&Json>,
    old: Option<&Json>,
) -> Result<(), Failure> {
    let mut denials = Vec::new();
    for (policy, bindings) in policies {
        let mut judging = Judging { attributes, policy, object, old, denials: &mut denials };
        judging.policy(bindings)?;
    }
    match denials.into_iter().next() {
        Some(denial) => Err(refused(attributes, object, &denial)),
        None => Ok(()),
    }
}

/// A policy at work on a request.
struct Judging<'a> {
    attributes: &'a Attributes<'a>,
    policy: &'a Policy,
    object: Option<&'a Json>,
    old: Option<&'a Json>,
    denials: &'a mut Vec<Denial>,
}

impl Judging<'_> {
    fn misconfigured(&mut self, binding: Option<&Binding>, why: &str) {
        if self.policy.validator.ignores_failures() {
            return;
        }
        let policy = &self.policy.name;
        let message = match binding {
            None => format!(
                "ValidatingAdmissionPolicy '{policy}' denied request: failed to configure policy: {why}"
            ),
            Some(binding) => format!(
                "ValidatingAdmissionPolicy '{policy}' with binding '{}' denied request: failed to configure binding: {why}",
                binding.name
            ),
        };
        self.denials.push(Denial { message, reason: "Invalid" });
    }

    fn policy(&mut self, bindings: &[Arc<Binding>]) -> Result<(), Failure> {
        let form = match self.policy.constraints.matched(self.attributes, self.object, self.old) {
            Ok(Some(form)) => form,
            Ok(None) => return Ok(()),
            Err(failure) => {
                self.misconfigured(None, &failure.message);
                return Ok(());
            }
        };
        let server = self.attributes.call.server;
        if let Err(why) = params::check_kind(server, self.policy.validator.params.as_ref()) {
            self.misconfigured(None, &why);
            return Ok(());
        }
        let mut shown = None;
        let mut annotations: Vec<(String, Vec<String>)> = Vec::new();
        for binding in bindings {
            let matched = match &binding.constraints {
                None => Ok(true),
                Some(constraints) => {
                    constraints.matched(self.attributes, self.object, self.old).map(|form| form.is_some())
                }
            };
            match matched {
                Ok(true) => {}
                Ok(false) => continue,
                Err(failure) => {
                    self.misconfigured(Some(binding), &failure.message);
                    continue;
                }
            }
            let namespace = &self.attributes.namespace;
            let found =
                params::collect(server, self.policy.validator.params.as_ref(), &binding.params, namespace);
            let found = match found {
                Ok(found) => found,
                Err(why) => {
                    self.misconfigured(Some(binding), &why);
                    continue;
                }
            };
            let (shown, namespace) = shown.get_or_insert_with(|| {
                let shown = Shown::of(self.attributes, &form, self.object, self.old);
                (shown, inputs::namespace(self.attributes))
            });
            for param in found {
                let params = param.unwrap_or_default();
                let attributes = self.attributes;
                let inputs = Inputs { shown, namespace, params: &params, attributes };
                let outcome = self.policy.validator.evaluate(|| inputs.bindings());
                self.take(binding, outcome, &mut annotations);
            }
        }
        for (key, values) in annotations {
            self.attributes.call.notes.annotate(format!("{}/{key}", self.policy.name), values.join(", "));
        }
        Ok(())
    }

    /// What a binding makes of an outcome.
    fn take(&mut self, binding: &Binding, outcome: Outcome, annotations: &mut Vec<(String, Vec<String>)>) {
        let policy = &self.policy.name;
        let notes = &self.attributes.call.notes;
        let denied = |message: &str| {
            format!(
                "ValidatingAdmissionPolicy '{policy}' with binding '{}' denied request: {message}",
                binding.name
            )
        };
        for decision in outcome.failed {
            for action in &binding.actions {
                match action {
                    Action::Deny => self
                        .denials
                        .push(Denial { message: denied(&decision.message), reason: decision.reason }),
                    Action::Warn => notes.warn(format!(
                        "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{}': {}",
                        binding.name, decision.message
                    )),
                    Action::Audit => notes.annotate(
                        "validation.policy.admission.k8s.io/validation_failure".to_owned(),
                        audit_note(policy, binding, &decision),
                    ),
                }
            }
        }
        for (key, mut value) in outcome.annotations {
            if value.len() > ANNOTATION_LIMIT {
                let end = (0..=ANNOTATION_LIMIT).rev().find(|end| value.is_char_boundary(*end));
                value.truncate(end.unwrap_or_default());
            }
            match annotations.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) if values.contains(&value) => {}
                Some((_, values)) => values.push(value),
                None => annotations.push((key, vec![value])),
            }
        }
        for why in outcome.errors {
            self.denials.push(Denial { message: denied(&why), reason: "Invalid" });
        }
    }
}

fn audit_note(policy: &str, binding: &Binding, decision: &Decision) -> String {
    let actions: Vec<&str> = binding.actions.iter().map(|action| action.name()).collect();
    json!([{
        "message": decision.message, "policy": policy, "binding": binding.name,
        "expressionIndex": decision.index, "validationActions": actions,
    }])
    .to_string()
}

fn refused(attributes: &Attributes<'_>, object: Option<&Json>, denial: &Denial) -> Failure {
    let name = attributes.shown_name(object);
    let mut failure = Failure::forbidden(&attributes.call.resource, &name, &denial.message);
    (failure.code, failure.reason) = match denial.reason {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    if let Some(details) = &mut failure.details {
        details["causes"] = json!([{"message": denial.message}]);
    }
    failure
}
