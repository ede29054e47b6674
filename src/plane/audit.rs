//! The audit log: one JSON line for each request that was answered, in the shape of `audit.k8s.io/v1`.
//!
//! Lines are put into a buffer on the way and written by a thread of their own, at once when it is idle.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::auth::authenticate::Peer;
use super::auth::{Decision, RequestInfo, User};

/// How much of a request the audit log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditLevel {
    /// Who asked for what, and how it was answered.
    #[default]
    Metadata,
    /// Also the objects that were sent and answered; never those of Secrets and tokens.
    RequestResponse,
}

/// Where audit events go.
///
/// ```
/// use moin::plane::{AuditLog, Plane};
/// let audit = AuditLog::memory();
/// let plane = Plane::builder().audit(audit.clone()).build();
/// assert!(audit.events().is_empty());
/// # drop(plane);
/// ```
#[derive(Debug, Clone)]
pub struct AuditLog {
    level: AuditLevel,
    sink: Sink,
}

#[derive(Debug, Clone)]
enum Sink {
    Memory(Arc<Mutex<Vec<Vec<u8>>>>),
    File(Arc<Writer>),
}

#[derive(Debug)]
struct Writer {
    lines: Mutex<Option<Sender<Vec<u8>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Kept in memory, for [`AuditLog::events`].
    pub fn memory() -> AuditLog {
        AuditLog { level: AuditLevel::Metadata, sink: Sink::Memory(Arc::default()) }
    }

    /// Appended to a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn file(path: &Path) -> io::Result<AuditLog> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        let (lines, incoming) = mpsc::channel();
        let thread =
            std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(file, &incoming))?;
        let writer = Writer { lines: Mutex::new(Some(lines)), thread: Mutex::new(Some(thread)) };
        Ok(AuditLog { level: AuditLevel::Metadata, sink: Sink::File(Arc::new(writer)) })
    }

    /// With this much of each request.
    #[must_use]
    pub fn level(mut self, level: AuditLevel) -> AuditLog {
        self.level = level;
        self
    }

    /// The events so far, oldest first; of a log in memory.
    pub fn events(&self) -> Vec<Value> {
        match &self.sink {
            Sink::Memory(lines) => {
                lines.lock().iter().filter_map(|line| serde_json::from_slice(line).ok()).collect()
            }
            Sink::File(_) => Vec::new(),
        }
    }

    /// Writes what is still on the way; what comes later is lost.
    pub(crate) fn close(&self) {
        if let Sink::File(writer) = &self.sink {
            drop(writer.lines.lock().take());
            if let Some(thread) = writer.thread.lock().take() {
                let _ = thread.join();
            }
        }
    }

    fn push(&self, event: &Value) {
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        match &self.sink {
            Sink::Memory(lines) => lines.lock().push(line),
            Sink::File(writer) => {
                if let Some(lines) = &*writer.lines.lock() {
                    // Its thread ends only when the disk is full, and has said so.
                    let _ = lines.send(line);
                }
            }
        }
    }
}

/// Writes lines as they come, many at once when they come fast.
fn write(file: std::fs::File, lines: &Receiver<Vec<u8>>) {
    let mut file = io::BufWriter::with_capacity(1 << 18, file);
    while let Ok(line) = lines.recv() {
        let rest = lines.try_iter();
        let written = std::iter::once(line).chain(rest).try_for_each(|line| file.write_all(&line));
        if let Err(error) = written.and_then(|()| file.flush()) {
            tracing::error!(%error, "the audit log cannot be written; it ends here");
            return;
        }
    }
}

/// The part of an object that says which one it is.
#[derive(serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    metadata: NamedMetadata<'a>,
}

#[derive(Default, serde::Deserialize)]
struct NamedMetadata<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
}

