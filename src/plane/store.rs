//! The objects, the log of what happened to them, and one counter for both.
//!
//! Objects are immutable and shared. Every write takes the next resourceVersion and leaves exactly one event, so the
//! log is indexed by resourceVersion and a list at an older one is the present with later events undone.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

/// An object as it is stored, with its encoding once somebody asked for it.
#[derive(Debug)]
pub(crate) struct Object {
    pub body: Value,
    encoded: OnceLock<Bytes>,
}

impl Object {
    fn new(body: Value) -> Arc<Object> {
        Arc::new(Object { body, encoded: OnceLock::new() })
    }

    /// An object that is answered and not stored.
    pub fn unsaved(body: Value) -> Arc<Object> {
        Object::new(body)
    }

    /// The object as JSON.
    pub fn json(&self) -> Bytes {
        self.encoded.get_or_init(|| serde_json::to_vec(&self.body).unwrap_or_default().into()).clone()
    }

    pub fn metadata(&self) -> &Value {
        &self.body["metadata"]
    }

    pub fn uid(&self) -> &str {
        self.metadata()["uid"].as_str().unwrap_or_default()
    }

    pub fn revision(&self) -> &str {
        self.metadata()["resourceVersion"].as_str().unwrap_or_default()
    }

    pub fn is_deleting(&self) -> bool {
        self.metadata()["deletionTimestamp"].is_string()
    }
}

/// Where an object is stored: `resource.group`, namespace (empty for cluster-scoped ones), name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub resource: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// One change: what was there before and what is there after.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub revision: u64,
    pub key: Key,
    pub before: Option<Arc<Object>>,
    /// The object after the change; of a deletion its last state, at the deletion's resourceVersion.
    pub after: Arc<Object>,
    pub deleted: bool,
}

/// Why a write was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raced {
    /// Somebody else wrote in between.
    Changed,
}

/// A page of a list.
pub(crate) struct Page {
    pub objects: Vec<Arc<Object>>,
    /// The resourceVersion at which the page is a true picture.
    pub revision: u64,
    /// The last key of the page and how many objects follow, when there are more.
    pub rest: Option<(Arc<str>, Arc<str>, usize)>,
}

/// From where and how far to list.
#[derive(Default)]
pub(crate) struct Range<'a> {
    pub namespace: Option<&'a str>,
    /// Start behind this namespace and name.
    pub after: Option<(&'a str, &'a str)>,
    pub limit: Option<usize>,
    /// As things were at this resourceVersion.
    pub at: Option<u64>,
}

type Collection = BTreeMap<(Arc<str>, Arc<str>), Arc<Object>>;

#[derive(Default)]
struct State {
    revision: u64,
    /// Where the object of a uid is.
    uids: HashMap<String, Key>,
    /// Objects by the uid of an owner.
    owned: BTreeMap<String, BTreeSet<Key>>,
    /// Objects that wait for the garbage collector.
    marked: BTreeSet<Key>,
    collections: HashMap<Arc<str>, Collection>,
    log: VecDeque<Arc<Event>>,
    kept: usize,
}

/// The store.
pub(crate) struct Store {
    state: RwLock<State>,
    latest: watch::Sender<u64>,
}

impl Store {
    /// An empty store that remembers this many changes.
    pub fn new(kept: usize) -> Store {
        let state = State { revision: 1, kept, ..State::default() };
        Store { state: RwLock::new(state), latest: watch::Sender::new(1) }
    }

    /// The last resourceVersion that was given out.
    pub fn revision(&self) -> u64 {
        self.state.read().revision
    }

