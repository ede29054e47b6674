//! A repository that goes away or rewrites its history.

use moin::finding::Code;
use serde_json::json;

use crate::support::scenario::{Scenario, condition, holds, map};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_vanishes_is_reported_and_waited_for() {
    let scenario = Scenario::new();
    let first = scenario.commit(&[("a.yaml", map("a", "1"))]);
    let daemon = scenario.forever();
    scenario.until_applied(&first).await;
    let (here, away) = (scenario.repository.path(), scenario.repository.path().with_extension("away"));
    std::fs::rename(here, &away).unwrap();
    let told = scenario.until_found(Code::SourceUnreachable).await;
    holds(told["severity"] == "error", &told);
    let status = scenario.until_told(|_| true).await;
    assert_eq!(status["appliedRevision"], first.as_str(), "the last revision stays");
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"));

    std::fs::rename(&away, here).unwrap();
    let second = scenario.commit(&[("a.yaml", map("a", "2"))]);
    let status = scenario.until_applied(&second).await;
    holds(status["findings"] == json!([]), &status);
    assert_eq!(scenario.value("a").await.as_deref(), Some("2"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewritten_branch_is_applied_only_when_approved() {
    let scenario = Scenario::new();
    let base = scenario.commit(&[("a.yaml", map("a", "1"))]);
    let second = scenario.commit(&[("a.yaml", map("a", "2"))]);
    let daemon = scenario.forever();
    scenario.until_applied(&second).await;

    scenario.repository.reset(&base);
    let rewritten = scenario.commit(&[("a.yaml", map("a", "3")), ("b.yaml", map("b", "3"))]);
    let told = scenario.until_found(Code::NotADescendant).await;
    holds(told["message"].as_str().unwrap().contains(&second[..7]), &told);
    assert_eq!(scenario.value("a").await.as_deref(), Some("2"));
    assert!(scenario.map("b").await.is_none(), "nothing of it is applied");

    scenario.approve(json!({"action": "revision", "revision": "0123456789"})).await;
    scenario.approve(json!({"action": "revision", "revision": rewritten[..12]})).await;
    let status = scenario.until_applied(&rewritten).await;
    assert_eq!(scenario.value("a").await.as_deref(), Some("3"));
    holds(condition(&status, "Ready") == Some("True"), &status);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_does_not_forget_where_history_stood() {
    let scenario = Scenario::new();
    let base = scenario.commit(&[("a.yaml", map("a", "1"))]);
    let second = scenario.commit(&[("a.yaml", map("a", "2"))]);
    scenario.converges().await;
    scenario.repository.reset(&base);
    for _ in 0..3 {
        let ended = scenario.once().await;
        assert_ne!(ended.code, 0, "going back is a rewrite too, however often it is looked at");
        assert_eq!(scenario.value("a").await.as_deref(), Some("2"));
    }
    let daemon = scenario.forever();
    scenario.until_found(Code::NotADescendant).await;
    let ended = daemon.stop().await;
    holds(ended.report.revision.as_deref() == Some(second.as_str()), &ended.report);
    scenario.repository.reset(&second);
    scenario.converges().await;
}
