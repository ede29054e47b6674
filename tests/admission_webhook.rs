//! `moin run --webhook`, the built binary: the embedded API server and a real one ask it, while policies and
//! certificates change and while it is away.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use moin::plane::Plane;
use serde_json::json;
use support::eventually;
use support::moin::{Moin, Running};
use support::real_server::RealServer;
use support::repository::TestRepository;

const PATIENCE: Duration = Duration::from_secs(60);
const REGISTRATION: &str = "moin-policies";

fn policy(action: &str) -> String {
    format!(
        r#"apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: owners}}
spec:
  validationFailureAction: {action}
  rules:
    - name: has-owner
      match: {{any: [{{resources: {{kinds: [ConfigMap]}}}}]}}
      exclude: {{any: [{{resources: {{names: [kube-root-ca.crt]}}}}]}}
      validate:
        message: "say who it belongs to"
        pattern: {{metadata: {{labels: {{owner: "?*"}}}}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: tags}}
spec:
  rules:
    - name: tag
      match: {{any: [{{resources: {{kinds: [ConfigMap], selector: {{matchLabels: {{owner: "*"}}}}}}}}]}}
      mutate: {{patchStrategicMerge: {{metadata: {{labels: {{+(tag): made}}}}}}}}
"#
    )
}

struct Story {
    moin: Moin,
    repository: TestRepository,
    kubeconfig: String,
    cache: tempfile::TempDir,
    port: u16,
    /// Somebody else than moin.
    client: kube::Client,
}

impl Story {
    fn new(kubeconfig: String, client: kube::Client) -> Story {
        let repository = TestRepository::new();
        let settings = "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: hooked}\nspec: {policies: [policies]}\n";
        repository.write("moin.yaml", settings).write("policies/owners.yaml", &policy("Enforce"));
        repository.write("map.yaml", &map("from-git", true));
        repository.commit("First");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cache = tempfile::tempdir().unwrap();
        Story { moin: Moin::new(), repository, kubeconfig, cache, port, client }
    }

    fn start(&self) -> Running {
        let listen = format!("127.0.0.1:{}", self.port);
        let (url, repository) = (format!("https://{listen}"), self.repository.url());
        let cache = self.cache.path().display().to_string();
        let args = [
            "run",
            "--repo",
            &repository,
            "--branch",
            "main",
            "--cache-dir",
            &cache,
            "--interval",
            "1s",
            "--kubeconfig",
            &self.kubeconfig,
            "--webhook",
            &listen,
            "--webhook-url",
            &url,
        ];
        self.moin.start(&args)
    }

    fn maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates a ConfigMap; what the API server says if it refuses.
    async fn create(&self, namespace: &str, name: &str, owned: bool) -> Result<ConfigMap, String> {
        let body: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": if owned { json!({"owner": "jo"}) } else { json!({}) }}}))
                .unwrap();
        self.maps(namespace).create(&PostParams::default(), &body).await.map_err(|error| error.to_string())
    }

    async fn bundle(&self) -> Option<String> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let hook = api.get_opt(REGISTRATION).await.unwrap()?.webhooks?.pop()?;
        Some(String::from_utf8(hook.client_config.ca_bundle?.0).unwrap())
    }

    async fn refuses(&self, name: &str) -> String {
        let refused = async || {
            let answer = self.create("default", name, false).await;
            if answer.is_ok() {
                self.maps("default").delete(name, &DeleteParams::default()).await.unwrap();
            }
            answer.err().filter(|message| message.contains("say who it belongs to"))
        };
        eventually("a refusal", PATIENCE, refused).await.0
    }
}

fn map(name: &str, owned: bool) -> String {
    let labels = if owned { ", labels: {owner: git}" } else { "" };
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default{labels}}}\n")
}

async fn tell(story: &Story) {
    let running = story.start();
    eventually("the registration", PATIENCE, async || story.bundle().await).await;
    let message = story.refuses("nobodys").await;
    assert!(
        message.contains("resource ConfigMap/default/nobodys was blocked due to the following policies"),
        "{message}"
    );
    assert!(message.contains("has-owner:"), "{message}");
    let made = story.create("default", "owned", true).await.unwrap();
    assert_eq!(made.metadata.labels.unwrap().get("tag").map(String::as_str), Some("made"), "it was changed");
    for namespace in ["kube-system", "moin-system"] {
        story.create(namespace, "unjudged", false).await.unwrap();
    }

    // Away: what it would judge is refused, the rest passes, and it comes back by itself with a new certificate.
    running.kill();
    let closed = story.create("default", "while-away", true).await.unwrap_err();
    assert!(closed.contains("failed calling webhook"), "{closed}");
    story.create("kube-system", "while-away", false).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(story.client.clone());
    let labelled = json!({"metadata": {"labels": {"other": "kind"}}});
    namespaces.patch("default", &PatchParams::default(), &Patch::Merge(&labelled)).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(story.client.clone(), "moin-system");
    let before = story.bundle().await.unwrap();
    let due = json!({"metadata": {"annotations": {"moin.scs.community/renew-after": "1",
        "moin.scs.community/renew-authority-after": "1"}}});
    secrets.patch("moin-webhook", &PatchParams::default(), &Patch::Merge(&due)).await.unwrap();
    story.repository.write("another.yaml", &map("another", true));
    story.repository.commit("Another");
    let running = story.start();
    let renewed = async || story.bundle().await.filter(|bundle| *bundle != before);
    let (bundle, _) = eventually("another authority", PATIENCE, renewed).await;
    assert!(
        bundle.ends_with(&before) && bundle.matches("BEGIN CERTIFICATE").count() == 2,
        "both are trusted"
    );
    let own = async || story.maps("default").get_opt("another").await.unwrap();
    eventually("moin's own write", PATIENCE, own).await;
    story.refuses("still-nobodys").await;
    let hooks: Api<MutatingWebhookConfiguration> = Api::all(story.client.clone());
    let mutating = hooks.get(REGISTRATION).await.unwrap().webhooks.unwrap().pop().unwrap();
    assert_eq!(
        mutating.client_config.ca_bundle.map(|bytes| STANDARD.encode(bytes.0)),
        Some(STANDARD.encode(&bundle))
    );

    // Other policies, without a restart.
    story.repository.write("policies/owners.yaml", &policy("Audit"));
    story.repository.commit("Only report");
    let allowed = async || story.create("default", "reported", false).await.ok();
    eventually("what is only reported passes", PATIENCE, allowed).await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_api_server_asks_it() {
    let plane = Plane::new();
    let serving = plane.serve("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, plane.kubeconfig(serving.url())).unwrap();
    tell(&Story::new(kubeconfig.display().to_string(), plane.client_as("somebody", &["system:masters"])))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_api_server_asks_it() {
    let Some(server) = RealServer::start() else { return };
    tell(&Story::new(server.kubeconfig("moin").display().to_string(), server.plain_client("someone").await))
        .await;
}
