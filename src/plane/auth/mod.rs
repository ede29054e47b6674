//! Who may do what: authentication, impersonation, authorization, and the kinds that are about them.
//!
//! Every request passes `http` in this order: request info, authentication, impersonation, authorization, handler,
//! with the audit log around all of it.

pub(crate) mod accounts;
pub(crate) mod authenticate;
pub(crate) mod authorize;
mod call;
pub(crate) mod impersonate;
pub(crate) mod info;
pub(crate) mod rbac;
pub(crate) mod reviews;
pub(crate) mod token;
pub(crate) mod token_request;
pub(crate) mod user;

pub(crate) use authorize::{Attributes, Decision};
pub(crate) use info::RequestInfo;
pub(crate) use user::User;
