//! Request bodies: JSON and YAML.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use http::{HeaderMap, header};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::status::Failure;
use crate::yaml;

/// A request's object and what was noticed while it was read (duplicate fields).
pub(crate) struct Decoded {
    pub value: Value,
    pub warnings: Vec<String>,
}

/// The media type of the body, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or("application/json")
        .trim()
}

/// An object that is created or put.
pub(crate) fn object(headers: &HeaderMap, bytes: &[u8]) -> Result<Decoded, Failure> {
    let value = match media_type(headers) {
        "application/json" | "" | "*/*" => serde_json::from_slice(bytes).map_err(|error| {
            Failure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
        })?,
        "application/yaml" => yaml(bytes)?,
        "application/vnd.kubernetes.protobuf" if let Some(object) = super::protobuf::decode(bytes) => {
            return Ok(Decoded { value: object, warnings: Vec::new() });
        }
        other => {
            return Err(Failure::new(
                415,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml; got {other}"
                ),
            ));
        }
    };
    let Value::Object(_) = value else {
        return Err(Failure::bad_request(
            "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct",
        ));
    };
    let warnings = strict_error(bytes).into_iter().collect();
    Ok(Decoded { value, warnings })
}

/// An applied configuration.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Value, Failure> {
    // Most clients send JSON under the name of YAML.
    if let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(bytes) {
        return Ok(value);
    }
    let wrong = |error: &dyn std::fmt::Display| Failure::bad_request(format!("error decoding YAML: {error}"));
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(&error))?;
    match yaml::parse(text, false) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(wrong(&"yaml: unmarshal errors: cannot unmarshal into an object")),
        Err(error) => Err(wrong(&error)),
    }
}

/// What strict reading has against a document that reads otherwise: duplicate keys.
pub(crate) fn strict_error(bytes: &[u8]) -> Option<String> {
    // Most documents are JSON, which is read much faster, and have none.
    if serde_json::from_slice::<Distinct>(bytes).is_ok() {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    yaml::parse(text, true).err().map(|error| error.to_string())
}

/// The options of a DELETE, if there are any.
pub(crate) fn delete_options(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    object(headers, bytes).map(|decoded| decoded.value)
}

/// Any JSON whose objects have no key twice.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Distinct, D::Error> {
        deserializer.deserialize_any(Distinct)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Distinct;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
        let mut keys: Vec<Key<'de>> = Vec::new();
        let mut many = HashSet::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            // Most objects are small enough to be looked through.
            let few = keys.len() < 16;
            if keys.contains(&key) || !(few || many.insert(key.clone())) {
                return Err(serde::de::Error::custom("a key is there twice"));
            }
            if few {
                keys.push(key);
            }
            map.next_value::<Distinct>()?;
        }
        Ok(Distinct)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Distinct, A::Error> {
        while items.next_element::<Distinct>()?.is_some() {}
        Ok(Distinct)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_str<E>(self, _: &str) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_unit<E>(self) -> Result<Distinct, E> {
        Ok(Distinct)
    }
}

/// A key, borrowed from the document if it has no escapes.
#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_there_twice_are_told() {
        let document = |keys: &[&str]| {
            let fields: Vec<String> = keys.iter().map(|key| format!("\"{key}\":1")).collect();
            format!("{{\"a\":[{{{}}}],\"b\":null}}", fields.join(","))
        };
        let many: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(strict_error(document(&many).as_bytes()), None);
        for twice in ["k0", "k15", "k16", "k39", "k\\u0030"] {
            many.push(twice);
            assert!(strict_error(document(&many).as_bytes()).is_some(), "{twice}");
            many.pop();
        }
        assert!(strict_error(b"a: 1\na: 2").is_some());
        assert_eq!(strict_error(b"{\"a\": [1.5, -1, true, \"x\"], \"c\": {}}"), None);
    }
}
