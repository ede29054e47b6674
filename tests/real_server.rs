//! The tests' own kube-apiserver: it answers, counts who asked, and lets a namespace go.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{from_value, json};
use support::audit::count_by_request;
use support::real_server::RealServer;

#[tokio::test]
async fn it_counts_who_asked_for_what() {
    let Some(server) = RealServer::shared() else { return };
    let client = server.client("someone").await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let object = from_value(json!({"metadata": {"name": "counted"}})).unwrap();
    config_maps.create(&PostParams::default(), &object).await.unwrap();
    config_maps.get("counted").await.unwrap();
    let events = server.audit();
    let counts = count_by_request(events.iter().filter(|e| e.user.username == "someone"));
    assert_eq!(counts["create configmaps/default/counted"], 1, "{counts:?}");
    assert_eq!(counts["get configmaps/default/counted"], 1, "{counts:?}");
    let writes = events.iter().filter(|e| e.user.username == "someone" && e.is_write());
    assert_eq!(writes.count(), 1);
}

#[tokio::test]
async fn kubectl_works_and_a_removed_namespace_goes_when_somebody_finishes_it() {
    let Some(server) = RealServer::shared() else { return };
    let made = server.kubectl("admin", &["create", "namespace", "to-go"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    server.kubectl("admin", &["create", "configmap", "inside", "-n", "to-go"]);
    let client = server.client("admin").await;
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("to-go", &DeleteParams::default()).await.unwrap();
    let terminating = namespaces.get("to-go").await.unwrap();
    assert!(terminating.metadata.deletion_timestamp.is_some());
    server.finish_namespace("to-go").await.unwrap();
    assert!(namespaces.get_opt("to-go").await.unwrap().is_none());
}

#[test]
fn it_ends_with_whoever_holds_it() {
    let Some(server) = RealServer::start() else { return };
    let url = server.url().trim_start_matches("https://").to_owned();
    assert!(std::net::TcpStream::connect(&url).is_ok());
    drop(server);
    let start = Instant::now();
    while std::net::TcpStream::connect(&url).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(5), "still there after it was dropped");
        std::thread::sleep(Duration::from_millis(20));
    }
}
