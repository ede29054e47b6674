//! What is never deleted without an approval, and who may switch a safety off.

use super::glob::Glob;
use crate::model::{GroupKind, RepoPath};

/// How many objects a commit may delete, where the repository does not say.
const MOST_DELETIONS: u32 = 10;

/// Kinds that are protected in every repository.
const PROTECTED: [(&str, &str); 7] = [
    ("cluster.x-k8s.io", "Cluster"),
    ("clusterstack.x-k8s.io", "ClusterStack"),
    ("cluster.x-k8s.io", "ClusterClass"),
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
];

/// What is never deleted without an approval.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Kinds beside the built-in ones.
    pub kinds: Vec<KindPattern>,
    /// How many objects a commit may delete.
    pub max_deletions: u32,
    /// Files in which an annotation may switch a safety off.
    pub annotations: Vec<Glob>,
}

/// A kind in one group (`Cluster.cluster.x-k8s.io`) or in whatever group (`Secret`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindPattern {
    /// The kind.
    pub kind: String,
    /// Its group; `None` for any.
    pub group: Option<String>,
}

impl Default for Protection {
    fn default() -> Protection {
        Protection { kinds: Vec::new(), max_deletions: MOST_DELETIONS, annotations: Vec::new() }
    }
}

impl Protection {
    /// Whether an object of this kind is deleted only with an approval.
    pub fn protects(&self, kind: &GroupKind) -> bool {
        PROTECTED.contains(&(&*kind.group, &*kind.kind)) || self.kinds.iter().any(|p| p.matches(kind))
    }

    /// Whether annotations in this file may switch a safety off.
    pub fn allows_annotations_in(&self, file: &RepoPath) -> bool {
        self.annotations.iter().any(|glob| glob.matches(file.as_str()))
    }

    pub(super) fn loosened_since(&self, old: &Protection) -> Vec<String> {
        let gone = old.kinds.iter().filter(|kind| !self.kinds.contains(kind));
        let mut changes: Vec<String> =
            gone.map(|kind| format!("{} is no longer protected", kind.kind)).collect();
        if self.max_deletions > old.max_deletions {
            let (was, is) = (old.max_deletions, self.max_deletions);
            changes.push(format!("a commit may delete {is} objects instead of {was}"));
        }
        for glob in self.annotations.iter().filter(|glob| !old.annotations.contains(glob)) {
            changes.push(format!("annotations in {glob} may switch safeties off"));
        }
        changes
    }
}

impl KindPattern {
    /// From `Kind` or `Kind.group`.
    pub fn parse(text: &str) -> Option<KindPattern> {
        let (kind, group) = match text.split_once('.') {
            Some((kind, group)) => (kind, Some(group.to_owned())),
            None => (text, None),
        };
        let is_kind = kind.starts_with(|c: char| c.is_ascii_uppercase())
            && kind.bytes().all(|b| b.is_ascii_alphanumeric());
        (is_kind && group.as_deref() != Some("")).then(|| KindPattern { kind: kind.to_owned(), group })
    }

    pub(super) fn matches(&self, kind: &GroupKind) -> bool {
        *self.kind == *kind.kind && self.group.as_deref().is_none_or(|group| *group == *kind.group)
    }
}
