//! What each expression of a MutatingPolicy makes of an object.

use serde_json::Value as Json;

use super::{Mutations, applied, pod_of};
use crate::expr::cel::Explainer;
use crate::expr::explain::Steps;
use crate::policy::cel::condition::Condition;
use crate::policy::cel::explain::{Variables, explain_conditions};
use crate::policy::cel::inputs::{Around, Inputs};
use crate::policy::request::Request;
use crate::schema::Schemas;

impl Mutations {
    /// The conditions, the variables, and each mutation with what it changes.
    pub(crate) fn explain(&self, request: &Request<'_>, around: Around<'_>, schemas: &Schemas) -> Steps {
        around.answering(request, |around| self.explain_among(request, around, schemas))
    }

    fn explain_among(&self, request: &Request<'_>, around: Around<'_>, schemas: &Schemas) -> Steps {
        let Some(place) = self.template else { return self.explain_change(request, around, schemas) };
        let pod = pod_of(request.object, place);
        let mut steps = Steps::default();
        steps.head(0, format!("seen as the pod at {place}"));
        let request = Request { object: &pod, old_object: None, ..*request };
        steps.append(1, self.explain_change(&request, around, schemas));
        steps
    }

    fn explain_change(&self, request: &Request<'_>, around: Around<'_>, schemas: &Schemas) -> Steps {
        let variables = Variables::of(&self.variables);
        let taken: Vec<Explainer> = self.conditions.iter().map(Condition::explainer).collect();
        let inputs = Inputs::among(request, around);
        let mut steps = Steps::default();
        {
            let bindings = inputs.bindings(&self.variables);
            if !explain_conditions(&self.conditions, &taken, &bindings, &mut steps) {
                return steps;
            }
            let texts: Vec<&str> =
                self.mutations.iter().map(|mutation| mutation.expression().text.as_str()).collect();
            variables.explain(&texts, &bindings, &mut steps);
        }
        let mut current = request.object.clone();
        for (at, mutation) in self.mutations.iter().enumerate() {
            let after = {
                let now = Request { object: &current, ..*request };
                let inputs = Inputs::among(&now, around);
                let bindings = inputs.bindings(&self.variables);
                mutation.evaluate(&bindings).and_then(|change| applied(&current, change, schemas))
            };
            current = tell(at, &current, after, &mut steps);
        }
        steps
    }
}

/// What a mutation changes, and the object after it.
pub(in crate::policy::cel) fn tell(
    at: usize,
    before: &Json,
    after: Result<Json, String>,
    steps: &mut Steps,
) -> Json {
    let name = format!("mutation {}", at + 1);
    match after {
        Ok(after) if after == *before => steps.head(0, format!("{name} changes nothing")),
        Ok(after) => {
            steps.head(0, name);
            steps.changes(1, before, &after);
            return after;
        }
        Err(why) => steps.add(0, name, Err(why)),
    }
    before.clone()
}
