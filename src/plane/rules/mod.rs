//! What single kinds do differently: the strategies of the API server in one place.

mod allocate;
mod batch;
mod config;
mod container;
mod cron;
mod dispatch;
mod limits;
mod metadata;
mod networking;
mod plugins;
mod pod;
mod quota;
mod rbac;
mod report;
mod selector;
mod service;
mod storage;
pub(crate) mod text;
mod warnings;
mod workloads;

use serde_json::{Value, json};

use crate::merge::FieldSet;
use crate::plane::call::Subresource;
use crate::plane::crd;
use crate::plane::kinds::Resource;
use crate::plane::write::set_or_remove;

pub(crate) use dispatch::{has_rules, validate};
pub(crate) use metadata::embedded as embedded_metadata;
pub(crate) use warnings::of as warnings;

/// Whether an update may leave out the version that it builds on.
pub(crate) fn unconditional_update(resource: &Resource) -> bool {
    !resource.custom
        && !matches!(
            &*resource.collection,
            "leases.coordination.k8s.io"
                | "customresourcedefinitions.apiextensions.k8s.io"
                | "poddisruptionbudgets.policy"
                | "validatingadmissionpolicies.admissionregistration.k8s.io"
                | "validatingadmissionpolicybindings.admissionregistration.k8s.io"
                | "mutatingadmissionpolicies.admissionregistration.k8s.io"
                | "mutatingadmissionpolicybindings.admissionregistration.k8s.io"
                | "validatingwebhookconfigurations.admissionregistration.k8s.io"
                | "mutatingwebhookconfigurations.admissionregistration.k8s.io"
                | "runtimeclasses.node.k8s.io"
                | "apiservices.apiregistration.k8s.io"
        )
}

/// Whether a PUT of an object that is not there creates it.
pub(crate) fn create_on_update(resource: &Resource) -> bool {
    matches!(
        &*resource.collection,
        "leases.coordination.k8s.io"
            | "endpoints"
            | "events"
            | "events.events.k8s.io"
            | "services"
            | "limitranges"
            | "roles.rbac.authorization.k8s.io"
            | "rolebindings.rbac.authorization.k8s.io"
            | "clusterroles.rbac.authorization.k8s.io"
            | "clusterrolebindings.rbac.authorization.k8s.io"
    )
}

/// Whether a deletion answers with the object instead of a Status.
pub(crate) fn returns_deleted(resource: &Resource) -> bool {
    !resource.custom
        && matches!(
            &*resource.collection,
            "pods"
                | "services"
                | "serviceaccounts"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "podtemplates"
                | "resourcequotas"
                | "storageclasses.storage.k8s.io"
                | "csidrivers.storage.k8s.io"
                | "csinodes.storage.k8s.io"
                | "volumeattachments.storage.k8s.io"
        )
}

/// Whether objects count the changes of what they want.
pub(crate) fn has_generation(resource: &Resource) -> bool {
    resource.custom
        || matches!(
            &*resource.collection,
            "pods"
                | "replicationcontrollers"
                | "podtemplates"
                | "deployments.apps"
                | "replicasets.apps"
                | "daemonsets.apps"
                | "statefulsets.apps"
                | "jobs.batch"
                | "cronjobs.batch"
                | "ingresses.networking.k8s.io"
                | "networkpolicies.networking.k8s.io"
                | "ingressclasses.networking.k8s.io"
                | "poddisruptionbudgets.policy"
                | "endpointslices.discovery.k8s.io"
                | "customresourcedefinitions.apiextensions.k8s.io"
                | "mutatingadmissionpolicies.admissionregistration.k8s.io"
                | "mutatingadmissionpolicybindings.admissionregistration.k8s.io"
                | "validatingadmissionpolicies.admissionregistration.k8s.io"
                | "validatingadmissionpolicybindings.admissionregistration.k8s.io"
                | "validatingwebhookconfigurations.admissionregistration.k8s.io"
                | "mutatingwebhookconfigurations.admissionregistration.k8s.io"
                | "priorityclasses.scheduling.k8s.io"
                | "flowschemas.flowcontrol.apiserver.k8s.io"
                | "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
        )
}