    /// Tells of new resourceVersions.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.state
            .read()
            .collections
            .get(&key.resource)?
            .get(&(key.namespace.clone(), key.name.clone()))
            .cloned()
    }

    /// Writes an object if what is there is still `expected` (`None`: nothing is there).
    pub fn put(&self, key: &Key, expected: Option<&Arc<Object>>, body: Value) -> Result<Arc<Object>, Raced> {
        let mut state = self.state.write();
        state.check(key, expected)?;
        let (revision, object) = state.stamp(body);
        let place = (key.namespace.clone(), key.name.clone());
        let before = state.collections.entry(key.resource.clone()).or_default().insert(place, object.clone());
        state.record(Event { revision, key: key.clone(), before, after: object.clone(), deleted: false });
        self.latest.send_replace(revision);
        Ok(object)
    }

    /// Removes an object if what is there is still `expected`.
    pub fn remove(&self, key: &Key, expected: &Arc<Object>) -> Result<Arc<Object>, Raced> {
        self.remove_as(key, expected, expected.body.clone())
    }

    /// Removes an object; `last` is the state that watchers are told of.
    pub fn remove_as(&self, key: &Key, expected: &Arc<Object>, last: Value) -> Result<Arc<Object>, Raced> {
        let mut state = self.state.write();
        state.check(key, Some(expected))?;
        let (revision, last) = state.stamp(last);
        let before = state
            .collections
            .get_mut(&key.resource)
            .and_then(|objects| objects.remove(&(key.namespace.clone(), key.name.clone())));
        state.record(Event { revision, key: key.clone(), before, after: last.clone(), deleted: true });
        self.latest.send_replace(revision);
        Ok(last)
    }

    /// A page of a collection. `Err` holds the oldest resourceVersion there is when `at` is older.
    pub fn list(
        &self,
        resource: &str,
        range: &Range<'_>,
        mut wanted: impl FnMut(&Object) -> bool,
    ) -> Result<Page, u64> {
        let state = self.state.read();
        let present = state.collections.get(resource);
        let past = match range.at.filter(|at| *at < state.revision) {
            Some(at) => Some(state.undone(resource, present, at)?),
            None => None,
        };
        let revision = range.at.unwrap_or(state.revision);
        let mut page = Page { objects: Vec::new(), revision, rest: None };
        let Some(objects) = past.as_ref().or(present) else { return Ok(page) };
        let mut last: Option<&(Arc<str>, Arc<str>)> = None;
        let mut more = 0;
        for (place, object) in within(objects, range) {
            if range.limit.is_some_and(|limit| page.objects.len() >= limit) {
                more += usize::from(wanted(object));
            } else if wanted(object) {
                page.objects.push(object.clone());
                last = Some(place);
            }
        }
        page.rest =
            last.filter(|_| more > 0).map(|(namespace, name)| (namespace.clone(), name.clone(), more));
        Ok(page)
    }

    /// The changes after a resourceVersion, oldest first. `Err` holds the oldest one that can be followed.
    pub fn since(&self, revision: u64) -> Result<Vec<Arc<Event>>, u64> {
        let state = self.state.read();
        let oldest = state.oldest();
        if revision < oldest {
            return Err(oldest);
        }
        let skip = (revision - oldest) as usize;
        Ok(state.log.iter().skip(skip).cloned().collect())
    }

    /// Whether some object names this uid as an owner.
    pub fn has_dependents(&self, uid: &str) -> bool {
        self.state.read().owned.contains_key(uid)
    }

    /// The objects that name this uid as an owner.
    pub fn dependents_of(&self, uid: &str) -> Vec<Key> {
        self.state.read().owned.get(uid).into_iter().flatten().cloned().collect()
    }

    /// The objects that have owners.
    pub fn dependents(&self) -> BTreeSet<Key> {
        self.state.read().owned.values().flatten().cloned().collect()
    }

    /// The objects whose deletion waits for the garbage collector.
    pub fn marked(&self) -> Vec<(Key, Arc<Object>)> {
        let keys: Vec<Key> = self.state.read().marked.iter().cloned().collect();
        keys.into_iter().filter_map(|key| self.get(&key).map(|object| (key, object))).collect()
    }

    pub fn has_uid(&self, uid: &str) -> bool {
        self.state.read().uids.contains_key(uid)
    }

    /// Forgets all but the newest changes, as the real server does every few minutes.
    pub fn compact(&self) {
        self.state.write().log.clear();
    }
}

impl State {
    /// The oldest resourceVersion after which every change is known.
    fn oldest(&self) -> u64 {
        self.log.front().map_or(self.revision, |event| event.revision - 1)
    }

    fn check(&self, key: &Key, expected: Option<&Arc<Object>>) -> Result<(), Raced> {
        let there = self
            .collections
            .get(&key.resource)
            .and_then(|objects| objects.get(&(key.namespace.clone(), key.name.clone())));
        match (there, expected) {
            (None, None) => Ok(()),
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Ok(()),
            _ => Err(Raced::Changed),
        }
    }

    fn stamp(&mut self, mut body: Value) -> (u64, Arc<Object>) {
        self.revision += 1;
        body["metadata"]["resourceVersion"] = self.revision.to_string().into();
        (self.revision, Object::new(body))
    }

