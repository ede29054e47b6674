//! The objects, the history of what happened to them, and one counter for both.
//!
//! Objects are immutable, shared and kept as the JSON that is answered. Every write takes the next resourceVersion and
//! leaves exactly one event, so that a list at an older one is the present with later events undone. Writes are done
//! one after the other; who reads waits only while a change is put into the very collection that he reads.

mod collection;
mod journal;
mod object;
mod relations;
mod skim;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;

use collection::Collection;
use journal::{Journal, Kind};
use object::Draft;
pub(crate) use object::{Empties, Object};
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
    /// Why the last change could not be written to disk.
    failure: Mutex<Option<String>>,
}

struct Writing {
    revision: u64,
    limits: History,
    /// Whose change happened when, oldest first, and how many bytes only it keeps.
    remembered: VecDeque<(u64, u32, Arc<Collection>)>,
    bytes: usize,
    journal: Option<Journal>,
}

/// The changes of one collection, for a watch.
pub(crate) struct Feed {
    collection: Arc<Collection>,
    changes: watch::Receiver<u64>,
}

impl Store {
    /// An empty store in memory.
    pub fn new(limits: History) -> Store {
        let writing = Writing { revision: 1, limits, remembered: VecDeque::new(), bytes: 0, journal: None };
        Store {
            writing: Mutex::new(writing),
            collections: RwLock::default(),
            relations: RwLock::default(),
            published: AtomicU64::new(1),
            oldest: AtomicU64::new(1),
            failure: Mutex::default(),
        }
    }

    /// The store that a folder holds; what is written goes there before it can be read.
    ///
    /// # Errors
    /// When the folder is in use, cannot be read or written, or is damaged.
    pub fn open(limits: History, folder: &Path) -> io::Result<Store> {
        let store = Store::new(limits);
        let mut writing = store.writing.lock();
        let journal = Journal::open(folder, |record, from_snapshot| {
            writing.revision = record.revision;
            if record.kind == Kind::Complete {
                // What happened before is not known.
                store.oldest.store(record.revision, Ordering::Release);
                return true;
            }
            let Some(object) = Object::read(record.json) else { return false };
            let collection = store.collection_or_new(record.resource);
            let (namespace, name) = (record.namespace.into(), record.name.into());
            let key = Key { resource: collection.resource.clone(), namespace, name };
            if from_snapshot {
                collection.load(&key, object);
            } else {
                let removed = record.kind == Kind::Removed;
                let event = collection.change(&key, &object, record.revision, removed);
                writing.remember(&event, &collection, &store.oldest);
            }
            true
        })?;
        writing.journal = Some(journal);
        store.published.store(writing.revision, Ordering::Release);
        drop(writing);
        let mut relations = store.relations.write();
        store.all().iter().for_each(|(key, object)| relations.add(key, object));
        drop(relations);
        Ok(store)
    }

