//! One management cluster of the demo: a plane, its simulated operators and its daemon, on threads of their own, so that
//! all of it can be lost at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
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
    stop: CancellationToken,
    daemon: Option<JoinHandle<Result<Ended, DaemonError>>>,
    runtime: Option<Runtime>,
}

impl Management {
    /// An empty API server; it writes its kubeconfig into the folder.
    pub async fn raise(
        name: &'static str,
        folder: &Path,
        address: SocketAddr,
    ) -> Result<Management, BoxError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()?;
        let plane = Plane::new();
        let served = plane.clone();
        let serving = runtime.spawn(async move { served.serve_tls(address).await }).await??;
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        write_private(&kubeconfig, &plane.kubeconfig(serving.url()))?;
        Ok(Management {
            name,
            plane,
            kubeconfig,
            address: serving.address(),
            stop: CancellationToken::new(),
            daemon: None,
            runtime: Some(runtime),
        })
    }

    /// Start the simulated operators and the daemon.
    pub async fn start(
        &mut self,
        repository: &DemoRepository,
        cloud: &Cloud,
        pace: Duration,
    ) -> Result<(), BoxError> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let cluster = Cluster::connect(Some(&self.kubeconfig), None).await?;
        let operators = Operators { cluster, cloud: cloud.clone(), pace };
        runtime.spawn(operators.run(self.stop.clone()));
        let cache = repository.folder().with_file_name(format!("{}.cache", self.name));
        let daemon = daemon(self.name, repository, &self.kubeconfig, &cache, self.stop.clone()).await?;
        self.daemon = Some(runtime.spawn(daemon.run()));
        Ok(())
    }

    /// Whether its daemon has ended by itself.
    pub fn has_no_daemon(&self) -> bool {
        self.daemon.as_ref().is_none_or(JoinHandle::is_finished)
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
        let ended = match self.daemon.take() {
            Some(daemon) => tokio::time::timeout(ENDING, daemon).await,
            None => return Ok(()),
        };
        self.cut().await;
        ended.map_err(|_| format!("the daemon of {} did not end within {ENDING:?}", self.name))???;
        Ok(())
    }

    /// Pull the plug: nothing says goodbye.
    async fn cut(&mut self) {
        self.plane.stop();
        if let Some(runtime) = self.runtime.take() {
            // It waits for its threads, which no task may do.
            let gone = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(1)));
            let _ = gone.await;
        }
    }
}

impl Drop for Management {
    fn drop(&mut self) {
        self.stop.cancel();
        self.plane.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