    fn record(&mut self, event: Event) {
        if let Some(before) = &event.before {
            self.forget(&event.key, before);
        }
        if !event.deleted {
            self.index(&event.key, &event.after);
        }
        self.log.push_back(Arc::new(event));
        while self.log.len() > self.kept {
            self.log.pop_front();
        }
    }

    fn index(&mut self, key: &Key, object: &Object) {
        self.uids.insert(object.uid().to_owned(), key.clone());
        for owner in owners(object) {
            self.owned.entry(owner.to_owned()).or_default().insert(key.clone());
        }
        let waits = |finalizer: &Value| finalizer == "orphan" || finalizer == "foregroundDeletion";
        let finalizers = object.metadata()["finalizers"].as_array();
        if object.is_deleting() && finalizers.is_some_and(|list| list.iter().any(waits)) {
            self.marked.insert(key.clone());
        }
    }

    fn forget(&mut self, key: &Key, object: &Object) {
        self.uids.remove(object.uid());
        self.marked.remove(key);
        for owner in owners(object) {
            if let Some(keys) = self.owned.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.owned.remove(owner);
                }
            }
        }
    }

    fn undone(&self, resource: &str, present: Option<&Collection>, at: u64) -> Result<Collection, u64> {
        let oldest = self.oldest();
        if at < oldest {
            return Err(oldest);
        }
        let mut past = present.cloned().unwrap_or_default();
        for event in self.log.iter().rev().take_while(|event| event.revision > at) {
            if &*event.key.resource == resource {
                let place = (event.key.namespace.clone(), event.key.name.clone());
                match &event.before {
                    Some(before) => past.insert(place, before.clone()),
                    None => past.remove(&place),
                };
            }
        }
        Ok(past)
    }
}

fn owners(object: &Object) -> impl Iterator<Item = &str> {
    let references = object.metadata()["ownerReferences"].as_array();
    references.into_iter().flatten().filter_map(|reference| reference["uid"].as_str())
}

/// The objects of a collection that a range covers.
fn within<'a>(
    objects: &'a Collection,
    range: &Range<'a>,
) -> impl Iterator<Item = (&'a (Arc<str>, Arc<str>), &'a Arc<Object>)> {
    let start = match (range.after, range.namespace) {
        (Some((namespace, name)), _) => Bound::Excluded((Arc::from(namespace), Arc::from(name))),
        (None, Some(namespace)) => Bound::Included((Arc::from(namespace), Arc::from(""))),
        (None, None) => Bound::Unbounded,
    };
    let namespace = range.namespace.map(str::to_owned);
    objects
        .range((start, Bound::Unbounded))
        .take_while(move |((ns, _), _)| namespace.as_deref().is_none_or(|wanted| wanted == &**ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key { resource: "configmaps".into(), namespace: "a".into(), name: name.into() }
    }

    fn names(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|o| o.body["n"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_list_at_an_older_version_is_a_true_picture() {
        let store = Store::new(100);
        let first = store.put(&key("x"), None, json!({"metadata": {}, "n": "x1"})).unwrap();
        let at = store.revision();
        store.put(&key("x"), Some(&first), json!({"metadata": {}, "n": "x2"})).unwrap();
        store.put(&key("y"), None, json!({"metadata": {}, "n": "y"})).unwrap();
        let range = Range { at: Some(at), ..Range::default() };
        assert_eq!(names(&store.list("configmaps", &range, |_| true).unwrap()), ["x1"]);
        assert_eq!(names(&store.list("configmaps", &Range::default(), |_| true).unwrap()), ["x2", "y"]);
    }

    #[test]
    fn a_stale_write_is_refused() {
        let store = Store::new(100);
        let first = store.put(&key("x"), None, json!({"metadata": {}})).unwrap();
        store.put(&key("x"), Some(&first), json!({"metadata": {}})).unwrap();
        assert_eq!(store.put(&key("x"), Some(&first), json!({"metadata": {}})).unwrap_err(), Raced::Changed);
        assert_eq!(store.put(&key("x"), None, json!({"metadata": {}})).unwrap_err(), Raced::Changed);
    }

    #[test]
    fn history_is_bounded() {
        let store = Store::new(2);
        for name in ["a", "b", "c"] {
            store.put(&key(name), None, json!({"metadata": {}})).unwrap();
        }
        assert_eq!(store.since(1).unwrap_err(), 2);
        assert_eq!(store.since(2).unwrap().len(), 2);
        assert!(store.since(4).unwrap().is_empty());
    }
}
