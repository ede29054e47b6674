//! MutatingAdmissionPolicy.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::environment::Place;
use super::expression::{Conditions, Expression, OutOfBudget, Result_};
use super::inputs::{self, Inputs, Shown};
use super::{Binding, Variable, dynamic, param_kind, params, variables};
use crate::expr::cel::{Budget, Value};
use crate::model::Gvk;
use crate::plane::admission::attributes::Attributes;
use crate::plane::admission::matching::Constraints;
use crate::plane::admission::mutating::Reinvocation;
use crate::plane::kinds::Resource;
use crate::plane::patch::{self, Operation};
use crate::plane::status::Failure;

/// A policy, compiled.
#[derive(Debug)]
pub(in crate::plane::admission) struct Policy {
    pub name: String,
    pub constraints: Constraints,
    params: Option<Gvk>,
    ignores_failures: bool,
    reinvoked: bool,
    conditions: Conditions,
    variables: Vec<Variable>,
    mutations: Vec<Mutation>,
}

#[derive(Debug)]
enum Mutation {
    /// An object that is merged as an apply merges.
    Apply(Expression),
    /// A list of operations.
    Patch(Expression),
}

impl Policy {
    /// A policy, compiled. What does not compile fails when it is evaluated.
    pub fn of(body: &Json) -> Policy {
        let spec = &body["spec"];
        let kind = param_kind(&spec["paramKind"]);
        let with_params = kind.is_some();
        let (variables, known) = variables(&spec["variables"], with_params);
        let place = Place::mutation(with_params);
        let expression = |value: &Json, result| {
            Expression::new(value["expression"].as_str().unwrap_or_default(), result, place, Some(&known))
        };
        let mutations = spec["mutations"].as_array().into_iter().flatten();
        let mutations = mutations.map(|mutation| match mutation["patchType"].as_str() {
            Some("JSONPatch") => Mutation::Patch(expression(&mutation["jsonPatch"], Result_::Patch)),
            _ => Mutation::Apply(expression(&mutation["applyConfiguration"], Result_::Object)),
        });
        let mutations = mutations.collect();
        Policy {
            name: body["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            constraints: Constraints::of_policy(&spec["matchConstraints"]),
            ignores_failures: spec["failurePolicy"] == "Ignore",
            reinvoked: spec["reinvocationPolicy"] == "IfNeeded",
            conditions: Conditions::of(&spec["matchConditions"], with_params, Some(&known)),
            params: kind,
            variables,
            mutations,
        }
    }
}

/// One policy to be put to work by one binding with one parameter.
struct Invocation<'a> {
    policy: &'a Policy,
    binding: &'a Binding,
    form: Arc<Resource>,
    params: Json,
}

impl Invocation<'_> {
    /// Tells it from the others.
    fn id(&self) -> String {
        let param = &self.params["metadata"];
        format!("{}/{}/{}/{}", self.policy.name, self.binding.name, param["namespace"], param["name"])
    }

    /// The object after one mutation.
    fn apply(
        &self,
        mutation: &Mutation,
        attributes: &Attributes<'_>,
        namespace: &Json,
        object: &Json,
        old: Option<&Json>,
    ) -> Result<Json, String> {
        let shown = Shown::of(attributes, &self.form, Some(object), old);
        let inputs = Inputs { shown: &shown, namespace, params: &self.params, attributes };
        let bindings = inputs.bindings(&self.policy.variables);
        let budget = RefCell::new(Budget::kubernetes());
        let (Mutation::Apply(expression) | Mutation::Patch(expression)) = mutation;
        let value = match expression.evaluate(&bindings, &budget) {
            Ok(value) => value?,
            Err(OutOfBudget) => return Err(OutOfBudget::MESSAGE.to_owned()),
        };
        let after = match mutation {
            Mutation::Apply(_) => merged(attributes, &self.form, &shown.object, &value)?,
            Mutation::Patch(_) => patched(&shown.object, &value)?,
        };
        let mut after = attributes.in_own_form(&self.form, after);
        attributes.call.normalise(&mut after, false);
        Ok(after)
    }

    fn is_meant(
        &self,
        attributes: &Attributes<'_>,
        namespace: &Json,
        object: &Json,
        old: Option<&Json>,
    ) -> Result<bool, String> {
        let shown = Shown::of(attributes, &self.form, Some(object), old);
        let inputs = Inputs { shown: &shown, namespace, params: &self.params, attributes };
        self.policy.conditions.met(&inputs.bindings(&self.policy.variables), self.policy.ignores_failures)
    }
}

/// The object with what an expression made merged into it.
fn merged(
    attributes: &Attributes<'_>,
    form: &Resource,
    object: &Json,
    value: &Value<'_>,
) -> Result<Json, String> {
    dynamic::check_names(value, "Object").map_err(|why| format!("type mismatch: {why}"))?;
    let mut patch = value.to_json();
    patch["apiVersion"] = object["apiVersion"].clone();
    patch["kind"] = object["kind"].clone();
    attributes
        .call
        .server
        .registry()
        .types
        .overlay(form, object, &patch)
        .map_err(|why| format!("error applying patch: {why}"))
}

