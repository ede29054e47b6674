//! A repository, an embedded API server and daemons between them: what the scenarios are told with.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::await_condition;
use moin::cluster::Cluster;
use moin::daemon::{Daemon, DaemonError, Ended};
use moin::finding::{Code, Finding};
use moin::model::SYSTEM_NAMESPACE;
use moin::plane::{Plane, RequestRecord, Serving};
use moin::render::RenderOptions;
use moin::source::{Place, Reference, Source, SourceSettings};
use moin::web::Probes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::repository::TestRepository;

/// The owner name of every scenario.
pub const OWNER: &str = "test";
/// Nothing that is waited for may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A kind by its apiVersion, kind and plural.
pub type Kind = (&'static str, &'static str, &'static str);
/// ConfigMaps.
pub const CONFIG_MAP: Kind = ("v1", "ConfigMap", "configmaps");
/// Secrets.
pub const SECRET: Kind = ("v1", "Secret", "secrets");
/// Namespaces.
pub const NAMESPACE: Kind = ("v1", "Namespace", "namespaces");
/// Events.
pub const EVENT: Kind = ("events.k8s.io/v1", "Event", "events");
/// Leases.
pub const LEASE: Kind = ("coordination.k8s.io/v1", "Lease", "leases");
/// Definitions.
pub const CRD: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions");
/// Flux's releases.
pub const HELM_RELEASE: Kind = ("helm.toolkit.fluxcd.io/v2", "HelmRelease", "helmreleases");
/// moin's own status.
pub const RECONCILIATION: Kind = ("moin.scs.community/v1alpha1", "Reconciliation", "reconciliations");

/// A repository and an API server.
pub struct Scenario {
    /// The API server.
    pub plane: Plane,
    /// The repository.
    pub repository: TestRepository,
    cache: tempfile::TempDir,
    daemons: AtomicUsize,
    path: &'static str,
    request_timeout: Duration,
}

/// A daemon that runs until it is stopped.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<Ended, DaemonError>>,
}

impl Scenario {
    /// An empty repository that calls itself [`OWNER`], and an API server with nothing in it.
    pub fn new() -> Scenario {
        let repository = TestRepository::new();
        repository.write("moin.yaml", &settings(""));
        Scenario {
            plane: Plane::new(),
            repository,
            cache: tempfile::tempdir().unwrap(),
            daemons: AtomicUsize::new(0),
            path: "",
            request_timeout: Duration::from_secs(30),
        }
    }

    /// One whose first commit holds these files.
    pub fn with(files: &[(&str, String)]) -> Scenario {
        let scenario = Scenario::new();
        scenario.commit(files);
        scenario
    }

    /// Renders this folder of the repository.
    pub fn in_folder(mut self, path: &'static str) -> Scenario {
        self.path = path;
        self
    }

    /// Gives requests up after this long.
    pub fn impatient(mut self, timeout: Duration) -> Scenario {
        self.request_timeout = timeout;
        self
    }

    /// Commits these files beside what is there; the commit's id.
    pub fn commit(&self, files: &[(&str, String)]) -> String {
        for (file, text) in files {
            self.repository.write(file, text);
        }
        self.repository.commit("Change")
    }

    fn daemon(&self, client: kube::Client, once: Option<Duration>, stop: CancellationToken) -> Daemon {
        let number = self.daemons.fetch_add(1, Ordering::SeqCst);
        let place = Place::Git {
            url: self.repository.url().parse().unwrap(),
            reference: Reference::Branch("main".to_owned()),
        };
        let settings = SourceSettings::new(place, self.cache.path().join(number.to_string()));
        Daemon {
            cluster: Cluster::from_client(client).with_timeout(self.request_timeout),
            source: Source::open(&settings).unwrap(),
            source_url: self.repository.url(),
            render: RenderOptions {
                path: self.path.parse().unwrap(),
                owner: Some(OWNER.to_owned()),
                ..RenderOptions::default()
            },
            once,
            interval: Duration::from_millis(200),
            observe: false,
            fetch_timeout: Duration::from_secs(10),
            probes: Probes::default(),
            stop,
        }
    }

    /// One pass.
    pub async fn once(&self) -> Ended {
        self.once_within(PATIENCE).await
    }

    /// One pass of at most this long.
    pub async fn once_within(&self, limit: Duration) -> Ended {
        self.daemon(self.plane.client(), Some(limit), CancellationToken::new()).run().await.unwrap()
    }

    /// One pass that must go well.
    pub async fn converges(&self) -> Ended {
        let ended = self.once().await;
        assert_eq!(ended.code, 0, "{:#?}", ended.report);
        ended
    }

