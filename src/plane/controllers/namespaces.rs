//! A deleted namespace is emptied, says what still holds it, and goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, change, empty};
use crate::plane::call::Subresource;
use crate::plane::clock;
use crate::plane::server::Server;
use crate::plane::store::{Key, Object};

/// The finalizer in a namespace's spec that stands for its content.
const CONTENT: &str = "kubernetes";

/// What is left in a namespace.
#[derive(Default)]
struct Content {
    /// How many objects of each resource.
    objects: BTreeMap<String, usize>,
    /// How many objects each finalizer holds.
    finalizers: BTreeMap<String, usize>,
    refused: bool,
}

/// Empties a deleted namespace and, when nothing is left, lets it go.
pub(super) async fn finish(server: &Arc<Server>, key: &Key, object: &Arc<Object>) {
    let held = |body: &Value| {
        body["spec"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|one| one == CONTENT))
    };
    if !held(&object.body()) {
        return;
    }
    let content = clear(server, &key.name).await;
    let now = clock::now();
    change(server, key, Some(Subresource::Status), MANAGER, |body| {
        set_conditions(body, &content.conditions(&now))
    })
    .await;
    if !content.objects.is_empty() || content.refused {
        return;
    }
    change(server, key, Some(Subresource::Finalize), MANAGER, |body| {
        let held = held(body);
        if let Some(list) = body["spec"]["finalizers"].as_array_mut() {
            list.retain(|one| one != CONTENT);
        }
        held
    })
    .await;
}

async fn clear(server: &Arc<Server>, namespace: &str) -> Content {
    let registry = server.registry();
    let mut content = Content::default();
    for resource in registry.collections().into_values().filter(|resource| resource.namespaced) {
        let (left, all_well) = empty(server, &resource.collection, Some(namespace)).await;
        content.refused |= !all_well;
        for object in &left {
            for finalizer in object.body()["metadata"]["finalizers"].as_array().into_iter().flatten() {
                let name = finalizer.as_str().unwrap_or_default().to_owned();
                *content.finalizers.entry(name).or_default() += 1;
            }
        }
        if !left.is_empty() {
            content.objects.insert(format!("{}.{}", resource.plural, resource.gvk.group), left.len());
        }
    }
    content
}

impl Content {
    /// The conditions of a namespace with this content, in the order in which they are first set.
    fn conditions(&self, now: &str) -> Vec<Value> {
        let condition = |kind: &str, status: &str, reason: &str, message: String| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": now,
            })
        };
        let well =
            |kind: &str, reason: &str, message: &str| condition(kind, "False", reason, message.to_owned());
        let told = |counts: &BTreeMap<String, usize>, how: &str, what: &str| {
            let parts: Vec<String> =
                counts.iter().map(|(name, count)| format!("{name} {how} {count} {what}")).collect();
            parts.join(", ")
        };
        let remaining = if self.objects.is_empty() {
            well("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed")
        } else {
            let message = told(&self.objects, "has", "resource instances");
            let message = format!("Some resources are remaining: {message}");
            condition("NamespaceContentRemaining", "True", "SomeResourcesRemain", message)
        };
        let finalizers = if self.finalizers.is_empty() {
            let message = "All content-preserving finalizers finished";
            well("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", message)
        } else {
            let message = told(&self.finalizers, "in", "resource instances");
            let message = format!("Some content in the namespace has finalizers remaining: {message}");
            condition("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message)
        };
        let failure = if self.refused {
            let message = "Failed to delete all resource types; what was refused is tried again".to_owned();
            condition("NamespaceDeletionContentFailure", "True", "ContentDeletionFailed", message)
        } else {
            let message = "All content successfully deleted, may be waiting on finalization";
            well("NamespaceDeletionContentFailure", "ContentDeleted", message)
        };
        vec![
            well(
                "NamespaceDeletionDiscoveryFailure",
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            well(
                "NamespaceDeletionGroupVersionParsingFailure",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            failure,
            remaining,
            finalizers,
        ]
    }
}

/// Brings the conditions up to date; whether there was anything to do. A time changes with the status alone.
fn set_conditions(body: &mut Value, wanted: &[Value]) -> bool {
    if !body["status"]["conditions"].is_array() {
        body["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = body["status"]["conditions"].as_array_mut() else { return false };
    let mut changed = false;
    for new in wanted {
        match conditions.iter_mut().find(|old| old["type"] == new["type"]) {
            None => {
                conditions.push(new.clone());
                changed = true;
            }
            Some(old) if ["status", "reason", "message"].iter().any(|field| old[*field] != new[*field]) => {
                let since = if old["status"] == new["status"] { &*old } else { new };
                let since = since["lastTransitionTime"].clone();
                *old = new.clone();
                old["lastTransitionTime"] = since;
                changed = true;
            }
            Some(_) => {}
        }
    }
    changed
}
