use std::path::Path;

use serde_json::{Value, json};

use super::health;
use crate::model::HealthStatus;

use HealthStatus::{Degraded, Healthy, Progressing, Suspended, Unknown};

/// No verdict on these deviates from Argo CD's; what it does not know (v1beta2, ClusterStacks) has cases of its own below.
#[test]
fn every_recorded_object_is_judged_as_argo_cd_judges_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/health-cases.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared/health-cases.jsonl is not here");
        return;
    };
    let mut wrong = Vec::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["case"].as_str().unwrap();
        let expected = case["health"].as_str().unwrap();
        let found = health(&case["object"]);
        if found.status.to_string() != expected {
            wrong.push(format!("{name}: {expected}, but {found:?}"));
        }
        assert!(!found.reason.trim().is_empty(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each case: the verdict, and a part of its reason.
fn check(cases: &[(Value, HealthStatus, &str)]) {
    for (object, status, reason) in cases {
        let found = health(object);
        assert_eq!(found.status, *status, "{} for {object}", found.reason);
        assert!(found.reason.contains(reason), "{:?} lacks {reason:?}", found.reason);
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "observedGeneration": 3})
}

/// An object of generation 3 whose controller has seen it.
fn seen(api: &str, kind: &str, spec: Value, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions.iter().map(|(k, s, r)| condition(k, s, r)).collect();
    json!({
        "apiVersion": api, "kind": kind,
        "metadata": {"name": "x", "namespace": "team-a", "generation": 3}, "spec": spec,
        "status": {"observedGeneration": 3, "conditions": conditions},
    })
}

fn with(mut object: Value, pointer: &[&str], value: Value) -> Value {
    let place = pointer.iter().fold(&mut object, |at, key| &mut at[*key]);
    *place = value;
    object
}

const V1BETA2: &str = "cluster.x-k8s.io/v1beta2";
const TOPOLOGY: (&str, &str, &str) = ("TopologyReconciled", "True", "ReconcileSucceeded");
const AVAILABLE: (&str, &str, &str) = ("Available", "True", "Available");

fn cluster(conditions: &[(&str, &str, &str)]) -> Value {
    let spec = json!({"topology": {"classRef": {"name": "openstack-scs-1-32-v1"}, "version": "v1.32.1"}});
    seen(V1BETA2, "Cluster", spec, conditions)
}

#[test]
fn a_cluster_of_v1beta2_is_healthy_when_available_reconciled_and_quiet() {
    let well = cluster(&[AVAILABLE, TOPOLOGY, ("RollingOut", "False", "NotRollingOut")]);
    let initialized = json!({"controlPlaneInitialized": true, "infrastructureProvisioned": true});
    let not_available = cluster(&[
        ("Available", "False", "NotAvailable"),
        TOPOLOGY,
        ("RollingOut", "False", "NotRollingOut"),
    ]);
    check(&[
        (well.clone(), Healthy, "Available"),
        (with(well.clone(), &["metadata", "generation"], json!(4)), Progressing, "generation 4"),
        (with(well.clone(), &["status", "observedGeneration"], Value::Null), Progressing, "generation 3"),
        (with(well.clone(), &["status"], Value::Null), Progressing, "generation 3"),
        (with(well.clone(), &["spec", "paused"], json!(true)), Suspended, "paused"),
        (
            with(well.clone(), &["metadata", "deletionTimestamp"], json!("2026-01-01T00:00:00Z")),
            Progressing,
            "deleted",
        ),
        (with(well.clone(), &["status", "phase"], json!("Failed")), Degraded, "Failed"),
        // kstatus calls all of these Current: there is no Ready.
        (cluster(&[TOPOLOGY]), Progressing, "Available is not reported"),
        (cluster(&[AVAILABLE]), Progressing, "TopologyReconciled is not reported"),
        (
            cluster(&[AVAILABLE, ("TopologyReconciled", "False", "ClusterUpgrading")]),
            Progressing,
            "ClusterUpgrading",
        ),
        (
            cluster(&[AVAILABLE, ("TopologyReconciled", "False", "ReconcileFailed")]),
            Degraded,
            "ReconcileFailed",
        ),
        (
            cluster(&[AVAILABLE, ("TopologyReconciled", "False", "ReconcilePaused")]),
            Suspended,
            "ReconcilePaused",
        ),
        (cluster(&[AVAILABLE, TOPOLOGY, ("RollingOut", "True", "RollingOut")]), Progressing, "RollingOut"),
        (cluster(&[AVAILABLE, TOPOLOGY, ("Paused", "True", "Paused")]), Suspended, "paused"),
        (cluster(&[("Available", "Unknown", "InternalError"), TOPOLOGY]), Progressing, "Available"),
        // Not available yet, and not available any more.
        (not_available.clone(), Progressing, "NotAvailable"),
        (with(not_available, &["status", "initialization"], initialized), Degraded, "NotAvailable"),
        (
            with(
                well,
                &["status", "conditions"],
                json!([{"type": "Available", "status": "True", "observedGeneration": 2},
            condition("TopologyReconciled", "True", "")]),
            ),
            Progressing,
            "generation 3",
        ),
    ]);
    let without_topology = seen(V1BETA2, "Cluster", json!({}), &[AVAILABLE]);
    check(&[(without_topology, Healthy, "Available")]);
}

#[test]
fn a_cluster_of_v1beta1_speaks_by_phase_ready_and_severity() {
    let cluster = |ready: Value, phase: &str| {
        json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
            "metadata": {"name": "x", "generation": 2},
            "status": {"observedGeneration": 2, "phase": phase, "conditions": [ready]}})
    };
    let ready = |status: &str, severity: &str| json!({"type": "Ready", "status": status, "severity": severity, "reason": "R"});
    let topology = json!({"type": "TopologyReconciled", "status": "False", "severity": "Info", "reason": "ControlPlaneUpgradePending"});
    check(&[
        (cluster(ready("True", ""), "Provisioned"), Healthy, "Provisioned"),
        (cluster(ready("False", "Info"), "Provisioned"), Progressing, "R"),
        (cluster(ready("False", "Error"), "Provisioned"), Degraded, "R"),
        (cluster(topology, "Provisioned"), Progressing, "ControlPlaneUpgradePending"),
        (
            with(cluster(ready("True", ""), "Provisioned"), &["metadata", "generation"], json!(3)),
            Progressing,
            "3",
        ),
        (
            json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "metadata": {"name": "x"}}),
            Progressing,
            "not reported",
        ),
    ]);
}

