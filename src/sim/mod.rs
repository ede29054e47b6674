//! Simulated operators, for the demo and for tests: whatever stands behind the kinds of a management cluster that
//! no controller is running for. They are clients of any API server, and say who they are in every field they own.
//!
//! What they do is small and true to form: an object that was accepted becomes ready a moment later. They create and
//! delete nothing.

mod ready;

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::model::{Gvk, ServedKind};

/// Their field manager.
pub const MANAGER: &str = "simulated-operators";

/// Make every object of the kinds that [`ready`](ready::status_of) knows ready, until stopped. Kinds that appear later
/// are taken up when `kinds_changed` is told.
pub async fn run(cluster: Cluster, stop: CancellationToken) {
    let running: Arc<Mutex<HashMap<Gvk, ()>>> = Arc::default();
    let mut tasks = JoinSet::new();
    let definitions: Api<DynamicObject> = Api::all_with(
        cluster.client().clone(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        )),
    );
    let mut events = Box::pin(watcher(definitions, watcher::Config::default()));
    loop {
        if let Ok(kinds) = cluster.discover().await {
            for kind in kinds.values().flatten().filter(|kind| ready::is_simulated(&kind.gvk)) {
                if running.lock().insert(kind.gvk.clone(), ()).is_none() {
                    tasks.spawn(follow(cluster.client().clone(), kind.clone()));
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.try_next() => if let Err(error) = event {
                tracing::debug!(%error, "simulated operators lost their watch; it begins anew");
            }
        }
    }
}

/// Watch one kind and answer each of its objects.
async fn follow(client: Client, kind: ServedKind) {
    let resource = api_resource(&kind);
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut events = Box::pin(watcher(all, watcher::Config::default()));
    loop {
        match events.try_next().await {
            Ok(Some(watcher::Event::Apply(object) | watcher::Event::InitApply(object))) => {
                if let Err(error) = answer(&client, &resource, &object).await {
                    tracing::debug!(%error, object = %object.name_any(), "a simulated operator could not write");
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, kind = %kind.gvk, "a simulated operator lost its watch"),
        }
    }
}

async fn answer(client: &Client, resource: &ApiResource, object: &DynamicObject) -> Result<(), kube::Error> {
    let Some(status) = ready::status_of(object) else { return Ok(()) };
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let body = serde_json::json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": object.name_any(), "namespace": object.namespace()},
        "status": status,
    });
    api.patch_status(&object.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(&body)).await?;
    Ok(())
}

fn api_resource(kind: &ServedKind) -> ApiResource {
    ApiResource {
        group: kind.gvk.group.to_string(),
        version: kind.gvk.version.to_string(),
        api_version: kind.gvk.api_version(),
        kind: kind.gvk.kind.to_string(),
        plural: kind.plural.clone(),
    }
}
