//! How moin behaves when something is wrong: one scenario a test, by theme.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

#[path = "../support/mod.rs"]
mod support;

mod input;
mod moving;
mod operate;
mod ownership;
mod peers;
mod processes;
mod pruning;
mod rebuild;
mod roles;
mod secrets;
mod server;
mod source;
mod tenants;
mod units;
