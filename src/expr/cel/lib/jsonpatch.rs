//! Keys in the paths of JSON patches.

use super::{Answer, refuse};
use crate::expr::cel::cost::{Cost, TRAVERSAL};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::value::Value;

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("jsonpatch.escapeKey", "string_jsonpatch_escapeKey_string", "(string) -> string", Cost::Argument { factor: TRAVERSAL, sized: true }, escape_key),
];

fn escape_key<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::text(text.replace('~', "~0").replace('/', "~1"))))
}
