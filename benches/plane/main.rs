//! The plane against the real kube-apiserver with its etcd, in one run: server-side applies, watches, memory, start.
//!
//! Each server has processes of its own; one client, which sends requests that were made before, serves for both.
//! A ratio says how many times as good the plane is. Beside the rate, which this client and everything else on the
//! machine take part in, stands the processor time of the server for each request.
//!
//! `cargo bench --bench plane [-- applies|watches|memory|start]...`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a test that prints")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod client;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::{Address, Connection};
use target::Target;

const CONNECTIONS: [usize; 3] = [1, 8, 32];
const WATCHERS: usize = 100;
/// Changes that are watched: those that are told of one by one, and those that come as fast as they can.
const SLOW_CHANGES: usize = 100;
const FAST_CHANGES: usize = 500;
const STARTS: usize = 11;
/// How often the plane gets the updates that the real server gets once.
const ROUNDS: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether it starts.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |what: &str| asked.is_empty() || asked.iter().any(|asked| *asked == what);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("start") {
            start();
        }
        let Some(real) = Target::real() else { return };
        let plane = Target::plane();
        println!(
            "start to ready: plane {:.0?}, real {:.0?}, ratio {:.0}",
            plane.ready_after,
            real.ready_after,
            real.ready_after.as_secs_f64() / plane.ready_after.as_secs_f64()
        );
        if wanted("applies") {
            for connections in CONNECTIONS {
                applies(&plane, &real, connections).await;
            }
        }
        if wanted("watches") {
            watches(&plane, &real).await;
        }
        drop((plane, real));
        if wanted("memory") {
            memory().await;
        }
    });
}

/// How long a process and a server in this process take to be ready.
fn start() {
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let process = median((0..STARTS).map(|_| Target::plane().ready_after).collect());
    let inside = (0..STARTS).map(|_| {
        let begin = Instant::now();
        let plane = moin::plane::Plane::new();
        let time = begin.elapsed();
        drop(plane);
        time
    });
    let times: Vec<Duration> = inside.collect();
    println!(
        "start: process {process:.1?}, in this process {:.1?}, the first time {:.1?}",
        median(times.clone()),
        times[0]
    );
}

fn apply(address: &Address, namespace: &str, n: usize, value: &str) -> Vec<u8> {
    let body = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("m{n}"), "namespace": namespace,
            "labels": {"moin.scs.community/owner": "bench"}},
        "data": {"key": format!("{value} {n}"), "other": "x".repeat(200)}});
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/m{n}?fieldManager=bench&force=false");
    address.request("PATCH", &path, "application/apply-patch+yaml", &body.to_string())
}

async fn create_namespace(target: &Target, name: &str) {
    let body = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}"#);
    let request = target.address.request("POST", "/api/v1/namespaces", "application/json", &body);
    assert_eq!(target.address.connect().await.ask(&request).await, 201);
}

/// Sends the requests over so many connections; how long that takes and how much processor time of the server.
async fn send(target: &Target, connections: usize, requests: Vec<Vec<u8>>) -> (Duration, Duration) {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(target.address.connect().await);
    }
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let (begin, before) = (Instant::now(), target.processor_time());
    let senders = open.into_iter().map(|mut connection| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let status = connection.ask(request).await;
                assert!(matches!(status, 200 | 201), "{status}");
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    (begin.elapsed(), target.processor_time().saturating_sub(before))
}

async fn applies(plane: &Target, real: &Target, connections: usize) {
    let namespace = format!("applies-{connections}");
    let count = if connections == 1 { 600 } else { 1500 };
    for target in [plane, real] {
        create_namespace(target, &namespace).await;
    }
    for what in ["create", "update", "no-op"] {
        let mut rates = Vec::new();
        for target in [plane, real] {
            // What is fast is measured for longer, for the same number of requests would say little.
            let rounds = if target.name == "plane" && what != "create" { ROUNDS } else { 1 };
            let value = |round: usize| match what {
                "create" => "first".to_owned(),
                "update" => format!("second {round}"),
                _ => format!("second {}", if target.name == "plane" { ROUNDS - 1 } else { 0 }),
            };
            let each = (0..rounds).flat_map(|round| (0..count).map(move |n| (round, n)));
            let requests: Vec<Vec<u8>> =
                each.map(|(round, n)| apply(&target.address, &namespace, n, &value(round))).collect();
            let sent = requests.len() as f64;
            let (time, processor) = send(target, connections, requests).await;
            rates.push((sent / time.as_secs_f64(), processor.as_secs_f64() * 1e6 / sent));
        }
        let [(plane_rate, plane_cost), (real_rate, real_cost)] = rates[..] else { return };
        println!(
            "{what} on {connections}: plane {plane_rate:.0}/s, real {real_rate:.0}/s, ratio {:.1}; processor {plane_cost:.0} against {real_cost:.0} us, ratio {:.1}",
            plane_rate / real_rate,
            real_cost / plane_cost,
        );
    }
}

