//! Which cluster it is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A cluster's identity: the uid of its namespace `kube-system`, which lives and dies with its storage. Addresses and
/// names can lead elsewhere tomorrow; a cluster that was built anew has another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterUid(Arc<str>);

impl ClusterUid {
    /// From the uid as the API server writes it; `None` if that is empty.
    pub fn new(uid: &str) -> Option<ClusterUid> {
        (!uid.is_empty()).then(|| ClusterUid(uid.into()))
    }

    /// As the API server writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
