//! What a violation means: it holds the object up, or it is only reported.

use crate::expr::wildcard;

use super::matching::Subjected;
use super::reader::{Reader, Result};
use super::selector::Selector;

/// When violations of a rule are enforced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Action {
    enforce: bool,
    overrides: Vec<Override>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Override {
    enforce: bool,
    namespaces: Vec<String>,
    selector: Option<Selector>,
}

impl Action {
    /// Of a policy's `spec`.
    pub(crate) fn of_policy(spec: &Reader<'_>) -> Result<Action> {
        Ok(Action {
            enforce: action(spec, "validationFailureAction")?.unwrap_or(false),
            overrides: overrides(spec, "validationFailureActionOverrides")?,
        })
    }

    /// Of a rule's `validate`, which goes before what the policy says.
    pub(crate) fn of_rule(&self, validate: &Reader<'_>) -> Result<Action> {
        let overrides = overrides(validate, "failureActionOverrides")?;
        Ok(Action {
            enforce: action(validate, "failureAction")?.unwrap_or(self.enforce),
            overrides: if overrides.is_empty() { self.overrides.clone() } else { overrides },
        })
    }

    /// Everything is enforced.
    pub(crate) fn enforced() -> Action {
        Action { enforce: true, overrides: Vec::new() }
    }

    /// Whether violations are enforced where no override is about the object.
    pub(crate) fn enforces_by_default(&self) -> bool {
        self.enforce
    }

    /// Whether a violation by this object is enforced.
    pub(crate) fn enforces(&self, object: &Subjected<'_>) -> bool {
        self.overrides.iter().find(|o| o.is_about(object)).map_or(self.enforce, |o| o.enforce)
    }
}

impl Override {
    fn is_about(&self, object: &Subjected<'_>) -> bool {
        let named = self.namespaces.iter().any(|pattern| wildcard::matches(pattern, object.namespace()));
        let selected = self.selector.as_ref().is_some_and(|s| s.matches(object.namespace_labels()));
        match (self.namespaces.is_empty(), &self.selector) {
            (true, _) => selected,
            (false, None) => named,
            (false, Some(_)) => named && selected,
        }
    }
}

fn action(reader: &Reader<'_>, name: &str) -> Result<Option<bool>> {
    let Some(field) = reader.field(name) else { return Ok(None) };
    match field.text()? {
        "Enforce" | "enforce" => Ok(Some(true)),
        "Audit" | "audit" => Ok(Some(false)),
        _ => Err(field.error("Enforce or Audit is expected here")),
    }
}

fn overrides(reader: &Reader<'_>, name: &str) -> Result<Vec<Override>> {
    let one = |item: &Reader<'_>| {
        Ok(Override {
            enforce: action(item, "action")?.ok_or_else(|| item.error("action is missing"))?,
            namespaces: item.strings("namespaces")?,
            selector: item.field("namespaceSelector").map(|s| Selector::compile(&s)).transpose()?,
        })
    };
    reader.list(name)?.iter().map(one).collect()
}
