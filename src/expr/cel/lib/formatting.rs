//! `'%s'.format([...])`: its clauses, and how values look in them.

use std::sync::LazyLock;

use regex::Regex;

use super::{Answer, fail};
use crate::expr::cel::convert;
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::Value;

/// A piece of a format: text, or a clause for the next argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece<'t> {
    Text(&'t str),
    Clause {
        kind: char,
        precision: Option<usize>,
    },
    /// What is no clause, and why.
    Wrong(String),
}

/// Cuts a format into pieces.
pub(crate) fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    while let Some(at) = text.find('%') {
        if at > 0 {
            out.push(Piece::Text(&text[..at]));
        }
        let rest = &text[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push(Piece::Text("%"));
            text = after;
            continue;
        }
        let (piece, after) = clause(rest);
        out.push(piece);
        text = after;
    }
    if !text.is_empty() {
        out.push(Piece::Text(text));
    }
    out
}

fn clause(rest: &str) -> (Piece<'_>, &str) {
    let wrong = |message: &str| Piece::Wrong(message.to_owned());
    if rest.is_empty() {
        return (wrong("unexpected end of string"), rest);
    }
    let mut precision = None;
    let mut rest = rest;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == after.len() {
            let message = "could not parse formatting clause: error while parsing precision: could not find end of precision specifier";
            return (wrong(message), "");
        }
        match after[..digits].parse() {
            Ok(number) => precision = Some(number),
            Err(_) => {
                let message = format!(
                    "could not parse formatting clause: error while parsing precision: error while converting precision \
                     to integer: strconv.Atoi: parsing {:?}: invalid syntax",
                    &after[..digits]
                );
                return (Piece::Wrong(message), "");
            }
        }
        rest = &after[digits..];
    }
    match rest.chars().next() {
        Some(kind) if "sdfebxXo".contains(kind) => (Piece::Clause { kind, precision }, &rest[1..]),
        Some(other) => {
            let message =
                format!("could not parse formatting clause: unrecognized formatting clause \"{other}\"");
            (Piece::Wrong(message), "")
        }
        None => (wrong("unexpected end of string"), ""),
    }
}

/// The error of a clause that does not take such a value.
pub(crate) fn clause_error(kind: char, found: &str) -> String {
    let message = match kind {
        's' => {
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and \
             timestamps"
        }
        'd' => "decimal clause can only be used on integers",
        'f' => "fixed-point clause can only be used on doubles",
        'e' => "scientific clause can only be used on doubles",
        'b' => "only integers and bools can be formatted as binary",
        'o' => "octal clause can only be used on integers",
        _ => "only integers, byte buffers, and strings can be formatted as hex",
    };
    format!("error during formatting: {message}, was given {found}")
}

/// Fills a format's clauses with the items of a list.
pub(crate) fn format<'a>(text: &str, list: &Value<'a>) -> Answer<'a> {
    let mut out = String::with_capacity(text.len());
    let mut next = 0;
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Wrong(message) => return fail(message),
            Piece::Clause { kind, precision } => {
                let Some(item) = list.item(next) else { return fail(format!("index {next} out of range")) };
                next += 1;
                out.push_str(&one(kind, precision, &item?)?);
            }
        }
    }
    Ok(Value::text(out))
}

