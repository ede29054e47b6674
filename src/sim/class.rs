//! Cluster API: a ClusterClass can be used when its variables are known.

use serde_json::{Value, json};

use super::condition::{Condition, with_generation};
use super::object::{generation, is_deleting, is_modern, text};
use super::world::{Error, World};

pub(super) const KIND: (&str, &str) = ("cluster.x-k8s.io", "ClusterClass");

pub(super) async fn reconcile(world: &World, class: &Value) -> Result<(), Error> {
    if is_deleting(class) {
        return Ok(());
    }
    let kind = if is_modern(class) { "VariablesReady" } else { "VariablesReconciled" };
    let known = [Condition::new(kind, true, kind, "its variables are known")];
    let conditions = with_generation(class, &class["status"]["conditions"], &known);
    world.tell(class, json!({"observedGeneration": generation(class), "conditions": conditions})).await
}

/// Whether it can be used.
pub(super) fn is_usable(class: &Value) -> bool {
    !is_deleting(class) && class["status"]["observedGeneration"] == generation(class)
}

/// The name of the class that a Cluster is made of; empty if it has no topology.
pub(super) fn name_of(cluster: &Value) -> &str {
    match text(cluster, &["spec", "topology", "classRef", "name"]) {
        "" => text(cluster, &["spec", "topology", "class"]),
        name => name,
    }
}

/// The kind that a class makes from one of its templates, `infrastructure` or `controlPlane`.
pub(super) fn kind_made<'a>(class: &'a Value, part: &str) -> &'a str {
    let part = &class["spec"][part];
    let reference = if part["templateRef"].is_object() { &part["templateRef"] } else { &part["ref"] };
    text(reference, &["kind"]).trim_end_matches("Template")
}
