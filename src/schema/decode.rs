//! Whether a built-in kind's struct can hold an object, and if not, why: in the words of the Go decoder that the API
//! server reads bodies with.

use serde_json::Value;

use super::quantity;
use super::types::{MapType, Others, Scalar, Type, TypeRef};

/// Why an object cannot be decoded: the first thing that does not fit.
pub(super) fn error(ty: &TypeRef, object: &Value) -> Option<String> {
    Decoder { path: Vec::new(), structs: Vec::new() }.value(ty, object)
}

struct Decoder {
    path: Vec<String>,
    structs: Vec<&'static str>,
}

/// A value in the decoder's words.
fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// A table's `core.v1.Container` as Go writes it in its package: `Container`.
fn short(name: &'static str) -> &'static str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A type as Go writes it elsewhere: `v1.Container`, `[]string`, `map[string]string`.
fn go_type(ty: &TypeRef) -> String {
    let inner = ty.get();
    if let Some(map) = inner.map.as_ref().filter(|_| inner.scalar.is_none()) {
        if let Others::Typed(value) = &map.others
            && map.fields.is_empty()
        {
            return format!("map[string]{}", go_type(value));
        }
        let name = ty.builtin_name().unwrap_or("struct");
        let parts: Vec<&str> = name.rsplit('.').take(2).collect();
        return format!("{}.{}", parts.get(1).unwrap_or(&"v1"), parts[0]);
    }
    if let Some(items) = inner.list.as_ref().filter(|_| inner.scalar.is_none()).and_then(|l| l.items.as_ref())
    {
        return format!("[]{}", go_type(items));
    }
    scalar_type(inner).to_owned()
}

fn scalar_type(ty: &Type) -> &'static str {
    match (ty.rules.json_type.as_deref(), ty.rules.format.as_deref()) {
        (Some("integer"), Some("int64")) => "int64",
        (Some("integer"), _) => "int32",
        (Some("number"), _) => "float64",
        (Some("boolean"), _) => "bool",
        (Some("string"), Some("byte")) => "[]uint8",
        _ => "string",
    }
}

impl Decoder {
    fn mismatch(&self, is: &str, expected: &str) -> Option<String> {
        let place = match self.structs.last() {
            Some(name) if !self.path.is_empty() => {
                format!("Go struct field {name}.{}", self.path.join("."))
            }
            _ => "Go value".to_owned(),
        };
        Some(format!("json: cannot unmarshal {is} into {place} of type {expected}"))
    }

    fn value(&mut self, ty: &TypeRef, value: &Value) -> Option<String> {
        if value.is_null() {
            return None;
        }
        if ty.is_quantity() {
            return quantity_error(value);
        }
        let inner = ty.get();
        let rules = &inner.rules;
        if rules.int_or_string || rules.format.as_deref() == Some("int-or-string") {
            return match value {
                Value::String(_) => None,
                Value::Number(n) if n.is_i64() => None,
                Value::Number(n) => {
                    Some(format!("json: cannot unmarshal number {n} into Go value of type int32"))
                }
                other => {
                    Some(format!("json: cannot unmarshal {} into Go value of type int32", name_of(other)))
                }
            };
        }
        match (inner.scalar, &inner.map, &inner.list) {
            (None, Some(map), _) => self.map(ty, map, value),
            (None, _, Some(list)) => match value {
                Value::Array(items) => {
                    let ty = list.items.as_ref()?;
                    items.iter().find_map(|item| self.value(ty, item))
                }
                other => self.mismatch(&name_of(other), &go_type(ty)),
            },
            (Some(scalar), _, _) => self.scalar(scalar, inner, value),
            _ => None,
        }
    }

    fn map(&mut self, ty: &TypeRef, map: &MapType, value: &Value) -> Option<String> {
        let Value::Object(object) = value else { return self.mismatch(&name_of(value), &go_type(ty)) };
        let named = !map.fields.is_empty();
        let name = ty.builtin_name().map(short).filter(|_| named);
        if let Some(name) = name {
            self.structs.push(name);
        }
        let mut found = None;
        for (key, value) in object {
            let Some(ty) = map.value_type(key) else { continue };
            if named {
                self.path.push(key.clone());
            }
            found = self.value(ty, value);
            if named {
                self.path.pop();
            }
            if found.is_some() {
                break;
            }
        }
        if name.is_some() {
            self.structs.pop();
        }
        found
    }

    fn scalar(&mut self, scalar: Scalar, ty: &Type, value: &Value) -> Option<String> {
        let expected = scalar_type(ty);
        match (expected, value) {
            ("string", Value::String(text)) => match ty.rules.format.as_deref() {
                Some("date-time") => time_error(text),
                _ => None,
            },
            ("[]uint8", Value::String(text)) => base64_error(text),
            ("bool", Value::Bool(_)) | ("float64", Value::Number(_)) => None,
            ("int32", Value::Number(n)) => match n.as_i64().map(i32::try_from) {
                Some(Ok(_)) => None,
                _ => self.mismatch(&format!("number {n}"), expected),
            },
            ("int64", Value::Number(n)) if n.is_i64() => None,
            ("int64", Value::Number(n)) => self.mismatch(&format!("number {n}"), expected),
            // What may be anything.
            ("string", _) if scalar == Scalar::Untyped && ty.rules.json_type.is_none() => None,
            ("string", other) if ty.rules.format.as_deref() == Some("date-time") => {
                Some(format!("json: cannot unmarshal {} into Go value of type string", name_of(other)))
            }
            (_, other) => self.mismatch(&name_of(other), expected),
        }
    }
}

fn quantity_error(value: &Value) -> Option<String> {
    const FORM: &str =
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Some(FORM.to_owned()),
    };
    (quantity::canonical(text.trim()).is_none()).then(|| {
        let number = text.trim_start_matches(['+', '-']);
        let digits = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let known = |c: char| "eEinumkKMGTP+-".contains(c) || c.is_ascii_digit();
        if digits.len() < number.len() && digits.chars().all(known) && !digits.is_empty() {
            "unable to parse quantity's suffix".to_owned()
        } else {
            FORM.to_owned()
        }
    })
}

fn time_error(text: &str) -> Option<String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return None;
    }
    Some(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""))
}

/// The first byte that no base64 has, as Go's decoder counts.
fn base64_error(text: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes: Vec<(usize, u8)> =
        text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\n' | b'\r')).collect();
    let joined: Vec<u8> = bytes.iter().map(|(_, byte)| *byte).collect();
    base64::engine::general_purpose::STANDARD.decode(&joined).err()?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let wrong = bytes.iter().find(|(_, byte)| !valid(*byte)).map_or(text.len(), |(at, _)| *at);
    Some(format!("illegal base64 data at input byte {wrong}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::Gvk;
    use crate::schema::Schemas;

    #[test]
    fn what_does_not_fit_is_named_as_the_decoder_does() {
        let why = |api: &str, kind: &str, body| {
            Schemas::builtin().undecodable(&Gvk::new(api, kind), &body).unwrap_or_default()
        };
        assert_eq!(
            why("v1", "ConfigMap", json!({"immutable": "yes"})),
            "json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool"
        );
        assert_eq!(
            why("v1", "ConfigMap", json!({"data": {"x": 1}})),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
        assert_eq!(
            why("v1", "ConfigMap", json!({"data": 5})),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string"
        );
        assert_eq!(
            why("apps/v1", "Deployment", json!({"spec": {"replicas": 1.5}})),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(why("v1", "Secret", json!({"data": {"x": "%%"}})), "illegal base64 data at input byte 0");
    }
}