#[test]
fn machines_pools_and_control_planes_of_v1beta2() {
    let kcp = "controlplane.cluster.x-k8s.io/v1beta2";
    let lost = seen(kcp, "KubeadmControlPlane", json!({}), &[("Available", "False", "NotAvailable")]);
    let scaled = |available: i64| {
        with(
            seen(V1BETA2, "MachineSet", json!({"replicas": 2}), &[]),
            &["status", "availableReplicas"],
            json!(available),
        )
    };
    check(&[
        (seen(V1BETA2, "MachineDeployment", json!({}), &[AVAILABLE]), Healthy, ""),
        (
            seen(V1BETA2, "MachineDeployment", json!({}), &[AVAILABLE, ("ScalingUp", "True", "ScalingUp")]),
            Progressing,
            "ScalingUp",
        ),
        (seen(V1BETA2, "MachineDeployment", json!({"paused": true}), &[AVAILABLE]), Suspended, "paused"),
        (
            seen(V1BETA2, "MachineDeployment", json!({}), &[("Available", "False", "NotAvailable")]),
            Progressing,
            "",
        ),
        (
            seen(kcp, "KubeadmControlPlane", json!({}), &[AVAILABLE, ("RollingOut", "True", "RollingOut")]),
            Progressing,
            "",
        ),
        (seen(kcp, "KubeadmControlPlane", json!({}), &[AVAILABLE]), Healthy, ""),
        (lost.clone(), Progressing, ""),
        (
            with(lost, &["status", "initialization"], json!({"controlPlaneInitialized": true})),
            Degraded,
            "NotAvailable",
        ),
        (
            seen(
                "controlplane.cluster.x-k8s.io/v1beta1",
                "KubeadmControlPlane",
                json!({}),
                &[("Ready", "True", "")],
            ),
            Healthy,
            "",
        ),
        (seen(V1BETA2, "Machine", json!({}), &[("Ready", "False", "NotReady")]), Progressing, "NotReady"),
        (seen(V1BETA2, "Machine", json!({}), &[("Ready", "True", "Ready")]), Healthy, ""),
        (scaled(1), Progressing, "1 of 2"),
        (scaled(2), Healthy, "2 of 2"),
        (
            with(seen(V1BETA2, "MachinePool", json!({}), &[]), &["status", "phase"], json!("Running")),
            Healthy,
            "Running",
        ),
        (
            with(seen(V1BETA2, "MachinePool", json!({}), &[]), &["status", "phase"], json!("Failed")),
            Degraded,
            "Failed",
        ),
    ]);
}

