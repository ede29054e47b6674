//! What happens to one object.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::stored::{stored, stored_manifest};
use super::{Action, Cause, Context, Risk, Step, Wave};
use crate::config::Adoption;
use crate::finding::{Code, Finding, Location};
use crate::merge::{self, ApplyError, Conflict, FieldChange};
use crate::model::{
    FIELD_MANAGER, FieldPath, GroupKind, LiveObject, LiveState, Manifest, OWNER_LABEL, PathSegment,
};
use crate::schema::Schemas;

/// Annotation: what to do when somebody else owns a field, `report` or `take`.
const ON_CONFLICT: &str = "moin.scs.community/on-conflict";
/// Annotation: what to do about drift, `correct` or `report`.
const DRIFT: &str = "moin.scs.community/drift";
/// Annotation: when to take the object over, as [`Adoption`].
const ADOPT: &str = "moin.scs.community/adopt";

/// Decide what happens to an admitted object.
pub(super) fn classify(
    manifest: &Arc<Manifest>,
    live: &LiveState,
    brought: &HashSet<GroupKind>,
    context: &Context<'_>,
) -> Step {
    let draft = Step {
        manifest: stored_manifest(manifest),
        wave: Wave::of(&manifest.gvk),
        action: Action::Unchanged,
        changes: Vec::new(),
        risk: Risk::InPlace,
        exact: context.schemas.type_of(&manifest.gvk).is_some(),
        force: false,
        precondition: None,
        reported: Vec::new(),
    };
    if live.served(&manifest.gvk).is_none() {
        return not_served(draft, live, brought);
    }
    let existing = live.objects.get(&manifest.id);
    if existing.is_none_or(LiveObject::is_deleting) && in_terminating_namespace(manifest, live) {
        let message = "its namespace is being deleted, so nothing is created in it";
        return blocked(draft, Code::TerminatingNamespace, message.into(), false);
    }
    match existing {
        None => Step { action: Action::Create, ..draft },
        Some(object) => match object.label(OWNER_LABEL) {
            Some(owner) if owner == context.rules.owner => owned(draft, object, context),
            Some(owner) => {
                let message = format!("it belongs to the repository {owner:?} (label {OWNER_LABEL})");
                blocked(draft, Code::ForeignOwner, message, true)
            }
            None => foreign(draft, object, context),
        },
    }
}

fn not_served(draft: Step, live: &LiveState, brought: &HashSet<GroupKind>) -> Step {
    let gvk = draft.manifest.gvk.clone();
    if brought.contains(&gvk.group_kind()) && !live.kinds.contains_key(&gvk.group_kind()) {
        return Step { action: Action::AwaitKind, ..draft };
    }
    let message = match live.kinds.get(&gvk.group_kind()) {
        Some(kinds) => {
            let versions: Vec<&str> = kinds.iter().map(|kind| &*kind.gvk.version).collect();
            format!(
                "the API server serves {} in {} only, not in {}",
                gvk.kind,
                versions.join(", "),
                gvk.version
            )
        }
        None => format!("nobody serves the kind {} of {}", gvk.kind, gvk.api_version()),
    };
    blocked(draft, Code::KindNotServed, message, false)
}

fn in_terminating_namespace(manifest: &Manifest, live: &LiveState) -> bool {
    let namespace = manifest.id.namespace().and_then(|name| live.namespaces.get(name));
    namespace.is_some_and(|namespace| {
        namespace.is_deleting() || namespace.body["status"]["phase"] == "Terminating"
    })
}

