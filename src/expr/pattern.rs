//! Scalar patterns: `"!*:latest"`, `">=1Gi & <=4Gi"`, `"10-20"`, `null`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::duration::Duration;
use super::quantity::Quantity;
use super::{gofloat, gotext, wildcard};

static IN_RANGE: LazyLock<Regex> = LazyLock::new(|| range("-"));
static NOT_IN_RANGE: LazyLock<Regex> = LazyLock::new(|| range("!-"));

fn range(sign: &str) -> Regex {
    let end = r"([-|+]?[0-9]+(?:\.[0-9]+)?[A-Za-z]*)";
    Regex::new(&format!("^{end}{sign}{end}$")).expect("a fixed expression")
}

/// What a text pattern begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    More,
    MoreEqual,
    Less,
    LessEqual,
}

/// Whether a value matches a pattern; `None` is a missing value. Of a list as value, every element must match. An
/// object as pattern asks only that there is an object, and a list is no pattern.
pub fn matches(pattern: &Value, value: Option<&Value>) -> bool {
    let value = value.unwrap_or(&Value::Null);
    if let Value::Array(items) = value
        && !pattern.is_array()
        && !pattern.is_object()
        && !pattern.is_null()
    {
        return items.iter().all(|item| matches(pattern, Some(item)));
    }
    match pattern {
        Value::Bool(wanted) => value.as_bool() == Some(*wanted),
        Value::Number(wanted) => number(wanted.as_f64(), value),
        Value::Null => is_nothing(value),
        Value::Object(_) => value.is_object(),
        Value::String(pattern) => text(pattern, value),
        Value::Array(_) => false,
    }
}

/// Whether a text is a range, such as `10-20`.
pub(crate) fn is_range(text: &str) -> bool {
    operator(text).0 == Operator::Equal && !NOT_IN_RANGE.is_match(text) && IN_RANGE.is_match(text)
}

fn number(wanted: Option<f64>, value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_f64() == wanted,
        Value::String(text) => gofloat::parse(text).is_some_and(|found| Some(found) == wanted),
        _ => false,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// `|` joins alternatives, each of which `&` may join.
fn text(pattern: &str, value: &Value) -> bool {
    value.as_str() == Some(pattern)
        || pattern.split('|').any(|alternative| {
            alternative.trim_matches(' ').split('&').all(|c| one(c.trim_matches(' '), value))
        })
}

fn one(pattern: &str, value: &Value) -> bool {
    let (operator, operand) = operator(pattern);
    if operator == Operator::Equal {
        if let Some(ends) = NOT_IN_RANGE.captures(pattern) {
            return compare(Operator::Less, &ends[1], value) || compare(Operator::More, &ends[2], value);
        }
        if let Some(ends) = IN_RANGE.captures(pattern) {
            return compare(Operator::MoreEqual, &ends[1], value)
                && compare(Operator::LessEqual, &ends[2], value);
        }
    }
    compare(operator, operand.trim(), value)
}

/// The operator a pattern begins with, and what it is compared with. One character is never an operator.
fn operator(pattern: &str) -> (Operator, &str) {
    if pattern.len() < 2 {
        return (Operator::Equal, pattern);
    }
    for (sign, operator) in [
        (">=", Operator::MoreEqual),
        ("<=", Operator::LessEqual),
        (">", Operator::More),
        ("<", Operator::Less),
        ("!", Operator::NotEqual),
    ] {
        if let Some(rest) = pattern.strip_prefix(sign) {
            return (operator, rest);
        }
    }
    (Operator::Equal, pattern)
}

/// As durations, else as quantities, else as texts. A missing value is the amount 0, yet is no text.
fn compare(operator: Operator, pattern: &str, value: &Value) -> bool {
    if let Some(amount) = amount(value) {
        if let (Some(pattern), Some(value)) = (Duration::parse(pattern), Duration::parse(&amount)) {
            return operator.holds(value.cmp(&pattern));
        }
        if let (Some(pattern), Some(value)) = (Quantity::parse(pattern), Quantity::parse(&amount)) {
            return operator.holds(value.cmp(&pattern));
        }
    }
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(n) => gotext::scientific(n.as_f64().unwrap_or_default()),
        Value::Bool(b) => b.to_string(),
        _ => return false,
    };
    match operator {
        Operator::Equal => wildcard::matches(pattern, &text),
        Operator::NotEqual => !wildcard::matches(pattern, &text),
        _ => false,
    }
}

fn amount(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("0".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => n.as_f64().map(|f| format!("{f:.6}")),
        _ => None,
    }
}

impl Operator {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::More => order.is_gt(),
            Operator::MoreEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessEqual => order.is_le(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_patterns() {
        for (pattern, value, expected) in [
            ("*", json!("x"), true),
            ("*", json!(null), false),
            ("?*", json!(""), false),
            ("*:*", json!("nginx:1"), true),
            ("!*:latest", json!("nginx:latest"), false),
            ("!*:latest", json!(null), false),
            ("a | b", json!("b"), true),
            (">=1 & <=3", json!(2), true),
            (">=1 & <=3", json!(4), false),
            ("<=1Gi", json!("512Mi"), true),
            ("<=1Gi", json!(null), true),
            (">1Gi", json!(null), false),
            ("<=10s", json!("9s"), true),
            ("1-10", json!(5), true),
            ("1-10", json!(11), false),
            ("5Mi!-10Mi", json!("7Mi"), false),
            ("5Mi!-10Mi", json!("11Mi"), true),
            ("8080", json!(8080), true),
            ("80*", json!(8080), false),
            ("8.08E+03", json!(8080), true),
            ("true", json!(true), true),
            ("1", json!("1000m"), true),
            ("a-b", json!("a-b"), true),
            (">", json!(">"), true),
            ("!false", json!(true), true),
            ("1024Ki", json!("1Mi"), true),
            ("0", json!(null), true),
            ("runtime/default | localhost/*", json!("localhost/x"), true),
            ("a", json!(["a", "a"]), true),
            ("a", json!(["a", "b"]), false),
        ] {
            assert_eq!(matches(&json!(pattern), Some(&value)), expected, "{pattern} on {value}");
        }
    }

    #[test]
    fn other_patterns() {
        for nothing in [json!(null), json!(""), json!(0), json!(false)] {
            assert!(matches(&json!(null), Some(&nothing)));
        }
        assert!(matches(&json!(null), None));
        assert!(!matches(&json!(null), Some(&json!([]))));
        assert!(matches(&json!(1), Some(&json!("1"))) && matches(&json!(1.0), Some(&json!(1))));
        assert!(matches(&json!(false), Some(&json!(false))) && !matches(&json!(false), None));
        assert!(matches(&json!({}), Some(&json!({"a": 1}))) && !matches(&json!({}), Some(&json!("a"))));
        assert!(!matches(&json!(["a"]), Some(&json!(["a"]))));
        assert!(is_range("10-20") && !is_range("a-b") && !is_range("10!-20"));
    }
}
