//! Cluster API's topology controller: a Cluster's infrastructure, control plane and MachineDeployments, from its
//! ClusterClass. A new version goes to the control plane first, then to one MachineDeployment after the other.

use std::sync::Arc;

use serde_json::{Value, json};

use super::object::{CLUSTER_NAME, array, is_modern, is_owned_by, name, namespace, owned_by, text};
use super::world::{Error, World};
use super::{class, infrastructure, machines};

const OWNED: &str = "topology.cluster.x-k8s.io/owned";
const DEPLOYMENT_NAME: &str = "topology.cluster.x-k8s.io/deployment-name";

/// What a Cluster is made of, as far as it is there.
pub(super) struct Parts {
    pub infrastructure: Option<Arc<Value>>,
    pub control_plane: Option<Arc<Value>>,
    pub workers: Vec<Arc<Value>>,
}

impl Parts {
    pub fn of(world: &World, cluster: &Value) -> Parts {
        let mut all = world.everything(namespace(cluster));
        all.retain(|(_, object)| is_owned_by(object, cluster));
        let infrastructure = all.iter().find(|(id, _)| id.group() == infrastructure::GROUP);
        Parts {
            infrastructure: infrastructure.map(|(_, object)| object.clone()),
            control_plane: world.owned(cluster, machines::CONTROL_PLANE).pop(),
            workers: world.owned(cluster, machines::DEPLOYMENT),
        }
    }
}

/// Bring the parts to what the topology says, as far as it is their turn. What is waited for, if anything.
pub(super) async fn reconcile(world: &World, cluster: &Value) -> Result<Option<String>, Error> {
    let name_of_class = class::name_of(cluster);
    let held = world.get(class::KIND, namespace(cluster), name_of_class);
    let Some(class) = held.filter(|class| class::is_usable(class)) else {
        return Ok(Some(format!("ClusterClass {name_of_class} is not there or cannot be used yet")));
    };
    let topology = &cluster["spec"]["topology"];
    let infrastructure = part(
        world,
        cluster,
        (infrastructure::GROUP, class::kind_made(&class, "infrastructure")),
        name(cluster),
    )?;
    let mut control_plane = part(world, cluster, machines::CONTROL_PLANE, name(cluster))?;
    control_plane["spec"] = json!({"replicas": topology["controlPlane"]["replicas"].as_i64().unwrap_or(1), "version": topology["version"]});
    refer(world, cluster, &infrastructure, &control_plane).await?;
    world.apply(infrastructure).await?;
    world.apply(control_plane).await?;
    workers(world, cluster).await
}

async fn workers(world: &World, cluster: &Value) -> Result<Option<String>, Error> {
    let parts = Parts::of(world, cluster);
    let topology = &cluster["spec"]["topology"];
    let wanted_version = text(topology, &["version"]);
    let control_plane = parts.control_plane.as_deref();
    let mut turn = control_plane.is_some_and(machines::is_settled);
    let mut waiting = None;
    let mut wanted = Vec::new();
    for entry in array(&topology["workers"]["machineDeployments"]) {
        let name = format!("{}-{}", name(cluster), text(entry, &["name"]));
        let held = parts.workers.iter().find(|held| super::object::name(held) == name);
        let version = match held {
            Some(held) if machines::version(held) != wanted_version && !turn => {
                let what = if waiting.is_some() { "the one before" } else { "the control plane" };
                waiting = waiting
                    .or_else(|| Some(format!("MachineDeployment {name} gets its version after {what}")));
                machines::version(held)
            }
            _ => wanted_version,
        };
        turn &=
            held.is_some_and(|held| machines::version(held) == wanted_version && machines::is_settled(held));
        world.apply(deployment(world, cluster, entry, &name, version)?).await?;
        wanted.push(name);
    }
    for old in parts.workers.iter().filter(|held| !wanted.iter().any(|wanted| wanted == name(held))) {
        world.delete(old).await?;
    }
    Ok(waiting)
}

fn deployment(
    world: &World,
    cluster: &Value,
    entry: &Value,
    name: &str,
    version: &str,
) -> Result<Value, Error> {
    let mut deployment = part(world, cluster, machines::DEPLOYMENT, name)?;
    deployment["metadata"]["labels"][DEPLOYMENT_NAME] = entry["name"].clone();
    if let Some(annotations) = entry["metadata"]["annotations"].as_object() {
        deployment["metadata"]["annotations"] = json!(annotations);
    }
    deployment["spec"] = json!({"clusterName": super::object::name(cluster), "template": {"spec": {
        "clusterName": super::object::name(cluster), "version": version}}});
    // Without a number it is the autoscaler's.
    if entry["replicas"].is_number() {
        deployment["spec"]["replicas"] = entry["replicas"].clone();
    }
    Ok(deployment)
}

fn part(world: &World, cluster: &Value, kind: (&str, &str), name: &str) -> Result<Value, Error> {
    let mut part = world.draft(kind, namespace(cluster), name)?;
    part["metadata"]["labels"] = json!({CLUSTER_NAME: super::object::name(cluster), OWNED: ""});
    part["metadata"]["ownerReferences"] = owned_by(cluster);
    Ok(part)
}

/// The Cluster names its parts.
async fn refer(
    world: &World,
    cluster: &Value,
    infrastructure: &Value,
    control_plane: &Value,
) -> Result<(), Error> {
    let reference = |object: &Value| {
        let (kind, name) = (&object["kind"], name(object));
        if is_modern(cluster) {
            json!({"apiGroup": super::object::group(object), "kind": kind, "name": name})
        } else {
            json!({"apiVersion": object["apiVersion"], "kind": kind, "name": name, "namespace": namespace(cluster)})
        }
    };
    let mut wanted = world.draft(super::cluster::KIND, namespace(cluster), name(cluster))?;
    wanted["spec"] =
        json!({"infrastructureRef": reference(infrastructure), "controlPlaneRef": reference(control_plane)});
    world.apply(wanted).await
}
