//! An embedded API server: answers as kube-apiserver does, in this process or on a socket.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use k8s_openapi::api::core::v1::Namespace;
//! use kube::Api;
//! use moin::plane::Plane;
//!
//! // In this process, without a socket: the client is the kube crate's.
//! let plane = Plane::new();
//! let namespaces: Api<Namespace> = Api::all(plane.client());
//! assert_eq!(namespaces.get("default").await?.metadata.name.as_deref(), Some("default"));
//!
//! // And for kubectl and everybody else, over TLS.
//! let serving = plane.serve_tls("127.0.0.1:0").await?;
//! let kubeconfig = plane.kubeconfig(serving.url());
//! assert!(kubeconfig.contains("https://127.0.0.1:"));
//! plane.stop();
//! # Ok(())
//! # }
//! ```
//!
//! What is in memory goes with the process; what is in a folder stays:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! use moin::plane::Plane;
//! let plane = Plane::builder().data(folder.path()).open()?;
//! let revision = plane.revision();
//! drop(plane);
//! assert_eq!(Plane::builder().data(folder.path()).open()?.revision(), revision);
//! # Ok(())
//! # }
//! ```
//!
//! Built-in kinds come from [`crate::schema`], others from the CustomResourceDefinitions that clients create. Field
//! management is [`crate::merge`]. Who may do what is what the RBAC objects say; the
//! in-process client, and on plain HTTP whoever brings no credentials, is the administrator.

mod admission;
mod audit;
mod auth;
mod body;
mod call;
mod certificate;
mod clock;
mod controllers;
mod convert;
mod crd;
mod cut;
mod define;
mod delete;
mod der;
mod discovery;
mod fault_header;
mod health;
mod http;
mod keys;
mod kinds;
mod kubeconfig;
mod list_options;
mod names;
mod negotiate;
mod openapi;
mod patch;
mod probe;
mod protobuf;
mod read;
mod request;
mod rules;
mod scale;
mod select;
mod serve;
mod server;
mod status;
mod store;
mod strategic;
mod table;
mod tls;
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
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinHandle;

pub use audit::{AuditLevel, AuditLog};
use auth::User;
use auth::authenticate::{Certificate, Peer};
pub use define::DefinitionError;
pub use keys::write_private;
pub use probe::{Fault, RequestRecord};
use server::{Server, Settings};
use store::History;

/// How much of what happened is remembered for watches and continued lists.
const HISTORY: History = History { changes: 50_000, bytes: 32 << 20 };

/// How many requests are remembered for tests.
const REQUESTS: usize = 100_000;

/// An embedded API server. Clones are handles to the same one.
#[derive(Clone)]
pub struct Plane {
    server: Arc<Server>,
}

/// How a [`Plane`] is set up.
#[derive(Debug, Clone)]
pub struct PlaneBuilder {
    settings: Settings,
    crds: Vec<serde_json::Value>,
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
            crds: Vec::new(),
            settings: Settings {
                token: None,
                users: Vec::new(),
                anonymous: true,
                audit: None,
                history: HISTORY,
                controllers: true,
                root_ca: false,
                fault_header: false,
                requests: REQUESTS,
                data: None,
                services: None,
                webhooks: None,
                mutating_policies: false,
            },
        }
    }

    /// A client that calls this server in-process, as its administrator.
    pub fn client(&self) -> kube::Client {
        self.client_of(auth::authenticate::administrator())
    }

    /// A client that calls this server in-process as somebody who proved to be this user, in these groups.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> kube::Client {
        self.client_of(Arc::new(User::new(user, groups).authenticated()))
    }

    fn client_of(&self, user: Arc<User>) -> kube::Client {
        let server = self.server.clone();
        let peer = Arc::new(Peer { address: None, trusted: true, certificate: Certificate::Of(user) });
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let answer = http::handle(server.clone(), request.map(Body::new), peer.clone());
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        kube::Client::new(service, "default")
    }

    /// The server as a router, to be served or called by others. Who brings no credentials is the administrator.
    pub fn router(&self) -> Router {
        let server = self.server.clone();
        let peer = Arc::new(Peer { trusted: true, ..Peer::default() });
        Router::new()
            .fallback(move |request: Request<Body>| http::handle(server.clone(), request, peer.clone()))
    }

    /// Serves plain HTTP on a socket until [`Plane::stop`]; port 0 takes a free one. Who brings no credentials is
    /// the administrator, for kubectl sends none without TLS.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(&self, address: impl ToSocketAddrs) -> io::Result<Serving> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve::serve(self.server.clone(), listener, None));
        Ok(Serving { address, url: format!("http://{address}"), task })
    }

    /// Serves TLS on a socket until [`Plane::stop`]; port 0 takes a free one. Its certificate is signed by the
    /// plane's own authority, which [`Plane::kubeconfig`] names.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve_tls(&self, address: impl ToSocketAddrs) -> io::Result<Serving> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let authority = self.server.keys.authority()?;
        let config = authority.server_config(address.ip())?;
        let tls = serve::Tls { acceptor: Arc::new(config).into(), verifier: authority.verifier()? };
        let task = tokio::spawn(serve::serve(self.server.clone(), listener, Some(tls)));
        Ok(Serving { address, url: format!("https://{address}"), task })
    }

    /// Ends all watches and stops serving.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Completes the audit log: what is answered after this is not in it.
    pub fn close(&self) {
        self.server.close();
    }

    /// Defines a kind: creates a CustomResourceDefinition, or brings the one of that name up to date. Its resources are
    /// served when this returns.
    ///
    /// # Errors
    /// When the definition is refused.
    pub fn define(&self, definition: &serde_json::Value) -> Result<(), DefinitionError> {
        define::define(&self.server, definition)
    }

    /// The requests that came in and are remembered, oldest first.
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

    /// The administrator's bearer token.
    pub fn token(&self) -> &str {
        &self.server.token
    }

    /// The certificate of the plane's authority, in PEM: what a client of [`Plane::serve_tls`] must trust.
    ///
    /// # Errors
    /// When the system cannot make one.
    pub fn certificate_authority(&self) -> io::Result<String> {
        Ok(self.server.keys.authority()?.certificate().to_owned())
    }

    /// A client certificate for a user and his groups, and its key, both in PEM.
    ///
    /// # Errors
    /// When the system cannot make one.
    pub fn client_certificate(&self, user: &str, groups: &[&str]) -> io::Result<(String, String)> {
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        let identity = self.server.keys.authority()?.client(user, &groups)?;
        Ok((identity.certificate, identity.key))
    }

    /// A kubeconfig for this server at a URL, as its administrator: with his token in the current context, and over
    /// TLS with a certificate of his in the context `moin-certificate`.
    pub fn kubeconfig(&self, url: &str) -> String {
        kubeconfig::of(&self.server, url)
    }
}

