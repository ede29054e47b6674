//! A Cluster by itself: name, network, version, class, control plane.

use std::net::IpAddr;

use serde_json::Value;

use super::finding_at;
use super::names::{ClassName, kubernetes_version, minor_of_version};
use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, Manifest};
use crate::render::place;
use crate::review::judge::at_field;

/// A Cluster's class and where it stands: `topology.class` in v1beta1, `topology.classRef.name` in v1beta2.
pub(super) fn class_of(cluster: &Value) -> Option<(&str, FieldPath)> {
    let topology = &cluster["spec"]["topology"];
    let path = FieldPath::of_keys(["spec", "topology"]);
    match (topology["classRef"]["name"].as_str(), topology["class"].as_str()) {
        (Some(class), _) => Some((class, path.key("classRef").key("name"))),
        (None, Some(class)) => Some((class, path.key("class"))),
        (None, None) => None,
    }
}

/// The namespace of a Cluster's class: the Cluster's own, unless it says another.
pub(super) fn class_namespace<'a>(cluster: &'a Value, own: Option<&'a str>) -> Option<&'a str> {
    let topology = &cluster["spec"]["topology"];
    topology["classRef"]["namespace"].as_str().or_else(|| topology["classNamespace"].as_str()).or(own)
}

pub(super) fn judge(manifest: &Manifest, findings: &mut Vec<Finding>) {
    name(manifest, findings);
    network(manifest, findings);
    references(manifest, findings);
    version(manifest, findings);
    findings.extend(version_disagrees(manifest));
}

/// The name becomes the value of a label on everything that belongs to the Cluster.
fn name(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let name = manifest.id.name();
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(good) && name.bytes().last().is_some_and(good);
    if name.len() <= 63 && ends && name.bytes().all(|b| good(b) || b == b'-' || b == b'.') {
        return;
    }
    let message = "metadata.name: the name of a Cluster becomes the value of labels and part of host names: at most 63 \
                   lower case letters, digits and '-', a letter or digit at both ends"
        .to_owned();
    findings.push(at_field(Code::SchemaViolation, message, manifest, &["metadata", "name"]));
}

/// Cluster API refuses blocks that are not in CIDR notation.
fn network(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let network = &manifest.body["spec"]["clusterNetwork"];
    for kind in ["pods", "services"] {
        let path = FieldPath::of_keys(["spec", "clusterNetwork", kind, "cidrBlocks"]);
        for (index, block) in network[kind]["cidrBlocks"].as_array().into_iter().flatten().enumerate() {
            if let Some(text) = block.as_str().filter(|text| !is_cidr(text)) {
                let path = path.index(index);
                let message = format!("{path}: {text:?} is no block of addresses such as 192.168.0.0/16");
                let error = Severity::Error;
                findings.push(finding_at(error, Code::SchemaViolation, message, manifest, &path));
            }
        }
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    length.bytes().all(|b| b.is_ascii_digit()) && length.parse::<u8>().is_ok_and(|length| length <= longest)
}

/// What a Cluster refers to lies in its own namespace.
fn references(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for field in ["infrastructureRef", "controlPlaneRef"] {
        let namespace = manifest.body["spec"][field]["namespace"].as_str();
        if let Some(other) = namespace.filter(|other| Some(*other) != manifest.id.namespace()) {
            let message = format!(
                "spec.{field}.namespace: {other:?} is not the Cluster's own namespace; Cluster API demands it"
            );
            let path = ["spec", field, "namespace"];
            findings.push(at_field(Code::SchemaViolation, message, manifest, &path));
        }
    }
}

/// `v1.34.2`: three numbers, and a `v` before them.
fn version(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let path = ["spec", "topology", "version"];
    let version = match &manifest.body["spec"]["topology"]["version"] {
        Value::Null => return,
        Value::String(version) => version.clone(),
        other => {
            let message = format!("the version {other} is not text: YAML reads it as another type");
            let help = format!("write it in quotes and whole, such as version: \"v{other}.0\"");
            findings.push(at_field(Code::VersionMalformed, message, manifest, &path).help(help));
            return;
        }
    };
    match kubernetes_version(&version) {
        Some(_) if version.starts_with('v') => {}
        Some(_) => {
            let message = format!(
                "the version {version} lacks its v, which Cluster API adds: what is in git is not what is stored"
            );
            let path = FieldPath::of_keys(path);
            let finding = finding_at(Severity::Warning, Code::VersionMalformed, message, manifest, &path);
            findings.push(finding.help(format!("write v{version}")));
        }
        None => {
            let message = format!("{version:?} is no version of Kubernetes such as v1.34.2");
            let mut finding = at_field(Code::VersionMalformed, message, manifest, &path);
            if let Some((major, minor)) = minor_of_version(&version) {
                finding = finding.help(format!("say the patch version, too: v{major}.{minor}.0 or later"));
            }
            findings.push(finding);
        }
    }
}

/// Class and version of a Cluster must be of one minor, if the class has a ClusterStack's name.
fn version_disagrees(manifest: &Manifest) -> Option<Finding> {
    let (class, path) = class_of(&manifest.body)?;
    let version = manifest.body["spec"]["topology"]["version"].as_str()?;
    let wanted = ClassName::parse(class)?.minor;
    if minor_of_version(version) == Some(wanted) {
        return None;
    }
    let (major, minor) = wanted;
    let message =
        format!("the class {class} is for Kubernetes {major}.{minor}, but the version is {version}");
    Some(
        at_field(Code::VersionDisagrees, message, manifest, &["spec", "topology", "version"])
            .related(place(manifest, &path))
            .help(format!("use a version v{major}.{minor}.x, or the class of the version's minor")),
    )
}
