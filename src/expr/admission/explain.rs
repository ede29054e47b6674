//! How a ValidatingAdmissionPolicy came to what it says, and what a MutatingAdmissionPolicy looks at.

use std::cell::RefCell;

use super::expression::{Conditions, Expression};
use super::{Mutator, Validator, Variable, define};
use crate::expr::cel::{Bindings, Budget, Explainer, Program, Value};
use crate::expr::explain::Steps;

/// The expressions of a policy, taken apart.
pub(crate) struct Taken {
    conditions: Vec<Option<Explainer>>,
    variables: Vec<(String, String, Option<Explainer>)>,
    expressions: Vec<Option<Explainer>>,
    messages: Vec<Option<Explainer>>,
}

fn taken(expression: &Expression) -> Option<Explainer> {
    expression.program().map(Program::explainer)
}

impl Taken {
    fn of<'e>(
        conditions: &Conditions,
        variables: &[Variable],
        expressions: impl Iterator<Item = &'e Expression>,
    ) -> Taken {
        let variable = |variable: &Variable| {
            (variable.name.clone(), variable.expression.text.clone(), taken(&variable.expression))
        };
        Taken {
            conditions: conditions.expressions().map(taken).collect(),
            variables: variables.iter().map(variable).collect(),
            expressions: expressions.map(taken).collect(),
            messages: Vec::new(),
        }
    }

    /// The conditions up to the first that is false, and whether all hold.
    fn conditions<'a>(
        &'a self,
        conditions: &'a Conditions,
        bindings: &Bindings<'a>,
        steps: &mut Steps,
    ) -> bool {
        let budget = RefCell::new(Budget::kubernetes());
        let mut all = true;
        for (at, (condition, explainer)) in conditions.expressions().zip(&self.conditions).enumerate() {
            steps.head(0, format!("matchCondition {}", at + 1));
            tell(explainer.as_ref(), bindings, steps);
            match condition.evaluate(bindings, &budget) {
                Ok(Ok(Value::Bool(true))) => {}
                Ok(Ok(Value::Bool(false))) => return false,
                _ => all = false,
            }
        }
        all
    }

    /// The variables that expressions use.
    fn variables<'a>(&'a self, texts: &[&str], bindings: &Bindings<'a>, steps: &mut Steps) {
        for (name, _, explainer) in &self.variables {
            if texts.iter().any(|text| self.uses(text, name, 0)) {
                steps.head(0, format!("variable {name}"));
                tell(explainer.as_ref(), bindings, steps);
            }
        }
    }

    fn uses(&self, text: &str, name: &str, depth: usize) -> bool {
        names_variable(text, name)
            || depth < self.variables.len()
                && self.variables.iter().any(|(other, written, _)| {
                    other != name && names_variable(written, name) && self.uses(text, other, depth + 1)
                })
    }
}

/// Whether an expression names a variable of its policy.
pub(crate) fn names_variable(text: &str, name: &str) -> bool {
    let path = format!("variables.{name}");
    text.match_indices(&path)
        .any(|(start, _)| !text[start + path.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn tell<'a>(explainer: Option<&'a Explainer>, bindings: &Bindings<'a>, steps: &mut Steps) {
    explainer.into_iter().for_each(|explainer| steps.append(1, explainer.steps(bindings)));
}

impl Validator {
    /// Its expressions, ready to be explained.
    pub fn taken(&self) -> Taken {
        let taken_ = Taken::of(&self.conditions, &self.variables, self.expressions());
        Taken { messages: self.messages().map(|message| message.and_then(taken)).collect(), ..taken_ }
    }

    /// The conditions, the variables that are used, and the expressions that do not hold; all of them if all hold.
    pub fn explain<'a>(&'a self, taken: &'a Taken, mut bindings: Bindings<'a>) -> Steps {
        define(&self.variables, &mut bindings);
        let mut steps = Steps::default();
        if !taken.conditions(&self.conditions, &bindings, &mut steps) {
            return steps;
        }
        let budget = RefCell::new(Budget::kubernetes());
        let holds: Vec<bool> = self
            .expressions()
            .map(|one| matches!(one.evaluate(&bindings, &budget), Ok(Ok(Value::Bool(true)))))
            .collect();
        let all = holds.iter().all(|holds| *holds);
        let shown: Vec<usize> = (0..holds.len()).filter(|at| all || !holds[*at]).collect();
        let texts: Vec<&str> = self
            .expressions()
            .enumerate()
            .filter(|(at, _)| shown.contains(at))
            .map(|(_, one)| one.text.as_str())
            .collect();
        taken.variables(&texts, &bindings, &mut steps);
        for at in shown {
            steps.head(0, format!("expression {}", at + 1));
            tell(taken.expressions[at].as_ref(), &bindings, &mut steps);
            if let (Some(message), false) = (&taken.messages[at], all) {
                steps.head(0, "messageExpression");
                tell(Some(message), &bindings, &mut steps);
            }
        }
        steps
    }
}

impl Mutator {
    /// Its expressions, ready to be explained.
    pub fn taken(&self) -> Taken {
        Taken::of(&self.conditions, &self.variables, self.mutations.iter().map(super::Mutation::expression))
    }

    /// The conditions and the variables that its mutations use; and whether the conditions hold.
    pub fn explain<'a>(&'a self, taken: &'a Taken, mut bindings: Bindings<'a>) -> (Steps, bool) {
        define(&self.variables, &mut bindings);
        let mut steps = Steps::default();
        if !taken.conditions(&self.conditions, &bindings, &mut steps) {
            return (steps, false);
        }
        let texts: Vec<&str> =
            self.mutations.iter().map(|mutation| mutation.expression().text.as_str()).collect();
        taken.variables(&texts, &bindings, &mut steps);
        (steps, true)
    }
}
