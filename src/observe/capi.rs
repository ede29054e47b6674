//! Cluster API and its providers.
//!
//! Until v1beta1 objects say by `phase`, `Ready` and a condition's `severity` how they are. From v1beta2 on they have
//! `Available` instead of `Ready`, no severity, and conditions that are bad or busy when they are True; which of
//! the two an object speaks is seen by the version in which it was read.

use super::generic::failure;
use super::object::{Condition, Object, degraded, healthy, progressing, stale, suspended};
use crate::model::Health;

/// Conditions of v1beta2 that say, when True, that work goes on.
const WORKING: [&str; 6] = ["Deleting", "Remediating", "RollingOut", "ScalingUp", "ScalingDown", "Updating"];

pub(super) fn cluster(object: &Object<'_>) -> Health {
    if let Some(health) = paused(object).or_else(|| failed(object)) {
        return health;
    }
    if !is_modern(object) {
        return cluster_by_phase(object);
    }
    let topology = !object.at(&["spec", "topology"]).is_null();
    let required: &[&str] = if topology { &["TopologyReconciled", "Available"] } else { &["Available"] };
    by_polarity(object, required)
}

fn cluster_by_phase(object: &Object<'_>) -> Health {
    let topology = object.condition("TopologyReconciled").filter(|condition| !condition.is("True"));
    match topology {
        Some(topology) if topology.is_severe() => degraded(topology.sentence()),
        Some(topology) if !object.is_stale() => progressing(topology.sentence()),
        _ => by_phase(object, &["Provisioned"]),
    }
}

pub(super) fn machine(object: &Object<'_>) -> Health {
    workers(object, &["Ready"], &["Running"])
}

pub(super) fn machine_deployment(object: &Object<'_>) -> Health {
    workers(object, &["Available"], &["Running"])
}

/// A pool is scaled by its infrastructure all the time, so scaling is a healthy phase.
pub(super) fn machine_pool(object: &Object<'_>) -> Health {
    if is_modern(object) && object.condition("Available").is_some() {
        return workers(object, &["Available"], &[]);
    }
    paused(object).or_else(|| failed(object)).unwrap_or_else(|| by_phase(object, &["Running", "Scaling"]))
}

pub(super) fn machine_set(object: &Object<'_>) -> Health {
    if let Some(health) = paused(object).or_else(|| failed(object)) {
        return health;
    }
    if !object.is_observed() {
        return stale(object);
    }
    if let Some(health) = working(object) {
        return health;
    }
    let (available, wanted) =
        (object.count("availableReplicas"), object.int(&["spec", "replicas"]).unwrap_or(1));
    let reason = format!("{available} of {wanted} machines are available");
    if available < wanted { progressing(reason) } else { healthy(reason) }
}

fn workers(object: &Object<'_>, required: &[&str], phases: &[&str]) -> Health {
    if let Some(health) = paused(object).or_else(|| failed(object)) {
        return health;
    }
    if is_modern(object) { by_polarity(object, required) } else { by_phase(object, phases) }
}

pub(super) fn kubeadm_control_plane(object: &Object<'_>) -> Health {
    if !is_modern(object) {
        return provider(object);
    }
    workers(object, &["Available"], &[])
}

pub(super) fn machine_health_check(object: &Object<'_>) -> Health {
    if let Some(health) = paused(object) {
        return health;
    }
    if object.is_stale() {
        return stale(object);
    }
    if !object.has_status() {
        return progressing("the machines have not been counted yet");
    }
    let (current, expected) = (object.count("currentHealthy"), object.count("expectedMachines"));
    let reason = format!("{current} of {expected} machines are healthy");
    if current < expected { degraded(reason) } else { healthy(reason) }
}

/// A class can be used when its variables are known; that its references have newer versions is only news.
pub(super) fn cluster_class(object: &Object<'_>) -> Health {
    if let Some(health) = paused(object) {
        return health;
    }
    if !object.is_observed() {
        return stale(object);
    }
    let variables = object.condition("VariablesReady").or_else(|| object.condition("VariablesReconciled"));
    match variables {
        None => progressing("the variables of the class are not known yet"),
        Some(condition) if condition.is_stale(object) => stale(object),
        Some(condition) if condition.is("True") => healthy("the variables of the class are known"),
        Some(condition) if condition.is_severe() || condition.reason().ends_with("Failed") => {
            degraded(condition.sentence())
        }
        Some(condition) => progressing(condition.sentence()),
    }
}

