//! Applies 1,000 objects to a real kube-apiserver: `moin run --once` against a bare HTTP client that sends the same
//! requests over 8 connections. Both are timed by the server's audit log, from the first of these requests to the last answer.
//!
//! Prints a line for each round and the median ratio; 1.0 means that nothing is lost between the repository and the wire.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a test that prints")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use support::audit::AuditEvent;
use support::moin::Moin;
use support::real_server::RealServer;
use support::repository::TestRepository;

const OBJECTS: usize = 1000;
const CONNECTIONS: usize = 8;
const ROUNDS: usize = 3;

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(server) = RealServer::start() else { return };
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let bare = send_bare(&server, &format!("bare-{round}")).await;
            let moin = run_moin(&server, &format!("moin-{round}"));
            let ratio = bare.as_secs_f64() / moin.as_secs_f64();
            let rate = |time: Duration| OBJECTS as f64 / time.as_secs_f64();
            println!("round {round}: bare {:.0}/s, moin {:.0}/s, ratio {ratio:.2}", rate(bare), rate(moin));
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        println!("median ratio {:.2}", ratios[ROUNDS / 2]);
    });
}

fn config_map(namespace: &str, n: usize) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("m{n}"), "namespace": namespace,
            "labels": {"moin.scs.community/owner": namespace}},
        "data": {"key": format!("value {n}"), "other": "x".repeat(200)}})
}

async fn send_bare(server: &RealServer, namespace: &str) -> Duration {
    server.kubectl("admin", &["create", "namespace", namespace]);
    let clients: Vec<kube::Client> =
        futures::future::join_all((0..CONNECTIONS).map(|_| server.client("someone"))).await;
    futures::stream::iter(0..OBJECTS)
        .for_each_concurrent(CONNECTIONS, |n| {
            let client = clients[n % CONNECTIONS].clone();
            let body = config_map(namespace, n).to_string().into_bytes();
            let path =
                format!("/api/v1/namespaces/{namespace}/configmaps/m{n}?fieldManager=bare&force=false");
            async move {
                let request = http::Request::patch(path)
                    .header("content-type", "application/apply-patch+yaml")
                    .body(body)
                    .unwrap();
                client.request_text(request).await.unwrap();
            }
        })
        .await;
    window(server, "someone", namespace)
}

fn run_moin(server: &RealServer, namespace: &str) -> Duration {
    let repository = TestRepository::new();
    repository
        .write(
            "moin.yaml",
            &format!(
                "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {{name: {namespace}}}\n"
            ),
        )
        .write(
            "namespace.yaml",
            &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"),
        );
    for n in 0..OBJECTS {
        repository.write(&format!("many/{n}.yaml"), &config_map(namespace, n).to_string());
    }
    repository.commit("Many");
    let kubeconfig = server.kubeconfig("moin").display().to_string();
    let url = repository.url();
    let run = Moin::new().run(&[
        "run",
        "--repo",
        &url,
        "--branch",
        "main",
        "--kubeconfig",
        &kubeconfig,
        "--once",
        "--timeout",
        "120s",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.said());
    window(server, "moin", namespace)
}

/// From the first request about ConfigMaps of this namespace to the last answer.
fn window(server: &RealServer, user: &str, namespace: &str) -> Duration {
    let about = |event: &&AuditEvent| {
        event.user.username == user
            && event.verb == "patch"
            && event
                .object_ref
                .as_ref()
                .is_some_and(|o| o.resource == "configmaps" && o.namespace == namespace)
    };
    let events = server.audit();
    let ours: Vec<&AuditEvent> = events.iter().filter(about).collect();
    assert!(ours.len() >= OBJECTS, "only {} requests", ours.len());
    let begin = ours.iter().map(|event| event.received()).min().unwrap();
    let end = ours.iter().map(|event| event.answered()).max().unwrap();
    Duration::try_from(end.duration_since(begin)).unwrap()
}
