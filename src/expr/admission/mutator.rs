//! What a MutatingAdmissionPolicy makes of an object.

use std::cell::RefCell;

use serde_json::Value as Json;

use super::dynamic::check_names;
use super::environment::{Place, Variables};
use super::expression::{Conditions, Expression, OutOfBudget, Result_};
use super::{Variable, define, param_kind, variables};
use crate::expr::cel::{Bindings, Budget, Value};
use crate::model::Gvk;

/// The expressions of a policy, compiled.
#[derive(Debug)]
pub(crate) struct Mutator {
    /// The kind of its parameters.
    pub params: Option<Gvk>,
    /// Whether it is asked again after others changed the object.
    pub reinvoked: bool,
    ignores_failures: bool,
    pub(super) conditions: Conditions,
    pub(super) variables: Vec<Variable>,
    /// What it changes, in order; each sees what the ones before left.
    pub mutations: Vec<Mutation>,
}

/// One change.
#[derive(Debug)]
pub(crate) enum Mutation {
    /// An object that is merged as an apply merges.
    Apply(Expression),
    /// A list of operations.
    Patch(Expression),
}

/// What an expression wants changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// To be merged as an apply merges; without `apiVersion` and `kind`.
    Configuration(Json),
    /// To be done one after the other.
    Operations(Vec<PatchOperation>),
}

/// An operation of a JSON patch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PatchOperation {
    pub op: String,
    pub path: String,
    pub from: Option<String>,
    pub value: Option<Json>,
}

impl Mutator {
    /// Of a policy's `spec`. What does not compile fails when it is evaluated. `authorizer`: whether expressions may ask
    /// what the one who asks may do.
    pub fn of(spec: &Json, authorizer: bool) -> Mutator {
        let params = param_kind(&spec["paramKind"]);
        let place = Place { authorizer, ..Place::condition(params.is_some()) };
        let (variables, known) = variables(&spec["variables"], place);
        let mutations = spec["mutations"].as_array().into_iter().flatten();
        let place_of_mutations = Place { patches: true, ..place };
        Mutator {
            reinvoked: spec["reinvocationPolicy"] == "IfNeeded",
            ignores_failures: spec["failurePolicy"] == "Ignore",
            conditions: Conditions::of(&spec["matchConditions"], place, Some(&known)),
            mutations: mutations.map(|entry| Mutation::of(entry, place_of_mutations, Some(&known))).collect(),
            params,
            variables,
        }
    }

    /// Whether what cannot be evaluated is passed over.
    pub fn ignores_failures(&self) -> bool {
        self.ignores_failures
    }

    /// What is wrong with its expressions.
    pub fn mistakes(&self) -> impl Iterator<Item = &str> {
        let variables = self.variables.iter().map(|variable| &variable.expression);
        let mutations = self.mutations.iter().map(Mutation::expression);
        self.conditions.expressions().chain(variables).chain(mutations).filter_map(Expression::mistake)
    }

    /// Whether the policy is about what `bindings` give names to.
    pub fn is_meant<'a>(&'a self, mut bindings: Bindings<'a>) -> Result<bool, String> {
        define(&self.variables, &mut bindings);
        self.conditions.met(&bindings, self.ignores_failures)
    }

    /// What one of its mutations wants changed.
    pub fn change<'a>(
        &'a self,
        mutation: &'a Mutation,
        mut bindings: Bindings<'a>,
    ) -> Result<Change, String> {
        define(&self.variables, &mut bindings);
        mutation.evaluate(&bindings)
    }
}

impl Mutation {
    /// An entry of `mutations`.
    pub fn of(entry: &Json, place: Place, variables: Option<&Variables>) -> Mutation {
        let expression = |field: &str, result| {
            let text = entry[field]["expression"].as_str().unwrap_or_default();
            Expression::new(text, result, place, variables)
        };
        match entry["patchType"].as_str() {
            Some("JSONPatch") => Mutation::Patch(expression("jsonPatch", Result_::Patch)),
            _ => Mutation::Apply(expression("applyConfiguration", Result_::Object)),
        }
    }

    /// Its expression.
    pub fn expression(&self) -> &Expression {
        let (Mutation::Apply(expression) | Mutation::Patch(expression)) = self;
        expression
    }

    /// What it wants changed.
    pub fn evaluate<'a>(&'a self, bindings: &Bindings<'a>) -> Result<Change, String> {
        let budget = RefCell::new(Budget::kubernetes());
        let value = match self.expression().evaluate(bindings, &budget) {
            Ok(value) => value?,
            Err(OutOfBudget) => return Err(OutOfBudget::MESSAGE.to_owned()),
        };
        match self {
            Mutation::Apply(_) => {
                check_names(&value, "Object").map_err(|why| format!("type mismatch: {why}"))?;
                Ok(Change::Configuration(value.to_json()))
            }
            Mutation::Patch(_) => {
                let items = value.items().map_err(|error| error.to_string())?;
                items.iter().map(operation).collect::<Result<_, _>>().map(Change::Operations)
            }
        }
    }
}

fn operation(item: &Value<'_>) -> Result<PatchOperation, String> {
    let Value::Struct(item) = item else {
        return Err(
            "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch".to_owned()
        );
    };
    let text = |field: &str| item.fields.get(field).and_then(Value::as_str).map(str::to_owned);
    let value = item.fields.get("value");
    if let Some(object @ Value::Struct(made)) = value {
        check_names(object, &made.name).map_err(|why| format!("type mismatch: {why}"))?;
    }
    Ok(PatchOperation {
        op: text("op").unwrap_or_default(),
        path: text("path").unwrap_or_default(),
        from: text("from"),
        value: value.map(Value::to_json),
    })
}