async fn watches(plane: &Target, real: &Target) {
    let mut results = Vec::new();
    for target in [plane, real] {
        create_namespace(target, "watched").await;
        results.push(watched(target).await);
    }
    let [plane, real] = &results[..] else { return };
    println!(
        "watch, {WATCHERS} watchers: plane {:.0} events/s, real {:.0} events/s, ratio {:.1}; processor {:.1} against {:.1} us an event",
        plane.rate,
        real.rate,
        plane.rate / real.rate,
        plane.cost,
        real.cost
    );
    println!(
        "watch, from the request to the last of {WATCHERS} watchers: plane {:.1?}, real {:.1?}, ratio {:.1}",
        plane.latency,
        real.latency,
        real.latency.as_secs_f64() / plane.latency.as_secs_f64()
    );
}

struct Watched {
    rate: f64,
    cost: f64,
    latency: Duration,
}

async fn watched(target: &Target) -> Watched {
    let address = &target.address;
    let mut writer = address.connect().await;
    let path = "/api/v1/namespaces/watched/configmaps?watch=true&timeoutSeconds=600";
    let request = address.request("GET", path, "application/json", "");
    let seen = Arc::new(AtomicUsize::new(0));
    let changed = Arc::new(tokio::sync::Notify::new());
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut connection = address.connect().await;
        connection.send(&request).await;
        let head = connection.head().await;
        connection.forget(head);
        let (seen, changed) = (seen.clone(), changed.clone());
        watchers.push(tokio::spawn(async move {
            loop {
                let events = connection.events().await;
                seen.fetch_add(events, Ordering::SeqCst);
                changed.notify_one();
            }
        }));
    }
    let all_saw = async |changes: usize| {
        while seen.load(Ordering::SeqCst) < changes * WATCHERS {
            changed.notified().await;
        }
    };
    let mut times = Vec::new();
    for n in 0..SLOW_CHANGES {
        let request = apply(address, "watched", 0, &format!("value {n}"));
        let begin = Instant::now();
        ask(&mut writer, &request).await;
        all_saw(n + 1).await;
        times.push(begin.elapsed());
    }
    times.sort();
    let requests: Vec<Vec<u8>> =
        (0..FAST_CHANGES).map(|n| apply(address, "watched", 0, &format!("fast {n}"))).collect();
    let (begin, before) = (Instant::now(), target.processor_time());
    for request in &requests {
        ask(&mut writer, request).await;
    }
    all_saw(SLOW_CHANGES + FAST_CHANGES).await;
    let (time, processor) = (begin.elapsed(), target.processor_time().saturating_sub(before));
    watchers.iter().for_each(tokio::task::JoinHandle::abort);
    let events = (FAST_CHANGES * WATCHERS) as f64;
    Watched {
        rate: events / time.as_secs_f64(),
        cost: processor.as_secs_f64() * 1e6 / events,
        latency: times[SLOW_CHANGES / 2],
    }
}

async fn ask(connection: &mut Connection, request: &[u8]) {
    let status = connection.ask(request).await;
    assert!(matches!(status, 200 | 201), "{status}");
}

/// Memory with nothing, 3,000, 10,000 and, of the plane, 100,000 objects.
async fn memory() {
    let Some(real) = Target::real() else { return };
    let plane = Target::plane();
    for target in [&plane, &real] {
        create_namespace(target, "memory").await;
    }
    let mut there = 0;
    for objects in [0, 3_000, 10_000] {
        for target in [&plane, &real] {
            let requests = (there..objects).map(|n| apply(&target.address, "memory", n, "value")).collect();
            send(target, 8, requests).await;
        }
        there = objects;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (ours, theirs) = (plane.memory(), real.memory());
        println!(
            "memory with {objects} objects: plane {ours:.0} MiB, real {theirs:.0} MiB, ratio {:.1}",
            theirs / ours
        );
    }
    drop(real);
    let requests = (there..100_000).map(|n| apply(&plane.address, "memory", n, "value")).collect();
    send(&plane, 8, requests).await;
    println!("memory with 100000 objects: plane {:.0} MiB", plane.memory());
}
