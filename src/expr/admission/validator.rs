//! What a ValidatingAdmissionPolicy says.

use std::cell::RefCell;

use serde_json::Value as Json;

use super::environment::Place;
use super::expression::{Conditions, Expression, OutOfBudget, Result_};
use super::{Variable, define, param_kind, variables};
use crate::expr::cel::{Bindings, Budget, Value};
use crate::model::Gvk;

/// The longest message that an expression may make.
const MESSAGE_LIMIT: usize = 5 * 1024;

/// The expressions of a policy, compiled.
#[derive(Debug)]
pub(crate) struct Validator {
    /// The kind of its parameters.
    pub params: Option<Gvk>,
    ignores_failures: bool,
    pub(super) conditions: Conditions,
    pub(super) variables: Vec<Variable>,
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
#[derive(Debug)]
pub(crate) struct Decision {
    /// Which of the policy's validations.
    pub index: usize,
    pub message: String,
    pub reason: &'static str,
    /// Whether it could not be worked out at all.
    pub is_error: bool,
}

/// What a policy says for one parameter.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether its match conditions hold.
    pub meant: bool,
    pub failed: Vec<Decision>,
    pub annotations: Vec<(String, String)>,
    /// Audit annotations that could not be worked out.
    pub errors: Vec<String>,
}

impl Validator {
    /// Of a policy's `spec`. What does not compile fails when it is evaluated. `authorizer`: whether expressions may ask
    /// what the one who asks may do.
    pub fn of(spec: &Json, authorizer: bool) -> Validator {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let list = |field: &str| spec[field].as_array().into_iter().flatten();
        let params = param_kind(&spec["paramKind"]);
        let place = Place { authorizer, ..Place::condition(params.is_some()) };
        let (variables, known) = variables(&spec["variables"], place);
        let expression = |value: &Json, result, place| {
            Expression::new(value.as_str().unwrap_or_default(), result, place, Some(&known))
        };
        let validations = list("validations").map(|validation| Validation {
            expression: expression(&validation["expression"], Result_::Bool, place),
            message: text(&validation["message"]).trim().to_owned(),
            message_expression: validation["messageExpression"].as_str().filter(|text| !text.is_empty()).map(
                |_| {
                    let place = Place::message(params.is_some());
                    expression(&validation["messageExpression"], Result_::Text, place)
                },
            ),
            reason: reason(&validation["reason"]),
        });
        let validations = validations.collect();
        let annotations = list("auditAnnotations").map(|annotation| {
            let value = expression(&annotation["valueExpression"], Result_::TextOrNull, place);
            (text(&annotation["key"]), value)
        });
        let annotations = annotations.collect();
        Validator {
            ignores_failures: spec["failurePolicy"] == "Ignore",
            conditions: Conditions::of(&spec["matchConditions"], place, Some(&known)),
            params,
            variables,
            validations,
            annotations,
        }
    }

    /// Whether what cannot be evaluated is passed over.
    pub fn ignores_failures(&self) -> bool {
        self.ignores_failures
    }

    /// What is wrong with its expressions.
    pub fn mistakes(&self) -> impl Iterator<Item = &str> {
        let variables = self.variables.iter().map(|variable| &variable.expression);
        let validations = self.validations.iter().flat_map(|validation| {
            std::iter::once(&validation.expression).chain(&validation.message_expression)
        });
        let annotations = self.annotations.iter().map(|(_, expression)| expression);
        self.conditions
            .expressions()
            .chain(variables)
            .chain(validations)
            .chain(annotations)
            .filter_map(Expression::mistake)
    }

    /// The expressions of its validations, in order.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.validations.iter().map(|validation| &validation.expression)
    }

    /// The expression that makes the message of each validation.
    pub(super) fn messages(&self) -> impl Iterator<Item = Option<&Expression>> {
        self.validations.iter().map(|validation| validation.message_expression.as_ref())
    }

    /// Judges what `bound` gives names to. Each list of expressions works out the variables anew.
    pub fn evaluate<'a>(&'a self, bound: impl Fn() -> Bindings<'a>) -> Outcome {
        let bindings = || {
            let mut bindings = bound();
            define(&self.variables, &mut bindings);
            bindings
        };
        match self.conditions.met(&bindings(), self.ignores_failures) {
            Ok(true) => {}
            Ok(false) => return Outcome::default(),
            Err(why) => return self.error(why),
        }
        let mut outcome = match self.validate(&bindings(), &bindings()) {
            Ok(failed) => Outcome { meant: true, failed, ..Outcome::default() },
            Err(OutOfBudget) => return self.error(OutOfBudget::MESSAGE.to_owned()),
        };
        match self.annotate(&bindings(), &mut outcome) {
            Ok(()) => outcome,
            Err(OutOfBudget) => self.error(OutOfBudget::MESSAGE.to_owned()),
        }
    }

    /// Nothing but an error.
    fn error(&self, message: String) -> Outcome {
        let failed = if self.ignores_failures {
            Vec::new()
        } else {
            vec![Decision { index: 0, message, reason: "", is_error: true }]
        };
        Outcome { meant: true, failed, ..Outcome::default() }
    }

    fn annotate<'a>(&'a self, bindings: &Bindings<'a>, outcome: &mut Outcome) -> Result<(), OutOfBudget> {
        let budget = RefCell::new(Budget::kubernetes());
        for (key, expression) in &self.annotations {
            match expression.evaluate(bindings, &budget)? {
                Ok(Value::String(text)) if !text.trim().is_empty() => {
                    outcome.annotations.push((key.clone(), text.trim().to_owned()));
                }
                Ok(Value::Null | Value::String(_)) => {}
                Ok(other) => outcome.errors.push(format!(
                    "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or null.",
                    expression.text,
                    other.type_name()
                )),
                Err(_) if self.ignores_failures => {}
                Err(why) => outcome.errors.push(why),
            }
        }
        Ok(())
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
                Err(message) => failed.push(Decision { index, message, reason: "", is_error: true }),
                Ok(_) => match validation.message(messages, &budget) {
                    Ok(message) => {
                        let reason = validation.reason;
                        failed.push(Decision { index, message, reason, is_error: false });
                    }
                    Err(OutOfBudget) if self.ignores_failures => {}
                    Err(OutOfBudget) => {
                        let message = format!("failed messageExpression: {}", OutOfBudget::MESSAGE);
                        failed.push(Decision { index, message, reason: "", is_error: true });
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