/// Infrastructure, bootstrap and control plane of whatever provider: what the contract promises, and no more.
pub(super) fn provider(object: &Object<'_>) -> Health {
    if let Some(health) = paused(object).or_else(|| failed(object)) {
        return health;
    }
    if object.is_stale() {
        return stale(object);
    }
    if let Some(severe) = object.conditions().find(Condition::is_severe) {
        return degraded(severe.sentence());
    }
    let busy = |condition: &Condition<'_>| {
        condition.is("True")
            && ["Updating", "Creating", "Deleting", "RollingOut"]
                .iter()
                .any(|end| condition.kind().ends_with(end))
    };
    if let Some(busy) = object.conditions().find(busy) {
        return progressing(busy.sentence());
    }
    let ready = object.condition("Ready");
    if let Some(ready) = ready.filter(|ready| !ready.is("True") || ready.is_stale(object)) {
        return progressing(ready.sentence());
    }
    let flags = [&["status", "ready"][..], &["status", "initialization", "provisioned"]];
    let said: Vec<bool> = flags.iter().filter_map(|path| object.at(path).as_bool()).collect();
    if said.contains(&false) {
        return progressing("its controller says that it is not ready");
    }
    if ready.is_some() || !said.is_empty() {
        return healthy("its controller says that it is ready");
    }
    let kind = object.text(&["kind"]);
    let silent = ["Template", "Identity", "List"].iter().any(|end| kind.ends_with(end));
    if object.has_status() || silent {
        healthy("it is there; its kind reports no readiness")
    } else {
        progressing("its controller has not reported yet")
    }
}

/// Whether the object was read in v1beta2 or a later version.
fn is_modern(object: &Object<'_>) -> bool {
    let version = object.gvk().map(|gvk| gvk.version);
    version.is_some_and(|version| !version.starts_with("v1alpha") && &*version != "v1beta1")
}

fn paused(object: &Object<'_>) -> Option<Health> {
    let by_annotation = object.annotation("cluster.x-k8s.io/paused").is_some();
    let paused = by_annotation || object.flag(&["spec", "paused"]) || object.is_true("Paused").is_some();
    paused.then(|| suspended(format!("{} is paused", object.text(&["kind"]))))
}

fn failed(object: &Object<'_>) -> Option<Health> {
    if let Some(message) = failure(object) {
        return Some(degraded(message));
    }
    let kind = object.text(&["kind"]);
    (object.text(&["status", "phase"]) == "Failed").then(|| match object.condition("Ready") {
        Some(ready) if !ready.is("True") => degraded(ready.sentence()),
        _ => degraded(format!("{kind} is in phase Failed")),
    })
}

/// By `phase` and `Ready`, as until v1beta1.
fn by_phase(object: &Object<'_>, well: &[&str]) -> Health {
    if object.is_stale() {
        return stale(object);
    }
    let not_ready = object.condition("Ready").filter(|ready| !ready.is("True"));
    if let Some(severe) = not_ready.filter(Condition::is_severe) {
        return degraded(severe.sentence());
    }
    let phase = object.text(&["status", "phase"]);
    match not_ready {
        Some(ready) => progressing(ready.sentence()),
        None if well.contains(&phase) => healthy(format!("its phase is {phase}")),
        None if phase.is_empty() => progressing("its controller has not reported yet"),
        None => progressing(format!("its phase is {phase}")),
    }
}

fn working(object: &Object<'_>) -> Option<Health> {
    let working = WORKING.iter().find_map(|kind| object.is_true(kind))?;
    Some(progressing(working.sentence()))
}

/// By conditions with a polarity, as from v1beta2 on.
fn by_polarity(object: &Object<'_>, required: &[&str]) -> Health {
    if !object.is_observed() {
        return stale(object);
    }
    let wanting: Vec<_> = required.iter().map(|kind| (*kind, object.condition(kind))).collect();
    let hopeless =
        |condition: &Condition<'_>| condition.is("False") && condition.reason().ends_with("Failed");
    if let Some(failed) = wanting.iter().filter_map(|(_, condition)| *condition).find(hopeless) {
        return degraded(failed.sentence());
    }
    if let Some(health) = working(object) {
        return health;
    }
    for (kind, condition) in wanting {
        match condition {
            None => return progressing(format!("{kind} is not reported yet")),
            Some(condition) if condition.is_stale(object) => return stale(object),
            Some(condition) if condition.is("True") => {}
            Some(condition) => return not_true(object, kind, condition),
        }
    }
    healthy(format!("{} is True for the current generation", required.join(" and ")))
}

fn not_true(object: &Object<'_>, kind: &str, condition: Condition<'_>) -> Health {
    if condition.reason().ends_with("Paused") {
        return suspended(condition.sentence());
    }
    // What was available once and is not any more, while nothing is being changed, needs somebody.
    let lost = kind == "Available" && condition.is("False") && was_initialized(object);
    if lost { degraded(condition.sentence()) } else { progressing(condition.sentence()) }
}

fn was_initialized(object: &Object<'_>) -> bool {
    object.flag(&["status", "initialization", "controlPlaneInitialized"])
}
