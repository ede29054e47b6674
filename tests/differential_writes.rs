//! Random sequences of writes, sent to the plane and to a real kube-apiserver: every answer must be the same.
//!
//! A run of `cargo test` compares a few fixed seeds. For a long search:
//! `MOIN_DIFFERENTIAL=SECONDS [MOIN_DIFFERENTIAL_SEED=n] [MOIN_DIFFERENTIAL_KIND=Service,Pod]
//! [MOIN_DIFFERENTIAL_OUT=folder] cargo test --test differential_writes -- --nocapture`.
//! What differs is cut down and written to the folder in the form of the recorded traces.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::print_stderr, reason = "what differs must be readable")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use moin::plane::Plane;
use serde_json::{Value, json};
use support::real_server::RealServer;
use support::writes::rng::Rng;
use support::writes::{Pair, Report, generate};

/// Sequences of a usual run, and how many are on their way at once.
const USUAL: u64 = 120;
const AT_ONCE: usize = 6;

fn setting(name: &str) -> Option<String> {
    std::env::var(format!("MOIN_DIFFERENTIAL{name}")).ok()
}

/// Kinds of the usual run.
const AGREED: &[&str] = &["Widget"];
/// Seeds of which a difference is known and left: a merge patch that sets an empty apiVersion, a broken merge patch
/// with `fieldValidation=Ignore`, and an apply through `scale` by who applied the replicas before.
const KNOWN: &[u64] = &[91];

async fn search(pair: &Pair, seeds: impl Iterator<Item = u64>, until: Instant) -> (usize, Report) {
    let only = setting("_KIND");
    let mut kinds = generate::kinds();
    match &only {
        Some(only) => kinds.retain(|kind| only.split(',').any(|name| name == kind.name)),
        None if setting("").is_none() => kinds.retain(|kind| AGREED.contains(&&*kind.name)),
        None => {}
    }
    let mut report = Report::new();
    let kinds = &kinds;
    let mut outcomes = futures::stream::iter(seeds.take_while(|_| Instant::now() < until))
        .map(|seed| async move {
            let mut rng = Rng::new(seed);
            let kind = generate::choose(kinds, &mut rng);
            let steps = generate::sequence(kind, &mut rng);
            let found = pair.compare(&steps).await;
            (seed, steps, found)
        })
        .buffer_unordered(AT_ONCE);
    let mut compared = 0;
    while let Some((seed, steps, found)) = outcomes.next().await {
        compared += 1;
        if let Some(found) = found {
            eprintln!("seed {seed} differs");
            let entry = report.entry(found.signature.clone()).or_insert((0, steps, found));
            entry.0 += 1;
        }
    }
    (compared, report)
}

/// A difference as somebody can read and replay it.
async fn show(pair: &Pair, report: Report, out: Option<&Path>) -> String {
    let mut text = String::new();
    let mut rows: Vec<_> = report.into_iter().collect();
    rows.sort_by_key(|(_, (count, _, _))| std::cmp::Reverse(*count));
    let limit = setting("_SHRINK").and_then(|n| n.parse().ok()).unwrap_or(12);
    for (index, (signature, (count, steps, found))) in rows.into_iter().enumerate() {
        let (steps, found) = if index < limit { pair.shrink(&steps, found).await } else { (steps, found) };
        text.push_str(&format!("\n{count} x {signature}\n"));
        for step in &steps[..=found.step] {
            if index < limit {
                let line = format!("{} {} {}", step["method"], step["path"], step["body"]);
                text.push_str(&format!("    {}\n", line.chars().take(700).collect::<String>()));
            }
        }
        for line in found.lines.iter().take(if index < limit { 8 } else { 3 }) {
            text.push_str(&format!("      ! {}\n", line.chars().take(900).collect::<String>()));
        }
        if let Some(out) = out {
            let trace: Vec<Value> = steps[..=found.step].to_vec();
            std::fs::create_dir_all(out).unwrap();
            let file = out.join(format!("{index:03}.json"));
            std::fs::write(file, json!({"scenario": signature, "steps": trace}).to_string()).unwrap();
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_answered_as_by_the_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let Some(traces) = support::shared_data("apiserver-traces") else { return };
    let plane = Plane::builder().controllers(false).build();
    let pair = Pair::new(plane.client(), server.client("admin").await);
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    pair.define(&read(&std::fs::read_to_string(traces.join("crds/widgets.json")).unwrap())).await;
    pair.define(&read(include_str!("support/writes/gadgets.json"))).await;
    let start = Instant::now();
    let seconds: Option<u64> = setting("").map(|text| text.parse().unwrap());
    let first: u64 = setting("_SEED").map_or(0, |text| text.parse().unwrap());
    let (compared, report) = match seconds {
        Some(seconds) => search(&pair, first.., start + Duration::from_secs(seconds)).await,
        None => {
            let seeds = (0..USUAL).filter(|seed| !KNOWN.contains(seed));
            search(&pair, seeds, start + Duration::from_secs(60)).await
        }
    };
    let different: usize = report.values().map(|(count, _, _)| count).sum();
    eprintln!(
        "{compared} sequences compared in {:.1} s, {different} differ in {} ways",
        start.elapsed().as_secs_f64(),
        report.len()
    );
    let empty = report.is_empty();
    let out = setting("_OUT");
    let shown = show(&pair, report, out.as_deref().map(Path::new)).await;
    assert!(empty, "{shown}");
}