/// The object after the operations that an expression made.
fn patched(object: &Json, value: &Value<'_>) -> Result<Json, String> {
    let items = value.items().map_err(|error| error.to_string())?;
    let operations: Result<Vec<Operation>, String> = items.iter().map(operation).collect();
    match patch::apply(object, &operations?) {
        Ok(patched) => Ok(patched),
        Err(error) if error.test_failed => Ok(object.clone()),
        Err(error) => Err(format!("JSON Patch: {error}")),
    }
}

fn operation(item: &Value<'_>) -> Result<Operation, String> {
    let Value::Struct(item) = item else {
        return Err(
            "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch".to_owned()
        );
    };
    let text = |field: &str| item.fields.get(field).and_then(Value::as_str).map(str::to_owned);
    let value = item.fields.get("value");
    if let Some(object @ Value::Struct(made)) = value {
        dynamic::check_names(object, &made.name).map_err(|why| format!("type mismatch: {why}"))?;
    }
    Ok(Operation::new(
        text("op").unwrap_or_default(),
        text("path").unwrap_or_default(),
        text("from"),
        value.map(Value::to_json),
    ))
}

/// A policy that could not do its work.
struct Problem {
    message: String,
    /// Whether it is the request's fault.
    invalid: bool,
}

/// Lets the policies change an object in one round; whether one of them did.
pub(in crate::plane::admission) fn change(
    attributes: &Attributes<'_>,
    policies: &[(Arc<Policy>, Vec<Arc<Binding>>)],
    object: &mut Option<Json>,
    old: Option<&Json>,
    state: &mut Reinvocation,
    round: usize,
) -> Result<bool, Failure> {
    let Some(current) = object else { return Ok(false) };
    let mut problems = Vec::new();
    let invocations = invocations(attributes, policies, current, old, &mut problems);
    if invocations.is_empty() && problems.is_empty() {
        return Ok(false);
    }
    let namespace = inputs::namespace(attributes);
    let mut changed = false;
    for invocation in &invocations {
        let mut complain = |message: String| {
            if !invocation.policy.ignores_failures {
                let (policy, binding) = (&invocation.policy.name, &invocation.binding.name);
                let message = format!("policy '{policy}' with binding '{binding}' denied request: {message}");
                problems.push(Problem { message, invalid: true });
            }
        };
        match invocation.is_meant(attributes, &namespace, current, old) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => {
                complain(why);
                continue;
            }
        }
        let id = invocation.id();
        if round > 0 && !state.is_due(&id) {
            continue;
        }
        let before = current.clone();
        for mutation in &invocation.policy.mutations {
            match invocation.apply(mutation, attributes, &namespace, current, old) {
                Ok(after) => *current = after,
                Err(why) => complain(why),
            }
        }
        if *current != before {
            changed = true;
            state.changed();
        }
        if invocation.policy.reinvoked {
            state.asked(&id);
        }
    }
    if problems.is_empty() { Ok(changed) } else { Err(refused(attributes, current, &problems)) }
}

/// What is to be done, in the order of doing it.
fn invocations<'a>(
    attributes: &Attributes<'_>,
    policies: &'a [(Arc<Policy>, Vec<Arc<Binding>>)],
    object: &Json,
    old: Option<&Json>,
    problems: &mut Vec<Problem>,
) -> Vec<Invocation<'a>> {
    let server = attributes.call.server;
    let mut found = Vec::new();
    for (policy, bindings) in policies {
        let mut complain = |binding: Option<&Binding>, why: &str| {
            if policy.ignores_failures {
                return;
            }
            let message = match binding {
                None => format!("policy {:?} denied request: failed to configure policy: {why}", policy.name),
                Some(binding) => format!(
                    "policy '{}' with binding '{}' denied request: failed to configure binding: {why}",
                    policy.name, binding.name
                ),
            };
            problems.push(Problem { message, invalid: false });
        };
        let form = match policy.constraints.matched(attributes, Some(object), old) {
            Ok(Some(form)) => form,
            Ok(None) => continue,
            Err(failure) => {
                complain(None, &failure.message);
                continue;
            }
        };
        if let Err(why) = params::check_kind(server, policy.params.as_ref()) {
            complain(None, &why);
            continue;
        }
        for binding in bindings {
            let matched = match &binding.constraints {
                None => Ok(true),
                Some(constraints) => {
                    constraints.matched(attributes, Some(object), old).map(|form| form.is_some())
                }
            };
            match matched {
                Ok(true) => {}
                Ok(false) => continue,
                Err(failure) => {
                    complain(Some(binding), &failure.message);
                    continue;
                }
            }
            match params::collect(server, policy.params.as_ref(), &binding.params, &attributes.namespace) {
                Ok(params) => found.extend(params.into_iter().map(|params| Invocation {
                    policy,
                    binding,
                    form: form.clone(),
                    params: params.unwrap_or_default(),
                })),
                Err(why) => complain(Some(binding), &why),
            }
        }
    }
    found
}

fn refused(attributes: &Attributes<'_>, object: &Json, problems: &[Problem]) -> Failure {
    let name = attributes.shown_name(Some(object));
    let mut failure = Failure::forbidden(&attributes.call.resource, &name, "");
    if let Some(first) = problems.first() {
        failure.message.clone_from(&first.message);
        if first.invalid {
            failure.reason = "Invalid";
        }
    }
    if let Some(details) = &mut failure.details {
        details["causes"] = problems.iter().map(|problem| json!({"message": problem.message})).collect();
    }
    failure
}
