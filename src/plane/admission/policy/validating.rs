//! ValidatingAdmissionPolicy.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::environment::Place;
use super::expression::{Conditions, Expression, OutOfBudget, Result_};
use super::inputs::{self, Inputs, Shown};
use super::{Action, Binding, Variable, param_kind, params, variables};
use crate::expr::cel::{Bindings, Budget, Value};
use crate::model::Gvk;
use crate::plane::admission::attributes::Attributes;
use crate::plane::admission::matching::Constraints;
use crate::plane::status::Failure;

/// The longest message that an expression may make.
const MESSAGE_LIMIT: usize = 5 * 1024;
/// The longest value of an audit annotation.
const ANNOTATION_LIMIT: usize = 10 * 1024;

/// A policy, compiled.
#[derive(Debug)]
pub(in crate::plane::admission) struct Policy {
    pub name: String,
    pub constraints: Constraints,
    params: Option<Gvk>,
    ignores_failures: bool,
    conditions: Conditions,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
    annotations: Vec<(String, Expression)>,
}

#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: &'static str,
}

/// What a validation that does not hold says.
struct Decision {
    index: usize,
    message: String,
    reason: &'static str,
}

/// What a policy says for one parameter.
#[derive(Default)]
struct Outcome {
    failed: Vec<Decision>,
    annotations: Vec<(String, String)>,
    /// Audit annotations that could not be worked out.
    errors: Vec<String>,
}

impl Outcome {
    /// Nothing but an error.
    fn error(policy: &Policy, message: String) -> Outcome {
        let failed = if policy.ignores_failures {
            Vec::new()
        } else {
            vec![Decision { index: 0, message, reason: "" }]
        };
        Outcome { failed, ..Outcome::default() }
    }
}

impl Policy {
    /// A policy, compiled. What does not compile fails when it is evaluated.
    pub fn of(body: &Json) -> Policy {
        let spec = &body["spec"];
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let list = |field: &str| spec[field].as_array().into_iter().flatten();
        let kind = param_kind(&spec["paramKind"]);
        let with_params = kind.is_some();
        let (variables, known) = variables(&spec["variables"], with_params);
        let place = Place::condition(with_params);
        let expression = |value: &Json, result, place| {
            Expression::new(value.as_str().unwrap_or_default(), result, place, Some(&known))
        };
        let validations = list("validations").map(|validation| Validation {
            expression: expression(&validation["expression"], Result_::Bool, place),
            message: text(&validation["message"]).trim().to_owned(),
            message_expression: validation["messageExpression"].as_str().filter(|text| !text.is_empty()).map(
                |_| expression(&validation["messageExpression"], Result_::Text, Place::message(with_params)),
            ),
            reason: reason(&validation["reason"]),
        });
        let validations = validations.collect();
        let annotations = list("auditAnnotations").map(|annotation| {
            let value = expression(&annotation["valueExpression"], Result_::TextOrNull, place);
            (text(&annotation["key"]), value)
        });
        let annotations = annotations.collect();
        Policy {
            name: text(&body["metadata"]["name"]),
            constraints: Constraints::of_policy(&spec["matchConstraints"]),
            ignores_failures: spec["failurePolicy"] == "Ignore",
            conditions: Conditions::of(&spec["matchConditions"], with_params, Some(&known)),
            params: kind,
            variables,
            validations,
            annotations,
        }
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Outcome {
        let bindings = inputs.bindings(&self.variables);
        match self.conditions.met(&bindings, self.ignores_failures) {
            Ok(true) => {}
            Ok(false) => return Outcome::default(),
            Err(why) => return Outcome::error(self, why),
        }
        // Each list of expressions works out the variables anew.
        let bindings = inputs.bindings(&self.variables);
        let messages = inputs.bindings(&self.variables);
        let mut outcome = match self.validate(&bindings, &messages) {
            Ok(failed) => Outcome { failed, ..Outcome::default() },
            Err(OutOfBudget) => return Outcome::error(self, OutOfBudget::MESSAGE.to_owned()),
        };
        let bindings = inputs.bindings(&self.variables);
        let budget = RefCell::new(Budget::kubernetes());
        for (key, expression) in &self.annotations {
            match expression.evaluate(&bindings, &budget) {
                Err(OutOfBudget) => return Outcome::error(self, OutOfBudget::MESSAGE.to_owned()),
                Ok(Ok(Value::String(text))) if !text.trim().is_empty() => {
                    outcome.annotations.push((key.clone(), text.trim().to_owned()));
                }
                Ok(Ok(Value::Null | Value::String(_))) => {}
                Ok(Ok(other)) => outcome.errors.push(format!(
                    "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or null.",
                    expression.text,
                    other.type_name()
                )),
                Ok(Err(_)) if self.ignores_failures => {}
                Ok(Err(why)) => outcome.errors.push(why),
            }
        }
        outcome
    }

    fn validate<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        messages: &Bindings<'a>,
    ) -> Result<Vec<Decision>, OutOfBudget> {
        let budget = RefCell::new(Budget::kubernetes());
        let mut results = Vec::with_capacity(self.validations.len());
        for validation in &self.validations {
            results.push(validation.expression.evaluate(bindings, &budget)?);
        }
        let mut failed = Vec::new();
        for (index, (validation, result)) in self.validations.iter().zip(results).enumerate() {
            match result {
                Ok(Value::Bool(true)) => {}
                Err(_) if self.ignores_failures => {}
                Err(message) => failed.push(Decision { index, message, reason: "" }),
                Ok(_) => match validation.message(messages, &budget) {
                    Ok(message) => failed.push(Decision { index, message, reason: validation.reason }),
                    Err(OutOfBudget) if self.ignores_failures => {}
                    Err(OutOfBudget) => {
                        let message = format!("failed messageExpression: {}", OutOfBudget::MESSAGE);
                        failed.push(Decision { index, message, reason: "" });
                    }
                },
            }
        }
        Ok(failed)
    }
}

impl Validation {
    /// What is said when it does not hold.
    fn message<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &RefCell<Budget>,
    ) -> Result<String, OutOfBudget> {
        if let Some(expression) = &self.message_expression
            && let Ok(Value::String(message)) = expression.evaluate(bindings, budget)?
        {
            let message = message.trim();
            if !message.is_empty() && message.len() <= MESSAGE_LIMIT && !message.contains('\n') {
                return Ok(message.to_owned());
            }
        }
        if self.message.is_empty() {
            return Ok(format!("failed expression: {}", self.expression.text.trim()));
        }
        Ok(self.message.clone())
    }
}

fn reason(reason: &Json) -> &'static str {
    match reason.as_str() {
        Some("Unauthorized") => "Unauthorized",
        Some("Forbidden") => "Forbidden",
        Some("RequestEntityTooLarge") => "RequestEntityTooLarge",
        _ => "Invalid",
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
        if self.policy.ignores_failures {
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
        if let Err(why) = params::check_kind(server, self.policy.params.as_ref()) {
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
            let found = params::collect(server, self.policy.params.as_ref(), &binding.params, namespace);
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
                let outcome = self.policy.evaluate(&Inputs {
                    shown,
                    namespace,
                    params: &params,
                    attributes: self.attributes,
                });
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
