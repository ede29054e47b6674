//! Exceptions: objects that named rules leave alone.

use crate::expr::explain::Steps;
use crate::expr::{Context, wildcard};

use super::condition::Conditions;
use super::matching::{Matching, Subjected};
use super::pod_security::Exclusion;
use super::reader::{Reader, Result};

/// A compiled `PolicyException`.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    /// Its name, with the namespace before it if it has one.
    pub(crate) name: String,
    rules: Vec<Exempt>,
    matching: Matching,
    conditions: Option<Conditions>,
    /// What of the Pod Security Standards it is about; empty if it is about whole rules.
    pub(crate) pod_security: Vec<Exclusion>,
}

#[derive(Debug, Clone)]
struct Exempt {
    /// `name`, or `namespace/name` of a namespaced policy.
    policy: String,
    /// Names of rules, with wildcards; rules made for pod controllers are named by their own names.
    rules: Vec<String>,
}

impl Exempt {
    fn names(&self, policy: &str, rule: &str) -> bool {
        self.policy == policy && self.rules.iter().any(|pattern| wildcard::matches(pattern, rule))
    }
}

impl Exception {
    pub(crate) fn compile(root: &Reader<'_>, name: String) -> Result<Exception> {
        let spec = root.field("spec").ok_or_else(|| root.error("spec is missing"))?;
        spec.only(&["background", "exceptions", "match", "conditions", "podSecurity"])?;
        let exempt = |entry: &Reader<'_>| {
            entry.only(&["policyName", "ruleNames"])?;
            Ok(Exempt {
                policy: entry.string("policyName")?.ok_or_else(|| entry.error("policyName is missing"))?,
                rules: entry.strings("ruleNames")?,
            })
        };
        let rules = spec.list("exceptions")?.iter().map(exempt).collect::<Result<Vec<_>>>()?;
        let matching = Matching::compile(&spec)?;
        let conditions = spec.field("conditions").map(|c| Conditions::compile(&c)).transpose()?;
        let pod_security = Exclusion::list(&spec, "podSecurity")?;
        Ok(Exception { name, rules, matching, conditions, pod_security })
    }

    /// Whether it names the rule, and if so whether it is about the object, and why.
    pub(crate) fn explain(
        &self,
        policy: &str,
        rule: &str,
        object: &Subjected<'_>,
        context: &Context<'_>,
    ) -> Steps {
        let mut steps = Steps::default();
        if !self.rules.iter().any(|exempt| exempt.names(policy, rule)) {
            return steps;
        }
        let exempts = self.exempts(policy, rule, object, context);
        steps.add(0, format!("exception {} is about the object", self.name), Ok(exempts.into()));
        if !self.matching.matches(object) {
            steps.append(1, self.matching.explain(object));
        } else if let Some(conditions) = &self.conditions {
            steps.head(1, "conditions");
            steps.append(2, conditions.explain(context));
        }
        steps
    }

    /// Whether it is about a rule and an object. Conditions that cannot be evaluated exempt nobody.
    pub(crate) fn exempts(
        &self,
        policy: &str,
        rule: &str,
        object: &Subjected<'_>,
        context: &Context<'_>,
    ) -> bool {
        let holds = |conditions: &Conditions| conditions.evaluate(context).is_ok_and(|held| held.holds);
        self.rules.iter().any(|exempt| exempt.names(policy, rule))
            && self.matching.matches(object)
            && self.conditions.as_ref().is_none_or(holds)
    }
}
