//! Values as the API server's messages show them: Go's quoting, numbers and JSON.

use core::fmt::Write as _;

use serde_json::Value;

/// A value in a message such as `Invalid value: 5`: text quoted, numbers and truth values bare, the rest as JSON.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => self::float(float),
            None => number.to_string(),
        },
        Value::Bool(truth) => truth.to_string(),
        other => json(other),
    }
}

/// Text as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => push(&mut out, format_args!("\\x{:02x}", c as u32)),
            c if !is_printable(c) && (c as u32) < 0x1_0000 => {
                push(&mut out, format_args!("\\u{:04x}", c as u32));
            }
            c if !is_printable(c) => push(&mut out, format_args!("\\U{:08x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn push(out: &mut String, text: core::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// Whether Go prints a character as it is; Rust's own debug form escapes the same ones, but for its quotes.
fn is_printable(c: char) -> bool {
    matches!(c, '\'' | '"' | ' ') || c.escape_debug().len() == 1
}

/// A float as Go's `%v` writes it: the shortest digits, with an exponent where that is very small or large.
pub fn float(number: f64) -> String {
    let exponent = format!("{number:e}");
    let Some((digits, power)) = exponent.split_once('e') else { return number.to_string() };
    let power: i32 = power.parse().unwrap_or(0);
    if (-4..21).contains(&power) {
        return format!("{number}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

/// JSON as Go writes it: `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push(&mut out, format_args!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json as value_of;

    use super::*;

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (given, shown) in [
            (value_of!("a\"b\n"), r#""a\"b\n""#),
            (value_of!("grün"), "\"grün\""),
            (value_of!(5), "5"),
            (value_of!(1.5), "1.5"),
            (value_of!(1e21), "1e+21"),
            (value_of!(1e-7), "1e-07"),
            (value_of!({"a": "<"}), r#"{"a":"\u003c"}"#),
            (value_of!(null), "null"),
        ] {
            assert_eq!(value(&given), shown);
        }
    }
}
