//! One management cluster of the demo: a plane, its simulated operators and its daemon, on threads of their own, so that
//! all of it, or the daemon alone, can be lost at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::BoxError;
use super::repository::DemoRepository;
use crate::cluster::Cluster;
use crate::daemon::{Daemon, DaemonError, Ended};
use crate::plane::{Plane, write_private};
use crate::render::RenderOptions;
use crate::sim::{Cloud, Operators};
use crate::source::{Place, Reference, Source, SourceSettings};
use crate::web::Probes;

/// How often a daemon looks at the repository.
const INTERVAL: Duration = Duration::from_secs(1);
/// The namespace of the Secrets by which management clusters reach each other, in the example.
const PEERS: &str = "mgmt";
/// Who writes them: the demo, in place of Cluster API.
const MANAGER: &str = "demo";
/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// A management cluster that runs.
pub struct Management {
    /// Its name in the repository.
    pub name: &'static str,
    /// Its API server.
    pub plane: Plane,
    /// For kubectl.
    pub kubeconfig: PathBuf,
    /// Where its API server listens.
    pub address: SocketAddr,
    url: String,
    stop: CancellationToken,
    daemon: Option<Running>,
    runtime: Option<Runtime>,
}

/// A daemon, on threads of its own: it can be killed like a process.
struct Running {
    task: JoinHandle<Result<Ended, DaemonError>>,
    runtime: Runtime,
}

impl Management {
    /// An empty API server, at this address if that is free; it writes its kubeconfig into the folder.
    pub async fn raise(
        name: &'static str,
        folder: &Path,
        address: SocketAddr,
    ) -> Result<Management, BoxError> {
        let runtime = threads(name)?;
        let plane = Plane::new();
        let served = plane.clone();
        let serving = runtime.spawn(async move {
            match served.serve_tls(address).await {
                // Somebody took the port of one that was lost; whoever reaches it learns of another.
                Err(_) if address.port() != 0 => served.serve_tls((address.ip(), 0)).await,
                answer => answer,
            }
        });
        let serving = serving.await??;
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        write_private(&kubeconfig, &plane.kubeconfig(serving.url()))?;
        Ok(Management {
            name,
            plane,
            kubeconfig,
            address: serving.address(),
            url: serving.url().to_owned(),
            stop: CancellationToken::new(),
            daemon: None,
            runtime: Some(runtime),
        })
    }

    /// Start the simulated operators.
    pub async fn start_operators(&self, cloud: &Cloud, pace: Duration) -> Result<(), BoxError> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let cluster = Cluster::connect(Some(&self.kubeconfig), None).await?;
        let operators = Operators { cluster, cloud: cloud.clone(), pace };
        runtime.spawn(operators.run(self.stop.clone()));
        Ok(())
    }

    /// Start the daemon.
    pub async fn start_daemon(&mut self, repository: &DemoRepository) -> Result<(), BoxError> {
        let cache = repository.folder().with_file_name(format!("{}.cache", self.name));
        let daemon = daemon(self.name, repository, &self.kubeconfig, &cache, self.stop.clone()).await?;
        let runtime = threads(self.name)?;
        self.daemon = Some(Running { task: runtime.spawn(daemon.run()), runtime });
        Ok(())
    }

    /// Let this one reach another: by a Secret as Cluster API writes it, where `moin.yaml` says.
    pub async fn learns_of(&self, peer: &Management) -> Result<(), BoxError> {
        let name = format!("{}-kubeconfig", peer.name);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PEERS}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "cluster.x-k8s.io/secret",
            "metadata": {"name": name, "namespace": PEERS},
            "stringData": {"value": peer.plane.kubeconfig(&peer.url)}});
        let apply = PatchParams::apply(MANAGER).force();
        self.api(&kind("v1", "Namespace"), None).patch(PEERS, &apply, &Patch::Apply(&namespace)).await?;
        self.api(&kind("v1", "Secret"), Some(PEERS)).patch(&name, &apply, &Patch::Apply(&secret)).await?;
        Ok(())
    }

    /// Whether its daemon has ended by itself.
    pub fn has_no_daemon(&self) -> bool {
        self.daemon.as_ref().is_none_or(|daemon| daemon.task.is_finished())
    }

    /// Objects of a kind.
    pub fn api(&self, kind: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, kind),
            None => Api::all_with(self.client(), kind),
        }
    }

    /// A client that is neither the daemon's nor the operators'.
    pub fn client(&self) -> Client {
        self.plane.client()
    }

    /// Ask everything to end, and wait.
    pub async fn end(mut self) -> Result<(), BoxError> {
        self.stop.cancel();
        let mut ended = Ok(());
        if let Some(daemon) = &mut self.daemon {
            ended = match tokio::time::timeout(ENDING, &mut daemon.task).await {
                Ok(Ok(Ok(_))) => Ok(()),
                Ok(Ok(Err(error))) => Err(error.into()),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(format!("the daemon of {} did not end within {ENDING:?}", self.name).into()),
            };
        }
        self.cut().await;
        ended
    }

    /// End the daemon as a crash does: it gives nothing back.
    pub async fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            halt(daemon.runtime).await;
        }
    }

    /// Pull the plug: nothing says goodbye.
    pub async fn cut(&mut self) {
        self.stop_daemon().await;
        self.plane.stop();
        if let Some(runtime) = self.runtime.take() {
            halt(runtime).await;
        }
    }
}

impl Drop for Management {
    fn drop(&mut self) {
        self.stop.cancel();
        self.plane.stop();
        let daemon = self.daemon.take().map(|daemon| daemon.runtime);
        daemon.into_iter().chain(self.runtime.take()).for_each(Runtime::shutdown_background);
    }
}

fn threads(name: &str) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build()
}

async fn halt(runtime: Runtime) {
    // It waits for its threads, which no task may do.
    let gone = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(1)));
    // It cannot fail.
    let _ = gone.await;
}

/// A kind by its words.
pub fn kind(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn daemon(
    name: &str,
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
            cluster: Some(name.to_owned()),
            source_url: Some(url),
            ..RenderOptions::default()
        },
        once: None,
        interval: INTERVAL,
        observe: false,
        fetch_timeout: Duration::from_secs(30),
        probes: Probes::default(),
        stop,
    })
}