fn one(kind: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, EvalError> {
    let formatted = match (kind, value) {
        ('s', value) => return string(value),
        ('d', Value::Int(i)) => Some(i.to_string()),
        ('d', Value::Uint(u)) => Some(u.to_string()),
        ('f' | 'e', Value::Double(d)) => Some(float(kind, precision, *d)),
        ('f' | 'e', Value::String(text)) => match &**text {
            "NaN" => Some("NaN".to_owned()),
            "Infinity" => Some("∞".to_owned()),
            "-Infinity" => Some("-∞".to_owned()),
            _ => None,
        },
        ('b', Value::Int(i)) => Some(signed(*i, format!("{:b}", i.unsigned_abs()))),
        ('b', Value::Uint(u)) => Some(format!("{u:b}")),
        ('b', Value::Bool(b)) => Some(u8::from(*b).to_string()),
        ('o', Value::Int(i)) => Some(signed(*i, format!("{:o}", i.unsigned_abs()))),
        ('o', Value::Uint(u)) => Some(format!("{u:o}")),
        ('x', Value::Int(i)) => Some(signed(*i, format!("{:x}", i.unsigned_abs()))),
        ('X', Value::Int(i)) => Some(signed(*i, format!("{:X}", i.unsigned_abs()))),
        ('x', Value::Uint(u)) => Some(format!("{u:x}")),
        ('X', Value::Uint(u)) => Some(format!("{u:X}")),
        ('x' | 'X', Value::String(text)) => Some(hex(text.as_bytes(), kind)),
        ('x' | 'X', Value::Bytes(bytes)) => Some(hex(bytes, kind)),
        _ => None,
    };
    formatted.ok_or_else(|| EvalError::new(clause_error(kind, value.type_name())))
}

fn signed(i: i64, digits: String) -> String {
    if i < 0 { format!("-{digits}") } else { digits }
}

fn hex(bytes: &[u8], kind: char) -> String {
    bytes.iter().map(|b| if kind == 'x' { format!("{b:02x}") } else { format!("{b:02X}") }).collect()
}

/// A float as the American locale writes it: thousands apart, and exponents of ten raised.
fn float(kind: char, precision: Option<usize>, d: f64) -> String {
    if d.is_nan() {
        return "NaN".to_owned();
    }
    if d.is_infinite() {
        return if d > 0.0 { "∞" } else { "-∞" }.to_owned();
    }
    if kind == 'f' {
        return grouped(&fixed(precision.unwrap_or(6), d));
    }
    // The precision is taken for a width, so that there are always six digits.
    let d = if d == 0.0 { 0.0 } else { d };
    let scientific = format!("{d:.6e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ("⁻", digits),
        None => ("", exponent),
    };
    let raised: String = format!("{digits:0>2}")
        .chars()
        .map(|c| c.to_digit(10).and_then(|d| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(d as usize)).unwrap_or(c))
        .collect();
    format!("{mantissa}×10{sign}{raised}")
}

/// A float with a number of decimals. Of a large number, only the last byte says how many there are at the least. A
/// negative zero is zero.
fn fixed(precision: usize, d: f64) -> String {
    let d = if d == 0.0 { 0.0 } else { d };
    let mut text = format!("{d:.*}", precision.min(1000));
    let spare = precision.min(1000) - (precision & 0xff).min(precision.min(1000));
    let zeros = text.len() - text.trim_end_matches('0').len();
    text.truncate(text.len() - zeros.min(spare));
    text
}

fn grouped(number: &str) -> String {
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", number),
    };
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A value in a `%s` clause.
fn string(value: &Value<'_>) -> Result<String, EvalError> {
    match value {
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Duration(_)
        | Value::Timestamp(_)
        | Value::Type(_) => match convert::to_string(value) {
            Ok(Value::String(text)) => Ok(text.to_string()),
            Ok(_) => Err(EvalError::no_such_overload()),
            Err(error) => Err(EvalError::new(format!(
                "error during formatting: could not convert argument {} to string",
                quoted(error.message())
            ))),
        },
        _ if value.list_len().is_some() || value.map_len().is_some() => nested(value),
        _ => Err(EvalError::new(clause_error('s', value.type_name()))),
    }
}

/// A value within a list or map.
fn nested(value: &Value<'_>) -> Result<String, EvalError> {
    Ok(match value {
        Value::String(text) => quoted(text),
        Value::Bytes(_) => format!("b{}", quoted(&string(value)?)),
        Value::Double(d) if d.is_finite() => format!("{d:.6}"),
        Value::Double(d) if d.is_nan() => "\"NaN\"".to_owned(),
        Value::Double(d) => quoted(if *d > 0.0 { "+Inf" } else { "-Inf" }),
        Value::Duration(_) => format!("duration({})", quoted(&string(value)?)),
        Value::Timestamp(_) => format!("timestamp({})", quoted(&string(value)?)),
        _ if value.list_len().is_some() => {
            let items: Vec<String> = value.items()?.iter().map(nested).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        _ if value.map_len().is_some() => {
            let mut entries = Vec::new();
            for key in value.keys() {
                let found = value.find(&key)?.unwrap_or(Value::Null);
                entries.push((nested(&key)?, nested(&found)?));
            }
            entries.sort();
            let entries: Vec<String> =
                entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Type(_) => string(value)?,
        _ => {
            let message =
                format!("error during formatting: no formatting function for {}", value.type_name());
            return Err(EvalError::new(message));
        }
    })
}

/// What Go shows as it is.
static PRINTABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").expect("a fixed expression"));

/// Text in quotes, as Go writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_ascii() || PRINTABLE.is_match(c.encode_utf8(&mut [0; 4])) => out.push(c),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}
