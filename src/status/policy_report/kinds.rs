//! Which kinds of reports a cluster takes.

use std::collections::HashMap;

use crate::model::{GroupKind, ServedKind};

/// Group, version and both kinds of reports, the preferred first: the working group's, which Kyverno and what shows its
/// reports use, and their successor.
pub const REPORT_KINDS: [(&str, &str, [&str; 2]); 2] = [
    ("wgpolicyk8s.io", "v1alpha2", ["PolicyReport", "ClusterPolicyReport"]),
    ("openreports.io", "v1alpha1", ["Report", "ClusterReport"]),
];

/// The kinds in which reports are written: for a namespace, and for what has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportKinds {
    namespaced: ServedKind,
    cluster: ServedKind,
}

impl ReportKinds {
    /// Those that are served; `None` if the cluster takes no reports.
    pub fn served(kinds: &HashMap<GroupKind, Vec<ServedKind>>) -> Option<ReportKinds> {
        ReportKinds::all_served(kinds).next()
    }

    /// Every kind of reports that is served, preferred or not.
    pub fn all_served(
        kinds: &HashMap<GroupKind, Vec<ServedKind>>,
    ) -> impl Iterator<Item = ReportKinds> + use<'_> {
        REPORT_KINDS.into_iter().filter_map(|(group, version, names)| {
            let served = |kind: &str| {
                let versions = kinds.get(&GroupKind { group: group.into(), kind: kind.into() })?;
                versions.iter().find(|served| &*served.gvk.version == version).cloned()
            };
            let [namespaced, cluster] = names.map(served);
            Some(ReportKinds { namespaced: namespaced?, cluster: cluster? })
        })
    }

    /// The kind for a namespace, or for what has none.
    pub fn of(&self, namespace: Option<&str>) -> &ServedKind {
        match namespace {
            Some(_) => &self.namespaced,
            None => &self.cluster,
        }
    }

    /// Both.
    pub fn both(&self) -> [&ServedKind; 2] {
        [&self.namespaced, &self.cluster]
    }
}
