//! Role-based access control: roles and bindings, indexed by subject.

pub(crate) mod aggregate;
pub(crate) mod bootstrap;
pub(crate) mod escalation;
mod index;
mod rule;

pub(crate) use index::{Rbac, Reference, Scope, together};
pub(crate) use rule::{Rule, quoted};

/// The API group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
