//! Kinds come and go with CustomResourceDefinitions: a watch of these says when to discover anew.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::follow::Sink;
use super::held::Held;
use super::{Change, ChangeKind, Inner};
use crate::cluster::Kinds;
use crate::model::{GroupKind, Gvk, ObjectId, ServedKind};

/// What the definitions promise, and what they no longer do.
#[derive(Default)]
pub(super) struct Promised {
    by_definition: Mutex<BTreeMap<String, Vec<Gvk>>>,
    gone: Mutex<HashSet<Gvk>>,
    pub changed: Notify,
}

pub(super) fn kind() -> ServedKind {
    ServedKind {
        gvk: Gvk::new("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        plural: "customresourcedefinitions".to_owned(),
        namespaced: false,
    }
}

impl Promised {
    fn set(&self, name: &str, kinds: Vec<Gvk>) {
        let mut all = self.by_definition.lock();
        let before = all.get(name);
        if before == Some(&kinds) || before.is_none() && kinds.is_empty() {
            return;
        }
        let mut gone = self.gone.lock();
        gone.extend(before.into_iter().flatten().filter(|gvk| !kinds.contains(gvk)).cloned());
        gone.retain(|gvk| !kinds.contains(gvk));
        if kinds.is_empty() {
            all.remove(name);
        } else {
            all.insert(name.to_owned(), kinds);
        }
        self.changed.notify_one();
    }

    /// Whether discovery has caught up with the definitions.
    fn kept(&self, kinds: &Kinds) -> bool {
        let serves = |gvk: &Gvk| {
            kinds.get(&gvk.group_kind()).is_some_and(|all| all.iter().any(|served| served.gvk == *gvk))
        };
        self.by_definition.lock().values().flatten().all(serves) && !self.gone.lock().iter().any(serves)
    }
}

/// The kinds that a definition serves once the API server has established it.
fn promises(definition: &Value) -> Vec<Gvk> {
    let spec = &definition["spec"];
    let established = definition["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True")
    });
    if !established || definition["metadata"]["deletionTimestamp"].is_string() {
        return Vec::new();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = GroupKind { group: text(&spec["group"]).into(), kind: text(&spec["names"]["kind"]).into() };
    spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["served"] == true)
        .map(|version| Gvk {
            group: group.group.clone(),
            version: text(&version["name"]).into(),
            kind: group.kind.clone(),
        })
        .collect()
}

/// Takes what the watch of the definitions sees.
pub(super) struct Definitions(pub Arc<Inner>);

impl Definitions {
    fn tell(&self, name: &str, what: ChangeKind) {
        let kind = kind().gvk;
        let id = ObjectId::new(&kind.group, &kind.kind, None, name);
        self.0.cache.tell(Change::Object { id, what });
    }
}

impl Sink for Definitions {
    fn put(&self, object: Held, listed: Option<&mut HashSet<ObjectId>>) {
        let Some(name) = object.body["metadata"]["name"].as_str() else { return };
        let kind = kind().gvk;
        match listed {
            Some(listed) => {
                listed.insert(ObjectId::new(&kind.group, &kind.kind, None, name));
            }
            None => self.tell(name, ChangeKind::Modified),
        }
        self.0.promised.set(name, promises(&object.body));
    }

    fn gone(&self, object: Held) {
        let Some(name) = object.body["metadata"]["name"].as_str() else { return };
        self.tell(name, ChangeKind::Deleted);
        self.0.promised.set(name, Vec::new());
    }

    fn listed(&self, listed: &HashSet<ObjectId>) {
        let there: HashSet<&str> = listed.iter().map(ObjectId::name).collect();
        let gone: Vec<String> = self
            .0
            .promised
            .by_definition
            .lock()
            .keys()
            .filter(|name| !there.contains(name.as_str()))
            .cloned()
            .collect();
        for name in gone {
            self.0.promised.set(&name, Vec::new());
        }
    }
}

/// How often to look for a kind that is wanted and not served: it may come without a definition.
const MISSING_KINDS: Duration = Duration::from_secs(60);

/// Discovers anew after each change of the definitions, until discovery shows what they promise.
pub(super) async fn keep_discovering(inner: Arc<Inner>) {
    loop {
        let told = tokio::time::timeout(MISSING_KINDS, inner.promised.changed.notified()).await.is_ok();
        if !told && !inner.lacks_kinds() {
            continue;
        }
        for wait in [50, 300, 1000, 2000, 4000, 8000] {
            // Definitions come in crowds.
            tokio::time::sleep(Duration::from_millis(wait)).await;
            match inner.cluster.discover().await {
                Ok(kinds) => {
                    let caught_up = inner.promised.kept(&kinds);
                    inner.take_kinds(kinds);
                    if caught_up {
                        inner.promised.gone.lock().clear();
                        break;
                    }
                }
                Err(error) => tracing::warn!(%error, "discovery failed"),
            }
        }
    }
}
