//! The objects, the history of what happened to them, and one counter for both.
//!
//! Objects are immutable, shared and kept as the JSON that is answered. Every write takes the next resourceVersion and
//! leaves exactly one event, so that a list at an older one is the present with later events undone. Writes are done
//! one after the other; who reads waits only while a change is put into the very collection that he reads.

mod collection;
mod object;
mod relations;
mod skim;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;

use collection::Collection;
use object::Draft;
pub(crate) use object::Object;
use relations::Relations;

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

/// How much of what happened is remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    pub changes: usize,
    /// Bytes that are kept only because something happened to them.
    pub bytes: usize,
}

/// The store.
pub(crate) struct Store {
    /// Held while a change is made: changes happen one after the other.
    writing: Mutex<Writing>,
    collections: RwLock<HashMap<Arc<str>, Arc<Collection>>>,
    relations: RwLock<Relations>,
    /// The last resourceVersion all of whose changes can be read.
    published: AtomicU64,
    /// The oldest resourceVersion after which every change is known.
    oldest: AtomicU64,
}

struct Writing {
    revision: u64,
    limits: History,
    /// Whose change happened when, oldest first, and how many bytes only it keeps.
    remembered: VecDeque<(u64, u32, Arc<Collection>)>,
    bytes: usize,
}

/// The changes of one collection, for a watch.
pub(crate) struct Feed {
    collection: Arc<Collection>,
    changes: watch::Receiver<u64>,
}

impl Store {
    /// An empty store.
    pub fn new(limits: History) -> Store {
        let writing = Writing { revision: 1, limits, remembered: VecDeque::new(), bytes: 0 };
        Store {
            writing: Mutex::new(writing),
            collections: RwLock::default(),
            relations: RwLock::default(),
            published: AtomicU64::new(1),
            oldest: AtomicU64::new(1),
        }
    }

    /// The last resourceVersion that was given out.
    pub fn revision(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// The oldest resourceVersion after which every change is known.
    pub fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Acquire)
    }

    /// The changes of a collection.
    pub fn feed(&self, resource: &str) -> Feed {
        let collection = self.collection_or_new(resource);
        Feed { changes: collection.changes.subscribe(), collection }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.collection(&key.resource)?.get(key)
    }

    /// Writes an object if what is there is still `expected` (`None`: nothing is there).
    pub fn put(&self, key: &Key, expected: Option<&Arc<Object>>, body: Value) -> Result<Arc<Object>, Raced> {
        self.write(key, expected, body, false)
    }

    /// Removes an object if what is there is still `expected`.
    pub fn remove(&self, key: &Key, expected: &Arc<Object>) -> Result<Arc<Object>, Raced> {
        self.remove_as(key, expected, expected.body())
    }

    /// Removes an object; `last` is the state that watchers are told of.
    pub fn remove_as(&self, key: &Key, expected: &Arc<Object>, last: Value) -> Result<Arc<Object>, Raced> {
        self.write(key, Some(expected), last, true)
    }

    fn write(
        &self,
        key: &Key,
        expected: Option<&Arc<Object>>,
        mut body: Value,
        deleted: bool,
    ) -> Result<Arc<Object>, Raced> {
        let draft = Draft::new(&mut body, self.revision() + 1);
        let collection = self.collection_or_new(&key.resource);
        let mut writing = self.writing.lock();
        match (collection.get(key), expected) {
            (None, None) => {}
            (Some(there), Some(expected)) if Arc::ptr_eq(&there, expected) => {}
            _ => return Err(Raced::Changed),
        }
        let revision = writing.revision + 1;
        let object = draft.stamp(revision);
        writing.revision = revision;
        let event = collection.change(key, &object, revision, deleted);
        if Relations::concerns(&event) {
            self.relations.write().record(&event);
        }
        self.published.store(revision, Ordering::Release);
        writing.remember(&event, &collection, &self.oldest);
        drop(writing);
        // Two writers may come here in either order; who waits looks for himself.
        collection.changes.send_replace(revision);
        Ok(object)
    }

    /// A page of a collection. `Err` holds the oldest resourceVersion there is when `at` is older.
    pub fn list(
        &self,
        resource: &str,
        range: &Range<'_>,
        wanted: impl FnMut(&Object) -> bool,
    ) -> Result<Page, u64> {
        self.collection_or_new(resource).list(range, (&self.published, &self.oldest), wanted)
    }

    /// Whether some object names this uid as an owner.
    pub fn has_dependents(&self, uid: &str) -> bool {
        self.relations.read().dependents_of(uid).next().is_some()
    }

    /// The objects that name this uid as an owner.
    pub fn dependents_of(&self, uid: &str) -> Vec<Key> {
        self.relations.read().dependents_of(uid).cloned().collect()
    }

    /// The objects that have owners.
    pub fn dependents(&self) -> BTreeSet<Key> {
        self.relations.read().dependents()
    }

    /// The objects whose deletion waits for the garbage collector.
    pub fn marked(&self) -> Vec<(Key, Arc<Object>)> {
        let keys = self.relations.read().marked();
        keys.into_iter().filter_map(|key| self.get(&key).map(|object| (key, object))).collect()
    }

    pub fn has_uid(&self, uid: &str) -> bool {
        self.relations.read().has_uid(uid)
    }

    /// Forgets all changes, as the real server does every few minutes.
    pub fn compact(&self) {
        let mut writing = self.writing.lock();
        while writing.forget_oldest(&self.oldest) {}
        self.oldest.store(writing.revision, Ordering::Release);
    }

    fn collection(&self, resource: &str) -> Option<Arc<Collection>> {
        self.collections.read().get(resource).cloned()
    }

    fn collection_or_new(&self, resource: &str) -> Arc<Collection> {
        if let Some(found) = self.collection(resource) {
            return found;
        }
        let name: Arc<str> = resource.into();
        let mut collections = self.collections.write();
        collections.entry(name.clone()).or_insert_with(|| Arc::new(Collection::new(name))).clone()
    }
}

