//! An API server with bad days.

use std::time::Duration;

use moin::finding::Code;
use moin::plane::Fault;

use crate::support::scenario::{CONFIG_MAP, SECRET, Scenario, finding, holds, map, place};

fn two_maps() -> Scenario {
    Scenario::with(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))])
}

async fn passes(fault: Fault) {
    let scenario = two_maps().impatient(Duration::from_millis(700));
    scenario.plane.fault(fault.clone().on("PATCH", "/configmaps/a").times(2));
    scenario.converges().await;
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"), "{fault:?}");
    let asked = scenario.writes();
    let of = |name: &str| asked.iter().filter(|it| it.path.ends_with(name)).count();
    holds(of("/configmaps/b") == 1, &asked);
    holds(of("/configmaps/a") <= 3, &asked);
    holds(scenario.deletions().is_empty(), &asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_tried_again() {
    for code in [429, 500, 503] {
        passes(Fault::status(code)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_conflict_is_tried_again() {
    passes(Fault::status(409)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_hangs_is_tried_again() {
    passes(Fault::hang()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_changes_nothing() {
    passes(Fault::lose_answer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_named_and_holds_up_nobody() {
    let scenario = two_maps();
    scenario.plane.fault(Fault::status(422).on("PATCH", "/configmaps/a").times(1000));
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let refused = finding(&ended, Code::ApplyRefused, "ConfigMap/default/a");
    assert_eq!(place(refused), "a.yaml:1");
    assert_eq!(scenario.value("b").await.as_deref(), Some("1"));
    let tries = scenario.writes().iter().filter(|it| it.path.ends_with("/configmaps/a")).count();
    assert!(tries <= 3, "it was tried {tries} times");

    scenario.plane.clear_faults();
    scenario.converges().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_for_long_ends_a_pass_in_time() {
    let scenario = two_maps();
    scenario.plane.fault(Fault::status(503).on("PATCH", "/configmaps/a").times(1000));
    let ended = scenario.once_within(Duration::from_secs(4)).await;
    assert_eq!(ended.code, 1);
    let failed = finding(&ended, Code::ApplyFailed, "ConfigMap/default/a");
    assert_eq!(place(failed), "a.yaml:1");
    assert_eq!(scenario.value("b").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_survives_a_server_that_refuses_everything_at_first() {
    let scenario = Scenario::new();
    let first = scenario.commit(&[("a.yaml", map("a", "1"))]);
    scenario.plane.fault(Fault::status(503).on("GET", "/apis").times(2));
    scenario.plane.fault(Fault::status(503).on("PATCH", "moin-system").times(1));
    let daemon = scenario.forever();
    scenario.until_value("a", "1").await;
    scenario.until_applied(&first).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_fails_is_tried_again() {
    let scenario = two_maps();
    scenario.converges().await;
    scenario.repository.remove("a.yaml");
    scenario.commit(&[]);
    scenario.plane.fault(Fault::status(503).on("DELETE", "/configmaps/a").times(2));
    scenario.converges().await;
    assert!(scenario.map("a").await.is_none());
    assert_eq!(scenario.deletions().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_with_nothing_to_do_writes_nothing_but_the_lease() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: default\nstringData:\n  a: b\n";
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("s.yaml", secret.to_owned())]);
    scenario.converges().await;
    let told = scenario.until_told(|_| true).await;
    let versions = (scenario.versions(CONFIG_MAP).await, scenario.versions(SECRET).await);
    scenario.plane.clear_requests();
    scenario.converges().await;
    assert_eq!(told, scenario.until_told(|_| true).await);
    holds(scenario.writes().is_empty(), &scenario.writes());
    assert_eq!(versions, (scenario.versions(CONFIG_MAP).await, scenario.versions(SECRET).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_hangs_does_not_keep_a_daemon_from_stopping_or_others_from_being_written() {
    let scenario = Scenario::new().impatient(Duration::from_secs(2));
    scenario.commit(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    scenario.plane.fault(Fault::hang().on("PATCH", "/configmaps/a").times(1000));
    let daemon = scenario.forever();
    scenario.until_value("b", "1").await;
    scenario.until_found(Code::ApplyFailed).await;
    let second = scenario.commit(&[("b.yaml", map("b", "2"))]);
    scenario.until_value("b", "2").await;
    scenario.plane.clear_faults();
    scenario.until_applied(&second).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_break_and_versions_that_are_gone_hide_no_change() {
    let scenario = Scenario::new();
    let first = scenario.commit(&[("a.yaml", map("a", "1"))]);
    let daemon = scenario.forever();
    scenario.until_applied(&first).await;
    scenario.plane.compact();
    scenario.plane.fault(Fault::status(500).on("GET", "/configmaps").times(3));
    scenario.somebody_deletes(CONFIG_MAP, Some("default"), "a").await;
    let second = scenario.commit(&[("b.yaml", map("b", "1"))]);
    scenario.until_applied(&second).await;
    // The broken watch comes back after a pause that the commit does not wait for.
    scenario.until_value("a", "1").await;
    daemon.stop().await;
}
