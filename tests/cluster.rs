//! The cluster module against API servers: the embedded one, and a real one where there is one.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::Duration;

use moin::cluster::{
    ApplyOptions, Change, ChangeKind, Cluster, ClusterError, DeleteOptions, EventRecord, Lease, ListOptions,
    Preconditions, Watches,
};
use moin::model::{GroupKind, Gvk, LiveObject, OWNER_LABEL, ObjectId, ServedKind};
use moin::plane::{Fault, Plane};
use serde_json::{Value, json};
use support::eventually;
use support::real_server::RealServer;
use tokio::sync::mpsc::UnboundedReceiver;

async fn served(cluster: &Cluster, api_version: &str, kind: &str) -> ServedKind {
    let gvk = Gvk::new(api_version, kind);
    let kinds = cluster.discover().await.unwrap();
    kinds[&gvk.group_kind()].iter().find(|served| served.gvk == gvk).unwrap().clone()
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn map(namespace: &str, name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name,
        "labels": {OWNER_LABEL: namespace}}, "data": {"key": value}})
}

async fn other_writer(cluster: &Cluster, object: &Value) -> LiveObject {
    // Another field manager, as kubectl would be one.
    let url = format!(
        "/api/v1/namespaces/{}/configmaps/{}?fieldManager=kubectl&force=true",
        object["metadata"]["namespace"].as_str().unwrap(),
        object["metadata"]["name"].as_str().unwrap()
    );
    let request = http::Request::patch(url)
        .header("content-type", "application/apply-patch+yaml")
        .body(serde_json::to_vec(object).unwrap())
        .unwrap();
    LiveObject::new(cluster.client().request::<Value>(request).await.unwrap())
}

async fn requests(cluster: &Cluster, ns: &str) {
    let namespaces = served(cluster, "v1", "Namespace").await;
    let maps = served(cluster, "v1", "ConfigMap").await;
    assert!(maps.namespaced && !namespaces.namespaced && maps.plural == "configmaps");
    let none = ApplyOptions::default();
    cluster.apply(&namespaces, &namespace(ns), &none).await.unwrap();

    let dry = ApplyOptions { dry_run: true, ..none.clone() };
    let predicted = cluster.apply(&maps, &map(ns, "a", "1"), &dry).await.unwrap();
    assert_eq!(predicted.body["data"]["key"], "1");
    let id = ObjectId::of(&predicted.body).unwrap();
    assert_eq!(cluster.get(&maps, &id).await.unwrap(), None, "a dry run writes nothing");
    let first = cluster.apply(&maps, &map(ns, "a", "1"), &none).await.unwrap();
    assert_eq!(first.body["metadata"]["managedFields"][0]["manager"], "moin");

    // Somebody else takes the field: a conflict that names both, until it is forced.
    let theirs = other_writer(cluster, &map(ns, "a", "2")).await;
    let error = cluster.apply(&maps, &map(ns, "a", "3"), &none).await.unwrap_err();
    let ClusterError::Conflict { causes } = &error else { panic!("{error:?}") };
    assert_eq!((causes[0].manager.as_str(), causes[0].field.as_str()), ("kubectl", ".data.key"));
    let force_on = |live: &LiveObject| ApplyOptions {
        force: true,
        dry_run: false,
        preconditions: Preconditions::of(live),
    };
    let stale = cluster.apply(&maps, &map(ns, "a", "3"), &force_on(&first)).await.unwrap_err();
    assert!(matches!(stale, ClusterError::Stale { .. }) && stale.is_retryable(), "{stale:?}");
    let mine = cluster.apply(&maps, &map(ns, "a", "3"), &force_on(&theirs)).await.unwrap();
    assert_eq!(mine.body["data"]["key"], "3");
    let mut other = force_on(&mine);
    other.preconditions = Preconditions { uid: Some("another".into()), resource_version: None };
    let error = cluster.apply(&maps, &map(ns, "a", "4"), &other).await.unwrap_err();
    assert!(matches!(error, ClusterError::Stale { .. }), "another object was meant: {error:?}");
    let error = cluster.apply(&maps, &map(ns, "never", "4"), &other).await.unwrap_err();
    assert!(matches!(error, ClusterError::Stale { .. }), "it must not be created: {error:?}");

    refusals(cluster, &maps, ns).await;
    deletions(cluster, &maps, &mine).await;
    leases_and_events(cluster, ns, &mine).await;
}

