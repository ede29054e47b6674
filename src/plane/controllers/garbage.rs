//! The garbage collector: what nobody owns any more goes, and a deletion reaches what the deleted object owns.
//!
//! Looked at are the objects whose owners changed, and those whose own deletion waits for what they own.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, change, delete, release};
use crate::model::Gvk;
use crate::plane::clock;
use crate::plane::kinds::Resource;
use crate::plane::server::Server;
use crate::plane::store::{Key, Object, Range};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// Who tells of owners that cannot be.
const COMPONENT: &str = "garbage-collector-controller";

/// What an owner reference leads to.
enum Owner {
    Solid,
    /// It is there, and waits for its dependents to go.
    Waiting,
    Gone,
    /// Nobody serves its kind, or an object without a namespace cannot have it: nothing is known of it.
    Unknown,
}

/// Follows owner references until nothing is left to do.
pub(crate) async fn collect(server: &Arc<Server>) {
    loop {
        let keys = server.garbage.take();
        let mut done = false;
        for key in &keys {
            done |= attempt(server, key).await;
        }
        for (key, object) in server.store.marked() {
            done |= propagate(server, &key, &object).await;
        }
        if !done && server.garbage.is_empty() {
            return;
        }
    }
}

fn owners(object: &Object) -> Vec<Value> {
    object.owners().as_array().cloned().unwrap_or_default()
}

fn text<'a>(reference: &'a Value, field: &str) -> &'a str {
    reference[field].as_str().unwrap_or_default()
}

/// Deletes an object none of whose owners is there any more, or forgets those that are not. Whether it did.
async fn attempt(server: &Arc<Server>, key: &Key) -> bool {
    let Some(object) = server.store.get(key).filter(|object| !object.is_deleting()) else { return false };
    let (mut solid, mut waiting, mut gone) = (false, Vec::new(), Vec::new());
    for reference in owners(&object) {
        match find(server, key, &object, &reference) {
            Owner::Solid => solid = true,
            Owner::Waiting => waiting.push(text(&reference, "uid").to_owned()),
            Owner::Gone => gone.push(text(&reference, "uid").to_owned()),
            Owner::Unknown => return false,
        }
    }
    let drop_them = [gone, waiting.clone()].concat();
    if drop_them.is_empty() {
        return false;
    }
    if solid {
        disown(server, key, &drop_them).await;
        return true;
    }
    let has = |finalizer: &str| object.has_finalizer(finalizer);
    let dependents = server.store.has_dependents(object.uid());
    let propagation = match () {
        () if !waiting.is_empty() && dependents => "Foreground",
        () if has(ORPHAN) => "Orphan",
        () if has(FOREGROUND) => "Foreground",
        () => "Background",
    };
    delete(server, key, propagation).await
}

/// What a reference of an object leads to. A wrong one that is known to be wrong is told of.
fn find(server: &Arc<Server>, key: &Key, object: &Object, reference: &Value) -> Owner {
    let registry = server.registry();
    let Some(resource) = registry.of_kind(&Gvk::new(text(reference, "apiVersion"), text(reference, "kind")))
    else {
        return Owner::Unknown;
    };
    let uid = text(reference, "uid");
    let place = Key {
        resource: resource.collection.clone(),
        namespace: if resource.namespaced { key.namespace.clone() } else { "".into() },
        name: text(reference, "name").into(),
    };
    let found = server.store.get(&place).filter(|owner| owner.uid() == uid);
    if found.is_none() && resource.namespaced && server.store.has_uid(uid) {
        tell_of_wrong_namespace(server, key, object, resource, uid);
    }
    match found {
        _ if key.namespace.is_empty() && resource.namespaced => Owner::Unknown,
        None => Owner::Gone,
        Some(owner) if owner.is_deleting() && owner.has_finalizer(FOREGROUND) => Owner::Waiting,
        Some(_) => Owner::Solid,
    }
}