    /// A daemon for ever.
    pub fn forever(&self) -> Running {
        self.forever_as(self.plane.client())
    }

    /// A daemon for ever that uses this client.
    pub fn forever_as(&self, client: kube::Client) -> Running {
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(self.daemon(client, None, stop.clone()).run()), stop }
    }

    /// A client of the server as this user, who may do what roles grant him.
    pub fn client_as(&self, user: &str) -> kube::Client {
        self.plane.client_as(user, &[])
    }

    /// Requests that nobody was allowed to make.
    pub fn refused(&self) -> Vec<RequestRecord> {
        self.plane.requests().into_iter().filter(|request| request.status == 403).collect()
    }

    /// A client of the server, and how often it wrote anything but a Lease.
    pub fn counted_client(&self) -> (kube::Client, Arc<AtomicUsize>) {
        let writes = Arc::new(AtomicUsize::new(0));
        let (router, counter) = (self.plane.router(), writes.clone());
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let is_lease = request.uri().path().contains("/leases");
            if request.method() != http::Method::GET && !is_lease {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            router.clone().oneshot(request.map(Body::new))
        });
        (kube::Client::new(service, "default"), writes)
    }

    /// Serves on a socket; a kubeconfig for it lies beside the caches.
    pub async fn serve(&self) -> (Serving, String) {
        let serving = self.plane.serve("127.0.0.1:0").await.unwrap();
        let file = self.cache.path().join("kubeconfig");
        std::fs::write(&file, self.plane.kubeconfig(serving.url())).unwrap();
        (serving, file.display().to_string())
    }

    /// Arguments of the binary that name this repository.
    pub fn source_args(&self) -> Vec<String> {
        let cache = self.cache.path().join("binary").display().to_string();
        let given = ["--repo", &self.repository.url(), "--branch", "main", "--cache-dir", &cache];
        given.map(str::to_owned).to_vec()
    }

    /// Objects of a kind; of all namespaces if none is named.
    pub fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = kind.0.split_once('/').unwrap_or(("", kind.0));
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.1), kind.2);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.plane.client(), namespace, &resource),
            None => Api::all_with(self.plane.client(), &resource),
        }
    }

    /// An object as it is now.
    pub async fn get(&self, kind: Kind, namespace: Option<&str>, name: &str) -> Option<Value> {
        let object = self.api(kind, namespace).get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(object).unwrap())
    }

    /// A ConfigMap in `default`.
    pub async fn map(&self, name: &str) -> Option<Value> {
        self.get(CONFIG_MAP, Some("default"), name).await
    }

    /// `data.key` of a ConfigMap in `default`.
    pub async fn value(&self, name: &str) -> Option<String> {
        self.map(name).await?["data"]["key"].as_str().map(str::to_owned)
    }

    /// uid of a ConfigMap in `default`.
    pub async fn uid(&self, name: &str) -> String {
        self.map(name).await.expect("it is there")["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// Waits until an object (or its absence) is as wanted.
    pub async fn until(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        wanted: impl Fn(Option<&Value>) -> bool + Clone,
    ) -> Option<Value> {
        let as_value = |object: Option<&DynamicObject>| object.map(|o| serde_json::to_value(o).unwrap());
        let condition = move |object: Option<&DynamicObject>| wanted(as_value(object).as_ref());
        let waited =
            tokio::time::timeout(PATIENCE, await_condition(self.api(kind, namespace), name, condition)).await;
        let Ok(found) = waited else {
            let now = self.get(kind, namespace, name).await;
            panic!("{kind:?} {name} has not become as wanted; it is {now:#?}")
        };
        as_value(found.unwrap().as_ref())
    }

    /// Waits until `data.key` of a ConfigMap in `default` is this.
    pub async fn until_value(&self, name: &str, value: &str) {
        let value = value.to_owned();
        let is = move |object: Option<&Value>| object.is_some_and(|map| map["data"]["key"] == value.as_str());
        self.until(CONFIG_MAP, Some("default"), name, is).await;
    }

    /// Waits until the Reconciliation is as wanted.
    pub async fn until_told(&self, wanted: impl Fn(&Value) -> bool + Clone) -> Value {
        let served = |object: Option<&Value>| {
            object.is_some_and(|crd| condition(&crd["status"], "Established") == Some("True"))
        };
        self.until(CRD, None, "reconciliations.moin.scs.community", served).await;
        let told = move |object: Option<&Value>| object.is_some_and(|it| wanted(&it["status"]));
        let told = self.until(RECONCILIATION, Some(SYSTEM_NAMESPACE), OWNER, told).await;
        told.unwrap()["status"].clone()
    }

    /// Waits until this commit is applied and all is well.
    pub async fn until_applied(&self, commit: &str) -> Value {
        let commit = commit.to_owned();
        self.until_told(move |status| {
            status["appliedRevision"] == commit.as_str() && condition(status, "Ready") == Some("True")
        })
        .await
    }

    /// Waits until a finding of this kind is told.
    pub async fn until_found(&self, code: Code) -> Value {
        let status = self.until_told(move |status| told_finding(status, code).is_some()).await;
        told_finding(&status, code).unwrap()
    }

    /// Approves something beside git.
    pub async fn approve(&self, approval: Value) {
        let patch = json!({"spec": {"approvals": [approval]}});
        let api = self.api(RECONCILIATION, Some(SYSTEM_NAMESPACE));
        api.patch(OWNER, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Applies an object as another manager would, by force.
    pub async fn somebody_applies(&self, manager: &str, kind: Kind, object: Value) {
        let namespace = object["metadata"]["namespace"].as_str();
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply(manager).force();
        self.api(kind, namespace).patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }

    /// Deletes an object behind moin's back.
    pub async fn somebody_deletes(&self, kind: Kind, namespace: Option<&str>, name: &str) {
        self.api(kind, namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The resourceVersion of each object of a kind.
    pub async fn versions(&self, kind: Kind) -> BTreeMap<String, Option<String>> {
        let all = self.api(kind, None).list(&ListParams::default()).await.unwrap();
        all.into_iter()
            .map(|object| {
                let place = object.metadata.namespace.unwrap_or_default();
                let name = format!("{place}/{}", object.metadata.name.unwrap_or_default());
                (name, object.metadata.resource_version)
            })
            .collect()
    }

    /// Writes that came in, other than to Leases, and dry runs.
    pub fn writes(&self) -> Vec<RequestRecord> {
        let writes = self.plane.requests().into_iter().filter(RequestRecord::is_write);
        writes.filter(|it| !it.path.contains("/leases") && !it.query.contains("dryRun")).collect()
    }

    /// Deletions that came in.
    pub fn deletions(&self) -> Vec<String> {
        self.writes().into_iter().filter(|it| it.method == "DELETE").map(|it| it.path).collect()
    }
}

impl Running {
    /// Stops it and waits for its end.
    pub async fn stop(self) -> Ended {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap()
    }
}

/// `moin.yaml` of [`OWNER`], with these lines (indented by two) in its spec.
pub fn settings(spec: &str) -> String {
    let spec = if spec.is_empty() { String::new() } else { format!("spec:\n{spec}\n") };
    format!("apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata:\n  name: {OWNER}\n{spec}")
}

/// A ConfigMap in `default` with one value.
pub fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: default\ndata:\n  key: {value:?}\n"
    )
}

/// A namespace.
pub fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n")
}

/// A definition of a namespaced kind that takes everything; its plural is the kind in lower case with an s.
pub fn crd(group: &str, version: &str, kind: &str, short_name: &str) -> Value {
    let singular = kind.to_lowercase();
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": format!("{singular}s"),
                "singular": singular, "shortNames": [short_name]},
            "versions": [{"name": version, "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}}}],
        },
    })
}

/// The status of a condition.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|it| it["type"] == kind)?["status"].as_str()
}

/// A finding in the status of a Reconciliation.
pub fn told_finding(status: &Value, code: Code) -> Option<Value> {
    let findings = status["findings"].as_array()?;
    findings.iter().find(|finding| finding["code"] == code.to_string()).cloned()
}

/// The finding of a kind about an object (or any, if that is empty).
///
/// # Panics
/// When there is none.
pub fn finding<'a>(ended: &'a Ended, code: Code, object: &str) -> &'a Finding {
    let findings = &ended.report.findings;
    let about =
        |it: &&Finding| object.is_empty() || it.object.as_ref().is_some_and(|id| id.to_string() == object);
    let found = findings.iter().find(|it| it.code == code && about(it));
    found.unwrap_or_else(|| panic!("no {code:?} about {object:?} in {findings:#?}"))
}

/// `FILE:LINE` of a finding.
pub fn place(finding: &Finding) -> String {
    finding.location.as_ref().map(|at| format!("{}:{}", at.file, at.line)).unwrap_or_default()
}

/// Fails with all of `what` unless it holds.
#[track_caller]
pub fn holds(claim: bool, what: &impl Debug) {
    assert!(claim, "{what:#?}");
}
