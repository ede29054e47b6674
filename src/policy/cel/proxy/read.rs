//! Requests as suites write them, read as the services do that get them: Envoy's strictly by the JSON form of protocol
//! buffers, those of HTTP as Go reads JSON into its types.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Map, Value as Json};

use crate::expr::cel::{Key, Timestamp, Value};
use crate::expr::gotime;

use super::message::{Kind, Message, find, of_fields};

/// How fields are named, and what is said of those that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As declared, or in camel case; others are refused.
    Strict,
    /// In any case; others are passed over and told.
    Lenient,
}

type Read<T> = Result<T, String>;

/// What was not known of a document that is read leniently.
pub(super) struct Reader {
    pub(super) manner: Manner,
    pub(super) unknown: Vec<String>,
}

impl Reader {
    /// A message of a name.
    pub(super) fn message(&mut self, name: &str, json: &Json, at: &str) -> Read<Value<'static>> {
        let message = find(name).ok_or_else(|| format!("{at}: {name} is not known"))?;
        self.fields(message, object(json, at)?, at)
    }

    fn fields(
        &mut self,
        message: &'static Message,
        map: &Map<String, Json>,
        at: &str,
    ) -> Read<Value<'static>> {
        let mut fields: BTreeMap<Arc<str>, Value<'static>> = BTreeMap::new();
        for (key, json) in map {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            let Some((name, kind)) = message.fields.iter().find(|(name, _)| self.means(key, name)) else {
                match self.manner {
                    Manner::Strict => return Err(format!("{at}: unknown field {key:?}")),
                    Manner::Lenient => self.unknown.push(at),
                }
                continue;
            };
            if json.is_null() {
                continue;
            }
            let value = self.value(kind, json, &at)?;
            if !is_unset(&value) || message.one_of.contains(name) {
                fields.insert((*name).into(), value);
            }
        }
        let mut chosen = message.one_of.iter().filter(|name| fields.contains_key(**name));
        if let (Some(one), Some(other)) = (chosen.next(), chosen.next()) {
            return Err(format!("{at}: {one} and {other} cannot both be set"));
        }
        Ok(of_fields(message.name, fields))
    }

    fn means(&self, key: &str, name: &str) -> bool {
        match self.manner {
            Manner::Strict => key == name || key == camel(name),
            Manner::Lenient => key.eq_ignore_ascii_case(name),
        }
    }

    fn value(&mut self, kind: &'static Kind, json: &Json, at: &str) -> Read<Value<'static>> {
        let wrong = |what: &str| format!("{at}: {what} is expected here, not {json}");
        let text = || json.as_str().ok_or_else(|| wrong("text"));
        Ok(match kind {
            Kind::Text => Value::text(text()?),
            Kind::Bytes => Value::Bytes(self.bytes(text()?).ok_or_else(|| wrong("base64"))?.into()),
            Kind::Bool => Value::Bool(json.as_bool().ok_or_else(|| wrong("true or false"))?),
            Kind::Int(least, most) => {
                let number = self.whole(json).and_then(|number| i64::try_from(number).ok());
                let number = number.filter(|number| (least..=most).contains(&number));
                Value::Int(number.ok_or_else(|| wrong("a whole number"))?)
            }
            Kind::Uint(most) => {
                let number = self.whole(json).and_then(|number| u64::try_from(number).ok());
                Value::Uint(number.filter(|number| number <= most).ok_or_else(|| wrong("a whole number"))?)
            }
            Kind::Word(words) => {
                let of_word = |word: &str| words.iter().find(|(known, _)| *known == word).map(|(_, n)| *n);
                let number = json.as_str().map_or_else(|| json.as_i64(), of_word);
                Value::Int(number.ok_or_else(|| wrong("a word of the list"))?)
            }
            Kind::Time => match gotime::parse(gotime::RFC3339, text()?) {
                Ok(time) => Value::Timestamp(Timestamp::of(time)),
                Err(_) => return Err(wrong("a time")),
            },
            Kind::Free => {
                object(json, at)?;
                free(json)
            }
            Kind::Maybe(kind) => self.value(kind, json, at)?,
            Kind::Any if self.manner == Manner::Lenient => free(json),
            Kind::Any => self.typed(object(json, at)?, at)?,
            Kind::Of(name) => self.message(name, json, at)?,
            Kind::List(kind) => {
                let items = json.as_array().ok_or_else(|| wrong("a list"))?.iter().enumerate();
                let items = items.map(|(i, item)| self.value(kind, item, &format!("{at}[{i}]")));
                Value::list(items.collect::<Read<_>>()?)
            }
            Kind::Map(kind) => {
                let mut entries = Vec::new();
                for (key, value) in object(json, at)? {
                    let value = self.value(kind, value, &format!("{at}.{key}"))?;
                    entries.push((Key::Text(crate::expr::cel::Text::Shared(key.as_str().into())), value));
                }
                Value::map(entries)
            }
        })
    }

    /// A message that says itself what it is: `@type`, with the fields beside it.
    fn typed(&mut self, map: &Map<String, Json>, at: &str) -> Read<Value<'static>> {
        let ty = map.get("@type").and_then(Json::as_str).ok_or_else(|| format!("{at}: @type is missing"))?;
        let name = ty.rsplit('/').next().unwrap_or_default();
        if name == "google.protobuf.Struct" {
            return Ok(free(map.get("value").unwrap_or(&Json::Null)));
        }
        let message = find(name).ok_or_else(|| format!("{at}: messages of type {ty} are not known"))?;
        let fields = map.iter().filter(|(key, _)| *key != "@type");
        self.fields(message, &fields.map(|(k, v)| (k.clone(), v.clone())).collect(), at)
    }

    /// A whole number; numbers of protocol buffers are text as well, or written like floats.
    fn whole(&self, json: &Json) -> Option<i128> {
        let of_float = |float: f64| (float.fract() == 0.0 && float.abs() < 1e18).then_some(float as i128);
        match json {
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Some(number.into()),
                (None, Some(number)) => Some(number.into()),
                _ if self.manner == Manner::Strict => number.as_f64().and_then(of_float),
                _ => None,
            },
            Json::String(text) if self.manner == Manner::Strict => {
                text.parse().ok().or_else(|| text.parse().ok().and_then(of_float))
            }
            _ => None,
        }
    }

    /// Base64; the strict manner takes the alphabet of URLs and a missing padding as well.
    fn bytes(&self, text: &str) -> Option<Vec<u8>> {
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
        if self.manner == Manner::Lenient {
            return STANDARD.decode(text).ok();
        }
        let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        STANDARD_NO_PAD.decode(text).ok()
    }
}

fn object<'j>(json: &'j Json, at: &str) -> Read<&'j Map<String, Json>> {
    let at = if at.is_empty() { "the request" } else { at };
    json.as_object().ok_or_else(|| format!("{at}: a mapping is expected here, not {json}"))
}

/// A scalar, list or map that says nothing is the same as none.
fn is_unset(value: &Value<'_>) -> bool {
    match value {
        Value::Bool(b) => !b,
        Value::Int(i) => *i == 0,
        Value::Uint(u) => *u == 0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        other => other.list_len().or_else(|| other.map_len()) == Some(0),
    }
}

/// JSON as `google.protobuf.Struct` holds it: all numbers are floats.
pub(super) fn free(json: &Json) -> Value<'static> {
    match json {
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        Json::Array(items) => Value::list(items.iter().map(free).collect()),
        Json::Object(map) => Value::map(map.iter().map(|(key, value)| {
            (Key::Text(crate::expr::cel::Text::Shared(key.as_str().into())), free(value))
        })),
        scalar => Value::owned(scalar),
    }
}

/// `metadata_context` as `metadataContext`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1.min(part.len()));
        out.push_str(&first.to_ascii_uppercase());
        out.push_str(rest);
    }
    out
}
