//! Expressions of admission policies: what they may use, and what a policy of Kubernetes makes of them.
//!
//! The embedded API server and the policy language evaluate the same policies; who asks, which objects match and how
//! bindings are found is theirs, what the expressions of a policy mean stands here.

pub(crate) mod authorizer;
mod dynamic;
mod environment;
mod explain;
mod expression;
mod mutator;
mod validator;

pub(crate) use dynamic::with_types;
pub(crate) use environment::{Place, Variables, declarations};
pub(crate) use explain::names_variable;
pub(crate) use expression::{Conditions, Expression, Result_, compile};
pub(crate) use mutator::{Change, Mutation, Mutator, PatchOperation};
pub(crate) use validator::{Decision, Outcome, Validator};

use serde_json::Value;

use super::cel::Bindings;
use crate::model::Gvk;

/// A variable that expressions of a policy share.
#[derive(Debug)]
pub(crate) struct Variable {
    name: String,
    expression: Expression,
}

/// The variables of a policy, each of which sees those before it.
fn variables(list: &Value, place: Place) -> (Vec<Variable>, Variables) {
    let mut known = Variables::default();
    let mut compiled = Vec::new();
    for variable in list.as_array().into_iter().flatten() {
        let text = |field: &str| variable[field].as_str().unwrap_or_default();
        let expression = Expression::new(text("expression"), Result_::Anything, place, Some(&known));
        known.add(text("name"), expression.program());
        compiled.push(Variable { name: text("name").to_owned(), expression });
    }
    (compiled, known)
}

/// Makes variables known to expressions; each is worked out when it is first looked at.
fn define<'a>(variables: &'a [Variable], bindings: &mut Bindings<'a>) {
    for variable in variables {
        if let Some(program) = variable.expression.program() {
            bindings.define("variables", &variable.name, program);
        }
    }
}

/// The kind of a policy's parameters.
fn param_kind(kind: &Value) -> Option<Gvk> {
    Some(Gvk::new(kind["apiVersion"].as_str()?, kind["kind"].as_str()?))
}
