//! What a rule did with an object, as one row.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::policy::{RuleOutcome, Verdict};

/// One rule's outcome on one object. Serialised as `[policy, rule, apiVersion, kind, namespace, name, result,
/// message]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Name of the policy, with the namespace before it if it has one.
    pub policy: String,
    /// Name of the rule; those made for pod controllers begin with `autogen-`.
    pub rule: String,
    /// `apiVersion` of the object.
    pub api_version: String,
    /// `kind` of the object.
    pub kind: String,
    /// Its namespace; empty without one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `pass`, `fail`, `warn`, `skip` or `error`.
    pub result: &'static str,
    /// The rule's message.
    pub message: String,
}

impl Row {
    pub(super) fn of(object: &Value, policy: String, rule: String, result: Verdict, message: String) -> Row {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Row {
            policy,
            rule,
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            result: word(result),
            message,
        }
    }

    /// What names an object, without an outcome.
    pub(super) fn about(object: &Value) -> Row {
        Row::of(object, String::new(), String::new(), Verdict::Pass, String::new())
    }

    /// The row of an outcome, as reports show it.
    pub(super) fn of_outcome(object: &Value, outcome: RuleOutcome) -> Row {
        let result = outcome.reported();
        Row::of(object, outcome.policy, outcome.rule, result, outcome.message)
    }

    /// `namespace/name`, or the name of what has no namespace.
    pub fn object(&self) -> String {
        let name = format!("{}/{}", self.namespace, self.name);
        format!("{} {}", self.kind, name.trim_start_matches('/'))
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Row { policy, rule, api_version, kind, namespace, name, result, message } = self;
        [policy, rule, api_version, kind, namespace, name, *result, message].serialize(serializer)
    }
}

/// A verdict as suites write it.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Warn => "warn",
        Verdict::Skip => "skip",
        Verdict::Error => "error",
    }
}
