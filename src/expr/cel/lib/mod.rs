//! The function libraries: one table a file, each row a name, an id, a signature, a cost and an implementation.

mod encoders;
pub(crate) mod format;
pub(crate) mod formatting;
mod jsonpatch;
mod lists;
mod math;
pub(crate) mod moment;
mod net;
mod operators;
mod optional;
mod quantity;
mod regex;
mod semver;
mod standard;
mod strings;
mod time;
mod url;

use super::env::Row;
use super::error::EvalError;
use super::types::Type;
use super::value::Value;

/// What a function gives.
pub(crate) type Answer<'a> = Result<Value<'a>, EvalError>;

/// The tables of what Kubernetes v1.35 has.
pub(crate) const TABLES: &[&[Row]] = &[
    operators::TABLE,
    standard::TABLE,
    time::TABLE,
    optional::TABLE,
    strings::TABLE,
    lists::ORDERED,
    lists::TABLE,
    regex::TABLE,
    net::TABLE,
    quantity::TABLE,
    semver::TABLE,
    url::TABLE,
    format::CONSTANTS,
    format::TABLE,
];

/// The table of what only expressions that change objects have.
pub(crate) const PATCHES: &[&[Row]] = &[jsonpatch::TABLE];

/// The tables of what Kubernetes leaves out.
pub(crate) const EXTENSIONS: &[&[Row]] = &[strings::NEWER, regex::NAMED, math::TABLE, encoders::TABLE];

/// The table of what depends on when and in which run an expression is evaluated.
pub(crate) const MOMENTS: &[&[Row]] = &[moment::TABLE];

/// Types that are names in expressions.
pub(crate) fn types() -> Vec<(&'static str, Type)> {
    let a = || Type::Param("A".into());
    vec![
        ("bool", Type::Bool),
        ("bytes", Type::Bytes),
        ("double", Type::Double),
        ("google.protobuf.Duration", Type::Duration),
        ("int", Type::Int),
        ("list", Type::list(a())),
        ("map", Type::map(a(), Type::Param("B".into()))),
        ("null_type", Type::Null),
        ("string", Type::String),
        ("google.protobuf.Timestamp", Type::Timestamp),
        ("type", Type::Type(None)),
        ("uint", Type::Uint),
        ("optional_type", Type::optional(Type::Param("V".into()))),
        ("net.IP", Type::Opaque("net.IP".into(), [].into())),
        ("net.CIDR", Type::Opaque("net.CIDR".into(), [].into())),
    ]
}

/// An error with a text.
pub(crate) fn fail<'a>(message: impl Into<std::borrow::Cow<'static, str>>) -> Answer<'a> {
    Err(EvalError::new(message))
}

/// The error of values that a function does not take.
pub(crate) fn refuse<'a>() -> Answer<'a> {
    Err(EvalError::no_such_overload())
}
