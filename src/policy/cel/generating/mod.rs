//! GeneratingPolicy (policies.kyverno.io): objects that exist because another one does.

mod explain;
mod template;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::expr::cel::{Bindings, Budget, Program, Value};

use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::condition::{self, Condition, Met};
use super::environment::Scope;
use super::expression;
use super::inputs::{Around, Inputs};
use super::library::Generator;
use template::Template;

/// The expressions of a policy, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Generations {
    conditions: Vec<Condition>,
    variables: Vec<(String, Program)>,
    makers: Vec<Maker>,
    /// Whether what is made is kept equal to the policy.
    pub(crate) synchronize: bool,
    /// Whether objects from before the policy make it act as well.
    pub(crate) existing: bool,
    /// Whether what is made stays when the policy goes.
    pub(crate) keeps: bool,
}

/// An entry of `generate`.
#[derive(Debug, Clone)]
enum Maker {
    /// It calls `generator.Apply`.
    Expression(Program),
    /// Documents with expressions in them.
    Template(Template),
}

impl Generations {
    /// Of a policy's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>) -> Result<Generations> {
        let mut scope = Scope::of_policy();
        let variables = scope.define(&spec.list("variables")?)?;
        let conditions = spec.list("matchConditions")?;
        let conditions =
            conditions.iter().map(|entry| Condition::compile(entry, &scope)).collect::<Result<_>>()?;
        let entries = spec.list("generate")?;
        if entries.is_empty() {
            return Err(spec.error("generate is missing"));
        }
        let maker = |entry: &Reader<'_>| match entry.field("template") {
            Some(template) => Template::compile(&template, &scope).map(Maker::Template),
            None => scope.compile(&expression(entry)?).map(Maker::Expression),
        };
        let enabled = |name: &str| match spec.field("evaluation").and_then(|part| part.field(name)) {
            Some(part) => part.bool("enabled").map(|enabled| enabled.unwrap_or(false)),
            None => Ok(false),
        };
        Ok(Generations {
            conditions,
            variables,
            makers: entries.iter().map(maker).collect::<Result<_>>()?,
            synchronize: enabled("synchronize")?,
            existing: enabled("generateExisting")?,
            keeps: enabled("orphanDownstreamOnPolicyDelete")?,
        })
    }

    /// What it makes of an object; `None` if its conditions are not met.
    pub(crate) fn evaluate(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> std::result::Result<Option<Vec<Json>>, String> {
        around.answering(request, |around| self.evaluate_among(request, around))
    }

    fn evaluate_among(
        &self,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> std::result::Result<Option<Vec<Json>>, String> {
        let inputs = Inputs::among(request, around);
        let generator = Arc::new(Generator::of(around.namespace));
        let mut bindings = inputs.bindings(&self.variables);
        bindings.set("generator", Value::Opaque(generator.clone()));
        let mut budget = Budget::kubernetes();
        match condition::met(&self.conditions, &bindings, &mut budget, false) {
            Met::Yes => {}
            Met::No => return Ok(None),
            Met::Error(why) => return Err(why),
        }
        for maker in &self.makers {
            maker.make(&bindings, &mut budget, &generator)?;
        }
        Ok(Some(generator.take()))
    }
}

impl Maker {
    fn make<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &mut Budget,
        generator: &Generator,
    ) -> std::result::Result<(), String> {
        match self {
            Maker::Expression(program) => match program.run(bindings, budget) {
                Ok(Value::Bool(false)) => Err("the expression is false".to_owned()),
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Maker::Template(template) => {
                for object in template.render(bindings, budget)? {
                    generator.add(object).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
        }
    }
}
