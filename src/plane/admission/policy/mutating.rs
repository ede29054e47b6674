//! MutatingAdmissionPolicy.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::inputs::{self, Inputs, Shown};
use super::{Binding, params};
use crate::expr::admission::{Change, Mutation, Mutator, PatchOperation};
use crate::merge::json_patch::{self, Operation};
use crate::plane::admission::attributes::Attributes;
use crate::plane::admission::matching::Constraints;
use crate::plane::admission::mutating::Reinvocation;
use crate::plane::kinds::Resource;
use crate::plane::status::Failure;

/// A policy, compiled.
#[derive(Debug)]
pub(in crate::plane::admission) struct Policy {
    pub name: String,
    pub constraints: Constraints,
    mutator: Mutator,
}

impl Policy {
    /// A policy, compiled. What does not compile fails when it is evaluated.
    pub fn of(body: &Json) -> Policy {
        let spec = &body["spec"];
        Policy {
            name: body["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            constraints: Constraints::of_policy(&spec["matchConstraints"]),
            mutator: Mutator::of(spec, true),
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
        let after = match self.policy.mutator.change(mutation, inputs.bindings())? {
            Change::Configuration(part) => merged(attributes, &self.form, &shown.object, part)?,
            Change::Operations(operations) => patched(&shown.object, operations)?,
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
        self.policy.mutator.is_meant(inputs.bindings())
    }
}

/// The object with what an expression made merged into it.
fn merged(
    attributes: &Attributes<'_>,
    form: &Resource,
    object: &Json,
    mut part: Json,
) -> Result<Json, String> {
    part["apiVersion"] = object["apiVersion"].clone();
    part["kind"] = object["kind"].clone();
    let types = &attributes.call.server.registry().types;
    types.overlay(form, object, &part).map_err(|why| format!("error applying patch: {why}"))
}

/// The object after the operations that an expression made.
fn patched(object: &Json, operations: Vec<PatchOperation>) -> Result<Json, String> {
    let operation = |one: PatchOperation| Operation::new(one.op, one.path, one.from, one.value);
    let operations: Vec<Operation> = operations.into_iter().map(operation).collect();
    match json_patch::apply(object, &operations) {
        Ok(patched) => Ok(patched),
        Err(error) if error.test_failed => Ok(object.clone()),
        Err(error) => Err(format!("JSON Patch: {error}")),
    }
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
            if !invocation.policy.mutator.ignores_failures() {
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
        for mutation in &invocation.policy.mutator.mutations {
            match invocation.apply(mutation, attributes, &namespace, current, old) {
                Ok(after) => *current = after,
                Err(why) => complain(why),
            }
        }
        if *current != before {
            changed = true;
            state.changed();
        }
        if invocation.policy.mutator.reinvoked {
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
            if policy.mutator.ignores_failures() {
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
        if let Err(why) = params::check_kind(server, policy.mutator.params.as_ref()) {
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
            match params::collect(
                server,
                policy.mutator.params.as_ref(),
                &binding.params,
                &attributes.namespace,
            ) {
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
