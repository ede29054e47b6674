//! The functions: 26 of the standard and those the policy language adds. `sum` is the latter's.

mod arithmetic;
mod builtin;
mod convert;
mod digest;
mod image;
mod random;
mod select;
mod text;
mod time;
mod x509;

use super::EvalError;
use super::interpreter::Interpreter;
use super::value::Val;

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Any,
    Number,
    Text,
    Array,
    Object,
    Numbers,
    Texts,
    Expression,
}

type Handler = for<'a, 'v> fn(Call<'a, 'v>) -> Result<Val<'a>, EvalError>;

/// A function: its arguments and what it does.
struct Function {
    name: &'static str,
    arguments: &'static [&'static [Type]],
    /// Whether the last argument may be repeated.
    variadic: bool,
    handler: Handler,
}

/// A call whose arguments have been checked.
#[derive(Clone, Copy)]
struct Call<'a, 'v> {
    name: &'static str,
    interpreter: &'v Interpreter<'a>,
    arguments: &'v [Val<'a>],
}

impl<'a, 'v> Call<'a, 'v> {
    /// A text argument; the table has checked that it is one.
    fn text(&self, at: usize) -> Result<&'v str, EvalError> {
        self.arguments.get(at).and_then(Val::as_str).ok_or_else(|| self.wrong(at, "a string"))
    }

    fn number(&self, at: usize) -> Result<f64, EvalError> {
        self.arguments.get(at).and_then(Val::as_f64).ok_or_else(|| self.wrong(at, "a number"))
    }

    fn argument(&self, at: usize) -> Result<&'v Val<'a>, EvalError> {
        self.arguments.get(at).ok_or_else(|| self.wrong(at, "present"))
    }

    /// A text or number, as text.
    fn plain(&self, at: usize) -> Result<String, EvalError> {
        self.argument(at)?
            .plain()
            .and_then(crate::expr::gotext::plain)
            .ok_or_else(|| self.wrong(at, "a string or a number"))
    }

    fn wrong(&self, at: usize, expected: &str) -> EvalError {
        EvalError::Failed(format!("{}: argument {} must be {expected}", self.name, at + 1))
    }

    fn error(&self, message: impl std::fmt::Display) -> EvalError {
        EvalError::Failed(format!("{}: {message}", self.name))
    }

    fn whole(&self, at: usize) -> Result<i64, EvalError> {
        let number = self.number(at)?;
        if number.fract() != 0.0 || number.abs() > 9e15 {
            return Err(self.wrong(at, &format!("a whole number, not {number}")));
        }
        Ok(number as i64)
    }
}

/// A finite number as a value.
fn number<'a>(call: Call<'a, '_>, value: f64) -> Result<Val<'a>, EvalError> {
    crate::expr::gotext::number(value)
        .map(Val::owned)
        .ok_or_else(|| call.error(format!("{value} is not a JSON number")))
}

const TABLES: [&[Function]; 7] = [
    builtin::TABLE,
    select::TABLE,
    text::TABLE,
    arithmetic::TABLE,
    convert::TABLE,
    time::TABLE,
    digest::TABLE,
];

fn find(name: &str) -> Option<&'static Function> {
    TABLES.iter().flat_map(|table| table.iter()).find(|function| function.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| table.iter()).map(|function| function.name)
}

/// Calls a function.
pub(super) fn call<'a>(
    interpreter: &Interpreter<'a>,
    name: &str,
    arguments: &[Val<'a>],
) -> Result<Val<'a>, EvalError> {
    let function = find(name).ok_or_else(|| EvalError::Failed(format!("unknown function: {name}")))?;
    let call = Call { name: function.name, interpreter, arguments };
    for argument in arguments {
        interpreter.spend(reads(argument))?;
    }
    check(function, call)?;
    let result = (function.handler)(call)?;
    interpreter.spend(reads(&result))?;
    Ok(result)
}

/// What it takes to look at a value once, without what its parts hold.
fn reads(value: &Val<'_>) -> usize {
    match (value.as_str(), value.items()) {
        (Some(text), _) => text.len() / 64,
        (None, Some(items)) => items.len() / 4,
        // What is put together for the function.
        (None, None) if matches!(value, Val::Root(_) | Val::Branch(_)) => {
            let mut left = u64::MAX;
            value.weigh(&mut left);
            usize::try_from((u64::MAX - left) / 4).unwrap_or(usize::MAX)
        }
        (None, None) => value.plain().and_then(|value| value.as_object()).map_or(0, |map| map.len() / 4),
    }
}

fn check(function: &Function, call: Call<'_, '_>) -> Result<(), EvalError> {
    let (wanted, given) = (function.arguments, call.arguments);
    let right_count =
        if function.variadic { given.len() >= wanted.len() } else { given.len() == wanted.len() };
    // A function without arguments takes any.
    if !right_count && !wanted.is_empty() {
        return Err(call.error(format!("incorrect number of args: {}, not {}", given.len(), wanted.len())));
    }
    for (at, value) in given.iter().enumerate() {
        let Some(types) = wanted.get(at).or(wanted.last()) else { continue };
        if !types.iter().any(|t| t.admits(value)) {
            let expected: Vec<&str> = types.iter().map(|t| t.words()).collect();
            let message = format!("{}, not {}", expected.join(" or "), value.type_name());
            return Err(call.wrong(at, &message));
        }
    }
    Ok(())
}

impl Type {
    fn admits(self, value: &Val<'_>) -> bool {
        match self {
            Type::Any => true,
            Type::Number => value.as_f64().is_some(),
            Type::Text => value.as_str().is_some(),
            Type::Array => value.items().is_some(),
            Type::Object => value.is_object(),
            Type::Numbers => value.items().is_some_and(|items| items.iter().all(|i| i.as_f64().is_some())),
            Type::Texts => value.items().is_some_and(|items| items.iter().all(|i| i.as_str().is_some())),
            Type::Expression => matches!(value, Val::Expression(_)),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Type::Any => "any value",
            Type::Number => "a number",
            Type::Text => "a string",
            Type::Array => "an array",
            Type::Object => "an object",
            Type::Numbers => "an array of numbers",
            Type::Texts => "an array of strings",
            Type::Expression => "an expression (&...)",
        }
    }
}

/// A row of a table.
const fn row(name: &'static str, arguments: &'static [&'static [Type]], handler: Handler) -> Function {
    Function { name, arguments, variadic: false, handler }
}

/// A row whose last argument may be repeated.
const fn variadic(name: &'static str, arguments: &'static [&'static [Type]], handler: Handler) -> Function {
    Function { name, arguments, variadic: true, handler }
}

const ANY: &[Type] = &[Type::Any];
const NUMBER: &[Type] = &[Type::Number];
const TEXT: &[Type] = &[Type::Text];
const PLAIN: &[Type] = &[Type::Text, Type::Number];
const ARRAY: &[Type] = &[Type::Array];
const OBJECT: &[Type] = &[Type::Object];
const REFERENCE: &[Type] = &[Type::Expression];
const SORTABLE: &[Type] = &[Type::Texts, Type::Numbers];
