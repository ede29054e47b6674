//! JSON with a schema to values.

use serde_json::Value as Json;

use super::error::EvalError;
use super::schema::{Schema, Shape};
use super::value::{Text, Timestamp, Value};
use crate::expr::duration::Duration;
use crate::expr::gobase64;
use crate::expr::gotime::{self, Time};

impl<'a> Value<'a> {
    /// JSON as its schema says.
    pub fn of_schema(json: &'a Json, schema: &'a Schema) -> Result<Value<'a>, EvalError> {
        with_schema(json, schema)
    }
}

pub(crate) fn with_schema<'a>(json: &'a Json, schema: &'a Schema) -> Result<Value<'a>, EvalError> {
    let value = match (&schema.shape, json) {
        (_, Json::Null) if schema.nullable => Value::Null,
        (_, Json::Null) => {
            return Err(EvalError::new("invalid data, got null for schema with nullable=false"));
        }
        (Shape::Object(_) | Shape::Map(_), Json::Object(map)) => Value::JsonMap(map, Some(schema)),
        (Shape::List { items: Some(_), .. }, Json::Array(items)) => Value::JsonList(items, Some(schema)),
        (Shape::String | Shape::IntOrString, Json::String(text)) => Value::String(Text::Borrowed(text)),
        (Shape::Int | Shape::IntOrString, Json::Number(number)) if number.is_i64() => {
            Value::Int(number.as_i64().unwrap_or_default())
        }
        (Shape::Double, Json::Number(number)) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        (Shape::Bool, Json::Bool(b)) => Value::Bool(*b),
        (Shape::Unknown, _) => Value::Unknown(json),
        (_, Json::String(text)) => return formatted(&schema.shape, text),
        _ => return Err(invalid(&schema.shape, json)),
    };
    Ok(value)
}

/// Text of a format that is no text in expressions.
fn formatted<'a>(shape: &Shape, text: &'a str) -> Result<Value<'a>, EvalError> {
    match shape {
        Shape::Duration => match duration(text) {
            Some(nanos) => Ok(Value::Duration(nanos)),
            None => {
                Err(EvalError::new(format!("Invalid duration {text}: unable to parse {text} as duration")))
            }
        },
        Shape::Date => match gotime::parse("2006-01-02", text) {
            Ok(time) => Ok(Value::Timestamp(Timestamp::of(time))),
            Err(error) => Err(EvalError::new(format!("Invalid date formatted string {text}: {error}"))),
        },
        Shape::DateTime => date_time(text).map(|time| Value::Timestamp(Timestamp::of(time))),
        Shape::Bytes => match gobase64::decode(text) {
            Ok(bytes) => Ok(Value::Bytes(bytes.into())),
            Err(error) => Err(EvalError::new(format!("Invalid byte formatted string {text}: {error}"))),
        },
        shape => Err(invalid(shape, &Json::String(text.to_owned()))),
    }
}

fn date_time(text: &str) -> Result<Time, EvalError> {
    if text.is_empty() {
        return Ok(Time::utc(0));
    }
    let layouts = [gotime::RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05"];
    let mut last = String::new();
    for layout in layouts {
        match gotime::parse(layout, text) {
            Ok(time) => return Ok(time),
            Err(error) => last = error,
        }
    }
    Err(EvalError::new(format!("Invalid date-time formatted string {text}: {last}")))
}

/// Go's durations, and numbers with longer words for units such as `3 days`.
fn duration(text: &str) -> Option<i64> {
    if let Some(duration) = Duration::parse(text) {
        return Some(duration.0);
    }
    const SECOND: i64 = 1_000_000_000;
    let mut total: Option<i64> = None;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].trim_start();
        let end = unit.find(|c: char| !c.is_alphabetic()).unwrap_or(unit.len());
        let name = unit[..end].to_lowercase();
        rest = &unit[end..];
        let factor = match name.as_str() {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" | "hr" => 3600 * SECOND,
            "d" => 86_400 * SECOND,
            "w" | "wk" => 7 * 86_400 * SECOND,
            name if name.starts_with("nano") => 1,
            name if name.starts_with("micro") => 1_000,
            name if name.starts_with("milli") => 1_000_000,
            name if name.starts_with("sec") => SECOND,
            name if name.starts_with("min") => 60 * SECOND,
            name if name.starts_with("hour") => 3600 * SECOND,
            name if name.starts_with("day") => 86_400 * SECOND,
            name if name.starts_with("week") => 7 * 86_400 * SECOND,
            _ => continue,
        };
        total = Some(total.unwrap_or(0).wrapping_add(number.wrapping_mul(factor)));
    }
    total
}

fn invalid(shape: &Shape, json: &Json) -> EvalError {
    let found = match json {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_i64() => "int64",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    };
    EvalError::new(match shape {
        Shape::IntOrString => {
            "invalid data, expected XIntOrString value to be either a string or integer".to_owned()
        }
        Shape::Object(_) | Shape::Map(_) => {
            "invalid data, expected a map for the provided schema with type=object".to_owned()
        }
        Shape::List { items: None, .. } => {
            "invalid array type, expected Items with a non-empty Schema".to_owned()
        }
        Shape::List { .. } => {
            "invalid data, expected an array for the provided schema with type=array".to_owned()
        }
        Shape::Double => format!("invalid data, expected float, got {found}"),
        Shape::Int => format!("invalid data, expected int, got {found}"),
        Shape::Bool => format!("invalid data, expected bool, got {found}"),
        Shape::Untyped | Shape::Unknown => {
            "invalid type, expected object, array, number, integer, boolean or string, or \
             no type with x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is true, got "
                .to_owned()
        }
        _ => format!("invalid data, expected string, got {found}"),
    })
}