/// An event for an owner that lives in another namespace than its dependent.
fn tell_of_wrong_namespace(server: &Arc<Server>, key: &Key, object: &Object, owner: &Resource, uid: &str) {
    let owners = server.store.list(&owner.collection, &Range::default(), |one| one.uid() == uid);
    let elsewhere = owners.is_ok_and(|page| page.objects.iter().any(|one| one.namespace() != *key.namespace));
    if !elsewhere {
        return;
    }
    let body = object.body();
    let (api_version, kind) = (text(&body, "apiVersion"), text(&body, "kind"));
    let wrong = owners_of(&body).find(|one| text(one, "uid") == uid).unwrap_or_default();
    let message = format!(
        "ownerRef [{}/{}, namespace: {}, name: {}, uid: {uid}] does not exist in namespace {:?}",
        text(&wrong, "apiVersion"),
        text(&wrong, "kind"),
        key.namespace,
        text(&wrong, "name"),
        key.namespace
    );
    let namespace = if key.namespace.is_empty() { "default" } else { &*key.namespace };
    let now = clock::now();
    let mut about = json!({"apiVersion": api_version, "kind": kind, "name": &*key.name, "uid": object.uid()});
    if !key.namespace.is_empty() {
        about["namespace"] = (&*key.namespace).into();
    }
    let name = format!("{}.{:016x}", key.name, clock::nanoseconds());
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "name": name, "namespace": namespace, "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": now,
        },
        "involvedObject": about, "type": "Warning", "reason": "OwnerRefInvalidNamespace", "message": message,
        "source": {"component": COMPONENT}, "reportingComponent": COMPONENT, "reportingInstance": "",
        "count": 1, "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
    });
    let place = Key { resource: "events".into(), namespace: namespace.into(), name: name.into() };
    // An event that cannot be stored is not missed by what it tells of.
    let _ = server.store.put(&place, None, event);
}

fn owners_of(body: &Value) -> impl Iterator<Item = Value> {
    body["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default().into_iter()
}

/// Does what the finalizers of the garbage collector stand for. Whether anything changed.
async fn propagate(server: &Arc<Server>, key: &Key, object: &Arc<Object>) -> bool {
    let dependents = server.store.dependents_of(object.uid());
    if object.has_finalizer(ORPHAN) {
        for dependent in &dependents {
            disown(server, dependent, &[object.uid().to_owned()]).await;
        }
        release(server, key, ORPHAN).await;
        return true;
    }
    if !object.has_finalizer(FOREGROUND) {
        return false;
    }
    let (mut done, mut blocked) = (false, false);
    for dependent in &dependents {
        let Some(live) = server.store.get(dependent) else { continue };
        let blocks = owners(&live)
            .iter()
            .any(|owner| text(owner, "uid") == object.uid() && owner["blockOwnerDeletion"] == true);
        done |= attempt(server, dependent).await;
        blocked |= blocks
            && server
                .store
                .get(dependent)
                .is_some_and(|live| owners(&live).iter().any(|owner| text(owner, "uid") == object.uid()));
    }
    if !blocked {
        release(server, key, FOREGROUND).await;
        return true;
    }
    done
}

/// Removes owners from an object.
async fn disown(server: &Arc<Server>, key: &Key, uids: &[String]) {
    change(server, key, None, MANAGER, |body| {
        let Some(metadata) = body["metadata"].as_object_mut() else { return false };
        let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else {
            return false;
        };
        let before = owners.len();
        owners.retain(|reference| !uids.iter().any(|uid| reference["uid"] == uid.as_str()));
        let changed = owners.len() < before;
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        }
        changed
    })
    .await;
}

/// The objects that the garbage collector is to look at.
#[derive(Default)]
pub(crate) struct Queue(parking_lot::Mutex<std::collections::BTreeSet<Key>>);

impl Queue {
    pub fn add(&self, keys: impl IntoIterator<Item = Key>) {
        self.0.lock().extend(keys);
    }

    fn take(&self) -> std::collections::BTreeSet<Key> {
        std::mem::take(&mut *self.0.lock())
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
