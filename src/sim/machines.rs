//! Cluster API: what owns machines, KubeadmControlPlane and MachineDeployment. Each brings its machines to the number
//! and the version that is asked for, one at a time, and goes after them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::condition::{Condition, both};
use super::object::{CLUSTER_NAME, generation, is_deleting, label, name, namespace, owned_by, text, uid};
use super::world::{Error, World, kind};
use super::{cluster, machine};

pub(super) const DEPLOYMENT: (&str, &str) = ("cluster.x-k8s.io", "MachineDeployment");
pub(super) const CONTROL_PLANE: (&str, &str) = ("controlplane.cluster.x-k8s.io", "KubeadmControlPlane");

/// An annotation from which the autoscaler, and whoever has no number, takes the least number of machines.
const MIN_SIZE: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size";

/// What is to be done next about the machines of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// Make so many.
    Make(i64),
    /// Delete the one with this index.
    Delete(usize),
    /// What is under way comes first.
    Wait,
    /// All are as asked for.
    Done,
}

/// A machine as its owner sees it; the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub current: bool,
    pub running: bool,
    pub deleting: bool,
}

/// One more, then one less, until all are of the current version; never less than asked for. Control planes also
/// begin with one and add one at a time.
pub(super) fn next_move(machines: &[Seen], replicas: i64, one_by_one: bool) -> Move {
    let count = i64::try_from(machines.len()).unwrap_or(i64::MAX);
    let busy = machines.iter().any(|machine| machine.deleting || !machine.running);
    let outdated = machines.iter().position(|machine| !machine.current && !machine.deleting);
    if count < replicas && outdated.is_none() {
        return match (one_by_one, busy) {
            (false, _) => Move::Make(replicas - count),
            (true, false) => Move::Make(1),
            (true, true) => Move::Wait,
        };
    }
    if busy {
        return Move::Wait;
    }
    match outdated {
        Some(outdated) if count > replicas => Move::Delete(outdated),
        Some(_) => Move::Make(1),
        None if count > replicas => Move::Delete(0),
        None => Move::Done,
    }
}

pub(super) async fn reconcile(world: &World, owner: &Value) -> Result<(), Error> {
    let Some(cluster) = cluster_of(world, owner) else { return Ok(()) };
    if cluster::is_paused(&cluster) {
        return Ok(());
    }
    let machines = sorted(world.owned(owner, machine::KIND));
    if is_deleting(owner) {
        return remove(world, owner, &cluster, &machines).await;
    }
    world.hold(owner).await?;
    if !is_deleting(&cluster) && cluster::is_infrastructure_ready(world, &cluster) {
        let one_by_one = kind(owner) == CONTROL_PLANE;
        match next_move(&seen(owner, &machines), replicas(owner), one_by_one) {
            Move::Make(count) => make(world, owner, &cluster, &machines, count).await?,
            Move::Delete(index) => world.delete(&machines[index]).await?,
            Move::Wait | Move::Done => {}
        }
    }
    let machines = sorted(world.owned(owner, machine::KIND));
    if kind(owner) == CONTROL_PLANE
        && !is_deleting(&cluster)
        && machines.iter().any(|it| machine::is_running(it))
    {
        publish(world, owner, &cluster).await?;
    }
    world.tell(owner, status(owner, &machines)).await
}

/// The workers go before the control plane, each owner after its machines.
async fn remove(world: &World, owner: &Value, cluster: &Value, machines: &[Arc<Value>]) -> Result<(), Error> {
    let all = of_cluster(world, namespace(cluster), name(cluster));
    if kind(owner) == CONTROL_PLANE && all.len() > machines.len() {
        return Ok(());
    }
    for machine in machines {
        world.delete(machine).await?;
    }
    if machines.is_empty() { world.release(owner).await } else { Ok(()) }
}

/// All machines of a Cluster.
pub(super) fn of_cluster(world: &World, namespace: &str, cluster: &str) -> Vec<Arc<Value>> {
    let all = world.of_kind(machine::KIND, namespace).into_iter();
    all.filter(|machine| label(machine, CLUSTER_NAME) == Some(cluster)).collect()
}

/// The Cluster of an object.
pub(super) fn cluster_of(world: &World, object: &Value) -> Option<Arc<Value>> {
    world.get(cluster::KIND, namespace(object), label(object, CLUSTER_NAME)?)
}

/// The version that is asked for.
pub(super) fn version(owner: &Value) -> &str {
    match kind(owner) {
        CONTROL_PLANE => text(owner, &["spec", "version"]),
        _ => text(owner, &["spec", "template", "spec", "version"]),
    }
}

/// Whether every machine that is asked for runs in the version that is asked for.
pub(super) fn is_settled(owner: &Value) -> bool {
    let status = &owner["status"];
    status["observedGeneration"] == generation(owner)
        && ["replicas", "upToDateReplicas", "readyReplicas"]
            .iter()
            .all(|count| status[*count] == replicas(owner))
}

/// Whether enough machines run.
pub(super) fn is_available(owner: &Value) -> bool {
    owner["status"]["readyReplicas"].as_i64().is_some_and(|ready| ready >= replicas(owner))
}

fn replicas(owner: &Value) -> i64 {
    let least = || owner["metadata"]["annotations"][MIN_SIZE].as_str().and_then(|text| text.parse().ok());
    owner["spec"]["replicas"].as_i64().or_else(least).unwrap_or(1)
}

fn seen(owner: &Value, machines: &[Arc<Value>]) -> Vec<Seen> {
    let see = |machine: &Arc<Value>| Seen {
        current: text(machine, &["spec", "version"]) == version(owner),
        running: machine::is_running(machine),
        deleting: is_deleting(machine),
    };
    machines.iter().map(see).collect()
}

