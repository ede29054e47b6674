//! The runtime of the kube crate, unmodified, on the plane: what controllers are written with works.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event as StoredEvent;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalized, finalizer};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Client, Resource as _, ResourceExt as _};
use moin::plane::Plane;
use serde_json::{Value, from_value, json};

const SOON: Duration = Duration::from_secs(20);

fn config_map(name: &str, data: Value) -> ConfigMap {
    from_value(json!({"metadata": {"name": name, "namespace": "default"}, "data": data})).unwrap()
}

async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("in time: {what}"))
}

#[tokio::test]
async fn a_reflector_holds_what_is_there_by_both_ways_of_listing() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let plane = Plane::new();
        let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "default");
        maps.create(&PostParams::default(), &config_map("a", json!({"k": "1"}))).await.unwrap();
        let (store, writer) = reflector::store();
        let stream = watcher(maps.clone(), config.labels("ignored!=yes")).default_backoff();
        let task = tokio::spawn(reflector::reflector(writer, stream).for_each(|_| async {}));
        store.wait_until_ready().await.unwrap();
        assert!(store.get(&ObjectRef::new("a").within("default")).is_some());
        maps.create(&PostParams::default(), &config_map("b", json!({}))).await.unwrap();
        maps.delete("a", &DeleteParams::default()).await.unwrap();
        // After the events are gone the watch begins anew, and nothing is lost.
        plane.compact();
        maps.create(&PostParams::default(), &config_map("c", json!({}))).await.unwrap();
        eventually("the store follows", async || {
            let mut names: Vec<String> = store.state().iter().map(|map| map.name_any()).collect();
            names.sort();
            (names == ["b", "c"]).then_some(())
        })
        .await;
        task.abort();
    }
}

struct Context {
    client: Client,
}

/// Each ConfigMap has a Secret of its own, which says what the ConfigMap says.
async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), "default");
    let owner = map.controller_owner_ref(&()).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": map.name_any(), "ownerReferences": [owner]}, "stringData": map.data,
    });
    secrets.patch(&map.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(secret)).await?;
    Ok(Action::await_change())
}

#[tokio::test]
async fn a_controller_keeps_what_its_objects_own() {
    let plane = Plane::new();
    let client = plane.client();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let only = watcher::Config::default().labels("!other");
    let context = Arc::new(Context { client });
    let controller = Controller::new(maps.clone(), only.clone())
        .owns(secrets.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), context);
    let task = tokio::spawn(controller.for_each(|_| async {}));
    maps.create(&PostParams::default(), &config_map("a", json!({"k": "v"}))).await.unwrap();
    let made = eventually("the secret", async || secrets.get_opt("a").await.unwrap()).await;
    assert_eq!(made.data.unwrap()["k"].0, b"v");
    secrets.delete("a", &DeleteParams::default()).await.unwrap();
    eventually("the secret is made again", async || {
        secrets.get_opt("a").await.unwrap().filter(|again| again.uid() != made.metadata.uid)
    })
    .await;
    let change = json!({"data": {"k": "w"}});
    maps.patch("a", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    eventually("the secret follows", async || {
        secrets.get_opt("a").await.unwrap().filter(|secret| secret.data.as_ref().unwrap()["k"].0 == b"w")
    })
    .await;
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    eventually("the secret goes with its owner", async || {
        secrets.get_opt("a").await.unwrap().is_none().then_some(())
    })
    .await;
    task.abort();
}

