//! PolicyException of policies.kyverno.io: objects that named CEL policies leave alone.

use crate::expr::cel::Budget;

use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::super::validate::{Judgement, Verdict};
use super::condition::{self, Condition, Met};
use super::environment::Scope;
use super::inputs::{Around, Inputs};

/// A compiled exception.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    /// Its name, with the namespace before it if it has one.
    name: String,
    /// Kind and name of each policy.
    policies: Vec<(String, String)>,
    conditions: Vec<Condition>,
    /// Whether reports count the object as passed instead of skipped.
    passes: bool,
}

impl Exception {
    pub(crate) fn compile(root: &Reader<'_>, name: String) -> Result<Exception> {
        let spec = root.field("spec").ok_or_else(|| root.error("spec is missing"))?;
        for field in ["images", "allowedValues"] {
            if let Some(part) = spec.field(field).filter(|part| part.items().is_ok_and(|i| !i.is_empty())) {
                return Err(part.error(format!("{field} of an exception are not evaluated")));
            }
        }
        let policy = |entry: &Reader<'_>| {
            let text =
                |field: &str| entry.string(field)?.ok_or_else(|| entry.error(format!("{field} is missing")));
            Ok((text("kind")?, text("name")?))
        };
        let scope = Scope::of_policy();
        let condition = |entry: &Reader<'_>| Condition::compile(entry, &scope);
        Ok(Exception {
            name,
            policies: spec.list("policyRefs")?.iter().map(policy).collect::<Result<_>>()?,
            conditions: spec.list("matchConditions")?.iter().map(condition).collect::<Result<_>>()?,
            passes: spec.string("reportResult")?.as_deref() == Some("pass"),
        })
    }

    /// The judgement if some of the exceptions are about a policy and an object. Conditions that cannot be evaluated exempt
    /// nobody.
    pub(crate) fn among(
        exceptions: &[Exception],
        kind: &str,
        policy: &str,
        request: &Request<'_>,
        around: Around<'_>,
    ) -> Option<Judgement> {
        let named =
            |exception: &&Exception| exception.policies.iter().any(|(k, name)| k == kind && name == policy);
        let mut named = exceptions.iter().filter(named).peekable();
        named.peek()?;
        let inputs = Inputs::among(request, around);
        let bindings = inputs.bindings(&[]);
        let mut exempting: Vec<&Exception> = Vec::new();
        for exception in named {
            let mut budget = Budget::kubernetes();
            if let Met::Yes = condition::met(&exception.conditions, &bindings, &mut budget, false) {
                exempting.push(exception);
            }
        }
        let first = exempting.first()?;
        let names: Vec<&str> = exempting.iter().map(|exception| exception.name.as_str()).collect();
        let (verdict, word) =
            if first.passes { (Verdict::Pass, "passed") } else { (Verdict::Skip, "skipped") };
        let message = format!("rule is {word} due to policy exception: {}", names.join(", "));
        Some(Judgement::new(verdict, message))
    }
}
