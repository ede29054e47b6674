//! Why an apply was refused.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::managers::Identity;
use super::path::{self, Path};
use crate::model::FieldPath;

/// A field that an apply would change and that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Field manager of the owner.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// API version that the owner updated in; empty for `Apply`.
    pub api_version: String,
    /// Subresource that the owner wrote to; empty for none.
    pub subresource: String,
    /// The field, items of lists by their index in the live object.
    pub path: FieldPath,
    /// The field as managed fields name it.
    pub field: Path,
}

/// Why an apply was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields that it would change.
    #[error("{}", message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration is not of the kind's type; the API server's words.
    #[error("{0}")]
    NotTyped(String),
    /// The configuration names owners of fields.
    #[error("metadata.managedFields must be nil")]
    ManagedFields,
    /// The configuration is in another version than the request.
    #[error(
        "Incorrect version specified in apply patch. Specified patch version: {patch}, expected: {expected}"
    )]
    WrongVersion {
        /// The configuration's `apiVersion`.
        patch: String,
        /// The live object's.
        expected: String,
    },
}

impl Conflict {
    pub(super) fn new(owner: &Identity, field: Path, path: FieldPath) -> Conflict {
        Conflict {
            manager: owner.manager.clone(),
            operation: owner.operation.clone(),
            api_version: owner.api_version.clone(),
            subresource: owner.subresource.clone(),
            path,
            field,
        }
    }

    /// `.spec.containers[name="a"].image`, as a cause of the API server's answer names the field.
    pub fn field_text(&self) -> String {
        path::display(&self.field)
    }

    /// `"m1" using v1`, as the API server names the owner.
    pub fn owner_text(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == "Update" {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }

    /// As a cause of the API server's answer.
    pub fn cause(&self) -> Value {
        json!({
            "field": self.field_text(),
            "message": format!("conflict with {}", self.owner_text()),
            "reason": "FieldManagerConflict",
        })
    }

    fn owner(&self) -> Identity {
        Identity {
            manager: self.manager.clone(),
            operation: self.operation.clone(),
            api_version: self.api_version.clone(),
            subresource: self.subresource.clone(),
        }
    }
}

/// The API server's message.
fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let (owner, field) = (only.owner_text(), only.field_text());
        return format!("Apply failed with 1 conflict: conflict with {owner}: {field}");
    }
    let mut by_owner: BTreeMap<String, Vec<&Conflict>> = BTreeMap::new();
    for conflict in conflicts {
        by_owner.entry(conflict.owner().sort_key()).or_default().push(conflict);
    }
    let mut lines = Vec::new();
    for conflicts in by_owner.values() {
        lines.extend(conflicts.first().map(|c| format!("conflicts with {}:", c.owner_text())));
        lines.extend(conflicts.iter().map(|c| format!("- {}", c.field_text())));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict with {}: {}", self.owner_text(), self.field_text())
    }
}
