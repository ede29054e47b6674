//! Expressions: JMESPath with the policy language's functions, `{{ }}` variables, scalar patterns and condition
//! operators, and the small value languages they share (quantities, durations, wildcards, version ranges, layouts).
//!
//! Everything here is compiled once and evaluated many times over borrowed values. Nothing reads a clock, a random
//! source or a file: what an expression needs of the outside comes in an [`context::Environment`].
//!
//! * [`jmespath::Expression::compile`] and [`jmespath::Expression::search`]
//! * [`variables::Template::compile`] and [`variables::Template::resolve`] over a [`context::Context`]
//! * [`pattern::matches`] for scalars, [`operator::Operator`] for conditions

pub(crate) mod admission;
pub mod cel;
pub mod context;
pub(crate) mod der;
pub mod duration;
pub mod explain;
mod gobase64;
mod gofloat;
pub mod goregex;
pub mod gotext;
pub mod gotime;
pub mod image;
pub mod jmespath;
pub mod operator;
pub mod outside;
pub mod pattern;
pub mod quantity;
pub mod rules;
pub mod semver;
pub mod variables;
pub mod wildcard;

pub use context::{Context, Environment, LazyVariable};
pub use jmespath::{EvalError, ExprError, Expression};
pub use outside::{Lack, Outside};
pub use variables::{ResolveError, Template, TemplateError};
