//! Rules in CEL: `validate.cel` of a classic rule, ValidatingPolicy and MutatingPolicy.
//!
//! Expressions are compiled once; `variables` are worked out when an expression first looks at them. What a failed
//! expression means differs by where it stands: see [`Style`].

mod admission;
mod autogen;
mod condition;
mod constraints;
mod deleting;
mod environment;
mod exception;
mod explain;
mod field;
mod generating;
mod inputs;
mod kinds;
mod library;
mod match_conditions;
mod mutating;
mod proxy;
mod targets;
mod trial;
mod verifying;

use std::collections::BTreeMap;

use crate::expr::cel::{Budget, EvalError, EvalErrorKind, Program, Value};
use crate::model::FieldPath;

use super::reader::{Reader, Result};
use super::request::Request;
use super::validate::{Judgement, Verdict};

use condition::{Condition, Met};
use environment::Scope;
use inputs::Inputs;
use verifying::Verified;

pub(crate) use inputs::{Around, looks_up};

pub(crate) use admission::{Binding, Bound};
pub(crate) use constraints::Constraints;
pub(crate) use deleting::Deletions;
pub(crate) use exception::{Exception, NOTHING_ALLOWED};
pub(crate) use generating::Generations;
pub(crate) use kinds::{CelKind, Part, Unusable};
pub(crate) use library::Library;
pub(crate) use match_conditions::MatchConditions;
pub(crate) use mutating::Mutations;
pub(crate) use proxy::Authorization;
pub use proxy::{Proxy, ProxyRequest};
pub(crate) use trial::tried;

/// Whose words and rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `validate.cel` of a classic rule, which is evaluated as a Kubernetes admission policy: an expression that cannot be
    /// evaluated denies.
    Rule,
    /// ValidatingPolicy: an expression that cannot be evaluated is an error of the policy.
    Policy,
}

/// The expressions of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Validations {
    style: Style,
    /// Whether failures to evaluate are passed over (`failurePolicy: Ignore`), but for those to look up.
    ignores_failures: bool,
    conditions: Vec<Condition>,
    variables: Vec<(String, Program)>,
    validations: Vec<Validation>,
    /// What is written into an audit log of an object that fails, by its keys.
    annotations: Vec<(String, Program)>,
    /// The images that it is about, if it is about images.
    verified: Option<Verified>,
}

#[derive(Debug, Clone)]
struct Validation {
    text: String,
    program: Program,
    message: Option<String>,
    message_expression: Option<Program>,
    /// The field of the object that it is about, as far as it says so.
    field: Option<FieldPath>,
}

impl Validations {
    /// Of a classic rule: its `celPreconditions`, and `validate` with `cel` in it.
    pub(crate) fn of_rule(rule: &Reader<'_>, validate: &Reader<'_>, cel: &Reader<'_>) -> Result<Validations> {
        cel.only(&["expressions", "variables", "auditAnnotations", "paramKind", "paramRef", "generate"])?;
        if let Some(params) = cel.field("paramKind") {
            return Err(params.error("parameters of CEL rules are not looked up here"));
        }
        let message = validate.string("message")?;
        let conditions = rule.list("celPreconditions")?;
        Validations::compile(Style::Rule, Scope::of_rule(), conditions, cel, "expressions", message)
    }

    /// Of a ValidatingPolicy's `spec`.
    pub(crate) fn of_policy(spec: &Reader<'_>) -> Result<Validations> {
        let conditions = spec.list("matchConditions")?;
        let scope = Scope::of_policy();
        let mut compiled = Validations::compile(Style::Policy, scope, conditions, spec, "validations", None)?;
        compiled.ignores_failures = spec.string("failurePolicy")?.as_deref() == Some("Ignore");
        Ok(compiled)
    }

    /// Of an ImageValidatingPolicy's `spec`.
    pub(crate) fn of_images(spec: &Reader<'_>) -> Result<Validations> {
        let conditions = spec.list("matchConditions")?;
        let scope = Scope::of_images();
        let mut compiled = Validations::compile(Style::Policy, scope, conditions, spec, "validations", None)?;
        compiled.ignores_failures = spec.string("failurePolicy")?.as_deref() == Some("Ignore");
        compiled.verified = Some(Verified::compile(spec, &Scope::of_policy())?);
        Ok(compiled)
    }

