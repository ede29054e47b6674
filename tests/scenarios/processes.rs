//! Processes that die in the middle, and two that want the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use moin::plane::Fault;
use serde_json::Value;

use crate::support::eventually;
use crate::support::moin::Moin;
use crate::support::scenario::{CONFIG_MAP, LEASE, PATIENCE, Scenario, holds, map};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_nothing_that_the_next_run_does_not_finish() {
    const MANY: usize = 40;
    let scenario = Scenario::with(&[("gone.yaml", map("gone", "1"))]);
    let (_serving, kubeconfig) = scenario.serve().await;
    scenario.converges().await;
    scenario.repository.remove("gone.yaml");
    for n in 0..MANY {
        scenario.repository.write(&format!("m{n}.yaml"), &map(&format!("m{n}"), "1"));
    }
    scenario.repository.commit("Many");
    scenario.plane.clear_requests();
    scenario.plane.fault(Fault::delay(Duration::from_millis(150)).on("PATCH", "/configmaps/").times(1000));

    let mut args = vec!["run".to_owned(), "--once".to_owned(), "--kubeconfig".to_owned(), kubeconfig];
    args.extend(scenario.source_args());
    let moin = Moin::new();
    let running = moin.start(&args);
    let written = || scenario.writes().iter().filter(|it| it.path.contains("/configmaps/m")).count();
    eventually("some writes", PATIENCE, async || (written() >= 8).then_some(())).await;
    running.kill();
    let before = scenario.versions(CONFIG_MAP).await;
    holds(before.len() < MANY, &before.len());
    assert!(scenario.map("gone").await.is_some(), "pruning comes last");
    let kept = scenario.uid("m0").await;

    scenario.plane.clear_faults();
    let again = tokio::task::spawn_blocking(move || (moin.run(&args), moin)).await.unwrap().0;
    assert_eq!(again.code, Some(0), "{}", again.said());
    let after = scenario.versions(CONFIG_MAP).await;
    assert_eq!(after.len(), MANY);
    assert_eq!(scenario.deletions(), ["/api/v1/namespaces/default/configmaps/gone"]);
    assert_eq!(scenario.uid("m0").await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_daemons_only_the_holder_of_the_lease_writes() {
    let scenario = Scenario::new();
    let first = scenario.commit(&[("a.yaml", map("a", "1"))]);
    let one = scenario.forever();
    scenario.until_applied(&first).await;
    let holder = |object: Option<&Value>| {
        object.and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned))
    };
    let is_held = move |object: Option<&Value>| holder(object).is_some_and(|name| !name.is_empty());
    let first_holder =
        holder(scenario.until(LEASE, Some("moin-system"), "moin-test", is_held).await.as_ref());

    let (client, writes) = scenario.counted_client();
    let two = scenario.forever_as(client);
    let second = scenario.commit(&[("a.yaml", map("a", "2"))]);
    scenario.until_applied(&second).await;
    assert_eq!(writes.load(Ordering::SeqCst), 0, "the second waits");

    one.stop().await;
    let is_taken = {
        let first_holder = first_holder.clone();
        move |object: Option<&Value>| {
            holder(object).is_some_and(|name| !name.is_empty() && Some(&name) != first_holder.as_ref())
        }
    };
    scenario.until(LEASE, Some("moin-system"), "moin-test", is_taken).await;
    let third = scenario.commit(&[("a.yaml", map("a", "3"))]);
    scenario.until_applied(&third).await;
    assert!(writes.load(Ordering::SeqCst) > 0, "the second has taken over");
    two.stop().await;
    let lease = scenario.get(LEASE, Some("moin-system"), "moin-test").await;
    holds(!is_held(lease.as_ref()), &lease);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_told_to_stop_gives_the_lease_back() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1"))]);
    let (_serving, kubeconfig) = scenario.serve().await;
    let mut args = vec!["run".to_owned(), "--kubeconfig".to_owned(), kubeconfig];
    args.extend(scenario.source_args());
    let moin = Moin::new();
    let running = moin.start(&args);
    scenario.until_value("a", "1").await;
    let ended =
        tokio::task::spawn_blocking(move || running.terminate(Duration::from_secs(30))).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    let lease = scenario.get(LEASE, Some("moin-system"), "moin-test").await.unwrap();
    holds(lease["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty), &lease);
    drop(moin);
}
