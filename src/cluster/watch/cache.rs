//! The shared state, and the rules by which an older message never overwrites a newer one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::{Change, ChangeKind};
use crate::model::{GroupKind, LiveObject, LiveState, ObjectId};

/// Of how many objects it is remembered that they are gone. It matters until the answer to a request that was under way
/// has come.
const GONE: usize = 4096;

pub(super) struct Cache {
    pub state: Arc<RwLock<LiveState>>,
    changes: UnboundedSender<Change>,
    /// Written by our own requests since the last list of their kind: a list that began before does not know them.
    fed: Mutex<HashSet<ObjectId>>,
    /// What a watch has said to be gone, by uid and version: an answer that was overtaken by it brings nothing back.
    gone: Mutex<HashMap<ObjectId, LiveObject>>,
}

impl Cache {
    pub fn new(changes: UnboundedSender<Change>) -> Cache {
        Cache { state: Arc::default(), changes, fed: Mutex::default(), gone: Mutex::default() }
    }

    pub fn tell(&self, change: Change) {
        // Nobody listens any more: then nobody needs to know.
        let _ = self.changes.send(change);
    }

    /// Takes an object from a watch, and tells if it is news.
    pub fn put(&self, body: Arc<Value>) {
        let Ok(id) = ObjectId::of(&body) else { return };
        if let Some(what) = insert(&mut self.state.write(), &id, LiveObject { body }) {
            self.tell(Change::Object { id, what });
        }
    }

    /// Takes the answer to our own request; the echo from the watch is then no news.
    pub fn feed(&self, object: &LiveObject) {
        let Ok(id) = ObjectId::of(&object.body) else { return };
        // Before the state, so that no list that ends in between drops the object.
        self.fed.lock().insert(id.clone());
        let mut state = self.state.write();
        let is_gone = |gone: &LiveObject| gone.uid() == object.uid() && is_older(object, gone);
        if !self.gone.lock().get(&id).is_some_and(is_gone) {
            insert(&mut state, &id, object.clone());
        }
    }

    /// Takes note that an object is gone.
    pub fn remove(&self, id: &ObjectId) -> bool {
        let mut state = self.state.write();
        if is_namespace(id) {
            state.namespaces.remove(id.name());
        }
        state.objects.remove(id).is_some()
    }

    /// Takes note that a watch says that this very object is gone (or has no longer what the watch selects).
    pub fn removed(&self, body: &Value) {
        let Ok(id) = ObjectId::of(body) else { return };
        let gone = LiveObject::new(body.clone());
        self.remember_gone(&id, &gone);
        {
            let state = self.state.read();
            let Some(held) = state.objects.get(&id) else { return };
            // Another object of the same name came in the meantime.
            if held.uid() != gone.uid() && !is_older(held, &gone) {
                return;
            }
        }
        if self.remove(&id) {
            self.tell(Change::Object { id, what: ChangeKind::Deleted });
        }
    }

    fn remember_gone(&self, id: &ObjectId, object: &LiveObject) {
        let metadata = json!({"uid": object.uid(), "resourceVersion": object.resource_version()});
        let mut gone = self.gone.lock();
        if gone.len() >= GONE {
            gone.clear();
        }
        gone.insert(id.clone(), LiveObject::new(json!({ "metadata": metadata })));
    }

    /// A list of a kind begins.
    pub fn list_begins(&self, kind: &GroupKind) {
        self.fed.lock().retain(|id| id.group_kind() != *kind);
    }

    /// A list has ended: what `mine` selects and the list did not have is gone.
    pub fn list_ended(&self, listed: &HashSet<ObjectId>, mine: impl Fn(&ObjectId) -> bool) {
        let gone: Vec<ObjectId> = {
            let fed = self.fed.lock();
            let state = self.state.read();
            let absent = |id: &&ObjectId| mine(id) && !listed.contains(*id) && !fed.contains(*id);
            state.objects.keys().filter(absent).cloned().collect()
        };
        for id in gone {
            if self.remove(&id) {
                self.tell(Change::Object { id, what: ChangeKind::Deleted });
            }
        }
    }
}

