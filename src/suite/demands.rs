//! What an entry of `results` must name, so that it tests something: a policy, a rule and objects that there are.

use std::sync::Arc;

use serde_json::Value;

use super::expect::{Expectation, names_kind, names_object, names_rule};
use super::row::Row;
use crate::finding::{Location, nearest};
use crate::model::{FieldPath, Manifest};
use crate::yaml;

/// The policies and objects of a suite, by their names.
#[derive(Default)]
pub(super) struct Named {
    pub policies: Vec<Arc<Manifest>>,
    /// Every object that a file of the suite holds.
    pub objects: Vec<Row>,
    /// JSON is judged that has no name.
    pub has_payloads: bool,
}

impl Named {
    fn policy(&self, expectation: &Expectation) -> Option<&Manifest> {
        let wanted = expectation.policy.rsplit('/').next()?;
        self.policies.iter().map(|policy| &**policy).find(|policy| policy.id.name() == wanted)
    }

    /// What an entry lacks.
    ///
    /// # Errors
    /// The missing field, and what to write.
    pub fn complete(&self, expectation: &Expectation, entry: &Value) -> Result<(), (String, String)> {
        let policy = self.policy(expectation);
        let rules: Vec<&str> = policy.map(rules_of).unwrap_or_default();
        if expectation.rule.is_none() && !rules.is_empty() {
            let help = format!("the policy has {}", rules.join(", "));
            return Err(("the entry names no `rule`".to_owned(), help));
        }
        let makes = ["patchedResource", "patchedResources", "generatedResource", "cloneSourceResource"];
        let by_made = makes.iter().any(|field| !entry[*field].is_null());
        if expectation.resources.is_empty() && !by_made && !self.has_payloads {
            let help = "write `resources`: the names of the objects that the result is about";
            return Err(("the entry names no `resources`".to_owned(), help.to_owned()));
        }
        Ok(())
    }

    /// Why an expectation is about nothing that the suite has: then not even a skip is an answer. `came` is what rules
    /// judged and made.
    pub fn nothing_named<'r>(
        &'r self,
        expectation: &Expectation,
        resource: &str,
        came: impl Iterator<Item = &'r Row>,
    ) -> Option<String> {
        let Some(policy) = self.policy(expectation) else {
            let known: Vec<&str> = self.policies.iter().map(|policy| policy.id.name()).collect();
            let wanted = &expectation.policy;
            return Some(format!("no file of `policies` holds the policy {wanted}{}", near(wanted, &known)));
        };
        let rules = rules_of(policy);
        if let Some(wanted) = &expectation.rule
            && !rules.is_empty()
            && !rules.iter().any(|rule| names_rule(wanted, rule) || names_rule(rule, wanted))
        {
            let other = format!("the policy has no rule {wanted}{}", near(wanted, &rules));
            return Some(format!("{other}; it has {}", rules.join(", ")));
        }
        if resource.is_empty() || self.has_payloads {
            return None;
        }
        let all: Vec<&Row> = self.objects.iter().chain(came).collect();
        let named: Vec<&Row> = all.iter().copied().filter(|row| names_object(resource, row)).collect();
        if named.is_empty() {
            let known: Vec<&str> = all.iter().map(|row| row.name.as_str()).collect();
            let name = resource.rsplit('/').next().unwrap_or_default();
            let hint = near(name, &known);
            return Some(format!("no file of the suite holds an object named {resource}{hint}"));
        }
        let kind = expectation.kind.as_deref()?;
        let is_other = named.iter().all(|row| !names_kind(kind, row));
        is_other.then(|| format!("{resource} is a {}, not a {kind}", named[0].kind))
    }

    /// Where the rule of an expectation stands.
    pub fn place(&self, expectation: &Expectation) -> Option<Location> {
        let policy = self.policy(expectation)?;
        let mut path = FieldPath::of_keys(["spec"]);
        if let Some(wanted) = &expectation.rule
            && let Some(at) = rules_of(policy).iter().position(|rule| names_rule(rule, wanted))
        {
            path = path.key("rules").index(at);
        }
        Some(yaml::locate(&policy.origin.source, &path))
    }
}

/// Names of the rules of a classic policy.
fn rules_of(policy: &Manifest) -> Vec<&str> {
    let rules = policy.body["spec"]["rules"].as_array().filter(|_| policy.id.group() == "kyverno.io");
    rules.into_iter().flatten().filter_map(|rule| rule["name"].as_str()).collect()
}

fn near(wanted: &str, known: &[&str]) -> String {
    // A name that is there means another object, of another namespace.
    let near = nearest(wanted, known).filter(|near| *near != wanted);
    near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default()
}
