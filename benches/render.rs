//! Renders and reviews 10,000 objects in 10,000 files, then a commit that changes one of them: the second must cost a
//! few per cent of the first. Prints both and their ratio.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a test that prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use moin::model::{File, Revision, Snapshot};
use moin::render::{LiveTriggers, RenderOptions, Renderer};
use moin::review::{Reviewer, Surroundings};

const OBJECTS: usize = 10_000;
const ROUNDS: usize = 5;

const POLICY: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: bench}
spec:
  validationFailureAction: Enforce
  rules:
  - name: team
    match: {any: [{resources: {kinds: [Deployment]}}]}
    validate:
      message: a team is needed
      pattern: {metadata: {labels: {team: '?*'}}}
";

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut snapshot = Snapshot { revision: Revision::new("folder:bench"), files: Default::default() };
    put(&mut snapshot, "policies/team.yaml", POLICY.to_owned());
    for number in 0..OBJECTS {
        put(&mut snapshot, &path_of(number), deployment(number, 1));
    }
    let (mut all, mut one) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut renderer = Renderer::default();
        let mut reviewer = Reviewer::default();
        all.push(once(&snapshot, &mut renderer, &mut reviewer));
        put(&mut snapshot, &path_of(round), deployment(round, round + 2));
        one.push(once(&snapshot, &mut renderer, &mut reviewer));
    }
    let (all, one) = (median(all), median(one));
    let share = 100.0 * one.as_secs_f64() / all.as_secs_f64();
    println!("{OBJECTS} objects: {all:?}; a commit of one file: {one:?} ({share:.1} %)");
}

fn once(snapshot: &Snapshot, renderer: &mut Renderer, reviewer: &mut Reviewer) -> Duration {
    let start = Instant::now();
    let rendered = renderer.render(snapshot, &RenderOptions::default(), &LiveTriggers::none());
    let review = reviewer.review(&rendered, &Surroundings::none());
    assert_eq!(review.admitted.manifests().len(), OBJECTS + 1);
    start.elapsed()
}

fn path_of(number: usize) -> String {
    format!("apps/{}/{number}.yaml", number % 100)
}

fn put(snapshot: &mut Snapshot, path: &str, text: String) {
    use sha2::Digest as _;
    let id: String = sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = File { id: id.into(), bytes: Arc::from(text.into_bytes()) };
    snapshot.files.insert(path.parse().unwrap(), file);
}

fn deployment(number: usize, replicas: usize) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{number}
  namespace: ns-{}
  labels: {{app: app-{number}, team: blue}}
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: app-{number}}}
  template:
    metadata:
      labels: {{app: app-{number}}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app:1.2.3
        ports:
        - containerPort: 8080
        resources:
          requests: {{cpu: 100m, memory: 64Mi}}
",
        number % 50
    )
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
