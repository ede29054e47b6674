//! Values as text, digit for digit as Go writes them: policies compare and embed such texts.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Whole numbers up to here are exact in a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as a value: whole ones as integers. `None` if it is not finite.
pub(crate) fn number(value: f64) -> Option<Value> {
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.fract() == 0.0 && value.abs() <= EXACT && !is_negative_zero {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

/// A value whose whole floats (`1.0`) are integers, and whose numbers are no more exact than a float.
pub(crate) fn normalize(value: Value) -> Value {
    match value {
        Value::Number(n)
            if n.as_u64().is_some_and(inexact) || n.as_i64().is_some_and(|i| inexact(i.unsigned_abs())) =>
        {
            n.as_f64().and_then(number).unwrap_or(Value::Number(n))
        }
        Value::Number(n) if n.is_f64() => n.as_f64().and_then(number).unwrap_or(Value::Number(n)),
        Value::Array(items) => Value::Array(items.into_iter().map(normalize).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, normalize(v))).collect()),
        other => other,
    }
}

/// Whether a float may not be able to say a number.
fn inexact(number: u64) -> bool {
    number > EXACT as u64
}

/// The JSON text of a value, as `encoding/json` marshals it (`<`, `>` and `&` are escaped).
pub fn json(value: &Value) -> String {
    let mut text = String::new();
    write_json(&mut text, value);
    text
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => write_number(out, n),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_json(out, item);
            }
            out.push('}');
        }
    }
}

fn write_number(out: &mut String, n: &Number) {
    match n.as_f64() {
        Some(f) if n.is_f64() => {
            if f != 0.0 && (f.abs() < 1e-6 || f.abs() >= 1e21) {
                let text = exponent(f, 'e', 1);
                out.push_str(&text);
            } else {
                let _ = write!(out, "{f}");
            }
        }
        _ => {
            let _ = write!(out, "{n}");
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Scientific notation with the fewest digits: `8.08E+03`.
fn exponent(value: f64, letter: char, least_digits: usize) -> String {
    let text = format!("{value:e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match power.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', power),
    };
    format!("{mantissa}{letter}{sign}{digits:0>least_digits$}")
}

/// `strconv.FormatFloat(value, 'E', -1, 64)`: how patterns see a number.
pub(crate) fn scientific(value: f64) -> String {
    exponent(value, 'E', 2)
}

/// `fmt.Sprint` of a number: the general form, with an exponent from a million on.
pub(crate) fn general(value: f64) -> String {
    if value == 0.0 {
        return format!("{value}");
    }
    let text = exponent(value, 'e', 2);
    let power = text.split_once('e').and_then(|(_, p)| p.parse::<i32>().ok()).unwrap_or_default();
    if (-4..6).contains(&power) { format!("{value}") } else { text }
}

/// `fmt.Sprint` of any value, as lists and maps print in Go.
pub(crate) fn sprint(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), general),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(sprint).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", sprint(v))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// A number or string as the string functions take it: the shortest decimal a 32 bit float would need.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => n.as_f64().map(|f| format!("{}", f as f32)),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_print_as_in_go() {
        assert_eq!(general(1_000_000.0), "1e+06");
        assert_eq!(general(999_999.0), "999999");
        assert_eq!(general(123_456_789.0), "1.23456789e+08");
        assert_eq!(general(0.0001), "0.0001");
        assert_eq!(general(0.00001), "1e-05");
        assert_eq!(general(1.5), "1.5");
        assert_eq!(scientific(8080.0), "8.08E+03");
        assert_eq!(scientific(1.0), "1E+00");
    }

    #[test]
    fn json_escapes_and_floats() {
        assert_eq!(json(&json!({"b": "<a&\u{2028}\n", "a": [1, 0.5, 1e21, 1e-7]})), {
            r#"{"a":[1,0.5,1e+21,1e-7],"b":"\u003ca\u0026\u2028\n"}"#
        });
        assert_eq!(normalize(json!([1.0, 1.5])), json!([1, 1.5]));
        assert_eq!(json(&normalize(json!([9_007_199_254_740_993_i64, u64::MAX]))), {
            "[9007199254740992,18446744073709552000]"
        });
    }

    #[test]
    fn containers_print_as_in_go() {
        assert_eq!(sprint(&json!({"a": [1, "b", null, true]})), "map[a:[1 b <nil> true]]");
    }
}
