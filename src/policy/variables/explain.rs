//! What the entries of a `context` came to, and where their values come from.

use std::borrow::Cow;

use serde_json::Value;

use super::{Entry, Path, Source, Variable};
use crate::expr::Context;
use crate::expr::context::{Found, Standing, branch_value};
use crate::expr::explain::Steps;
use crate::policy::condition::Conditions;

/// A value that stands in for what would be asked for.
const GIVEN: &str = "the values that are given";
/// A value that stands in for what could not be told.
pub(crate) const DEFAULT: &str = "its default";

/// The entries that were read, and their values.
pub(crate) fn explain(context: &Context<'_>, entries: &[Entry]) -> Steps {
    let mut steps = Steps::default();
    for entry in entries {
        let (from, inner) = match context.standing(&entry.name) {
            Standing::Unknown | Standing::Unread => continue,
            Standing::Given => (Some(Cow::Borrowed(GIVEN)), Steps::default()),
            Standing::Read => match &entry.source {
                Source::Variable(variable) => variable.explain(context),
                Source::Outside(lookup) => lookup.explain(context),
            },
        };
        let value = match context.lookup(&entry.name) {
            Ok(Some(Found::Value(value))) => Ok(value.clone()),
            Ok(Some(Found::Branch(parts))) => Ok(branch_value(parts)),
            Ok(None) => continue,
            Err(error) => Err(error.to_string()),
        };
        steps.add_from(0, format!("context {}", entry.name), from, value);
        steps.append(1, inner);
    }
    steps
}

/// Preconditions, and whether they hold; what stands behind them is of no interest if not.
pub(crate) fn explain_preconditions(
    conditions: Option<&Conditions>,
    context: &Context<'_>,
    steps: &mut Steps,
) -> bool {
    let Some(conditions) = conditions else { return true };
    let holds = conditions.evaluate(context).map(|held| held.holds);
    steps.add(0, "preconditions", holds.clone().map(Value::Bool));
    steps.append(1, conditions.explain(context));
    holds == Ok(true)
}

impl Variable {
    fn explain(&self, context: &Context<'_>) -> (Option<Cow<'static, str>>, Steps) {
        let mut steps = Steps::default();
        if let Some(value) = &self.value {
            steps.append(0, value.explain(context));
        } else if let Some(Path::Compiled(expression)) = &self.path {
            steps.append(0, expression.explain(context));
        }
        let is_default = self.evaluate(context).is_ok_and(|(_, is_default)| is_default);
        (is_default.then_some(Cow::Borrowed(DEFAULT)), steps)
    }
}
