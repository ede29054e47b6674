//! All policies, compiled and indexed.

mod compile;
mod evaluate;
mod existing;
mod explain;
mod generate;
mod generations;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::expr::Environment;
use crate::model::{ObjectId, SourceText};

use super::cel::{self, Library, MatchConditions};
use super::exception::Exception;
use super::index::Index;
use super::matching::Kinds;
use super::objects::Objects;
use super::rule::{Body, Rule};
use super::variables;

use outcome::Before;

pub use existing::TargetOutcome;
pub use explain::{Does, Explanation, Extent, Wanted};
pub use outcome::{Generated, NOT_COMPILED, NotGenerated, PolicyNotes, RuleOutcome};

/// Policies, compiled once and asked many times.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
    rules: Vec<Rule>,
    index: Index,
    /// Rules about JSON that is no object of Kubernetes.
    payload_rules: Vec<Rule>,
    /// Whether any rule selects objects that are to go.
    deletes: bool,
    /// Whether admission policies that nothing binds judge everywhere.
    binds_all: bool,
    exceptions: Vec<Exception>,
    cel_exceptions: Vec<cel::Exception>,
    environment: Environment,
    library: Library,
}

#[derive(Debug, Clone)]
struct Policy {
    id: ObjectId,
    /// Its name, with the namespace before it if it has one.
    name: String,
    /// Violations of it are warnings.
    unscored: bool,
    /// Whether it may look something up, in CEL.
    looks_up: bool,
    /// Of its rules, only the first that has a verdict counts (`applyRules: One`).
    applies_one: bool,
    /// What a request must be for its rules to look at it.
    conditions: Option<Arc<MatchConditions>>,
    notes: Arc<PolicyNotes>,
    source: SourceText,
    line: u32,
}

impl PolicySet {
    /// Sets what the time functions and `random` read.
    #[must_use]
    pub fn at(mut self, now: i128, seed: u64) -> PolicySet {
        self.environment.now = now;
        self.environment.seed = seed;
        self.library = self.library.at(now, seed);
        self
    }

    /// Sets what policies may look up.
    #[must_use]
    pub fn knowing(mut self, known: Arc<Objects<'static>>) -> PolicySet {
        self.library = Library::new(Some(known), self.environment.now, self.environment.seed);
        self
    }

    /// Makes admission policies judge everywhere that nothing binds, as tests of policies take them. The API server does
    /// nothing by such a policy.
    #[must_use]
    pub fn binding_all(mut self) -> PolicySet {
        self.binds_all = true;
        self
    }

    /// Whether what a rule says of an object depends on others than the object.
    pub fn looks_outside(&self) -> bool {
        self.rules.iter().any(|rule| variables::looks_outside(&rule.entries))
    }

    /// Whether there is any rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Names of the resources (`pods`) that rules judge, beside what the API server judges by itself; `None` if they may
    /// be of any kind.
    pub fn validated(&self) -> Option<BTreeSet<String>> {
        let other = |body: &Body| body.deletes() || matches!(body, Body::Generate(_) | Body::Admission(_));
        self.resources(|body| body.mutates().is_none() && !other(body))
    }

    /// Names of the resources that rules change, beside what the API server changes by itself; `None` if they may be of
    /// any kind.
    pub fn mutated(&self) -> Option<BTreeSet<String>> {
        self.resources(|body| body.mutates().is_some() && !matches!(body, Body::AdmissionMutation(_)))
    }

    fn resources(&self, counts: impl Fn(&Body) -> bool) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| counts(&rule.body)) {
            match rule.matching.kinds() {
                Kinds::Unknown => return None,
                Kinds::These(kinds) => names.extend(kinds.into_iter().map(std::borrow::Cow::into_owned)),
            }
        }
        Some(names)
    }
}
