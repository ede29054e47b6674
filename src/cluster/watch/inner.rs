//! Which watches there are, how each stands, and what goes from them into the cache.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::follow::{Selection, Sink, follow};
use super::held::Held;
use super::{Change, Inner, Key, Task, crds};
use crate::cluster::{ClusterError, Kinds};
use crate::model::{LiveObject, OWNER_LABEL, ObjectId, ServedKind};

impl Inner {
    /// Whether a watch keeps this object: it is named, or known and ours.
    pub(super) fn is_followed(&self, id: &ObjectId) -> bool {
        if self.desired.lock().named.contains_key(id) || Key::Namespaces.group_kind() == id.group_kind() {
            return true;
        }
        let state = self.cache.state.read();
        state.objects.get(id).is_some_and(|object| object.label(OWNER_LABEL) == Some(&self.owner))
    }

    /// Starts and ends watches until they are those that are wanted.
    pub(super) fn reconcile(self: &Arc<Inner>) {
        let wanted = self.wanted();
        let mut ended = Vec::new();
        {
            let mut tasks = self.tasks.lock();
            let fixed = |key: &Key| matches!(key, Key::Namespaces | Key::Definitions);
            tasks.retain(|key, task| {
                let keep =
                    fixed(key) || wanted.get(key).is_some_and(|served| served.as_ref() == Some(&task.kind));
                if !keep {
                    ended.push(key.clone());
                }
                keep
            });
            let mut standing = self.standing.lock();
            let relevant = |key: &Key| fixed(key) || wanted.contains_key(key);
            standing.pending.retain(|key| relevant(key) && !ended.contains(key));
            standing.problems.retain(|key, _| relevant(key));
        }
        for key in &ended {
            self.forget(key);
        }
        for (key, served) in wanted {
            match served {
                Some(kind) => {
                    let selection = match &key {
                        Key::Named(id) => Selection::Named(id.clone()),
                        _ => Selection::Labelled(format!("{OWNER_LABEL}={}", self.owner)),
                    };
                    self.begin(key, &kind, selection);
                }
                None => {
                    let what = key.group_kind().to_string();
                    self.lost(&key, ClusterError::NotServed { what });
                }
            }
        }
        self.settled.notify_waiters();
    }

    /// The watches that should be, each with how its kind is served.
    fn wanted(&self) -> BTreeMap<Key, Option<ServedKind>> {
        let desired = self.desired.lock();
        let state = self.cache.state.read();
        let mut wanted = BTreeMap::new();
        let everywhere = Key::Namespaces.group_kind();
        for gvk in desired.kinds.iter().filter(|gvk| gvk.group_kind() != everywhere) {
            let kind = gvk.group_kind();
            let served = state.kinds.get(&kind).and_then(|versions| {
                versions.iter().find(|served| desired.kinds.contains(&served.gvk)).cloned()
            });
            wanted.insert(Key::Owned(kind), served);
        }
        for (id, gvk) in desired.named.iter().filter(|(id, _)| id.group_kind() != everywhere) {
            // In the version in which the rest of its kind is followed, for there is one body for an identity.
            let followed: Option<Option<ServedKind>> = wanted.get(&Key::Owned(id.group_kind())).cloned();
            let served = followed.flatten().or_else(|| state.served(gvk).cloned());
            wanted.insert(Key::Named(id.clone()), served);
        }
        wanted
    }

    /// Drops what a watch that has ended brought in.
    fn forget(&self, key: &Key) {
        let mine: Vec<ObjectId> = match key {
            Key::Named(id) => vec![id.clone()],
            Key::Owned(kind) => {
                let state = self.cache.state.read();
                state.objects.keys().filter(|id| id.group_kind() == *kind).cloned().collect()
            }
            Key::Definitions | Key::Namespaces => Vec::new(),
        };
        let tasks = self.tasks.lock();
        for id in mine {
            let still_named = tasks.contains_key(&Key::Named(id.clone()));
            let still_owned = tasks.contains_key(&Key::Owned(id.group_kind()))
                && self.cache.state.read().objects.get(&id).is_some_and(|object| self.is_ours(object));
            if !still_named && !still_owned {
                self.cache.remove(&id);
            }
        }
    }

    fn is_ours(&self, object: &LiveObject) -> bool {
        object.label(OWNER_LABEL) == Some(&self.owner)
    }

