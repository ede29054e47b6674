//! Types of kinds: of built-in ones by a compact table, of custom ones by their CustomResourceDefinition.
//!
//! A [`TypeRef`] says what an object of a kind may hold and how its lists and mappings merge; `merge` works on it,
//! and so do defaulting, pruning and validation here.

mod builtin;
mod crd;
mod fill;
mod format;
mod kinds;
mod openapi;
mod prune;
mod quantity;
mod schemas;
mod table;
mod types;
mod validate;
mod zero;

pub use kinds::KindInfo;
pub use schemas::Schemas;
pub use table::{builtin_schema, builtin_type_name};
pub use types::{Bounds, Field, ListKind, ListType, MapType, Others, Pattern, Rules, Scalar, Type, TypeRef};
pub use validate::Violation;
