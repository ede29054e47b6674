//! An API server with bad days: a proxy before a real one that answers some requests with an error, or not at all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;

/// What goes wrong, for which requests, how often.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Requests of this method ...
    pub method: http::Method,
    /// ... whose path and query contain this ...
    pub path: &'static str,
    /// ... are answered so ...
    pub answer: Answer,
    /// ... this many times; then the server is well again.
    pub times: usize,
}

/// What a faulty request gets.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// A Status object with this code, `Retry-After: 1` where it is usual.
    Status(u16),
    /// Nothing, for ever.
    Hang,
    /// The request is carried out, and the answer is lost.
    Lost,
}

/// A proxy with faults; it ends with the runtime it was started on.
pub struct FaultyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    client: kube::Client,
    faults: Mutex<Vec<Fault>>,
    injected: AtomicUsize,
}

impl FaultyServer {
    /// A proxy before the server that `client` talks to.
    pub async fn before(client: kube::Client) -> FaultyServer {
        let shared = Arc::new(Shared { client, faults: Mutex::default(), injected: AtomicUsize::new(0) });
        let app = axum::Router::new().fallback(forward).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        FaultyServer { address, shared }
    }

    /// From now on this goes wrong, beside what goes wrong already.
    pub fn add(&self, fault: Fault) {
        self.shared.faults.lock().push(fault);
    }

    /// How many requests went wrong so far.
    pub fn injected(&self) -> usize {
        self.shared.injected.load(Ordering::SeqCst)
    }

    /// Writes a kubeconfig for it.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let file = folder.join("kubeconfig-faulty");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "faulty",
            "clusters": [{"name": "faulty", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "faulty", "user": {}}],
            "contexts": [{"name": "faulty", "context": {"cluster": "faulty", "user": "faulty"}}],
        });
        std::fs::write(&file, config.to_string()).expect("a kubeconfig");
        file
    }
}

impl Shared {
    fn next(&self, request: &Request) -> Option<Answer> {
        let mut faults = self.faults.lock();
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let fault = faults.iter_mut().find(|fault| {
            fault.times > 0 && request.method() == fault.method && target.contains(fault.path)
        })?;
        fault.times -= 1;
        self.injected.fetch_add(1, Ordering::SeqCst);
        Some(fault.answer)
    }
}

async fn forward(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let answer = shared.next(&request);
    match answer {
        Some(Answer::Status(code)) => return status(code),
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Lost) | None => {}
    }
    // The client behind us knows the server and signs on by itself.
    for own in [http::header::HOST, http::header::AUTHORIZATION] {
        request.headers_mut().remove(own);
    }
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    *request.uri_mut() = target.parse().expect("the path of a request is one");
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 16 << 20).await.expect("a body of usual size");
    let request = http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    match shared.client.send(request).await {
        Ok(_) if answer.is_some() => std::future::pending().await,
        Ok(response) => response.map(Body::new),
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

fn status(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let body = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": format!("an injected {code}")});
    let mut response = Response::builder().status(code).header("content-type", "application/json");
    if [429, 503].contains(&code) {
        response = response.header("retry-after", "1");
    }
    response.body(Body::from(body.to_string())).expect("a response")
}
