#![doc = include_str!("docs/architecture.md")]

pub mod cluster;
pub mod config;
pub mod expr;
pub mod finding;
pub mod merge;
pub mod model;
pub mod observe;
pub mod plane;
pub mod policy;
pub mod render;
pub mod review;
pub mod schema;
pub mod source;
pub mod yaml;
