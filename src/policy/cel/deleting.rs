//! DeletingPolicy (policies.kyverno.io): which objects go at the times of a schedule.

use crate::expr::cel::{Budget, Program};

use super::super::cron;
use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::super::validate::{Judgement, Verdict};
use super::condition::{self, Condition, Met};
use super::environment::Scope;
use super::inputs::{Around, Inputs};

/// The expressions of a policy, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Deletions {
    variables: Vec<(String, Program)>,
    conditions: Vec<Condition>,
}

impl Deletions {
    /// Of a policy's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>) -> Result<Deletions> {
        let schedule = spec.field("schedule").ok_or_else(|| spec.error("schedule is missing"))?;
        cron::check(schedule.text()?).map_err(|why| schedule.error(why))?;
        let mut scope = Scope::of_policy();
        let variables = scope.define(&spec.list("variables")?)?;
        let conditions = spec.list("conditions")?;
        let conditions =
            conditions.iter().map(|entry| Condition::compile(entry, &scope)).collect::<Result<_>>()?;
        Ok(Deletions { variables, conditions })
    }

    /// Whether an object that its constraints match goes: then the judgement is a pass.
    pub(crate) fn evaluate(&self, request: &Request<'_>, around: Around<'_>) -> Judgement {
        around.answering(request, |around| {
            let inputs = Inputs::among(request, around);
            let bindings = inputs.bindings(&self.variables);
            match condition::met(&self.conditions, &bindings, &mut Budget::kubernetes(), false) {
                Met::Yes => Judgement::new(Verdict::Pass, "resource matched"),
                Met::No => Judgement::new(Verdict::Fail, "resource did not match"),
                Met::Error(why) => Judgement::new(Verdict::Error, why),
            }
        })
    }
}
