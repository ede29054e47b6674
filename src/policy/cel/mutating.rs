//! MutatingPolicy (policies.kyverno.io v1alpha1, v1beta1, v1): expressions that change an object.

mod explain;

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::expr::admission::{Change, Expression, Mutation, PatchOperation, Result_};
use crate::expr::cel::{Budget, Program};
use crate::merge;
use crate::merge::json_patch::{self, Operation};
use crate::model::Gvk;
use crate::schema::Schemas;

use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::super::validate::{Judgement, Verdict};
use super::autogen::Place;
use super::condition::{self, Condition, Met};
use super::environment::Scope;
use super::expression;
use super::inputs::{Around, Inputs};
use super::targets::Targets;

pub(super) use explain::tell;

/// The expressions of a policy, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Mutations {
    conditions: Vec<Condition>,
    variables: Vec<(String, Program)>,
    mutations: Arc<[Mutation]>,
    ignores_failures: bool,
    /// The objects that it changes, if these are not the ones that make it act.
    pub(crate) targets: Option<Targets>,
    /// Where the object holds the template of the pods that the policy is about.
    template: Option<Place>,
}

impl Mutations {
    /// Of a policy's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>, template: Option<Place>) -> Result<Mutations> {
        let mut scope = Scope::of_policy();
        let variables = scope.define(&spec.list("variables")?)?;
        let conditions = spec.list("matchConditions")?;
        let conditions: Vec<Condition> =
            conditions.iter().map(|entry| Condition::compile(entry, &scope)).collect::<Result<_>>()?;
        let entries = spec.list("mutations")?;
        if entries.is_empty() {
            return Err(spec.error("mutations are missing"));
        }
        let mutations = entries.iter().map(|entry| mutation(entry, &scope)).collect::<Result<Vec<_>>>()?;
        let ignores_failures = spec.string("failurePolicy")?.as_deref() == Some("Ignore");
        Ok(Mutations {
            conditions,
            variables,
            mutations: mutations.into(),
            ignores_failures,
            targets: Targets::compile(spec, &scope)?,
            template,
        })
    }

    /// Whether an object makes it act on others.
    pub(crate) fn is_triggered(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> std::result::Result<bool, String> {
        around.answering(request, |around| {
            let inputs = Inputs::among(request, around);
            let bindings = inputs.bindings(&self.variables);
            let ignores = self.ignores_failures;
            match condition::met(&self.conditions, &bindings, &mut Budget::kubernetes(), ignores) {
                Met::Yes => Ok(true),
                Met::No => Ok(false),
                Met::Error(why) => Err(why),
            }
        })
    }

    /// The objects that it changes then.
    pub(crate) fn targets_of(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> std::result::Result<Vec<Json>, String> {
        let Some(targets) = &self.targets else { return Ok(Vec::new()) };
        around.answering(request, |around| {
            let inputs = Inputs::among(request, around);
            targets.select(request, &inputs.bindings(&self.variables))
        })
    }

    /// The judgement, and the object if it was changed.
    pub(crate) fn evaluate(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
        schemas: &Schemas,
    ) -> (Judgement, Option<Json>) {
        let Some(place) = self.template else { return self.change(request, around, schemas) };
        let pod = pod_of(request.object, place);
        let old = request.old_object.map(|old| pod_of(old, place));
        let (judgement, changed) =
            self.change(&Request { object: &pod, old_object: old.as_ref(), ..*request }, around, schemas);
        (judgement, changed.map(|pod| with_pod(request.object, place, pod)))
    }

    fn change(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
        schemas: &Schemas,
    ) -> (Judgement, Option<Json>) {
        around.answering(request, |around| self.change_among(request, around, schemas))
    }

    fn change_among(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
        schemas: &Schemas,
    ) -> (Judgement, Option<Json>) {
        let inputs = Inputs::among(request, around);
        let mut budget = Budget::kubernetes();
        let bindings = inputs.bindings(&self.variables);
        let conditions = self.targets.as_ref().map_or(&self.conditions, |targets| &targets.conditions);
        match condition::met(conditions, &bindings, &mut budget, self.ignores_failures) {
            Met::Yes => {}
            Met::No => return (Judgement::new(Verdict::Skip, "skip"), None),
            Met::Error(why) => return (Judgement::error("failed to evaluate policy", why), None),
        }
        let mut current = request.object.clone();
        for mutation in &*self.mutations {
            let request = Request { object: &current, ..*request };
            let inputs = Inputs::among(&request, around);
            let bindings = inputs.bindings(&self.variables);
            let after = mutation.evaluate(&bindings).and_then(|change| applied(&current, change, schemas));
            drop(bindings);
            match after {
                Ok(after) => current = after,
                Err(why) => return (Judgement::error("failed to evaluate policy", why), None),
            }
        }
        let changed = (current != *request.object).then_some(current);
        (Judgement::new(Verdict::Pass, "success"), changed)
    }
}

fn mutation(entry: &Reader<'_>, scope: &Scope) -> Result<Mutation> {
    let compiled = |field: &str, result: Result_| {
        let part = entry.field(field).ok_or_else(|| entry.error(format!("{field} is missing")))?;
        let text = expression(&part)?;
        Ok(Expression::compiled(text.text()?, scope.compile_change(&text, result)?))
    };
    match entry.string("patchType")?.as_deref() {
        Some("JSONPatch") => compiled("jsonPatch", Result_::Patch).map(Mutation::Patch),
        Some("ApplyConfiguration") => compiled("applyConfiguration", Result_::Object).map(Mutation::Apply),
        _ => Err(entry.error("patchType is ApplyConfiguration or JSONPatch")),
    }
}

/// An object with what an expression wants changed in it.
pub(super) fn applied(object: &Json, change: Change, schemas: &Schemas) -> std::result::Result<Json, String> {
    match change {
        Change::Configuration(mut part) => {
            part["apiVersion"] = object["apiVersion"].clone();
            part["kind"] = object["kind"].clone();
            let gvk = Gvk::of(object).map_err(|error| error.to_string())?;
            merge::configure(schemas, &gvk, object, &part)
                .map_err(|why| format!("error applying patch: {why}"))
        }
        Change::Operations(operations) => {
            let operation = |one: PatchOperation| Operation::new(one.op, one.path, one.from, one.value);
            let operations: Vec<Operation> = operations.into_iter().map(operation).collect();
            match json_patch::apply(object, &operations) {
                Ok(patched) => Ok(patched),
                // A test that does not hold only ends the patch.
                Err(error) if error.test_failed => Ok(object.clone()),
                Err(error) => Err(format!("JSON Patch: {error}")),
            }
        }
    }
}

/// The pod that a controller makes, under the controller's name where it has none of its own.
fn pod_of(object: &Json, place: Place) -> Json {
    let template = place.split('.').fold(object, |node, key| &node[key]);
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    for field in OF_CONTROLLER {
        if let Some(own) = object["metadata"].get(field) {
            metadata.entry(field).or_insert_with(|| own.clone());
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// What a pod is seen to have of its controller.
const OF_CONTROLLER: [&str; 2] = ["name", "namespace"];

/// A controller with the template of a pod that was changed.
fn with_pod(object: &Json, place: Place, mut pod: Json) -> Json {
    let mut object = object.clone();
    let template = place.split('.').fold(&mut object, |node, key| &mut node[key]);
    for field in OF_CONTROLLER {
        if template["metadata"].get(field).is_none()
            && let Some(metadata) = pod["metadata"].as_object_mut()
        {
            metadata.remove(field);
        }
    }
    for part in ["metadata", "spec"] {
        let made = pod[part].take();
        let is_empty = made.is_null() || made.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty || template.get(part).is_some() {
            template[part] = made;
        }
    }
    object
}
