//! What of a plan back to an older state cannot be had: fields that the API server does not let change, versions of a
//! definition that objects are stored in, and what a manifest does not bring back.

use serde_json::Value;

use super::{Action, Plan, Step};
use crate::finding::{Code, Finding, Location};
use crate::merge::FieldChange;
use crate::model::{FieldPath, LiveState, ObjectId, PathSegment};
use crate::schema::quantity_value;

/// Fields of built-in kinds that are set once: group, kind, path.
const SET_ONCE: [(&str, &str, &str); 24] = [
    ("apps", "Deployment", "spec.selector"),
    ("apps", "DaemonSet", "spec.selector"),
    ("apps", "ReplicaSet", "spec.selector"),
    ("apps", "StatefulSet", "spec.selector"),
    ("apps", "StatefulSet", "spec.serviceName"),
    ("apps", "StatefulSet", "spec.podManagementPolicy"),
    ("apps", "StatefulSet", "spec.volumeClaimTemplates"),
    ("batch", "Job", "spec.template"),
    ("batch", "Job", "spec.selector"),
    ("batch", "Job", "spec.completionMode"),
    ("", "Service", "spec.clusterIP"),
    ("", "Secret", "type"),
    ("", "PersistentVolumeClaim", "spec.storageClassName"),
    ("", "PersistentVolumeClaim", "spec.accessModes"),
    ("", "PersistentVolumeClaim", "spec.volumeMode"),
    ("rbac.authorization.k8s.io", "RoleBinding", "roleRef"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "roleRef"),
    ("storage.k8s.io", "StorageClass", "provisioner"),
    ("storage.k8s.io", "StorageClass", "parameters"),
    ("storage.k8s.io", "StorageClass", "reclaimPolicy"),
    ("storage.k8s.io", "StorageClass", "volumeBindingMode"),
    ("scheduling.k8s.io", "PriorityClass", "value"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "spec.group"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "spec.scope"),
];

/// What a deletion takes along that no manifest holds.
const CONTENTS: [(&str, &str, &str); 5] = [
    ("", "PersistentVolumeClaim", "the data of its volume"),
    ("", "PersistentVolume", "the data of its volume"),
    ("", "Namespace", "everything in it"),
    ("cluster.x-k8s.io", "Cluster", "the cluster with all that runs in it"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "all objects of its kind"),
];

/// Errors for what would be refused, warnings for what is lost; `live` is the state that the plan starts from.
pub fn no_way_back(plan: &Plan, live: &LiveState) -> Vec<Finding> {
    let mut findings = Vec::new();
    for step in &plan.steps {
        match &step.action {
            Action::Update(_) => findings.extend(refused(step, live)),
            Action::Create => findings.extend(empty(step)),
            _ => {}
        }
    }
    let deletions = &plan.deletions;
    let now = deletions.allowed.iter().map(|deletion| &deletion.id);
    let later = deletions.waiting.iter().map(|waiting| &waiting.deletion.id);
    let held = deletions.held.iter().map(|(id, _)| id);
    findings.extend(now.chain(later).chain(held).filter_map(lost));
    findings
}

fn refused(step: &Step, live: &LiveState) -> Vec<Finding> {
    let id = step.id();
    let of_kind = |(group, kind, _): &&(&str, &str, &str)| *group == id.group() && *kind == id.kind();
    let mut fields: Vec<String> = SET_ONCE
        .iter()
        .filter(of_kind)
        .filter(|(.., field)| step.changes.iter().any(|change| is_set_before(change, field)))
        .map(|(.., field)| (*field).to_owned())
        .collect();
    let before = live.objects.get(id).map(|object| &*object.body);
    if before.is_some_and(|before| before["immutable"] == true) && matches!(id.kind(), "Secret" | "ConfigMap")
    {
        let data =
            |change: &&FieldChange| is_below(&change.path, "data") || is_below(&change.path, "immutable");
        fields.extend(step.changes.iter().find(data).map(|change| change.path.to_string()));
    }
    let shrinks = |change: &&FieldChange| {
        id.kind() == "PersistentVolumeClaim"
            && is_below(&change.path, "spec.resources.requests.storage")
            && amount(&change.new) < amount(&change.old)
    };
    fields.extend(step.changes.iter().find(shrinks).map(|change| format!("{} (smaller)", change.path)));
    let mut findings: Vec<Finding> = Vec::new();
    if !fields.is_empty() {
        let message = format!("the API server does not let {} change back", fields.join(", "));
        let help = format!(
            "keep it as it is, or, once committed, `moin approve recreate {id}` deletes and creates it anew"
        );
        findings.push(Finding::error(Code::NotRevertible, message).help(help));
    }
    if id.kind() == "CustomResourceDefinition"
        && let Some(before) = before
    {
        findings.extend(stored_versions(before, &step.manifest.body));
    }
    let origin = &step.manifest.origin;
    let place = |finding: Finding| finding.about(id).at(Location::in_source(&origin.source, origin.line, 1));
    findings.into_iter().map(place).collect()
}

