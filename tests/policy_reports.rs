//! What policies say, as reports in the cluster: the built binary against the embedded API server and a real one.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use moin::plane::Plane;
use serde_json::{Value, json};
use support::eventually;
use support::moin::{Moin, Running};
use support::real_server::RealServer;
use support::repository::TestRepository;

const PATIENCE: Duration = Duration::from_secs(60);
const WORKING_GROUP: (&str, &str, [&str; 2]) =
    ("wgpolicyk8s.io", "v1alpha2", ["PolicyReport", "ClusterPolicyReport"]);
const SUCCESSOR: (&str, &str, [&str; 2]) = ("openreports.io", "v1alpha1", ["Report", "ClusterReport"]);

const POLICY: &str = r#"apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: colors
  annotations: {policies.kyverno.io/severity: high, policies.kyverno.io/category: Looks}
spec:
  validationFailureAction: Audit
  rules:
    - name: not-red
      match: {any: [{resources: {kinds: [ConfigMap, Secret]}}]}
      validate: {message: "red {{ request.object.data.color }}", pattern: {=(data): {=(color): "!red & !cmVk"}}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: short-names}
spec:
  validationActions: [Audit]
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [namespaces], operations: [CREATE]}]}
  validations: [{expression: object.metadata.name.size() < 5, message: the name is long}]
"#;

fn map(name: &str, color: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: team-a}}\ndata: {{color: {color}}}\n"
    )
}

fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}

/// A definition with what reports of both groups have in common.
fn definition(group: &str, version: &str, kind: &str) -> Value {
    let text = json!({"type": "string"});
    let reference = json!({"type": "object", "properties": {
        "apiVersion": text, "kind": text, "namespace": text, "name": text, "uid": text}});
    let time = json!({"type": "object", "required": ["nanos", "seconds"], "properties": {
        "nanos": {"type": "integer", "format": "int32"}, "seconds": {"type": "integer", "format": "int64"}}});
    let result = json!({"type": "object", "required": ["policy"], "properties": {
        "policy": text, "rule": text, "message": text, "source": text, "category": text, "scored": {"type": "boolean"},
        "result": {"type": "string", "enum": ["pass", "fail", "warn", "error", "skip"]},
        "severity": {"type": "string", "enum": ["critical", "high", "low", "medium", "info"]},
        "resources": {"type": "array", "items": reference}, "timestamp": time}});
    let counts =
        ["pass", "fail", "warn", "error", "skip"].map(|word| (word.to_owned(), json!({"type": "integer"})));
    let counts: serde_json::Map<String, Value> = counts.into_iter().collect();
    let schema = json!({"type": "object", "properties": {"apiVersion": text, "kind": text, "metadata": {"type": "object"},
        "results": {"type": "array", "items": result}, "summary": {"type": "object", "properties": counts}}});
    let scope = if kind.starts_with("Cluster") { "Cluster" } else { "Namespaced" };
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{group}", plural(kind))},
        "spec": {"group": group, "scope": scope,
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural(kind), "singular": kind.to_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

struct Story {
    moin: Moin,
    repository: TestRepository,
    kubeconfig: String,
    cache: tempfile::TempDir,
    client: kube::Client,
    kinds: (&'static str, &'static str, [&'static str; 2]),
}

impl Story {
    fn new(
        kubeconfig: String,
        client: kube::Client,
        kinds: (&'static str, &'static str, [&'static str; 2]),
    ) -> Story {
        let repository = TestRepository::new();
        repository.write("policies/all.yaml", POLICY);
        repository.write("team-a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a}\n");
        repository.write("red.yaml", &map("red", "red")).write("blue.yaml", &map("blue", "blue"));
        let secret =
            "apiVersion: v1\nkind: Secret\nmetadata: {name: red, namespace: team-a}\ndata: {color: cmVk}\n";
        repository.write("secret.yaml", secret);
        let story = Story {
            moin: Moin::new(),
            repository,
            kubeconfig,
            cache: tempfile::tempdir().unwrap(),
            client,
            kinds,
        };
        story.settings("policyReports: true");
        story.repository.commit("First");
        story
    }

    fn settings(&self, more: &str) {
        let head = "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: told}\n";
        self.repository.write("moin.yaml", &format!("{head}spec: {{policies: [policies], {more}}}\n"));
    }

    fn args(&self, command: &[&str]) -> Vec<String> {
        let (repository, cache) = (self.repository.url(), self.cache.path().display().to_string());
        let rest = [
            "--repo",
            &repository,
            "--branch",
            "main",
            "--cache-dir",
            &cache,
            "--kubeconfig",
            &self.kubeconfig,
        ];
        command.iter().chain(&rest).map(|arg| (*arg).to_owned()).collect()
    }

    fn start(&self) -> Running {
        self.moin.start(&self.args(&["run", "--interval", "1s"]))
    }

    async fn define(&self) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        ));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let (group, version, kinds) = self.kinds;
        for kind in kinds {
            let body = definition(group, version, kind);
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&body)).await.unwrap();
        }
    }

    /// The report of a namespace, or of what has none.
    async fn report(&self, namespace: Option<&str>) -> Option<Value> {
        let (group, version, [namespaced, cluster]) = self.kinds;
        let of = |kind| {
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural(kind))
        };
        let api: Api<DynamicObject> = match namespace {
            Some(name) => Api::namespaced_with(self.client.clone(), name, &of(namespaced)),
            None => Api::all_with(self.client.clone(), &of(cluster)),
        };
        api.get_opt("moin-told").await.ok()?.map(|object| serde_json::to_value(object).unwrap())
    }

    async fn once_it_says(&self, namespace: Option<&str>, what: impl Fn(&Value) -> bool) -> Value {
        let says = async || self.report(namespace).await.filter(&what);
        eventually("a report", PATIENCE, says).await.0
    }

    async fn get(
        &self,
        kind: &str,
        group: &str,
        version: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        api.get_opt(name).await.ok()?.map(|object| serde_json::to_value(object).unwrap())
    }

    async fn status(&self) -> Option<Value> {
        self.get("Reconciliation", "moin.scs.community", "v1alpha1", "moin-system", "told").await
    }
}

