//! The function libraries: one table a file, each row a name, an id, a signature, a cost and an implementation.

pub(crate) mod format;
mod operators;
mod optional;
mod standard;
mod time;

use super::env::Row;
use super::error::EvalError;
use super::types::Type;
use super::value::Value;

/// What a function gives.
pub(crate) type Answer<'a> = Result<Value<'a>, EvalError>;

/// The tables of what Kubernetes v1.35 has.
pub(crate) fn tables() -> [&'static [Row]; 4] {
    [operators::TABLE, standard::TABLE, time::TABLE, optional::TABLE]
}

/// The tables of what it leaves out.
pub(crate) fn extensions() -> [&'static [Row]; 0] {
    []
}

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
    ]
}

/// The error of values that a function does not take.
pub(crate) fn refuse<'a>() -> Answer<'a> {
    Err(EvalError::no_such_overload())
}
