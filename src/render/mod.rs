//! From files to what should be in the cluster: a snapshot of the repository, rendered.
//!
//! Input: all files at a revision, where to begin, and the namespaces that live in the cluster.
//! Output: [`Manifests`]: objects with their origin, the units that apply them, the policies that judge them, and
//! findings about everything that was left out. Rendering cannot fail: what cannot be understood is withheld, and
//! [`Manifests::described`] and [`Manifests::is_complete`] keep anybody from deleting what was only withheld.
//!
//! Guarantees: the result does not depend on the order of files or documents; nothing is rendered from a unit that is
//! not wholly understood; every object carries its owner's label. Cost: O(changed files) to read, and a look-up for
//! each object; [`Renderer`] keeps what it read and made by content.

mod documents;
mod finish;
mod flux;
mod folder;
mod gather;
mod generate;
mod hooks;
mod keep;
mod layers;
mod layout;
mod memo;
mod mutate;
mod pipeline;
mod place;
mod policies;
mod settings;
mod tenancy;
#[cfg(test)]
pub(crate) mod testing;
mod units;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub(crate) use memo::Memo;
use place::place_in;
pub use place::{place, place_in_document};

pub use pipeline::Renderer;

use crate::config::Repository;
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, Manifest, ObjectId, RepoPath, Unit, UnitName};
use crate::policy::{Neighbours, PolicySet, World};
use crate::schema::Schemas;

/// What to render.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// The folder in the repository where rendering begins; paths in `moin.yaml` are seen from it.
    pub path: RepoPath,
    /// The use case, if `moin.yaml` has some.
    pub use_case: Option<String>,
    /// Which of the management clusters of `moin.yaml` is rendered.
    pub cluster: Option<String>,
    /// The owner name instead of the one in `moin.yaml`.
    pub owner: Option<String>,
    /// The source's URL, to know which GitRepository objects mean this repository.
    pub source_url: Option<String>,
}

/// What lives in the cluster: it triggers generate rules and answers what policies ask for.
#[derive(Debug, Clone, Copy)]
pub struct LiveTriggers<'a> {
    /// Namespaces by name.
    pub namespaces: &'a BTreeMap<String, LiveObject>,
    /// What policies may ask for beside the repository.
    pub world: &'a World,
}

impl LiveTriggers<'static> {
    /// Nothing lives, or nothing is known of it.
    pub fn none() -> LiveTriggers<'static> {
        static NOTHING: BTreeMap<String, LiveObject> = BTreeMap::new();
        static NOWHERE: World = World::nothing();
        LiveTriggers { namespaces: &NOTHING, world: &NOWHERE }
    }
}

impl<'a> LiveTriggers<'a> {
    /// What policies may ask for: these objects, the namespaces that live, and the world around them.
    pub(crate) fn around(&self, manifests: &'a [Arc<Manifest>]) -> Neighbours<'a> {
        Neighbours::new(self.world, manifests, self.namespaces.values().map(|live| &*live.body))
    }
}

/// Something the repository describes that is not among the manifests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withheld {
    /// Which object, if that can be told.
    pub id: Option<ObjectId>,
    /// The unit it would belong to.
    pub unit: UnitName,
}

/// A rendered repository.
#[derive(Debug, Clone)]
pub struct Manifests {
    /// The owner name on every object.
    pub owner: String,
    /// The repository's own rules.
    pub repository: Repository,
    /// Objects, by unit in the order of `units`, then by identity.
    pub manifests: Vec<Arc<Manifest>>,
    /// Units, each behind those it depends on.
    pub units: Vec<Unit>,
    /// Policies that judge: rendered ones, and those of the policy folders.
    pub policies: Vec<Arc<Manifest>>,
    /// The same, compiled.
    pub policy_set: Arc<PolicySet>,
    /// Types of kinds, those of rendered CRDs included.
    pub schemas: Schemas,
    /// Changes when `schemas` does.
    pub schemas_generation: u64,
    /// Objects that mutate rules change or fail on, as they were before.
    pub originals: Vec<Arc<Manifest>>,
    /// What the repository describes and is not rendered.
    pub withheld: Vec<Withheld>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

impl Manifests {
    /// Everything that the repository is known to describe, rendered or withheld. Nothing of it may be deleted.
    pub fn described(&self) -> HashSet<ObjectId> {
        let withheld = self.withheld.iter().filter_map(|withheld| withheld.id.clone());
        self.manifests.iter().map(|manifest| manifest.id.clone()).chain(withheld).collect()
    }

    /// Whether nothing is wrong with what the repository and the flags say of how to go about it.
    pub fn settings_are_clear(&self) -> bool {
        let unclear = |finding: &Finding| matches!(finding.code, Code::BadSettings | Code::BadRepositoryFile);
        !self.findings.iter().any(unclear)
    }

    /// Whether everything that the repository describes is known by name. If not, what is missing from the manifests
    /// may only have become unreadable, and nothing may be deleted.
    pub fn is_complete(&self) -> bool {
        self.withheld.iter().all(|withheld| withheld.id.is_some())
    }
}

#[cfg(test)]
mod layer_tests;
#[cfg(test)]
mod tests;
