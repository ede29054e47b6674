//! `Equals` and `NotEquals`.

use serde_json::Value;

use super::as_durations;
use crate::expr::jmespath::equal;
use crate::expr::quantity::Quantity;
use crate::expr::{gofloat, gotext, wildcard};

/// Whether key and value are equal: as durations, as quantities, else a text by the *value* as pattern.
pub(super) fn equals(key: &Value, value: &Value) -> bool {
    match key {
        Value::Null => false,
        Value::Bool(_) => key == value,
        Value::Number(key) => match value {
            Value::Number(value) => key.as_f64() == value.as_f64(),
            Value::String(text) => gofloat::parse(text).is_some_and(|value| Some(value) == key.as_f64()),
            _ => false,
        },
        Value::Array(_) | Value::Object(_) => equal(key, value),
        Value::String(text) => text_equals(text, key, value),
    }
}

fn text_equals(text: &str, key: &Value, value: &Value) -> bool {
    if let Some((key, value)) = as_durations(key, value) {
        return key == value;
    }
    if let Some(amount) = Quantity::parse(text) {
        let other = match value {
            Value::String(other) => Quantity::parse(other),
            Value::Number(other) => other.as_f64().and_then(|f| Quantity::parse(&gotext::general(f))),
            _ => None,
        };
        return other == Some(amount);
    }
    value.as_str().is_some_and(|pattern| wildcard::matches(pattern, text))
}
