//! The repository's own settings, as rendering needs them.

use std::sync::Arc;

use super::RenderOptions;
use super::layout::Layout;
use crate::config::Repository;
use crate::finding::Finding;
use crate::model::{RepoPath, Snapshot};

/// What `moin.yaml` and the options say.
pub(super) struct Settings {
    pub repository: Repository,
    pub layout: Layout,
    /// The folder from which paths are seen.
    pub base: RepoPath,
    /// `moin.yaml`, if there is one.
    pub file: Option<RepoPath>,
    pub owner: Arc<str>,
    pub findings: Vec<Finding>,
}

/// Reads.
pub(super) fn read(_snapshot: &Snapshot, options: &RenderOptions) -> Settings {
    Settings {
        repository: Repository,
        layout: Layout { layers: vec![options.path.clone()], ..Layout::default() },
        base: options.path.clone(),
        file: None,
        owner: "moin".into(),
        findings: Vec::new(),
    }
}

impl Settings {
    /// x
    pub fn allows_safeties(&self, _file: &RepoPath) -> bool {
        false
    }
}
