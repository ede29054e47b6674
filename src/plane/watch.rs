//! Watches: what happened since a resourceVersion, and what happens next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::Call;
use super::kinds::Resource;
use super::request::{Form, Query};
use super::select::Selection;
use super::server::Server;
use super::status::{Failure, FieldError, respond};
use super::store::{Event, Object, Range};
use super::{clock, convert, read, table, write};

/// How long a watch lasts whose client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);
/// How often a quiet watch says how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

impl Call<'_> {
    /// GET with `watch=true`.
    pub fn watch(&self) -> Result<Response<Body>, Failure> {
        let selection = self.selection()?;
        let initial = self.initial_events()?;
        let given = self.query.get("resourceVersion").unwrap_or_default();
        let from: u64 = if given.is_empty() { 0 } else { self.revision_of(given)? };
        let mut watch = Watch {
            server: self.server.clone(),
            resource: self.resource.clone(),
            scope: self.scope().map(str::to_owned),
            selection,
            form: self.form,
            query: self.query.clone(),
            bookmarks: self.query.flag("allowWatchBookmarks"),
            position: from,
            queue: VecDeque::new(),
            first: true,
            over: false,
        };
        if initial.unwrap_or(from == 0) {
            watch.start_with_present(initial == Some(true));
        } else if from == 0 {
            watch.position = self.server.store.revision();
        } else if let Err(oldest) = self.server.store.since(from) {
            let failure = Failure::expired(format!("too old resource version: {from} ({oldest})"));
            watch.queue.push_back(line("ERROR", &failure.body()));
            watch.over = true;
        }
        let timeout = self.query.number("timeoutSeconds").filter(|s| *s > 0).map(Duration::from_secs);
        Ok(watch.answer(timeout.unwrap_or(DEFAULT_TIMEOUT)))
    }

    fn revision_of(&self, text: &str) -> Result<u64, Failure> {
        text.parse().map_err(|_| {
            let message =
                format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
            let errors = [FieldError::new("resourceVersion", message)];
            Failure::invalid("meta.k8s.io", "ListOptions", "", &errors)
        })
    }

    /// Whether the watch begins with what is there; `None` when the client leaves it to the resourceVersion.
    fn initial_events(&self) -> Result<Option<bool>, Failure> {
        let matching = self.query.get("resourceVersionMatch");
        let wrong = |message: &str| {
            let errors = [FieldError::new("resourceVersionMatch", format!("Forbidden: {message}"))];
            Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors))
        };
        match (self.query.get("sendInitialEvents"), matching) {
            (None, None) => Ok(None),
            (None, Some(_)) => {
                wrong("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
            }
            (Some(_), Some("NotOlderThan")) => Ok(Some(self.query.flag("sendInitialEvents"))),
            (Some(_), _) => wrong("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        }
    }
}

/// A running watch.
struct Watch {
    server: Arc<Server>,
    resource: Arc<Resource>,
    scope: Option<String>,
    selection: Selection,
    form: Form,
    query: Query,
    bookmarks: bool,
    /// The last resourceVersion that was looked at.
    position: u64,
    queue: VecDeque<Bytes>,
    /// No row of a table was sent yet, so that the next one brings the columns.
    first: bool,
    over: bool,
}

impl Watch {
    /// What is there, as if it were added now; with `marked`, followed by the bookmark that ends it.
    fn start_with_present(&mut self, marked: bool) {
        let range = Range { namespace: self.scope.as_deref(), ..Range::default() };
        let selection = &self.selection;
        let page =
            self.server.store.list(&self.resource.collection, &range, |object| selection.matches(object));
        let Ok(page) = page else { return };
        self.position = page.revision;
        for object in &page.objects {
            let event = self.event("ADDED", object);
            self.queue.push_back(event);
        }
        if marked {
            let bookmark = self.bookmark(true);
            self.queue.push_back(bookmark);
        }
    }

    fn answer(self, timeout: Duration) -> Response<Body> {
        let changes = self.server.store.changes();
        let stopped = self.server.stopped();
        let end = Instant::now() + timeout;
        let state = (self, changes, stopped, end);
        let body = stream::unfold(state, |(mut watch, mut changes, mut stopped, end)| async move {
            loop {
                if let Some(bytes) = watch.queue.pop_front() {
                    return Some((
                        Ok::<Bytes, std::convert::Infallible>(bytes),
                        (watch, changes, stopped, end),
                    ));
                }
                if watch.over {
                    return None;
                }
                // Mark what is known as seen before looking, so that nothing falls between looking and waiting.
                changes.borrow_and_update();
                watch.look();
                if !watch.queue.is_empty() || watch.over {
                    continue;
                }
                tokio::select! {
                    changed = changes.changed() => watch.over = changed.is_err(),
                    _ = stopped.wait_for(|stopped| *stopped) => watch.over = true,
                    () = tokio::time::sleep_until(end) => watch.finish(),
                    () = tokio::time::sleep(BOOKMARK_EVERY), if watch.bookmarks => {
                        let bookmark = watch.bookmark(false);
                        watch.queue.push_back(bookmark);
                    }
                }
            }
        });
        respond(200, "application/json", Body::from_stream(body))
    }

    /// Ends the watch, with a last word on how far it came.
    fn finish(&mut self) {
        if self.bookmarks {
            let bookmark = self.bookmark(false);
            self.queue.push_back(bookmark);
        }
        self.over = true;
    }

    /// Queues what happened since the last look.
    fn look(&mut self) {
        match self.server.store.since(self.position) {
            Ok(events) => {
                for event in events {
                    self.position = event.revision;
                    if let Some(bytes) = self.told(&event) {
                        self.queue.push_back(bytes);
                    }
                }
            }
            Err(oldest) => {
                let message = format!("too old resource version: {} ({oldest})", self.position);
                self.queue.push_back(line("ERROR", &Failure::expired(message).body()));
                self.over = true;
            }
        }
    }

    /// How this watch tells of a change: an object that begins or ceases to match is added or deleted.
    fn told(&mut self, event: &Event) -> Option<Bytes> {
        if event.key.resource != self.resource.collection
            || self.scope.as_deref().is_some_and(|scope| scope != &*event.key.namespace)
        {
            return None;
        }
        let matched = event.before.as_ref().is_some_and(|before| self.selection.matches(before));
        let matches = !event.deleted && self.selection.matches(&event.after);
        match (matched, matches) {
            (false, false) => None,
            (false, true) => Some(self.event("ADDED", &event.after)),
            (true, true) => Some(self.event("MODIFIED", &event.after)),
            (true, false) => Some(self.gone(event)),
        }
    }

    /// The last state that matched, at the resourceVersion at which it ceased to.
    fn gone(&mut self, event: &Event) -> Bytes {
        match &event.before {
            Some(before) if !event.deleted => {
                let mut body = before.body.clone();
                body["metadata"]["resourceVersion"] = event.revision.to_string().into();
                self.event("DELETED", &Object::unsaved(body))
            }
            _ => self.event("DELETED", &event.after),
        }
    }

    fn event(&mut self, kind: &str, object: &Arc<Object>) -> Bytes {
        match self.form {
            Form::Whole if convert::is_stored_form(&self.resource) => {
                let json = object.json();
                let mut bytes = Vec::with_capacity(json.len() + 40);
                bytes.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
                bytes.extend_from_slice(&json);
                bytes.extend_from_slice(b"}\n");
                bytes.into()
            }
            Form::Whole => line(kind, &write::served(&self.resource, object)),
            Form::Metadata => line(kind, &read::metadata_of(object)),
            Form::Table => {
                let header = std::mem::take(&mut self.first);
                let metadata = json!({"resourceVersion": object.revision()});
                let rows = std::slice::from_ref(object);
                line(kind, &table::of(&self.resource, rows, metadata, &self.query, header, &clock::now()))
            }
        }
    }

    fn bookmark(&self, initial: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.position.to_string(), "creationTimestamp": null});
        if initial {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let (api_version, kind) = match self.form {
            Form::Whole => (self.resource.gvk.api_version(), self.resource.gvk.kind.to_string()),
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata".to_owned()),
            Form::Table => {
                let empty = table::of(&self.resource, &[], metadata, &self.query, false, &clock::now());
                return line("BOOKMARK", &empty);
            }
        };
        line("BOOKMARK", &json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut bytes = json!({"type": kind, "object": object}).to_string().into_bytes();
    bytes.push(b'\n');
    bytes.into()
}