/// An object that carries our label.
fn owned(draft: Step, object: &LiveObject, context: &Context<'_>) -> Step {
    let manifest = draft.manifest.clone();
    if context.accepted.knows(&manifest.id, &manifest.body, object.resource_version()) {
        return draft;
    }
    let recorded = context.recorded.get(&manifest.id).map(|body| stored(body));
    let (predicted, conflicts) = predict(&manifest, object, context);
    if predicted == *object.body {
        return draft;
    }
    let ty = context.schemas.type_of(&manifest.gvk);
    let ours = recorded.as_deref().map(|body| merge::set_by(ty.as_ref(), body));
    let (drifted, foreign): (Vec<Conflict>, Vec<Conflict>) = conflicts
        .into_iter()
        .partition(|conflict| ours.as_ref().is_some_and(|set| set.contains(&conflict.field)));
    if !foreign.is_empty() && manifest.annotation(ON_CONFLICT) != Some("take") {
        return conflict(draft, &foreign);
    }
    let report_only =
        manifest.annotation(DRIFT) == Some("report") && recorded.as_deref() == Some(&*manifest.body);
    let changes = visible_changes(&manifest, &object.body, &predicted, context);
    let ownership_differs = !same_ownership(&object.body, &predicted);
    if changes.is_empty() && !ownership_differs {
        return draft;
    }
    if report_only {
        let reported = changes.iter().map(|change| change.path.clone()).collect();
        return Step { reported, changes, ..draft };
    }
    let cause = match recorded.as_deref() {
        Some(body) if *body == *manifest.body => {
            Cause::Drift(changes.iter().flat_map(|c| merge::owners_of(&object.body, &c.path)).collect())
        }
        _ => Cause::Commit,
    };
    Step {
        action: Action::Update(cause),
        risk: risk(&manifest, &changes),
        changes,
        force: !drifted.is_empty() || !foreign.is_empty(),
        precondition: precondition(object),
        ..draft
    }
}

/// An object that nobody's label claims.
fn foreign(draft: Step, object: &LiveObject, context: &Context<'_>) -> Step {
    let manifest = draft.manifest.clone();
    let adoption = match manifest.annotation(ADOPT) {
        Some("never") => Adoption::Never,
        Some("always") => Adoption::Always,
        Some("if-no-diff") => Adoption::IfNoDiff,
        _ => context.rules.adoption,
    };
    let (predicted, conflicts) = predict(&manifest, object, context);
    let changes = visible_changes(&manifest, &object.body, &predicted, context);
    let differing: Vec<&FieldChange> = changes.iter().filter(|change| !only_adds_a_mark(change)).collect();
    let allowed = match adoption {
        Adoption::Never => false,
        Adoption::IfNoDiff => differing.is_empty(),
        Adoption::Always => true,
    };
    if !allowed {
        let fields: Vec<String> = differing.iter().map(|change| with_owner(change, object)).collect();
        let message = if fields.is_empty() {
            "it exists, is not ours, and adoption is switched off".to_owned()
        } else {
            format!("it exists, is not ours, and differs in {}", fields.join(", "))
        };
        return Step { changes, ..blocked(draft, Code::NotAdopted, message, true) };
    }
    let force = !conflicts.is_empty();
    Step { action: Action::Adopt, changes, force, precondition: precondition(object), ..draft }
}

/// A field, and who else owns it.
fn with_owner(change: &FieldChange, object: &LiveObject) -> String {
    match merge::owners_of(&object.body, &change.path).first() {
        Some(owner) => format!("{} (owned by {:?})", change.path, owner.manager),
        None => change.path.to_string(),
    }
}

/// A label or annotation that is new: adopting an object must be able to add its owner label.
fn only_adds_a_mark(change: &FieldChange) -> bool {
    let is_mark = matches!(&change.path.0[..], [PathSegment::Key(metadata), PathSegment::Key(field), ..]
        if metadata == "metadata" && (field == "labels" || field == "annotations"));
    is_mark && change.old.is_none()
}

/// The object as the server would store it, all conflicts taken, and these conflicts.
fn predict(manifest: &Manifest, object: &LiveObject, context: &Context<'_>) -> (Value, Vec<Conflict>) {
    let live = Some(&*object.body);
    let apply = |force| applied(manifest, live, force, context.schemas, context.now);
    match apply(false) {
        Ok(predicted) => (predicted, Vec::new()),
        Err(ApplyError::Conflicts(conflicts)) => {
            (apply(true).unwrap_or_else(|_| (*manifest.body).clone()), conflicts)
        }
        // What cannot be merged offline is left to the server's own answer: it is asked, and says why.
        Err(_) => ((*manifest.body).clone(), Vec::new()),
    }
}

