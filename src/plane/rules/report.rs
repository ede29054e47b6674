//! What is wrong with an object, collected in the server's order and words.

use serde_json::Value;

use crate::plane::status::FieldError;

/// Errors of fields, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub errors: Vec<FieldError>,
}

impl Report {
    fn push(&mut self, at: &str, what: &str, value: Option<&Value>, detail: &str) {
        let value = value.map(|value| format!(": {}", shown(value))).unwrap_or_default();
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        self.errors.push(FieldError::new(at, format!("{what}{value}{detail}")));
    }

    /// A field that must be there is not.
    pub fn required(&mut self, at: &str, detail: &str) {
        self.push(at, "Required value", None, detail);
    }

    /// A value that is not allowed.
    pub fn invalid(&mut self, at: &str, value: impl Into<Value>, detail: &str) {
        self.push(at, "Invalid value", Some(&value.into()), detail);
    }

    /// The same value, wrong in several ways.
    pub fn all_invalid(&mut self, at: &str, value: &str, details: Vec<String>) {
        for detail in details {
            self.invalid(at, value, &detail);
        }
    }

    /// A number, wrong in several ways.
    pub fn number_invalid(&mut self, at: &str, value: i64, details: Vec<String>) {
        for detail in details {
            self.invalid(at, value, &detail);
        }
    }

    /// A value that is none of those allowed.
    pub fn unsupported(&mut self, at: &str, value: impl Into<Value>, allowed: &[&str]) {
        let allowed: Vec<String> = allowed.iter().map(|one| format!("{one:?}")).collect();
        let detail = if allowed.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", allowed.join(", "))
        };
        self.push(at, "Unsupported value", Some(&value.into()), &detail);
    }

    /// A struct, field by field in its order, that is none of those allowed.
    pub fn unsupported_struct(&mut self, at: &str, fields: &[(&str, Value)], allowed: &[&str]) {
        let allowed: Vec<String> = allowed.iter().map(|one| format!("{one:?}")).collect();
        let message =
            format!("Unsupported value: {}: supported values: {}", struct_text(fields), allowed.join(", "));
        self.errors.push(FieldError::new(at, message));
    }

    /// A struct, field by field in its order, that is not allowed.
    pub fn invalid_struct(&mut self, at: &str, fields: &[(&str, Value)], detail: &str) {
        self.errors.push(FieldError::new(at, format!("Invalid value: {}: {detail}", struct_text(fields))));
    }

    /// A field that may not be there.
    pub fn forbidden(&mut self, at: &str, detail: &str) {
        self.push(at, "Forbidden", None, detail);
    }

    /// A value that is there twice.
    pub fn duplicate(&mut self, at: &str, value: impl Into<Value>) {
        self.push(at, "Duplicate value", Some(&value.into()), "");
    }

    /// A struct, field by field in its order, that is there twice.
    pub fn duplicate_struct(&mut self, at: &str, fields: &[(&str, Value)]) {
        self.errors.push(FieldError::new(at, format!("Duplicate value: {}", struct_text(fields))));
    }

    /// A reference to what is not there.
    pub fn not_found(&mut self, at: &str, value: impl Into<Value>) {
        self.push(at, "Not found", Some(&value.into()), "");
    }

    /// A text with more bytes than allowed.
    pub fn too_long(&mut self, at: &str, limit: usize) {
        self.push(at, "Too long", None, &format!("may not be more than {limit} bytes"));
    }

    /// A number below zero.
    pub fn nonnegative(&mut self, at: &str, value: &Value) {
        if let Some(number) = value.as_f64().filter(|number| *number < 0.0) {
            self.invalid(at, number as i64, "must be greater than or equal to 0");
        }
    }

    /// A field that is not as it was.
    pub fn immutable(&mut self, at: &str, now: &Value, before: &Value) {
        if !same(now, before) {
            self.invalid(at, now.clone(), "field is immutable");
        }
    }

    /// One of some texts; nothing counts as the empty one.
    pub fn one_of(&mut self, at: &str, value: &Value, allowed: &[&str]) {
        let text = value.as_str().unwrap_or_default();
        if !allowed.contains(&text) {
            self.unsupported(at, text, allowed);
        }
    }
}

/// Whether two values are the same; nothing and an empty list or dictionary are.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    a == b || (empty(a) && empty(b))
}

fn struct_text(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name:?}:{}", ordered(value))).collect();
    format!("{{{}}}", fields.join(","))
}

/// A value as the server quotes it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => ordered(other).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
    }
}

/// Fields of structs that are quoted whole, in the order of the structs; others follow by name.
const ORDER: [&str; 13] = [
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "apiVersion",
    "kind",
    "name",
    "uid",
    "controller",
    "blockOwnerDeletion",
    "Type",
    "RollingUpdate",
];

fn ordered(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by_key(|key| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
            let pairs: Vec<String> = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), ordered(&map[key])))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(ordered).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
