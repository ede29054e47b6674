//! A plan as machines read it: `moin diff -o json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::finding::Finding;
use crate::model::{Manifest, UnitName};
use crate::plan::{Action, Cause, MASK, Plan, Risk, Step};

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// What it was made for.
    pub revision: String,
    /// Objects that change, or cannot.
    pub objects: Vec<PlannedObject>,
    /// Objects that are deleted.
    pub deletions: Vec<PlannedObject>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// What happens to an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// `Kind.group/namespace/name`.
    pub object: String,
    /// `create`, `update`, `repair`, `adopt`, `recreate`, `await`, `blocked`, `delete`; `refused` by the review, `held` until its
    /// deletion is approved, `suspended` with its unit.
    pub action: &'static str,
    /// Where it is written: file and line, layers, rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// `in place`, `rolls machines or pods`, `deletes`, `not revertible`.
    pub risk: &'static str,
    /// Whether the prediction holds field for field.
    pub exact: bool,
    /// Field by field; values of Secrets are masked.
    pub changes: Vec<PlannedChange>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A field that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedChange {
    /// Where in the object.
    pub path: String,
    /// The value before; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The value after; absent if it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

impl PlanReport {
    /// The part of a plan that is not "unchanged".
    /// The steps of these units, each with who suspended it, are not carried out.
    pub fn of(plan: &Plan, findings: Vec<Finding>, suspended: &BTreeMap<UnitName, String>) -> PlanReport {
        let steps = plan.steps.iter().filter(|step| step.action != Action::Unchanged);
        let objects = steps.map(|step| match suspended.get(&step.manifest.unit) {
            Some(words) => PlannedObject {
                action: "suspended",
                reason: Some(format!("unit {} is {words}", step.manifest.unit)),
                ..object(step)
            },
            None => object(step),
        });
        let now = plan.deletions.allowed.iter().map(|deletion| (deletion, String::new()));
        let later = plan.deletions.waiting.iter().map(|waiting| (&waiting.deletion, waiting.when()));
        let deletions = now.chain(later).map(|(deletion, when)| PlannedObject {
            object: deletion.id.full(),
            action: "delete",
            origin: None,
            risk: risk_words(Risk::Deletes),
            exact: true,
            changes: Vec::new(),
            reason: Some(deletion.reason.clone() + &when),
        });
        PlanReport {
            revision: plan.revision.to_string(),
            objects: objects.collect(),
            deletions: deletions.collect(),
            findings,
        }
    }
}

/// A risk in words.
pub fn risk_words(risk: Risk) -> &'static str {
    match risk {
        Risk::InPlace => "in place",
        Risk::Rolls => "rolls machines or pods",
        Risk::Deletes => "deletes",
        Risk::NotRevertible => "not revertible",
    }
}

fn object(step: &Step) -> PlannedObject {
    let secret = is_secret(&step.manifest);
    let masked =
        |value: &Option<Value>| value.as_ref().map(|value| if secret { MASK.into() } else { value.clone() });
    PlannedObject {
        object: step.id().full(),
        action: match &step.action {
            Action::Create => "create",
            Action::Update(Cause::Commit) => "update",
            Action::Update(Cause::Drift(_)) => "repair",
            Action::Adopt => "adopt",
            Action::Recreate => "recreate",
            Action::Unchanged => "unchanged",
            Action::AwaitKind => "await",
            Action::Blocked { .. } => "blocked",
        },
        origin: Some(step.manifest.origin.to_string()),
        risk: risk_words(step.risk),
        exact: step.exact,
        changes: step
            .changes
            .iter()
            .map(|change| PlannedChange {
                path: change.path.to_string(),
                old: masked(&change.old),
                new: masked(&change.new),
            })
            .collect(),
        reason: match &step.action {
            Action::Blocked { finding, .. } => Some(finding.message.clone()),
            _ => None,
        },
    }
}

impl fmt::Display for PlanReport {
    /// An object a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for object in self.objects.iter().chain(&self.deletions) {
            write!(f, "{} {}", object.action, object.object)?;
            if !object.changes.is_empty() {
                let paths: Vec<&str> = object.changes.iter().map(|change| change.path.as_str()).collect();
                write!(f, ": {}", paths.join(", "))?;
            }
            match &object.reason {
                Some(reason) => writeln!(f, " ({reason})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

fn is_secret(manifest: &Manifest) -> bool {
    manifest.id.group().is_empty() && manifest.id.kind() == "Secret"
}
