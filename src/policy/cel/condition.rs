//! Conditions that a request must meet before a rule looks at it.

use crate::expr::cel::{Bindings, Budget, EvalError, EvalErrorKind, Explainer, Program, Value};

use super::super::reader::{Reader, Result};
use super::environment::Scope;
use super::expression;

/// One condition.
#[derive(Debug, Clone)]
pub(super) struct Condition(Program);

/// Whether all are met.
pub(super) enum Met {
    Yes,
    No,
    /// One could not be evaluated, and none of the others is false.
    Error(String),
}

impl Condition {
    pub(super) fn evaluate<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &mut Budget,
    ) -> std::result::Result<Value<'a>, EvalError> {
        self.0.run(bindings, budget)
    }

    pub(super) fn explainer(&self) -> Explainer {
        self.0.explainer()
    }

    /// Of a program that says true or false.
    pub(super) fn of(program: Program) -> Condition {
        Condition(program)
    }

    pub(super) fn compile(reader: &Reader<'_>, scope: &Scope) -> Result<Condition> {
        scope.compile_bool(&expression(reader)?, true).map(Condition)
    }
}

/// Whether all conditions are met. One that is false outweighs those that fail. A failure to look up is never ignored.
pub(super) fn met<'a>(
    conditions: &'a [Condition],
    bindings: &Bindings<'a>,
    budget: &mut Budget,
    ignores_failures: bool,
) -> Met {
    let mut error = None;
    let mut ignored = ignores_failures;
    for Condition(program) in conditions {
        match program.run(bindings, budget) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return Met::No,
            Ok(other) => {
                error.get_or_insert(format!("a condition is {}, not true or false", other.type_name()));
            }
            Err(why) => {
                ignored &= why.kind() != EvalErrorKind::NotLookedUp;
                error.get_or_insert(why.to_string());
            }
        }
    }
    match error {
        None => Met::Yes,
        Some(_) if ignored => Met::No,
        Some(why) => Met::Error(why),
    }
}
