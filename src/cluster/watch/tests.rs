//! The watches against a small API server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::cluster::ApplyOptions;
use crate::cluster::testing::Server;
use crate::model::OWNER_LABEL;

const MAPS: &str = "/api/v1/namespaces/n/configmaps";

fn map(name: &str, owner: Option<&str>) -> Value {
    let mut body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": name}});
    if let Some(owner) = owner {
        body["metadata"]["labels"] = json!({OWNER_LABEL: owner});
    }
    body
}

fn map_id(name: &str) -> ObjectId {
    ObjectId::new("", "ConfigMap", Some("n"), name)
}

fn config_map() -> Gvk {
    Gvk::new("v1", "ConfigMap")
}

async fn next(changes: &mut UnboundedReceiver<Change>) -> Change {
    tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.expect("a change").expect("a watch")
}

async fn next_object(changes: &mut UnboundedReceiver<Change>) -> (ObjectId, ChangeKind) {
    loop {
        if let Change::Object { id, what } = next(changes).await {
            return (id, what);
        }
    }
}

async fn started(server: &Server) -> (Watches, UnboundedReceiver<Change>) {
    let (watches, changes) = Watches::start(server.cluster(), "us").await.unwrap();
    watches.follow([config_map()]);
    tokio::time::timeout(Duration::from_secs(5), watches.settled()).await.unwrap();
    (watches, changes)
}

fn drain(changes: &mut UnboundedReceiver<Change>) {
    while changes.try_recv().is_ok() {}
}

#[tokio::test]
async fn what_is_ours_is_kept_up_to_date() {
    let server = Server::new();
    server.put(
        "/api/v1/namespaces/n",
        json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "n"}}),
    );
    server.put(&format!("{MAPS}/ours"), map("ours", Some("us")));
    server.put(&format!("{MAPS}/theirs"), map("theirs", Some("them")));
    let (watches, mut changes) = started(&server).await;
    let state = watches.snapshot();
    assert!(state.objects.contains_key(&map_id("ours")) && !state.objects.contains_key(&map_id("theirs")));
    assert!(state.namespaces.contains_key("n") && watches.problems().is_empty());
    drain(&mut changes);
    server.put(&format!("{MAPS}/new"), map("new", Some("us")));
    assert_eq!(next_object(&mut changes).await, (map_id("new"), ChangeKind::Added));
    server.put(&format!("{MAPS}/ours"), map("ours", None));
    assert_eq!(next_object(&mut changes).await, (map_id("ours"), ChangeKind::Deleted));
    server.remove(&format!("{MAPS}/new"));
    assert_eq!(next_object(&mut changes).await, (map_id("new"), ChangeKind::Deleted));
    assert!(!watches.snapshot().objects.contains_key(&map_id("new")));
    watches.follow([]);
    assert!(watches.snapshot().objects.keys().all(|id| id.kind() == "Namespace"));
}

#[tokio::test]
async fn our_own_write_is_seen_at_once_and_is_no_news() {
    let server = Server::new();
    let (watches, mut changes) = started(&server).await;
    let cluster = server.cluster();
    let kind = watches.snapshot().served(&config_map()).unwrap().clone();
    drain(&mut changes);
    let live = cluster.apply(&kind, &map("a", Some("us")), &ApplyOptions::default()).await.unwrap();
    watches.feed(&live);
    assert_eq!(watches.snapshot().objects[&map_id("a")].resource_version(), live.resource_version());
    server.put(&format!("{MAPS}/b"), map("b", Some("us")));
    let mut told = vec![next_object(&mut changes).await];
    while told.last().unwrap().0 != map_id("b") {
        told.push(next_object(&mut changes).await);
    }
    assert!(told.len() <= 2, "{told:?}");
    watches.feed_deleted(&map_id("a"));
    assert!(!watches.snapshot().objects.contains_key(&map_id("a")));
}

#[tokio::test]
async fn others_are_seen_when_they_are_named_or_looked_at() {
    let server = Server::new();
    server.put(&format!("{MAPS}/named"), map("named", None));
    server.put(&format!("{MAPS}/guest"), map("guest", None));
    let (watches, mut changes) = started(&server).await;
    watches.name([(config_map(), map_id("named"))]);
    tokio::time::timeout(Duration::from_secs(5), watches.settled()).await.unwrap();
    assert!(watches.snapshot().objects.contains_key(&map_id("named")));
    drain(&mut changes);
    server.put(&format!("{MAPS}/named"), map("named", Some("them")));
    assert_eq!(next_object(&mut changes).await, (map_id("named"), ChangeKind::Modified));
    let kind = watches.snapshot().served(&config_map()).unwrap().clone();
    let wanted = || [(kind.clone(), map_id("guest")), (kind.clone(), map_id("absent"))];
    assert!(watches.look(wanted()).await.is_empty());
    assert!(watches.snapshot().objects.contains_key(&map_id("guest")));
    server.remove(&format!("{MAPS}/guest"));
    watches.look(wanted()).await;
    assert!(!watches.snapshot().objects.contains_key(&map_id("guest")));
    watches.name([]);
    assert!(!watches.snapshot().objects.contains_key(&map_id("named")));
}

#[tokio::test]
async fn a_kind_that_comes_with_a_definition_is_followed() {
    let server = Server::new();
    let (watches, mut changes) = started(&server).await;
    let thing = Gvk::new("example.org/v1", "Thing");
    watches.follow([config_map(), thing.clone()]);
    let lost = loop {
        if let Change::Lost { kind, error } = next(&mut changes).await {
            break (kind, error);
        }
    };
    assert!(lost.0 == thing.group_kind() && matches!(lost.1, ClusterError::NotServed { .. }), "{lost:?}");
    tokio::time::timeout(Duration::from_secs(5), watches.settled()).await.unwrap();
    server.put(
        "/apis/example.org/v1/namespaces/n/things/a",
        json!({"apiVersion": "example.org/v1", "kind": "Thing",
        "metadata": {"namespace": "n", "name": "a", "labels": {OWNER_LABEL: "us"}}}),
    );
    server.put(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.org",
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.org"},
            "spec": {"group": "example.org", "names": {"kind": "Thing", "plural": "things"}, "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]}}),
    );
    // Discovery lags behind the definition.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kinds.lock().push(("example.org", "Thing", "things", true));
    let id = ObjectId::new("example.org", "Thing", Some("n"), "a");
    while next_object(&mut changes).await != (id.clone(), ChangeKind::Added) {}
    assert!(watches.problems().is_empty());
}

#[tokio::test]
async fn a_forbidden_kind_is_reported_and_comes_back() {
    let server = Server::new();
    server.put(&format!("{MAPS}/a"), map("a", Some("us")));
    let no = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no",
        "metadata": {}});
    server.answer("GET /api/v1/configmaps", 403, no);
    let (watches, mut changes) = started(&server).await;
    let problems = watches.problems();
    let error = &problems[&config_map().group_kind()];
    assert!(matches!(error, ClusterError::Refused { status: 403, .. }), "{error:?}");
    server.answers.lock().clear();
    while next(&mut changes).await != Change::Synced(config_map().group_kind()) {}
    assert!(watches.snapshot().objects.contains_key(&map_id("a")) && watches.problems().is_empty());
}
