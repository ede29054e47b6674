//! Renders, reviews and plans 10,000 objects beside the example repository and under its policies: from nothing, after
//! a commit that changes one file, after a change of one live object, and when nothing changed. The last three must
//! cost a few per cent of the first.
//!
//! Prints a line for each, with the median and its share of the whole, and the memory that it took at most.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a test that prints")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads files and clocks")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moin::daemon::{Pipeline, Turn, rules_of};
use moin::model::{File, LiveObject, LiveState, Revision, Snapshot};
use moin::plan::{live_state_of, served_kinds};
use moin::render::RenderOptions;

/// Namespaces that the example's policies take for tenants; for each they generate four objects.
const TENANTS: usize = 400;
/// What stands in files of each tenant: 25 objects come to it with the namespace and what is generated.
const CLUSTERS: usize = 4;
const DEPLOYMENTS: usize = 6;
const CONFIG_MAPS: usize = 10;
const ROUNDS: usize = 5;
const NOW: &str = "2026-01-01T00:00:00Z";

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut snapshot = repository();
    let first = Bench::new().turn(&snapshot, &LiveState::default());
    let mut live = applied(&first);
    println!(
        "{} objects in {} files, {} findings",
        first.manifests.manifests.len(),
        snapshot.files.len(),
        first.findings.len()
    );
    drop(first);

    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        let mut bench = Bench::new();
        times[0].push(bench.timed(&snapshot, &live, 0));
        times[1].push(bench.timed(&snapshot, &live, 0));
        change_one(&mut live, round);
        times[2].push(bench.timed(&snapshot, &live, 0));
        put(&mut snapshot, &deployment_path(round), deployment(round, 0, round + 2));
        times[3].push(bench.timed(&snapshot, &live, 1));
        put(&mut snapshot, &deployment_path(round), deployment(round, 0, 1));
    }
    let names = ["from nothing", "nothing changed", "one live object", "a commit of one file"];
    let times = times.map(median);
    for (name, time) in names.iter().zip(times) {
        let share = 100.0 * time.as_secs_f64() / times[0].as_secs_f64();
        println!("{name:>21}: {:>8.1} ms  {share:>6.2} %", 1000.0 * time.as_secs_f64());
    }
    println!("at most {} of memory", peak_memory());
}

/// The daemon's pipeline, and what it calls applied.
struct Bench(Pipeline);

impl Bench {
    fn new() -> Bench {
        let cluster = Some("mgmt1".to_owned());
        Bench(Pipeline::new(RenderOptions { cluster, ..RenderOptions::default() }))
    }

    fn turn(&mut self, snapshot: &Snapshot, live: &LiveState) -> Turn {
        // As the watches hand out what they know.
        let live = live.clone();
        self.0.turn(snapshot, &live, |manifests| rules_of(manifests, &[]), NOW)
    }

    /// A turn that must come to so many writes.
    fn timed(&mut self, snapshot: &Snapshot, live: &LiveState, writes: usize) -> Duration {
        let start = Instant::now();
        let turn = self.turn(snapshot, live);
        let time = start.elapsed();
        assert_eq!(turn.plan.steps.iter().filter(|step| step.writes()).count(), writes);
        if writes == 0 {
            self.0.record_turn(&turn);
        }
        time
    }
}

/// The cluster after everything was applied.
fn applied(turn: &Turn) -> LiveState {
    let admitted: Vec<_> = turn.plan.steps.iter().map(|step| step.manifest.clone()).collect();
    let schemas = &turn.manifests.schemas;
    LiveState { kinds: served_kinds(&admitted, schemas), ..live_state_of(&admitted, schemas, NOW) }
}

/// The server tells of one object anew.
fn change_one(live: &mut LiveState, round: usize) {
    let name = format!("app-{round}-1");
    let (id, object) = live.objects.iter().find(|(id, _)| id.name() == name).unwrap();
    let mut body = (*object.body).clone();
    body["status"] = serde_json::json!({"observedGeneration": round});
    live.objects.insert(id.clone(), LiveObject::new(body));
}

fn repository() -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision::new("folder:bench"), files: Default::default() };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config");
    read_folder(&example, "", &mut snapshot);
    for tenant in 0..TENANTS {
        put(&mut snapshot, &format!("common/tenants/t{tenant}/namespace.yaml"), namespace(tenant));
        for n in 0..CLUSTERS {
            put(&mut snapshot, &format!("common/tenants/t{tenant}/cluster-{n}.yaml"), cluster(tenant, n));
        }
        for n in 0..DEPLOYMENTS {
            let path = format!("common/tenants/t{tenant}/app-{n}.yaml");
            put(&mut snapshot, &path, deployment(tenant, n, 1));
        }
        for n in 0..CONFIG_MAPS {
            put(&mut snapshot, &format!("common/tenants/t{tenant}/config-{n}.yaml"), config_map(tenant, n));
        }
    }
    snapshot
}

fn read_folder(folder: &Path, at: &str, snapshot: &mut Snapshot) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{at}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), snapshot);
        } else {
            put(snapshot, &path, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

fn put(snapshot: &mut Snapshot, path: &str, text: String) {
    use sha2::Digest as _;
    let id: String = sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = File { id: id.into(), bytes: Arc::from(text.into_bytes()) };
    snapshot.files.insert(path.parse().unwrap(), file);
}

fn namespace(tenant: usize) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: t{tenant}
  labels: {{scs.community/team: t{tenant}}}
"
    )
}

fn cluster(tenant: usize, n: usize) -> String {
    format!(
        "apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {{name: c{n}, namespace: t{tenant}}}
spec:
  clusterNetwork:
    pods: {{cidrBlocks: [192.168.0.0/16]}}
    services: {{cidrBlocks: [10.96.0.0/12]}}
  topology:
    classRef: {{name: openstack-scs2-1-34-v1}}
    version: v1.34.2
    controlPlane: {{replicas: 1}}
    workers:
      machineDeployments:
      - {{class: default-worker, name: general, replicas: 1}}
"
    )
}

fn deployment_path(tenant: usize) -> String {
    format!("common/tenants/t{tenant}/app-0.yaml")
}

fn deployment(tenant: usize, n: usize, replicas: usize) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{tenant}-{n}
  namespace: t{tenant}
  labels: {{app: app-{n}, team: blue}}
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: app-{n}}}
  template:
    metadata:
      labels: {{app: app-{n}}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app:1.2.3
        ports:
        - containerPort: 8080
        resources:
          requests: {{cpu: 100m, memory: 64Mi}}
"
    )
}

fn config_map(tenant: usize, n: usize) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: config-{n}, namespace: t{tenant}}}
data: {{key: value {n}, other: '{}'}}
",
        "x".repeat(200)
    )
}

/// The most memory that this process held, where the kernel tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kibibytes.map_or("an unknown amount".to_owned(), |kib| format!("{} MiB", kib / 1024))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
