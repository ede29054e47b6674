//! One webhook of a configuration: what it is asked about, and how.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::attributes::Attributes;
use super::caller::Caller;
use super::matching::Constraints;
use super::policy::{Inputs, Shown};
use super::review::{self, Verdict};
use crate::expr::admission::{Conditions, Place};
use crate::plane::kinds::Resource;
use crate::plane::status::Failure;

/// A webhook, compiled.
#[derive(Debug)]
pub(super) struct Webhook {
    /// Tells it from all others, also from one of the same name in its configuration.
    pub id: String,
    pub name: String,
    pub constraints: Constraints,
    /// Whether a call that fails is as good as one that allows.
    pub ignores_failures: bool,
    /// Whether it is called again after somebody else changed the object.
    pub reinvoked: bool,
    configuration: String,
    /// The version of `AdmissionReview` that it reads.
    version: Option<&'static str>,
    without_side_effects: bool,
    conditions: Conditions,
    caller: Caller,
}

/// Why a webhook did not allow a request.
pub(super) enum Refusal {
    /// It could not be asked.
    Unreachable(String),
    /// It refused, or the question cannot be put.
    Denied(Box<Failure>),
}

impl Webhook {
    /// The webhooks of a configuration, in their order.
    pub fn of_configuration(configuration: &Value) -> Vec<Arc<Webhook>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = text(&configuration["metadata"]["name"]);
        let mut names: Vec<String> = Vec::new();
        let mut hooks = Vec::new();
        for hook in configuration["webhooks"].as_array().into_iter().flatten() {
            let name = text(&hook["name"]);
            let same = names.iter().filter(|known| **known == name).count();
            names.push(name.clone());
            let reviews = hook["admissionReviewVersions"].as_array().into_iter().flatten();
            let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10);
            hooks.push(Arc::new(Webhook {
                id: format!("{of}/{name}/{same}"),
                constraints: Constraints::of_webhook(hook),
                ignores_failures: hook["failurePolicy"] == "Ignore",
                reinvoked: hook["reinvocationPolicy"] == "IfNeeded",
                configuration: of.clone(),
                version: reviews.filter_map(Value::as_str).find_map(|version| match version {
                    "v1" => Some("v1"),
                    "v1beta1" => Some("v1beta1"),
                    _ => None,
                }),
                without_side_effects: matches!(hook["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")),
                conditions: Conditions::of(&hook["matchConditions"], Place::condition(false), None),
                caller: Caller::of(&hook["clientConfig"], Duration::from_secs(seconds)),
                name,
            }));
        }
        hooks
    }

    /// The form of the resource that it wants to see, if it is asked about this request.
    pub fn asked(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<Option<Arc<Resource>>, Failure> {
        let form = self.constraints.matched(attributes, object, old)?;
        match form {
            Some(form) if !self.conditions.is_empty() => {
                let shown = Shown::of(attributes, &form, object, old);
                let inputs =
                    Inputs { shown: &shown, namespace: &Value::Null, params: &Value::Null, attributes };
                match self.conditions.met(&inputs.bindings(), self.ignores_failures) {
                    Ok(met) => Ok(met.then_some(form)),
                    Err(why) => Err(Failure::forbidden(&attributes.call.resource, &attributes.name, &why)),
                }
            }
            form => Ok(form),
        }
    }

    /// Puts the question; the objects are in the form that it wants to see.
    pub async fn ask(
        &self,
        attributes: &Attributes<'_>,
        form: &Resource,
        object: &Value,
        old: &Value,
        mutating: bool,
    ) -> Result<Verdict, Refusal> {
        if attributes.is_dry_run() && !self.without_side_effects {
            let why = format!("admission webhook {:?} does not support dry run", self.name);
            return Err(Refusal::Denied(Box::new(Failure::bad_request(why))));
        }
        let unreachable =
            |why: String| Refusal::Unreachable(format!("failed calling webhook {:?}: {why}", self.name));
        let version = self.version.ok_or_else(|| {
            unreachable(
                "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"
                    .to_owned(),
            )
        })?;
        let (uid, question) = review::ask(version, attributes.request(form), object, old);
        let bytes = serde_json::to_vec(&question).unwrap_or_default();
        let answer = self
            .caller
            .post(attributes.call.server, bytes)
            .await
            .map_err(|why| unreachable(format!("failed to call webhook: {why}")))?;
        let verdict = review::read(version, &uid, mutating, &answer)
            .map_err(|why| unreachable(format!("received invalid webhook response: {why}")))?;
        let notes = &attributes.call.notes;
        for (key, value) in &verdict.annotations {
            notes.annotate(format!("{}/{key}", self.name), value.clone());
        }
        verdict.warnings.iter().for_each(|warning| notes.warn(warning.clone()));
        if verdict.allowed {
            return Ok(verdict);
        }
        Err(Refusal::Denied(Box::new(Failure::of_status(review::refusal(&self.name, &verdict.status)))))
    }

    /// What the audit log says of a call of a mutating webhook.
    pub fn mutation_note(&self, changed: bool) -> String {
        serde_json::json!({"configuration": self.configuration, "webhook": self.name, "mutated": changed})
            .to_string()
    }
}
