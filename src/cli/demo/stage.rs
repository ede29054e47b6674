//! The demo's parts, set up and taken down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::BoxError;
use super::repository::DemoRepository;
use super::say;
use crate::cluster::Cluster;
use crate::daemon::{Daemon, DaemonError, Ended};
use crate::model::SYSTEM_NAMESPACE;
use crate::plane::{Plane, Serving, write_private};
use crate::render::RenderOptions;
use crate::sim;
use crate::source::{Place, Reference, Source, SourceSettings};
use crate::web::Probes;

/// How long anything in the demo may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that runs.
pub struct Stage {
    /// The embedded management cluster.
    pub plane: Plane,
    /// The configuration repository.
    pub repository: DemoRepository,
    serving: Serving,
    kubeconfig: PathBuf,
    stop: CancellationToken,
    daemon: JoinHandle<Result<Ended, DaemonError>>,
    operators: JoinHandle<()>,
}

impl Stage {
    /// Set up everything in this folder; the daemon begins.
    pub async fn set(folder: &Path) -> Result<Stage, BoxError> {
        let plane = Plane::builder().token(uuid::Uuid::new_v4().simple().to_string()).build();
        let serving = plane.serve("127.0.0.1:0").await?;
        let kubeconfig = folder.join("mgmt1.kubeconfig");
        write_private(&kubeconfig, &plane.kubeconfig(serving.url()))?;
        let repository = DemoRepository::create(&folder.join("moin-cluster-config"))?;
        say(&format!("mgmt1       an embedded API server at {}", serving.url()))?;
        say(&format!("repository  {} (branch main)", repository.folder().display()))?;
        say(
            "operators   simulated: Cluster API, ClusterStack operator, cert-manager and Helm only say that all is well",
        )?;
        let stop = CancellationToken::new();
        let operators = Cluster::connect(Some(&kubeconfig), None).await?;
        let operators = tokio::spawn(sim::run(operators, stop.clone()));
        let daemon = daemon(&repository, &kubeconfig, &folder.join("cache"), stop.clone()).await?;
        let daemon = tokio::spawn(daemon.run());
        Ok(Stage { plane, repository, serving, kubeconfig, stop, daemon, operators })
    }

    /// A client that is not the daemon's.
    pub fn client(&self) -> Client {
        self.plane.client()
    }

    /// Wait until the daemon says that everything is applied and healthy.
    pub async fn converged(&self) -> Result<(), BoxError> {
        self.reported("convergence", |status| condition_is_true(status, "Ready")).await
    }

    /// Wait until this commit is applied.
    pub async fn applied(&self, commit: &str) -> Result<(), BoxError> {
        self.reported("the commit to be applied", |status| {
            status["appliedRevision"] == commit && condition_is_true(status, "Ready")
        })
        .await
    }

    /// Wait until the status that the daemon reports is as wanted.
    pub async fn reported(
        &self,
        what: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<(), BoxError> {
        let gvk = GroupVersionKind::gvk("moin.scs.community", "v1alpha1", "Reconciliation");
        let resource = ApiResource::from_gvk(&gvk);
        self.until(&resource, Some(SYSTEM_NAMESPACE), "example", what, |object| {
            object.is_some_and(|object| wanted(&object.data["status"]))
        })
        .await
    }

    /// Wait until an object is as wanted; `None` while it does not exist.
    pub async fn until(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
        what: &str,
        wanted: impl Fn(Option<&DynamicObject>) -> bool,
    ) -> Result<(), BoxError> {
        let api = self.api(resource, namespace);
        let met = async {
            // A kind that is not served yet ends the watch with an error; it begins again.
            while await_condition(api.clone(), name, &wanted).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, met).await.is_ok() {
            return Ok(());
        }
        if self.daemon.is_finished() {
            return Err(format!("waiting for {what}: the daemon has ended").into());
        }
        let reported = self.status_text().await;
        Err(format!("waited {PATIENCE:?} in vain for {what}\n{reported}").into())
    }

    /// Objects of a kind.
    pub fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, resource),
            None => Api::all_with(self.client(), resource),
        }
    }

    async fn status_text(&self) -> String {
        let gvk = GroupVersionKind::gvk("moin.scs.community", "v1alpha1", "Reconciliation");
        let api = self.api(&ApiResource::from_gvk(&gvk), Some(SYSTEM_NAMESPACE));
        match api.get("example").await {
            Ok(object) => crate::yaml::write(&object.data["status"]),
            Err(error) => format!("no status: {error}"),
        }
    }

    /// What a person could do now.
    pub fn what_to_try(&self) -> String {
        // Whoever came by `cargo run` has no `moin` in the PATH.
        let moin = std::env::current_exe().map_or("moin".to_owned(), |path| path.display().to_string());
        format!(
            "\nAll is applied. In another terminal:\n\n  \
             export KUBECONFIG={kubeconfig}\n  \
             alias moin={moin}\n  \
             moin status\n  \
             kubectl get clusters,clusterstacks -A\n\n  \
             kubectl create namespace playground-1            # a rule brings its ClusterStack\n  \
             kubectl get clusterstack -n playground-1\n  \
             kubectl -n team-a label clusterstack scs2-1-34 drifted=by-hand --overwrite\n\n  \
             cd {repository}\n  \
             sed -i s/v1.34.2/v1.34.3/ tenants/mgmt1/team-a/web.yaml\n  \
             moin diff --cluster mgmt1                         # what would that do?\n  \
             git commit -am 'A patch version'                  # a second later it is done\n  \
             moin diff --cluster mgmt1 HEAD~1..HEAD -o markdown\n\n\
             Ctrl-C ends it.",
            kubeconfig = self.kubeconfig.display(),
            repository = self.repository.folder().display(),
        )
    }

    /// Take everything down.
    pub async fn strike(self) -> Result<(), BoxError> {
        self.stop.cancel();
        let ended = self.daemon.await?;
        // It ends when it is told to, or was never needed.
        let _ = self.operators.await;
        self.plane.stop();
        let _ = tokio::time::timeout(Duration::from_secs(2), self.serving.finished()).await;
        ended?;
        Ok(())
    }
}

fn condition_is_true(status: &serde_json::Value, kind: &str) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
}

async fn daemon(
    repository: &DemoRepository,
    kubeconfig: &Path,
    cache: &Path,
    stop: CancellationToken,
) -> Result<Daemon, BoxError> {
    let url = format!("file://{}", repository.folder().display());
    let place = Place::Git { url: url.parse()?, reference: Reference::Branch("main".to_owned()) };
    Ok(Daemon {
        cluster: Cluster::connect(Some(kubeconfig), None).await?,
        source: Source::open(&SourceSettings::new(place, cache))?,
        source_url: url.clone(),
        render: RenderOptions {
            cluster: Some("mgmt1".to_owned()),
            source_url: Some(url),
            ..RenderOptions::default()
        },
        once: None,
        interval: Duration::from_secs(1),
        observe: false,
        fetch_timeout: Duration::from_secs(30),
        probes: Probes::default(),
        stop,
    })
}