impl Writing {
    fn remember(&mut self, event: &Event, collection: &Arc<Collection>, oldest: &AtomicU64) {
        let before = event.before.as_ref().map_or(0, |before| before.size());
        let weight = before + if event.deleted { event.after.size() } else { 0 };
        self.bytes += weight;
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        self.remembered.push_back((event.revision, weight, collection.clone()));
        while self.remembered.len() > self.limits.changes || self.bytes > self.limits.bytes {
            if !self.forget_oldest(oldest) {
                return;
            }
        }
    }

    fn forget_oldest(&mut self, oldest: &AtomicU64) -> bool {
        let Some((revision, weight, collection)) = self.remembered.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(weight as usize);
        // First it is unknown, then it is gone.
        oldest.store(revision, Ordering::Release);
        collection.forget_oldest();
        true
    }
}

impl Feed {
    /// The changes after a resourceVersion, oldest first, at most so many; `Err` holds the oldest resourceVersion
    /// that can be followed.
    pub fn since(&mut self, revision: u64, most: usize) -> Result<Vec<Arc<Event>>, u64> {
        // What is seen now need not wake anybody later.
        self.changes.mark_unchanged();
        self.collection.since(revision, most)
    }

    /// Waits for a change that was not seen; false when there will be none.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key { resource: "configmaps".into(), namespace: "a".into(), name: name.into() }
    }

    fn names(page: &Page) -> Vec<String> {
        page.objects.iter().map(|o| o.body()["n"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_list_at_an_older_version_is_a_true_picture() {
        let store = Store::new(History { changes: 100, bytes: 1 << 20 });
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
        let store = Store::new(History { changes: 100, bytes: 1 << 20 });
        let first = store.put(&key("x"), None, json!({"metadata": {}})).unwrap();
        store.put(&key("x"), Some(&first), json!({"metadata": {}})).unwrap();
        assert_eq!(store.put(&key("x"), Some(&first), json!({"metadata": {}})).unwrap_err(), Raced::Changed);
        assert_eq!(store.put(&key("x"), None, json!({"metadata": {}})).unwrap_err(), Raced::Changed);
    }

    #[test]
    fn history_is_bounded() {
        let store = Store::new(History { changes: 2, bytes: 1 << 20 });
        for name in ["a", "b", "c"] {
            store.put(&key(name), None, json!({"metadata": {}})).unwrap();
        }
        let mut feed = store.feed("configmaps");
        assert_eq!(feed.since(1, 9).unwrap_err(), 2);
        assert_eq!(feed.since(2, 9).unwrap().len(), 2);
        assert_eq!(feed.since(2, 1).unwrap()[0].revision, 3);
        assert!(feed.since(4, 9).unwrap().is_empty());
        assert_eq!(store.oldest(), 2);
    }
}
