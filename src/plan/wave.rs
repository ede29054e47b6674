//! The order within a unit.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{GroupKind, Gvk, Manifest};

/// Where an object stands in the order within its unit; a wave begins when the one before is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wave {
    /// CustomResourceDefinitions: they bring kinds.
    Definitions,
    /// Namespaces.
    Namespaces,
    /// What others need to exist first: accounts, roles, configuration.
    Foundations,
    /// The rest of the built-in kinds.
    Workloads,
    /// Objects of kinds that CRDs bring.
    Custom,
    /// Webhooks and admission policies: they judge what comes after.
    Guards,
}

impl Wave {
    /// The wave of a kind.
    pub fn of(gvk: &Gvk) -> Wave {
        match (&*gvk.group, &*gvk.kind) {
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Wave::Definitions,
            ("", "Namespace") => Wave::Namespaces,
            (
                "",
                "ServiceAccount" | "Secret" | "ConfigMap" | "ResourceQuota" | "LimitRange"
                | "PersistentVolume",
            ) => Wave::Foundations,
            ("rbac.authorization.k8s.io" | "storage.k8s.io" | "scheduling.k8s.io", _) => Wave::Foundations,
            ("admissionregistration.k8s.io", _) => Wave::Guards,
            (group, _) if is_built_in(group) => Wave::Workloads,
            _ => Wave::Custom,
        }
    }
}

/// Whether a group is served by every API server: the core group, the old unqualified ones and `*.k8s.io`, except
/// the groups under it that projects use for their own kinds.
fn is_built_in(group: &str) -> bool {
    const PROJECTS: [&str; 4] =
        ["x-k8s.io", "gateway.networking.k8s.io", "snapshot.storage.k8s.io", "metrics.k8s.io"];
    match group {
        "" | "apps" | "batch" | "autoscaling" | "policy" => true,
        _ => group.ends_with(".k8s.io") && !PROJECTS.iter().any(|project| group.ends_with(project)),
    }
}

/// Kinds that CRDs among these manifests define.
pub(super) fn brought_kinds(manifests: &[Arc<Manifest>]) -> HashSet<GroupKind> {
    let definitions = manifests.iter().filter(|manifest| Wave::of(&manifest.gvk) == Wave::Definitions);
    definitions
        .filter_map(|manifest| {
            let spec = &manifest.body["spec"];
            Some(GroupKind {
                group: spec["group"].as_str()?.into(),
                kind: spec["names"]["kind"].as_str()?.into(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_before_their_objects() {
        let of = |api_version, kind| Wave::of(&Gvk::new(api_version, kind));
        assert!(of("apiextensions.k8s.io/v1", "CustomResourceDefinition") < of("v1", "Namespace"));
        assert!(of("v1", "Namespace") < of("rbac.authorization.k8s.io/v1", "RoleBinding"));
        assert!(of("v1", "ServiceAccount") < of("apps/v1", "Deployment"));
        assert_eq!(of("cluster.x-k8s.io/v1beta1", "Cluster"), Wave::Custom);
        assert_eq!(of("networking.k8s.io/v1", "Ingress"), Wave::Workloads);
    }
}
