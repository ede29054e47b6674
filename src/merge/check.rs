//! Whether a value is of a type, as far as merging needs to know, in the API server's words.

use serde_json::Value;

use super::kinds::{ListShape, Shape, Ty};
use super::path::{self, Path, PathElement};
use crate::schema::Scalar;

/// What is wrong with a value, each with its path. `duplicates`: items may be there twice, as in a live object.
pub(super) fn check(ty: Ty<'_>, value: &Value, duplicates: bool) -> Vec<String> {
    let mut walk = Walk { path: Path::new(), wrong: Vec::new(), duplicates };
    walk.node(ty, value);
    walk.wrong
}

struct Walk {
    path: Path,
    wrong: Vec<String>,
    duplicates: bool,
}

impl Walk {
    fn wrong(&mut self, message: &str) {
        let path = path::display(&self.path);
        let separator = if path.is_empty() { "" } else { ": " };
        self.wrong.push(format!("{path}{separator}{message}"));
    }

    fn node(&mut self, ty: Ty<'_>, value: &Value) {
        match (ty.shape(Some(value)), value) {
            (_, Value::Null) => {}
            (Shape::Map(shape), Value::Object(map)) => {
                for (key, value) in map {
                    self.path.push(PathElement::Field(key.clone()));
                    if shape.allows(key) {
                        self.node(shape.value(key), value);
                    } else {
                        self.wrong("field not declared in schema");
                    }
                    self.path.pop();
                }
            }
            (Shape::Map(_), other) => self.wrong(&format!("expected map, got &{{{}}}", go(other))),
            (Shape::List(shape), Value::Array(items)) => self.items(shape, items),
            (Shape::List(_), other) => self.wrong(&format!("expected list, got &{{{}}}", go(other))),
            (Shape::Scalar(scalar), value) => self.scalar(scalar, value),
        }
    }

    fn items(&mut self, shape: ListShape<'_>, items: &[Value]) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = if shape.atomic() {
                PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
            } else {
                match shape.element(item) {
                    Ok(element) => element,
                    Err(why) => return self.wrong(&format!("element {index}: {why}")),
                }
            };
            if !seen.insert(element.clone()) && !self.duplicates {
                self.wrong(&format!("duplicate entries for key {element}"));
            }
            self.path.push(element);
            self.node(shape.items(), item);
            self.path.pop();
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        match (scalar, value) {
            (Scalar::Numeric, Value::Number(_))
            | (Scalar::String, Value::String(_))
            | (Scalar::Boolean, Value::Bool(_))
            | (Scalar::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => {}
            (Scalar::Numeric, other) => {
                self.wrong(&format!("expected numeric (int or float), got {}", go_type(other)));
            }
            (Scalar::String, other) => self.wrong(&format!("expected string, got &{}", go_value(other))),
            (Scalar::Boolean, other) => self.wrong(&format!("expected boolean, got &{{{}}}", go(other))),
            (Scalar::Untyped, other) => self.wrong(&format!("expected any scalar, got &{{{}}}", go(other))),
        }
    }
}

/// Go's name for the type of a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Go's `%v` of a value.
fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", go(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// Go's `%#v` of a value that is behind an interface.
fn go_value(value: &Value) -> String {
    format!("value.valueUnstructured{{Value:{}}}", go_literal(value))
}

fn go_literal(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k:?}:{}", go_literal(v))).collect();
            format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}
