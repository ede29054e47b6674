//! One object of a printed plan.

use std::fmt;

use serde_json::Value;

use crate::model::LiveState;
use crate::plan::{self, Action, Cause, Context, Deletion, Plan, Risk, Step};
use crate::status::risk_words;
use crate::yaml;

/// One object that changes, goes, or cannot change.
#[derive(Debug)]
pub struct Entry {
    /// Its identity.
    pub object: String,
    /// Where it is written, unless it goes.
    pub origin: Option<String>,
    kind: Kind,
    risk: Risk,
    exact: bool,
    reason: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Update,
    Repair,
    Adopt,
    Delete,
    Blocked,
}

impl Entry {
    /// Everything of a plan that is not "unchanged", in the order in which it would happen.
    pub fn all_of(plan: &Plan, live: &LiveState, context: &Context<'_>) -> Vec<Entry> {
        let steps = plan.steps.iter().filter(|step| step.action != Action::Unchanged);
        let steps = steps.map(|step| Entry::of_step(step, live, context));
        steps
            .chain(plan.deletions.allowed.iter().map(|deletion| Entry::of_deletion(deletion, live)))
            .collect()
    }

    fn of_step(step: &Step, live: &LiveState, context: &Context<'_>) -> Entry {
        let (kind, reason) = match &step.action {
            Action::Create | Action::AwaitKind => (Kind::Create, None),
            Action::Update(Cause::Drift(actors)) => {
                let names: Vec<&str> = actors.iter().map(|actor| actor.manager.as_str()).collect();
                (Kind::Repair, Some(format!("changed in the cluster by {}", names.join(", "))))
            }
            Action::Update(Cause::Commit) | Action::Unchanged => (Kind::Update, None),
            Action::Adopt => (Kind::Adopt, None),
            Action::Blocked { finding, .. } => (Kind::Blocked, Some(finding.message.clone())),
        };
        let (before, after) =
            if kind == Kind::Blocked { (None, None) } else { plan::outcome(step, live, context) };
        Entry {
            object: step.id().to_string(),
            origin: Some(step.manifest.origin.to_string()),
            kind,
            risk: step.risk,
            exact: step.exact,
            reason,
            before,
            after,
        }
    }

    fn of_deletion(deletion: &Deletion, live: &LiveState) -> Entry {
        let body = live.objects.get(&deletion.id).map(|object| plan::mask_secret(&object.body, None));
        Entry {
            object: deletion.id.to_string(),
            origin: None,
            kind: Kind::Delete,
            risk: Risk::Deletes,
            exact: true,
            reason: Some(deletion.reason.clone()),
            before: body.map(without_managed_fields),
            after: None,
        }
    }

    /// `+` created, `~` changed, `-` deleted, `!` cannot be.
    pub fn sign(&self) -> char {
        match self.kind {
            Kind::Create => '+',
            Kind::Update | Kind::Repair | Kind::Adopt => '~',
            Kind::Delete => '-',
            Kind::Blocked => '!',
        }
    }

    /// What happens, in a word.
    pub fn verb(&self) -> &'static str {
        match self.kind {
            Kind::Create => "create",
            Kind::Update => "change",
            Kind::Repair => "repair",
            Kind::Adopt => "adopt",
            Kind::Delete => "delete",
            Kind::Blocked => "blocked",
        }
    }

    /// What happens and what it means.
    pub fn meaning(&self) -> String {
        let mut meaning = self.verb().to_owned();
        if matches!(self.kind, Kind::Update | Kind::Repair) {
            meaning = format!("{meaning}, {}", risk_words(self.risk));
        }
        if !self.exact {
            meaning += ", not exact";
        }
        meaning
    }

    /// The heading.
    pub fn title(&self) -> String {
        format!("{} ({})", self.object, self.meaning())
    }

    /// What stands below the heading.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.origin.as_deref().into_iter().chain(self.reason.as_deref())
    }

    /// Whether there is a diff to show.
    pub fn has_diff(&self) -> bool {
        self.before.is_some() || self.after.is_some()
    }

    /// Both sides as YAML; empty where there is none.
    pub fn texts(&self) -> (String, String) {
        let text = |value: &Option<Value>| value.as_ref().map(yaml::write).unwrap_or_default();
        (text(&self.before), text(&self.after))
    }
}

fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}

/// A plan in one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    create: usize,
    change: usize,
    delete: usize,
    blocked: usize,
}

impl Summary {
    /// Counts the entries.
    pub fn of(entries: &[Entry]) -> Summary {
        let mut summary = Summary::default();
        for entry in entries {
            match entry.sign() {
                '+' => summary.create += 1,
                '~' => summary.change += 1,
                '-' => summary.delete += 1,
                _ => summary.blocked += 1,
            }
        }
        summary
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        *self == Summary::default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        let parts = [
            (self.create, "to create"),
            (self.change, "to change"),
            (self.delete, "to delete"),
            (self.blocked, "blocked"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        f.write_str(&parts.join(", "))
    }
}
