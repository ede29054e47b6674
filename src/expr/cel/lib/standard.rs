//! CEL's own functions.

use regex::Regex;

use super::{Answer, refuse};
use crate::expr::cel::convert;
use crate::expr::cel::cost::{Cost, UNIT};
use crate::expr::cel::env::{Implementation, Row, row};
use crate::expr::cel::value::Value;

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("size", "size_bytes", "(bytes) -> int", UNIT, size),
    row("size", "bytes_size", "bytes.() -> int", UNIT, size),
    row("size", "size_list", "(list(A)) -> int", UNIT, size),
    row("size", "list_size", "list(A).() -> int", UNIT, size),
    row("size", "size_map", "(map(A, B)) -> int", UNIT, size),
    row("size", "map_size", "map(A, B).() -> int", UNIT, size),
    row("size", "size_string", "(string) -> int", UNIT, size),
    row("size", "string_size", "string.() -> int", UNIT, size),
    row("type", "type", "(A) -> type(A)", UNIT, type_of),
    row("bool", "bool_to_bool", "(bool) -> bool", UNIT, to_bool),
    row("bool", "string_to_bool", "(string) -> bool", UNIT, to_bool),
    row("bytes", "bytes_to_bytes", "(bytes) -> bytes", UNIT, to_bytes),
    row("bytes", "string_to_bytes", "(string) -> bytes", Cost::ToBytes, to_bytes),
    row("double", "double_to_double", "(double) -> double", UNIT, to_double),
    row("double", "int64_to_double", "(int) -> double", UNIT, to_double),
    row("double", "string_to_double", "(string) -> double", UNIT, to_double),
    row("double", "uint64_to_double", "(uint) -> double", UNIT, to_double),
    row("duration", "duration_to_duration", "(duration) -> duration", UNIT, to_duration),
    row("duration", "int64_to_duration", "(int) -> duration", UNIT, to_duration),
    row("duration", "string_to_duration", "(string) -> duration", UNIT, to_duration),
    row("int", "int64_to_int64", "(int) -> int", UNIT, to_int),
    row("int", "double_to_int64", "(double) -> int", UNIT, to_int),
    row("int", "duration_to_int64", "(duration) -> int", UNIT, to_int),
    row("int", "string_to_int64", "(string) -> int", UNIT, to_int),
    row("int", "timestamp_to_int64", "(timestamp) -> int", UNIT, to_int),
    row("int", "uint64_to_int64", "(uint) -> int", UNIT, to_int),
    row("string", "string_to_string", "(string) -> string", UNIT, to_string),
    row("string", "bool_to_string", "(bool) -> string", UNIT, to_string),
    row("string", "bytes_to_string", "(bytes) -> string", Cost::ToText, to_string),
    row("string", "double_to_string", "(double) -> string", UNIT, to_string),
    row("string", "duration_to_string", "(duration) -> string", UNIT, to_string),
    row("string", "int64_to_string", "(int) -> string", UNIT, to_string),
    row("string", "timestamp_to_string", "(timestamp) -> string", UNIT, to_string),
    row("string", "uint64_to_string", "(uint) -> string", UNIT, to_string),
    row("timestamp", "timestamp_to_timestamp", "(timestamp) -> timestamp", UNIT, to_timestamp),
    row("timestamp", "int64_to_timestamp", "(int) -> timestamp", UNIT, to_timestamp),
    row("timestamp", "string_to_timestamp", "(string) -> timestamp", UNIT, to_timestamp),
    row("uint", "uint64_to_uint64", "(uint) -> uint", UNIT, to_uint),
    row("uint", "double_to_uint64", "(double) -> uint", UNIT, to_uint),
    row("uint", "int64_to_uint64", "(int) -> uint", UNIT, to_uint),
    row("uint", "string_to_uint64", "(string) -> uint", UNIT, to_uint),
    row("dyn", "to_dyn", "(A) -> dyn", UNIT, identity),
    row("contains", "contains_string", "string.(string) -> bool", Cost::Contains, contains),
    row("endsWith", "ends_with_string", "string.(string) -> bool", Cost::Affix, ends_with),
    row("startsWith", "starts_with_string", "string.(string) -> bool", Cost::Affix, starts_with),
    pattern("matches", "matches", "(string, string) -> bool", UNIT),
    pattern("matches", "matches_string", "string.(string) -> bool", Cost::Matches),
];

const fn pattern(name: &'static str, id: &'static str, signature: &'static str, cost: Cost) -> Row {
    Row { name, id, signature, cost, run: Implementation::Regex(matches) }
}

fn matches<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(Value::String(text)) => Ok(Value::Bool(regex.is_match(text))),
        _ => refuse(),
    }
}

fn size<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args.first().and_then(Value::size) {
        Some(size) => Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX))),
        None => refuse(),
    }
}

fn type_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args.first().map_or_else(refuse, |value| Ok(convert::type_of(value)))
}

fn identity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args.first().map_or_else(refuse, |value| Ok(value.clone()))
}

/// The functions that convert, by the name of what they make.
macro_rules! conversions {
    ($($name:ident)*) => {
        $(fn $name<'a>(args: &[Value<'a>]) -> Answer<'a> {
            args.first().map_or_else(refuse, convert::$name)
        })*
    };
}

conversions!(to_bool to_bytes to_double to_duration to_int to_string to_timestamp to_uint);

fn texts<'v, 'a>(args: &'v [Value<'a>]) -> Option<(&'v str, &'v str)> {
    match args {
        [Value::String(a), Value::String(b)] => Some((a, b)),
        _ => None,
    }
}

fn contains<'a>(args: &[Value<'a>]) -> Answer<'a> {
    texts(args).map_or_else(refuse, |(text, part)| Ok(Value::Bool(text.contains(part))))
}

fn ends_with<'a>(args: &[Value<'a>]) -> Answer<'a> {
    texts(args).map_or_else(refuse, |(text, part)| Ok(Value::Bool(text.ends_with(part))))
}

fn starts_with<'a>(args: &[Value<'a>]) -> Answer<'a> {
    texts(args).map_or_else(refuse, |(text, part)| Ok(Value::Bool(text.starts_with(part))))
}
