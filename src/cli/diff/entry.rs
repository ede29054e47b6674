//! One object of a printed plan.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::finding::{Finding, Severity};
use crate::model::{Actor, LiveState, Manifest, ObjectId, Origin, UnitName};
use crate::plan::{self, Action, Cause, Context, Deletion, Plan, Risk, Step};
use crate::review::Blocked;
use crate::status::{PlannedObject, risk_words};
use crate::yaml;

/// Longer values are cut where a change is told in a line.
const LONGEST_VALUE: usize = 40;

/// One object that changes, goes, or cannot change.
#[derive(Debug)]
pub struct Entry {
    /// Its identity.
    pub object: ObjectId,
    /// Where it comes from, unless it goes.
    pub origin: Option<Origin>,
    kind: Kind,
    risk: Risk,
    exact: bool,
    reason: Option<String>,
    /// Who refuses it.
    refused_by: &'static str,
    fields: Vec<Field>,
    before: Option<Value>,
    after: Option<Value>,
}

/// A field that changes, in a line: values of Secrets are left out.
#[derive(Debug)]
pub struct Field {
    /// Where in the object.
    pub path: String,
    /// Old and new value.
    pub values: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Update,
    Repair,
    Adopt,
    Delete,
    /// It should go, and waits for an approval.
    Held,
    /// The cluster does not let it.
    Blocked,
    /// The review does not let it.
    Refused,
    /// It would change, and its unit is suspended.
    Suspended,
}

impl Entry {
    /// Everything of a plan that is not "unchanged", in the order in which it would happen.
    pub fn all_of(
        plan: &Plan,
        live: &LiveState,
        context: &Context<'_>,
        suspended: &BTreeMap<UnitName, String>,
    ) -> Vec<Entry> {
        let steps = plan.steps.iter().filter(|step| step.action != Action::Unchanged);
        let steps = steps.map(|step| match suspended.get(&step.manifest.unit) {
            Some(words) => Entry::of_suspended(step, words),
            None => Entry::of_step(step, live, context),
        });
        let now = plan.deletions.allowed.iter().map(|deletion| Entry::of_deletion(deletion, "", live));
        let later = plan.deletions.waiting.iter();
        let later = later.map(|waiting| Entry::of_deletion(&waiting.deletion, &waiting.when(), live));
        let deletions = now.chain(later);
        let held = plan.deletions.held.iter().map(|(id, finding)| Entry::of_held(id, finding));
        steps.chain(deletions).chain(held).collect()
    }

    /// An object that the review refuses.
    pub fn of_refused(blocked: &Blocked) -> Entry {
        let errors = blocked.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let reason = errors.map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ");
        let manifest: &Arc<Manifest> = &blocked.manifest;
        Entry {
            origin: Some(manifest.origin.clone()),
            reason: Some(reason),
            refused_by: refused_by(&blocked.findings),
            ..Entry::bare(manifest.id.clone(), Kind::Refused)
        }
    }

    fn bare(object: ObjectId, kind: Kind) -> Entry {
        Entry {
            object,
            origin: None,
            kind,
            risk: Risk::InPlace,
            exact: true,
            reason: None,
            refused_by: "refused",
            fields: Vec::new(),
            before: None,
            after: None,
        }
    }

    fn of_step(step: &Step, live: &LiveState, context: &Context<'_>) -> Entry {
        let (kind, reason) = match &step.action {
            Action::Create | Action::AwaitKind => (Kind::Create, None),
            Action::Update(Cause::Drift(actors)) => (Kind::Repair, Some(changed_by(actors))),
            Action::Recreate => (Kind::Update, Some("deleted and created anew, as approved".to_owned())),
            Action::Update(Cause::Commit) | Action::Unchanged => (Kind::Update, None),
            Action::Adopt => (Kind::Adopt, None),
            Action::Blocked { finding, .. } => (Kind::Blocked, Some(finding.message.clone())),
        };
        let (before, after) =
            if kind == Kind::Blocked { (None, None) } else { plan::outcome(step, live, context) };
        Entry {
            origin: Some(step.manifest.origin.clone()),
            risk: step.risk,
            exact: step.exact,
            reason,
            fields: fields_of(step),
            before,
            after,
            ..Entry::bare(step.id().clone(), kind)
        }
    }

