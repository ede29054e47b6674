//! The objects that a MutatingPolicy changes when another one makes it act: `targetMatchConstraints`.

use serde_json::{Map, Value as Json};

use crate::expr::cel::{Bindings, Budget, Program};

use super::super::matching::Subjected;
use super::super::reader::{Reader, Result};
use super::super::request::{Operation, Request};
use super::condition::Condition;
use super::constraints::Constraints;
use super::environment::Scope;

/// Which objects they are.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    which: Which,
    /// What each of them must meet.
    pub(super) conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
enum Which {
    /// All that are known and match.
    Matching(Constraints),
    /// What an expression about the trigger finds.
    Found(Program),
}

impl Targets {
    /// Of a policy's `spec`; `None` if it changes the objects that it is about.
    pub(super) fn compile(spec: &Reader<'_>, scope: &Scope) -> Result<Option<Targets>> {
        let existing = spec.field("evaluation").and_then(|part| part.field("mutateExisting"));
        let enabled = existing.map(|part| part.bool("enabled")).transpose()?.flatten().unwrap_or(false);
        let Some(constraints) = spec.field("targetMatchConstraints").filter(|_| enabled) else {
            return Ok(None);
        };
        let which = match constraints.field("expression").filter(|text| text.value != "") {
            Some(expression) => Which::Found(scope.compile(&expression)?),
            None => Which::Matching(Constraints::compile(&constraints)?),
        };
        let conditions = spec.list("targetMatchConditions")?;
        let conditions =
            conditions.iter().map(|entry| Condition::compile(entry, scope)).collect::<Result<_>>()?;
        Ok(Some(Targets { which, conditions }))
    }

    /// The targets of a request, whose expressions see these names.
    pub(super) fn select<'a>(
        &'a self,
        request: &Request<'_>,
        bindings: &Bindings<'a>,
    ) -> std::result::Result<Vec<Json>, String> {
        match &self.which {
            Which::Matching(constraints) => {
                let known = request.outside.ok_or("other objects are not known here")?;
                // A target is not created or updated by anybody: its operation says nothing.
                let is = |object: &Json, operation| {
                    constraints.matches(&Subjected::of(&Request { operation, ..Request::create(object) }))
                };
                let all = known.objects("", "*").into_iter();
                let meant = |o: &&Json| is(o, Operation::Create) || is(o, Operation::Update);
                Ok(all.filter(meant).cloned().collect())
            }
            Which::Found(program) => {
                let found =
                    program.run(bindings, &mut Budget::kubernetes()).map_err(|why| why.to_string())?;
                Ok(match found.to_json() {
                    Json::Array(objects) => objects,
                    Json::Object(mut list) if list.get("items").is_some_and(Json::is_array) => {
                        let items = list.remove("items").unwrap_or_default();
                        items.as_array().cloned().unwrap_or_default()
                    }
                    Json::Object(object) if object != Map::new() => vec![object.into()],
                    _ => Vec::new(),
                })
            }
        }
    }
}
