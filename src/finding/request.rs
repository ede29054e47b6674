//! What would have to be approved for something to go on.

use std::fmt;

use serde::Serialize;

use crate::model::ObjectId;

/// An approval that a finding asks for. Prints as the command that gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalRequest {
    /// The word of the action, as `spec.approvals` has it.
    pub action: &'static str,
    /// The object, for actions on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectId>,
    /// The revision, for actions on a whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The management cluster, for actions on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

impl ApprovalRequest {
    /// For an action on an object.
    pub fn object(action: &'static str, object: &ObjectId) -> ApprovalRequest {
        ApprovalRequest { action, object: Some(object.clone()), revision: None, cluster: None }
    }

    /// For an action on a revision.
    pub fn revision(action: &'static str, revision: &str) -> ApprovalRequest {
        ApprovalRequest { action, object: None, revision: Some(revision.to_owned()), cluster: None }
    }

    /// For an action on a management cluster.
    pub fn cluster(action: &'static str, cluster: &str) -> ApprovalRequest {
        ApprovalRequest { action, object: None, revision: None, cluster: Some(cluster.to_owned()) }
    }
}

impl fmt::Display for ApprovalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "moin approve {}", self.action)?;
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        for name in self.revision.iter().chain(&self.cluster) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}
