//! Types of kinds: of built-in ones by a compact table, of custom ones by their CustomResourceDefinition.
//!
//! A [`TypeRef`] says what an object of a kind may hold and how its lists and mappings merge; `merge` works on it,
//! and so do defaulting, pruning and validation here.

mod at;
mod builtin;
mod crd;
mod custom;
mod decode;
mod fill;
mod format;
mod kinds;
mod openapi;
mod prune;
mod quantity;
mod schemas;
pub mod show;
mod table;
mod types;
mod validate;
mod zero;

/// Whether the API server checks texts of a format.
pub fn is_known_format(format: &str) -> bool {
    format::is_known(format)
}

pub use kinds::KindInfo;
pub use quantity::quantity_value;
pub use schemas::Schemas;
pub use table::{builtin_schema, builtin_type_name};
pub use types::{
    Bounds, Field, ListKind, ListType, MapType, Others, Pattern, Rules, Scalar, Type, TypeRef, Validation,
};
pub use validate::Violation;
