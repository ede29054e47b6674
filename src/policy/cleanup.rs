//! CleanupPolicy and ClusterCleanupPolicy (kyverno.io): which objects go at the times of a schedule.

use serde_json::Value;

use crate::expr::{Context, Environment};
use crate::model::FieldPath;

use super::condition::Conditions;
use super::cron;
use super::images::Images;
use super::matching::Matching;
use super::reader::{CompileError, Reader, Result};
use super::request::Request;
use super::strict;
use super::validate::{Judgement, Verdict};
use super::variables::{self, Entry};

/// A policy, compiled; which objects it is about stands beside it.
#[derive(Debug, Clone)]
pub(crate) struct Cleanup {
    conditions: Option<Conditions>,
}

/// What a policy is about, what its context names, and what it does.
pub(crate) type Parts = (Matching, Vec<Entry>, Cleanup);

/// What marks objects of Kyverno itself, which it does not delete.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

impl Cleanup {
    /// Of a policy's `spec`; or all that is wrong with it.
    pub(crate) fn compile(policy: &Value) -> std::result::Result<Parts, Vec<CompileError>> {
        let root = Reader::new(policy, FieldPath::default());
        let Some(spec) = root.field("spec") else { return Err(vec![root.error("spec is missing")]) };
        let mut errors = strict::of_cleanup(&spec).errors;
        if !errors.is_empty() {
            return Err(errors);
        }
        parts(&spec).map_err(|error| {
            errors.push(error);
            errors
        })
    }

    /// What its expressions see of an object, before the policy adds its own names.
    pub(crate) fn context<'a>(
        environment: &Environment,
        request: &Request<'a>,
        images: &'a Images<'a>,
    ) -> Context<'a> {
        let mut context = Context::new(environment.clone());
        if let Some(outside) = request.outside {
            context.ask(outside);
        }
        let namespace = request.object["metadata"]["namespace"].as_str().unwrap_or_default();
        context.bind("target", request.object);
        context.bind_owned("request.namespace", namespace.into());
        context.bind_lazy("images", images);
        context
    }

    /// Whether an object that it is about goes: then the judgement is a pass.
    pub(crate) fn evaluate(&self, object: &Value, context: &Context<'_>) -> Judgement {
        if object["metadata"]["labels"][MANAGED_BY] == "kyverno" {
            return Judgement::new(Verdict::Skip, "what Kyverno manages is not deleted");
        }
        match self.conditions.as_ref().map(|conditions| conditions.evaluate(context)) {
            Some(Err(why)) => Judgement::error("failed to evaluate conditions", why),
            Some(Ok(held)) if !held.holds => Judgement::new(Verdict::Fail, "resource did not match"),
            _ => Judgement::new(Verdict::Pass, "resource matched"),
        }
    }
}

fn parts(spec: &Reader<'_>) -> Result<Parts> {
    let schedule = spec.field("schedule").ok_or_else(|| spec.error("schedule is missing"))?;
    cron::check(schedule.text()?).map_err(|why| schedule.error(why))?;
    if let Some(propagation) = spec.field("deletionPropagationPolicy")
        && !["Foreground", "Background", "Orphan"].contains(&propagation.text()?)
    {
        return Err(propagation.error("Foreground, Background or Orphan is expected here"));
    }
    let conditions =
        spec.field("conditions").map(|conditions| Conditions::compile(&conditions)).transpose()?;
    Ok((Matching::compile(spec)?, variables::entries(spec)?, Cleanup { conditions }))
}
