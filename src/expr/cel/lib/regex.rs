//! Finding what a pattern matches.

use regex::Regex;

use super::{Answer, refuse};
use crate::expr::cel::cost::Cost;
use crate::expr::cel::env::{Implementation, Row};
use crate::expr::cel::value::Value;

const fn pattern(
    name: &'static str,
    id: &'static str,
    signature: &'static str,
    run: crate::expr::cel::env::WithRegex,
) -> Row {
    Row { name, id, signature, cost: Cost::Find, run: Implementation::Regex(run) }
}

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    pattern("find", "string_find_string", "string.(string) -> string", find),
    pattern("findAll", "string_find_all_string", "string.(string) -> list(string)", find_all),
    pattern("findAll", "string_find_all_string_int", "string.(string, int) -> list(string)", find_all),
];

fn find<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(Value::String(text)) => Ok(Value::text(regex.find(text).map_or("", |found| found.as_str()))),
        _ => refuse(),
    }
}

fn find_all<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    let (text, most) = match args {
        [Value::String(text), _] => (text, -1),
        [Value::String(text), _, Value::Int(most)] => (text, *most),
        _ => return refuse(),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(Value::list(regex.find_iter(text).take(most).map(|found| Value::text(found.as_str())).collect()))
}
