//! The plane as clients see it: the kube crate's client and runtime, unmodified, in-process and on a socket.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    PropagationPolicy, WatchEvent, WatchParams,
};
use kube::discovery::Discovery;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Client, Resource as _, ResourceExt as _};
use moin::plane::{Fault, Plane};
use serde_json::{Value, json};
use support::eventually;

const SOON: Duration = Duration::from_secs(5);

fn config_map(name: &str, data: Value) -> ConfigMap {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data,
    }))
    .unwrap()
}

fn config_maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

async fn apply(maps: &Api<ConfigMap>, manager: &str, name: &str, data: Value) -> kube::Result<ConfigMap> {
    maps.patch(name, &PatchParams::apply(manager), &Patch::Apply(config_map(name, data))).await
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

fn widget_definition(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.moin.test")},
        "spec": {
            "group": "moin.test", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}},
                        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                    }}},
                },
                {
                    "name": "v1beta1", "served": true, "storage": false,
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                },
            ],
        },
    })
}

fn definitions(client: &Client) -> Api<DynamicObject> {
    let kind = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    Api::all_with(client.clone(), &kind)
}

fn widgets(client: &Client, version: &str) -> Api<DynamicObject> {
    let kind = ApiResource {
        group: "moin.test".to_owned(),
        version: version.to_owned(),
        api_version: format!("moin.test/{version}"),
        kind: "Widget".to_owned(),
        plural: "widgets".to_owned(),
    };
    Api::namespaced_with(client.clone(), "default", &kind)
}

async fn with_widgets(client: &Client) {
    let definition: DynamicObject = serde_json::from_value(widget_definition("widgets", "Widget")).unwrap();
    definitions(client).create(&PostParams::default(), &definition).await.unwrap();
}

