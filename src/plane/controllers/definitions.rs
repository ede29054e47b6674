//! A deleted definition goes after the objects of its kind.

use std::sync::Arc;

use super::{change, empty, release};
use crate::plane::call::Subresource;
use crate::plane::server::{OWN_MANAGER, Server};
use crate::plane::store::{Key, Object};
use crate::plane::{clock, crd};

/// Deletes the objects of a deleted definition's kind and, when none is left, lets the definition go.
pub(super) async fn finish(server: &Arc<Server>, key: &Key, object: &Arc<Object>) {
    if !object.has_finalizer(crd::FINALIZER) {
        return;
    }
    let now = clock::now();
    let say = |reason: &'static str, message: &'static str, status: &'static str| {
        let now = now.clone();
        change(server, key, Some(Subresource::Status), OWN_MANAGER, move |body| {
            crd::set_terminating(body, status, reason, message, &now)
        })
    };
    say("InstanceDeletionInProgress", "CustomResource deletion is in progress", "True").await;
    if let Some(resource) = crd::resources(&object.body()).first() {
        let (left, _) = empty(server, &resource.collection, None).await;
        if !left.is_empty() {
            return;
        }
    }
    release(server, key, crd::FINALIZER).await;
}
