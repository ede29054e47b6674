//! Values that may be absent.

use std::sync::Arc;

use super::{Answer, refuse};
use crate::expr::cel::cost::UNIT;
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::Value;

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("optional.of", "optional_of", "(V) -> optional(V)", UNIT, of),
    row("optional.ofNonZeroValue", "optional_ofNonZeroValue", "(V) -> optional(V)", UNIT, of_non_zero),
    row("optional.none", "optional_none", "() -> optional(V)", UNIT, none),
    row("value", "optional_value", "optional(V).() -> V", UNIT, value),
    row("hasValue", "optional_hasValue", "optional(V).() -> bool", UNIT, has_value),
    row("or", "optional_or_optional", "optional(V).(optional(V)) -> optional(V)", UNIT, or),
    row("orValue", "optional_orValue_value", "optional(V).(V) -> V", UNIT, or_value),
    row("last", "list_last", "list(V).() -> optional(V)", UNIT, last),
    row("first", "list_first", "list(V).() -> optional(V)", UNIT, first),
    row("optional.unwrap", "optional_unwrap", "(list(optional(V))) -> list(V)", UNIT, unwrap),
    row("unwrapOpt", "optional_unwrapOpt", "list(optional(V)).() -> list(V)", UNIT, unwrap),
];

fn of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args.first().map_or_else(refuse, |value| Ok(Value::some(value.clone())))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Int(i) => *i == 0,
        Value::Uint(u) => *u == 0,
        Value::Double(d) => *d == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Duration(nanos) => *nanos == 0,
        Value::Timestamp(time) => time.seconds == -62_135_596_800 && time.nanos == 0,
        Value::Opaque(value) => value.is_zero(),
        Value::Struct(message) => message.fields.is_empty(),
        // Lists and maps of a schema know no zero, and an absent value is none.
        Value::JsonList(_, Some(_))
        | Value::JsonMap(_, Some(_))
        | Value::Type(_)
        | Value::Unknown(_)
        | Value::Optional(_) => false,
        other => other.list_len().or_else(|| other.map_len()) == Some(0),
    }
}

fn of_non_zero<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(value) if is_zero(value) => Ok(Value::Optional(None)),
        Some(value) => Ok(Value::some(value.clone())),
        None => refuse(),
    }
}

fn none<'a>(_: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Optional(None))
}

fn value<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(Value::Optional(Some(value))) => Ok((**value).clone()),
        Some(Value::Optional(None)) => Err(EvalError::new("optional.none() dereference")),
        _ => refuse(),
    }
}

fn has_value<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(Value::Optional(value)) => Ok(Value::Bool(value.is_some())),
        _ => refuse(),
    }
}

fn or<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Optional(None), other] => Ok(other.clone()),
        [value @ Value::Optional(Some(_)), _] => Ok(value.clone()),
        _ => refuse(),
    }
}

fn or_value<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Optional(None), other] => Ok(other.clone()),
        [Value::Optional(Some(value)), _] => Ok((**value).clone()),
        _ => refuse(),
    }
}

fn at<'a>(args: &[Value<'a>], index: impl Fn(usize) -> Option<usize>) -> Answer<'a> {
    let Some(list) = args.first() else { return refuse() };
    let Some(length) = list.list_len() else { return refuse() };
    match index(length).and_then(|at| list.item(at)) {
        Some(item) => Ok(Value::some(item?)),
        None => Ok(Value::Optional(None)),
    }
}

fn first<'a>(args: &[Value<'a>]) -> Answer<'a> {
    at(args, |_| Some(0))
}

fn last<'a>(args: &[Value<'a>]) -> Answer<'a> {
    at(args, |length| length.checked_sub(1))
}

fn unwrap<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(list) = args.first() else { return refuse() };
    let mut out = Vec::new();
    for item in list.items()? {
        match item {
            Value::Optional(value) => out.extend(value.map(Arc::unwrap_or_clone)),
            _ => return Err(EvalError::new("value is not optional")),
        }
    }
    Ok(Value::list(out))
}