fn widget(name: &str, rest: Value) -> DynamicObject {
    let mut body =
        json!({"apiVersion": "moin.test/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {}});
    json_patch::merge(&mut body, &rest);
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn writers_are_told_apart() {
    let plane = Plane::new();
    let maps = config_maps(&plane.client());
    apply(&maps, "a", "x", json!({"k": "1"})).await.unwrap();
    let before = plane.revision();
    apply(&maps, "a", "x", json!({"k": "1"})).await.unwrap();
    assert_eq!(plane.revision(), before, "what changes nothing writes nothing");
    assert_eq!(code(apply(&maps, "b", "x", json!({"k": "2"})).await.unwrap_err()), 409);
    let dry = PatchParams::apply("b").force().dry_run();
    let shown = maps.patch("x", &dry, &Patch::Apply(config_map("x", json!({"k": "2"})))).await.unwrap();
    assert_eq!(shown.data.unwrap()["k"], "2");
    assert_eq!(plane.revision(), before, "a dry run writes nothing");
    let mut stale = maps.get("x").await.unwrap();
    apply(&maps, "a", "x", json!({"k": "3"})).await.unwrap();
    stale.data = None;
    assert_eq!(code(maps.replace("x", &PostParams::default(), &stale).await.unwrap_err()), 409);
}

#[tokio::test]
async fn both_kinds_of_watcher_follow() {
    let plane = Plane::new();
    let client = plane.client();
    let maps = config_maps(&client);
    apply(&maps, "a", "first", json!({})).await.unwrap();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = pin!(watcher::watcher(maps.clone(), config));
        assert!(matches!(events.try_next().await.unwrap().unwrap(), Event::Init));
        assert!(
            matches!(events.try_next().await.unwrap().unwrap(), Event::InitApply(o) if o.name_any() == "first")
        );
        assert!(matches!(events.try_next().await.unwrap().unwrap(), Event::InitDone));
        apply(&maps, "a", "second", json!({})).await.unwrap();
        assert!(
            matches!(events.try_next().await.unwrap().unwrap(), Event::Apply(o) if o.name_any() == "second")
        );
        maps.delete("second", &DeleteParams::default()).await.unwrap();
        assert!(
            matches!(events.try_next().await.unwrap().unwrap(), Event::Delete(o) if o.name_any() == "second")
        );
    }
}

#[tokio::test]
async fn a_reflector_outlives_a_compaction() {
    let plane = Plane::builder().history(4).build();
    let maps = config_maps(&plane.client());
    let (reader, writer) = reflector::store();
    let stream = watcher::watcher(maps.clone(), watcher::Config::default().timeout(1)).default_backoff();
    let task = tokio::spawn(reflector(writer, stream).for_each(|_| async {}));
    reader.wait_until_ready().await.unwrap();
    for round in 0..10 {
        apply(&maps, "a", &format!("m{round}"), json!({})).await.unwrap();
    }
    plane.compact();
    apply(&maps, "a", "last", json!({})).await.unwrap();
    let count = async || (reader.state().len() == 11).then_some(());
    eventually("all objects are in the store", SOON, count).await;
    task.abort();
}

#[tokio::test]
async fn an_old_version_is_gone() {
    let plane = Plane::new();
    let maps = config_maps(&plane.client());
    let old = apply(&maps, "a", "x", json!({})).await.unwrap().resource_version().unwrap();
    apply(&maps, "a", "x", json!({"k": "1"})).await.unwrap();
    plane.compact();
    let events: Vec<_> =
        maps.watch(&WatchParams::default(), &old).await.unwrap().try_collect().await.unwrap();
    assert!(matches!(&events[..], [WatchEvent::Error(status)] if status.code == 410), "{events:?}");
}

#[tokio::test]
async fn pages_show_one_moment() {
    let plane = Plane::new();
    let maps = config_maps(&plane.client());
    for name in ["a", "b", "c"] {
        apply(&maps, "m", name, json!({})).await.unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    apply(&maps, "m", "d", json!({})).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = maps.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.iter().map(|m| m.name_any()).collect::<Vec<_>>(), ["c"]);
}

#[tokio::test]
async fn a_definition_is_served_at_once_and_goes_with_its_objects() {
    let plane = Plane::new();
    let client = plane.client();
    with_widgets(&client).await;
    let both = widgets(&client, "v1");
    let made = both.create(&PostParams::default(), &widget("w", json!({"spec": {"nope": 1}}))).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 1}));
    assert_eq!(
        widgets(&client, "v1beta1").get("w").await.unwrap().types.unwrap().api_version,
        "moin.test/v1beta1"
    );
    let status = Patch::Merge(json!({"status": {"phase": "Ready"}, "spec": {"size": 5}}));
    let ready = both.patch_status("w", &PatchParams::default(), &status).await.unwrap();
    assert_eq!((&ready.data["spec"]["size"], &ready.data["status"]["phase"]), (&json!(1), &json!("Ready")));
    assert_eq!(ready.metadata.generation, Some(1));
    let taken: DynamicObject = serde_json::from_value(widget_definition("gadgets", "Widget")).unwrap();
    definitions(&client).create(&PostParams::default(), &taken).await.unwrap();
    let refused = definitions(&client).get("gadgets.moin.test").await.unwrap();
    assert_eq!(refused.data["status"]["conditions"][0]["status"], "False");
    definitions(&client).delete("widgets.moin.test", &DeleteParams::default()).await.unwrap();
    let gone =
        async || definitions(&client).get_opt("widgets.moin.test").await.unwrap().is_none().then_some(());
    eventually("the definition is gone", SOON, gone).await;
    assert_eq!(code(both.get("w").await.unwrap_err()), 404);
}

