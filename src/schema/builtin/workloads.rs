//! Kinds that run pods.

use serde_json::{Value, json};

use super::pods::pod_spec;
use super::{items, set, within};

pub(super) fn deployment(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = within(spec, "strategy") {
        rolling(strategy, &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
    }
    template(spec);
}

pub(super) fn daemon_set(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = within(spec, "updateStrategy") {
        rolling(strategy, &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
    }
    template(spec);
}

/// A strategy rolls if it says nothing else; then these are how.
fn rolling(strategy: &mut Value, how: &[(&str, Value)]) {
    set(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        set(strategy, "rollingUpdate", json!({}));
        for (field, value) in how {
            set(&mut strategy["rollingUpdate"], field, value.clone());
        }
    }
}

pub(super) fn stateful_set(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "podManagementPolicy", "OrderedReady");
    set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    for moment in ["whenDeleted", "whenScaled"] {
        set(&mut spec["persistentVolumeClaimRetentionPolicy"], moment, "Retain");
    }
    if let Some(strategy) = within(spec, "updateStrategy") {
        if strategy.get("type").is_none_or(|kind| kind == "") {
            set(strategy, "type", "RollingUpdate");
            set(strategy, "rollingUpdate", json!({}));
        }
        let rolls = strategy["type"] == "RollingUpdate";
        if let Some(rolling) = within(strategy, "rollingUpdate").filter(|_| rolls) {
            set(rolling, "partition", 0);
        }
    }
    for claim in items(spec, "volumeClaimTemplates") {
        set(claim, "apiVersion", "v1");
        set(claim, "kind", "PersistentVolumeClaim");
        set(&mut claim["spec"], "volumeMode", "Filesystem");
        set(&mut claim["status"], "phase", "Pending");
    }
    template(spec);
}

/// A replica set, or the spec of a replication controller.
pub(super) fn replica_set(spec: &mut Value) {
    set(spec, "replicas", 1);
    template(spec);
}

/// What a replication controller does not say of itself, its template says.
pub(super) fn replication_controller(object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    if let Some(labels) = labels.filter(Value::is_object) {
        set_empty(&mut object["spec"], "selector", &labels);
        set_empty(&mut object["metadata"], "labels", &labels);
    }
    replica_set(&mut object["spec"]);
}

pub(super) fn job(object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    if let Some(labels) = labels.filter(Value::is_object) {
        set_empty(&mut object["metadata"], "labels", &labels);
    }
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let by_index = spec.get("backoffLimitPerIndex").is_some_and(Value::is_number);
    set(spec, "backoffLimit", if by_index { i32::MAX } else { 6 });
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    let failed_only = spec.get("podFailurePolicy").is_some_and(Value::is_object);
    set(spec, "podReplacementPolicy", if failed_only { "Failed" } else { "TerminatingOrFailed" });
    job_spec(spec);
}

pub(super) fn cron_job(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    if let Some(jobs) = within(spec, "jobTemplate").and_then(|template| within(template, "spec")) {
        job_spec(jobs);
    }
}

/// The parts of a job that are given to a template of jobs too.
fn job_spec(spec: &mut Value) {
    if let Some(policy) = within(spec, "podFailurePolicy") {
        for rule in items(policy, "rules") {
            items(rule, "onPodConditions").for_each(|pattern| set(pattern, "status", "True"));
        }
    }
    template(spec);
}

fn template(spec: &mut Value) {
    if let Some(pod) = within(spec, "template").and_then(|template| within(template, "spec")) {
        pod_spec(pod);
    }
}

/// Sets a dictionary that is absent or empty.
fn set_empty(object: &mut Value, field: &str, labels: &Value) {
    let map = object.get(field).and_then(Value::as_object);
    if map.is_none_or(serde_json::Map::is_empty)
        && labels.as_object().is_some_and(|labels| !labels.is_empty())
    {
        object[field] = labels.clone();
    }
}
