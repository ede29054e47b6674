//! Objects and fields that belong to somebody else, and hands that reach into ours.

use moin::finding::Code;
use serde_json::json;

use crate::support::moin::Moin;
use crate::support::scenario::{
    CONFIG_MAP, EVENT, RECONCILIATION, Scenario, finding, holds, map, place, settings,
};

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
