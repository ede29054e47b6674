//! Two API servers, each for a management cluster, and the networks between them and the daemons.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::invariants::AuditLog;
use super::moin::{Moin, Running};
use super::namespaces::{Host, Router};
use super::proxy::Proxy;
use super::real_server::RealServer;

/// How long a server may take to begin.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where the two clusters are.
pub struct Sites {
    /// An API server for each.
    pub servers: [Server; 2],
    /// Where each has a network of its own.
    network: Option<Network>,
}

struct Network {
    router: Router,
    servers: [Host; 2],
}

/// An API server.
pub enum Server {
    /// `moin plane`.
    Embedded { _plane: Running, _moin: Moin, _folder: tempfile::TempDir, audit: PathBuf, kubeconfig: PathBuf },
    /// A kube-apiserver.
    Real(Box<RealServer>),
}

/// What is lost on the way between a daemon and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// What the daemon sends does not arrive.
    Requests,
    /// It arrives and is carried out; what the server answers does not arrive.
    Answers,
    /// Neither arrives.
    Both,
}

impl Lost {
    fn requests(self) -> bool {
        self != Lost::Answers
    }

    fn answers(self) -> bool {
        self != Lost::Requests
    }
}

/// Where a daemon runs, and its ways to both servers.
pub struct Ways {
    host: Option<Host>,
    proxies: Vec<Proxy>,
}

impl Sites {
    /// Two processes `moin plane`; daemons reach them through proxies.
    pub fn embedded() -> Sites {
        Sites { servers: [0, 1].map(|_| Server::embedded()), network: None }
    }

    /// Two real kube-apiservers, each in a network of its own where there is a router, else reached through proxies.
    /// `None`, after a line that says why, where there can be no such servers.
    pub fn real(router: Option<Router>) -> Option<Sites> {
        let network = router.map(|router| Network { servers: [router.host(), router.host()], router });
        let started = std::thread::scope(|scope| {
            let start = |side: usize| {
                let host = network.as_ref().map(|network| &network.servers[side]);
                scope.spawn(move || match host {
                    Some(host) => RealServer::start_on(host),
                    None => RealServer::start(),
                })
            };
            [0, 1].map(start).map(|thread| thread.join().expect("a server starts"))
        });
        let [Some(one), Some(two)] = started else { return None };
        Some(Sites { servers: [one, two].map(|server| Server::Real(Box::new(server))), network })
    }

    /// A place for a daemon.
    pub async fn ways(&self) -> Ways {
        match &self.network {
            Some(network) => Ways { host: Some(network.router.host()), proxies: Vec::new() },
            None => {
                let proxies = self.servers.iter().map(|server| async { Proxy::to(&server.address()).await });
                Ways { host: None, proxies: futures::future::join_all(proxies).await }
            }
        }
    }

    /// The kubeconfig by which a daemon reaches a server.
    pub fn kubeconfig(&self, ways: &Ways, server: usize) -> String {
        let text = self.servers[server].kubeconfig();
        match ways.proxies.get(server) {
            Some(proxy) => text.replace(&format!("https://{}", self.servers[server].address()), &proxy.url()),
            None => text,
        }
    }

    /// Loses what goes between a daemon and a server.
    pub fn cut(&self, ways: &Ways, server: usize, lost: Lost) {
        self.change(ways, server, lost, Router::lose);
        if let Some(proxy) = ways.proxies.get(server) {
            proxy.lose(lost.requests(), lost.answers());
        }
    }

    /// Ends that.
    pub fn mend(&self, ways: &Ways, server: usize, lost: Lost) {
        self.change(ways, server, lost, Router::deliver);
        if let Some(proxy) = ways.proxies.get(server) {
            proxy.lose(false, false);
        }
    }

    fn change(&self, ways: &Ways, server: usize, lost: Lost, change: fn(&Router, &Host, &Host)) {
        let (Some(network), Some(daemon)) = (&self.network, &ways.host) else { return };
        let server = &network.servers[server];
        if lost.requests() {
            change(&network.router, daemon, server);
        }
        if lost.answers() {
            change(&network.router, server, daemon);
        }
    }
}

impl Ways {
    /// Starts moin there.
    pub fn start(&self, moin: &Moin, args: &[&str]) -> Running {
        match &self.host {
            Some(host) => moin.start_on(host, args),
            None => moin.start(args),
        }
    }
}

impl Server {
    fn embedded() -> Server {
        let (moin, folder) = (Moin::new(), tempfile::tempdir().expect("a folder"));
        let (audit, kubeconfig) = (folder.path().join("audit.log"), folder.path().join("kubeconfig"));
        let [log, file] = [&audit, &kubeconfig].map(|path| path.display().to_string());
        let plane = moin.start(&[
            "plane",
            "--audit",
            &log,
            "--audit-level",
            "request-response",
            "--kubeconfig",
            &file,
        ]);
        let began = Instant::now();
        while !plane.said().contains("ready ") {
            assert!(began.elapsed() < READY_WITHIN, "{}", plane.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        Server::Embedded { _plane: plane, _moin: moin, _folder: folder, audit, kubeconfig }
    }

    /// A kubeconfig of one who may do everything.
    pub fn kubeconfig(&self) -> String {
        let file = match self {
            Server::Embedded { kubeconfig, .. } => kubeconfig.clone(),
            Server::Real(server) => server.kubeconfig("moin"),
        };
        fs::read_to_string(file).expect("the kubeconfig that the server wrote")
    }

    /// Its audit log so far.
    pub fn audit(&self) -> AuditLog {
        let file = match self {
            Server::Embedded { audit, .. } => audit.clone(),
            Server::Real(server) => server.audit_log(),
        };
        AuditLog::read(&fs::read_to_string(file).unwrap_or_default())
    }

    /// `HOST:PORT`.
    fn address(&self) -> String {
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&self.kubeconfig()).expect("a kubeconfig");
        let cluster = kubeconfig.clusters[0].cluster.as_ref().expect("a cluster");
        cluster
            .server
            .as_deref()
            .expect("its server")
            .trim_start_matches("https://")
            .trim_end_matches('/')
            .to_owned()
    }
}