impl PlaneBuilder {
    /// The administrator's bearer token; a random one if this is not called.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> PlaneBuilder {
        self.settings.token = Some(token.into());
        self
    }

    /// A user with a bearer token. He may do what the RBAC objects grant to him and to his groups.
    #[must_use]
    pub fn user(mut self, name: &str, groups: &[&str], token: impl Into<String>) -> PlaneBuilder {
        self.settings.users.push((User::new(name, groups), token.into()));
        self
    }

    /// Refuses requests that bring no credentials (401), instead of taking them for `system:anonymous` over TLS and
    /// for the administrator on plain HTTP.
    #[must_use]
    pub fn require_token(mut self) -> PlaneBuilder {
        self.settings.anonymous = false;
        self
    }

    /// Publishes the certificate of the plane's authority in every namespace, as the ConfigMap `kube-root-ca.crt`. Off
    /// unless switched on, so that a namespace holds no ConfigMap that nobody made.
    #[must_use]
    pub fn root_ca(mut self, publish: bool) -> PlaneBuilder {
        self.settings.root_ca = publish;
        self
    }

    /// Heeds the header `Moin-Fault` of requests: `status=503; times=2`, `delay=250ms`, `hang`, `lose-answer`,
    /// `cut=3` (a watch breaks off after three events). Only for tests.
    #[must_use]
    pub fn fault_header(mut self) -> PlaneBuilder {
        self.settings.fault_header = true;
        self
    }

    /// Tells every request to an audit log.
    #[must_use]
    pub fn audit(mut self, log: AuditLog) -> PlaneBuilder {
        self.settings.audit = Some(log);
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

    /// Begins with these CustomResourceDefinitions: their kinds are served as soon as the server is.
    #[must_use]
    pub fn crds(mut self, definitions: impl IntoIterator<Item = serde_json::Value>) -> PlaneBuilder {
        self.crds.extend(definitions);
        self
    }

    /// Remembers so many requests for [`Plane::requests`]; 100,000 unless told otherwise.
    #[must_use]
    pub fn remember_requests(mut self, count: usize) -> PlaneBuilder {
        self.settings.requests = count;
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

    /// Serves MutatingAdmissionPolicy and its bindings (`v1beta1`), as kube-apiserver v1.35 does when its feature and its
    /// version are switched on. Off unless switched on.
    #[must_use]
    pub fn mutating_admission_policies(mut self, serve: bool) -> PlaneBuilder {
        self.settings.mutating_policies = serve;
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

    /// Answers in this process what admission webhooks are asked, instead of calling them: `answer(url, review)` is the
    /// code and the body of the answer. Only for tests.
    #[must_use]
    pub fn answer_webhooks(
        mut self,
        answer: impl Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync + 'static,
    ) -> PlaneBuilder {
        self.settings.webhooks = Some(admission::Answers::new(answer));
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
    /// When a folder was given that is in use, cannot be read or written, or holds damaged files; or when a definition
    /// is refused.
    pub fn open(self) -> io::Result<Plane> {
        let plane = Plane { server: Server::open(self.settings)? };
        for definition in &self.crds {
            plane.define(definition).map_err(io::Error::other)?;
        }
        Ok(plane)
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
