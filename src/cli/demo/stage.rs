//! The demo's parts, set up and taken down, and waiting for what they say.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::wait::await_condition;
use serde_json::Value;

use super::super::BoxError;
use super::management::{Management, kind};
use super::repository::DemoRepository;
use crate::model::SYSTEM_NAMESPACE;
use crate::sim::Cloud;

/// How long anything in the demo may take at most, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(180);
/// The owner name of the example: its Reconciliation is called so.
pub const OWNER: &str = "example";
/// The management clusters of the example.
const NAMES: [&str; 2] = ["mgmt1", "mgmt2"];

/// Everything that runs.
pub struct Stage {
    /// The management clusters, `mgmt1` first.
    pub managements: Vec<Management>,
    /// The configuration repository.
    pub repository: DemoRepository,
    /// Where the workload clusters are.
    pub cloud: Cloud,
    folder: PathBuf,
    pace: Duration,
}

/// Which object is waited for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub kind: &'a ApiResource,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

impl Stage {
    /// Set up everything in this folder; the daemons begin.
    pub async fn set(folder: &Path, pace: Duration) -> Result<Stage, BoxError> {
        let repository = DemoRepository::create(&folder.join("moin-cluster-config"))?;
        let cloud = Cloud::default();
        let mut managements = Vec::new();
        for name in NAMES {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            managements.push(Management::raise(name, folder, address).await?);
        }
        let mut stage = Stage { managements, repository, cloud, folder: folder.to_owned(), pace };
        stage.introduce_all().await?;
        for management in &mut stage.managements {
            management.start_operators(&stage.cloud, pace).await?;
            management.start_daemon(&stage.repository).await?;
        }
        Ok(stage)
    }

    /// Each management cluster holds the Secrets that lead to the others.
    async fn introduce_all(&self) -> Result<(), BoxError> {
        for (here, management) in self.managements.iter().enumerate() {
            for (there, peer) in self.managements.iter().enumerate() {
                if here != there {
                    management.learns_of(peer).await?;
                }
            }
        }
        Ok(())
    }

    /// A management cluster is lost with everything in it, and an empty one stands in its place; no daemon runs there.
    pub async fn lose(&mut self, on: usize) -> Result<(), BoxError> {
        let Management { name, address, .. } = self.managements[on];
        self.managements[on].cut().await;
        self.managements[on] = Management::raise(name, &self.folder, address).await?;
        self.managements[on].start_operators(&self.cloud, self.pace).await?;
        self.introduce_all().await
    }

    /// The daemon of a management cluster begins again.
    pub async fn revive(&mut self, on: usize) -> Result<(), BoxError> {
        self.managements[on].start_daemon(&self.repository).await
    }

    /// Wait until a management cluster has all of this commit, applied and healthy.
    pub async fn applied(&self, on: usize, commit: &str) -> Result<(), BoxError> {
        let what = format!("commit {} to be applied and healthy", &commit[..7.min(commit.len())]);
        self.reported(on, &what, |status| status["appliedRevision"] == commit && is_true(status, "Ready"))
            .await
    }

    /// Wait until all management clusters have it.
    pub async fn applied_everywhere(&self, commit: &str) -> Result<(), BoxError> {
        for on in 0..self.managements.len() {
            self.applied(on, commit).await?;
        }
        Ok(())
    }

    /// Wait until the lease of a management cluster is held by the daemon of this one.
    pub async fn held_by(&self, on: usize, holder: &str) -> Result<(), BoxError> {
        let lease = Wanted {
            kind: &kind("coordination.k8s.io/v1", "Lease"),
            namespace: Some(SYSTEM_NAMESPACE),
            name: &format!("moin-{OWNER}"),
        };
        let prefix = format!("{holder}_");
        let holds = |lease: &DynamicObject| {
            lease.data["spec"]["holderIdentity"].as_str().is_some_and(|it| it.starts_with(&prefix))
        };
        let what = format!("the daemon of {holder} to hold the lease");
        self.until(on, lease, &what, |lease| lease.is_some_and(holds)).await
    }

