//! Which documents are policies, which only stand beside them, and which were meant to be policies and are none.

use crate::finding::{any_of, nearest};
use crate::model::Gvk;

/// What a document is among policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A policy, what binds one, or an exception from one.
    Policy,
    /// What policies may ask for, or what their controller keeps for itself.
    Beside,
    /// Its group, version or kind is wrong: what is wrong, and what to write.
    Misspelt {
        /// The field that is wrong: `kind` or `apiVersion`.
        field: &'static str,
        /// What is wrong.
        what: String,
        /// What to write in its place.
        help: String,
    },
    /// Something else.
    Foreign,
}

/// Kinds of a group, in the versions that have them.
struct Family {
    group: &'static str,
    versions: &'static [&'static str],
    kinds: &'static [&'static str],
    standing: Standing,
}

const KYVERNO: &str = "kyverno.io";
const CEL: &str = "policies.kyverno.io";
const API_SERVER: &str = "admissionregistration.k8s.io";

const FAMILIES: &[Family] = &[
    Family {
        group: KYVERNO,
        versions: &["v1", "v2beta1"],
        kinds: &["ClusterPolicy", "Policy"],
        standing: Standing::Policy,
    },
    Family {
        group: KYVERNO,
        versions: &["v2", "v2beta1", "v2alpha1"],
        kinds: &["PolicyException", "CleanupPolicy", "ClusterCleanupPolicy"],
        standing: Standing::Policy,
    },
    Family {
        group: KYVERNO,
        versions: &["v2", "v2beta1", "v2alpha1"],
        kinds: &["GlobalContextEntry"],
        standing: Standing::Beside,
    },
    Family {
        group: KYVERNO,
        versions: &["v2", "v1beta1"],
        kinds: &["UpdateRequest"],
        standing: Standing::Beside,
    },
    Family {
        group: CEL,
        versions: &["v1", "v1beta1", "v1alpha1"],
        kinds: &[
            "ValidatingPolicy",
            "MutatingPolicy",
            "GeneratingPolicy",
            "DeletingPolicy",
            "ImageValidatingPolicy",
            "PolicyException",
            "NamespacedValidatingPolicy",
            "NamespacedMutatingPolicy",
            "NamespacedGeneratingPolicy",
            "NamespacedDeletingPolicy",
            "NamespacedImageValidatingPolicy",
        ],
        standing: Standing::Policy,
    },
    Family {
        group: API_SERVER,
        versions: &["v1", "v1beta1", "v1alpha1"],
        kinds: &[
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        ],
        standing: Standing::Policy,
    },
];

impl Standing {
    /// By group, version and kind.
    pub fn of(gvk: &Gvk) -> Standing {
        let Gvk { group, version, kind } = gvk;
        let (group, version, kind) = (&**group, &**version, &**kind);
        let named: Vec<&Family> = FAMILIES.iter().filter(|family| family.kinds.contains(&kind)).collect();
        if let Some(family) = named.iter().find(|family| family.group == group) {
            if family.versions.contains(&version) {
                return family.standing.clone();
            }
            return Standing::Misspelt {
                field: "apiVersion",
                what: format!("{group}/{version} has no kind {kind}"),
                help: format!("write apiVersion: {group}/{}", any_of(family.versions)),
            };
        }
        let groups = [KYVERNO, CEL, API_SERVER];
        if !groups.contains(&group) {
            return Standing::of_unknown_group(gvk, &named);
        }
        let kinds = kinds_of(group);
        let near = nearest(kind, &kinds);
        // The API server's group has other kinds, which are about no policies.
        if group == API_SERVER && near.is_none() && !kind.contains("AdmissionPolicy") {
            return Standing::Foreign;
        }
        let (field, help) = match (near, named.first()) {
            (_, Some(family)) => {
                ("apiVersion", format!("{kind} is of {}/{}", family.group, family.versions[0]))
            }
            (Some(near), None) => ("kind", format!("did you mean {near}?")),
            (None, None) => ("kind", format!("write {}", any_of(&kinds))),
        };
        Standing::Misspelt { field, what: format!("{group}/{version} has no kind {kind}"), help }
    }

    /// A group that has no policies: perhaps the kind was meant, and the group is misspelt.
    fn of_unknown_group(gvk: &Gvk, named: &[&Family]) -> Standing {
        let group = &*gvk.group;
        let groups: Vec<&str> = named.iter().map(|family| family.group).collect();
        // `Policy` is a word of many groups.
        let is_meant = group.is_empty() && &*gvk.kind != "Policy" || nearest(group, &groups).is_some();
        match named.first() {
            Some(family) if is_meant => Standing::Misspelt {
                field: "apiVersion",
                what: format!("{} is no kind of {}", gvk.kind, gvk.api_version()),
                help: format!("write apiVersion: {}/{}", family.group, family.versions[0]),
            },
            _ => Standing::Foreign,
        }
    }
}

fn kinds_of(group: &str) -> Vec<&'static str> {
    let families = FAMILIES.iter().filter(|family| family.group == group);
    families.flat_map(|family| family.kinds).copied().filter(|kind| *kind != "UpdateRequest").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(api_version: &str, kind: &str) -> Standing {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Standing::of(&Gvk { group: group.into(), version: version.into(), kind: kind.into() })
    }

    fn help(api_version: &str, kind: &str) -> String {
        match of(api_version, kind) {
            Standing::Misspelt { help, .. } => help,
            other => panic!("{api_version} {kind} is {other:?}"),
        }
    }

    #[test]
    fn policies_are_known_by_group_version_and_kind() {
        for (version, kind) in [
            ("kyverno.io/v1", "ClusterPolicy"),
            ("kyverno.io/v2beta1", "Policy"),
            ("kyverno.io/v2", "PolicyException"),
            ("kyverno.io/v2", "ClusterCleanupPolicy"),
            ("policies.kyverno.io/v1alpha1", "NamespacedValidatingPolicy"),
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
        ] {
            assert_eq!(of(version, kind), Standing::Policy, "{version} {kind}");
        }
        assert_eq!(of("kyverno.io/v2alpha1", "GlobalContextEntry"), Standing::Beside);
        for (version, kind) in [
            ("v1", "ConfigMap"),
            ("v1", "Policy"),
            ("nvidia.com/v1", "ClusterPolicy"),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ] {
            assert_eq!(of(version, kind), Standing::Foreign, "{version} {kind}");
        }
    }

    #[test]
    fn what_is_misspelt_says_what_was_meant() {
        assert_eq!(help("kyverno.io/v1", "ClusterPolicyy"), "did you mean ClusterPolicy?");
        assert_eq!(
            help("kyverno.io/v1", "ValidatingPolicy"),
            "ValidatingPolicy is of policies.kyverno.io/v1"
        );
        assert_eq!(help("policies.kyverno.io/v1", "ValidatngPolicy"), "did you mean ValidatingPolicy?");
        assert_eq!(help("kyverno.io/v9", "ClusterPolicy"), "write apiVersion: kyverno.io/v1 or v2beta1");
        assert_eq!(help("kyvern.io/v1", "ClusterPolicy"), "write apiVersion: kyverno.io/v1");
        assert_eq!(help("v1", "ClusterPolicy"), "write apiVersion: kyverno.io/v1");
        assert_eq!(
            help("admissionregistration.k8s.io/v2", "ValidatingAdmissionPolicy"),
            "write apiVersion: admissionregistration.k8s.io/v1, v1beta1 or v1alpha1"
        );
    }
}