    fn compile(
        style: Style,
        mut scope: Scope,
        conditions: Vec<Reader<'_>>,
        reader: &Reader<'_>,
        list: &str,
        default_message: Option<String>,
    ) -> Result<Validations> {
        let defined = reader.list("variables")?;
        let variables = scope.define(&defined)?;
        let mut fields = BTreeMap::new();
        for (variable, (name, _)) in defined.iter().zip(&variables) {
            if let Some(field) = field::of_expression(expression(variable)?.text()?, &fields) {
                fields.insert(name.clone(), field);
            }
        }
        let conditions = conditions
            .iter()
            .map(|condition| Condition::compile(condition, &scope))
            .collect::<Result<_>>()?;
        let entries = reader.list(list)?;
        if entries.is_empty() {
            return Err(reader.error(format!("{list} are missing")));
        }
        let validation = |entry: &Reader<'_>| {
            let expression = expression(entry)?;
            Ok(Validation {
                field: field::of_expression(expression.text()?, &fields),
                text: expression.text()?.trim().to_owned(),
                program: scope.compile_bool(&expression, style == Style::Policy)?,
                message: entry.string("message")?.filter(|text| !text.is_empty()).or(default_message.clone()),
                message_expression: entry
                    .field("messageExpression")
                    .map(|text| scope.compile(&text))
                    .transpose()?,
            })
        };
        let validations = entries.iter().map(validation).collect::<Result<_>>()?;
        let annotation = |entry: &Reader<'_>| {
            let key = entry.string("key")?.ok_or_else(|| entry.error("key is missing"))?;
            let value = entry.field("valueExpression");
            Ok((key, scope.compile(&value.ok_or_else(|| entry.error("valueExpression is missing"))?)?))
        };
        let annotations = reader.list("auditAnnotations")?.iter().map(annotation).collect::<Result<_>>()?;
        Ok(Validations {
            style,
            ignores_failures: false,
            conditions,
            variables,
            validations,
            annotations,
            verified: None,
        })
    }

    fn inputs<'a>(&self, request: &Request<'a>, around: Around<'a>) -> Inputs<'a> {
        match self.style {
            Style::Rule => Inputs::of(request),
            Style::Policy => Inputs::among(request, around),
        }
    }

    /// Judges an object.
    pub(crate) fn evaluate(&self, rule: &str, request: &Request<'_>, around: Around<'_>) -> Judgement {
        around.answering(request, |around| self.evaluate_among(rule, request, around))
    }

    fn evaluate_among(&self, rule: &str, request: &Request<'_>, around: Around<'_>) -> Judgement {
        let inputs = self.inputs(request, around);
        let Some(verified) = &self.verified else { return self.judge(rule, &inputs) };
        match verified.given(request.object, &inputs) {
            Ok(Some(given)) => self.judge(rule, &inputs.with(&given)),
            Ok(None) => Judgement::new(Verdict::Skip, self.skipped()),
            Err(why) => self.cannot_tell("failed to find images", why),
        }
    }

    fn judge(&self, rule: &str, inputs: &Inputs<'_>) -> Judgement {
        let bindings = inputs.bindings(&self.variables);
        let mut budget = Budget::kubernetes();
        match condition::met(&self.conditions, &bindings, &mut budget, self.ignores_failures) {
            Met::Yes => {}
            Met::No => return Judgement::new(Verdict::Skip, self.skipped()),
            Met::Error(why) => return self.cannot_tell("failed to load context", why),
        }
        for (index, validation) in self.validations.iter().enumerate() {
            match validation.program.run(&bindings, &mut budget) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => {
                    let message = validation.failure(self.style, index, &bindings, &mut budget);
                    let path = validation.field.clone();
                    let failed = Judgement { path, ..Judgement::new(Verdict::Fail, message) };
                    return match self.annotations(&bindings, &mut budget) {
                        Ok(annotations) => Judgement { annotations, ..failed },
                        Err(_) if self.ignores_failures => failed,
                        Err(why) => self.cannot_tell("error", why),
                    };
                }
                Ok(other) => {
                    let why = format!("the expression is {}, not true or false", other.type_name());
                    return Judgement { path: validation.field.clone(), ..self.cannot_tell("error", why) };
                }
                Err(error) if self.ignores(&error, inputs) => {}
                Err(error) if self.style == Style::Rule => {
                    let why = format!("expression '{}' resulted in error: {error}", validation.text);
                    return Judgement {
                        path: validation.field.clone(),
                        ..Judgement::new(Verdict::Fail, why)
                    };
                }
                Err(error) => {
                    let judgement = self.cannot_tell("error", error.to_string());
                    return Judgement { path: validation.field.clone(), ..judgement };
                }
            }
        }
        Judgement::new(Verdict::Pass, self.passed(rule))
    }

    /// What is written into an audit log; null and an empty text are nothing.
    fn annotations<'a>(
        &'a self,
        bindings: &crate::expr::cel::Bindings<'a>,
        budget: &mut Budget,
    ) -> std::result::Result<Vec<(String, String)>, String> {
        let mut told = Vec::new();
        for (key, program) in &self.annotations {
            match program.run(bindings, budget) {
                Ok(Value::String(text)) if !text.is_empty() => told.push((key.clone(), text.to_string())),
                Ok(Value::String(_) | Value::Null) => {}
                Ok(other) => {
                    return Err(format!("auditAnnotation {key:?} is {}, not text", other.type_name()));
                }
                Err(error) => return Err(format!("failed to evaluate auditAnnotation {key:?}: {error}")),
            }
        }
        Ok(told)
    }

    /// Whether an error is passed over. What was not looked up outside of suites says nothing, so nothing passes by it.
    fn ignores(&self, error: &EvalError, inputs: &Inputs<'_>) -> bool {
        let told = error.kind() == EvalErrorKind::NotLookedUp && !inputs.knows_all();
        self.ignores_failures && !told
    }

    fn skipped(&self) -> &'static str {
        match self.style {
            Style::Rule => "cel preconditions not met",
            Style::Policy => "skip",
        }
    }

    fn passed(&self, rule: &str) -> String {
        match self.style {
            Style::Rule => format!("Validation rule '{rule}' passed."),
            Style::Policy => "success".to_owned(),
        }
    }

    fn cannot_tell(&self, what: &str, why: String) -> Judgement {
        match self.style {
            Style::Rule => Judgement::new(Verdict::Fail, why),
            Style::Policy => Judgement::error(what, why),
        }
    }
}

