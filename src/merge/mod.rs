//! Server-side apply as an algorithm: who owns which field, what a write changes, and what is in conflict.
//!
//! [`apply`] and [`update`] are what an API server does with managed fields; [`owned`] and [`owners_of`] read them.

mod apply;
mod check;
mod combine;
mod compare;
mod configure;
mod conflict;
mod diff;
mod extract;
mod fields;
pub mod json_patch;
mod kinds;
mod last_applied;
#[cfg(test)]
mod laws;
mod managers;
mod overlay;
mod owners;
mod path;
mod reconcile;
mod remove;
mod scale;
mod set;
mod update;
mod value;
mod write;

pub use apply::{apply, apply_as, settle};
pub use configure::configure;
pub use conflict::{ApplyError, Conflict};
pub use diff::{FieldChange, diff};
pub use extract::extract;
pub use fields::set_by;
pub use overlay::overlay;
pub use owners::{owned, owners_of};
pub use path::{Path, PathElement, display};
pub use scale::{from_scale, to_scale};
pub use set::FieldSet;
pub use update::update;
pub use write::Write;