async fn refusals(cluster: &Cluster, maps: &ServedKind, ns: &str) {
    let none = ApplyOptions::default();
    let mut broken = map(ns, "b", "1");
    broken["metadata"]["name"] = "Not A Name".into();
    let error = cluster.apply(maps, &broken, &none).await.unwrap_err();
    assert!(matches!(error, ClusterError::Refused { status: 422, .. }), "{error:?}");
    let error = cluster.apply(maps, &map("no-such-namespace", "b", "1"), &none).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotFound { .. }), "{error:?}");
    let unknown = ServedKind {
        gvk: Gvk::new("example.org/v1", "Thing"),
        plural: "things".to_owned(),
        namespaced: true,
    };
    let id = ObjectId::new("example.org", "Thing", Some(ns), "x");
    let error = cluster.get(&unknown, &id).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotServed { .. }), "{error:?}");
    let error = cluster.create(maps, &map(ns, "a", "1"), false).await.unwrap_err();
    assert!(matches!(error, ClusterError::AlreadyExists { .. }), "{error:?}");
}

async fn deletions(cluster: &Cluster, maps: &ServedKind, live: &LiveObject) {
    let id = ObjectId::of(&live.body).unwrap();
    let options = |preconditions| DeleteOptions { preconditions, ..DeleteOptions::default() };
    let wrong = Preconditions { uid: Some("another".into()), resource_version: None };
    let error = cluster.delete(maps, &id, &options(wrong)).await.unwrap_err();
    assert!(matches!(error, ClusterError::Stale { .. }), "{error:?}");
    let in_namespace = ListOptions {
        namespace: id.namespace().map(str::to_owned),
        labels: Some(OWNER_LABEL.into()),
        fields: None,
    };
    assert_eq!(cluster.list(maps, &in_namespace).await.unwrap().len(), 1);
    assert_eq!(cluster.delete(maps, &id, &options(Preconditions::of(live))).await.unwrap(), None);
    assert!(cluster.list(maps, &in_namespace).await.unwrap().is_empty());
    let error = cluster.delete(maps, &id, &DeleteOptions::default()).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotFound { .. }), "{error:?}");

    let mut held = map(id.namespace().unwrap(), "held", "1");
    held["metadata"]["finalizers"] = json!(["example.org/hold"]);
    let held = cluster.apply(maps, &held, &ApplyOptions::default()).await.unwrap();
    let held_id = ObjectId::of(&held.body).unwrap();
    let going = cluster.delete(maps, &held_id, &DeleteOptions::default()).await.unwrap();
    assert!(going.expect("a finalizer holds it up").is_deleting());
    let mut free = map(id.namespace().unwrap(), "held", "1");
    free["metadata"]["finalizers"] = json!([]);
    let options = ApplyOptions { force: true, ..ApplyOptions::default() };
    cluster.apply(maps, &free, &options).await.unwrap();
    assert_eq!(cluster.get(maps, &held_id).await.unwrap(), None);
}

async fn leases_and_events(cluster: &Cluster, ns: &str, about: &LiveObject) {
    let mut lease = Lease {
        namespace: ns.to_owned(),
        name: "moin-test".to_owned(),
        holder: Some("one".to_owned()),
        duration_seconds: 15,
        acquired: Some("2026-01-02T03:04:05.000006Z".to_owned()),
        renewed: Some("2026-01-02T03:04:05.000006Z".to_owned()),
        ..Lease::default()
    };
    assert_eq!(cluster.lease(ns, "moin-test").await.unwrap(), None);
    let made = cluster.create_lease(&lease).await.unwrap();
    lease.holder = Some("two".to_owned());
    let error = cluster.create_lease(&lease).await.unwrap_err();
    assert!(matches!(error, ClusterError::AlreadyExists { .. }), "{error:?}");
    let renewed = cluster
        .update_lease(&Lease { renewed: Some("2026-01-02T03:04:10.000006Z".to_owned()), ..made.clone() })
        .await
        .unwrap();
    let error = cluster.update_lease(&Lease { holder: Some("two".into()), ..made }).await.unwrap_err();
    assert!(matches!(error, ClusterError::Stale { .. }), "{error:?}");
    let given_back = cluster.update_lease(&Lease { holder: None, ..renewed }).await.unwrap();
    assert_eq!(cluster.lease(ns, "moin-test").await.unwrap(), Some(given_back));

    let event = EventRecord {
        warning: false,
        reason: "Applied".into(),
        action: "Apply".into(),
        note: "applied".into(),
        instance: "moin-0".into(),
        time: "2026-01-02T03:04:05.000006Z".into(),
    };
    cluster.record(about, &event).await.unwrap();
}

