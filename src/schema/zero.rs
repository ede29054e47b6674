//! The zero value of a built-in type: the struct as its API server holds it before anything is set.

use serde_json::{Map, Value};

use super::types::{MapType, TypeRef};

impl TypeRef {
    /// The zero value: fields that are always there, at their zero.
    pub fn zero(&self) -> Value {
        match &self.get().map {
            Some(map) => zero_of(map),
            None => Value::Null,
        }
    }
}

fn zero_of(map: &MapType) -> Value {
    let mut out = Map::new();
    for (name, field) in &map.fields {
        // A struct that is no pointer defaults to an empty one, and a scalar without `omitempty` to its zero.
        let value = match &field.default {
            Some(Value::Object(_)) => field.ty.zero(),
            Some(default @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => zero_scalar(default),
            Some(_) => continue,
            None if map.required.contains(name) => Value::Null,
            None => continue,
        };
        out.insert(name.to_string(), value);
    }
    Value::Object(out)
}

fn zero_scalar(default: &Value) -> Value {
    match default {
        Value::String(_) => Value::String(String::new()),
        Value::Number(_) => Value::from(0),
        _ => Value::Bool(false),
    }
}
