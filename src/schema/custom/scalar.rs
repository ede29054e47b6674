//! Types, numbers, texts and enumerations.

use serde_json::{Number, Value};

use super::result::{At, Outcome};
use crate::schema::format;
use crate::schema::show;
use crate::schema::{Bounds, Rules};

/// A value's type in JSON's words, and the format that the validator gives it.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(n) if n.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

/// The types that rules allow, such as `integer,string`.
fn allowed(rules: &Rules) -> Vec<&str> {
    if rules.int_or_string {
        vec!["integer", "string"]
    } else {
        rules.json_type.as_deref().into_iter().collect()
    }
}

/// The format, if it is one that is checked.
pub(super) fn known_format(rules: &Rules) -> Option<&str> {
    rules.format.as_deref().filter(|name| format::is_known(name))
}

/// Whether the value is of the type; `None` where the schema says nothing about types.
pub(super) fn check_type(rules: &Rules, value: &Value, at: &At<'_>) -> Option<Outcome> {
    let (types, name) = (allowed(rules), known_format(rules));
    if types.is_empty() && name.is_none() && !value.is_null() {
        return None;
    }
    let (is, of_format) = type_of(value);
    let wrong = |expected: &str, is: &str| {
        let mut found = Outcome::default();
        let is = show::quote(is);
        let message = format!("Invalid value: {is}: {} in body must be of type {expected}: {is}", at.name());
        found.add(at, "FieldValueTypeInvalid", message);
        Some(found)
    };
    let fine = Some(Outcome { matched: 1, ..Outcome::default() });
    if value.is_null() {
        let refused = !types.is_empty() && !types.contains(&"null") && !rules.nullable;
        return if refused { wrong(&types.join(","), "null") } else { fine };
    }
    let has = |name: &str| types.contains(&name);
    let whole_float = is == "number" && has("integer") && value.as_f64().is_some_and(is_whole);
    let number = is == "integer" && has("number");
    let textual = matches!(value, Value::String(_) | Value::Array(_));
    if let Some(name) = name {
        if !(textual || has(is) || of_format == name || whole_float || number) {
            return wrong(name, of_format);
        }
        if textual && !has("number") && !has("integer") {
            return fine;
        }
    }
    if has(is) || whole_float || number { fine } else { wrong(&types.join(","), is) }
}

/// Whether a float is what JSON would write as an integer.
fn is_whole(number: f64) -> bool {
    number.is_finite() && number.abs() <= 9_007_199_254_740_991.0 && number.fract() == 0.0
}

/// Length and pattern of a text: only the first that does not hold is told.
pub(super) fn check_text(bounds: &Bounds, text: &str, at: &At<'_>) -> Outcome {
    let mut found = Outcome::default();
    let count = text.chars().count() as u64;
    if let Some(max) = bounds.max_length.filter(|max| count > *max) {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        found.add(at, "FieldValueTooLong", format!("Too long: may not be more than {max} {bytes}"));
    } else if let Some(min) = bounds.min_length.filter(|min| count < *min) {
        found.invalid(at, &show::quote(text), &format!("should be at least {min} chars long"));
    } else if let Some(pattern) = bounds.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
        found.invalid(at, &show::quote(text), &format!("should match '{}'", pattern.as_str()));
    }
    found
}

pub(super) fn check_format(name: &str, text: &str, at: &At<'_>) -> Outcome {
    let mut found = Outcome::default();
    if !format::is(name, text) {
        let text = show::quote(text);
        let message = format!("Invalid value: {text}: {} in body must be of type {name}: {text}", at.name());
        found.add(at, "FieldValueTypeInvalid", message);
    }
    found
}

pub(super) fn check_number(bounds: &Bounds, number: &Number, at: &At<'_>) -> Outcome {
    let mut found = Outcome { matched: 1, ..Outcome::default() };
    let shown = show::value(&Value::Number(number.clone()));
    let whole = number.as_i64();
    let float = number.as_f64().unwrap_or_default();
    // An integer is held against the integral part of a bound, and the message shows that.
    let bound = |limit: f64| if whole.is_some() { show::float(limit.trunc()) } else { show::float(limit) };
    let exceeds = |limit: f64, exclusive: bool, sign: i8| {
        let order = match whole {
            Some(number) => number.cmp(&(limit as i64)),
            None => float.partial_cmp(&limit).unwrap_or(core::cmp::Ordering::Equal),
        };
        let order = if sign < 0 { order.reverse() } else { order };
        order.is_gt() || (exclusive && order.is_eq())
    };
    if let Some(factor) = bounds.multiple_of.filter(|factor| whole.is_some() && (*factor as i64) <= 0) {
        let (name, factor) = (at.name(), factor as i64);
        let why = format!("factor MultipleOf declared for {name} must be positive: {factor}");
        found.add(at, "FieldValueInvalid", format!("Invalid value: {factor}: {why}"));
    } else if let Some(factor) = bounds.multiple_of.filter(|factor| !is_multiple(whole, float, *factor)) {
        found.invalid(at, &shown, &format!("should be a multiple of {}", bound(factor)));
    }
    if let Some((min, exclusive)) = bounds.minimum.filter(|(min, exclusive)| exceeds(*min, *exclusive, -1)) {
        let or = if exclusive { "" } else { " or equal to" };
        found.invalid(at, &shown, &format!("should be greater than{or} {}", bound(min)));
    }
    if let Some((max, exclusive)) = bounds.maximum.filter(|(max, exclusive)| exceeds(*max, *exclusive, 1)) {
        let or = if exclusive { "" } else { " or equal to" };
        found.invalid(at, &shown, &format!("should be less than{or} {}", bound(max)));
    }
    found
}

fn is_multiple(whole: Option<i64>, float: f64, factor: f64) -> bool {
    match whole {
        Some(number) if factor as i64 > 0 => number % (factor as i64) == 0,
        Some(_) => false,
        None if factor < 1.0 => is_whole(1.0 / factor * float),
        None => is_whole(float / factor),
    }
}

/// Whether the value is one of those listed.
pub(super) fn check_values(values: &[Value], value: &Value, at: &At<'_>) -> Outcome {
    let mut found = Outcome::default();
    if values.is_empty() || values.iter().any(|allowed| equal(allowed, value)) {
        return found;
    }
    let shown: Vec<String> = values
        .iter()
        .map(|allowed| match allowed {
            Value::String(text) => show::quote(text),
            other => show::quote(&show::json(other)),
        })
        .collect();
    let message =
        format!("Unsupported value: {}: supported values: {}", show::value(value), shown.join(", "));
    found.add(at, "FieldValueNotSupported", message);
    found
}

/// Numbers are equal across their types.
fn equal(allowed: &Value, value: &Value) -> bool {
    match (allowed, value) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), None) => b.as_f64().is_some_and(|b| b as i64 == a),
            (None, _) => a.as_f64() == b.as_f64(),
            (a, b) => a == b,
        },
        _ => allowed == value,
    }
}
