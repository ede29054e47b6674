//! ClusterStacks: by themselves, and as what makes the class of a Cluster.

use serde_json::Value;

use super::cluster::{class_namespace, class_of};
use super::facts::Facts;
use super::finding_at;
use super::names::ClassName;
use crate::finding::{Code, Finding, Severity, nearest};
use crate::model::{FieldPath, Manifest, ObjectId};
use crate::review::judge::at_field;

/// What the operator's webhook refuses of a ClusterStack.
pub(super) fn judge(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let spec = &manifest.body["spec"];
    let channel = spec["channel"].as_str().unwrap_or("stable");
    for (index, version) in spec["versions"].as_array().into_iter().flatten().enumerate() {
        let Some(version) = version.as_str() else { continue };
        if channel_of(version) != Some(channel) {
            let path = FieldPath::of_keys(["spec", "versions"]).index(index);
            let message = match channel_of(version) {
                Some(other) => {
                    format!("the version {version} is of the channel {other}, and the channel is {channel}")
                }
                None => format!("{version:?} is no version of a ClusterStack such as v3, or v0-sha.11930ee"),
            };
            let finding = finding_at(Severity::Error, Code::ClusterStackInvalid, message, manifest, &path);
            findings.push(
                finding.help("use a version of the channel, or another ClusterStack with that channel"),
            );
        }
    }
    if spec["noProvider"] != true && spec["providerRef"].is_null() {
        let message =
            "spec.providerRef is missing: only a ClusterStack with `noProvider: true` needs none".to_owned();
        findings.push(at_field(Code::ClusterStackInvalid, message, manifest, &["spec"]));
    }
}

/// The channel that a version is of: `v3` stable, `v3-alpha.1` alpha, `v0-sha.11930ee` custom.
fn channel_of(version: &str) -> Option<&str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let rest = version.strip_prefix('v')?;
    let Some((major, suffix)) = rest.split_once('-') else { return digits(rest).then_some("stable") };
    let (word, _) = suffix.split_once('.')?;
    match word {
        _ if !digits(major) => None,
        "alpha" | "beta" => Some(word),
        _ => Some("custom"),
    }
}

/// A class with a ClusterStack's name needs a ClusterStack of its namespace that releases it.
pub(super) fn releases_class(manifest: &Manifest, facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let Some((class, path)) = class_of(&manifest.body) else { return };
    let Some(wanted) = ClassName::parse(class) else { return };
    let namespace = class_namespace(&manifest.body, manifest.id.namespace());
    let stacks = facts.of_kind("clusterstack.x-k8s.io", "ClusterStack", namespace);
    let is_there =
        facts.object(&ObjectId::new("cluster.x-k8s.io", "ClusterClass", namespace, class)).is_some();
    if stacks.is_empty() || is_there || stacks.iter().any(|stack| releases(&stack.body["spec"], &wanted)) {
        return;
    }
    let had_it = |former: &Value| class_of(former).is_some_and(|(former, _)| former == class);
    let severity = facts.severity_of_new(&manifest.id, had_it);
    let known: Vec<String> = stacks.iter().flat_map(|stack| classes_of(&stack.body["spec"])).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let message =
        format!("no ClusterStack in namespace {} makes the class {class}", namespace.unwrap_or("?"));
    let help = match nearest(class, &known) {
        _ if known.is_empty() => "add its version to a ClusterStack of the namespace first".to_owned(),
        Some(near) if known.len() == 1 => format!("use {near}, or add the version to a ClusterStack first"),
        _ => format!("use one of {}, or add the version to a ClusterStack first", known.join(", ")),
    };
    let first = stacks.first().and_then(|stack| facts.place(&stack.id));
    let mut finding = finding_at(severity, Code::ClassNotReleased, message, manifest, &path).help(help);
    finding.related = first;
    findings.push(finding);
}

/// Whether a ClusterStack makes a class; one that subscribes to its channel may make any version.
fn releases(spec: &Value, wanted: &ClassName<'_>) -> bool {
    let subscribes = spec["autoSubscribe"] != false;
    let versions = spec["versions"].as_array();
    let lists = versions.into_iter().flatten().any(|version| version == wanted.release);
    stack_of(spec).is_some_and(|(stack, minor)| stack == wanted.stack && minor == wanted.minor)
        && (subscribes || lists)
}

/// `openstack-scs2` and its minor.
fn stack_of(spec: &Value) -> Option<(String, (u64, u64))> {
    let (provider, name) = (spec["provider"].as_str()?, spec["name"].as_str()?);
    let minor = super::names::minor_of_version(spec["kubernetesVersion"].as_str()?)?;
    Some((format!("{provider}-{name}"), minor))
}

/// The classes that a ClusterStack makes, by name.
fn classes_of(spec: &Value) -> Vec<String> {
    let Some((stack, (major, minor))) = stack_of(spec) else { return Vec::new() };
    let versions = spec["versions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    versions.map(|version| format!("{stack}-{major}-{minor}-{version}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels() {
        for (version, channel) in [
            ("v3", Some("stable")),
            ("v0-sha.11930ee", Some("custom")),
            ("v0-git.abc", Some("custom")),
            ("v2-alpha.1", Some("alpha")),
            ("3", None),
            ("v", None),
            ("vx-sha.1", None),
            ("v0-sha", None),
        ] {
            assert_eq!(channel_of(version), channel, "{version}");
        }
    }
}