/// Fields that a way of writing leaves as they are: `status` but through its subresource, and there the rest.
pub(crate) fn reset_fields(resource: &Resource, subresource: Option<&str>) -> FieldSet {
    match subresource {
        Some("status") if resource.is("apps", "Deployment") => {
            FieldSet::of_fields([vec!["spec"], vec!["metadata", "labels"]])
        }
        Some("status") if resource.is("", "Pod") => {
            FieldSet::of_fields([vec!["spec"], vec!["metadata", "ownerReferences"]])
        }
        Some("status") if resource.is(crd::GROUP, crd::KIND) => FieldSet::of_fields([["spec"], ["metadata"]]),
        Some("status") => FieldSet::of_fields([["spec"]]),
        None if resource.status => FieldSet::of_fields([["status"]]),
        _ => FieldSet::new(),
    }
}

/// What is filled in by the decoder, so that it belongs to whoever sent it.
pub(crate) fn default(resource: &Resource, body: &mut Value, sent: bool) {
    if resource.is("", "Namespace") {
        name_label(body);
    }
    if resource.is("", "Secret") {
        merge_string_data(body);
    }
    if !resource.custom && body["metadata"]["managedFields"].as_array().is_some_and(Vec::is_empty) {
        // No entries ask for a reset, as a single empty one does; an empty list would not outlive normalising.
        body["metadata"]["managedFields"] = json!([{}]);
    }
    if sent
        && resource.is("apps", "DaemonSet")
        && body["metadata"]["annotations"].get(TEMPLATE_GENERATION).is_none()
    {
        body["metadata"]["annotations"][TEMPLATE_GENERATION] = "0".into();
    }
}

/// A namespace has its name as a label too, once it has one.
fn name_label(body: &mut Value) {
    let Some(name) = body["metadata"]["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    else {
        return;
    };
    if !body["metadata"]["labels"].is_object() {
        body["metadata"]["labels"] = json!({});
    }
    body["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
}

/// `stringData` is written into `data` and never read back.
fn merge_string_data(body: &mut Value) {
    use base64::Engine as _;
    let Some(Value::Object(texts)) = body.as_object_mut().and_then(|secret| secret.remove("stringData"))
    else {
        return;
    };
    if texts.is_empty() {
        return;
    }
    if !body["data"].is_object() {
        body["data"] = json!({});
    }
    for (key, text) in texts {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
        body["data"][key] = encoded.into();
    }
}

/// What the server sets on a new object; it belongs to nobody.
pub(crate) fn prepare_create(resource: &Resource, body: &mut Value) {
    if resource.is("", "Namespace") {
        let held = body["spec"]["finalizers"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "kubernetes"));
        match body["spec"]["finalizers"].as_array_mut() {
            Some(all) if !held => all.push("kubernetes".into()),
            Some(_) => {}
            None => body["spec"]["finalizers"] = json!(["kubernetes"]),
        }
        body["status"] = json!({"phase": "Active"});
        name_label(body);
    }
    if resource.is("", "Service") {
        allocate::new_service(body);
    }
    if resource.is("", "Pod") {
        body["status"] = json!({"phase": "Pending", "qosClass": quality(body)});
    }
    if resource.is("", "PersistentVolumeClaim") {
        body["status"] = json!({"phase": "Pending"});
    }
    if resource.is("", "PersistentVolume") {
        body["status"] =
            json!({"phase": "Pending", "lastPhaseTransitionTime": body["metadata"]["creationTimestamp"]});
    }
    if resource.is("apps", "DaemonSet") {
        body["metadata"]["annotations"][TEMPLATE_GENERATION] = "1".into();
    }
    plugins::on_create(resource, body);
    if resource.is("batch", "Job") && body["spec"]["manualSelector"] != true {
        select_own_pods(body);
    }
    if resource.is(crd::GROUP, crd::KIND) {
        body["status"] = crd::initial_status(body);
    }
}

/// How well a pod says what it needs.
fn quality(pod: &Value) -> &'static str {
    let containers = || pod["spec"]["containers"].as_array().into_iter().flatten();
    let bare = |one: &Value| one["resources"]["limits"].is_null() && one["resources"]["requests"].is_null();
    let exact = |one: &Value| {
        let limits = &one["resources"]["limits"];
        !limits["cpu"].is_null() && !limits["memory"].is_null() && one["resources"]["requests"] == *limits
    };
    if containers().all(bare) {
        "BestEffort"
    } else if containers().all(exact) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// A job finds its pods by labels that the server makes up.