    /// It would change, but for the unit that it is of.
    fn of_suspended(step: &Step, words: &str) -> Entry {
        let reason = format!("unit {} is {words}", step.manifest.unit);
        Entry {
            origin: Some(step.manifest.origin.clone()),
            reason: Some(reason),
            exact: step.exact,
            ..Entry::bare(step.id().clone(), Kind::Suspended)
        }
    }

    /// `when` is said behind the reason.
    fn of_deletion(deletion: &Deletion, when: &str, live: &LiveState) -> Entry {
        let body = live.objects.get(&deletion.id).map(|object| plan::mask_secret(&object.body, None));
        Entry {
            risk: Risk::Deletes,
            reason: Some(format!("{}{when}", deletion.reason)),
            before: body.map(without_managed_fields),
            ..Entry::bare(deletion.id.clone(), Kind::Delete)
        }
    }

    fn of_held(id: &ObjectId, finding: &Finding) -> Entry {
        let reason = Some(finding.message.clone());
        Entry { risk: Risk::Deletes, reason, ..Entry::bare(id.clone(), Kind::Held) }
    }

    /// `+` created, `~` changed, `-` deleted, `!` cannot be.
    pub fn sign(&self) -> char {
        match self.kind {
            Kind::Create => '+',
            Kind::Update | Kind::Repair | Kind::Adopt => '~',
            Kind::Delete => '-',
            Kind::Held | Kind::Blocked | Kind::Refused | Kind::Suspended => '!',
        }
    }

    /// What happens, in a word or two.
    pub fn verb(&self) -> &'static str {
        match self.kind {
            Kind::Create => "create",
            Kind::Update => "change",
            Kind::Repair => "repair",
            Kind::Adopt => "adopt",
            Kind::Delete => "delete",
            Kind::Held => "kept until its deletion is approved",
            Kind::Blocked => "blocked",
            Kind::Refused => "refused",
            Kind::Suspended => "differs, suspended",
        }
    }

    /// What happens and what it means.
    pub fn meaning(&self) -> String {
        let mut meaning = self.verb().to_owned();
        if self.risk_matters() {
            meaning = format!("{meaning}, {}", risk_words(self.risk));
        }
        if !self.exact {
            meaning += ", not exact";
        }
        meaning
    }

    /// The risk, where there is one to speak of.
    pub fn risk(&self) -> Option<Risk> {
        self.risk_matters().then_some(self.risk)
    }

    fn risk_matters(&self) -> bool {
        matches!(self.kind, Kind::Update | Kind::Repair)
    }

    /// Whether the prediction holds field for field.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Why, if there is more to say than what happens.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Who or what is in the way of something that cannot happen.
    pub fn stopped_by(&self) -> &'static str {
        match self.kind {
            Kind::Refused => self.refused_by,
            Kind::Held => "deletes, waits for an approval",
            Kind::Suspended => "suspended",
            _ => "blocked",
        }
    }

    /// What changes in an object that stays.
    pub fn fields(&self) -> &[Field] {
        if self.sign() == '~' { &self.fields } else { &[] }
    }

    /// The heading.
    pub fn title(&self) -> String {
        format!("{} ({})", self.object, self.meaning())
    }

    /// What stands below the heading.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.origin.as_ref().map(origin_text).into_iter().chain(self.reason.clone())
    }

    /// For machines, what the plan itself does not say: objects that are refused, and those kept until approved.
    pub fn stopped(&self) -> Option<PlannedObject> {
        let action = match self.kind {
            Kind::Refused => "refused",
            Kind::Held => "held",
            _ => return None,
        };
        Some(PlannedObject {
            object: self.object.full(),
            action,
            origin: self.origin.as_ref().map(ToString::to_string),
            risk: risk_words(self.risk),
            exact: self.exact,
            changes: Vec::new(),
            reason: self.reason.clone(),
        })
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

/// Who refuses an object: policies of the repository, or what stands behind its API and is known here.
fn refused_by(findings: &[Finding]) -> &'static str {
    let errors = || findings.iter().filter(|finding| finding.severity == Severity::Error);
    // The five hundreds are policies, the six hundreds Cluster API's rules and schemas.
    let of = |hundred: u16| errors().any(|finding| finding.code.number() / 100 == hundred);
    match (of(5), of(6)) {
        (true, true) => "refused by a policy and by the API",
        (true, false) => "refused by a policy",
        (false, true) => "refused by the API",
        (false, false) => "refused",
    }
}

