//! Units: what is applied, waited for and pruned together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Gvk, RepoPath};

/// Name of a unit: `flux-system/capi-config` for a Flux Kustomization, `stage/tenants` for a stage, `root` else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitName(Arc<str>);

impl UnitName {
    /// A unit by its name.
    pub fn new(name: &str) -> UnitName {
        UnitName(name.into())
    }

    /// The unit of a repository that has neither stages nor Kustomization objects.
    pub fn root() -> UnitName {
        UnitName::new("root")
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object whose health a unit waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Kind, in the version that the repository names.
    pub gvk: Gvk,
    /// Namespace, if the kind has one.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// What is applied, waited for and pruned together: a Flux Kustomization, a stage of `moin.yaml`, or all there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: UnitName,
    /// File and line that define it, for messages; `None` for the root unit.
    pub defined_at: Option<(RepoPath, u32)>,
    /// Units that must be ready before this one begins.
    pub depends_on: Vec<UnitName>,
    /// Whether the unit is ready only when all it applied is healthy.
    pub wait: bool,
    /// Whether the unit is ready only when these are healthy, beside `wait`.
    pub health_checks: Vec<HealthCheck>,
    /// Whether what it no longer renders is deleted.
    pub prune: bool,
    /// How long it may take to become ready.
    pub timeout: Option<Duration>,
    /// Nothing is applied or deleted while it is suspended.
    pub suspended: bool,
    /// Units that depend on it go on when it fails (`onFailure: continue`).
    pub continue_on_failure: bool,
    /// Why nothing of it may be applied: it has a field that would change the output and is not understood.
    pub refused: Option<String>,
}

impl Unit {
    /// A unit that depends on nothing, waits for nothing, and prunes.
    pub fn new(name: UnitName) -> Unit {
        Unit {
            name,
            defined_at: None,
            depends_on: Vec::new(),
            wait: false,
            health_checks: Vec::new(),
            prune: true,
            timeout: None,
            suspended: false,
            continue_on_failure: false,
            refused: None,
        }
    }
}
