//! What a repository says about itself, and what the daemon is told by those who start it.
//!
//! [`Repository`] is `moin.yaml`, read from a snapshot like everything else. [`Settings`] come from flags, `MOIN_*`
//! variables and the daemon's own file, in this order, and never from the repository: a pull request cannot point
//! the daemon elsewhere.

mod approval;
mod fields;
mod glob;
mod impersonation;
mod lease;
mod parse;
mod protection;
mod repository;
mod settings;

pub use approval::{Approval, ApprovalAction, SHORTEST_REVISION};
pub use glob::Glob;
pub use impersonation::Impersonation;
pub use lease::{LONGEST_LEASE, LeaseTimes, SHORTEST_LEASE};
pub use protection::{KindPattern, Protection};
pub use repository::{
    Adoption, FILE, ManagementCluster, OnFailure, Rebuild, Repository, SecretRef, Stage, TenantTemplate,
    UseCase,
};
pub use settings::{
    Credentials, Flags, NAMES, Reference, RepositoryPlace, Settings, SettingsFile, Webhook, variable,
};
