//! Requests as they go over the wire.

use std::time::Duration;

use serde_json::json;

use super::testing::Server;
use super::*;
use crate::model::{Gvk, LiveObject, ObjectId, ServedKind};

fn config_map() -> ServedKind {
    ServedKind { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".into(), namespaced: true }
}

#[tokio::test]
async fn an_apply_carries_its_preconditions_in_the_body() {
    let server = Server::new();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "a",
        "managedFields": [{}]}});
    let preconditions = Preconditions { uid: Some("u".into()), resource_version: Some("7".into()) };
    let options = ApplyOptions { force: true, dry_run: true, preconditions };
    server.cluster().apply(&config_map(), &body, &options).await.unwrap();
    let asked = server.asked.lock()[0].clone();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PATCH", "/api/v1/namespaces/n/configmaps/a"));
    assert_eq!(asked.content_type, "application/apply-patch+yaml");
    let query = |name: &str| asked.query.get(name).map(String::as_str);
    assert_eq!(
        (query("fieldManager"), query("force"), query("dryRun")),
        (Some("moin"), Some("true"), Some("All"))
    );
    assert_eq!(
        asked.body["metadata"],
        json!({"namespace": "n", "name": "a", "uid": "u", "resourceVersion": "7"})
    );
}

#[tokio::test]
async fn a_deletion_says_which_object_is_meant() {
    let server = Server::new();
    let live = LiveObject::new(server.put(
        "/api/v1/namespaces/n/configmaps/a",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "a"}}),
    ));
    let options = DeleteOptions {
        propagation: Propagation::Foreground,
        preconditions: Preconditions::uid_of(&live),
        dry_run: false,
    };
    let id = ObjectId::of(&live.body).unwrap();
    let cluster = server.cluster();
    assert_eq!(cluster.delete(&config_map(), &id, &options).await.unwrap(), None);
    let asked = server.asked.lock()[0].clone();
    assert_eq!(asked.body["propagationPolicy"], "Foreground");
    assert_eq!(asked.body["preconditions"], json!({"uid": live.uid()}));
    assert_eq!(cluster.get(&config_map(), &id).await.unwrap(), None);
}

#[tokio::test]
async fn kinds_are_discovered_in_both_ways() {
    let server = Server::new();
    let aggregated = server.cluster().discover().await.unwrap();
    assert_eq!(server.asked.lock().len(), 2);
    server.answer("GET /api", 200, json!({"kind": "APIVersions", "versions": ["v1"]}));
    server.answer(
        "GET /api/v1",
        200,
        json!({"kind": "APIResourceList", "resources": [
        {"name": "namespaces", "kind": "Namespace", "namespaced": false},
        {"name": "namespaces/status", "kind": "Namespace", "namespaced": false},
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": true}]}),
    );
    server.answer(
        "GET /apis",
        200,
        json!({"kind": "APIGroupList", "groups": [
        {"name": "apiextensions.k8s.io", "versions": [{"version": "v1beta1"}, {"version": "v1"}],
            "preferredVersion": {"version": "v1"}}]}),
    );
    server.answer("GET /apis/apiextensions.k8s.io/v1beta1", 503, json!({"kind": "Status"}));
    server.answer(
        "GET /apis/apiextensions.k8s.io/v1",
        200,
        json!({"kind": "APIResourceList", "resources": [
        {"name": "customresourcedefinitions", "kind": "CustomResourceDefinition", "namespaced": false}]}),
    );
    assert_eq!(server.cluster().discover().await.unwrap(), aggregated);
}

#[tokio::test]
async fn a_list_goes_from_page_to_page() {
    let server = Server::new();
    let page = |next: &str| json!({"kind": "ConfigMapList", "metadata": {"continue": next}, "items": [{"metadata": {"name": "a"}}]});
    server.answer("GET /api/v1/configmaps", 200, page(""));
    let found = server.cluster().list(&config_map(), &ListOptions::default()).await.unwrap();
    assert_eq!(found[0].body["kind"], "ConfigMap", "items of lists get their kind");
    assert_eq!(server.asked.lock()[0].query["limit"], "250");
}

#[tokio::test]
async fn no_request_waits_for_ever() {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>().await
    });
    let cluster = Cluster::from_client(kube::Client::new(service, "default"));
    let error = cluster.with_timeout(Duration::from_millis(20)).discover().await.unwrap_err();
    assert!(matches!(error, ClusterError::Timeout { .. }) && error.is_retryable());
}

#[tokio::test]
async fn a_lease_goes_there_and_back() {
    let server = Server::new();
    server.kinds.lock().push(("coordination.k8s.io", "Lease", "leases", true));
    let cluster = server.cluster();
    assert_eq!(cluster.lease("moin-system", "moin-a").await.unwrap(), None);
    let lease = Lease {
        namespace: "moin-system".into(),
        name: "moin-a".into(),
        holder: Some("me".into()),
        duration_seconds: 15,
        renewed: Some("2026-01-02T03:04:05.000006Z".into()),
        ..Lease::default()
    };
    let made = cluster.create_lease(&lease).await.unwrap();
    assert_eq!(cluster.lease("moin-system", "moin-a").await.unwrap().as_ref(), Some(&made));
    let given_back = cluster.update_lease(&Lease { holder: None, ..made.clone() }).await.unwrap();
    assert_eq!(given_back.holder, None);
    let sent = server.asked.lock().last().unwrap().body["metadata"].clone();
    assert_eq!(sent["resourceVersion"], made.resource_version.as_str());
}

#[tokio::test]
async fn an_event_lies_where_people_look_for_it() {
    let server = Server::new();
    server.kinds.lock().push(("events.k8s.io", "Event", "events", true));
    let about = LiveObject::new(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "uid": "u"}}),
    );
    let event = EventRecord {
        warning: true,
        reason: "Drift".into(),
        action: "Apply".into(),
        note: "ä".repeat(2000),
        instance: "a".into(),
        time: "2026-01-02T03:04:05.000006Z".into(),
    };
    server.cluster().record(&about, &event).await.unwrap();
    let asked = server.asked.lock()[0].clone();
    assert_eq!(asked.path, "/apis/events.k8s.io/v1/namespaces/default/events");
    assert_eq!(asked.body["regarding"]["uid"], "u");
    assert!(asked.body["note"].as_str().unwrap().len() <= 1024);
}

#[tokio::test]
async fn a_question_is_asked_of_this_server_only() {
    let server = Server::new();
    server.answer("GET /version", 200, json!({"major": "1"}));
    let paths = ["version", "@192.0.2.7/version", "/version"].map(str::to_owned).to_vec();
    let answers = server.cluster().answers(paths, Duration::from_secs(10)).await;
    assert_eq!(answers.iter().filter(|(_, reply)| matches!(reply, Ok(Ok(_)))).count(), 1);
    assert_eq!(server.asked.lock().len(), 1, "what has no slash is not sent");
}