#[tokio::test]
async fn a_finalizer_is_added_called_and_taken() {
    let plane = Plane::new();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "default");
    maps.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    let mut said = Vec::new();
    for _ in 0..4 {
        let Some(map) = maps.get_opt("a").await.unwrap() else { break };
        let step = |event: Finalized<ConfigMap>| {
            said.push(if matches!(event, Finalized::Apply(_)) { "apply" } else { "cleanup" });
            async { Ok::<_, std::io::Error>(Action::await_change()) }
        };
        finalizer(&maps, "example.org/hold", Arc::new(map), step).await.unwrap();
        if said == ["apply"] {
            maps.delete("a", &DeleteParams::default()).await.unwrap();
            assert!(maps.get("a").await.unwrap().metadata.deletion_timestamp.is_some());
        }
    }
    assert_eq!(said, ["apply", "cleanup"]);
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn repeated_events_are_counted() {
    let plane = Plane::new();
    let client = plane.client();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let map = maps.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    let reporter = Reporter { controller: "test".to_owned(), instance: Some("test-1".to_owned()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let event = Event {
        type_: EventType::Warning,
        reason: "Tried".to_owned(),
        note: Some("it did not work".to_owned()),
        action: "Trying".to_owned(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &map.object_ref(&())).await.unwrap();
    }
    let events: Api<StoredEvent> = Api::namespaced(client.clone(), "default");
    let [stored] = &events.list(&ListParams::default()).await.unwrap().items[..] else { panic!("one event") };
    assert_eq!(stored.series.as_ref().unwrap().count, 3);
    let core: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client, "default");
    let of_core = core.get(&stored.name_any()).await.unwrap();
    assert_eq!(of_core.involved_object.name.as_deref(), Some("a"));
    assert_eq!(of_core.message.as_deref(), Some("it did not work"));
}

#[tokio::test]
async fn conditions_are_awaited() {
    let plane = Plane::new();
    let client = plane.client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let waiting = tokio::spawn(await_condition(
        definitions.clone(),
        "things.example.org",
        conditions::is_crd_established(),
    ));
    let definition: CustomResourceDefinition = from_value(json!({
        "metadata": {"name": "things.example.org"}, "spec": {
            "group": "example.org", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}))
    .unwrap();
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    let there = definitions.get("things.example.org").await.unwrap();
    let uid = there.uid().unwrap();
    let gone = conditions::is_deleted(&uid);
    definitions.delete("things.example.org", &DeleteParams::default()).await.unwrap();
    tokio::time::timeout(SOON, await_condition(definitions, "things.example.org", gone))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn entries_are_made_and_changed() {
    let plane = Plane::new();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "default");
    for round in ["1", "2"] {
        let mut entry = maps
            .entry("a")
            .await
            .unwrap()
            .and_modify(|map| {
                map.labels_mut().insert("seen".to_owned(), "before".to_owned()).map_or((), drop)
            })
            .or_insert(|| config_map("a", json!({})))
            .and_modify(|map| {
                map.data.get_or_insert_with(BTreeMap::default).insert("round".to_owned(), round.to_owned());
            });
        entry.commit(&PostParams::default()).await.unwrap();
    }
    let map = maps.get("a").await.unwrap();
    assert_eq!(
        (map.labels()["seen"].as_str(), map.data.as_ref().unwrap()["round"].as_str()),
        ("before", "2")
    );
}

#[tokio::test]
async fn a_status_is_written_apart_from_the_rest() {
    let plane = Plane::new();
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), "default");
    let deployment: Deployment = from_value(json!({"metadata": {"name": "a"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}}}))
    .unwrap();
    let made = deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let change = json!({"spec": {"replicas": 9}, "status": {"replicas": 1, "observedGeneration": 1}});
    let patched =
        deployments.patch_status("a", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    assert_eq!(patched.status.unwrap().replicas, Some(1));
    assert_eq!(patched.spec.unwrap().replicas, Some(1));
    assert_eq!(patched.metadata.generation, made.metadata.generation);
    let applied = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "status": {"readyReplicas": 1}});
    let params = PatchParams::apply("status-writer");
    deployments.patch_status("a", &params, &Patch::Apply(applied)).await.unwrap();
    let scale = deployments.get_scale("a").await.unwrap();
    assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().replicas), (Some(1), 1));
    let more = json!({"spec": {"replicas": 3}});
    deployments.patch_scale("a", &PatchParams::default(), &Patch::Merge(more)).await.unwrap();
    assert_eq!(deployments.get("a").await.unwrap().spec.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn metadata_alone_is_watched() {
    let plane = Plane::new();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "default");
    maps.create(&PostParams::default(), &config_map("a", json!({"k": "v"}))).await.unwrap();
    let metadata: Api<kube::core::PartialObjectMeta<ConfigMap>> = Api::namespaced(plane.client(), "default");
    let mut seen = pin!(watcher(metadata, watcher::Config::default()).touched_objects());
    assert_eq!(seen.try_next().await.unwrap().unwrap().name_any(), "a");
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(seen.try_next().await.unwrap().unwrap().name_any(), "a");
}
