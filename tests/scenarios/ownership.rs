//! Objects and fields that belong to somebody else, and hands that reach into ours.

use kube::api::{Patch, PatchParams};
use moin::finding::Code;
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::moin::Moin;
use crate::support::scenario::{
    CONFIG_MAP, EVENT, Kind, RECONCILIATION, Scenario, condition, finding, holds, map, place, settings,
};

const DEPLOYMENT: Kind = ("apps/v1", "Deployment", "deployments");

fn theirs(name: &str, labels: serde_json::Value, data: serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": name, "namespace": "default", "labels": labels}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_somebody_else_is_left_alone_and_named() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    scenario.converges().await;
    let other = theirs("a", json!({}), json!({"other": "theirs"}));
    scenario.somebody_applies("somebody", CONFIG_MAP, other).await;
    scenario.converges().await;
    scenario.commit(&[("a.yaml", map("a", "2") + "  other: ours\n"), ("b.yaml", map("b", "2"))]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let conflict = finding(&ended, Code::Conflict, "ConfigMap/default/a");
    let named = conflict.message.contains("data.other") && conflict.message.contains("somebody");
    holds(named && place(conflict).starts_with("a.yaml:"), conflict);
    let live = scenario.map("a").await.unwrap();
    assert_eq!((&live["data"]["other"], &live["data"]["key"]), (&json!("theirs"), &json!("1")));
    assert_eq!(scenario.value("b").await.as_deref(), Some("2"), "others are not held up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_another_repository_is_left_alone() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    let labels = json!({"moin.scs.community/owner": "another"});
    scenario.somebody_applies("moin", CONFIG_MAP, theirs("a", labels, json!({"key": "theirs"}))).await;
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let foreign = finding(&ended, Code::ForeignOwner, "ConfigMap/default/a");
    holds(foreign.message.contains("another"), foreign);
    assert_eq!(scenario.value("a").await.as_deref(), Some("theirs"));
    assert_eq!(scenario.value("b").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_nobody_is_adopted_only_if_it_is_as_wanted() {
    let scenario = Scenario::with(&[("same.yaml", map("same", "1")), ("other.yaml", map("other", "1"))]);
    for (name, value) in [("same", "1"), ("other", "theirs")] {
        let object = theirs(name, json!({}), json!({"key": value}));
        scenario.somebody_applies("somebody", CONFIG_MAP, object).await;
    }
    let uid = scenario.uid("same").await;
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let left = finding(&ended, Code::NotAdopted, "ConfigMap/default/other");
    holds(left.message.contains("data.key"), left);
    assert_eq!(scenario.value("other").await.as_deref(), Some("theirs"));
    let adopted = scenario.map("same").await.unwrap();
    assert_eq!(adopted["metadata"]["labels"]["moin.scs.community/owner"], "test");
    assert_eq!(adopted["metadata"]["uid"], uid.as_str());

    scenario.commit(&[("moin.yaml", settings("  adoption: always"))]);
    scenario.converges().await;
    assert_eq!(scenario.value("other").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_hand_is_set_back_and_its_author_named() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1"))]);
    let (_serving, kubeconfig) = scenario.serve().await;
    let mut args = vec!["run".to_owned(), "--kubeconfig".to_owned(), kubeconfig];
    args.extend(scenario.source_args());
    let moin = Moin::new();
    let running = moin.start(&args);
    scenario.until_value("a", "1").await;
    let ready = |status: &serde_json::Value| status["appliedRevision"].is_string();
    scenario.until_told(ready).await;
    scenario.somebody_applies("hasty-hand", CONFIG_MAP, theirs("a", json!({}), json!({"key": "2"}))).await;
    scenario.until_value("a", "1").await;
    let running = tokio::task::spawn_blocking(move || running.terminate(std::time::Duration::from_secs(30)));
    let finished = running.await.unwrap();
    holds(finished.stderr.contains("hasty-hand") && finished.stderr.contains("drift"), &finished.said());
    assert_eq!(finished.code, Some(0), "{}", finished.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_by_hand_comes_back() {
    let scenario = Scenario::new();
    let first = scenario.commit(&[("a.yaml", map("a", "1"))]);
    let daemon = scenario.forever();
    scenario.until_applied(&first).await;
    let uid = scenario.uid("a").await;
    scenario.somebody_deletes(CONFIG_MAP, Some("default"), "a").await;
    let anew = move |object: Option<&serde_json::Value>| {
        object.is_some_and(|map| map["metadata"]["uid"] != uid.as_str() && map["data"]["key"] == "1")
    };
    scenario.until(CONFIG_MAP, Some("default"), "a", anew).await;
    daemon.stop().await;
    assert_eq!(scenario.versions(RECONCILIATION).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_once_as_an_event() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1"))]);
    let labels = json!({"moin.scs.community/owner": "another"});
    scenario.somebody_applies("moin", CONFIG_MAP, theirs("a", labels, json!({}))).await;
    for _ in 0..2 {
        assert_eq!(scenario.once().await.code, 1);
    }
    let told = scenario.until_found(Code::ForeignOwner).await;
    holds(told["location"] == "a.yaml:1", &told);
    let events = scenario.api(EVENT, None).list(&Default::default()).await.unwrap();
    let about: Vec<_> = events.iter().filter(|event| event.data["reason"] == "ForeignOwner").collect();
    holds(about.len() == 1 && about[0].data["type"] == "Warning", &events.items);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_by_hand_is_repaired_once() {
    const EDITS: usize = 24;
    let files: Vec<(String, String)> =
        (0..=EDITS).map(|n| (format!("{n}.yaml"), map(&format!("m{n}"), "1"))).collect();
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let scenario = Scenario::with(&files);
    let daemon = scenario.forever();
    scenario.until_told(|status| condition(status, "Ready") == Some("True")).await;
    let maps = scenario.api(CONFIG_MAP, Some("default"));
    scenario.plane.clear_requests();
    // Whatever would still come of an edit comes before what comes of the next one.
    for n in 0..=EDITS {
        let edit = Patch::Merge(json!({"data": {"key": "by hand"}}));
        let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        maps.patch(&format!("m{n}"), &params, &edit).await.unwrap();
        scenario.until_value(&format!("m{n}"), "1").await;
    }
    let applies = scenario.plane.requests().into_iter().filter(|it| it.query.contains("fieldManager=moin"));
    let applies: Vec<(String, bool)> = applies
        .filter(|it| it.path.contains("/configmaps/m"))
        .map(|it| (it.path.rsplit('/').next().unwrap().to_owned(), it.query.contains("dryRun")))
        .filter(|(name, _)| *name != format!("m{EDITS}"))
        .collect();
    // Asked first, then done.
    let expected: Vec<(String, bool)> =
        (0..EDITS).flat_map(|n| [(format!("m{n}"), true), (format!("m{n}"), false)]).collect();
    assert_eq!(applies, expected);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_moves_in_between_holds_up_no_repair() {
    let deployment = |replicas: u32| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: default}}\nspec:\n  replicas: {replicas}\n  \
             selector: {{matchLabels: {{a: b}}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    \
             spec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    };
    let scenario = Scenario::with(&[("d.yaml", deployment(1))]);
    let deployments = scenario.api(DEPLOYMENT, Some("default"));
    let (router, api) = (scenario.plane.router(), deployments.clone());
    // A controller notes each edit a moment before it is repaired.
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (router, api) = (router.clone(), api.clone());
        let query = request.uri().query().unwrap_or_default();
        let is_write = query.contains("fieldManager=moin&force=true") && !query.contains("dryRun");
        let repairs = is_write && request.uri().path().ends_with("/deployments/d");
        async move {
            if repairs {
                let seen = Patch::Merge(json!({"status": {"observedGeneration": 7}}));
                api.patch_status("d", &PatchParams::default(), &seen).await.unwrap();
            }
            router.oneshot(request.map(axum::body::Body::new)).await
        }
    });
    let daemon = scenario.forever_as(kube::Client::new(service, "default"));
    scenario.until_told(|status| status["objects"]["inSync"] == 1).await;
    scenario.plane.clear_requests();
    let edit = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    deployments.patch("d", &params, &edit).await.unwrap();
    let repaired = |object: Option<&serde_json::Value>| object.is_some_and(|it| it["spec"]["replicas"] == 1);
    scenario.until(DEPLOYMENT, Some("default"), "d", repaired).await;
    daemon.stop().await;
    let asked = scenario.plane.requests().into_iter().filter(|it| it.query.contains("dryRun")).count();
    assert_eq!(asked, 1, "one turn repairs it");
}
