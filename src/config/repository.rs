//! `moin.yaml`: what a repository says about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::approval::Approval;
use super::impersonation::Impersonation;
use super::lease::LeaseTimes;
use super::protection::Protection;
use crate::model::{RepoPath, SourceText};

/// The name of the file.
pub const FILE: &str = "moin.yaml";

/// What a repository says about itself in `moin.yaml`; the default is that of a repository without one.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// `metadata.name`: the owner name on every object.
    pub name: Option<String>,
    /// Where the file stands.
    pub source: Option<SourceText>,
    /// Layers by use case.
    pub use_cases: BTreeMap<String, UseCase>,
    /// Stages in their order.
    pub stages: Vec<Stage>,
    /// Folders of policies that judge and are not applied, beside the policies that are rendered.
    pub policies: Vec<RepoPath>,
    /// Management clusters by name.
    pub clusters: BTreeMap<String, ManagementCluster>,
    /// How long leases last.
    pub lease: LeaseTimes,
    /// What to do with objects that exist and are nobody's.
    pub adoption: Adoption,
    /// What is not deleted without an approval.
    pub protection: Protection,
    /// What was approved.
    pub approvals: Vec<Approval>,
    /// How a new tenant's files are made.
    pub tenants: Option<TenantTemplate>,
    /// Whether what policies say is written into the cluster as reports; where nothing is said, if it takes them.
    pub policy_reports: Option<bool>,
}

/// The files of a new tenant, in words of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTemplate {
    /// The folder of files to fill.
    pub template: RepoPath,
    /// The folder that they go to; may hold `${...}`.
    pub folder: String,
    /// Values for `${...}` that nobody gives; may hold others.
    pub values: BTreeMap<String, String>,
    /// As whom the objects of tenants' folders are applied; `None`: as moin itself.
    pub impersonate: Option<Impersonation>,
}

/// A use case: folders, later over earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseCase {
    /// The folders.
    pub layers: Vec<RepoPath>,
    /// Line in `moin.yaml`.
    pub line: u32,
}

/// What is applied together, after the stage before it is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Folders below each layer.
    pub folders: Vec<RepoPath>,
    /// Whether it takes what no other stage names (`*`).
    pub rest: bool,
    /// How long it may take to become healthy.
    pub timeout: Option<Duration>,
    /// What happens to the stages after it when it fails.
    pub on_failure: OnFailure,
    /// Files of Jobs to run before it.
    pub hooks_before: Vec<RepoPath>,
    /// Files of Jobs to run after it.
    pub hooks_after: Vec<RepoPath>,
    /// Line in `moin.yaml`.
    pub line: u32,
}

/// What happens to the stages after one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// They wait.
    #[default]
    Hold,
    /// They go on.
    Continue,
}

/// A management cluster that the repository describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementCluster {
    /// Its use case.
    pub use_case: Option<String>,
    /// Folders that are desired state of this cluster alone.
    pub folders: Vec<RepoPath>,
    /// The Secret with which a peer reaches it.
    pub kubeconfig: Option<SecretRef>,
    /// Clusters that stand in for it, and it for them.
    pub peers: Vec<String>,
    /// What to do when it was built anew.
    pub rebuild: Rebuild,
    /// Line in `moin.yaml`.
    pub line: u32,
}

/// A Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub secret: String,
    /// The key in it; Cluster API's is `value`.
    pub key: Option<String>,
}

/// What to do with a peer that was built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rebuild {
    /// Wait for an approval.
    #[default]
    Approve,
    /// Fill it.
    Auto,
}

/// What to do with an object that exists and has no owner label. From strict to lenient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Adoption {
    /// Leave it alone.
    Never,
    /// Take it if it is already as the repository says.
    #[default]
    IfNoDiff,
    /// Take it and make it so.
    Always,
}

impl Repository {
    /// As whom the objects of tenants are applied.
    pub fn impersonation(&self) -> Option<&Impersonation> {
        self.tenants.as_ref()?.impersonate.as_ref()
    }

    /// What of this repository guards less than the one before: for reviewers, on top of a plan.
    pub fn loosened_since(&self, old: &Repository) -> Vec<String> {
        let mut changes = self.protection.loosened_since(&old.protection);
        changes.extend(Impersonation::loosened_since(self.impersonation(), old.impersonation()));
        if self.adoption > old.adoption {
            changes.push(format!(
                "adoption changes from {} to {}",
                old.adoption.word(),
                self.adoption.word()
            ));
        }
        for (name, cluster) in &self.clusters {
            let before = old.clusters.get(name).map_or(Rebuild::Approve, |old| old.rebuild);
            if cluster.rebuild == Rebuild::Auto && before == Rebuild::Approve {
                changes.push(format!("cluster {name} is filled after a rebuild without an approval"));
            }
        }
        for name in old.clusters.keys().filter(|name| !self.clusters.contains_key(*name)) {
            changes.push(format!(
                "{name} is no management cluster any more: a later commit may delete its Cluster"
            ));
        }
        for folder in old.policies.iter().filter(|folder| !self.policies.contains(folder)) {
            changes.push(format!("the policies in {folder} judge no more"));
        }
        changes
    }
}

impl Adoption {
    /// The words of the file and of the annotation.
    pub const WORDS: [(&'static str, Adoption); 3] =
        [("never", Adoption::Never), ("if-no-diff", Adoption::IfNoDiff), ("always", Adoption::Always)];

    /// As the file says it.
    pub fn word(self) -> &'static str {
        match self {
            Adoption::Never => "never",
            Adoption::IfNoDiff => "if-no-diff",
            Adoption::Always => "always",
        }
    }
}
