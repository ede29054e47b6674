//! Reading YAML as the API server does, with the place of every node; writing it as `kubectl -o yaml` does.
//!
//! The API server reads YAML 1.1: `yes` is true, `014` is 12, keys that are no text become text, `<<` merges. The
//! reader here follows its rules to the letter, mistakes included, because a reader that is nicer would show a
//! plan that the server does not carry out. [`read`] takes a file with many documents and gives each its own
//! result; [`parse`] takes one document. No library is behind it: `serde_yaml` is no longer maintained, and it,
//! `yaml-rust2` and the parsers after it read YAML 1.2, where the same text can mean something else or nothing.
//! Input from others is bounded in size, nesting and growth by aliases.

mod compose;
mod decode;
mod error;
mod places;
mod read;
mod resolve;
mod scan_scalar;
mod scan_tag;
mod scanner;
mod write;

pub use error::{ErrorKind, YamlError};
pub use places::{Places, locate};
pub use read::{Document, read};
pub use write::write;

use serde_json::Value;

/// The first document of a text; null if there is none. `strict` refuses a key that stands twice in one mapping.
///
/// # Errors
/// [`YamlError`] where the API server's reader refuses the document, or a limit is exceeded.
pub fn parse(text: &str, strict: bool) -> Result<Value, YamlError> {
    match compose::Tree::of(text)? {
        Some(tree) => decode::decode(&tree, strict),
        None => Ok(Value::Null),
    }
}
