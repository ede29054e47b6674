//! Stands in for helm-controller: it says of every HelmRelease that it is installed.

use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

/// The kind in the version that a repository uses.
pub fn helm_release(version: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("helm.toolkit.fluxcd.io", version, "HelmRelease"),
        "helmreleases",
    )
}

/// Sets every HelmRelease Ready, for ever; the kind may be served later. Abort the task to stop it.
pub fn set_ready(client: kube::Client, version: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let all: Api<DynamicObject> = Api::all_with(client.clone(), &helm_release(version));
            for release in all.list(&Default::default()).await.map(|list| list.items).unwrap_or_default() {
                set_one_ready(&client, version, &release).await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

async fn set_one_ready(client: &kube::Client, version: &str, release: &DynamicObject) {
    let generation = release.metadata.generation;
    if release.data["status"]["observedGeneration"].as_i64() == generation {
        return;
    }
    let namespace = release.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &helm_release(version));
    let status = json!({"status": {
        "observedGeneration": generation,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "InstallSucceeded", "message": "installed",
             "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
    }});
    let name = release.metadata.name.as_deref().unwrap_or_default();
    // It may have been changed or removed meanwhile; the next round sees.
    let _ = api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await;
}
