//! `GreaterThan` and its like.

use serde_json::Value;

use super::{Order, as_durations, whole_seconds};
use crate::expr::duration::Duration;
use crate::expr::gofloat;
use crate::expr::quantity::Quantity;
use crate::expr::semver::Version;

/// As durations, quantities, numbers, else versions.
pub(super) fn compare(key: &Value, value: &Value, order: Order) -> bool {
    if let Some((key, value)) = as_durations(key, value) {
        return order.holds(key.cmp(&value));
    }
    match key {
        Value::Number(key) => key.as_f64().is_some_and(|key| number(key, value, order)),
        Value::String(key) => text(key, value, order),
        _ => false,
    }
}

fn number(key: f64, value: &Value, order: Order) -> bool {
    let value = match value {
        Value::Number(value) => value.as_f64(),
        Value::String(text) => gofloat::parse(text),
        _ => None,
    };
    value.and_then(|value| key.partial_cmp(&value)).is_some_and(|found| order.holds(found))
}

fn text(key: &str, value: &Value, order: Order) -> bool {
    if let (Some(key), Some(value)) = (Quantity::parse(key), value.as_str().and_then(Quantity::parse)) {
        return order.holds(key.cmp(&value));
    }
    if let Some(key) = gofloat::parse(key) {
        return number(key, value, order);
    }
    match (Version::parse(key), value.as_str().and_then(Version::parse)) {
        (Some(key), Some(value)) => order.holds(key.compare(&value)),
        _ => false,
    }
}

/// The older operators: durations, or numbers of seconds, and nothing else.
pub(super) fn durations(key: &Value, value: &Value, order: Order) -> bool {
    let read = |value: &Value| match value {
        Value::String(text) => Duration::parse(text),
        other => whole_seconds(other),
    };
    match (read(key), read(value)) {
        (Some(key), Some(value)) => order.holds(key.cmp(&value)),
        _ => false,
    }
}