fn version(report: &Value) -> &Value {
    &report["metadata"]["resourceVersion"]
}

async fn tell(story: &Story) {
    let running = story.start();
    let missing = async || {
        let status = story.status().await?;
        status["status"]["findings"].to_string().contains("MOIN-0814").then_some(())
    };
    eventually("that nobody takes reports", PATIENCE, missing).await;
    story.define().await;

    // As soon as somebody takes them, they are there, sorted, with what each policy says of itself.
    let report = story.once_it_says(Some("team-a"), |report| report["summary"]["fail"] == 2).await;
    let rows: Vec<Value> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([row["resources"][0]["kind"], row["resources"][0]["name"], row["rule"], row["result"]])
        })
        .collect();
    assert_eq!(
        rows,
        [
            json!(["ConfigMap", "blue", "not-red", "pass"]),
            json!(["ConfigMap", "red", "not-red", "fail"]),
            json!(["Secret", "red", "not-red", "fail"])
        ]
    );
    let [_, red, secret] = &report["results"].as_array().unwrap()[..] else { panic!("three results") };
    assert_eq!(
        [&red["severity"], &red["category"], &red["source"], &red["policy"]],
        ["high", "Looks", "moin", "colors"]
    );
    assert!(red["message"].as_str().unwrap().contains("red red") && red["timestamp"]["seconds"].is_i64());
    assert!(!secret["message"].as_str().unwrap().contains("cmVk"), "{secret}");
    let of_cluster = story.once_it_says(None, |report| report["summary"]["fail"] == 1).await;
    assert_eq!(of_cluster["results"][0]["policy"], "short-names");
    assert_eq!(
        of_cluster["results"][0]["resources"],
        json!([{"apiVersion": "v1", "kind": "Namespace", "name": "team-a"}])
    );

    // A commit about other things writes no report.
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: other, namespace: team-a}\n";
    story.repository.write("other.yaml", account);
    story.repository.commit("Another matter");
    let there = async || story.get("ServiceAccount", "", "v1", "team-a", "other").await;
    eventually("another commit", PATIENCE, there).await;

    // One result changes: one report is written, and the times of the others stay.
    story.repository.write("red.yaml", &map("red", "green"));
    story.repository.commit("Green");
    let green = story.once_it_says(Some("team-a"), |report| report["summary"]["fail"] == 1).await;
    assert_eq!(green["results"][0], report["results"][0]);
    assert_eq!(green["results"][2], report["results"][2]);
    running.terminate(PATIENCE);

    // A restart writes nothing, neither does a pass.
    let pass = story.moin.run(&story.args(&["run", "--once"]));
    assert_eq!(pass.code, Some(0), "{}", pass.said());
    assert_eq!(version(&story.report(Some("team-a")).await.unwrap()), version(&green));
    assert_eq!(version(&story.report(None).await.unwrap()), version(&of_cluster));

    // Nothing to report, or nobody asks: they go.
    story.settings("policyReports: false");
    story.repository.commit("No reports");
    let pass = story.moin.run(&story.args(&["run", "--once"]));
    assert_eq!(pass.code, Some(0), "{}", pass.said());
    assert!(story.report(Some("team-a")).await.is_none() && story.report(None).await.is_none());

    // Nothing said: reports, for somebody takes them. They go with moin.
    story.settings("adoption: never");
    story.repository.commit("As it comes");
    let pass = story.moin.run(&story.args(&["run", "--once"]));
    assert_eq!(pass.code, Some(0), "{}", pass.said());
    assert!(story.report(Some("team-a")).await.is_some() && story.report(None).await.is_some());
    let gone = story.moin.run(&["uninstall", "--yes", "--kubeconfig", &story.kubeconfig]);
    assert_eq!(gone.code, Some(0), "{}", gone.said());
    assert!(story.report(Some("team-a")).await.is_none() && story.report(None).await.is_none());
    assert!(story.get("ConfigMap", "", "v1", "team-a", "red").await.is_some(), "what was applied stays");
}

async fn on_the_plane(kinds: (&'static str, &'static str, [&'static str; 2])) {
    let plane = Plane::new();
    let serving = plane.serve("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, plane.kubeconfig(serving.url())).unwrap();
    let client = plane.client_as("somebody", &["system:masters"]);
    tell(&Story::new(kubeconfig.display().to_string(), client, kinds)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_the_working_group() {
    on_the_plane(WORKING_GROUP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_their_successor() {
    on_the_plane(SUCCESSOR).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_in_a_real_cluster() {
    let Some(server) = RealServer::start() else { return };
    let client = server.plain_client("someone").await;
    tell(&Story::new(server.kubeconfig("moin").display().to_string(), client, WORKING_GROUP)).await;
    // The whole story asks for no more writes than it tells of: two reports, one of them changed, both gone, and anew.
    let writes = server.audit();
    let writes = writes.iter().filter(|event| {
        let about = event.object_ref.as_ref().is_some_and(|about| about.api_group == WORKING_GROUP.0);
        about && event.is_write() && event.stage == "ResponseComplete"
    });
    let of = |verb: &str| writes.clone().filter(|event| event.verb == verb).count();
    assert!(
        (5..=6).contains(&of("patch")),
        "{:#?}",
        writes.clone().map(|event| &event.uri).collect::<Vec<_>>()
    );
    assert_eq!(of("delete"), 4);
}
