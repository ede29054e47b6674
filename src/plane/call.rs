//! One request to one resource, and its answer.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use super::auth::User;
use super::kinds::Resource;
use super::request::{Form, Query, WriteOptions};
use super::server::Server;
use super::store::{Key, Object};

/// A part of an object with an endpoint of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subresource {
    Status,
    Scale,
    /// `namespaces/x/finalize`.
    Finalize,
    /// `serviceaccounts/x/token`.
    Token,
}

impl Subresource {
    pub fn name(&self) -> &'static str {
        match self {
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Finalize => "finalize",
            Subresource::Token => "token",
        }
    }
}

/// What is noticed while a request is answered, whatever becomes of it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: Mutex<Vec<String>>,
    annotations: Mutex<Vec<(String, String)>>,
}

impl Notes {
    /// A warning for the client; what was said already is not said again.
    pub fn warn(&self, warning: String) {
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// A note for the audit log; the first one of a key stays.
    pub fn annotate(&self, key: String, value: String) {
        let mut annotations = self.annotations.lock();
        if !annotations.iter().any(|(known, _)| *known == key) {
            annotations.push((key, value));
        }
    }

    /// Whether there is something to tell the audit log.
    pub fn are_annotated(&self) -> bool {
        !self.annotations.lock().is_empty()
    }

    /// What the audit log is told of this request beside what it knows.
    pub fn annotations(&self) -> Vec<(String, String)> {
        self.annotations.lock().clone()
    }

    /// The warnings so far, which are then forgotten.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }
}

/// A request to a resource.
pub(crate) struct Call<'a> {
    pub server: &'a Arc<Server>,
    /// Who asks, after impersonation.
    pub user: Arc<User>,
    pub resource: Arc<Resource>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<Subresource>,
    pub query: Query,
    pub options: WriteOptions,
    pub form: Form,
    /// The time of the request, as the server writes times.
    pub now: String,
    pub notes: Arc<Notes>,
}

impl Call<'_> {
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    pub fn key_of(&self, name: &str) -> Key {
        let namespace = if self.resource.namespaced { self.namespace() } else { "" };
        Key { resource: self.resource.collection.clone(), namespace: namespace.into(), name: name.into() }
    }

    /// The stored object of this name.
    pub fn live(&self) -> Option<Arc<Object>> {
        self.server.store.get(&self.key_of(self.name()))
    }
}

/// What is answered when all went well.
pub(crate) struct Answer {
    pub code: u16,
    pub content: Content,
    pub warnings: Vec<String>,
}

/// The content of an answer.
pub(crate) enum Content {
    /// An object of the resource.
    Object(Arc<Object>),
    /// Anything else that is answered as it is.
    Value(Value),
    /// The same, encoded already.
    Json(Bytes),
}

impl Answer {
    pub fn object(code: u16, object: Arc<Object>) -> Answer {
        Answer { code, content: Content::Object(object), warnings: Vec::new() }
    }

    pub fn value(code: u16, value: Value) -> Answer {
        Answer { code, content: Content::Value(value), warnings: Vec::new() }
    }

    /// Another view of the answered object.
    #[must_use]
    pub fn map_body(self, view: impl FnOnce(&Value) -> Value) -> Answer {
        let content = match self.content {
            Content::Object(object) => Content::Value(view(&object.body())),
            Content::Value(value) => Content::Value(view(&value)),
            Content::Json(json) => Content::Json(json),
        };
        Answer { content, ..self }
    }
}
