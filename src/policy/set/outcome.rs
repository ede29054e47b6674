//! What rules say of an object, and what they make of it.

use std::sync::Arc;

use serde_json::Value;

use crate::expr::{Lack, Outside};
use crate::finding::Finding;
use crate::model::{FieldPath, RuleOrigin, SourceText};

use super::super::request::Request;
use super::super::validate::Verdict;

/// How a policy describes itself to those who read reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyNotes {
    /// How bad it is to break it: the annotation `policies.kyverno.io/severity`.
    pub severity: Option<String>,
    /// What it is about: the annotation `policies.kyverno.io/category`.
    pub category: Option<String>,
}

impl PolicyNotes {
    pub(super) fn of(policy: &Value) -> PolicyNotes {
        let annotation = |name: &str| {
            let text = policy["metadata"]["annotations"][format!("policies.kyverno.io/{name}")].as_str();
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        PolicyNotes { severity: annotation("severity"), category: annotation("category") }
    }
}

/// Begins the message of a rule of a policy that does not compile.
pub const NOT_COMPILED: &str = "the policy does not compile";

/// What a rule says of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleOutcome {
    /// Name of the policy, with the namespace before it (`team-a/limits`) if it has one.
    pub policy: String,
    /// Name of the rule; those made for pod controllers begin with `autogen-`.
    pub rule: String,
    /// The verdict.
    pub result: Verdict,
    /// Whether reports count a failure; else it is a warning there.
    pub scored: bool,
    /// The policy's message, or why there is no verdict.
    pub message: String,
    /// The place in the object, where it is known.
    pub path: Option<FieldPath>,
    /// What the policy wants written into an audit log about it: keys and values.
    pub annotations: Vec<(String, String)>,
    /// Whether anything but a pass or a skip holds the object up.
    pub enforce: bool,
    /// What it had no answer to, if it is an error by that.
    pub lack: Option<Lack>,
    /// How the policy describes itself.
    pub notes: Arc<PolicyNotes>,
    /// The policy's document.
    pub policy_source: SourceText,
    /// The place of the rule in the policy.
    pub rule_path: FieldPath,
}

/// An object that a rule makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The object.
    pub object: Value,
    /// The rule, and the object that made it act.
    pub rule: RuleOrigin,
    /// Whether it is kept equal to the rule, and goes when the rule or the trigger goes.
    pub synchronize: bool,
    /// Whether it stays when its policy goes.
    pub keeps: bool,
    /// Whether objects that were there before the policy make the rule act as well.
    pub existing: bool,
    /// The policy's document.
    pub source: SourceText,
    /// Line of the rule's `generate` in its file.
    pub line: u32,
}

/// A rule that could not make what it should.
#[derive(Debug, Clone, PartialEq)]
pub struct NotGenerated {
    /// The rule, and the object that made it act.
    pub rule: RuleOrigin,
    /// Why.
    pub why: String,
    /// What it had no answer to, if it failed by that.
    pub lack: Option<Lack>,
    /// The same for people, with its place.
    pub finding: Box<Finding>,
}

/// How many questions had no answer before a rule began: what is lacking since then is what the rule lacks.
pub(super) struct Before<'r> {
    outside: Option<&'r dyn Outside>,
    lacks: usize,
}

impl<'r> Before<'r> {
    pub(super) fn of(request: &Request<'r>) -> Before<'r> {
        Before { outside: request.outside, lacks: request.outside.map_or(0, |outside| outside.lacks()) }
    }

    /// What a rule lacks that failed since.
    pub(super) fn lack(&self) -> Option<Lack> {
        self.outside?.lack(self.lacks)
    }
}

impl RuleOutcome {
    /// An error says what was lacking since the rule began.
    pub(super) fn since(mut self, before: &Before<'_>) -> RuleOutcome {
        self.lack = if self.result == Verdict::Error { before.lack() } else { None };
        self
    }

    /// The same under another name of the rule.
    pub(super) fn of_rule(self, rule: &str) -> RuleOutcome {
        RuleOutcome { rule: rule.to_owned(), ..self }
    }

    /// The verdict as reports show it.
    pub fn reported(&self) -> Verdict {
        match self.result {
            Verdict::Fail if !self.scored => Verdict::Warn,
            verdict => verdict,
        }
    }

    /// Whether the object must not be applied because of it.
    pub fn refuses(&self) -> bool {
        self.enforce && matches!(self.result, Verdict::Fail | Verdict::Error)
    }
}