fn select_own_pods(job: &mut Value) {
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    if !job["spec"].is_object() {
        return;
    }
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let job_labels = match &job["metadata"]["labels"] {
        Value::Null => json!({}),
        labels => labels.clone(),
    };
    let applied = job["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owned = applied
        .filter(|entry| entry["operation"] == "Apply")
        .any(|entry| entry["fieldsV1"]["f:metadata"].get("f:labels").is_some());
    let metadata = &mut job["spec"]["template"]["metadata"];
    if !metadata["labels"].is_object() {
        metadata["labels"] = json!({});
    }
    // A job without labels shares those of its pods, and so those that are added to them.
    let shared = job_labels == metadata["labels"] && !owned;
    for prefix in ["", "batch.kubernetes.io/"] {
        metadata["labels"][format!("{prefix}controller-uid")] = uid.clone();
        metadata["labels"][format!("{prefix}job-name")] = name.clone();
    }
    if shared {
        job["metadata"]["labels"] = job["spec"]["template"]["metadata"]["labels"].clone();
    }
}

/// What the server sets on a changed object: above all its generation.
pub(crate) fn prepare_update(
    resource: &Resource,
    subresource: Option<&Subresource>,
    body: &mut Value,
    before: &Value,
) {
    if resource.is("", "Namespace") && subresource != Some(&Subresource::Finalize) {
        set_or_remove(body, "spec", before["spec"].clone());
    }
    if resource.is("", "Service") && subresource.is_none() {
        allocate::changed_service(body, before);
    }
    if resource.is("apps", "DaemonSet") {
        count_templates(body, before);
    }
    plugins::on_update(resource, body, before);
    if resource.is(crd::GROUP, crd::KIND) && subresource.is_none() {
        crd::note_storage_version(body);
    }
    let generation = before["metadata"]["generation"].as_i64();
    if subresource == Some(&Subresource::Status)
        || !has_generation(resource)
        || resource.is("scheduling.k8s.io", "PriorityClass")
    {
        return;
    }
    let changed = if resource.custom {
        content(body, resource.status) != content(before, resource.status)
    } else {
        let annotated = resource.is("apps", "Deployment")
            && body["metadata"]["annotations"] != before["metadata"]["annotations"];
        let labelled = resource.is("discovery.k8s.io", "EndpointSlice")
            && !report::same(&body["metadata"]["labels"], &before["metadata"]["labels"]);
        annotated || labelled || content(body, true) != content(before, true)
    };
    if let Some(generation) = generation {
        body["metadata"]["generation"] = (generation + i64::from(changed)).into();
    }
}

/// The annotation that older API versions of a daemon set had as a field: how often its template changed.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn count_templates(body: &mut Value, before: &Value) {
    let count = before["metadata"]["annotations"][TEMPLATE_GENERATION].as_str().unwrap_or_default();
    let count = count.parse::<i64>().unwrap_or(0);
    let changed = body["spec"]["template"] != before["spec"]["template"];
    body["metadata"]["annotations"][TEMPLATE_GENERATION] = (count + i64::from(changed)).to_string().into();
}

/// An object without metadata and, where it has an endpoint of its own, status.
fn content(body: &Value, without_status: bool) -> Value {
    let mut content = body.clone();
    if let Some(content) = content.as_object_mut() {
        content.remove("metadata");
        if without_status {
            content.remove("status");
        }
    }
    content
}

/// Whether nothing holds an object that is being deleted any more.
pub(crate) fn finalized(resource: &Resource, body: &Value) -> bool {
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let grace = body["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    none(&body["metadata"]["finalizers"])
        && grace == 0
        && (!resource.is("", "Namespace") || none(&body["spec"]["finalizers"]))
}

/// How long a deleted object stays: only a pod that a node runs is given time.
pub(crate) fn grace_seconds(resource: &Resource, body: &Value, asked: Option<i64>) -> i64 {
    let runs = resource.is("", "Pod")
        && !body["spec"]["nodeName"].as_str().unwrap_or_default().is_empty()
        && !matches!(body["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !runs {
        return 0;
    }
    asked.or(body["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}});
        merge_string_data(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "eA==", "b": "eQ=="}}));
    }
}
