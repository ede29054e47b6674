//! JMESPath as the policy engine speaks it: a missing key is an error, except where the language forgives it
//! (`||`, `!`, `&&`'s left side, comparisons, arguments, selections, filters, projections and pipes).

mod ast;
mod explain;
mod functions;
mod interpreter;
mod lexer;
mod parser;
mod value;
mod written;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::context::{Context, Draws, Environment, Meter};
use ast::Ast;
use interpreter::Interpreter;
pub(crate) use lexer::{slot_char, slot_of};
use value::Val;
pub(crate) use value::{equal, weigh};

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What is the matter.
    pub message: String,
}

impl ExprError {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> ExprError {
        ExprError { offset, message: message.into() }
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.offset + 1, self.message)
    }
}

impl std::error::Error for ExprError {}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvalError {
    /// A path names a key that its object does not have.
    NotFound(String),
    /// A function or operation refused its arguments.
    Failed(String),
    /// The evaluation took more steps than allowed.
    Limit,
    /// Variables ask for variables, or values stand in values, deeper than allowed.
    TooDeep,
}

impl EvalError {
    pub(crate) fn failed(message: impl Into<String>) -> EvalError {
        EvalError::Failed(message.into())
    }

    /// Whether it is the absence of a key, which many places forgive.
    pub fn is_not_found(&self) -> bool {
        matches!(self, EvalError::NotFound(_))
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::NotFound(key) => write!(f, "Unknown key {key:?} in path"),
            EvalError::Failed(message) => f.write_str(message),
            EvalError::Limit => f.write_str("the expression takes too many steps and was cut off"),
            EvalError::TooDeep => f.write_str("the expression is nested too deep and was cut off"),
        }
    }
}

impl std::error::Error for EvalError {}

impl From<ExprError> for EvalError {
    fn from(error: ExprError) -> EvalError {
        EvalError::Failed(format!("not an expression: {error}"))
    }
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    ast: Ast,
}

impl Expression {
    /// Compiles a text.
    pub fn compile(text: &str) -> Result<Expression, ExprError> {
        Expression::compile_with_slots(text, 0)
    }

    /// Compiles a text in which [`slot_char`]s stand for values that [`Expression::evaluate_with`] is given.
    pub(crate) fn compile_with_slots(text: &str, slots: usize) -> Result<Expression, ExprError> {
        Ok(Expression { text: text.to_owned(), ast: parser::parse(text, slots)? })
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates over one value, with an empty environment.
    pub fn search(&self, data: &Value) -> Result<Value, EvalError> {
        let environment = Environment::default();
        self.search_in(data, &environment)
    }

    /// Evaluates over one value.
    pub fn search_in(&self, data: &Value, environment: &Environment) -> Result<Value, EvalError> {
        let (draws, meter) = (Draws::default(), Meter::default());
        let interpreter = Interpreter::new(environment, &draws, Some(&meter), &[]);
        let found = interpreter.evaluate(&self.ast, &Val::Ref(data))?;
        interpreter.pay_for(&found)?;
        found.into_value()
    }

    /// Evaluates over one value, for a variable of a context.
    pub(crate) fn search_for(&self, data: &Value, context: &Context<'_>) -> Result<Value, EvalError> {
        let draws = Draws::default();
        let interpreter = Interpreter::new(context.environment(), &draws, context.meter(), &[]);
        let found = interpreter.evaluate(&self.ast, &Val::Ref(data))?;
        interpreter.pay_for(&found)?;
        found.into_value()
    }

    /// Evaluates over a context.
    pub fn evaluate<'a>(&'a self, context: &'a Context<'_>) -> Result<Cow<'a, Value>, EvalError> {
        self.evaluate_with(context, &[])
    }

    /// Evaluates over a context, filling in values.
    pub(crate) fn evaluate_with<'a>(
        &'a self,
        context: &'a Context<'_>,
        slots: &'a [Value],
    ) -> Result<Cow<'a, Value>, EvalError> {
        let interpreter = Interpreter::new(context.environment(), context.draws(), context.meter(), slots);
        let found = interpreter.evaluate(&self.ast, &Val::Root(context))?;
        if !matches!(found, Val::Ref(_)) {
            interpreter.pay_for(&found)?;
        }
        found.into_cow()
    }
}

/// The names of all functions, for completion and documentation.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    functions::names()
}

#[cfg(test)]
mod tests;
