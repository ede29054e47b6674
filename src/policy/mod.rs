//! Policies in Kyverno's language, compiled once: `ClusterPolicy` and `Policy` (kyverno.io v1 and v2beta1), `CleanupPolicy`
//! and `ClusterCleanupPolicy`, the kinds of policies.kyverno.io, and the API server's own ValidatingAdmissionPolicy and
//! MutatingAdmissionPolicy.
//!
//! [`PolicySet::compile`] understands as much as it can and says the rest: a policy that does not compile refuses
//! every object that it could be about, and a rule that uses a part of the language that is not evaluated is an error
//! for each object it matches, so that nothing is let through by a policy nobody could obey.
//! [`PolicySet::evaluate`] judges one object; its cost follows the number of rules that name the object's kind.

mod action;
mod anchor;
mod autogen;
mod cel;
mod cleanup;
mod condition;
mod cron;
mod exception;
mod generate;
mod images;
mod index;
mod kinds;
mod lookup;
mod manifests;
mod matching;
mod mutate;
mod objects;
mod pattern;
mod pod_security;
mod reader;
mod request;
mod rule;
mod selector;
mod set;
mod standing;
mod strict;
mod trial;
mod validate;
mod variables;
mod verify_images;
mod world;

pub use crate::expr::explain::Steps;
pub use crate::expr::{Lack, Outside};
pub use cel::{Proxy, ProxyRequest};
pub use objects::Objects;
pub use request::{Operation, Request, UserInfo, Values};
pub use set::{
    Does, Explanation, Extent, Generated, NOT_COMPILED, NotGenerated, PolicyNotes, PolicySet, RuleOutcome,
    TargetOutcome, Wanted,
};
pub use standing::Standing;
pub use trial::{Mistake, Trial, Tried};
pub use validate::Verdict;
pub use world::{Asking, Described, Neighbours, World};
