//! What Cluster API, its OpenStack provider and the ClusterStack operator demand of objects, known before they are asked.
//!
//! Input: what was rendered, and what was there before (the applied revision, live objects), as far as known.
//! Output: findings. Cost: one pass over the objects of these groups; a repository without any pays nothing more.
//!
//! What depends on one object alone is judged with it ([`judge`]); what depends on others, or on what was there
//! before, is judged in one pass over all ([`across`]). A rule whose other half is not known stays silent: a class
//! that only lives in a cluster is not missed here.

mod clash;
mod class;
mod cluster;
mod facts;
mod immutable;
mod names;
mod stack;
mod upgrade;
mod variables;

use super::Surroundings;
use super::judge::at_field;
use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, Manifest};
use crate::render::{Manifests, place};
use facts::Facts;

/// Label of objects that the topology controller makes.
const TOPOLOGY_OWNED: &str = "topology.cluster.x-k8s.io/owned";

/// Adds what is wrong with an object by itself.
pub(super) fn judge(manifest: &Manifest, findings: &mut Vec<Finding>) {
    findings.extend(topology_owned(manifest));
    match (manifest.id.group(), manifest.id.kind()) {
        ("cluster.x-k8s.io", "Cluster") => cluster::judge(manifest, findings),
        ("clusterstack.x-k8s.io", "ClusterStack") => stack::judge(manifest, findings),
        _ => {}
    }
}

/// What is wrong with objects beside others, and beside what was there before; each with the object's index.
pub(super) fn across(rendered: &Manifests, surroundings: &Surroundings<'_>) -> Vec<(usize, Finding)> {
    let facts = Facts::of(rendered, surroundings);
    let mut found = Vec::new();
    for (index, manifest) in facts.objects() {
        let mut findings = Vec::new();
        immutable::judge(manifest, &facts, &mut findings);
        match (manifest.id.group(), manifest.id.kind()) {
            ("cluster.x-k8s.io", "Cluster") => {
                upgrade::of_cluster(manifest, &facts, &mut findings);
                stack::releases_class(manifest, &facts, &mut findings);
                class::judge(manifest, &facts, &mut findings);
            }
            ("controlplane.cluster.x-k8s.io", "KubeadmControlPlane") => {
                upgrade::of_control_plane(manifest, &facts, &mut findings);
            }
            _ => {}
        }
        found.extend(findings.into_iter().map(|finding| (index, finding)));
    }
    found.extend(clash::clashes(&facts));
    found
}

fn topology_owned(manifest: &Manifest) -> Option<Finding> {
    manifest.body["metadata"]["labels"].get(TOPOLOGY_OWNED)?;
    let message =
        format!("it is labelled {TOPOLOGY_OWNED}: Cluster API's topology controller makes and changes it");
    Some(at_field(Code::TopologyOwned, message, manifest, &["metadata", "labels", TOPOLOGY_OWNED]))
}

/// A finding about any field of an object.
fn finding_at(
    severity: Severity,
    code: Code,
    message: String,
    manifest: &Manifest,
    path: &FieldPath,
) -> Finding {
    let finding = match severity {
        Severity::Error => Finding::error(code, message),
        Severity::Warning => Finding::warning(code, message),
        Severity::Note => Finding::note(code, message),
    };
    finding.about(&manifest.id).at(place(manifest, path))
}

#[cfg(test)]
mod tests;