#[tokio::test]
async fn discovery_is_understood() {
    let plane = Plane::new();
    let client = plane.client();
    with_widgets(&client).await;
    let plain = Discovery::new(client.clone()).run().await.unwrap();
    let aggregated = Discovery::new(client.clone()).run_aggregated().await.unwrap();
    for found in [plain, aggregated] {
        let group = found.get("moin.test").unwrap();
        assert_eq!(group.preferred_version(), Some("v1"));
        let (resource, _) =
            found.resolve_gvk(&kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment")).unwrap();
        assert_eq!(resource.plural, "deployments");
    }
}

#[tokio::test]
async fn a_finalizer_holds_an_object() {
    let plane = Plane::new();
    let client = plane.client();
    with_widgets(&client).await;
    let api = widgets(&client, "v1");
    let held = widget("w", json!({"metadata": {"finalizers": ["moin.test/f"]}}));
    api.create(&PostParams::default(), &held).await.unwrap();
    assert!(api.delete("w", &DeleteParams::default()).await.unwrap().is_left());
    let deleting = api.get("w").await.unwrap();
    assert!(deleting.metadata.deletion_timestamp.is_some());
    assert_eq!(deleting.metadata.generation, Some(2));
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("w", &PatchParams::default(), &release).await.unwrap();
    assert!(api.get_opt("w").await.unwrap().is_none());
}

#[tokio::test]
async fn a_namespace_goes_with_what_is_in_it() {
    let plane = Plane::new();
    let client = plane.client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata: kube::core::ObjectMeta { name: Some("n".to_owned()), ..Default::default() },
        ..Default::default()
    };
    let made = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    assert_eq!(made.labels()["kubernetes.io/metadata.name"], "n");
    let inside: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    let mut held = config_map("held", json!({}));
    held.metadata.namespace = None;
    held.metadata.finalizers = Some(vec!["moin.test/f".to_owned()]);
    inside.create(&PostParams::default(), &held).await.unwrap();
    namespaces.delete("n", &DeleteParams::default()).await.unwrap();
    let begun = async || inside.get("held").await.unwrap().metadata.deletion_timestamp.map(drop);
    eventually("its content is being deleted", SOON, begun).await;
    assert_eq!(namespaces.get("n").await.unwrap().status.unwrap().phase.unwrap(), "Terminating");
    let mut late = config_map("late", json!({}));
    late.metadata.namespace = None;
    assert_eq!(code(inside.create(&PostParams::default(), &late).await.unwrap_err()), 403);
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    inside.patch("held", &PatchParams::default(), &release).await.unwrap();
    let gone = async || namespaces.get_opt("n").await.unwrap().is_none().then_some(());
    eventually("the namespace is gone", SOON, gone).await;
    assert_eq!(code(inside.create(&PostParams::default(), &late).await.unwrap_err()), 404);
}

#[tokio::test]
async fn dependents_go_the_way_that_was_asked_for() {
    let plane = Plane::new();
    let maps = config_maps(&plane.client());
    for (policy, stays) in [
        (PropagationPolicy::Background, false),
        (PropagationPolicy::Foreground, false),
        (PropagationPolicy::Orphan, true),
    ] {
        let owner = maps.create(&PostParams::default(), &config_map("owner", json!({}))).await.unwrap();
        let mut dependent = config_map("dependent", json!({}));
        dependent.metadata.owner_references = serde_json::from_value(json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid().unwrap(),
            "blockOwnerDeletion": true,
        }]))
        .unwrap();
        maps.create(&PostParams::default(), &dependent).await.unwrap();
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        maps.delete("owner", &params).await.unwrap();
        let gone = async || maps.get_opt("owner").await.unwrap().is_none().then_some(());
        eventually("the owner is gone", SOON, gone).await;
        if stays {
            assert!(maps.get("dependent").await.unwrap().owner_references().is_empty());
        } else {
            let gone = async || maps.get_opt("dependent").await.unwrap().is_none().then_some(());
            eventually("the dependent is gone", SOON, gone).await;
        }
    }
}

