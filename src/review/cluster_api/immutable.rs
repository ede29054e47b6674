//! Fields that the controllers' webhooks do not let anybody change.

use serde_json::Value;

use super::facts::{Facts, Former};
use super::finding_at;
use super::names::next_name;
use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, Manifest};

/// Kinds and their fields that stay as they were made. A field that was not there may be set.
const FIELDS: &[(&str, &[&str], &[&str])] = &[
    (
        "cluster.x-k8s.io",
        &["Cluster"],
        &[
            "spec.clusterNetwork.pods.cidrBlocks",
            "spec.clusterNetwork.services.cidrBlocks",
            "spec.clusterNetwork.serviceDomain",
            "spec.clusterNetwork.apiServerPort",
            "spec.controlPlaneEndpoint.host",
            "spec.controlPlaneEndpoint.port",
        ],
    ),
    ("cluster.x-k8s.io", &["MachineDeployment", "MachineSet"], &["spec.clusterName", "spec.selector"]),
    ("cluster.x-k8s.io", &["Machine", "MachinePool", "MachineHealthCheck"], &["spec.clusterName"]),
    (
        "cluster.x-k8s.io",
        &["ClusterClass"],
        &[
            "spec.infrastructure.ref.kind",
            "spec.infrastructure.templateRef.kind",
            "spec.controlPlane.ref.kind",
            "spec.controlPlane.templateRef.kind",
        ],
    ),
    ("addons.cluster.x-k8s.io", &["ClusterResourceSet"], &["spec.strategy", "spec.clusterSelector"]),
    (
        "controlplane.cluster.x-k8s.io",
        &["KubeadmControlPlane"],
        &[
            "spec.kubeadmConfigSpec.clusterConfiguration.networking",
            "spec.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint",
            "spec.kubeadmConfigSpec.clusterConfiguration.clusterName",
            "spec.kubeadmConfigSpec.clusterConfiguration.certificatesDir",
            "spec.kubeadmConfigSpec.clusterConfiguration.etcd.external",
            "spec.kubeadmConfigSpec.clusterConfiguration.etcd.local.dataDir",
        ],
    ),
    (
        "infrastructure.cluster.x-k8s.io",
        &["OpenStackCluster"],
        &[
            "spec.controlPlaneEndpoint.host",
            "spec.controlPlaneEndpoint.port",
            "spec.externalNetwork",
            "spec.router",
            "spec.networkMTU",
            "spec.disableExternalNetwork",
            "spec.disableAPIServerFloatingIP",
            "spec.disablePortSecurity",
            "spec.tags",
        ],
    ),
    (
        "clusterstack.x-k8s.io",
        &["ClusterStack"],
        &["spec.provider", "spec.name", "spec.channel", "spec.kubernetesVersion"],
    ),
];

/// References that may change but not go.
const KEPT: &[&str] = &["spec.infrastructureRef", "spec.controlPlaneRef"];

/// Providers whose webhooks are known to refuse a change of a template; others follow the same contract.
const STRICT: &[&str] = &[
    "OpenStack",
    "Kubeadm",
    "Docker",
    "Dev",
    "AWS",
    "Azure",
    "GCP",
    "VSphere",
    "HCloud",
    "HetznerBareMetal",
];

/// What of an object changes that cannot.
pub(super) fn judge(manifest: &Manifest, facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let formers = facts.formers(&manifest.id);
    if formers.is_empty() {
        return;
    }
    let id = &manifest.id;
    let fields = FIELDS.iter().filter(|(group, kinds, _)| *group == id.group() && kinds.contains(&id.kind()));
    for field in fields.flat_map(|(_, _, fields)| *fields) {
        let path = path_of(field);
        let new = at(&manifest.body, &path);
        if formers.iter().any(|former| changes(at(former.body, &path), new, former.is_live)) {
            let message = format!("{field} changes: it stays as it was when the {} was made", id.kind());
            let finding = finding_at(Severity::Error, Code::FieldImmutable, message, manifest, &path);
            findings
                .push(finding.help(format!("set it back, or make a new {} under another name", id.kind())));
        }
    }
    if id.group() == "cluster.x-k8s.io" && id.kind() == "Cluster" {
        findings.extend(KEPT.iter().filter_map(|field| gone(manifest, &formers, field)));
    }
    findings.extend(template(manifest, &formers, facts));
}

