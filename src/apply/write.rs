//! One write.

use serde_json::Value;

use super::{Applier, Outcome, Work, fenced_off, of_error};
use crate::cluster::{ApplyOptions, ClusterError, Preconditions};
use crate::finding::{Code, Finding, Location, conceal};
use crate::model::LiveObject;
use crate::plan::{Action, Cause, Step};

/// Write what a step says, asking first where no commit explains the change.
pub(super) async fn write(applier: &Applier, work: &Work) -> Outcome {
    let step = &work.step;
    let outcome = match (&step.action, &work.live) {
        (Action::Update(Cause::Drift(_)), Some(live)) => repair(applier, work, live).await,
        _ => send(applier, work, false).await,
    };
    match outcome {
        Ok(Outcome::Written(object)) => {
            tracing::info!(object = %step.id(), action = ?verb(step), "applied");
            Outcome::Written(object)
        }
        Ok(other) => other,
        Err(outcome) => outcome,
    }
    .at_origin(step)
}

/// Suspected drift: ask, then write if the server would change something, unless that has not helped before.
async fn repair(applier: &Applier, work: &Work, live: &LiveObject) -> Result<Outcome, Outcome> {
    let id = work.step.id();
    if let Outcome::Written(predicted) = send(applier, work, true).await?
        && content(&predicted.body) == content(&live.body)
    {
        return Ok(Outcome::AlreadySo(live.clone()));
    }
    let fields: Vec<String> = work.step.changes.iter().map(|change| change.path.to_string()).collect();
    if let Some(times) = applier.fights.lock().repaired_too_often(id, &fields) {
        let message = format!(
            "{} was set back {times} times in a row and is changed again each time; left alone for now",
            fields.join(", ")
        );
        let help = format!("changed by {}", managers(&work.step));
        return Err(Outcome::Refused(Finding::error(Code::NotIdempotent, message).about(id).help(help)));
    }
    tracing::warn!(object = %id, fields = %fields.join(", "), by = %managers(&work.step), "drift is repaired");
    send(applier, work, false).await
}

async fn send(applier: &Applier, work: &Work, dry_run: bool) -> Result<Outcome, Outcome> {
    let step = &work.step;
    let preconditions = match &step.precondition {
        None => Preconditions::default(),
        Some((uid, version)) => Preconditions {
            uid: Some(uid.clone()).filter(|uid| !uid.is_empty()),
            resource_version: Some(version.clone())
                .filter(|version| (step.force || applier.shared) && !version.is_empty()),
        },
    };
    if !applier.fence.is_open() {
        return Err(fenced_off(step.id()));
    }
    let mut options = ApplyOptions { force: step.force, dry_run, preconditions };
    let mut cluster = applier.cluster_as(step.manifest.origin.tenant.as_deref());
    if step.action == Action::Create {
        cluster = cluster.creating();
    }
    let mut answer = cluster.apply(&work.kind, &step.manifest.body, &options).await;
    if matches!(answer, Err(ClusterError::Stale { .. }))
        && let Some(version) = only_its_status_moved(applier, work, &options).await
        && applier.fence.is_open()
    {
        options.preconditions.resource_version = Some(version);
        answer = cluster.apply(&work.kind, &step.manifest.body, &options).await;
    }
    match answer {
        Ok(object) => Ok(Outcome::Written(object)),
        Err(error) => Err(of_error(&error, Code::ApplyFailed, step.id())),
    }
}

/// The version of an object by now, if nothing of it has changed since it was planned on but what its controller says of
/// it: every edit makes that move, and what was judged is still what is there.
async fn only_its_status_moved(applier: &Applier, work: &Work, options: &ApplyOptions) -> Option<String> {
    let planned = work.live.as_ref()?;
    if options.preconditions.resource_version.as_deref() != Some(planned.resource_version()) {
        return None;
    }
    let now = applier.cluster.get(&work.kind, work.step.id()).await.ok()??;
    (now.uid() == planned.uid() && but_for_status(&now.body) == but_for_status(&planned.body))
        .then(|| now.resource_version().to_owned())
}

/// An object without its status, and what the server notes of that.
fn but_for_status(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        if let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
            entries.retain(|entry| entry["subresource"] != "status");
        }
    }
    object
}

/// An object without what changes on every write.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
        metadata.remove("generation");
    }
    object
}

/// Who changed the drifted fields, for people.
pub(super) fn managers(step: &Step) -> String {
    let Action::Update(Cause::Drift(actors)) = &step.action else { return String::new() };
    let mut names: Vec<String> = actors.iter().map(|actor| actor.manager.clone()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "somebody unknown (the field was removed)".to_owned() } else { names.join(", ") }
}

fn verb(step: &Step) -> &'static str {
    match &step.action {
        Action::Create => "create",
        Action::Adopt => "adopt",
        Action::Update(Cause::Drift(_)) => "repair",
        _ => "change",
    }
}

impl Outcome {
    /// With the place in the repository on its finding, and without the values of a Secret that the server may quote.
    fn at_origin(self, step: &Step) -> Outcome {
        let origin = &step.manifest.origin;
        let place = |mut finding: Finding| {
            finding.message = conceal(&finding.message, &step.manifest.body);
            finding.at(Location::in_source(&origin.source, origin.line, 1))
        };
        match self {
            Outcome::Refused(finding) => Outcome::Refused(place(finding)),
            Outcome::Failed(finding, after) => Outcome::Failed(place(finding), after),
            other => other,
        }
    }
}
