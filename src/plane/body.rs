//! Request bodies: JSON and YAML.

use http::{HeaderMap, header};
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
