//! The Cluster API operator: a provider brings the kinds that it serves.

use serde_json::{Value, json};

use super::accept::ready;
use super::object::{is_deleting, name};
use super::world::{Error, World};

pub(super) const GROUP: &str = "operator.cluster.x-k8s.io";

const CORE: &str = "cluster.x-k8s.io";
const CONTROL_PLANE: &str = "controlplane.cluster.x-k8s.io";
const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io";
const INFRASTRUCTURE: &str = super::infrastructure::GROUP;

type Column = (&'static str, &'static str, &'static str);

const PHASE: Column = ("Phase", "string", ".status.phase");
const VERSION: Column = ("Version", "string", ".spec.version");
const REPLICAS: Column = ("Replicas", "integer", ".status.replicas");
const READY_REPLICAS: Column = ("Ready", "integer", ".status.readyReplicas");
const READY: Column = ("Ready", "boolean", ".status.ready");
const NODE: Column = ("Node", "string", ".status.nodeRef.name");
const CLUSTER: Column = ("Cluster", "string", ".spec.clusterName");

/// Kind of the provider, its name, and a kind that it brings: group, version, kind, plural, columns.
type Row =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static [Column]);

const KINDS: &[Row] = &[
    ("CoreProvider", "cluster-api", CORE, "v1beta2", "Machine", "machines", &[CLUSTER, NODE, PHASE, VERSION]),
    (
        "CoreProvider",
        "cluster-api",
        CORE,
        "v1beta2",
        "MachineDeployment",
        "machinedeployments",
        &[CLUSTER, REPLICAS, READY_REPLICAS, PHASE],
    ),
    (
        "BootstrapProvider",
        "kubeadm",
        BOOTSTRAP,
        "v1beta2",
        "KubeadmConfigTemplate",
        "kubeadmconfigtemplates",
        &[],
    ),
    (
        "ControlPlaneProvider",
        "kubeadm",
        CONTROL_PLANE,
        "v1beta2",
        "KubeadmControlPlane",
        "kubeadmcontrolplanes",
        &[REPLICAS, READY_REPLICAS, VERSION],
    ),
    (
        "ControlPlaneProvider",
        "kubeadm",
        CONTROL_PLANE,
        "v1beta2",
        "KubeadmControlPlaneTemplate",
        "kubeadmcontrolplanetemplates",
        &[],
    ),
    (
        "InfrastructureProvider",
        "openstack",
        INFRASTRUCTURE,
        "v1beta1",
        "OpenStackCluster",
        "openstackclusters",
        &[READY],
    ),
    (
        "InfrastructureProvider",
        "openstack",
        INFRASTRUCTURE,
        "v1beta1",
        "OpenStackClusterTemplate",
        "openstackclustertemplates",
        &[],
    ),
    (
        "InfrastructureProvider",
        "openstack",
        INFRASTRUCTURE,
        "v1beta1",
        "OpenStackMachineTemplate",
        "openstackmachinetemplates",
        &[],
    ),
    (
        "InfrastructureProvider",
        "docker",
        INFRASTRUCTURE,
        "v1beta2",
        "DockerCluster",
        "dockerclusters",
        &[READY],
    ),
    (
        "InfrastructureProvider",
        "docker",
        INFRASTRUCTURE,
        "v1beta2",
        "DockerClusterTemplate",
        "dockerclustertemplates",
        &[],
    ),
    (
        "InfrastructureProvider",
        "docker",
        INFRASTRUCTURE,
        "v1beta2",
        "DockerMachineTemplate",
        "dockermachinetemplates",
        &[],
    ),
];

/// Bring the kinds, then say that the provider is there. Definitions that are there already stay as they are.
pub(super) async fn reconcile(world: &World, object: &Value) -> Result<(), Error> {
    if is_deleting(object) {
        return Ok(());
    }
    for definition in definitions_of(object["kind"].as_str().unwrap_or_default(), name(object)) {
        world.bring(&definition).await?;
    }
    world.tell(object, ready(object)).await
}

/// What a provider defines.
pub(super) fn definitions_of(provider: &str, name: &str) -> Vec<Value> {
    KINDS.iter().filter(|row| row.0 == provider && row.1 == name).map(definition).collect()
}

fn definition(&(_, _, group, version, kind, plural, columns): &Row) -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let column = |(name, kind, path): &Column| json!({"name": name, "type": kind, "jsonPath": path});
    let mut columns: Vec<Value> = columns.iter().map(column).collect();
    columns.push(column(&("Age", "date", ".metadata.creationTimestamp")));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "categories": ["cluster-api"]},
            "versions": [{"name": version, "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {"type": "object",
                    "description": "Simulated: it takes whatever it is given.",
                    "properties": {"spec": anything, "status": anything}}}}],
        },
    })
}
