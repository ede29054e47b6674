//! What Cluster API and the ClusterStack operator demand of objects, known before they are asked.

use super::judge::at_field;
use crate::finding::{Code, Finding};
use crate::model::{FieldPath, Manifest};
use crate::render::place;

/// Label of objects that the topology controller makes.
const TOPOLOGY_OWNED: &str = "topology.cluster.x-k8s.io/owned";

/// Adds what is wrong with an object by these rules.
pub(super) fn judge(manifest: &Manifest, findings: &mut Vec<Finding>) {
    findings.extend(topology_owned(manifest));
    if manifest.id.group() == "cluster.x-k8s.io" && manifest.id.kind() == "Cluster" {
        findings.extend(version_disagrees(manifest));
    }
}

fn topology_owned(manifest: &Manifest) -> Option<Finding> {
    manifest.body["metadata"]["labels"].get(TOPOLOGY_OWNED)?;
    let message =
        format!("it is labelled {TOPOLOGY_OWNED}: Cluster API's topology controller makes and changes it");
    Some(at_field(Code::TopologyOwned, message, manifest, &["metadata", "labels", TOPOLOGY_OWNED]))
}

/// Class and version of a Cluster must be of one minor, if the class has a ClusterStack's name. The class stands in
/// `topology.class` (v1beta1) or `topology.classRef.name` (v1beta2).
fn version_disagrees(manifest: &Manifest) -> Option<Finding> {
    let topology = &manifest.body["spec"]["topology"];
    let (class, path) = match (topology["classRef"]["name"].as_str(), topology["class"].as_str()) {
        (Some(class), _) => (class, &["spec", "topology", "classRef", "name"][..]),
        (None, Some(class)) => (class, &["spec", "topology", "class"][..]),
        (None, None) => return None,
    };
    let version = topology["version"].as_str()?;
    let wanted = minor_of_class(class)?;
    let given = minor_of_version(version);
    if given == Some(wanted) {
        return None;
    }
    let (major, minor) = wanted;
    let message =
        format!("the class {class} is for Kubernetes {major}.{minor}, but the version is {version}");
    Some(
        at_field(Code::VersionDisagrees, message, manifest, &["spec", "topology", "version"])
            .related(place(manifest, &FieldPath::of_keys(path.iter().copied())))
            .help(format!("use a version v{major}.{minor}.x, or the class of the version's minor")),
    )
}

/// The minor in a class's name `provider-stack-1-27-v4`; the stack's own name may have dashes, and its version too
/// (`v0-sha.11930ee`).
fn minor_of_class(class: &str) -> Option<(u64, u64)> {
    let parts: Vec<&str> = class.split('-').collect();
    let is_release = |part: &str| {
        part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    parts.windows(3).skip(2).find_map(|window| {
        let [major, minor, release] = window else { return None };
        is_release(release).then_some(())?;
        Some((number(major)?, number(minor)?))
    })
}

/// The minor of `v1.29.3` or `1.29.3`; `None` for what is no version.
fn minor_of_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).splitn(3, '.');
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_in_a_class_name() {
        for (class, minor) in [
            ("openstack-scs-1-27-v4", Some((1, 27))),
            ("openstack-scs2-1-34-v1", Some((1, 34))),
            ("openstack-my-stack-1-30-v0-sha.11930ee", Some((1, 30))),
            ("docker-ferrol-1-30-v0-git.abc", Some((1, 30))),
            ("my-class", None),
            ("quick-start-1-27", None),
            ("1-27-v4", None),
        ] {
            assert_eq!(minor_of_class(class), minor, "{class}");
        }
        assert_eq!(minor_of_version("v1.29.3"), Some((1, 29)));
        assert_eq!(minor_of_version("1.29"), Some((1, 29)));
        assert_eq!(minor_of_version("latest"), None);
    }
}
