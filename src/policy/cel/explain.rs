//! How a rule in CEL came to its verdict.

use crate::expr::cel::{Budget, Explainer, Value};
use crate::expr::explain::Steps;

use super::condition::Condition;
use super::{Around, Validations};
use crate::policy::request::Request;

impl Validations {
    /// The conditions, the variables that are used, and the expressions up to the first that is not true, in parts.
    pub(crate) fn explain(&self, request: &Request<'_>, around: Around<'_>) -> Steps {
        around.answering(request, |around| self.explain_among(request, around))
    }

    fn explain_among(&self, request: &Request<'_>, around: Around<'_>) -> Steps {
        let conditions: Vec<Explainer> = self.conditions.iter().map(Condition::explainer).collect();
        let variables: Vec<Explainer> =
            self.variables.iter().map(|(_, program)| program.explainer()).collect();
        let expressions: Vec<Explainer> = self.validations.iter().map(|v| v.program.explainer()).collect();
        let plain = self.inputs(request, around);
        let given =
            self.verified.as_ref().and_then(|verified| verified.given(request.object, &plain).ok()?);
        let inputs = match &given {
            Some(given) => plain.with(given),
            None => plain,
        };
        let bindings = inputs.bindings(&self.variables);
        let mut budget = Budget::kubernetes();
        let mut steps = Steps::default();
        for explainer in &conditions {
            steps.head(0, "condition");
            steps.append(1, explainer.steps(&bindings));
        }
        let decides = |value| !matches!(value, Ok(Value::Bool(true)));
        let deciding = self.validations.iter().position(|v| decides(v.program.run(&bindings, &mut budget)));
        let Some(at) = deciding else { return steps };
        for ((name, _), explainer) in self.variables.iter().zip(&variables) {
            if self.is_used(name, at) {
                steps.head(0, format!("variable {name}"));
                steps.append(1, explainer.steps(&bindings));
            }
        }
        steps.head(0, format!("expression {}", at + 1));
        steps.append(1, expressions[at].steps(&bindings));
        steps
    }

    /// Whether an expression, or a variable that it uses, names a variable.
    fn is_used(&self, name: &str, at: usize) -> bool {
        let path = format!("variables.{name}");
        let names = |text: &str| {
            text.match_indices(&path).any(|(start, _)| {
                !text[start + path.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        };
        names(&self.validations[at].text)
            || self
                .variables
                .iter()
                .any(|(other, program)| other != name && names(&program.written()) && self.is_used(other, at))
    }
}
