//! PolicyException of policies.kyverno.io: objects that named CEL policies leave alone.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};

use crate::expr::cel::{Budget, Explainer};
use crate::expr::explain::Steps;

use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::super::validate::{Judgement, Verdict};
use super::condition::{self, Condition, Met};
use super::environment::Scope;
use super::explain::explain_conditions;
use super::inputs::{Around, Inputs};

/// A compiled exception.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    /// Its name, with the namespace before it if it has one.
    name: String,
    /// Kind and name of each policy.
    policies: Vec<(String, String)>,
    conditions: Vec<Condition>,
    /// Images and values that it allows where the policy asks for them; with any, it exempts nothing else.
    images: Vec<String>,
    values: Vec<String>,
    /// Whether reports count the object as passed instead of skipped.
    passes: bool,
}

impl Exception {
    pub(crate) fn compile(root: &Reader<'_>, name: String) -> Result<Exception> {
        let spec = root.field("spec").ok_or_else(|| root.error("spec is missing"))?;
        let policy = |entry: &Reader<'_>| {
            let text =
                |field: &str| entry.string(field)?.ok_or_else(|| entry.error(format!("{field} is missing")));
            Ok((text("kind")?, text("name")?))
        };
        let scope = Scope::of_policy();
        let condition = |entry: &Reader<'_>| Condition::compile(entry, &scope);
        Ok(Exception {
            name,
            policies: spec.list("policyRefs")?.iter().map(policy).collect::<Result<_>>()?,
            conditions: spec.list("matchConditions")?.iter().map(condition).collect::<Result<_>>()?,
            images: spec.strings("images")?,
            values: spec.strings("allowedValues")?,
            passes: spec.string("reportResult")?.as_deref() == Some("pass"),
        })
    }

    /// Those that name a policy, and whether each is about the object.
    pub(crate) fn explain(
        exceptions: &[Exception],
        kind: &str,
        policy: &str,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> Steps {
        let named = exceptions.iter().filter(|exception| exception.names(kind, policy));
        let taken: Vec<(&Exception, Vec<Explainer>)> = named
            .map(|exception| (exception, exception.conditions.iter().map(Condition::explainer).collect()))
            .collect();
        let inputs = Inputs::among(request, around);
        let bindings = inputs.bindings(&[]);
        let mut steps = Steps::default();
        for (exception, explainers) in &taken {
            let mut inner = Steps::default();
            let holds = explain_conditions(&exception.conditions, explainers, &bindings, &mut inner);
            steps.add(0, format!("exception {} is about the object", exception.name), Ok(holds.into()));
            steps.append(1, inner);
            for (what, list) in [("images", &exception.images), ("values", &exception.values)] {
                if holds && !list.is_empty() {
                    steps.add(1, format!("allowed {what}"), Ok(list.as_slice().into()));
                }
            }
        }
        steps
    }

    fn names(&self, kind: &str, policy: &str) -> bool {
        self.policies.iter().any(|(k, name)| k == kind && name == policy)
    }

    /// What the exceptions that are about a policy and an object mean: the judgement if one exempts it wholly, or what
    /// they allow. Conditions that cannot be evaluated exempt nobody.
    pub(crate) fn among(
        exceptions: &[Exception],
        kind: &str,
        policy: &str,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> std::result::Result<Json, Judgement> {
        let mut named = exceptions.iter().filter(|exception| exception.names(kind, policy)).peekable();
        if named.peek().is_none() {
            return Ok(NOTHING_ALLOWED.clone());
        }
        let named: Vec<&Exception> = named.collect();
        let exempting: Vec<&Exception> = around.answering(request, |around| {
            let inputs = Inputs::among(request, around);
            let bindings = inputs.bindings(&[]);
            let mut exempting = Vec::new();
            for &exception in &named {
                let mut budget = Budget::kubernetes();
                if let Met::Yes = condition::met(&exception.conditions, &bindings, &mut budget, false) {
                    exempting.push(exception);
                }
            }
            exempting
        });
        let is_whole = |exception: &&&Exception| exception.images.is_empty() && exception.values.is_empty();
        let Some(first) = exempting.iter().find(is_whole) else {
            let all = |of: fn(&Exception) -> &Vec<String>| -> Vec<&String> {
                exempting.iter().flat_map(|exception| of(exception)).collect()
            };
            return Ok(json!({"allowedImages": all(|e| &e.images), "allowedValues": all(|e| &e.values)}));
        };
        let names: Vec<&str> = exempting.iter().map(|exception| exception.name.as_str()).collect();
        let (verdict, word) =
            if first.passes { (Verdict::Pass, "passed") } else { (Verdict::Skip, "skipped") };
        let message = format!("rule is {word} due to policy exception: {}", names.join(", "));
        Err(Judgement::new(verdict, message))
    }
}

/// What is allowed without exceptions.
pub(crate) static NOTHING_ALLOWED: LazyLock<Json> =
    LazyLock::new(|| json!({"allowedImages": [], "allowedValues": []}));
