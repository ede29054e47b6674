//! Two management clusters, two daemons of the built binary, and everything that can happen to them. Whatever it is: at
//! most one of them writes to a cluster, nothing goes back, nothing is deleted that git does not delete, and in the end
//! both clusters are at the newest commit.
//!
//! Against real kube-apiservers in network namespaces, where there are such, and against the embedded one. The
//! scenarios run side by side, each under an owner name of its own, so that all wait for leases at the same time.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::print_stderr, reason = "what was measured is shown")]

mod support;

use std::time::Duration;

use jiff::Timestamp;
use support::invariants::Tally;
use support::namespaces::{self, Entered};
use support::pair::{NAMES, Pair};
use support::sites::{Lost, Sites};

/// A lease runs out 15 seconds after its last renewal; whoever waits needs no more than another second.
const TAKEOVER: Duration = Duration::from_secs(16);
/// Who asks for its cluster has it within a second.
const HAND_BACK: Duration = Duration::from_secs(1);
/// The two may share few cores with other tests, so that what is measured is shown and asserted with room.
const ROOM: Duration = Duration::from_secs(14);

/// What went well is shown; every scenario ends with this.
fn check(pair: &Pair<'_>, deletions: &[&str]) -> [Tally; 2] {
    let tallies = pair.check(deletions);
    for (name, tally) in NAMES.iter().zip(&tallies) {
        eprintln!("{} in {name}: {tally:?}", pair.owner());
    }
    for (side, name) in NAMES.iter().enumerate() {
        for change in pair.handovers(side).iter().skip(1) {
            eprintln!("{} in {name}: {change}", pair.owner());
        }
    }
    eprintln!(
        "{}: the API servers knew the new holders after {}",
        pair.owner(),
        pair.fence_delays().join(", ")
    );
    tallies
}

/// Since when the stand-in holds a cluster's Lease, counted from then, as the API server saw it.
fn taken_after(pair: &Pair<'_>, began: Timestamp) -> Duration {
    let taken = pair.leases(0).into_iter().find(|state| state.time > began && !state.home).unwrap();
    let after = Duration::try_from(taken.time.duration_since(began)).unwrap();
    eprintln!("{}: taken over {after:.3?} after its daemon was gone", pair.owner());
    assert!(after < TAKEOVER + ROOM, "{after:?}");
    after
}

/// Kill -9 right after a renewal, and another commit before it is back.
async fn killed(sites: &Sites) {
    let mut pair = Pair::at_home(sites, "killed").await;
    pair.is_renewed(0).await;
    let began = Timestamp::now();
    pair.kill(0);
    pair.remove(4);
    pair.commit(2);
    pair.is_stood_in_for(0).await;
    pair.converges(2).await;
    taken_after(&pair, began);
    pair.run(0);
    pair.is_at_home(0).await;
    pair.commit(3);
    pair.converges(3).await;
    let back = pair.handovers(0).pop().unwrap().after_request.unwrap();
    assert!(back < HAND_BACK + ROOM, "{back:?}");
    for tally in check(&pair, &["map-4"]) {
        assert_eq!(tally.idle, 0, "nothing was written that was right already");
    }
}

/// It sleeps from one commit to another, and wakes as one who believes that it holds the lease.
async fn frozen(sites: &Sites) {
    let mut pair = Pair::at_home(sites, "frozen").await;
    pair.commit(2);
    let began = Timestamp::now();
    pair.freeze(0);
    pair.commit(3);
    pair.is_stood_in_for(0).await;
    pair.converges(3).await;
    taken_after(&pair, began);
    pair.thaw(0);
    pair.is_at_home(0).await;
    pair.commit(4);
    pair.converges(4).await;
    check(&pair, &[]);
}

/// It loses the way to its own cluster, and maybe that to its peer's.
async fn cut_off(sites: &Sites, owner: &'static str, lost: Lost, servers: &[usize]) {
    let mut pair = Pair::at_home(sites, owner).await;
    let began = Timestamp::now();
    servers.iter().for_each(|&server| pair.cut(0, server, lost));
    pair.commit(2);
    pair.is_stood_in_for(0).await;
    pair.converges(2).await;
    taken_after(&pair, began);
    servers.iter().for_each(|&server| pair.mend(0, server, lost));
    pair.is_at_home(0).await;
    pair.commit(3);
    pair.converges(3).await;
    check(&pair, &[]);
}

/// Neither reaches the cluster of the other, which is nobody's business.
async fn apart(sites: &Sites) {
    let mut pair = Pair::at_home(sites, "apart").await;
    pair.cut(0, 1, Lost::Both);
    pair.cut(1, 0, Lost::Both);
    pair.commit(2);
    pair.converges(2).await;
    pair.is_renewed(0).await;
    pair.is_renewed(0).await;
    pair.mend(0, 1, Lost::Both);
    pair.mend(1, 0, Lost::Both);
    pair.commit(3);
    pair.converges(3).await;
    check(&pair, &[]);
    for side in [0, 1] {
        assert_eq!(pair.handovers(side).len(), 1, "nothing changed hands");
    }
}

/// One whose copy of the repository lags behind takes over and does not go back.
async fn behind(sites: &Sites) {
    let mut pair = Pair::at_home(sites, "behind").await;
    pair.hold_back_repository(1);
    pair.commit(2);
    pair.converges_at(0, 2).await;
    pair.records_newest(0).await;
    pair.kill(0);
    pair.is_stood_in_for(0).await;
    // It has looked at what is recorded, and at its own copy again, and stays its hand.
    pair.is_renewed(0).await;
    assert!(pair.is_at(0, 2).await, "it went back");
    pair.catch_up_repository(1);
    pair.commit(3);
    pair.converges(3).await;
    pair.run(0);
    pair.is_at_home(0).await;
    check(&pair, &[]);
}

/// Runs the scenarios side by side, and fails when one of them does.
fn all(sites: &Sites) {
    std::thread::scope(|scope| {
        let run = |name, scenario: fn(&Sites)| (name, scope.spawn(move || scenario(sites)));
        let threads = [
            run("killed", |sites| block_on(killed(sites))),
            run("frozen", |sites| block_on(frozen(sites))),
            run("unheard", |sites| block_on(cut_off(sites, "unheard", Lost::Requests, &[0]))),
            run("deaf", |sites| block_on(cut_off(sites, "deaf", Lost::Answers, &[0]))),
            run("alone", |sites| block_on(cut_off(sites, "alone", Lost::Both, &[0, 1]))),
            run("apart", |sites| block_on(apart(sites))),
            run("behind", |sites| block_on(behind(sites))),
        ];
        let failed: Vec<&str> =
            threads.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect();
        assert!(failed.is_empty(), "failed: {failed:?}");
    });
}

fn block_on(scenario: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(scenario);
}

#[test]
fn embedded_servers_see_one_writer_at_a_time() {
    all(&Sites::embedded());
}

#[test]
fn real_servers_see_one_writer_at_a_time() {
    let router = match namespaces::enter("real_servers_see_one_writer_at_a_time") {
        Entered::Ran(said) => return eprint!("{said}"),
        Entered::Inside(router) => Some(router),
        Entered::Unavailable(why) => {
            eprintln!("no network namespaces can be made here, so partitions are those of a proxy: {why}");
            None
        }
    };
    if let Some(sites) = Sites::real(router) {
        all(&sites);
    }
}
