//! Watches: what happened since a resourceVersion, and what happens next.

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
use super::list_options::{ListOptions, revision_of};
use super::request::{Form, Query};
use super::select::Selection;
use super::server::Server;
use super::status::{Failure, respond};
use super::store::{Event, Feed, Object, Range};
use super::{clock, read, table};

/// How long a watch lasts whose client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);
/// How often a quiet watch says how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How many bytes are sent at once, if there are so many.
const CHUNK: usize = 64 * 1024;
/// How many changes are taken from the history at once.
const STEP: usize = 64;
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

impl Call<'_> {
    /// GET with `watch=true`.
    pub fn watch(&self) -> Result<Response<Body>, Failure> {
        let options = ListOptions::of(&self.query, &self.resource)?;
        let from = revision_of(&options.revision).map_err(Failure::internal)?;
        let mut watch = Watch {
            server: self.server.clone(),
            feed: self.server.store.feed(&self.resource.collection),
            resource: self.resource.clone(),
            scope: self.scope().map(str::to_owned),
            selection: options.selection,
            form: self.form,
            query: self.query.clone(),
            bookmarks: options.bookmarks,
            position: from,
            present: Vec::new().into_iter(),
            mark: false,
            out: Vec::new(),
            first: true,
            over: false,
        };
        if options.initial == Some(true) {
            watch.start_with_present(options.bookmarks);
        } else if from == 0 {
            watch.position = self.server.store.revision();
        } else if from < self.server.store.oldest() {
            watch.expire(self.server.store.oldest());
        }
        Ok(watch.answer(options.timeout.unwrap_or(DEFAULT_TIMEOUT)))
    }
}

/// A running watch. It goes as fast as its client reads: what is not sent yet is not copied from the history, and a
/// client that falls behind the history is told so (410) and cut.
struct Watch {
    server: Arc<Server>,
    feed: Feed,
    resource: Arc<Resource>,
    scope: Option<String>,
    selection: Selection,
    form: Form,
    query: Query,
    bookmarks: bool,
    /// The last resourceVersion that was looked at.
    position: u64,
    /// What was there when the watch began and was not told yet.
    present: std::vec::IntoIter<Arc<Object>>,
    /// Whether a bookmark ends what was there.
    mark: bool,
    /// What is sent next.
    out: Vec<u8>,
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
        self.present = page.objects.into_iter();
        self.mark = marked;
    }

    fn answer(self, timeout: Duration) -> Response<Body> {
        let stopped = self.server.stopped();
        let now = Instant::now();
        let state = (self, stopped, now + BOOKMARK_EVERY, now + timeout);
        let body = stream::unfold(state, |(mut watch, mut stopped, mut bookmark_at, end)| async move {
            loop {
                watch.look();
                if !watch.out.is_empty() {
                    let chunk = Bytes::from(std::mem::take(&mut watch.out));
                    let state = (watch, stopped, bookmark_at, end);
                    return Some((Ok::<Bytes, std::convert::Infallible>(chunk), state));
                }
                if watch.over {
                    return None;
                }
                tokio::select! {
                    more = watch.feed.changed() => watch.over = !more,
                    _ = stopped.wait_for(|stopped| *stopped) => watch.over = true,
                    () = tokio::time::sleep_until(end) => watch.finish(),
                    () = tokio::time::sleep_until(bookmark_at), if watch.bookmarks => {
                        watch.bookmark(false);
                        bookmark_at = Instant::now() + BOOKMARK_EVERY;
                    }
                }
            }
        });
        respond(200, "application/json", Body::from_stream(body))
    }

    /// Ends the watch, with a last word on how far it came.
    fn finish(&mut self) {
        if self.bookmarks {
            self.bookmark(false);
        }
        self.over = true;
    }

    fn expire(&mut self, oldest: u64) {
        let message = format!("too old resource version: {} ({oldest})", self.position);
        line("ERROR", &Failure::expired(message).body(), &mut self.out);
        self.over = true;
    }

    /// Prepares what is to be sent next: of what was there first, then of what happened since the last look.
    fn look(&mut self) {
        while self.out.len() < CHUNK && !self.over {
            if let Some(object) = self.present.next() {
                self.event("ADDED", &object);
            } else if std::mem::take(&mut self.mark) {
                self.bookmark(true);
            } else if !self.follow() {
                return;
            }
        }
    }

    /// Whether something happened since the last look.
    fn follow(&mut self) -> bool {
        // All changes up to here can be seen; those that are seen beside them are of this collection.
        let published = self.server.store.revision();
        match self.feed.since(self.position, STEP) {
            Ok(events) if events.is_empty() => {
                self.position = self.position.max(published);
                false
            }
            Ok(events) => {
                for event in &events {
                    self.position = event.revision;
                    self.tell(event);
                }
                true
            }
            Err(oldest) => {
                self.expire(oldest);
                true
            }
        }
    }

    /// Tells of a change: an object that begins or ceases to match is added or deleted.
    fn tell(&mut self, event: &Event) {
        if self.scope.as_deref().is_some_and(|scope| scope != &*event.key.namespace) {
            return;
        }
        let everything = self.selection.is_everything();
        let matched =
            event.before.as_ref().is_some_and(|before| everything || self.selection.matches(before));
        let matches = !event.deleted && (everything || self.selection.matches(&event.after));
        match (matched, matches) {
            (false, false) => {}
            (false, true) => self.event("ADDED", &event.after),
            (true, true) => self.event("MODIFIED", &event.after),
            // The last state that matched, at the resourceVersion at which it ceased to.
            (true, false) => match &event.before {
                Some(before) if !event.deleted => self.event("DELETED", &before.at(event.revision)),
                _ => self.event("DELETED", &event.after),
            },
        }
    }

    fn event(&mut self, kind: &str, object: &Arc<Object>) {
        let out = &mut self.out;
        match self.form {
            Form::Whole | Form::Metadata => {
                out.extend_from_slice(b"{\"type\":\"");
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(b"\",\"object\":");
                read::write_object(&self.resource, object, self.form, out);
                out.extend_from_slice(b"}\n");
            }
            Form::Table => {
                let header = std::mem::take(&mut self.first);
                let metadata = json!({"resourceVersion": object.revision()});
                let rows = std::slice::from_ref(object);
                let now = clock::now();
                let table = table::of(&self.resource, rows, metadata, &self.query, header, &now);
                line(kind, &table, out);
            }
        }
    }

    fn bookmark(&mut self, initial: bool) {
        let mut metadata = json!({"resourceVersion": self.position.to_string()});
        if initial {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let gvk = &self.resource.gvk;
        // An object of which there is nothing but the version.
        let body = json!({"apiVersion": gvk.api_version(), "kind": &*gvk.kind, "metadata": metadata});
        match self.form {
            Form::Whole => line("BOOKMARK", &body, &mut self.out),
            Form::Metadata | Form::Table => self.event("BOOKMARK", &Object::unsaved(body)),
        }
    }
}

fn line(kind: &str, object: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(json!({"type": kind, "object": object}).to_string().as_bytes());
    out.push(b'\n');
}
