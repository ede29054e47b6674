//! A cluster that never was: the live state that a revision would have made, for plans without a cluster.

use std::collections::HashMap;
use std::sync::Arc;

use super::step::applied;
use crate::model::{GroupKind, Gvk, LiveObject, LiveState, Manifest, ServedKind};
use crate::schema::Schemas;

/// The live state after these manifests were applied to an empty cluster that serves their kinds.
pub fn live_state_of<'a>(
    manifests: impl IntoIterator<Item = &'a Arc<Manifest>>,
    schemas: &Schemas,
    now: &str,
) -> LiveState {
    let mut live = LiveState::default();
    for manifest in manifests {
        let body = applied(manifest, None, true, schemas, now).unwrap_or_else(|_| (*manifest.body).clone());
        let object = LiveObject::new(body);
        if manifest.id.kind() == "Namespace" && manifest.id.group().is_empty() {
            live.namespaces.insert(manifest.id.name().to_owned(), object.clone());
        }
        live.objects.insert(manifest.id.clone(), object);
    }
    live
}

/// Every kind among these manifests, as if it were served: without a cluster, a kind that nobody knows is planned as
/// written and marked as not exact.
pub fn served_kinds<'a>(
    manifests: impl IntoIterator<Item = &'a Arc<Manifest>>,
    schemas: &Schemas,
) -> HashMap<GroupKind, Vec<ServedKind>> {
    let mut kinds: HashMap<GroupKind, Vec<ServedKind>> = HashMap::new();
    for manifest in manifests {
        let served = kinds.entry(manifest.gvk.group_kind()).or_default();
        if served.iter().all(|kind| kind.gvk != manifest.gvk) {
            served.push(assumed(&manifest.gvk, manifest, schemas));
        }
    }
    kinds
}

fn assumed(gvk: &Gvk, manifest: &Manifest, schemas: &Schemas) -> ServedKind {
    match schemas.kind(gvk) {
        Some(kind) => {
            ServedKind { gvk: gvk.clone(), plural: kind.plural.to_string(), namespaced: kind.namespaced }
        }
        None => ServedKind {
            gvk: gvk.clone(),
            plural: format!("{}s", gvk.kind.to_lowercase()),
            namespaced: manifest.id.namespace().is_some(),
        },
    }
}
