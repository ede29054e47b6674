//! An expression of a policy, tried on one object.

use serde_json::Value as Json;

use super::environment::Scope;
use super::inputs::{Around, Inputs};
use super::{Library, NOTHING_ALLOWED};
use crate::expr::cel::{Budget, Program, Value};
use crate::model::FieldPath;
use crate::policy::reader::Reader;
use crate::policy::trial::{Mistake, Trial, Tried};

/// Compiles and evaluates it with all that policies give it.
pub(crate) fn tried(trial: &Trial<'_>, text: &str, explain: bool) -> Result<Tried, Mistake> {
    let mut scope = Scope::of_trial();
    let variables = match trial.policy.and_then(owner_of_variables) {
        None => Vec::new(),
        Some((owner, path)) => {
            let list = Reader::new(owner, path).list("variables");
            list.and_then(|list| scope.define(&list))
                .map_err(|error| Mistake::new(format!("the policy: {}: {}", error.path, error.message)))?
        }
    };
    let program = scope.try_out(text).map_err(|error| {
        let place = error.instantiation.then_some(error.offset);
        Mistake { message: error.message, place }
    })?;
    let library = Library::new(None, trial.now, 0);
    let around = Around { library: &library, namespace: None, exceptions: &NOTHING_ALLOWED, looks_up: true };
    around.answering(&trial.request, |around| evaluated(trial, &program, &variables, around, explain))
}

fn evaluated(
    trial: &Trial<'_>,
    program: &Program,
    variables: &[(String, Program)],
    around: Around<'_>,
    explain: bool,
) -> Result<Tried, Mistake> {
    let explainer = explain.then(|| program.explainer());
    let inputs = Inputs::among(&trial.request, around);
    let mut bindings = inputs.bindings(variables);
    bindings.set("self", Value::of_json(trial.request.object));
    bindings.set("params", Value::of_json(trial.params));
    if let Some(explainer) = &explainer {
        return Ok(Tried::Steps(explainer.steps(&bindings)));
    }
    let value = program.run(&bindings, &mut Budget::kubernetes());
    value.map(|value| Tried::Value(value.to_json())).map_err(|error| match error.place() {
        Some(place) => Mistake { message: error.message().to_owned(), place: Some(place) },
        None => Mistake::new(error.to_string()),
    })
}

/// What of a policy has `variables`: its `spec`, or the first `validate.cel` of its rules.
fn owner_of_variables(policy: &Json) -> Option<(&Json, FieldPath)> {
    let spec = &policy["spec"];
    if spec["variables"].is_array() {
        return Some((spec, FieldPath::of_keys(["spec"])));
    }
    let mut rules = spec["rules"].as_array()?.iter().enumerate();
    rules.find_map(|(at, rule)| {
        let cel = &rule["validate"]["cel"];
        let path = FieldPath::of_keys(["spec", "rules"]).index(at).key("validate").key("cel");
        cel["variables"].is_array().then_some((cel, path))
    })
}