/// What is known of a request while it is on its way.
#[derive(Debug)]
pub(crate) struct Record {
    log: AuditLog,
    event: Value,
    watch: bool,
    /// Bodies of these are never shown.
    secret: bool,
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl Record {
    /// A request that has just come in.
    pub fn begin<B>(
        log: &AuditLog,
        id: &str,
        request: &Request<B>,
        info: &RequestInfo,
        peer: &Peer,
    ) -> Record {
        let uri = request.uri();
        let uri = uri.path_and_query().map_or_else(|| uri.path(), |both| both.as_str());
        let level = match log.level {
            AuditLevel::Metadata => "Metadata",
            AuditLevel::RequestResponse => "RequestResponse",
        };
        let address = peer.address.map_or_else(|| "127.0.0.1".to_owned(), |address| address.ip().to_string());
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": level, "auditID": id,
            "stage": "ResponseComplete", "requestURI": uri, "verb": info.verb,
            "user": {}, "sourceIPs": [address], "requestReceivedTimestamp": now(),
        });
        if let Some(agent) = text(request.headers(), &header::USER_AGENT) {
            event["userAgent"] = agent.into();
        }
        if info.is_resource {
            event["objectRef"] = reference(info);
        }
        Record {
            log: log.clone(),
            watch: info.verb == "watch",
            secret: info.resource == "secrets"
                || info.subresource == "token"
                || info.resource == "tokenreviews",
            event,
        }
    }

    pub fn user(&mut self, user: &User) {
        self.event["user"] = user.info();
    }

    pub fn impersonated(&mut self, user: &User) {
        self.event["impersonatedUser"] = user.info();
    }

    pub fn decision(&mut self, decision: &Decision) {
        let word = if decision.allowed { "allow" } else { "forbid" };
        self.annotate("authorization.k8s.io/decision", word.into());
        self.annotate("authorization.k8s.io/reason", decision.reason.as_str().into());
    }

    pub fn annotate(&mut self, key: &str, value: Value) {
        self.event["annotations"][key] = value;
    }

    /// Whether bodies are wanted.
    fn wants_bodies(&self) -> bool {
        self.log.level == AuditLevel::RequestResponse && !self.secret
    }

    /// The object that was sent. A create names its object only there.
    pub fn request_object(&mut self, bytes: &[u8]) {
        if self.event["verb"] == "create"
            && self.event["objectRef"].is_object()
            && let Ok(Named { metadata }) = serde_json::from_slice(bytes)
        {
            for (field, value) in [("name", metadata.name), ("namespace", metadata.namespace)] {
                let reference = &mut self.event["objectRef"];
                if let Some(value) = value.filter(|_| reference[field].is_null()) {
                    reference[field] = (&*value).into();
                }
            }
        }
        if self.wants_bodies()
            && let Ok(object) = serde_json::from_slice::<Value>(bytes)
        {
            self.event["requestObject"] = object;
        }
    }

    /// A refusal with its reason and message.
    fn failure(&mut self, failure: &Value) {
        for field in ["status", "message", "reason", "details"] {
            if failure["kind"] == "Status" && !failure[field].is_null() {
                self.event["responseStatus"][field] = failure[field].clone();
            }
        }
    }

    fn tell(&mut self, stage: &str) {
        self.event["stage"] = stage.into();
        self.event["stageTimestamp"] = now().into();
        self.log.push(&self.event);
    }
}

impl Drop for Record {
    /// However a request ends, it is told.
    fn drop(&mut self) {
        self.tell("ResponseComplete");
    }
}

/// Tells how a request was answered: of a watch when it begins and when it ends.
pub(crate) async fn finish(mut record: Record, response: Response<Body>) -> Response<Body> {
    let code = response.status().as_u16();
    record.event["responseStatus"] = json!({"metadata": {}, "code": code});
    if record.watch && code == 200 {
        record.tell("ResponseStarted");
        return response.map(|body| Body::new(Told { body, record: Some(record) }));
    }
    if code < 400 && !record.wants_bodies() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(collected) = body.collect().await else { return Response::from_parts(parts, Body::empty()) };
    let bytes = collected.to_bytes();
    if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
        if code >= 400 {
            record.failure(&value);
        }
        if record.wants_bodies() {
            record.event["responseObject"] = value;
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// The body of a watch, whose end is told when it is reached, or when the client is gone.
struct Told {
    body: Body,
    record: Option<Record>,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            drop(self.record.take());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// `objectRef`, without what is empty.
fn reference(info: &RequestInfo) -> Value {
    let mut reference = json!({});
    for (field, value) in [
        ("resource", &info.resource),
        ("namespace", &info.namespace),
        ("name", &info.name),
        ("apiGroup", &info.group),
        ("apiVersion", &info.version),
        ("subresource", &info.subresource),
    ] {
        if !value.is_empty() {
            reference[field] = value.as_str().into();
        }
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(log: &AuditLog, path: &str) -> Record {
        let request = Request::get(path).body(()).unwrap();
        let info = RequestInfo::of(request.method(), path, None);
        Record::begin(log, "id", &request, &info, &Peer::default())
    }

    #[test]
    fn a_file_is_complete_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::file(&path).unwrap();
        for _ in 0..100 {
            record(&log, "/api/v1/namespaces/a/configmaps/b");
        }
        log.close();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 100);
        let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(event["objectRef"]["namespace"], "a");
        assert_eq!((&event["verb"], &event["stage"]), (&json!("get"), &json!("ResponseComplete")));
    }

    #[test]
    fn secrets_are_not_shown() {
        let log = AuditLog::memory().level(AuditLevel::RequestResponse);
        record(&log, "/api/v1/namespaces/a/secrets/b").request_object(br#"{"data": {"a": "b"}}"#);
        record(&log, "/api/v1/namespaces/a/configmaps/b").request_object(br#"{"data": {"a": "b"}}"#);
        let events = log.events();
        assert!(events[0]["requestObject"].is_null());
        assert_eq!(events[1]["requestObject"]["data"]["a"], "b");
    }
}
