//! Watches of a plane that come too late, are too slow, or have nothing to tell for long.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use moin::plane::Plane;
use serde_json::json;

async fn apply(maps: &Api<ConfigMap>, name: &str, value: usize) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value.to_string()}});
    maps.patch(name, &PatchParams::apply("test"), &Patch::Apply(body)).await.unwrap();
}

async fn now(maps: &Api<ConfigMap>) -> String {
    maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap()
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_told_why() {
    let plane = Plane::builder().history(20).build();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let mut slow = maps.watch(&WatchParams::default(), &now(&maps).await).await.unwrap().boxed();
    apply(&maps, "a", 0).await;
    assert!(matches!(slow.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    for value in 1..100 {
        apply(&maps, "a", value).await;
    }
    match slow.try_next().await.unwrap() {
        Some(WatchEvent::Error(status)) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
    assert!(slow.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn old_states_are_forgotten_by_their_size_too() {
    let plane = Plane::builder().history_bytes(10_000).build();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    apply(&maps, "a", 0).await;
    let begin = now(&maps).await;
    for value in 1..100 {
        apply(&maps, "a", value).await;
    }
    let mut late = maps.watch(&WatchParams::default(), &begin).await.unwrap().boxed();
    assert!(matches!(late.try_next().await.unwrap(), Some(WatchEvent::Error(status)) if status.code == 410));
}

#[tokio::test]
async fn what_happens_elsewhere_is_no_reason_to_be_cut() {
    let plane = Plane::builder().history(20).build();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    let secrets: Api<Secret> = Api::default_namespaced(plane.client());
    let mut quiet = secrets.watch(&WatchParams::default(), &now(&maps).await).await.unwrap().boxed();
    for value in 0..100 {
        apply(&maps, "a", value).await;
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    secrets.patch("s", &PatchParams::apply("test"), &Patch::Apply(secret)).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(5), quiet.try_next()).await.unwrap().unwrap();
    assert!(matches!(event, Some(WatchEvent::Added(secret)) if secret.name_any() == "s"));
}

#[tokio::test]
async fn a_list_in_events_is_long_and_ends_with_a_bookmark() {
    let plane = Plane::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client());
    for n in 0..500 {
        apply(&maps, &format!("m{n}"), n).await;
    }
    let parameters = WatchParams { send_initial_events: true, ..WatchParams::default() };
    let mut events = maps.watch(&parameters, "0").await.unwrap().boxed();
    for _ in 0..500 {
        assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    }
    let Some(WatchEvent::Bookmark(bookmark)) = events.try_next().await.unwrap() else {
        panic!("no bookmark")
    };
    assert!(bookmark.metadata.annotations.contains_key("k8s.io/initial-events-end"));
    assert_eq!(bookmark.metadata.resource_version, now(&maps).await);
    apply(&maps, "m7", 0).await;
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Modified(_))));
}