/// Versions in which objects may be stored by now, and which the older definition does not know.
fn stored_versions(before: &Value, after: &Value) -> Option<Finding> {
    let versions = |body: &Value| body["spec"]["versions"].as_array().cloned().unwrap_or_default();
    let known: Vec<Value> = versions(after).iter().map(|version| version["name"].clone()).collect();
    let lost: Vec<String> = versions(before)
        .iter()
        .filter(|version| version["storage"] == true && !known.contains(&version["name"]))
        .filter_map(|version| version["name"].as_str().map(str::to_owned))
        .collect();
    (!lost.is_empty()).then(|| {
        let message = format!(
            "objects are stored in the version {} of this kind, which the older definition does not have",
            lost.join(", ")
        );
        let help = "keep the newer definition; to go back, migrate the objects and take the version out of \
                    status.storedVersions first";
        Finding::error(Code::NotRevertible, message).help(help)
    })
}

fn contents(id: &ObjectId) -> Option<&'static str> {
    let of_kind = |(group, kind, _): &&(&str, &str, &str)| *group == id.group() && *kind == id.kind();
    CONTENTS.iter().find(of_kind).map(|(.., what)| *what)
}

fn empty(step: &Step) -> Option<Finding> {
    let id = step.id();
    let what = contents(id)?;
    let message = format!("it was deleted since: it comes back new, without {what}");
    Some(Finding::warning(Code::NotRevertible, message).about(id).help("restore that from a backup"))
}

fn lost(id: &ObjectId) -> Option<Finding> {
    let what = contents(id)?;
    let message = format!("it is newer than the old state: going back deletes it, and {what} with it");
    Some(Finding::warning(Code::NotRevertible, message).about(id).help("save what is still needed first"))
}

/// Whether a change touches a field (written with dots) that was there before.
fn is_set_before(change: &FieldChange, field: &str) -> bool {
    is_below(&change.path, field) && (change.old.is_some() || change.path.0.len() > field.split('.').count())
}

fn is_below(path: &FieldPath, field: &str) -> bool {
    let mut segments = path.0.iter();
    field.split('.').all(|key| segments.next() == Some(&PathSegment::Key(key.to_owned())))
}

fn amount(value: &Option<Value>) -> f64 {
    value.as_ref().and_then(Value::as_str).and_then(quantity_value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(path: &str, old: Value, new: Value) -> FieldChange {
        FieldChange { path: FieldPath::of_keys(path.split('.')), old: Some(old), new: Some(new) }
    }

    #[test]
    fn fields_that_are_set_once_are_known_at_any_depth() {
        let deep = change("spec.selector.matchLabels.app", json!("a"), json!("b"));
        assert!(is_set_before(&deep, "spec.selector") && !is_set_before(&deep, "spec.template"));
        let new = FieldChange { old: None, ..change("spec.serviceName", json!(null), json!("a")) };
        assert!(!is_set_before(&new, "spec.serviceName"));
    }

    #[test]
    fn a_version_that_objects_are_stored_in_must_stay() {
        let definition = |versions: &[(&str, bool)]| {
            let of = |(name, storage): &(&str, bool)| json!({"name": name, "storage": storage});
            json!({"spec": {"versions": versions.iter().map(of).collect::<Vec<_>>()}})
        };
        let new = definition(&[("v1", false), ("v2", true)]);
        let found = stored_versions(&new, &definition(&[("v1", true)])).unwrap();
        assert!(found.message.contains("version v2"));
        assert_eq!(stored_versions(&new, &definition(&[("v1", true), ("v2", false)])), None);
    }

    #[test]
    fn what_holds_data_comes_back_empty() {
        assert!(lost(&"PersistentVolumeClaim/a/x".parse().unwrap()).is_some());
        assert_eq!(lost(&"ConfigMap/a/x".parse().unwrap()), None);
    }
}