/// The object after the manifest was applied to it, in the form in which the server holds it: "1000m" is "1" there, and
/// what is empty is left out, so that another way to write the same is no difference.
pub(super) fn applied(
    manifest: &Manifest,
    live: Option<&Value>,
    force: bool,
    schemas: &Schemas,
    now: &str,
) -> Result<Value, ApplyError> {
    let ty = schemas.type_of(&manifest.gvk);
    let mut merged = merge::apply(ty.as_ref(), live, &stored(&manifest.body), FIELD_MANAGER, force, now)?;
    schemas.canonical(&manifest.gvk, &mut merged);
    Ok(match live {
        Some(live) => merge::settle(live, merged),
        None => merged,
    })
}

/// Changes that are not bookkeeping of the server.
fn visible_changes(
    manifest: &Manifest,
    live: &Value,
    predicted: &Value,
    context: &Context<'_>,
) -> Vec<FieldChange> {
    let ty = context.schemas.type_of(&manifest.gvk);
    let changes = merge::diff(ty.as_ref(), &without_bookkeeping(live), &without_bookkeeping(predicted));
    changes.into_iter().filter(|change| !(is_nothing(&change.old) && is_nothing(&change.new))).collect()
}

/// An absent field, a null and an empty mapping or list are one and the same to the API server's own types, which
/// leave all three out.
fn is_nothing(value: &Option<Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

fn without_bookkeeping(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in
            ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"]
        {
            metadata.remove(field);
        }
    }
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    object
}

