//! What the controller manager does for users of an API server: empties namespaces that are deleted, removes the
//! objects of a deleted definition, and collects what nobody owns any more.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::crd;
use super::delete::remove_finalizer;
use super::server::Server;
use super::store::{Key, Object, Range};

/// When a deletion that was refused is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Empties deleted namespaces and definitions, and lets go of those that are empty.
pub(crate) async fn finish_deletions(server: &Arc<Server>) {
    for (key, object) in deleting(server, "customresourcedefinitions.apiextensions.k8s.io") {
        finish_definition(server, &key, &object).await;
    }
    for (key, object) in deleting(server, "namespaces") {
        finish_namespace(server, &key, &object).await;
    }
}

fn deleting(server: &Server, collection: &str) -> Vec<(Key, Arc<Object>)> {
    let page = server.store.list(collection, &Range::default(), Object::is_deleting);
    let objects = page.map(|page| page.objects).unwrap_or_default();
    let key = |object: &Object| Key {
        resource: collection.into(),
        namespace: "".into(),
        name: object.name().into(),
    };
    objects.into_iter().map(|object| (key(&object), object)).collect()
}

async fn finish_namespace(server: &Arc<Server>, key: &Key, object: &Arc<Object>) {
    let registry = server.registry();
    let mut left = 0;
    for resource in registry.collections().into_values().filter(|resource| resource.namespaced) {
        left += empty(server, &resource.collection, Some(&key.name)).await;
    }
    if left > 0 {
        return;
    }
    let Some(live) = server.store.get(key).filter(|live| live.uid() == object.uid()) else { return };
    let before = live.body();
    let mut body = before.clone();
    body["spec"]["finalizers"] = json!([]);
    let Some(namespaces) = registry.find("", "v1", "namespaces") else { return };
    if super::rules::finalized(namespaces, &body) {
        if let Ok(last) = server.store.remove_as(key, &live, body) {
            server.removed(namespaces, key, &last);
        }
    } else if body != before {
        // A finalizer of somebody else still holds it.
        let _ = server.store.put(key, Some(&live), body);
    }
}

async fn finish_definition(server: &Arc<Server>, key: &Key, object: &Arc<Object>) {
    let waits = object.has_finalizer(crd::FINALIZER);
    let Some(collection) = crd::resources(&object.body()).first().map(|resource| resource.collection.clone())
    else {
        return;
    };
    if !waits || empty(server, &collection, None).await > 0 {
        return;
    }
    release(server, key, crd::FINALIZER).await;
}

/// Deletes what is in a collection; how many objects are held by finalizers.
async fn empty(server: &Arc<Server>, collection: &str, namespace: Option<&str>) -> usize {
    let range = Range { namespace, ..Range::default() };
    let Ok(page) = server.store.list(collection, &range, |_| true) else { return 0 };
    for object in page.objects.iter().filter(|object| !object.is_deleting()) {
        let key = key_of(collection, object);
        delete(server, &key, "Background").await;
    }
    server.store.list(collection, &range, |_| true).map_or(0, |page| page.objects.len())
}

fn key_of(collection: &str, object: &Object) -> Key {
    Key { resource: collection.into(), namespace: object.namespace().into(), name: object.name().into() }
}

/// Deletes an object as a client would. Whether that went well: what is refused is tried again after a while.
async fn delete(server: &Arc<Server>, key: &Key, propagation: &str) -> bool {
    let registry = server.registry();
    let Some(resource) = registry.of_collection(&key.resource) else { return false };
    let call = server.own_call(resource.clone(), &key.namespace, &key.name);
    match call.delete(&json!({"propagationPolicy": propagation})).await {
        Ok(_) => true,
        // It is gone already.
        Err(failure) if failure.code == 404 => true,
        Err(_) => {
            server.schedule(RETRY_AFTER);
            false
        }
    }
}

/// Takes a finalizer off an object that is being deleted; the last one lets it go.
async fn release(server: &Arc<Server>, key: &Key, finalizer: &str) {
    let registry = server.registry();
    let Some(resource) = registry.of_collection(&key.resource) else { return };
    let call = server.own_call(resource.clone(), &key.namespace, &key.name);
    while let Some(live) = call.live() {
        let mut body = call.as_served(&live);
        remove_finalizer(&mut body, finalizer);
        match call.replace(&live, body, true).await {
            Ok(Ok(_)) | Err(_) => return,
            Ok(Err(_)) => {}
        }
    }
}

/// Follows owner references until nothing is left to do.
pub(crate) async fn collect_garbage(server: &Arc<Server>) {
    while collect_once(server).await {}
}

/// Whether anything was done.
async fn collect_once(server: &Arc<Server>) -> bool {
    let mut done = false;
    for key in server.store.dependents() {
        let Some(object) = server.store.get(&key) else { continue };
        if !object.is_deleting() && orphaned(server, &object) {
            done |= delete(server, &key, "Background").await;
        }
    }
    for (key, object) in server.store.marked() {
        done |= propagate(server, &key, &object).await;
    }
    done
}

/// Whether it has owners and none of them is there.
fn orphaned(server: &Server, object: &Object) -> bool {
    object.owners().as_array().is_some_and(|owners| {
        !owners.is_empty() && owners.iter().all(|owner| !server.store.has_uid(uid(owner)))
    })
}

fn uid(reference: &Value) -> &str {
    reference["uid"].as_str().unwrap_or_default()
}

/// Does what the finalizers of the garbage collector stand for.
async fn propagate(server: &Arc<Server>, key: &Key, object: &Arc<Object>) -> bool {
    let dependents = server.store.dependents_of(object.uid());
    if object.has_finalizer("orphan") {
        for dependent in &dependents {
            disown(server, dependent, object.uid()).await;
        }
        release(server, key, "orphan").await;
        return true;
    }
    if !object.has_finalizer("foregroundDeletion") {
        return false;
    }
    let mut done = false;
    let mut blocked = false;
    for dependent in &dependents {
        let Some(live) = server.store.get(dependent) else { continue };
        let blocks = live.owners().as_array().is_some_and(|owners| {
            owners.iter().any(|owner| uid(owner) == object.uid() && owner["blockOwnerDeletion"] == true)
        });
        if !live.is_deleting() {
            done |= delete(server, dependent, "Foreground").await;
        }
        blocked |= blocks && server.store.get(dependent).is_some();
    }
    if !blocked {
        release(server, key, "foregroundDeletion").await;
        return true;
    }
    done
}

/// Removes an owner from an object.
async fn disown(server: &Arc<Server>, key: &Key, owner: &str) {
    let registry = server.registry();
    let Some(resource) = registry.of_collection(&key.resource) else { return };
    let call = server.own_call(resource.clone(), &key.namespace, &key.name);
    while let Some(live) = call.live() {
        let mut body = call.as_served(&live);
        let Some(metadata) = body["metadata"].as_object_mut() else { return };
        if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
            owners.retain(|reference| uid(reference) != owner);
            if owners.is_empty() {
                metadata.remove("ownerReferences");
            }
        }
        match call.replace(&live, body, false).await {
            Ok(Ok(_)) | Err(_) => return,
            Ok(Err(_)) => {}
        }
    }
}