/// Who changed an object in the cluster, as far as its managed fields say.
fn changed_by(actors: &[Actor]) -> String {
    let mut names: Vec<&str> =
        actors.iter().map(|actor| actor.manager.as_str()).filter(|name| !name.is_empty()).collect();
    names.dedup();
    match names[..] {
        [] => "changed in the cluster".to_owned(),
        ref names => format!("changed in the cluster by {}", names.join(", ")),
    }
}

/// Where an object is written, or which rule makes it.
fn origin_text(origin: &Origin) -> String {
    match &origin.rule {
        Some(rule) => format!(
            "made by the rule {} of policy {} for {} ({}:{})",
            rule.rule, rule.policy, rule.trigger, origin.source.file, origin.line
        ),
        None => origin.to_string(),
    }
}

fn fields_of(step: &Step) -> Vec<Field> {
    let secret = step.id().group().is_empty() && step.id().kind() == "Secret";
    let fields = step.changes.iter().map(|change| Field {
        path: change.path.to_string(),
        values: (!secret).then(|| (value_text(change.old.as_ref()), value_text(change.new.as_ref()))),
    });
    fields.collect()
}

fn value_text(value: Option<&Value>) -> String {
    let text = match value {
        None => return "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
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
    held: usize,
    blocked: usize,
    refused: usize,
    suspended: usize,
    /// Errors that are about none of the objects above.
    errors: usize,
}

impl Summary {
    /// Counts the entries, and the errors that no entry tells of.
    pub fn of(entries: &[Entry], findings: &[Finding]) -> Summary {
        let mut summary = Summary::default();
        for entry in entries {
            match entry.kind {
                Kind::Create => summary.create += 1,
                Kind::Update | Kind::Repair | Kind::Adopt => summary.change += 1,
                Kind::Delete => summary.delete += 1,
                Kind::Held => summary.held += 1,
                Kind::Blocked => summary.blocked += 1,
                Kind::Refused => summary.refused += 1,
                Kind::Suspended => summary.suspended += 1,
            }
        }
        let told = |finding: &Finding| {
            let stopped = |entry: &&Entry| matches!(entry.kind, Kind::Blocked | Kind::Refused);
            entries.iter().filter(stopped).any(|entry| Some(&entry.object) == finding.object.as_ref())
        };
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        summary.errors = errors.filter(|finding| !told(finding)).count();
        summary
    }

    /// Whether nothing would change and nothing is wrong.
    pub fn is_empty(&self) -> bool {
        *self == Summary::default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.create, "to create"),
            (self.change, "to change"),
            (self.delete, "to delete"),
            (self.held, "to delete once approved"),
            (self.blocked, "blocked"),
            (self.refused, "refused"),
            (self.suspended, "suspended"),
            (self.errors, if self.errors == 1 { "error" } else { "errors" }),
        ];
        let mut parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if parts.is_empty() || parts.len() == 1 && self.errors > 0 {
            parts.insert(0, "nothing changes".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}