async fn next(changes: &mut UnboundedReceiver<Change>, wanted: &Change) {
    let found = async { while changes.recv().await.as_ref() != Some(wanted) {} };
    tokio::time::timeout(Duration::from_secs(20), found)
        .await
        .unwrap_or_else(|_| panic!("never came: {wanted:?}"));
}

fn crd(group: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

async fn watches(cluster: &Cluster, ns: &str) {
    let namespaces = served(cluster, "v1", "Namespace").await;
    let maps = served(cluster, "v1", "ConfigMap").await;
    let none = ApplyOptions::default();
    cluster.apply(&namespaces, &namespace(ns), &none).await.unwrap();
    cluster.apply(&maps, &map(ns, "before", "1"), &none).await.unwrap();
    let mut foreign = map(ns, "foreign", "1");
    foreign["metadata"]["labels"] = json!({});
    cluster.apply(&maps, &foreign, &none).await.unwrap();

    let group = format!("{ns}.example.org");
    let thing = Gvk::new(&format!("{group}/v1"), "Thing");
    let (watches, mut changes) = Watches::start(cluster.clone(), ns).await.unwrap();
    watches.follow([maps.gvk.clone(), thing.clone()]);
    watches.settled().await;
    let id = |name: &str| ObjectId::new("", "ConfigMap", Some(ns), name);
    let state = watches.snapshot();
    assert!(state.objects.contains_key(&id("before")) && !state.objects.contains_key(&id("foreign")));
    assert!(state.namespaces.contains_key(ns));
    assert_eq!(watches.problems().keys().cloned().collect::<Vec<GroupKind>>(), [thing.group_kind()]);

    watches.name([(maps.gvk.clone(), id("foreign"))]);
    watches.settled().await;
    assert!(watches.snapshot().objects.contains_key(&id("foreign")));

    let told = |id: ObjectId, what| Change::Object { id, what };
    cluster.apply(&maps, &map(ns, "later", "1"), &none).await.unwrap();
    next(&mut changes, &told(id("later"), ChangeKind::Added)).await;
    let mine = cluster.apply(&maps, &map(ns, "later", "2"), &none).await.unwrap();
    watches.feed(&mine);
    assert_eq!(watches.snapshot().objects[&id("later")].body["data"]["key"], "2");
    let mut disowned = map(ns, "before", "1");
    disowned["metadata"]["labels"] = json!({});
    cluster.apply(&maps, &disowned, &none).await.unwrap();
    next(&mut changes, &told(id("before"), ChangeKind::Deleted)).await;

    let definitions = served(cluster, "apiextensions.k8s.io/v1", "CustomResourceDefinition").await;
    cluster.apply(&definitions, &crd(&group), &none).await.unwrap();
    next(&mut changes, &Change::Synced(thing.group_kind())).await;
    let kind = watches.snapshot().served(&thing).unwrap().clone();
    let body = json!({"apiVersion": thing.api_version(), "kind": "Thing", "spec": {"a": 1},
        "metadata": {"namespace": ns, "name": "x", "labels": {OWNER_LABEL: ns}}});
    let live = cluster.apply(&kind, &body, &none).await.unwrap();
    let thing_id = ObjectId::of(&live.body).unwrap();
    next(&mut changes, &told(thing_id.clone(), ChangeKind::Added)).await;
    let mut status = body.clone();
    status["status"] = json!({"ready": true});
    status.as_object_mut().unwrap().remove("spec");
    cluster.patch_status(&kind, &status, &Preconditions::uid_of(&live)).await.unwrap();
    next(&mut changes, &told(thing_id.clone(), ChangeKind::Modified)).await;
    assert_eq!(watches.snapshot().objects[&thing_id].body["status"]["ready"], true);
    assert_eq!(watches.snapshot().objects[&thing_id].body["spec"]["a"], 1);

    let crd_id = ObjectId::of(&crd(&group)).unwrap();
    cluster.delete(&definitions, &crd_id, &DeleteOptions::default()).await.unwrap();
    eventually("the kind is no longer served", Duration::from_secs(30), async || {
        watches.snapshot().served(&thing).is_none().then_some(())
    })
    .await;
    assert!(!watches.snapshot().objects.contains_key(&thing_id), "gone with its kind");
}

#[tokio::test]
async fn requests_to_the_embedded_server() {
    requests(&Cluster::from_client(Plane::new().client()), "requests").await;
}

#[tokio::test]
async fn watches_of_the_embedded_server() {
    watches(&Cluster::from_client(Plane::new().client()), "watches").await;
}

#[tokio::test]
async fn requests_to_a_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let cluster = Cluster::connect(Some(&server.kubeconfig("moin")), None).await.unwrap();
    requests(&cluster, "requests").await;
}

