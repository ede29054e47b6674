//! Bytes as text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{Answer, fail, refuse};
use crate::expr::cel::cost::UNIT;
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::value::Value;

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("base64.encode", "base64_encode_bytes", "(bytes) -> string", UNIT, encode),
    row("base64.decode", "base64_decode_string", "(string) -> bytes", UNIT, decode),
];

fn encode<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::text(STANDARD.encode(bytes))),
        _ => refuse(),
    }
}

/// With or without padding.
fn decode<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = args else { return refuse() };
    let text: &str = text;
    match STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)) {
        Ok(bytes) => Ok(Value::Bytes(bytes.into())),
        Err(error) => fail(error.to_string()),
    }
}
