//! Health of an object, from nothing but the object: what a stage waits for and what a person is told.
//!
//! The words are Argo CD's, the rules kstatus' where the two agree and the better one's where they do not. A table says
//! which rule a kind follows; a kind that is not in it follows the generic conditions.

mod capi;
mod clusterstack;
mod core;
mod generic;
mod object;
mod workloads;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::model::Health;
use generic::{ByCondition, OnAbsent, OnFalse};
use object::{Object, progressing, unknown};

/// The health of an object as it was answered by the API server.
pub fn health(object: &Value) -> Health {
    let object = Object::new(object);
    let Some(gvk) = object.gvk() else { return unknown("it has no apiVersion or no kind") };
    if object.at(&["metadata", "deletionTimestamp"]).is_string() {
        return progressing(format!("{} is being deleted", gvk.kind));
    }
    match rule(&gvk.group, &gvk.kind) {
        Some(Rule::Function(function)) => function(&object),
        Some(Rule::Condition(by)) => by.health(&object),
        None => generic::unknown_kind(&object),
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Function(fn(&Object<'_>) -> Health),
    Condition(ByCondition),
}

/// Flux's controllers say `Ready: False` only after they tried, and `Unknown` while they do.
const FLUX: Rule = Rule::Condition(ByCondition {
    decisive: "Ready",
    working: &[],
    on_false: OnFalse::Degraded,
    on_absent: OnAbsent::Progressing,
});

/// Kinds of Flux that work without a controller's status.
const SILENT_FLUX: Rule = Rule::Condition(ByCondition {
    decisive: "Ready",
    working: &[],
    on_false: OnFalse::Degraded,
    on_absent: OnAbsent::Healthy,
});

const CERTIFICATE: Rule = Rule::Condition(ByCondition {
    decisive: "Ready",
    working: &["Issuing"],
    on_false: OnFalse::Degraded,
    on_absent: OnAbsent::Progressing,
});

const RESOURCE_SET: Rule = Rule::Condition(ByCondition {
    decisive: "ResourcesApplied",
    working: &["Deleting"],
    on_false: OnFalse::Degraded,
    on_absent: OnAbsent::Progressing,
});

const KYVERNO: Rule = Rule::Condition(ByCondition {
    decisive: "Ready",
    working: &[],
    on_false: OnFalse::BySeverity,
    on_absent: OnAbsent::Progressing,
});

/// Group, kinds (none: all of the group), rule. The first line that fits counts.
#[rustfmt::skip]
const TABLE: &[(&str, &[&str], Rule)] = &[
    ("", &["Pod"], Rule::Function(workloads::pod)),
    ("", &["ReplicationController"], Rule::Function(workloads::replica_set)),
    ("", &["PersistentVolumeClaim"], Rule::Function(core::volume_claim)),
    ("", &["PersistentVolume"], Rule::Function(core::volume)),
    ("", &["Service"], Rule::Function(core::service)),
    ("", &["Namespace"], Rule::Function(core::namespace)),
    ("apps", &["Deployment"], Rule::Function(workloads::deployment)),
    ("extensions", &["Deployment"], Rule::Function(workloads::deployment)),
    ("apps", &["ReplicaSet"], Rule::Function(workloads::replica_set)),
    ("extensions", &["ReplicaSet"], Rule::Function(workloads::replica_set)),
    ("apps", &["StatefulSet"], Rule::Function(workloads::stateful_set)),
    ("apps", &["DaemonSet"], Rule::Function(workloads::daemon_set)),
    ("extensions", &["DaemonSet"], Rule::Function(workloads::daemon_set)),
    ("batch", &["Job"], Rule::Function(workloads::job)),
    ("batch", &["CronJob"], Rule::Function(workloads::cron_job)),
    ("networking.k8s.io", &["Ingress"], Rule::Function(core::load_balancer)),
    ("extensions", &["Ingress"], Rule::Function(core::load_balancer)),
    ("autoscaling", &["HorizontalPodAutoscaler"], Rule::Function(core::autoscaler)),
    ("policy", &["PodDisruptionBudget"], Rule::Function(core::disruption_budget)),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"], Rule::Function(core::custom_resource_definition)),
    ("apiregistration.k8s.io", &["APIService"], Rule::Function(core::api_service)),
    ("cluster.x-k8s.io", &["Cluster"], Rule::Function(capi::cluster)),
    ("cluster.x-k8s.io", &["ClusterClass"], Rule::Function(capi::cluster_class)),
    ("cluster.x-k8s.io", &["Machine"], Rule::Function(capi::machine)),
    ("cluster.x-k8s.io", &["MachineDeployment"], Rule::Function(capi::machine_deployment)),
    ("cluster.x-k8s.io", &["MachineSet"], Rule::Function(capi::machine_set)),
    ("cluster.x-k8s.io", &["MachinePool"], Rule::Function(capi::machine_pool)),
    ("cluster.x-k8s.io", &["MachineHealthCheck"], Rule::Function(capi::machine_health_check)),
    ("addons.cluster.x-k8s.io", &["ClusterResourceSet"], RESOURCE_SET),
    ("controlplane.cluster.x-k8s.io", &["KubeadmControlPlane"], Rule::Function(capi::kubeadm_control_plane)),
    ("controlplane.cluster.x-k8s.io", &[], Rule::Function(capi::provider)),
    ("bootstrap.cluster.x-k8s.io", &[], Rule::Function(capi::provider)),
    ("infrastructure.cluster.x-k8s.io", &[], Rule::Function(capi::provider)),
    ("operator.cluster.x-k8s.io", &[], Rule::Function(capi::provider)),
    ("infrastructure.clusterstack.x-k8s.io", &[], Rule::Function(capi::provider)),
    ("clusterstack.x-k8s.io", &["ClusterStack"], Rule::Function(clusterstack::cluster_stack)),
    ("clusterstack.x-k8s.io", &["ClusterStackRelease"], Rule::Function(clusterstack::release)),
    ("cert-manager.io", &["Certificate"], CERTIFICATE),
    ("cert-manager.io", &["Issuer", "ClusterIssuer"], FLUX),
    ("kyverno.io", &["ClusterPolicy", "Policy"], KYVERNO),
    ("notification.toolkit.fluxcd.io", &["Alert", "Provider"], SILENT_FLUX),
    ("source.toolkit.fluxcd.io", &["HelmRepository"], Rule::Function(helm_repository)),
    ("source.toolkit.fluxcd.io", &["ExternalArtifact"], SILENT_FLUX),
    ("source.toolkit.fluxcd.io", &[], FLUX),
    ("kustomize.toolkit.fluxcd.io", &[], FLUX),
    ("helm.toolkit.fluxcd.io", &[], FLUX),
    ("notification.toolkit.fluxcd.io", &[], FLUX),
    ("image.toolkit.fluxcd.io", &[], FLUX),
];

fn rule(group: &str, kind: &str) -> Option<Rule> {
    let fits =
        |(g, kinds, _): &&(&str, &[&str], Rule)| *g == group && (kinds.is_empty() || kinds.contains(&kind));
    TABLE.iter().find(fits).map(|(_, _, rule)| *rule)
}

/// Registries are not fetched by source-controller, which so says nothing about them.
fn helm_repository(object: &Object<'_>) -> Health {
    let silent = object.text(&["spec", "type"]) == "oci";
    match if silent { SILENT_FLUX } else { FLUX } {
        Rule::Condition(by) => by.health(object),
        Rule::Function(function) => function(object),
    }
}