/// A reference that was there and is not any more. What only lives may have been set by a controller.
fn gone(manifest: &Manifest, formers: &[Former<'_>], field: &str) -> Option<Finding> {
    let path = path_of(field);
    let was = formers.iter().any(|former| !former.is_live && at(former.body, &path).is_some());
    if !was || at(&manifest.body, &path).is_some() {
        return None;
    }
    let message = format!("{field} is removed: Cluster API refuses that");
    Some(finding_at(Severity::Error, Code::FieldImmutable, message, manifest, &path_of("spec")))
}

/// Templates of machines, clusters and control planes are copied, not changed: what uses one rolls when it names
/// another.
fn template(manifest: &Manifest, formers: &[Former<'_>], facts: &Facts<'_>) -> Option<Finding> {
    let (group, kind) = (manifest.id.group(), manifest.id.kind());
    let is_template = ["MachineTemplate", "ClusterTemplate", "ControlPlaneTemplate", "MachinePoolTemplate"]
        .iter()
        .any(|end| kind.ends_with(end));
    let is_group = matches!(group, "infrastructure.cluster.x-k8s.io" | "controlplane.cluster.x-k8s.io");
    if !(is_template && is_group) {
        return None;
    }
    let path = path_of("spec.template.spec");
    let new = at(&manifest.body, &path);
    // Another API version may write the same in another form.
    let same_form = |former: &&Former<'_>| former.body["apiVersion"] == manifest.body["apiVersion"];
    let former = formers
        .iter()
        .filter(same_form)
        .find(|former| changes(at(former.body, &path), new, former.is_live))?;
    let field = first_change(at(former.body, &path)?, new.unwrap_or(&Value::Null), path, former.is_live);
    let severity =
        if STRICT.iter().any(|known| kind.starts_with(known)) { Severity::Error } else { Severity::Warning };
    let message = format!("{field} changes, but a {kind} stays as it was made");
    let name = manifest.id.name();
    let users: Vec<String> = facts.referrers(&manifest.id).iter().map(ToString::to_string).collect();
    let users = if users.is_empty() { "what uses it".to_owned() } else { users.join(" and ") };
    let help = format!(
        "leave {name} as it is, write the change into a copy under a new name, such as {}, and name that in {users}: \
         the machines are then replaced one after the other; remove {name} when none uses it any more",
        next_name(name)
    );
    Some(finding_at(severity, Code::FieldImmutable, message, manifest, &field).help(help))
}

/// Whether a value becomes another. What was not there may be set; a live object also holds what nobody here wrote.
fn changes(old: Option<&Value>, new: Option<&Value>, is_live: bool) -> bool {
    match (old, new) {
        (None, _) => false,
        (Some(_), None) => !is_live,
        (Some(old), Some(new)) => differs(old, new, is_live),
    }
}

fn differs(old: &Value, new: &Value, is_live: bool) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let gone = !is_live && old.keys().any(|key| !new.contains_key(key));
            gone || new.iter().any(|(key, value)| match old.get(key) {
                Some(old) => differs(old, value, is_live),
                None => !value.is_null(),
            })
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() != new.len() || old.iter().zip(new).any(|(old, new)| differs(old, new, is_live))
        }
        _ => old != new,
    }
}

/// The way to the first field that differs.
fn first_change(old: &Value, new: &Value, path: FieldPath, is_live: bool) -> FieldPath {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return path };
    for (key, value) in new {
        match old.get(key) {
            Some(old) if differs(old, value, is_live) => {
                return first_change(old, value, path.key(key), is_live);
            }
            None => return path.key(key),
            Some(_) => {}
        }
    }
    path
}

fn path_of(field: &str) -> FieldPath {
    FieldPath::of_keys(field.split('.'))
}

/// The value at a path of keys; nothing is as good as a null.
fn at<'a>(object: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    let mut value = object;
    for segment in &path.0 {
        value = match segment {
            crate::model::PathSegment::Key(key) => value.get(key)?,
            crate::model::PathSegment::Index(index) => value.get(index)?,
        };
    }
    (!value.is_null()).then_some(value)
}
