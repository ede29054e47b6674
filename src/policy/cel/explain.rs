//! How a policy in CEL came to its verdict.

use crate::expr::cel::{Bindings, Budget, Explainer, Program, Value};
use crate::expr::explain::Steps;

use super::condition::Condition;
use super::{Around, Validations};
use crate::policy::request::Request;

impl Validations {
    /// The conditions, the variables that are used, and the expressions, up to the first that is not true if there is one.
    pub(crate) fn explain(&self, request: &Request<'_>, around: Around<'_>) -> Steps {
        around.answering(request, |around| self.explain_among(request, around))
    }

    fn explain_among(&self, request: &Request<'_>, around: Around<'_>) -> Steps {
        let variables = Variables::of(&self.variables);
        let conditions: Vec<Explainer> = self.conditions.iter().map(Condition::explainer).collect();
        let expressions: Vec<Explainer> = self.validations.iter().map(|v| v.program.explainer()).collect();
        let messages: Vec<Option<Explainer>> = self
            .validations
            .iter()
            .map(|v| v.message_expression.as_ref().map(|program| program.explainer()))
            .collect();
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
        if !explain_conditions(&self.conditions, &conditions, &bindings, &mut steps) {
            return steps;
        }
        let decides = |value| !matches!(value, Ok(Value::Bool(true)));
        let deciding = self.validations.iter().position(|v| decides(v.program.run(&bindings, &mut budget)));
        let shown = |at: &usize| deciding.is_none_or(|deciding| deciding == *at);
        let shown: Vec<usize> = (0..self.validations.len()).filter(shown).collect();
        let texts = shown.iter().map(|at| self.validations[*at].text.as_str()).collect::<Vec<_>>();
        variables.explain(&texts, &bindings, &mut steps);
        for at in shown {
            steps.head(0, format!("expression {}", at + 1));
            steps.append(1, expressions[at].steps(&bindings));
            if let (Some(message), Some(_)) = (&messages[at], deciding) {
                steps.head(0, "messageExpression");
                steps.append(1, message.steps(&bindings));
            }
        }
        steps
    }
}

/// Conditions up to the first that is false, and whether all hold.
pub(super) fn explain_conditions<'a>(
    conditions: &'a [Condition],
    explainers: &'a [Explainer],
    bindings: &Bindings<'a>,
    steps: &mut Steps,
) -> bool {
    let mut budget = Budget::kubernetes();
    let mut all = true;
    for (at, (condition, explainer)) in conditions.iter().zip(explainers).enumerate() {
        steps.head(0, format!("matchCondition {}", at + 1));
        steps.append(1, explainer.steps(bindings));
        match condition.evaluate(bindings, &mut budget) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return false,
            _ => all = false,
        }
    }
    all
}

/// The variables of a policy, each ready to be explained.
pub(super) struct Variables<'p>(Vec<(&'p str, String, Explainer)>);

impl<'p> Variables<'p> {
    pub(super) fn of(variables: &'p [(String, Program)]) -> Variables<'p> {
        let of =
            |(name, program): &'p (String, Program)| (name.as_str(), program.written(), program.explainer());
        Variables(variables.iter().map(of).collect())
    }

    /// Those that expressions use, themselves or through others.
    pub(super) fn explain<'a>(&'a self, texts: &[&str], bindings: &Bindings<'a>, steps: &mut Steps) {
        for (name, _, explainer) in &self.0 {
            if texts.iter().any(|text| self.uses(text, name, 0)) {
                steps.head(0, format!("variable {name}"));
                steps.append(1, explainer.steps(bindings));
            }
        }
    }

    fn uses(&self, text: &str, name: &str, depth: usize) -> bool {
        crate::expr::admission::names_variable(text, name)
            || depth < self.0.len()
                && self.0.iter().any(|(other, written, _)| {
                    *other != name
                        && crate::expr::admission::names_variable(written, name)
                        && self.uses(text, other, depth + 1)
                })
    }
}
