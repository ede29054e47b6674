//! What a cluster holds, as plain data.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::{GroupKind, Gvk, ObjectId};

/// A kind that the API server serves in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKind {
    /// Group, version, kind.
    pub gvk: Gvk,
    /// The resource's name in URLs, `deployments`.
    pub plural: String,
    /// Whether objects of it live in namespaces.
    pub namespaced: bool,
}

/// An object as the API server answered it, managed fields included.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveObject {
    /// The body.
    pub body: Arc<Value>,
}

/// Somebody who wrote fields of an object: an entry of its managed fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Field manager.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// When it last wrote, as the API server says it.
    pub time: Option<String>,
}

/// The part of a cluster that matters here: what is ours, what has the identity of something we render, namespaces,
/// and which kinds are served.
#[derive(Debug, Clone, Default)]
pub struct LiveState {
    /// Objects by identity.
    pub objects: HashMap<ObjectId, LiveObject>,
    /// Served kinds; each kind's preferred version first.
    pub kinds: HashMap<GroupKind, Vec<ServedKind>>,
    /// All namespaces by name, as triggers of generate rules.
    pub namespaces: BTreeMap<String, LiveObject>,
}

impl LiveObject {
    /// An object as it was answered.
    pub fn new(body: Value) -> LiveObject {
        LiveObject { body: Arc::new(body) }
    }

    /// `metadata.uid`; empty if there is none.
    pub fn uid(&self) -> &str {
        self.body["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// `metadata.resourceVersion`; empty if there is none.
    pub fn resource_version(&self) -> &str {
        self.body["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.body["metadata"]["labels"][name].as_str()
    }

    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.body["metadata"]["annotations"][name].as_str()
    }

    /// Whether its deletion has begun.
    pub fn is_deleting(&self) -> bool {
        self.body["metadata"]["deletionTimestamp"].is_string()
    }
}

impl LiveState {
    /// How the API server serves a kind in a version; `None` when it does not.
    pub fn served(&self, gvk: &Gvk) -> Option<&ServedKind> {
        self.kinds.get(&gvk.group_kind())?.iter().find(|kind| kind.gvk.version == gvk.version)
    }
}
