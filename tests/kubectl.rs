//! kubectl and the plane: the same commands against the plane and against the real server, and what the plane shows
//! of itself to kubectl (tables, OpenAPI documents).

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

#[path = "kubectl/alone.rs"]
mod alone;
#[path = "kubectl/commands.rs"]
mod commands;
#[path = "kubectl/openapi.rs"]
mod openapi;
mod support;
#[path = "kubectl/tables.rs"]
mod tables;
