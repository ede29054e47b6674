//! What the controller manager does for users of an API server, and the finalizer of definitions, which the API
//! server has itself. All of it runs when something was written that concerns it, and not otherwise.

mod definitions;
mod garbage;
mod namespaces;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::call::Subresource;
use super::delete::remove_finalizer;
use super::server::Server;
use super::store::{Key, Object, Range};

pub(crate) use garbage::{Queue, collect as collect_garbage};

/// Who the controllers are to the objects that they write.
const MANAGER: &str = "kube-controller-manager";
/// When a deletion that was refused is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Empties deleted definitions and namespaces, and lets go of those that are empty.
pub(crate) async fn finish_deletions(server: &Arc<Server>) {
    for (key, object) in deleting(server, "customresourcedefinitions.apiextensions.k8s.io") {
        definitions::finish(server, &key, &object).await;
    }
    if server.settings.controllers {
        for (key, object) in deleting(server, "namespaces") {
            namespaces::finish(server, &key, &object).await;
        }
    }
}

fn deleting(server: &Server, collection: &str) -> Vec<(Key, Arc<Object>)> {
    let page = server.store.list(collection, &Range::default(), Object::is_deleting);
    let objects = page.map(|page| page.objects).unwrap_or_default();
    objects.into_iter().map(|object| (key_of(collection, &object), object)).collect()
}

/// Deletes what is in a collection. What is left, and whether nothing was refused.
async fn empty(server: &Arc<Server>, collection: &str, namespace: Option<&str>) -> (Vec<Arc<Object>>, bool) {
    let range = Range { namespace, ..Range::default() };
    let list =
        || server.store.list(collection, &range, |_| true).map(|page| page.objects).unwrap_or_default();
    let mut all_well = true;
    for object in list().iter().filter(|object| !object.is_deleting()) {
        all_well &= delete(server, &key_of(collection, object), "Background").await;
    }
    (list(), all_well)
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

/// Changes an object, or a part of it, as a client would; nothing when `change` finds nothing to do.
async fn change(
    server: &Arc<Server>,
    key: &Key,
    part: Option<Subresource>,
    manager: &str,
    change: impl Fn(&mut serde_json::Value) -> bool,
) {
    let registry = server.registry();
    let Some(resource) = registry.of_collection(&key.resource) else { return };
    let mut call = server.own_call(resource.clone(), &key.namespace, &key.name);
    call.subresource = part;
    call.options.manager = manager.to_owned();
    while let Some(live) = call.live() {
        let mut body = call.as_served(&live);
        if !change(&mut body) {
            return;
        }
        match call.replace(&live, body, false).await {
            Ok(Ok(_)) | Err(_) => return,
            Ok(Err(_)) => {}
        }
    }
}

/// Takes a finalizer off an object that is being deleted; the last one lets it go.
async fn release(server: &Arc<Server>, key: &Key, finalizer: &str) {
    change(server, key, None, MANAGER, |body| {
        remove_finalizer(body, finalizer);
        true
    })
    .await;
}
