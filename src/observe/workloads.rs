//! Pods and what makes pods.

use serde_json::Value;

use super::object::{Object, degraded, healthy, progressing, stale, suspended, unknown};
use crate::model::Health;

pub(super) fn deployment(object: &Object<'_>) -> Health {
    if object.flag(&["spec", "paused"]) {
        return suspended("the rollout is paused");
    }
    if !object.is_observed() {
        return stale(object);
    }
    if let Some(condition) = object.condition("Progressing")
        && condition.reason() == "ProgressDeadlineExceeded"
    {
        return degraded(condition.sentence());
    }
    let wanted = object.int(&["spec", "replicas"]).unwrap_or(1);
    let updated = object.count("updatedReplicas");
    let (all, available) = (object.count("replicas"), object.count("availableReplicas"));
    if updated < wanted {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    if all > updated {
        return progressing(format!("{} old replicas are to be removed", all - updated));
    }
    available_of(available, updated)
}

fn available_of(available: i64, wanted: i64) -> Health {
    if available < wanted {
        return progressing(format!("{available} of {wanted} replicas are available"));
    }
    healthy(format!("{available} of {wanted} replicas are available"))
}

pub(super) fn replica_set(object: &Object<'_>) -> Health {
    if !object.is_observed() {
        return stale(object);
    }
    if let Some(failure) = object.is_true("ReplicaFailure") {
        return degraded(failure.sentence());
    }
    available_of(object.count("availableReplicas"), object.int(&["spec", "replicas"]).unwrap_or(1))
}

pub(super) fn stateful_set(object: &Object<'_>) -> Health {
    if !object.is_observed() || !object.has_status() {
        return stale(object);
    }
    let wanted = object.int(&["spec", "replicas"]).unwrap_or(1);
    let ready = object.count("readyReplicas");
    if ready < wanted {
        return progressing(format!("{ready} of {wanted} replicas are ready"));
    }
    let strategy = &["spec", "updateStrategy"];
    let kind = object.at(strategy)["type"].as_str().unwrap_or("RollingUpdate");
    if kind == "OnDelete" {
        return healthy(format!("{ready} of {wanted} replicas are ready"));
    }
    let partition = object.at(strategy)["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    let updated = object.count("updatedReplicas");
    if partition > 0 {
        let to_update = (wanted - partition).max(0);
        if updated < to_update {
            return progressing(format!("{updated} of {to_update} replicas of the partition are updated"));
        }
    } else if object.text(&["status", "updateRevision"]) != object.text(&["status", "currentRevision"]) {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    healthy(format!("{ready} of {wanted} replicas are ready"))
}

pub(super) fn daemon_set(object: &Object<'_>) -> Health {
    if !object.is_observed() || !object.has_status() {
        return stale(object);
    }
    let wanted = object.count("desiredNumberScheduled");
    let updated = object.count("updatedNumberScheduled");
    let by_hand = object.text(&["spec", "updateStrategy", "type"]) == "OnDelete";
    if !by_hand && updated < wanted {
        return progressing(format!("{updated} of {wanted} pods are updated"));
    }
    let available = object.count("numberAvailable");
    if available < wanted {
        return progressing(format!("{available} of {wanted} pods are available"));
    }
    healthy(format!("{available} of {wanted} pods are available"))
}

pub(super) fn job(object: &Object<'_>) -> Health {
    if let Some(failed) = object.is_true("Failed") {
        return degraded(failed.sentence());
    }
    if object.is_true("Complete").is_some() {
        return healthy("the Job is complete");
    }
    if object.flag(&["spec", "suspend"]) || object.is_true("Suspended").is_some() {
        return suspended("the Job is suspended");
    }
    progressing(format!("the Job runs; {} pods are active", object.count("active")))
}

pub(super) fn cron_job(object: &Object<'_>) -> Health {
    if object.flag(&["spec", "suspend"]) {
        return suspended("the schedule is suspended");
    }
    healthy("the schedule is active")
}

/// A pod that ends by itself is not done before it ended; one that runs for ever is, when it is ready.
pub(super) fn pod(object: &Object<'_>) -> Health {
    let lasting = runs_for_ever(object);
    if lasting && let Some(reason) = cannot_start(object) {
        return degraded(reason);
    }
    match object.text(&["status", "phase"]) {
        "Succeeded" => healthy("the pod has done its work"),
        "Failed" => degraded(failed_container(object).unwrap_or_else(|| "the pod failed".to_owned())),
        "Running" if !lasting => progressing("the pod runs and has not ended yet"),
        "Running" if object.is_true("Ready").is_some() => healthy("the pod is ready"),
        "Running" => match statuses(object).find(|status| !status["lastState"]["terminated"].is_null()) {
            Some(status) => degraded(format!("container {} ended and was started again", name(status))),
            None => progressing("the pod runs and is not ready yet"),
        },
        "Pending" | "" => progressing("the pod is not running yet"),
        other => unknown(format!("the pod's phase is {other}")),
    }
}

/// Objects that Argo CD managed may say so by its annotation; on its hooks that means nothing.
fn runs_for_ever(object: &Object<'_>) -> bool {
    let ignored = object.annotation("argocd.argoproj.io/ignore-restart-policy") == Some("true")
        && object.annotation("argocd.argoproj.io/hook").is_none();
    ignored || matches!(object.text(&["spec", "restartPolicy"]), "Always" | "")
}

fn statuses<'v>(object: &Object<'v>) -> impl Iterator<Item = &'v Value> {
    let of = |field| object.list(&["status", field]).iter();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

fn name(status: &Value) -> &str {
    status["name"].as_str().unwrap_or_default()
}

fn cannot_start(object: &Object<'_>) -> Option<String> {
    statuses(object).find_map(|status| {
        let waiting = &status["state"]["waiting"];
        let reason = waiting["reason"].as_str()?;
        let hopeless = reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff");
        let message = waiting["message"].as_str().unwrap_or(reason);
        hopeless.then(|| format!("container {} cannot start: {message}", name(status)))
    })
}

fn failed_container(object: &Object<'_>) -> Option<String> {
    let message = object.text(&["status", "message"]);
    if !message.is_empty() {
        return Some(message.to_owned());
    }
    statuses(object).find_map(|status| {
        let ended = &status["state"]["terminated"];
        let code = ended["exitCode"].as_i64().filter(|code| *code != 0)?;
        let reason = ended["message"].as_str().or(ended["reason"].as_str()).unwrap_or("Error");
        Some(format!("container {} ended with code {code}: {reason}", name(status)))
    })
}