#[tokio::test]
async fn watches_of_a_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let cluster = Cluster::connect(Some(&server.kubeconfig("moin")), None).await.unwrap();
    watches(&cluster, "watches").await;
}

/// Watches on a server of which we hold both ends, with one object of ours.
async fn watched(plane: &Plane, cluster: &Cluster) -> (Watches, UnboundedReceiver<Change>) {
    let writer = Cluster::from_client(plane.client());
    let namespaces = served(&writer, "v1", "Namespace").await;
    let maps = served(&writer, "v1", "ConfigMap").await;
    writer.apply(&namespaces, &namespace("n"), &ApplyOptions::default()).await.unwrap();
    writer.apply(&maps, &map("n", "a", "1"), &ApplyOptions::default()).await.unwrap();
    let (watches, changes) = Watches::start(cluster.clone(), "n").await.unwrap();
    watches.follow([maps.gvk.clone()]);
    watches.settled().await;
    assert_eq!(watches.problems(), Default::default());
    (watches, changes)
}

#[tokio::test]
async fn nothing_is_asked_while_nothing_changes() {
    let plane = Plane::new();
    let (watches, _changes) = watched(&plane, &Cluster::from_client(plane.client())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    plane.clear_requests();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(plane.requests().len(), 0);
    drop(watches);
}

#[tokio::test]
async fn what_happened_while_the_server_was_away_is_seen_when_it_is_back() {
    let plane = Plane::new();
    // On a runtime of its own, whose end cuts all connections.
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime();
    let served_by = plane.clone();
    let address =
        first.spawn(async move { served_by.serve("127.0.0.1:0").await.unwrap().address() }).await.unwrap();
    let kubeconfig = plane.kubeconfig(&format!("http://{address}"));
    let cluster = Cluster::connect_with_text(&kubeconfig, None).await.unwrap();
    let (watches, mut changes) = watched(&plane, &cluster).await;
    first.shutdown_background();
    let writer = Cluster::from_client(plane.client());
    let maps = served(&writer, "v1", "ConfigMap").await;
    let id = |name: &str| ObjectId::new("", "ConfigMap", Some("n"), name);
    eventually("the loss is reported", Duration::from_secs(20), async || {
        watches.problems().contains_key(&maps.gvk.group_kind()).then_some(())
    })
    .await;
    assert!(watches.snapshot().objects.contains_key(&id("a")), "what was known stays");
    writer.delete(&maps, &id("a"), &DeleteOptions::default()).await.unwrap();
    writer.apply(&maps, &map("n", "b", "1"), &ApplyOptions::default()).await.unwrap();
    plane.compact();
    let _again = plane.serve(address).await.unwrap();
    next(&mut changes, &Change::Object { id: id("a"), what: ChangeKind::Deleted }).await;
    let state = watches.snapshot();
    assert!(state.objects.contains_key(&id("b")) && !state.objects.contains_key(&id("a")));
    eventually("all is well", Duration::from_secs(20), async || watches.problems().is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn passing_troubles_are_told_from_lasting_ones() {
    let plane = Plane::new();
    let cluster = Cluster::from_client(plane.client()).with_timeout(Duration::from_millis(200));
    let namespaces = served(&cluster, "v1", "Namespace").await;
    let apply = async || cluster.apply(&namespaces, &namespace("n"), &ApplyOptions::default()).await;
    plane.fault(Fault::status(503).on("PATCH", "/namespaces/"));
    assert!(matches!(apply().await, Err(ClusterError::Retry { .. })));
    plane.fault(Fault::status(429).on("PATCH", "/namespaces/"));
    assert!(matches!(apply().await, Err(ClusterError::Retry { .. })));
    plane.fault(Fault::hang().on("PATCH", "/namespaces/"));
    assert!(matches!(apply().await, Err(ClusterError::Timeout { .. })));
    plane.fault(Fault::lose_answer().on("PATCH", "/namespaces/"));
    let lost = apply().await.unwrap_err();
    assert!(lost.is_retryable(), "{lost:?}");
    let id = ObjectId::new("", "Namespace", None, "n");
    assert!(cluster.get(&namespaces, &id).await.unwrap().is_some(), "it was carried out all the same");
    plane.clear_requests();
    apply().await.unwrap();
    assert_eq!(plane.requests().len(), 1, "each request is sent once");
    plane.fault(Fault::status(403).on("PATCH", "/namespaces/"));
    let refused = apply().await.unwrap_err();
    assert!(matches!(refused, ClusterError::Refused { status: 403, .. }) && !refused.is_retryable());
}
