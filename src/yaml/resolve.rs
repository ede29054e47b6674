//! What a scalar is: null, bool, number or text.

use std::sync::LazyLock;

use base64::Engine as _;
use regex::Regex;

/// A scalar, resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Greater than any `Int`.
    Big(u64),
    Float(f64),
    Text(String),
}

const CORE: &str = "tag:yaml.org,2002:";

/// The value of a scalar with a tag, or of a plain one (`tag` is then `None` or `!`).
pub(super) fn resolve(value: &str, tag: Option<&str>) -> Result<Scalar, String> {
    let Some(tag) = tag else { return Ok(by_look(value, true).0) };
    let Some(core) = tag.strip_prefix(CORE) else { return Ok(Scalar::Text(value.to_owned())) };
    let found = match core {
        "str" => return Ok(Scalar::Text(value.to_owned())),
        "binary" => return binary(value),
        "bool" | "int" | "float" | "null" => by_look(value, false),
        "timestamp" => by_look(value, true),
        _ => return Ok(Scalar::Text(value.to_owned())),
    };
    match (core, found) {
        ("bool", (scalar @ Scalar::Bool(_), _))
        | ("int", (scalar @ (Scalar::Int(_) | Scalar::Big(_)), _))
        | ("float", (scalar @ Scalar::Float(_), _))
        | ("null", (scalar @ Scalar::Null, _))
        | ("timestamp", (scalar, true)) => Ok(scalar),
        #[allow(clippy::cast_precision_loss)] // As the API server's reader does.
        ("float", (Scalar::Int(int), _)) => Ok(Scalar::Float(int as f64)),
        // The text itself may be a secret.
        _ => Err(format!("the value is not of the type !!{core}")),
    }
}

fn binary(value: &str) -> Result<Scalar, String> {
    let text: String = value.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| "a !!binary value is not valid base64".to_owned())?;
    Ok(Scalar::Text(text_of(&bytes)))
}

/// What JSON makes of bytes: each byte that is no UTF-8 is one replacement character.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    text
}

/// By the text alone; the flag says whether it is a time stamp (which stays text).
fn by_look(value: &str, timestamps: bool) -> (Scalar, bool) {
    let text = || Scalar::Text(value.to_owned());
    let Some(&first) = value.as_bytes().first() else { return (Scalar::Null, false) };
    let scalar = match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(value),
        b'.' => word(value).or_else(|| go_float(value).map(Scalar::Float)),
        b'+' | b'-' | b'0'..=b'9' => {
            if let Some(scalar) = word(value) {
                return (scalar, false);
            }
            if timestamps && is_timestamp(value) {
                return (text(), true);
            }
            number(&value.replace('_', ""))
        }
        _ => None,
    };
    (scalar.unwrap_or_else(text), false)
}

fn word(value: &str) -> Option<Scalar> {
    Some(match value {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(plain: &str) -> Option<Scalar> {
    if let Some((negative, magnitude)) = integer(plain) {
        let signed = if negative { 0i128 - i128::from(magnitude) } else { i128::from(magnitude) };
        if let Ok(int) = i64::try_from(signed) {
            return Some(Scalar::Int(int));
        }
        // An unsigned number has no sign.
        if !plain.starts_with(['+', '-']) {
            return Some(Scalar::Big(magnitude));
        }
    }
    static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").expect("a fixed expression")
    });
    if FLOAT.is_match(plain) {
        return go_float(plain).map(Scalar::Float);
    }
    None
}

/// Decimal, `0x`, `0b`, `0o` or (with a leading zero) octal: whether it is negative, and its magnitude.
fn integer(plain: &str) -> Option<(bool, u64)> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // A second sign is none of Rust's business here.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    Some((negative, u64::from_str_radix(digits, radix).ok()?))
}

/// A decimal float as Go reads it: out of range is no number, and underscores stand between digits.
fn go_float(text: &str) -> Option<f64> {
    if text.contains('_') {
        let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let between = |(at, _): (usize, &str)| at > 0 && digit(at - 1) && digit(at + 1);
        return text.match_indices('_').all(between).then(|| go_float(&text.replace('_', "")))?;
    }
    let ok = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
    text.parse::<f64>().ok().filter(|float| ok && float.is_finite())
}

/// Whether a text is a time stamp as YAML writes them: a date, or a date and a time.
fn is_timestamp(value: &str) -> bool {
    static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"^(\d{4})-(\d{1,2})-(\d{1,2})",
            r"(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)",
            r"| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?$"
        ))
        .expect("a fixed expression")
    });
    let Some(parts) = TIMESTAMP.captures(value) else { return false };
    let part =
        |a: usize, b: usize| parts.get(a).or(parts.get(b)).map_or(Ok(0), |m| m.as_str().parse::<u16>());
    let (Ok(year), Ok(month), Ok(day)) = (part(1, 1), part(2, 2), part(3, 3)) else { return false };
    let (Ok(hour), Ok(minute), Ok(second)) = (part(4, 7), part(5, 8), part(6, 9)) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u16::from(leap),
        _ => return false,
    };
    (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60
}

/// A float key as text, as Go's shortest 32-bit format writes it.
pub(super) fn float_key(float: f64) -> String {
    #[allow(clippy::cast_possible_truncation)] // The format is that of 32 bits.
    let float = float as f32;
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    go_general(&format!("{float:e}"), || format!("{float}"))
}

/// Go's shortest `%g` from Rust's shortest `%e`: an exponent from 10^6 on and below 10^-4.
pub(super) fn go_general(scientific: &str, decimal: impl FnOnce() -> String) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return decimal();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Whether a plain scalar with this text is text, for every reader: base 60 numbers are none for ours, but for some.
pub(super) fn is_text(value: &str) -> bool {
    static BASE_60: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$").expect("a fixed expression")
    });
    // What does not begin like a word of YAML or a number is text at a glance.
    if !matches!(value.as_bytes().first(), None | Some(b'+' | b'-' | b'.' | b'~' | b'0'..=b'9'))
        && !value.starts_with(['y', 'Y', 'n', 'N', 't', 'T', 'f', 'F', 'o', 'O'])
    {
        return true;
    }
    let (scalar, is_timestamp) = by_look(value, true);
    let is_base_60 = || value.contains(':') && BASE_60.is_match(value);
    matches!(scalar, Scalar::Text(_)) && !is_timestamp && !is_base_60()
}
