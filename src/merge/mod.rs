//! Server-side apply as an algorithm: who owns which field, what a write changes, and what is in conflict.
//!
//! [`apply`] and [`update`] are what an API server does with managed fields; [`owned`] and [`owners_of`] read them.

mod apply;
mod check;
mod combine;
mod compare;
mod conflict;
mod fields;
mod kinds;
mod last_applied;
mod managers;
mod owners;
mod path;
mod remove;
mod set;
mod value;

pub use apply::{Write, apply, apply_as, settle, update};
pub use conflict::{ApplyError, Conflict};
pub use owners::{owned, owners_of};
pub use path::{Path, PathElement, display};
pub use set::FieldSet;
