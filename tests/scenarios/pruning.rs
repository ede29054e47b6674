//! What is deleted, when, and what never is without an approval.

use moin::finding::Code;
use serde_json::json;

use crate::support::scenario::{
    CONFIG_MAP, NAMESPACE, SECRET, Scenario, finding, holds, map, namespace, settings,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_file_deletes_its_object_last_and_a_moved_one_nothing() {
    let scenario = Scenario::with(&[
        ("moved.yaml", map("moved", "1")),
        ("gone.yaml", map("gone", "1")),
        ("stays.yaml", map("stays", "1")),
    ]);
    scenario.converges().await;
    let uid = scenario.uid("moved").await;
    scenario.plane.clear_requests();
    scenario.repository.remove("moved.yaml");
    scenario.commit(&[("deep/down/moved.yaml", map("moved", "1"))]);
    scenario.converges().await;
    assert_eq!(scenario.uid("moved").await, uid);
    holds(scenario.deletions().is_empty(), &scenario.writes());

    scenario.plane.clear_requests();
    scenario.repository.remove("gone.yaml");
    scenario.commit(&[("stays.yaml", map("stays", "2")), ("new.yaml", map("new", "1"))]);
    scenario.converges().await;
    let maps: Vec<_> = scenario.writes().into_iter().filter(|it| it.path.contains("/configmaps/")).collect();
    let deletion = maps.iter().position(|it| it.method == "DELETE");
    holds(maps.len() == 3 && deletion == Some(2), &maps);
    assert!(scenario.map("gone").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_deleted_that_only_wears_our_label() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1"))]);
    let copied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "copied",
        "namespace": "default", "labels": {"moin.scs.community/owner": "test"}}});
    scenario.somebody_applies("somebody", CONFIG_MAP, copied).await;
    scenario.converges().await;
    scenario.converges().await;
    assert!(scenario.map("copied").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_kind_is_deleted_only_with_an_approval() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: default\n";
    let scenario = Scenario::with(&[
        ("moin.yaml", settings("  protection:\n    kinds: [Secret]")),
        ("team.yaml", namespace("team")),
        ("secret.yaml", secret.to_owned()),
        ("a.yaml", map("a", "1")),
    ]);
    scenario.converges().await;
    for file in ["team.yaml", "secret.yaml", "a.yaml"] {
        scenario.repository.remove(file);
    }
    scenario.commit(&[]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    finding(&ended, Code::ApprovalNeeded, "Secret/default/s");
    let help = finding(&ended, Code::ApprovalNeeded, "Namespace/team").help.clone().unwrap();
    holds(help.contains("action: delete, object: Namespace/team"), &help);
    assert!(scenario.map("a").await.is_none(), "what is not protected is deleted");
    scenario.approve(json!({"action": "delete", "object": "Namespace/team"})).await;
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1, "the Secret still waits");
    assert!(scenario.get(SECRET, Some("default"), "s").await.is_some());
    let gone = |object: Option<&serde_json::Value>| object.is_none();
    scenario.until(NAMESPACE, None, "team", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_deletions_than_the_cap_wait_for_an_approval() {
    let names: Vec<String> = (0..4).map(|n| format!("m{n}")).collect();
    let scenario = Scenario::with(&[("moin.yaml", settings("  protection:\n    maxDeletions: 3"))]);
    for name in &names {
        scenario.repository.write(&format!("{name}.yaml"), &map(name, "1"));
    }
    scenario.repository.commit("Many");
    scenario.converges().await;
    for name in &names {
        scenario.repository.remove(&format!("{name}.yaml"));
    }
    let emptied = scenario.commit(&[]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let capped = finding(&ended, Code::ApprovalNeeded, "ConfigMap/default/m0");
    holds(capped.message.contains("4 objects"), capped);
    assert_eq!(scenario.versions(CONFIG_MAP).await.len(), 4);
    scenario.approve(json!({"action": "deletions", "revision": emptied[..10]})).await;
    scenario.converges().await;
    assert!(scenario.versions(CONFIG_MAP).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_repository_deletes_no_more_than_the_cap() {
    let scenario = Scenario::new();
    for n in 0..12 {
        scenario.repository.write(&format!("m{n}.yaml"), &map(&format!("m{n}"), "1"));
    }
    scenario.commit(&[]);
    scenario.converges().await;
    for n in 0..12 {
        scenario.repository.remove(&format!("m{n}.yaml"));
    }
    scenario.repository.remove("moin.yaml");
    scenario.commit(&[]);
    assert_eq!(scenario.once().await.code, 1);
    assert_eq!(
        scenario.versions(CONFIG_MAP).await.len(),
        12,
        "ten is the cap of a repository that says nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_moin_yaml_stops_everything_and_deletes_nothing() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    scenario.converges().await;
    scenario.repository.remove("b.yaml");
    scenario.commit(&[("moin.yaml", settings("  protektion: {}")), ("a.yaml", map("a", "2"))]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    finding(&ended, Code::BadRepositoryFile, "");
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"));
    assert!(scenario.map("b").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_partly_refused_deletes_nothing() {
    let scenario = Scenario::with(&[("gone.yaml", map("gone", "1"))]);
    scenario.converges().await;
    scenario.repository.remove("gone.yaml");
    scenario.commit(&[("bad.yaml", map("Not_A_Name", "1"))]);
    assert_eq!(scenario.once().await.code, 1);
    assert!(scenario.map("gone").await.is_some());
}