    /// Why the last change could not be written to disk; nobody was told that it was made.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
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
        self.write(key, expected, body, Empties::default(), false)
    }

    /// [`Store::put`] of a body that had these empty parts.
    pub fn put_as(
        &self,
        key: &Key,
        expected: Option<&Arc<Object>>,
        body: Value,
        empties: Empties,
    ) -> Result<Arc<Object>, Raced> {
        self.write(key, expected, body, empties, false)
    }

    /// Removes an object if what is there is still `expected`.
    pub fn remove(&self, key: &Key, expected: &Arc<Object>) -> Result<Arc<Object>, Raced> {
        self.remove_as(key, expected, expected.body())
    }

    /// Removes an object; `last` is the state that watchers are told of.
    pub fn remove_as(&self, key: &Key, expected: &Arc<Object>, last: Value) -> Result<Arc<Object>, Raced> {
        self.write(key, Some(expected), last, Empties::default(), true)
    }

    fn write(
        &self,
        key: &Key,
        expected: Option<&Arc<Object>>,
        mut body: Value,
        empties: Empties,
        deleted: bool,
    ) -> Result<Arc<Object>, Raced> {
        let draft = Draft::new(&mut body, self.revision() + 1, empties);
        let collection = self.collection_or_new(&key.resource);
        let mut writing = self.writing.lock();
        match (collection.get(key), expected) {
            (None, None) => {}
            (Some(there), Some(expected)) if Arc::ptr_eq(&there, expected) => {}
            _ => return Err(Raced::Changed),
        }
        let revision = writing.revision + 1;
        let object = draft.stamp(revision);
        if writing.journal.is_some() {
            self.log(&mut writing, key, &object, revision, deleted)?;
        }
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

    fn log(
        &self,
        writing: &mut Writing,
        key: &Key,
        object: &Object,
        revision: u64,
        deleted: bool,
    ) -> Result<(), Raced> {
        let Some(journal) = &mut writing.journal else { return Ok(()) };
        let kind = if deleted { Kind::Removed } else { Kind::Put };
        let mut logged = Ok(());
        if journal.is_due() {
            logged = journal.rotate(writing.revision, self.all());
        }
        let logged =
            logged.and_then(|()| journal.append(&journal::record(kind, revision, key, &object.json())));
        *self.failure.lock() = logged.as_ref().err().map(ToString::to_string);
        // Whoever asked finds out why; to try again would not help.
        logged.map_err(|_| Raced::Changed)
    }

    /// All objects; a picture of one moment while nothing is written.
    fn all(&self) -> Vec<(Key, Arc<Object>)> {
        let collections: Vec<Arc<Collection>> = self.collections.read().values().cloned().collect();
        collections.iter().flat_map(|collection| collection.all()).collect()
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
    fn a_folder_keeps_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let limits = History { changes: 100, bytes: 1 << 20 };
        let store = Store::open(limits, folder.path()).unwrap();
        let uid = "0b0e5c6e-6e5a-4b0e-9a53-2f4c86e3a1aa";
        let body = json!({"metadata": {"name": "x", "namespace": "a", "uid": uid}, "n": 1});
        let x = store.put(&key("x"), None, body).unwrap();
        let y = store.put(&key("y"), None, json!({"metadata": {"name": "y"}})).unwrap();
        store.remove(&key("y"), &y).unwrap();
        let busy = Store::open(limits, folder.path()).err().unwrap();
        assert!(busy.to_string().contains("in use"), "{busy}");
        drop(store);
        let store = Store::open(limits, folder.path()).unwrap();
        assert_eq!((store.revision(), store.oldest(), store.has_uid(uid)), (4, 1, true));
        assert_eq!(store.get(&key("x")).unwrap().json(), x.json());
        assert!(store.get(&key("y")).is_none());
        assert_eq!(store.feed("configmaps").since(2, 9).unwrap().len(), 2);
        assert_eq!(
            store
                .list("configmaps", &Range { at: Some(3), ..Range::default() }, |_| true)
                .unwrap()
                .objects
                .len(),
            2
        );
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let limits = History { changes: 100, bytes: 1 << 20 };
        let store = Store::open(limits, folder.path()).unwrap();
        let big = "x".repeat(1 << 20);
        let mut last = None;
        // Seventeen of them are worth a snapshot.
        for n in 0..40 {
            let body = json!({"metadata": {"name": "x"}, "n": n, "big": big});
            last = Some(store.put(&key("x"), last.as_ref(), body).unwrap());
        }
        let size = || -> u64 {
            std::fs::read_dir(folder.path())
                .unwrap()
                .map(|file| file.unwrap().metadata().unwrap().len())
                .sum()
        };
        let start = std::time::Instant::now();
        while size() > 30 << 20 {
            assert!(start.elapsed().as_secs() < 20, "{}", size());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        drop(store);
        let store = Store::open(limits, folder.path()).unwrap();
        assert_eq!(store.get(&key("x")).unwrap().body()["n"], 39);
        assert_eq!(store.revision(), 41);
        assert!(store.oldest() > 1);
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