/// Whether our entry among the managed fields names the same fields in both.
fn same_ownership(live: &Value, predicted: &Value) -> bool {
    let ours = |object: &Value| {
        let entries = object["metadata"]["managedFields"].as_array();
        let entry = entries.and_then(|entries| {
            entries.iter().find(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
        });
        entry.map(|entry| entry["fieldsV1"].clone())
    };
    ours(live) == ours(predicted)
}

fn conflict(draft: Step, conflicts: &[Conflict]) -> Step {
    let fields: Vec<String> = conflicts
        .iter()
        .map(|conflict| format!("{} (owned by {:?})", conflict.path, conflict.manager))
        .collect();
    blocked(draft, Code::Conflict, format!("somebody else owns {}", fields.join(", ")), true)
}

fn precondition(object: &LiveObject) -> Option<(String, String)> {
    Some((object.uid().to_owned(), object.resource_version().to_owned()))
}

fn blocked(draft: Step, code: Code, message: String, holds: bool) -> Step {
    let origin = &draft.manifest.origin;
    let location = Location::in_source(&origin.source, origin.line, 1);
    let finding =
        Finding::error(code, message).about(&draft.manifest.id).at(location).help(code.page().remedy);
    Step { action: Action::Blocked { finding: Box::new(finding), holds }, ..draft }
}

/// A step that is not done for a reason beyond its object; what depends on it waits.
pub(super) fn held_back(draft: Step, finding: Finding) -> Step {
    let origin = &draft.manifest.origin;
    let finding = finding.at(Location::in_source(&origin.source, origin.line, 1));
    Step { action: Action::Blocked { finding: Box::new(finding), holds: true }, ..draft }
}

/// The finding of a step that a person should see beside the plan itself.
pub(super) fn finding(step: &Step) -> Option<Finding> {
    match &step.action {
        Action::Blocked { finding, .. } => Some((**finding).clone()),
        _ if !step.reported.is_empty() => {
            let fields: Vec<String> = step.reported.iter().map(ToString::to_string).collect();
            let origin = &step.manifest.origin;
            let message = format!("changed by hand and left so: {}", fields.join(", "));
            let finding = Finding::warning(Code::DriftReported, message).about(step.id());
            Some(finding.at(Location::in_source(&origin.source, origin.line, 1)))
        }
        _ => None,
    }
}

/// What a change means: a Cluster's version, class and variables roll its machines, and a version cannot go back; how
/// many there are, and what is said of them, changes in place; a pod template rolls pods.
fn risk(manifest: &Manifest, changes: &[FieldChange]) -> Risk {
    let touches = |prefix: &[&str]| {
        let prefix = FieldPath::of_keys(prefix.iter().copied());
        changes.iter().any(|change| change.path.0.starts_with(&prefix.0))
    };
    match (&*manifest.gvk.group, &*manifest.gvk.kind) {
        ("cluster.x-k8s.io", "Cluster") if touches(&["spec", "topology", "version"]) => Risk::NotRevertible,
        ("controlplane.cluster.x-k8s.io", _) if touches(&["spec", "version"]) => Risk::NotRevertible,
        ("cluster.x-k8s.io", "Cluster") => {
            let topology = FieldPath::of_keys(["spec", "topology"]);
            let touched = || changes.iter().filter(|change| change.path.0.starts_with(&topology.0));
            match (touched().any(|change| is_group(change) && change.new.is_none()), touched().all(in_place))
            {
                (true, _) => Risk::Deletes,
                (false, true) => Risk::InPlace,
                (false, false) => Risk::Rolls,
            }
        }
        ("cluster.x-k8s.io", "MachineDeployment" | "MachinePool") if touches(&["spec", "template"]) => {
            Risk::Rolls
        }
        ("cluster.x-k8s.io", "ClusterClass") if touches(&["spec"]) => Risk::Rolls,
        ("controlplane.cluster.x-k8s.io", _)
            if touches(&["spec", "kubeadmConfigSpec"]) || touches(&["spec", "machineTemplate"]) =>
        {
            Risk::Rolls
        }
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet") if touches(&["spec", "template"]) => Risk::Rolls,
        _ => Risk::InPlace,
    }
}

/// What of a topology changes without new machines: their number, labels, time limits, health checks. A group of
/// workers that comes or goes as a whole replaces none of the others.
fn in_place(change: &FieldChange) -> bool {
    const SAID_OF_MACHINES: [&str; 9] = [
        "replicas",
        "metadata",
        "nodeDrainTimeout",
        "nodeVolumeDetachTimeout",
        "nodeDeletionTimeout",
        "minReadySeconds",
        "machineHealthCheck",
        "healthCheck",
        "deletion",
    ];
    let is_key = |words: &[&str]| {
        let fits =
            |segment: &PathSegment| matches!(segment, PathSegment::Key(key) if words.contains(&key.as_str()));
        change.path.0.iter().any(fits)
    };
    (is_key(&SAID_OF_MACHINES) && !is_key(&["variables"])) || is_group(change)
}

/// Whether a group of workers comes or goes.
fn is_group(change: &FieldChange) -> bool {
    let is_item = matches!(&change.path.0[..], [.., PathSegment::Key(list), PathSegment::Index(_)]
        if list == "machineDeployments" || list == "machinePools");
    is_item && (change.old.is_none() || change.new.is_none())
}

/// An object before and after a step, without the server's bookkeeping; `None` where there is none.
pub(super) fn outcome(
    step: &Step,
    live: &LiveState,
    context: &Context<'_>,
) -> (Option<Value>, Option<Value>) {
    let manifest = &step.manifest;
    let existing = live.objects.get(&manifest.id);
    let before = existing.map(|object| without_bookkeeping(&object.body));
    let after = match (&step.action, existing) {
        (Action::Create | Action::AwaitKind, _) | (_, None) => {
            applied(manifest, None, true, context.schemas, context.now)
                .map_or_else(|_| (*manifest.body).clone(), |created| without_bookkeeping(&created))
        }
        (_, Some(object)) => without_bookkeeping(&predict(manifest, object, context).0),
    };
    (before, Some(after))
}