/// Puts an object in if it is newer than what is there; what kind of news it is, if any.
fn insert(state: &mut LiveState, id: &ObjectId, object: LiveObject) -> Option<ChangeKind> {
    let what = match state.objects.get(id) {
        None => ChangeKind::Added,
        Some(held) if held.uid() == object.uid() => {
            if held.resource_version() == object.resource_version() || is_older(&object, held) {
                return None;
            }
            ChangeKind::Modified
        }
        Some(held) if is_older(&object, held) => return None,
        Some(_) => ChangeKind::Modified,
    };
    if is_namespace(id) {
        state.namespaces.insert(id.name().to_owned(), object.clone());
    }
    state.objects.insert(id.clone(), object);
    Some(what)
}

fn is_namespace(id: &ObjectId) -> bool {
    id.group().is_empty() && id.kind() == "Namespace"
}

/// Whether `a` is certainly older than `b`. Versions of one kind count up; what is no number cannot be told.
fn is_older(a: &LiveObject, b: &LiveObject) -> bool {
    let number = |object: &LiveObject| object.resource_version().parse::<u128>().ok();
    matches!((number(a), number(b)), (Some(a), Some(b)) if a < b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    fn body(name: &str, uid: &str, version: &str) -> Arc<Value> {
        Arc::new(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata":
            {"namespace": "n", "name": name, "uid": uid, "resourceVersion": version}}))
    }

    #[test]
    fn an_older_message_never_wins() {
        let (sender, mut changes) = unbounded_channel();
        let cache = Cache::new(sender);
        let id = ObjectId::new("", "ConfigMap", Some("n"), "a");
        let version = || cache.state.read().objects.get(&id).map(|o| o.resource_version().to_owned());
        cache.put(body("a", "1", "5"));
        cache.feed(&LiveObject { body: body("a", "1", "9") });
        cache.put(body("a", "1", "7"));
        cache.put(body("a", "1", "9"));
        assert_eq!(version().as_deref(), Some("9"));
        let told = |what| Change::Object { id: id.clone(), what };
        assert_eq!(changes.try_recv().unwrap(), told(ChangeKind::Added));
        assert!(changes.try_recv().is_err(), "our own write is no news");
        cache.feed(&LiveObject { body: body("a", "2", "12") });
        cache.removed(&body("a", "1", "11"));
        assert_eq!(version().as_deref(), Some("12"), "the object of before is gone, the new one is not");
        cache.removed(&body("a", "2", "13"));
        assert_eq!(version(), None);
        assert_eq!(changes.try_recv().unwrap(), told(ChangeKind::Deleted));
        cache.feed(&LiveObject { body: body("a", "2", "12") });
        assert_eq!(version(), None, "the answer to a deletion came after its end was seen");
        cache.feed(&LiveObject { body: body("a", "2", "14") });
        assert_eq!(version().as_deref(), Some("14"), "it came back into what the watch selects");
    }

    #[test]
    fn a_list_drops_what_it_lacks_unless_we_just_wrote_it() {
        let (sender, _changes) = unbounded_channel();
        let cache = Cache::new(sender);
        for name in ["listed", "gone"] {
            cache.put(body(name, name, "1"));
        }
        let kind = ObjectId::new("", "ConfigMap", None, "x").group_kind();
        cache.list_begins(&kind);
        cache.feed(&LiveObject { body: body("new", "new", "8") });
        let listed = HashSet::from([ObjectId::new("", "ConfigMap", Some("n"), "listed")]);
        cache.list_ended(&listed, |id| id.group_kind() == kind);
        let state = cache.state.read();
        let mut names: Vec<&str> = state.objects.keys().map(ObjectId::name).collect();
        names.sort_unstable();
        assert_eq!(names, ["listed", "new"]);
    }
}
