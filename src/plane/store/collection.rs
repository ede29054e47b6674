//! The objects of one resource and what happened to them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Event, Key, Object, Page, Range};

/// Namespace and name, in the order of the text `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(pub Arc<str>, pub Arc<str>);

impl Ord for Place {
    fn cmp(&self, other: &Place) -> std::cmp::Ordering {
        if self.0 == other.0 {
            return self.1.cmp(&other.1);
        }
        // `a-b/` comes before `a/`.
        self.0.bytes().chain([b'/']).cmp(other.0.bytes().chain([b'/']))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The objects of one resource.
pub(crate) struct Collection {
    pub(super) resource: Arc<str>,
    pub(super) contents: RwLock<Contents>,
    /// The resourceVersion of the last change here, for those who wait for the next.
    pub(super) changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Contents {
    pub objects: BTreeMap<Place, Arc<Object>>,
    /// What happened here, oldest first.
    pub events: VecDeque<Arc<Event>>,
    /// The resourceVersion of the last change.
    last: u64,
    /// The resourceVersion of the last change that is forgotten.
    forgotten: u64,
}

impl Collection {
    pub fn new(resource: Arc<str>) -> Collection {
        Collection { resource, contents: RwLock::default(), changes: watch::Sender::new(0) }
    }

    /// Puts an object in its place or takes it away; the event of it.
    pub fn change(&self, key: &Key, after: &Arc<Object>, revision: u64, deleted: bool) -> Arc<Event> {
        let mut contents = self.contents.write();
        let contents = &mut *contents;
        let key = contents.own_key(&self.resource, key);
        let place = Place(key.namespace.clone(), key.name.clone());
        let before = if deleted {
            contents.objects.remove(&place)
        } else {
            contents.objects.insert(place, after.clone())
        };
        let event = Arc::new(Event { revision, key, before, after: after.clone(), deleted });
        contents.events.push_back(event.clone());
        contents.last = revision;
        event
    }

    /// Puts an object there as if it had always been.
    pub fn load(&self, key: &Key, object: Arc<Object>) {
        let mut contents = self.contents.write();
        let key = contents.own_key(&self.resource, key);
        contents.objects.insert(Place(key.namespace, key.name), object);
    }

    /// All objects.
    pub fn all(&self) -> Vec<(Key, Arc<Object>)> {
        let contents = self.contents.read();
        let key = |Place(namespace, name): &Place| Key {
            resource: self.resource.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
        };
        contents.objects.iter().map(|(place, object)| (key(place), object.clone())).collect()
    }

    /// Forgets the oldest change.
    pub fn forget_oldest(&self) {
        let mut contents = self.contents.write();
        if let Some(event) = contents.events.pop_front() {
            contents.forgotten = event.revision;
        }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.contents.read().objects.get(&Place(key.namespace.clone(), key.name.clone())).cloned()
    }

    /// The changes after a resourceVersion, oldest first. `Err` holds the oldest one that can be followed.
    pub fn since(&self, revision: u64, most: usize) -> Result<Vec<Arc<Event>>, u64> {
        let contents = self.contents.read();
        if revision < contents.forgotten {
            return Err(contents.forgotten);
        }
        let skip = contents.events.partition_point(|event| event.revision <= revision);
        Ok(contents.events.range(skip..).take(most).cloned().collect())
    }

    /// A page. The picture is taken under the lock and looked through outside of it. `published` is the last
    /// resourceVersion all of whose changes are in their collections, `oldest` the oldest that is known.
    pub fn list(
        &self,
        range: &Range<'_>,
        (published, oldest): (&AtomicU64, &AtomicU64),
        wanted: impl FnMut(&Object) -> bool,
    ) -> Result<Page, u64> {
        let contents = self.contents.read();
        // A change here is seen before it is published; changes elsewhere cannot be in between.
        let present = published.load(Ordering::Acquire).max(contents.last);
        let revision = range.at.unwrap_or(present);
        let objects = if revision < present {
            let oldest = oldest.load(Ordering::Acquire).max(contents.forgotten);
            if revision < oldest {
                return Err(oldest);
            }
            contents.past(range, revision)
        } else {
            // A page without conditions needs no more than itself, but somebody must count what follows.
            contents.within(range).map(|(_, object)| object.clone()).collect()
        };
        drop(contents);
        Ok(page(objects, range.limit, revision, wanted))
    }
}

fn page(
    objects: Vec<Arc<Object>>,
    limit: Option<usize>,
    revision: u64,
    mut wanted: impl FnMut(&Object) -> bool,
) -> Page {
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        let objects = objects.into_iter().filter(|object| wanted(object)).collect();
        return Page { objects, revision, rest: None };
    };
    let mut objects = objects.into_iter().filter(|object| wanted(object));
    let found: Vec<Arc<Object>> = objects.by_ref().take(limit).collect();
    let more = objects.count();
    let last = found.last().filter(|_| more > 0);
    let rest = last.map(|last| (last.namespace().into(), last.name().into(), more));
    Page { objects: found, revision, rest }
}

impl Contents {
    /// A key that shares its texts with what is stored already.
    fn own_key(&self, resource: &Arc<str>, key: &Key) -> Key {
        let place = Place(key.namespace.clone(), key.name.clone());
        let Place(namespace, name) = match self.objects.range(..=&place).next_back() {
            Some((found, _)) if *found == place => found.clone(),
            Some((Place(namespace, _), _)) if *namespace == place.0 => Place(namespace.clone(), place.1),
            _ => place,
        };
        Key { resource: resource.clone(), namespace, name }
    }

    /// What a range covers.
    fn within<'a>(
        &'a self,
        range: &Range<'a>,
    ) -> impl Iterator<Item = (&'a Place, &'a Arc<Object>)> + use<'a> {
        let namespace = range.namespace;
        self.objects
            .range((start(range), Bound::Unbounded))
            .take_while(move |(Place(ns, _), _)| namespace.is_none_or(|wanted| wanted == &**ns))
    }

    /// What a range covered at a resourceVersion, all changes after which are known.
    fn past(&self, range: &Range<'_>, at: u64) -> Vec<Arc<Object>> {
        let skip = self.events.partition_point(|event| event.revision <= at);
        let after = range.after.map(|(namespace, name)| Place(namespace.into(), name.into()));
        let covers = |place: &Place| {
            range.namespace.is_none_or(|wanted| wanted == &*place.0)
                && after.as_ref().is_none_or(|after| place > after)
        };
        // What was before the first of the later changes is what was then.
        let mut changed: BTreeMap<Place, Option<Arc<Object>>> = BTreeMap::new();
        for event in self.events.range(skip..) {
            let place = Place(event.key.namespace.clone(), event.key.name.clone());
            if covers(&place) {
                changed.entry(place).or_insert_with(|| event.before.clone());
            }
        }
        let mut changed = changed.into_iter().peekable();
        let mut objects = Vec::new();
        for (place, object) in self.within(range) {
            while let Some((_, gone)) = changed.next_if(|(other, _)| other < place) {
                objects.extend(gone);
            }
            match changed.next_if(|(other, _)| other == place) {
                Some((_, then)) => objects.extend(then),
                None => objects.push(object.clone()),
            }
        }
        objects.extend(changed.filter_map(|(_, gone)| gone));
        objects
    }
}

fn start(range: &Range<'_>) -> Bound<Place> {
    match (range.after, range.namespace) {
        (Some((namespace, name)), _) => Bound::Excluded(Place(namespace.into(), name.into())),
        (None, Some(namespace)) => Bound::Included(Place(namespace.into(), "".into())),
        (None, None) => Bound::Unbounded,
    }
}
