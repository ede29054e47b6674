//! Who is there and who belongs to whom, by uid: what the garbage collector asks.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{Event, Key, Object};

#[derive(Default)]
pub(super) struct Relations {
    uids: FxHashSet<u128>,
    /// Owner's uid and the object that names it.
    owned: BTreeSet<(Arc<str>, Key)>,
    /// Objects whose deletion waits for the garbage collector.
    marked: BTreeSet<Key>,
}

/// Uids are random numbers in one spelling; what is spelt otherwise is nobody's.
fn number(uid: &str) -> Option<u128> {
    let as_written = uid.len() == 36 && !uid.bytes().any(|byte| byte.is_ascii_uppercase());
    as_written.then(|| uuid::Uuid::try_parse(uid).ok()).flatten().map(|uid| uid.as_u128())
}

impl Relations {
    /// Whether a change changes anything here; most do not.
    pub fn concerns(event: &Event) -> bool {
        event.deleted || event.before.as_ref().is_none_or(|before| !before.is_related_as(&event.after))
    }

    /// Takes note of a change.
    pub fn record(&mut self, event: &Event) {
        if let Some(before) = &event.before {
            self.forget(&event.key, before);
        }
        if !event.deleted {
            self.add(&event.key, &event.after);
        }
    }

    pub fn add(&mut self, key: &Key, object: &Object) {
        self.uids.extend(number(object.uid()));
        for owner in owners(object) {
            self.owned.insert((owner, key.clone()));
        }
        if object.is_deleting()
            && (object.has_finalizer("orphan") || object.has_finalizer("foregroundDeletion"))
        {
            self.marked.insert(key.clone());
        }
    }

    fn forget(&mut self, key: &Key, object: &Object) {
        if let Some(uid) = number(object.uid()) {
            self.uids.remove(&uid);
        }
        self.marked.remove(key);
        for owner in owners(object) {
            self.owned.remove(&(owner, key.clone()));
        }
    }

    pub fn has_uid(&self, uid: &str) -> bool {
        number(uid).is_some_and(|uid| self.uids.contains(&uid))
    }

    pub fn dependents_of(&self, uid: &str) -> impl Iterator<Item = &Key> {
        let first = Key { resource: "".into(), namespace: "".into(), name: "".into() };
        let from = Bound::Included((Arc::from(uid), first));
        self.owned
            .range((from, Bound::Unbounded))
            .take_while(move |(owner, _)| &**owner == uid)
            .map(|(_, key)| key)
    }

    /// The objects that have owners.
    pub fn dependents(&self) -> BTreeSet<Key> {
        self.owned.iter().map(|(_, key)| key.clone()).collect()
    }

    pub fn marked(&self) -> Vec<Key> {
        self.marked.iter().cloned().collect()
    }
}

fn owners(object: &Object) -> Vec<Arc<str>> {
    let references = object.owners();
    let uids = references.as_array().into_iter().flatten().filter_map(|reference| reference["uid"].as_str());
    uids.map(Arc::from).collect()
}
