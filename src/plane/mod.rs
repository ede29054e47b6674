//! An embedded API server: answers as kube-apiserver does, in this process or on a socket.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use moin::plane::Plane;
//! let plane = Plane::new();
//! let client = plane.client(); // in-process, no socket
//! let serving = plane.serve("127.0.0.1:0").await?; // and for kubectl
//! std::fs::write("kubeconfig", plane.kubeconfig(serving.url()))?;
//! # Ok(())
//! # }
//! ```
//!
//! Built-in kinds come from [`crate::schema`], others from the CustomResourceDefinitions that clients create. Field
//! management is [`crate::merge`]. Everything is kept in memory. There is one user, who may do everything.

mod admission;
mod body;
mod call;
mod clock;
mod controllers;
mod convert;
mod crd;
mod delete;
mod discovery;
mod http;
mod kinds;
mod names;
mod openapi;
mod patch;
mod probe;
mod protobuf;
mod read;
mod request;
mod reviews;
mod rules;
mod scale;
mod select;
mod server;
mod status;
mod store;
mod strategic;
mod table;
mod types;
mod watch;
mod write;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ::http::Request;
use axum::Router;
use axum::body::Body;
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinHandle;

pub use probe::{Fault, RequestRecord};
use server::{Server, Settings};
use store::History;

/// How much of what happened is remembered for watches and continued lists.
const HISTORY: History = History { changes: 50_000, bytes: 32 << 20 };

/// An embedded API server. Clones are handles to the same one.
#[derive(Clone)]
pub struct Plane {
    server: Arc<Server>,
}

/// How a [`Plane`] is set up.
#[derive(Debug, Clone)]
pub struct PlaneBuilder {
    settings: Settings,
}

/// A [`Plane`] on a socket.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    url: String,
    task: JoinHandle<io::Result<()>>,
}

impl Default for Plane {
    fn default() -> Plane {
        Plane::new()
    }
}

impl Plane {
    /// A server that asks for no token and runs its controllers.
    pub fn new() -> Plane {
        Plane::builder().build()
    }

    /// A server to be set up first.
    pub fn builder() -> PlaneBuilder {
        PlaneBuilder {
            settings: Settings {
                token: None,
                anonymous: true,
                history: HISTORY,
                controllers: true,
                data: None,
                services: None,
            },
        }
    }

    /// A client that calls this server in-process.
    pub fn client(&self) -> kube::Client {
        let server = self.server.clone();
        let token = server.settings.token.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            let mut request = request.map(Body::new);
            if let Some(value) = token.as_ref().and_then(|token| format!("Bearer {token}").parse().ok()) {
                request.headers_mut().entry(::http::header::AUTHORIZATION).or_insert(value);
            }
            async move { Ok::<_, std::convert::Infallible>(http::handle(server, request).await) }
        });
        kube::Client::new(service, "default")
    }

    /// The server as a router, to be served or called by others.
    pub fn router(&self) -> Router {
        let server = self.server.clone();
        Router::new().fallback(move |request: Request<Body>| http::handle(server.clone(), request))
    }

    /// Serves on a socket until [`Plane::stop`]; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(&self, address: impl ToSocketAddrs) -> io::Result<Serving> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            // Without it small answers wait for the client's acknowledgement; a failure only costs time.
            let _ = stream.set_nodelay(true);
        });
        let mut stopped = self.server.stopped();
        let stop = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let serve = axum::serve(listener, self.router()).with_graceful_shutdown(stop);
        let task = tokio::spawn(std::future::IntoFuture::into_future(serve));
        Ok(Serving { address, url: format!("http://{address}"), task })
    }

    /// Ends all watches and stops serving.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// The requests that came in, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.server.log.all()
    }

    /// Forgets the requests that came in.
    pub fn clear_requests(&self) {
        self.server.log.clear();
    }

    /// Lets the next requests that match go wrong.
    pub fn fault(&self, fault: Fault) {
        self.server.faults.add(fault);
    }

    /// Lets all go well again.
    pub fn clear_faults(&self) {
        self.server.faults.clear();
    }

    /// Forgets what happened, so that older resourceVersions are gone (410).
    pub fn compact(&self) {
        self.server.store.compact();
    }

    /// The last resourceVersion: it grows with every write and with nothing else.
    pub fn revision(&self) -> u64 {
        self.server.store.revision()
    }

    /// A kubeconfig for this server at a URL.
    pub fn kubeconfig(&self, url: &str) -> String {
        let token = self.server.settings.token.as_deref().unwrap_or("none");
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: moin\n  cluster:\n    server: {url}\nusers:\n- name: moin\n  user:\n    token: {token}\ncontexts:\n- name: moin\n  context:\n    cluster: moin\n    user: moin\n    namespace: default\ncurrent-context: moin\n"
        )
    }
}

impl PlaneBuilder {
    /// The bearer token that belongs to this server: another one is refused. A request without one is let in, for
    /// kubectl sends no token to a server without TLS; [`PlaneBuilder::require_token`] shuts that door.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> PlaneBuilder {
        self.settings.token = Some(token.into());
        self
    }

    /// Refuses requests that bring no token (health and version aside).
    #[must_use]
    pub fn require_token(mut self) -> PlaneBuilder {
        self.settings.anonymous = false;
        self
    }

    /// Remembers this many changes for watches and continued lists.
    #[must_use]
    pub fn history(mut self, changes: usize) -> PlaneBuilder {
        self.settings.history.changes = changes;
        self
    }

    /// Whether namespaces are emptied and garbage is collected; on unless switched off.
    #[must_use]
    pub fn controllers(mut self, run: bool) -> PlaneBuilder {
        self.settings.controllers = run;
        self
    }

    /// Remembers changes only as long as what was replaced or deleted by them has no more bytes than this.
    #[must_use]
    pub fn history_bytes(mut self, bytes: usize) -> PlaneBuilder {
        self.settings.history.bytes = bytes;
        self
    }

    /// Keeps everything in a folder, which is made if it is not there, and goes on with what it holds: objects,
    /// resourceVersions and, unless they are too old, watches. What was answered is there after a crash of the
    /// process. One server at a time can have the folder.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> PlaneBuilder {
        self.settings.data = Some(folder.into());
        self
    }

    /// Says where services are that admission webhooks name: `find(namespace, name, port)` answers `host:port`. For
    /// what it does not know, the stored Service's external name or cluster IP is called.
    #[must_use]
    pub fn resolve_services(
        mut self,
        find: impl Fn(&str, &str, u16) -> Option<String> + Send + Sync + 'static,
    ) -> PlaneBuilder {
        self.settings.services = Some(admission::Services::new(find));
        self
    }

    /// The server.
    ///
    /// # Panics
    /// When a folder was given that cannot be used; [`PlaneBuilder::open`] says why instead.
    pub fn build(self) -> Plane {
        match self.open() {
            Ok(plane) => plane,
            Err(error) => panic!("the folder of the plane cannot be used: {error}"),
        }
    }

    /// The server.
    ///
    /// # Errors
    /// When a folder was given that is in use, cannot be read or written, or holds damaged files.
    pub fn open(self) -> io::Result<Plane> {
        Ok(Plane { server: Server::open(self.settings)? })
    }
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it was stopped.
    ///
    /// # Errors
    /// When serving failed.
    pub async fn finished(self) -> io::Result<()> {
        self.task.await.map_err(io::Error::other)?
    }
}
