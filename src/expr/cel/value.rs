//! Values. What comes from JSON is looked at in place: reading a field or comparing a number copies nothing.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::error::EvalError;
use super::schema::{Identity, Schema};
use crate::expr::gotime::Time;

/// A value while an expression runs. `'a` is how long the JSON below it lives.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A 64-bit integer without sign.
    Uint(u64),
    /// A 64-bit float.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A length of time, in nanoseconds.
    Duration(i64),
    /// A point in time.
    Timestamp(Timestamp),
    /// A type, by its name.
    Type(Text<'a>),
    /// A list in JSON, and its schema if it has one.
    JsonList(&'a Vec<Json>, Option<&'a Schema>),
    /// An object in JSON, and its schema if it has one.
    JsonMap(&'a Map<String, Json>, Option<&'a Schema>),
    /// JSON whose schema says nothing about it.
    Unknown(&'a Json),
    /// A list made while running.
    List(Arc<List<'a>>),
    /// A map made while running.
    Map(Arc<BTreeMap<Key<'a>, Value<'a>>>),
    /// A message made while running.
    Struct(Arc<Struct<'a>>),
    /// A value that may be absent.
    Optional(Option<Arc<Value<'a>>>),
    /// A value of a library.
    Opaque(Arc<dyn Opaque>),
}

/// Text that is borrowed or shared.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// Part of the input, or of the program.
    Borrowed(&'a str),
    /// Made while running.
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

/// A point in time and the offset it is shown with.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp {
    /// Seconds since 1970 (UTC).
    pub seconds: i64,
    /// Nanoseconds after these.
    pub nanos: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Timestamp {
    pub(crate) fn of(time: Time) -> Timestamp {
        let seconds = time.nanos.div_euclid(1_000_000_000);
        let nanos = time.nanos.rem_euclid(1_000_000_000);
        Timestamp {
            seconds: i64::try_from(seconds).unwrap_or_default(),
            nanos: u32::try_from(nanos).unwrap_or_default(),
            offset: time.offset,
        }
    }

    /// Its minute, hour, day, month and day of the week, as schedules write them.
    pub(crate) fn cron(self) -> String {
        let (_, month, day, hour, minute, _) = self.time().civil();
        // The first of January 1970 was a Thursday.
        let days = (self.seconds + i64::from(self.offset)).div_euclid(86_400);
        format!("{minute} {hour} {day} {month} {}", (days + 4).rem_euclid(7))
    }

    pub(crate) fn time(self) -> Time {
        let nanos = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos);
        Time { nanos, offset: self.offset }
    }

    pub(crate) fn order(&self, other: &Timestamp) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }
}

/// A list made while running.
#[derive(Debug)]
pub struct List<'a> {
    /// Its items.
    pub items: Vec<Value<'a>>,
    pub(crate) identity: Identity,
}

impl<'a> List<'a> {
    /// A list whose items are told apart by their places.
    pub fn new(items: Vec<Value<'a>>) -> List<'a> {
        List { items, identity: Identity::Position }
    }
}

/// A message made while running: its type's name and its fields.
#[derive(Debug)]
pub struct Struct<'a> {
    /// The name of its type.
    pub name: Arc<str>,
    /// The fields that are set.
    pub fields: BTreeMap<Arc<str>, Value<'a>>,
    /// What is read of those that are not; without it that is a mistake.
    pub unset: Option<Unset>,
}

/// Tells what is read of a field that is not set, by the name of a type and the field's.
pub type Unset = fn(&str, &str) -> Option<Value<'static>>;

impl<'a> Struct<'a> {
    /// A field that is set, or what is read where it is not.
    pub(crate) fn read(&self, field: &str, only_set: bool) -> Option<Value<'a>> {
        let unset = || self.unset.filter(|_| !only_set)?(&self.name, field);
        self.fields.get(field).cloned().or_else(unset)
    }
}

/// A key of a map. Whole numbers are the same key whatever their type.
#[derive(Debug, Clone)]
pub enum Key<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; `true` for one without sign.
    Number(i128, bool),
    /// A float, by its bits.
    Double(u64),
    /// Text.
    Text(Text<'a>),
    /// `null`.
    Null,
    /// A length of time, in nanoseconds.
    Duration(i64),
    /// A point in time.
    Timestamp(Timestamp),
    /// A type, by its name.
    Type(Text<'a>),
}

impl<'a> Key<'a> {
    /// The key that a value is.
    pub fn of(value: &Value<'a>) -> Option<Key<'a>> {
        Some(match value {
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(i) => Key::Number((*i).into(), false),
            Value::Uint(u) => Key::Number((*u).into(), true),
            Value::Double(d) => Key::Double(d.to_bits()),
            Value::String(text) => Key::Text(text.clone()),
            Value::Null => Key::Null,
            Value::Duration(nanos) => Key::Duration(*nanos),
            Value::Timestamp(time) => Key::Timestamp(*time),
            Value::Type(name) => Key::Type(name.clone()),
            _ => return None,
        })
    }

    /// A value as a member of a set, where a float can be the same number as an integer.
    pub(crate) fn member(value: &Value<'a>) -> Option<Key<'a>> {
        match value {
            Value::Double(d) => Some(Key::whole(*d).unwrap_or(Key::Double(d.to_bits()))),
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_) => Key::of(value),
            _ => None,
        }
    }

    /// A float as a whole number.
    fn whole(d: f64) -> Option<Key<'a>> {
        (d.fract() == 0.0 && d.abs() < 1e20).then_some(Key::Number(d as i128, false))
    }

    /// The key as a value.
    pub fn value(&self) -> Value<'a> {
        match self {
            Key::Bool(b) => Value::Bool(*b),
            Key::Number(n, true) => Value::Uint(u64::try_from(*n).unwrap_or_default()),
            Key::Number(n, false) => Value::Int(i64::try_from(*n).unwrap_or_default()),
            Key::Double(bits) => Value::Double(f64::from_bits(*bits)),
            Key::Text(text) => Value::String(text.clone()),
            Key::Null => Value::Null,
            Key::Duration(nanos) => Value::Duration(*nanos),
            Key::Timestamp(time) => Value::Timestamp(*time),
            Key::Type(name) => Value::Type(name.clone()),
        }
    }

    /// Kinds of keys in their order.
    fn rank(&self) -> u8 {
        match self {
            Key::Bool(_) => 0,
            Key::Number(..) => 1,
            Key::Double(_) => 2,
            Key::Text(_) => 3,
            Key::Null => 4,
            Key::Duration(_) => 5,
            Key::Timestamp(_) => 6,
            Key::Type(_) => 7,
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::Number(a, _), Key::Number(b, _)) => a.cmp(b),
            (Key::Double(a), Key::Double(b)) => {
                // Both zeros are one key.
                let bits = |bits: u64| if bits == (-0.0_f64).to_bits() { 0 } else { bits };
                bits(*a).cmp(&bits(*b))
            }
            (Key::Text(a), Key::Text(b)) | (Key::Type(a), Key::Type(b)) => str::cmp(a, b),
            (Key::Duration(a), Key::Duration(b)) => a.cmp(b),
            (Key::Timestamp(a), Key::Timestamp(b)) => a.order(b).then(a.offset.cmp(&b.offset)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// A value of a library, such as a quantity or an IP address.
pub trait Opaque: fmt::Debug + Send + Sync + 'static {
    /// The name of its type.
    fn type_name(&self) -> &str;
    /// Itself, to be recognised.
    fn as_any(&self) -> &dyn Any;
    /// Whether the other is the same value.
    fn equals(&self, other: &dyn Opaque) -> bool;
    /// Its size as costs count it, if it has one.
    fn size(&self) -> Option<u64> {
        None
    }
    /// Whether it is what `optional.ofNonZeroValue` leaves out.
    fn is_zero(&self) -> bool {
        false
    }
    /// Its text, which is what JSON shows of it.
    fn text(&self) -> String {
        self.type_name().to_owned()
    }
}

impl<'a> Value<'a> {
    /// JSON without a schema.
    pub fn of_json(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(number) => match number.as_i64() {
                Some(i) => Value::Int(i),
                None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::String(Text::Borrowed(text)),
            Json::Array(items) => Value::JsonList(items, None),
            Json::Object(map) => Value::JsonMap(map, None),
        }
    }

    /// A copy of JSON, which need not live as long as the value.
    pub fn owned(json: &Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(number) => match number.as_i64() {
                Some(i) => Value::Int(i),
                None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::text(text.as_str()),
            Json::Array(items) => Value::list(items.iter().map(Value::owned).collect()),
            Json::Object(map) => Value::map(
                map.iter()
                    .map(|(key, value)| (Key::Text(Text::Shared(key.as_str().into())), Value::owned(value))),
            ),
        }
    }

    /// What a map holds under a text.
    pub fn entry(&self, key: &str) -> Result<Option<Value<'a>>, EvalError> {
        self.find(&Value::text(key))
    }

    /// Text made while running.
    pub fn text(text: impl Into<Arc<str>>) -> Value<'a> {
        Value::String(Text::Shared(text.into()))
    }

    /// A list made while running.
    pub fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Arc::new(List::new(items)))
    }

    /// A map made while running.
    pub fn map(entries: impl IntoIterator<Item = (Key<'a>, Value<'a>)>) -> Value<'a> {
        Value::Map(Arc::new(entries.into_iter().collect()))
    }

    /// A present optional value.
    pub fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    /// A value of a library.
    pub fn opaque(value: impl Opaque) -> Value<'a> {
        Value::Opaque(Arc::new(value))
    }

    /// The library's value that this is.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        match self {
            Value::Opaque(value) => value.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The text that this is.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// `true` or `false`, if it is that.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The name of its type while running.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Type(_) => "type",
            Value::JsonList(..) | Value::List(_) => "list",
            Value::JsonMap(..) | Value::Map(_) => "map",
            Value::Unknown(_) => "unknown",
            Value::Struct(value) => &value.name,
            Value::Optional(_) => "optional_type",
            Value::Opaque(value) => value.type_name(),
        }
    }

    /// How many items, if it is a list.
    pub fn list_len(&self) -> Option<usize> {
        match self {
            Value::JsonList(items, _) => Some(items.len()),
            Value::List(list) => Some(list.items.len()),
            _ => None,
        }
    }

    /// An item of a list.
    pub fn item(&self, index: usize) -> Option<Result<Value<'a>, EvalError>> {
        match self {
            Value::JsonList(items, schema) => items.get(index).map(|item| json_item(item, *schema)),
            Value::List(list) => list.items.get(index).cloned().map(Ok),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Result<Vec<Value<'a>>, EvalError> {
        match self {
            Value::JsonList(items, schema) => items.iter().map(|item| json_item(item, *schema)).collect(),
            Value::List(list) => Ok(list.items.clone()),
            _ => Err(EvalError::no_such_overload()),
        }
    }

    /// How many entries, if it is a map.
    pub fn map_len(&self) -> Option<usize> {
        match self {
            Value::JsonMap(map, _) => Some(map.len()),
            Value::Map(map) => Some(map.len()),
            _ => None,
        }
    }

    /// What a map holds at a key.
    pub(crate) fn find(&self, key: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
        match self {
            Value::JsonMap(map, schema) => match key {
                Value::String(key) => find_json(map, *schema, key),
                _ if schema.is_some() => Err(EvalError::no_such_overload()),
                _ => Ok(None),
            },
            Value::Map(map) => {
                // A float finds a whole number, but not the other way round.
                let whole = || match key {
                    Value::Double(d) => Key::whole(*d).and_then(|key| map.get(&key)),
                    _ => None,
                };
                Ok(Key::of(key).and_then(|key| map.get(&key)).or_else(whole).cloned())
            }
            _ => Err(EvalError::no_such_overload()),
        }
    }

    /// The keys of a map, of an object those that its schema declares.
    pub(crate) fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Value::JsonMap(map, schema) => {
                let escaped = schema.is_some_and(Schema::has_fields);
                let declared =
                    map.keys().filter(|key| schema.is_none_or(|schema| schema.of_key(key).is_some()));
                declared
                    .map(|key| match super::schema::escape(key).filter(|name| escaped && name != key) {
                        Some(name) => Value::text(name),
                        None => Value::String(Text::Borrowed(key)),
                    })
                    .collect()
            }
            Value::Map(map) => map.keys().map(Key::value).collect(),
            _ => Vec::new(),
        }
    }

    /// Its size: characters, bytes, items or entries.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = match self {
            Value::String(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Opaque(value) => return value.size(),
            _ => self.list_len().or_else(|| self.map_len())?,
        };
        u64::try_from(size).ok()
    }

    /// How its list tells items apart.
    pub(crate) fn identity(&self) -> Identity {
        match self {
            Value::JsonList(_, Some(schema)) => match &schema.shape {
                super::schema::Shape::List { identity, .. } => identity.clone(),
                _ => Identity::Position,
            },
            Value::List(list) => list.identity.clone(),
            _ => Identity::Position,
        }
    }

    /// As JSON: bytes in base64, times and durations and what libraries hold as text.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Optional(None) => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => (*i).into(),
            Value::Uint(u) => (*u).into(),
            Value::Double(d) => serde_json::Number::from_f64(*d).map_or(Json::Null, Json::Number),
            Value::String(text) | Value::Type(text) => Json::String(text.to_string()),
            Value::Bytes(bytes) => {
                use base64::Engine as _;
                Json::String(base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            Value::Duration(_) | Value::Timestamp(_) => Json::String(super::convert::display(self)),
            Value::JsonList(items, _) => Json::Array(items.to_vec()),
            Value::JsonMap(map, _) => Json::Object((*map).clone()),
            Value::Unknown(json) => (*json).clone(),
            Value::List(list) => list.items.iter().map(Value::to_json).collect(),
            Value::Map(map) => {
                let name = |key: &Key<'a>| super::convert::display(&key.value());
                Json::Object(map.iter().map(|(key, value)| (name(key), value.to_json())).collect())
            }
            Value::Struct(message) => Json::Object(
                message.fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect(),
            ),
            Value::Optional(Some(value)) => value.to_json(),
            Value::Opaque(value) => Json::String(value.text()),
        }
    }
}

