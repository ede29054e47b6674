//! The fence in the API server, on the embedded one and on a real one: who does not hold the lease does not write.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::print_stderr, reason = "what was measured is shown")]

mod support;

use std::time::Duration;

use moin::cluster::{
    ApplyOptions, Cluster, ClusterError, DeleteOptions, FENCED, Lease, Preconditions, User, WriteFence,
};
use moin::model::{Gvk, LiveObject, ObjectId, ServedKind};
use moin::plane::Plane;
use serde_json::json;
use support::real_server::RealServer;

const OWNER: &str = "fenced";
const PATIENCE: Duration = Duration::from_secs(20);

fn config_maps() -> ServedKind {
    ServedKind { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".into(), namespaced: true }
}

async fn write(cluster: &Cluster, name: &str, owner: &str) -> Result<LiveObject, ClusterError> {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": name,
        "labels": {"moin.scs.community/owner": owner}}});
    cluster.apply(&config_maps(), &body, &ApplyOptions::default()).await
}

async fn delete(cluster: &Cluster, live: &LiveObject) -> Result<Option<LiveObject>, ClusterError> {
    let id = ObjectId::of(&live.body).unwrap();
    let options = DeleteOptions { preconditions: Preconditions::uid_of(live), ..DeleteOptions::default() };
    cluster.delete(&config_maps(), &id, &options).await
}

/// Gives the Lease to this holder; `fenced`, whether he says that he marks his writes.
async fn hand_to(cluster: &Cluster, holder: Option<&str>, fenced: bool) {
    let name = format!("moin-{OWNER}");
    let lease = cluster.lease("moin-system", &name).await.unwrap();
    let missing = lease.is_none();
    let namespace = "moin-system".to_owned();
    let mut lease = lease.unwrap_or(Lease { namespace, name, duration_seconds: 15, ..Lease::default() });
    lease.holder = holder.map(str::to_owned);
    if fenced {
        lease.annotations.insert(FENCED.to_owned(), holder.unwrap_or_default().to_owned());
    }
    if missing {
        cluster.create_lease(&lease).await.unwrap();
    } else {
        cluster.update_lease(&lease).await.unwrap();
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, ClusterError>) -> String {
    match answer {
        Err(ClusterError::NotHolder { message }) => message,
        other => panic!("it was let through: {other:?}"),
    }
}

async fn the_holder_alone_writes(cluster: &Cluster, server: &str) {
    let namespaces =
        ServedKind { gvk: Gvk::new("v1", "Namespace"), plural: "namespaces".into(), namespaced: false };
    for name in ["moin-system", "default"] {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        cluster.ensure(&namespaces, &body).await.unwrap();
    }
    let one = WriteFence::raise(cluster, OWNER, "one").await.unwrap().unwrap();
    let two = WriteFence::raise(cluster, OWNER, "two").await.unwrap().unwrap();

    hand_to(cluster, Some("one"), true).await;
    let first = one.wait(PATIENCE).await.unwrap();
    let mine = write(one.writer(), "mine", OWNER).await.unwrap();
    let message = refused(write(two.writer(), "theirs", OWNER).await);
    assert!(message.contains("does not hold the lease moin-fenced, which one holds"), "{message}");
    refused(write(two.writer(), "mine", OWNER).await);
    refused(delete(two.writer(), &mine).await);
    refused(write(cluster, "unmarked", OWNER).await);
    // A creation that was long under way does not set back what has been changed since.
    write(&one.writer().creating(), "made", OWNER).await.unwrap();
    let message = refused(write(&one.writer().creating(), "made", OWNER).await);
    assert!(message.contains("is there already"), "{message}");
    refused(write(&two.writer().creating(), "not-made", OWNER).await);
    let tenant = User { name: "moin:tenant:a".into(), groups: vec!["system:masters".into()] };
    write(&one.writer().as_user(tenant.clone()).creating(), "as-tenant", OWNER).await.unwrap();
    refused(write(&two.writer().as_user(tenant), "as-tenant", OWNER).await);
    write(two.writer(), "of-others", "another").await.unwrap();

    // One who cannot mark his writes takes over: he is not locked out, and the mark of the one before is worth nothing.
    hand_to(cluster, Some("unmarked"), false).await;
    support::eventually("the fence moves", PATIENCE, async || write(one.writer(), "mine", OWNER).await.err())
        .await;
    write(cluster, "unmarked", OWNER).await.unwrap();

    hand_to(cluster, None, false).await;
    refused(write(one.writer(), "late", OWNER).await);
    let mut times = Vec::new();
    for round in 0..20 {
        let (next, other) = if round % 2 == 0 { (&two, &one) } else { (&one, &two) };
        hand_to(cluster, Some(next.identity()), true).await;
        times.push(next.wait(PATIENCE).await.unwrap());
        refused(write(other.writer(), &format!("late-{round}"), OWNER).await);
    }
    times.sort();
    eprintln!(
        "{server}: a new policy is obeyed after {first:?}, a new holder after {:?} (median of 20), {:?} at most",
        times[10], times[19]
    );
    delete(one.writer(), &mine).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_server_refuses_who_lost_the_lease() {
    let plane = Plane::new();
    the_holder_alone_writes(&Cluster::from_client(plane.client()), "the embedded server").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_refuses_who_lost_the_lease() {
    let Some(server) = RealServer::shared() else { return };
    let client = server.plain_client("moin").await;
    the_holder_alone_writes(&Cluster::from_client(client), "a real kube-apiserver").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_may_not_act_as_itself_is_told_so() {
    let plane = Plane::new();
    let poor = Cluster::from_client(plane.client_as("poor", &[]));
    let finding = WriteFence::raise(&poor, OWNER, "one").await.unwrap().unwrap_err();
    assert_eq!(finding.code, moin::finding::Code::Unfenced);
    assert!(finding.message.contains("cannot"), "{}", finding.message);
}