/// In the order of their numbers: the oldest first.
fn sorted(mut machines: Vec<Arc<Value>>) -> Vec<Arc<Value>> {
    machines.sort_by_key(|machine| number(machine));
    machines
}

fn number(machine: &Value) -> u64 {
    name(machine).rsplit('-').next().and_then(|end| end.parse().ok()).unwrap_or(0)
}

async fn make(
    world: &World,
    owner: &Value,
    cluster: &Value,
    have: &[Arc<Value>],
    count: i64,
) -> Result<(), Error> {
    let mut number = have.iter().map(|machine| number(machine)).max().unwrap_or(0);
    for _ in 0..count {
        number += 1;
        let mut machine =
            world.draft(machine::KIND, namespace(owner), &format!("{}-{number}", name(owner)))?;
        let (role, value) = match kind(owner) {
            CONTROL_PLANE => (machine::CONTROL_PLANE_LABEL, ""),
            _ => ("cluster.x-k8s.io/deployment-name", name(owner)),
        };
        machine["metadata"]["labels"] = json!({CLUSTER_NAME: name(cluster), role: value});
        machine["metadata"]["ownerReferences"] = owned_by(owner);
        machine["spec"] = json!({"clusterName": name(cluster), "version": version(owner)});
        world.apply(machine).await?;
    }
    Ok(())
}

/// The kubeconfig of the workload cluster, for whoever has to do with it.
async fn publish(world: &World, owner: &Value, cluster: &Value) -> Result<(), Error> {
    let Some(workload) = world.cloud.find(uid(cluster)).await else { return Ok(()) };
    let mut secret =
        world.draft(("", "Secret"), namespace(cluster), &format!("{}-kubeconfig", name(cluster)))?;
    secret["metadata"]["labels"] = json!({CLUSTER_NAME: name(cluster)});
    secret["metadata"]["ownerReferences"] = owned_by(owner);
    secret["type"] = "cluster.x-k8s.io/secret".into();
    secret["data"] = json!({"value": STANDARD.encode(&workload.kubeconfig)});
    world.apply(secret).await
}

fn status(owner: &Value, machines: &[Arc<Value>]) -> Value {
    let seen = seen(owner, machines);
    let count = |which: fn(&Seen) -> bool| seen.iter().filter(|machine| which(machine)).count() as i64;
    let (running, current, wanted) = (count(|it| it.running), count(|it| it.current), replicas(owner));
    let outdated = count(|it| !it.current);
    let message = format!("{running} of {wanted} machines run");
    let available = running >= wanted;
    let reason = if available { "Available" } else { "NotAvailable" };
    let rolling = Condition::new(
        "RollingOut",
        outdated > 0,
        "RollingOut",
        format!("{outdated} machines are of another version"),
    );
    let scaling = Condition::new("ScalingUp", (seen.len() as i64) < wanted, "ScalingUp", &message);
    let modern = [Condition::new("Available", available, reason, &message), rolling, scaling];
    let old = [Condition::new("Ready", available && outdated == 0, reason, &message)];
    let phase = if available && outdated == 0 { "Running" } else { "ScalingUp" };
    let mut status = json!({"observedGeneration": generation(owner), "replicas": seen.len(), "readyReplicas": running,
        "availableReplicas": running, "upToDateReplicas": current});
    if kind(owner) == CONTROL_PLANE {
        let initialized = running > 0 || owner["status"]["initialization"]["controlPlaneInitialized"] == true;
        status["initialization"] = json!({"controlPlaneInitialized": initialized});
        let versions = machines.iter().map(|machine| text(machine, &["spec", "version"]));
        status["version"] = versions.min_by_key(|version| numbers(version)).into();
    } else {
        status["phase"] = phase.into();
    }
    both(owner, status, &modern, &old)
}

/// The numbers in a version, to be compared.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Seen = Seen { current: false, running: true, deleting: false };
    const NEW: Seen = Seen { current: true, running: true, deleting: false };
    const BOOTING: Seen = Seen { current: true, running: false, deleting: false };
    const GOING: Seen = Seen { current: false, running: true, deleting: true };

    #[test]
    fn workers_come_all_at_once_and_control_planes_one_after_the_other() {
        assert_eq!(next_move(&[], 3, false), Move::Make(3));
        assert_eq!(next_move(&[], 3, true), Move::Make(1));
        assert_eq!(next_move(&[BOOTING], 3, true), Move::Wait);
        assert_eq!(next_move(&[NEW], 3, true), Move::Make(1));
        assert_eq!(next_move(&[NEW, NEW, NEW], 3, true), Move::Done);
    }

    #[test]
    fn another_version_comes_one_at_a_time() {
        assert_eq!(next_move(&[OLD, OLD], 2, false), Move::Make(1));
        assert_eq!(next_move(&[OLD, OLD, BOOTING], 2, false), Move::Wait);
        assert_eq!(next_move(&[OLD, OLD, NEW], 2, false), Move::Delete(0));
        assert_eq!(next_move(&[GOING, OLD, NEW], 2, false), Move::Wait);
        assert_eq!(next_move(&[OLD, NEW], 2, false), Move::Make(1));
        assert_eq!(next_move(&[NEW, NEW], 2, false), Move::Done);
    }

    #[test]
    fn fewer_are_asked_for() {
        assert_eq!(next_move(&[NEW, NEW, NEW], 2, false), Move::Delete(0));
        assert_eq!(next_move(&[OLD], 0, false), Move::Delete(0));
        assert_eq!(next_move(&[], 0, false), Move::Done);
    }

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(numbers("v1.34.9") < numbers("v1.34.10"));
    }
}