    /// Wait until the status that the daemon reports is as wanted.
    pub async fn reported(
        &self,
        on: usize,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<(), BoxError> {
        let reconciliation = Wanted {
            kind: &kind("moin.scs.community/v1alpha1", "Reconciliation"),
            namespace: Some(SYSTEM_NAMESPACE),
            name: OWNER,
        };
        self.until(on, reconciliation, what, |it| it.is_some_and(|it| wanted(&it.data["status"]))).await
    }

    /// Wait until the report has a finding of this code in which all of these texts occur.
    pub async fn found(&self, on: usize, code: &str, texts: &[&str]) -> Result<(), BoxError> {
        let says = |finding: &Value| {
            let text = finding.to_string();
            finding["code"] == code && texts.iter().all(|part| text.contains(part))
        };
        let what = format!("a finding {code} that says {}", texts.join(" and "));
        self.reported(on, &what, |status| status["findings"].as_array().into_iter().flatten().any(says)).await
    }

    /// Wait until an object is as wanted; `None` while it does not exist.
    pub async fn until(
        &self,
        on: usize,
        object: Wanted<'_>,
        what: &str,
        wanted: impl Fn(Option<&DynamicObject>) -> bool,
    ) -> Result<(), BoxError> {
        let management = &self.managements[on];
        let api = management.api(object.kind, object.namespace);
        let met = async {
            // A kind that is not served yet ends the watch with an error; it begins again.
            while await_condition(api.clone(), object.name, &wanted).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, met).await.is_ok() {
            return Ok(());
        }
        let daemon = if management.has_no_daemon() { "; its daemon has ended" } else { "" };
        let last = match api.get_opt(object.name).await {
            Ok(Some(it)) => crate::yaml::write(&it.data["status"]),
            Ok(None) => "it does not exist".to_owned(),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let (kind, name, on) = (&object.kind.kind, object.name, management.name);
        Err(format!(
            "waited {PATIENCE:?} in vain on {on} for {what}{daemon}\nlast state of {kind} {name}:\n{last}"
        )
        .into())
    }

    /// What there is, and what a person could do with it.
    pub fn what_to_try(&self) -> String {
        // Whoever came by `cargo run` has no `moin` in the PATH.
        let moin = std::env::current_exe().map_or("moin".to_owned(), |path| path.display().to_string());
        let servers = self.managements.iter().map(|it| format!("{} at https://{}", it.name, it.address));
        format!(
            "Two management clusters, {servers}: embedded API servers with simulated operators\n\
             (no machine runs, and a workload cluster is an API server without pods), and a daemon for each.\n\
             In another terminal:\n\n  \
             export KUBECONFIG={kubeconfig}     # or {other}\n  \
             alias moin={moin}\n  \
             moin status\n  \
             kubectl get clusters,clusterstacks,machines -A\n  \
             kubectl -n team-a get secret web-kubeconfig -o jsonpath={{.data.value}} | base64 -d > web.kubeconfig\n  \
             kubectl --kubeconfig web.kubeconfig get nodes\n\n  \
             kubectl create namespace playground-1            # a rule brings its ClusterStack\n  \
             kubectl -n team-a patch cluster web --type merge -p '{{\"spec\":{{\"topology\":{{\"controlPlane\":{{\"replicas\":1}}}}}}}}'\n\n  \
             cd {repository}\n  \
             moin tenant new team-c --cluster mgmt1 --set workload=api\n  \
             moin diff --cluster mgmt1                         # what would that do?\n  \
             git add . && git commit -m 'A new tenant'         # a second later it is done\n  \
             sed -i s/v1.34.2/v1.34.3/ tenants/mgmt1/team-a/web.yaml\n  \
             git commit -am 'A patch version'                  # machines roll, one at a time\n\n\
             Here: `stop mgmt1` kills its daemon (its peer stands in after 15 s), `start mgmt1` brings it back, `lose mgmt1` loses\n\
             the whole cluster (say what to do in moin.yaml, as moin status tells); Enter shows what happens, Ctrl-C ends it.",
            servers = servers.collect::<Vec<_>>().join(" and "),
            kubeconfig = self.managements[0].kubeconfig.display(),
            other = self.managements[1].kubeconfig.display(),
            repository = self.repository.folder().display(),
        )
    }

    /// Take everything down.
    pub async fn strike(self) -> Result<(), BoxError> {
        let mut result = Ok(());
        for management in self.managements {
            result = result.and(management.end().await);
        }
        self.cloud.close().await;
        result
    }
}

/// Whether a status has this condition.
pub fn is_true(status: &Value, kind: &str) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
}
