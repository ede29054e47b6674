#![doc = include_str!("docs/architecture.md")]

pub mod finding;
pub mod model;
pub mod source;
