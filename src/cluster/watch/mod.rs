//! Watch caches: the part of a cluster that matters, kept up to date without asking.
//!
//! Followed are, each with one watch over the whole cluster: all Namespaces, all CustomResourceDefinitions (for the
//! kinds that they bring, their bodies are not kept), and for each kind that is wanted the objects with our owner
//! label. Single objects of others can be named. What our own requests were answered goes in at once.

mod cache;
mod crds;
mod follow;
mod held;
mod inner;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::{Cluster, ClusterError};
use crate::model::{GroupKind, Gvk, LiveObject, LiveState, ObjectId, ServedKind};
use cache::Cache;
use follow::Selection;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is another than before.
    Modified,
    /// It is gone, or no longer has our label.
    Deleted,
}

/// News from a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An object changed by somebody else's hand; the answers to our own requests are not told.
    Object {
        /// Which.
        id: ObjectId,
        /// What happened to it.
        what: ChangeKind,
    },
    /// Other kinds are served than before.
    Kinds,
    /// A kind is up to date again.
    Synced(GroupKind),
    /// A kind cannot be followed for now, because it is forbidden, not served, or the cluster does not answer. What was
    /// known of it stays.
    Lost {
        /// Which.
        kind: GroupKind,
        /// Why.
        error: ClusterError,
    },
}

/// The watches of one cluster. Dropping it ends them.
pub struct Watches {
    inner: Arc<Inner>,
}

/// Names a watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Definitions,
    Namespaces,
    Owned(GroupKind),
    Named(ObjectId),
}

struct Inner {
    cluster: Cluster,
    owner: String,
    cache: Cache,
    promised: crds::Promised,
    desired: Mutex<Desired>,
    tasks: Mutex<HashMap<Key, Task>>,
    standing: Mutex<Standing>,
    settled: Notify,
}

#[derive(Default)]
struct Desired {
    kinds: BTreeSet<Gvk>,
    named: BTreeMap<ObjectId, Gvk>,
    /// Not ours, looked at because they have the identity of something rendered.
    guests: HashSet<ObjectId>,
}

struct Task {
    kind: ServedKind,
    handles: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Standing {
    pending: HashSet<Key>,
    problems: BTreeMap<Key, ClusterError>,
}

impl Drop for Task {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.abort();
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.inner.tasks.lock().clear();
    }
}

impl Watches {
    /// Discovers the kinds and begins to follow Namespaces and definitions. `owner` is the name in our owner label.
    ///
    /// # Errors
    /// [`ClusterError`] when the first discovery fails.
    pub async fn start(
        cluster: Cluster,
        owner: &str,
    ) -> Result<(Watches, UnboundedReceiver<Change>), ClusterError> {
        let kinds = cluster.discover().await?;
        let (sender, changes) = unbounded_channel();
        let inner = Arc::new(Inner {
            cluster,
            owner: owner.to_owned(),
            cache: Cache::new(sender),
            promised: crds::Promised::default(),
            desired: Mutex::default(),
            tasks: Mutex::default(),
            standing: Mutex::default(),
            settled: Notify::new(),
        });
        inner.cache.state.write().kinds = kinds;
        let namespaces = ServedKind {
            gvk: Gvk::new("v1", "Namespace"),
            plural: "namespaces".to_owned(),
            namespaced: false,
        };
        inner.begin(Key::Namespaces, &namespaces, Selection::All);
        inner.begin_definitions();
        Ok((Watches { inner }, changes))
    }

    /// The state, shared with the watches: hold its lock for moments only.
    pub fn state(&self) -> Arc<RwLock<LiveState>> {
        Arc::clone(&self.inner.cache.state)
    }

    /// The state as it is now. Bodies are shared, not copied.
    pub fn snapshot(&self) -> LiveState {
        self.inner.cache.state.read().clone()
    }

    /// Follows our objects of exactly these kinds. A kind wanted in several versions is followed in the one that the
    /// API server prefers; one that is not served (yet) is followed as soon as it is.
    pub fn follow(&self, kinds: impl IntoIterator<Item = Gvk>) {
        self.inner.desired.lock().kinds = kinds.into_iter().collect();
        self.inner.reconcile();
    }

    /// Follows exactly these single objects beside ours, whoever owns them.
    pub fn name(&self, objects: impl IntoIterator<Item = (Gvk, ObjectId)>) {
        self.inner.desired.lock().named = objects.into_iter().map(|(gvk, id)| (id, gvk)).collect();
        self.inner.reconcile();
    }

    /// Reads those of these objects that no watch knows: they may be there without our label. What was read by an
    /// earlier call, and still is not ours, is read again. Answers with what could not be read.
    pub async fn look(
        &self,
        objects: impl IntoIterator<Item = (ServedKind, ObjectId)>,
    ) -> Vec<(ObjectId, ClusterError)> {
        let inner = &self.inner;
        let wanted: Vec<(ServedKind, ObjectId)> = objects.into_iter().collect();
        let ids: HashSet<&ObjectId> = wanted.iter().map(|(_, id)| id).collect();
        let departed: Vec<ObjectId> = {
            let mut desired = inner.desired.lock();
            let (kept, departed): (Vec<_>, Vec<_>) = desired.guests.drain().partition(|id| ids.contains(id));
            desired.guests.extend(kept);
            departed
        };
        for id in departed.iter().filter(|id| !inner.is_followed(id)) {
            inner.cache.remove(id);
        }
        let unknown: Vec<(ServedKind, ObjectId)> =
            wanted.into_iter().filter(|(_, id)| !inner.is_followed(id)).collect();
        let answers: Vec<_> = futures::stream::iter(unknown)
            .map(|(kind, id)| {
                let cluster = inner.cluster.clone();
                async move {
                    let answer = cluster.get(&kind, &id).await;
                    (id, answer)
                }
            })
            .buffer_unordered(8)
            .collect()
            .await;
        let mut failed = Vec::new();
        for (id, answer) in answers {
            match answer {
                Ok(Some(object)) => {
                    inner.desired.lock().guests.insert(id.clone());
                    inner.cache.feed(&object);
                }
                Ok(None) => {
                    inner.cache.remove(&id);
                }
                Err(error) => failed.push((id.clone(), error)),
            }
        }
        failed
    }

    /// Takes the answer to a write, so that whoever looks next sees it before the watch tells.
    pub fn feed(&self, object: &LiveObject) {
        self.inner.cache.feed(object);
    }

    /// Takes note that a deletion was carried out.
    pub fn feed_deleted(&self, id: &ObjectId) {
        self.inner.cache.remove(id);
    }

    /// Waits until each watch has its first list, or has failed.
    pub async fn settled(&self) {
        loop {
            let notified = self.inner.settled.notified();
            let mut notified = std::pin::pin!(notified);
            // Listening begins before the look, so that no wake-up is lost in between.
            notified.as_mut().enable();
            if self.inner.standing.lock().pending.is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// What cannot be followed, and why.
    pub fn problems(&self) -> BTreeMap<GroupKind, ClusterError> {
        let standing = self.inner.standing.lock();
        standing.problems.iter().map(|(key, error)| (key.group_kind(), error.clone())).collect()
    }
}

impl Key {
    fn group_kind(&self) -> GroupKind {
        match self {
            Key::Definitions => crds::kind().gvk.group_kind(),
            Key::Namespaces => GroupKind { group: "".into(), kind: "Namespace".into() },
            Key::Owned(kind) => kind.clone(),
            Key::Named(id) => id.group_kind(),
        }
    }
}

#[cfg(test)]
mod tests;
