//! One object that becomes a row, and what is often said of one.

use jiff::Timestamp;
use serde_json::Value;

use super::time;

/// An object that becomes a row.
pub(super) struct Row<'a> {
    pub body: &'a Value,
    now: Option<Timestamp>,
}

impl<'a> Row<'a> {
    pub fn new(body: &'a Value, now: &str) -> Row<'a> {
        Row { body, now: now.parse().ok() }
    }

    pub fn name(&self) -> Value {
        self.body["metadata"]["name"].clone()
    }

    /// How old the object is.
    pub fn age(&self) -> Value {
        self.since(&self.body["metadata"]["creationTimestamp"]).into()
    }

    /// How long ago a time was.
    pub fn since(&self, time: &Value) -> String {
        let then = time.as_str().and_then(|time| time.parse::<Timestamp>().ok());
        match (then, self.now) {
            (Some(then), Some(now)) => time::human(now.as_second() - then.as_second()),
            _ => "<unknown>".to_owned(),
        }
    }

    /// A whole number, 0 when there is none.
    pub fn number(&self, value: &Value) -> Value {
        number(value).into()
    }

    pub fn is_deleting(&self) -> bool {
        self.body["metadata"]["deletionTimestamp"].is_string()
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The text, or another one when it is empty or absent.
pub(super) fn text_or<'a>(value: &'a Value, other: &'a str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(other)
}

pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub(super) fn is(value: &Value) -> bool {
    value == true
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// How many entries a list or a dictionary has.
pub(super) fn count(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    }
}

/// The texts of a list, with commas between.
pub(super) fn joined(value: &Value) -> String {
    list(value).iter().map(text).collect::<Vec<_>>().join(",")
}

/// A number or a text, as text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The first items of a list with commas between, and how many more there are.
pub(super) fn first_of(items: &[String], most: usize) -> String {
    let shown = items[..items.len().min(most)].join(",");
    if items.len() > most { format!("{shown} + {} more...", items.len() - most) } else { shown }
}

/// Names and images of the containers of a template.
pub(super) fn containers(spec: &Value) -> [Value; 2] {
    ["name", "image"].map(|field| {
        let all: Vec<&str> =
            list(&spec["containers"]).iter().map(|container| text(&container[field])).collect();
        all.join(",").into()
    })
}
