//! The words of the whole program, parsed: once a value of these types exists, it is valid.
//!
//! Pure data. Nothing here reads a clock, a file, the environment or a network; nothing here decides anything.
//! Object bodies are [`serde_json::Value`] whose maps are sorted by key, so that equal objects print equally.

mod cluster_uid;
mod health;
mod id;
mod live;
mod manifest;
mod path;
mod revision;
mod tenant;
mod unit;

pub use cluster_uid::ClusterUid;
pub use health::{Health, HealthStatus};
pub use id::{GroupKind, Gvk, IdError, ObjectId};
pub use live::{Actor, LiveObject, LiveState, ServedKind};
pub use manifest::{Manifest, Origin, RuleOrigin, SourceText};
pub use path::{FieldPath, PathError, PathSegment, RepoPath};
pub use revision::{File, Revision, Snapshot};
pub use tenant::{TENANT, Tenant};
pub use unit::{HealthCheck, Unit, UnitName};

/// The field manager of every write; the same on all instances, so that a takeover orphans no field.
pub const FIELD_MANAGER: &str = "moin";
/// The API group of moin's own kinds.
pub const API_GROUP: &str = "moin.scs.community";
/// The API version of moin's own kinds.
pub const API_VERSION: &str = "moin.scs.community/v1alpha1";
/// The label that says which repository (by its name) owns an object.
pub const OWNER_LABEL: &str = "moin.scs.community/owner";
/// The annotation on objects that a generate rule made: `POLICY/RULE/TRIGGER`.
pub const GENERATED_BY: &str = "moin.scs.community/generated-by";
/// The namespace in a target that holds moin's Lease and status.
pub const SYSTEM_NAMESPACE: &str = "moin-system";