#[tokio::test]
async fn faults_hit_what_they_are_aimed_at() {
    let plane = Plane::new();
    let maps = config_maps(&plane.client());
    plane.fault(Fault::status(503).on("PATCH", "/configmaps/").times(2));
    for _ in 0..2 {
        assert_eq!(code(apply(&maps, "a", "x", json!({})).await.unwrap_err()), 503);
    }
    plane.fault(Fault::lose_answer().on("PATCH", "/configmaps/x"));
    apply(&maps, "a", "x", json!({})).await.unwrap_err();
    maps.get("x").await.unwrap();
    plane.fault(Fault::hang().on("GET", "/configmaps/x"));
    tokio::time::timeout(Duration::from_millis(50), maps.get("x")).await.unwrap_err();
    plane.clear_requests();
    maps.get("x").await.unwrap();
    let requests = plane.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].path.as_str(), requests[0].status),
        ("/api/v1/namespaces/default/configmaps/x", 200)
    );
    assert!(!requests[0].is_write());
}

#[tokio::test]
async fn it_serves_on_a_socket_and_stops() {
    let plane = Plane::builder().token("secret").require_token().build();
    let serving = plane.serve("127.0.0.1:0").await.unwrap();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&plane.kubeconfig(serving.url())).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    let maps = config_maps(&Client::try_from(config).unwrap());
    apply(&maps, "a", "x", json!({"k": "1"})).await.unwrap();
    let anonymous = kube::Config::new(serving.url().parse().unwrap());
    let denied = config_maps(&Client::try_from(anonymous).unwrap()).get("x").await.unwrap_err();
    assert_eq!(code(denied), 401);
    let watching = maps.watch(&WatchParams::default(), "0").await.unwrap();
    let mut watching = pin!(watching);
    assert!(matches!(watching.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    plane.stop();
    while let Some(last) = watching.try_next().await.unwrap() {
        assert!(matches!(last, WatchEvent::Bookmark(_)), "{last:?}");
    }
    tokio::time::timeout(SOON, serving.finished()).await.unwrap().unwrap();
}

#[tokio::test]
async fn kubectl_gets_in_without_the_token_that_it_does_not_send() {
    let plane = Plane::builder().token("secret").build();
    let status = async |token: Option<&str>| {
        let mut request = http::Request::get("/api/v1/namespaces");
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        tower::ServiceExt::oneshot(plane.router(), request).await.unwrap().status().as_u16()
    };
    assert_eq!(status(None).await, 200);
    assert_eq!(status(Some("secret")).await, 200);
    assert_eq!(status(Some("other")).await, 401);
}

#[tokio::test]
async fn a_table_shows_the_declared_columns() {
    let plane = Plane::new();
    let client = plane.client();
    with_widgets(&client).await;
    widgets(&client, "v1")
        .create(&PostParams::default(), &widget("w", json!({"spec": {"size": 3}})))
        .await
        .unwrap();
    let request = http::Request::get("/apis/moin.test/v1/widgets")
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][1]["name"], "Size");
    assert_eq!(table["rows"][0]["cells"], json!(["w", 3]));
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "w");
}

#[tokio::test]
async fn events_are_the_same_in_both_groups() {
    let plane = Plane::new();
    let client = plane.client();
    let reporter = kube::runtime::events::Reporter { controller: "moin".to_owned(), instance: None };
    let recorder = kube::runtime::events::Recorder::new(client.clone(), reporter);
    let about = apply(&config_maps(&client), "a", "x", json!({})).await.unwrap().object_ref(&());
    let event = kube::runtime::events::Event {
        type_: kube::runtime::events::EventType::Normal,
        reason: "Applied".to_owned(),
        note: Some("all is well".to_owned()),
        action: "Apply".to_owned(),
        secondary: None,
    };
    recorder.publish(&event, &about).await.unwrap();
    recorder.publish(&event, &about).await.unwrap();
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client, "default");
    let seen = events.list(&ListParams::default().fields("involvedObject.name=x")).await.unwrap().items;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].message.as_deref(), seen[0].reporting_component.as_deref()),
        (Some("all is well"), Some("moin"))
    );
}
