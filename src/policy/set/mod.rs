//! All policies, compiled and indexed.

mod compile;
mod evaluate;
mod generate;
mod outcome;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::expr::Environment;
use crate::model::{ObjectId, SourceText};

use super::cel;
use super::exception::Exception;
use super::index::Index;
use super::known::Known;
use super::rule::Rule;

pub use outcome::{Generated, RuleOutcome};

/// Policies, compiled once and asked many times.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
    rules: Vec<Rule>,
    index: Index,
    exceptions: Vec<Exception>,
    cel_exceptions: Vec<cel::Exception>,
    environment: Environment,
    known: Arc<Known>,
}

#[derive(Debug, Clone)]
struct Policy {
    id: ObjectId,
    /// Its name, with the namespace before it if it has one.
    name: String,
    /// Violations of it are warnings.
    unscored: bool,
    source: SourceText,
    line: u32,
}

impl PolicySet {
    /// Sets what the time functions and `random` read.
    #[must_use]
    pub fn at(mut self, now: i128, seed: u64) -> PolicySet {
        self.environment.now = now;
        self.environment.seed = seed;
        self
    }

    /// Sets what policies may look up.
    #[must_use]
    pub fn knowing(mut self, known: Arc<Known>) -> PolicySet {
        self.known = known;
        self
    }

    /// Whether there is any rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
