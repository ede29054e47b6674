//! What becomes of a Cluster that is there already: its version only goes up, one minor at a time, and it stays with
//! its stack.

use semver::Version;
use serde_json::Value;

use super::cluster::class_of;
use super::facts::Facts;
use super::finding_at;
use super::names::{ClassName, kubernetes_version};
use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, Manifest};

/// Cluster API's own switches for those who know better.
const ANY_VERSION: &str = "unsafe.topology.cluster.x-k8s.io/disable-update-version-check";
const ANY_CLASS: &str = "unsafe.topology.cluster.x-k8s.io/disable-update-class-name-check";

/// A Cluster with a topology.
pub(super) fn of_cluster(manifest: &Manifest, facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let topology = FieldPath::of_keys(["spec", "topology"]);
    for former in facts.formers(&manifest.id) {
        let (old, new) = (&former.body["spec"]["topology"], &manifest.body["spec"]["topology"]);
        let may_begin = manifest.annotation(ANY_CLASS).is_some();
        let change = match (old.is_object(), new.is_object()) {
            (true, false) => Some("removed from"),
            (false, true) if !may_begin => Some("given to"),
            _ => None,
        };
        if let Some(change) = change {
            let message =
                format!("spec.topology cannot be {change} a Cluster that exists; Cluster API refuses it");
            findings.push(refused(Code::FieldImmutable, message, manifest, &topology));
            return;
        }
        if manifest.annotation(ANY_VERSION).is_none()
            && let Some(finding) = step(manifest, &old["version"], &new["version"], &topology.key("version"))
        {
            findings.push(finding);
            return;
        }
        if let Some(finding) = other_stack(manifest, former.body) {
            findings.push(finding);
            return;
        }
    }
}

/// A control plane that somebody writes without a topology.
pub(super) fn of_control_plane(manifest: &Manifest, facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let path = FieldPath::of_keys(["spec", "version"]);
    let mut formers = facts.formers(&manifest.id).into_iter();
    let (new, old) = (&manifest.body["spec"]["version"], |body: &Value| body["spec"]["version"].clone());
    findings.extend(formers.find_map(|former| step(manifest, &old(former.body), new, &path)));
}

/// What Cluster API says of the way from one version to another.
fn step(manifest: &Manifest, old: &Value, new: &Value, path: &FieldPath) -> Option<Finding> {
    let (old, new) = (kubernetes_version(old.as_str()?)?, kubernetes_version(new.as_str()?)?);
    let next = Version::new(old.major, old.minor + 1, 0);
    let beyond = Version::new(old.major, old.minor + 2, 0);
    if new < old {
        let message =
            format!("the version goes down from v{old} to v{new}: Cluster API refuses that, for ever");
        let help =
            format!("keep v{old} or go on to a later one; for an older Kubernetes, make a new Cluster");
        return Some(refused(Code::VersionStep, message, manifest, path).help(help));
    }
    if new >= beyond {
        let message = format!("the version goes from v{old} to v{new}, more than one minor at once");
        let help = format!(
            "go to a v{}.{}.x first, wait until the Cluster has it, and then on, each time with the class of that minor",
            next.major, next.minor
        );
        return Some(refused(Code::VersionStep, message, manifest, path).help(help));
    }
    None
}

/// Provider and name of the stack are part of what a Cluster is.
fn other_stack(manifest: &Manifest, former: &Value) -> Option<Finding> {
    let (old, _) = class_of(former)?;
    let (new, path) = class_of(&manifest.body)?;
    let (was, is) = (ClassName::parse(old)?.stack, ClassName::parse(new)?.stack);
    if was == is {
        return None;
    }
    let message =
        format!("the class changes from the stack {was} to {is}: the ClusterStack operator refuses that");
    let help = format!("stay with a class of {was}, or make a new Cluster");
    Some(refused(Code::FieldImmutable, message, manifest, &path).help(help))
}

fn refused(code: Code, message: String, manifest: &Manifest, path: &FieldPath) -> Finding {
    finding_at(Severity::Error, code, message, manifest, path)
}
