//! One expression: compiled once, evaluated for each request.

use std::cell::RefCell;

use serde_json::Value as Json;

use super::environment::{Place, Variables, environment};
use crate::expr::cel::{Bindings, Budget, Program, Type, Value};

/// What an expression's result may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Result_ {
    Bool,
    Text,
    TextOrNull,
    Object,
    Patch,
    Anything,
}

/// Compiles an expression; or what is wrong with it, in the words of the real server.
pub(crate) fn compile(
    text: &str,
    result: Result_,
    place: Place,
    variables: Option<&Variables>,
) -> Result<Program, String> {
    let program = environment(place, variables, text).compile(text).map_err(|error| {
        let what = if error.instantiation { "program instantiation failed" } else { "compilation failed" };
        format!("{what}: {}", error.message)
    })?;
    result.check(&program).map(|()| program)
}

impl Result_ {
    /// Whether a program gives what is wanted.
    pub fn check(self, program: &Program) -> Result<(), String> {
        let output = program.output();
        let named = |name: &str| matches!(output, Type::Object(ty) if &**ty.name() == name);
        let (fits, wanted) = match self {
            Result_::Anything => (true, ""),
            Result_::Bool => (*output == Type::Bool, "bool"),
            Result_::Text => (*output == Type::String, "string"),
            Result_::TextOrNull => (matches!(output, Type::String | Type::Null), "one of [string null_type]"),
            Result_::Object => (named("Object"), "Object"),
            Result_::Patch => {
                let patches = matches!(output, Type::List(item) if matches!(&**item, Type::Object(ty) if &**ty.name() == "JSONPatch"));
                (patches, "list(JSONPatch)")
            }
        };
        if fits { Ok(()) } else { Err(format!("must evaluate to {wanted} but got {output}")) }
    }
}

/// A compiled expression and its text, which messages show.
#[derive(Debug)]
pub(crate) struct Expression {
    pub text: String,
    program: Result<Program, String>,
}

/// The budget of all expressions for a request is used up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfBudget;

impl OutOfBudget {
    pub const MESSAGE: &str =
        "validation failed due to running out of cost budget, no further validation rules will be run";
}

impl Expression {
    pub fn new(text: &str, result: Result_, place: Place, variables: Option<&Variables>) -> Expression {
        Expression { text: text.to_owned(), program: compile(text, result, place, variables) }
    }

    /// What was compiled elsewhere.
    pub fn compiled(text: &str, program: Program) -> Expression {
        Expression { text: text.to_owned(), program: Ok(program) }
    }

    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref().ok()
    }

    /// What is wrong with it.
    pub fn mistake(&self) -> Option<&str> {
        self.program.as_ref().err().map(String::as_str)
    }

    /// Its value; or why it has none.
    pub fn evaluate<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &RefCell<Budget>,
    ) -> Result<Result<Value<'a>, String>, OutOfBudget> {
        let program = match &self.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let mut budget = budget.borrow_mut();
        let value = program.run(bindings, &mut budget);
        if budget.is_exhausted() {
            return Err(OutOfBudget);
        }
        Ok(value.map_err(|error| format!("expression '{}' resulted in error: {error}", self.text)))
    }
}

/// Conditions that a request must meet before anything else is looked at.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<Expression>);

/// What all match conditions of a policy or webhook may cost.
const CONDITIONS_BUDGET: u64 = 2_500_000;

impl Conditions {
    /// From a list of match conditions.
    pub fn of(list: &Json, place: Place, variables: Option<&Variables>) -> Conditions {
        let conditions = list.as_array().into_iter().flatten();
        let expressions = conditions.map(|condition| {
            let text = condition["expression"].as_str().unwrap_or_default();
            Expression::new(text, Result_::Bool, place, variables)
        });
        Conditions(expressions.collect())
    }

    /// The expressions, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they are met. One that is not outweighs those that fail.
    pub fn met<'a>(&'a self, bindings: &Bindings<'a>, ignores_failures: bool) -> Result<bool, String> {
        let budget = RefCell::new(Budget::new(crate::expr::cel::PER_CALL_LIMIT, CONDITIONS_BUDGET));
        let mut errors: Vec<String> = Vec::new();
        for condition in &self.0 {
            match condition.evaluate(bindings, &budget) {
                Err(OutOfBudget) if ignores_failures => return Ok(false),
                Err(OutOfBudget) => return Err(OutOfBudget::MESSAGE.to_owned()),
                Ok(Ok(Value::Bool(false))) => return Ok(false),
                Ok(Ok(_)) => {}
                Ok(Err(why)) if errors.contains(&why) => {}
                Ok(Err(why)) => errors.push(why),
            }
        }
        match &errors[..] {
            [] => Ok(true),
            _ if ignores_failures => Ok(false),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}
