//! Approvals: each names what it allows, once.

use crate::model::{ObjectId, Revision};

/// What an approval allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApprovalAction {
    /// Delete a protected object.
    Delete,
    /// Delete an object, protected or not, whatever in its cluster would hold the deletion up.
    ForceDelete,
    /// Delete more objects than the cap, in one revision.
    Deletions,
    /// Delete an object and create it anew, for a field that cannot be changed.
    Recreate,
    /// Apply a revision that does not descend from the applied one.
    Revision,
    /// Fill a peer that was built anew.
    Rebuild,
    /// Create a Cluster that may exist already.
    Create,
}

/// An entry of `spec.approvals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// What it allows.
    pub action: ApprovalAction,
    /// For which object.
    pub object: Option<ObjectId>,
    /// For which revision: a commit id or its beginning.
    pub revision: Option<String>,
    /// For which management cluster.
    pub cluster: Option<String>,
    /// Why, for those who read it later.
    pub reason: Option<String>,
    /// Line in `moin.yaml`.
    pub line: u32,
}

/// The shortest beginning of a commit id that names one.
pub const SHORTEST_REVISION: usize = 7;

impl ApprovalAction {
    /// The words of the file.
    pub const WORDS: [(&'static str, ApprovalAction); 7] = [
        ("delete", ApprovalAction::Delete),
        ("force-delete", ApprovalAction::ForceDelete),
        ("deletions", ApprovalAction::Deletions),
        ("recreate", ApprovalAction::Recreate),
        ("revision", ApprovalAction::Revision),
        ("rebuild", ApprovalAction::Rebuild),
        ("create", ApprovalAction::Create),
    ];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        ApprovalAction::WORDS.iter().find(|(_, action)| *action == self).map_or("", |(word, _)| word)
    }

    /// The field without which the approval would allow too much.
    pub fn needs(self) -> &'static str {
        match self {
            ApprovalAction::Delete
            | ApprovalAction::ForceDelete
            | ApprovalAction::Recreate
            | ApprovalAction::Create => "object",
            ApprovalAction::Deletions | ApprovalAction::Revision => "revision",
            ApprovalAction::Rebuild => "cluster",
        }
    }
}

impl Approval {
    /// Whether it allows this to be done to an object at a revision.
    pub fn allows(&self, action: ApprovalAction, object: &ObjectId, revision: &Revision) -> bool {
        self.action == action
            && self.object.as_ref().is_some_and(|approved| same_object(approved, object))
            && self.revision.is_none_or_begins(revision)
    }

    /// Whether it allows this at a revision, where no object is meant.
    pub fn allows_revision(&self, action: ApprovalAction, revision: &Revision) -> bool {
        self.action == action
            && self.action.needs() == "revision"
            && self.revision.is_some()
            && self.revision.is_none_or_begins(revision)
    }

    /// Whether it allows this for a management cluster.
    pub fn allows_cluster(&self, action: ApprovalAction, cluster: &str, revision: &Revision) -> bool {
        self.action == action
            && self.cluster.as_deref() == Some(cluster)
            && self.revision.is_none_or_begins(revision)
    }
}

/// `Cluster/team-a/web` names the kind without its group; with a group, that must agree.
fn same_object(approved: &ObjectId, object: &ObjectId) -> bool {
    (approved.group().is_empty() || approved.group() == object.group())
        && approved.kind() == object.kind()
        && approved.namespace() == object.namespace()
        && approved.name() == object.name()
}

trait Begins {
    fn is_none_or_begins(&self, revision: &Revision) -> bool;
}

impl Begins for Option<String> {
    fn is_none_or_begins(&self, revision: &Revision) -> bool {
        self.as_deref().is_none_or(|approved| {
            approved.len() >= SHORTEST_REVISION && revision.as_str().starts_with(approved)
        })
    }
}