fn json_item<'a>(item: &'a Json, list: Option<&'a Schema>) -> Result<Value<'a>, EvalError> {
    match list {
        None => Ok(Value::of_json(item)),
        Some(schema) => match schema.items() {
            Some(items) => super::typed::with_schema(item, items),
            None => Ok(Value::Unknown(item)),
        },
    }
}

/// What a JSON object holds at a key, which is escaped if its schema declares fields.
pub(crate) fn find_json<'a>(
    map: &'a Map<String, Json>,
    schema: Option<&'a Schema>,
    key: &str,
) -> Result<Option<Value<'a>>, EvalError> {
    let Some(schema) = schema else {
        return Ok(map.get(key).map(Value::of_json));
    };
    if schema.has_fields() {
        // Most names are the same unescaped.
        return if key.contains("__") {
            match super::schema::unescape(key) {
                Some(name) => declared(map, schema, &name),
                None => Ok(None),
            }
        } else {
            declared(map, schema, key)
        };
    }
    match (map.get(key), schema.of_key(key)) {
        (Some(json), Some(schema)) => super::typed::with_schema(json, schema).map(Some),
        _ => Ok(None),
    }
}

/// A declared field; `null` is as good as absent.
fn declared<'a>(
    map: &'a Map<String, Json>,
    schema: &'a Schema,
    name: &str,
) -> Result<Option<Value<'a>>, EvalError> {
    match map.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(json) => match schema.of_key(name) {
            Some(schema) => super::typed::with_schema(json, schema).map(Some),
            None => Ok(None),
        },
    }
}