impl Validation {
    /// What to say when the expression is false.
    fn failure<'a>(
        &'a self,
        style: Style,
        index: usize,
        bindings: &crate::expr::cel::Bindings<'a>,
        budget: &mut Budget,
    ) -> String {
        let told = self.message_expression.as_ref().map(|program| program.run(bindings, budget));
        let expressed = match &told {
            Some(Ok(value)) => value.as_str().map(str::to_owned),
            _ => None,
        };
        match style {
            // What is empty or has several lines is no message, and the plain one is taken.
            Style::Rule => expressed
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty() && !text.contains('\n'))
                .or_else(|| self.message.as_ref().map(|text| text.trim().to_owned()))
                .unwrap_or_else(|| format!("failed expression: {}", self.text)),
            Style::Policy => match told {
                Some(Err(error)) => format!("failed to evaluate message expression: {error}"),
                Some(Ok(value)) if expressed.is_none() => {
                    format!("failed to convert message expression to string: it is {}", value.type_name())
                }
                _ => expressed
                    .or_else(|| self.message.clone())
                    .filter(|text| !text.is_empty())
                    .unwrap_or_else(|| format!("CEL expression validation failed at index {index}")),
            },
        }
    }
}

/// The field that every part of a rule in CEL has.
fn expression<'a>(entry: &Reader<'a>) -> Result<Reader<'a>> {
    entry.field("expression").ok_or_else(|| entry.error("expression is missing"))
}