    pub(super) fn begin(self: &Arc<Inner>, key: Key, kind: &ServedKind, selection: Selection) {
        let mut tasks = self.tasks.lock();
        if tasks.contains_key(&key) {
            return;
        }
        {
            let mut standing = self.standing.lock();
            standing.pending.insert(key.clone());
            standing.problems.remove(&key);
        }
        let sink = Objects { inner: Arc::clone(self), key: key.clone(), kind: kind.clone() };
        let task = follow(Arc::clone(self), key.clone(), kind.clone(), selection, sink);
        tasks.insert(key, Task { kind: kind.clone(), handles: vec![tokio::spawn(task)] });
    }

    pub(super) fn begin_definitions(self: &Arc<Inner>) {
        let kind = crds::kind();
        self.standing.lock().pending.insert(Key::Definitions);
        let sink = crds::Definitions(Arc::clone(self));
        let watch = follow(Arc::clone(self), Key::Definitions, kind.clone(), Selection::All, sink);
        let handles = vec![tokio::spawn(watch), tokio::spawn(crds::keep_discovering(Arc::clone(self)))];
        self.tasks.lock().insert(Key::Definitions, Task { kind, handles });
    }

    /// Takes what discovery found.
    pub(super) fn take_kinds(self: &Arc<Inner>, kinds: Kinds) {
        {
            let mut state = self.cache.state.write();
            if state.kinds == kinds {
                return;
            }
            state.kinds = kinds;
        }
        self.reconcile();
        self.cache.tell(Change::Kinds);
    }

    pub(super) fn synced(&self, key: &Key) {
        let news = {
            let mut standing = self.standing.lock();
            standing.pending.remove(key) | standing.problems.remove(key).is_some()
        };
        if news {
            self.cache.tell(Change::Synced(key.group_kind()));
            self.settled.notify_waiters();
        }
    }

    pub(super) fn lost(&self, key: &Key, error: ClusterError) {
        // Without a watch of the definitions, trying again is the occasion to look for new kinds.
        if *key == Key::Definitions || matches!(error, ClusterError::NotServed { .. } if self.is_running(key))
        {
            self.promised.changed.notify_one();
        }
        let news = {
            let mut standing = self.standing.lock();
            standing.pending.remove(key);
            standing.problems.insert(key.clone(), error.clone()).is_none()
        };
        if news {
            self.cache.tell(Change::Lost { kind: key.group_kind(), error });
        }
        self.settled.notify_waiters();
    }

    pub(super) fn lacks_kinds(&self) -> bool {
        let standing = self.standing.lock();
        standing.problems.values().any(|error| matches!(error, ClusterError::NotServed { .. }))
    }

    fn is_running(&self, key: &Key) -> bool {
        self.tasks.lock().contains_key(key)
    }
}

/// Takes what a watch of objects sees.
struct Objects {
    inner: Arc<Inner>,
    key: Key,
    kind: ServedKind,
}

impl Objects {
    /// A watch that was just ended may have one message left.
    fn is_current(&self) -> bool {
        self.inner.tasks.lock().get(&self.key).is_some_and(|task| task.kind == self.kind)
    }

    /// Whether another watch answers for this object.
    fn is_named(&self, id: &ObjectId) -> bool {
        !matches!(self.key, Key::Named(_)) && self.inner.desired.lock().named.contains_key(id)
    }
}

impl Sink for Objects {
    fn begin(&self) {
        self.inner.cache.list_begins(&self.key.group_kind());
    }

    fn put(&self, object: Held, listed: Option<&mut HashSet<ObjectId>>) {
        let body = object.into_body(&self.kind);
        if let Ok(id) = ObjectId::of(&body)
            && self.is_current()
        {
            self.inner.desired.lock().guests.remove(&id);
            if let Some(listed) = listed {
                listed.insert(id);
            }
            self.inner.cache.put(body);
        }
    }

    fn gone(&self, object: Held) {
        let body = object.into_body(&self.kind);
        if let Ok(id) = ObjectId::of(&body)
            && self.is_current()
            && !self.is_named(&id)
        {
            self.inner.cache.removed(&body);
        }
    }

    fn listed(&self, listed: &HashSet<ObjectId>) {
        if !self.is_current() {
            return;
        }
        let kind = self.key.group_kind();
        let (named, guests): (HashSet<ObjectId>, HashSet<ObjectId>) = {
            let desired = self.inner.desired.lock();
            (desired.named.keys().cloned().collect(), desired.guests.clone())
        };
        self.inner.cache.list_ended(listed, |id| match &self.key {
            Key::Named(mine) => id == mine,
            _ => id.group_kind() == kind && !named.contains(id) && !guests.contains(id),
        });
    }
}