#[test]
fn a_class_is_ready_when_its_variables_are() {
    check(&[
        (seen(V1BETA2, "ClusterClass", json!({}), &[("VariablesReady", "True", "")]), Healthy, "known"),
        (
            seen(
                "cluster.x-k8s.io/v1beta1",
                "ClusterClass",
                json!({}),
                &[("VariablesReconciled", "True", ""), ("RefVersionsUpToDate", "False", "")],
            ),
            Healthy,
            "",
        ),
        (
            seen(
                V1BETA2,
                "ClusterClass",
                json!({}),
                &[("VariablesReady", "False", "VariableDiscoveryFailed")],
            ),
            Degraded,
            "",
        ),
        (seen(V1BETA2, "ClusterClass", json!({}), &[]), Progressing, ""),
    ]);
}

#[test]
fn a_cluster_stack_is_believed_only_when_it_lists_every_version() {
    let stack = |versions: Value, summary: Value| {
        json!({"apiVersion": "clusterstack.x-k8s.io/v1alpha1", "kind": "ClusterStack",
            "metadata": {"name": "s", "generation": 9},
            "spec": {"provider": "openstack", "name": "scs", "kubernetesVersion": "1.30", "versions": versions},
            "status": {"summary": summary, "conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let entry = |name: &str, ready: bool| json!({"name": name, "ready": ready, "phase": "applying objects"});
    let failed = json!([{"type": "ClusterStackReleasesSynced", "status": "False", "severity": "Error", "reason": "SyncFailed", "message": "no such tag"}]);
    check(&[
        (stack(json!(["v4"]), json!([entry("openstack-scs-1-30-v4", true)])), Healthy, "v4"),
        (
            stack(json!(["v0-sha.11930ee"]), json!([entry("openstack-scs-1-30-v0-sha.11930ee", true)])),
            Healthy,
            "",
        ),
        (
            stack(json!(["v0-sha.11930ee"]), json!([entry("openstack-scs-1-30-v0-sha-11930ee", true)])),
            Healthy,
            "",
        ),
        // Ready is still that of the old spec.
        (stack(json!(["v4", "v5"]), json!([entry("openstack-scs-1-30-v4", true)])), Progressing, "v5"),
        (
            stack(json!(["v4"]), json!([entry("openstack-scs-1-30-v4", false)])),
            Progressing,
            "applying objects",
        ),
        (stack(json!(["v4"]), json!([entry("openstack-scs-1-30-v14", true)])), Progressing, "v4"),
        (stack(json!([]), json!([entry("openstack-scs-1-30-v4", true)])), Healthy, ""),
        (stack(json!([]), Value::Null), Progressing, ""),
        (with(stack(json!(["v9"]), Value::Null), &["status", "conditions"], failed), Degraded, "no such tag"),
    ]);
    let release = |status: Value| json!({"apiVersion": "clusterstack.x-k8s.io/v1alpha1", "kind": "ClusterStackRelease", "metadata": {"name": "r"}, "status": status});
    check(&[
        (release(json!({"ready": true})), Healthy, ""),
        (release(json!({"ready": false})), Progressing, ""),
        (release(Value::Null), Progressing, ""),
    ]);
}

#[test]
fn flux_and_unknown_kinds_follow_their_conditions() {
    let flux = "kustomize.toolkit.fluxcd.io/v1";
    let old = json!([{"type": "Ready", "status": "True", "observedGeneration": 2}]);
    check(&[
        (seen(flux, "Kustomization", json!({}), &[("Ready", "True", "Succeeded")]), Healthy, ""),
        (seen(flux, "Kustomization", json!({"suspend": true}), &[("Ready", "True", "")]), Suspended, ""),
        (seen(flux, "Kustomization", json!({}), &[]), Progressing, ""),
        (
            with(seen(flux, "Kustomization", json!({}), &[]), &["status", "conditions"], old),
            Progressing,
            "generation 3",
        ),
        (seen("notification.toolkit.fluxcd.io/v1beta3", "Alert", json!({}), &[]), Healthy, ""),
        (seen("example.org/v1", "Thing", json!({}), &[("Ready", "False", "R")]), Progressing, "R"),
        (
            seen("example.org/v1", "Thing", json!({}), &[("Stalled", "True", "S"), ("Ready", "False", "R")]),
            Degraded,
            "S",
        ),
        (seen("example.org/v1", "Thing", json!({}), &[("Reconciling", "True", "R")]), Progressing, "R"),
        (seen("example.org/v1", "Thing", json!({}), &[]), Healthy, ""),
        (
            with(seen("example.org/v1", "Thing", json!({}), &[]), &["metadata", "generation"], json!(4)),
            Progressing,
            "4",
        ),
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}), Healthy, ""),
        (json!({"kind": "ConfigMap"}), Unknown, "apiVersion"),
        (json!([]), Unknown, ""),
    ]);
}

#[test]
fn kinds_of_kubernetes_that_have_no_recorded_case() {
    let crd = "apiextensions.k8s.io/v1";
    let set = |partition: i64, updated: i64| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "generation": 1},
            "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": partition}}},
            "status": {"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": updated,
                "currentRevision": "a", "updateRevision": "b"}})
    };
    let budget = |current: i64| {
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "generation": 1},
            "status": {"observedGeneration": 1, "currentHealthy": current, "desiredHealthy": 2}})
    };
    check(&[
        (
            seen(
                crd,
                "CustomResourceDefinition",
                json!({}),
                &[("NamesAccepted", "True", ""), ("Established", "True", "")],
            ),
            Healthy,
            "",
        ),
        (
            seen(crd, "CustomResourceDefinition", json!({}), &[("NamesAccepted", "False", "PluralConflict")]),
            Degraded,
            "PluralConflict",
        ),
        (seen(crd, "CustomResourceDefinition", json!({}), &[]), Progressing, ""),
        (set(2, 1), Healthy, ""),
        (set(1, 1), Progressing, "1 of 2"),
        (set(0, 3), Progressing, "3 of 3"),
        (budget(2), Healthy, ""),
        (budget(1), Progressing, "1 of 2"),
        (
            json!({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Terminating"}}),
            Progressing,
            "",
        ),
        (json!({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"}}), Healthy, ""),
        (json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"suspend": true}}), Suspended, ""),
        (
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Lost"}}),
            Degraded,
            "",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 0}}),
            Progressing,
            "generation 1",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"generation": 2},
            "status": {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}}),
            Progressing,
            "1 of 2",
        ),
    ]);
}
