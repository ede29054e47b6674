//! Messages with declared fields: their types, and what a field holds that is not set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::expr::cel::{Fields, ObjectType, Struct, Timestamp, Type, Value};

use super::schema::MESSAGES;

/// A message.
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind)],
    /// Fields of which only one can be set.
    pub(super) one_of: &'static [&'static str],
}

/// What a field holds.
pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    /// With its smallest and largest value.
    Int(i64, i64),
    Uint(u64),
    /// A word of a list, which is its number in expressions.
    Word(&'static [(&'static str, i64)]),
    Time,
    /// `google.protobuf.Struct`: free keys, numbers as floats.
    Free,
    /// A scalar that may be absent.
    Maybe(&'static Kind),
    /// A value that says itself what it is.
    Any,
    Of(&'static str),
    List(&'static Kind),
    Map(&'static Kind),
}

/// The message of a name.
pub(super) fn find(name: &str) -> Option<&'static Message> {
    MESSAGES.iter().find(|message| message.name == name)
}

impl Message {
    pub(super) fn field(&self, name: &str) -> Option<&'static Kind> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, kind)| kind)
    }
}

impl Kind {
    pub(super) fn ty(&self) -> Type {
        match self {
            Kind::Text => Type::String,
            Kind::Bytes => Type::Bytes,
            Kind::Bool => Type::Bool,
            Kind::Int(..) | Kind::Word(_) => Type::Int,
            Kind::Uint(_) => Type::Uint,
            Kind::Time => Type::Timestamp,
            Kind::Free => Type::map(Type::String, Type::Dyn),
            Kind::Maybe(_) | Kind::Any => Type::Dyn,
            Kind::Of(name) => find(name).map_or(Type::Dyn, |message| Type::Object(object_type(message))),
            Kind::List(item) => Type::list(item.ty()),
            Kind::Map(value) => Type::map(Type::String, value.ty()),
        }
    }

    /// What is read of a field that is not set.
    fn unset(&self) -> Value<'static> {
        match self {
            Kind::Text => Value::text(""),
            Kind::Bytes => Value::Bytes(Vec::new().into()),
            Kind::Bool => Value::Bool(false),
            Kind::Int(..) | Kind::Word(_) => Value::Int(0),
            Kind::Uint(_) => Value::Uint(0),
            Kind::Time => Value::Timestamp(Timestamp { seconds: 0, nanos: 0, offset: 0 }),
            Kind::Maybe(_) | Kind::Any => Value::Null,
            Kind::Of(name) => message(name, []),
            Kind::List(_) => Value::list(Vec::new()),
            Kind::Map(_) | Kind::Free => Value::map([]),
        }
    }
}

/// The type of a message in expressions. Types of fields are looked up when they are asked for: messages may hold
/// themselves.
pub(super) fn object_type(message: &'static Message) -> ObjectType {
    let fields = Fields::Computed(Box::new(|field| message.field(field).map(Kind::ty)));
    ObjectType::new(message.name, fields).with_unset(unset)
}

/// What is read of a field of a message that is not set.
fn unset(name: &str, field: &str) -> Option<Value<'static>> {
    find(name)?.field(field).map(Kind::unset)
}

/// A message with these fields set.
pub(super) fn message<'a>(
    name: &str,
    fields: impl IntoIterator<Item = (&'static str, Value<'a>)>,
) -> Value<'a> {
    let fields = fields.into_iter().map(|(field, value)| (Arc::from(field), value)).collect();
    of_fields(name, fields)
}

pub(super) fn of_fields<'a>(name: &str, fields: BTreeMap<Arc<str>, Value<'a>>) -> Value<'a> {
    Value::Struct(Arc::new(Struct { name: name.into(), fields, unset: Some(unset) }))
}

/// A field of a message, set or not.
pub(super) fn get<'a>(value: &Value<'a>, field: &str) -> Option<Value<'a>> {
    let Value::Struct(message) = value else { return None };
    message.fields.get(field).cloned().or_else(|| unset(&message.name, field))
}

/// The same message with another value of a field.
pub(super) fn with<'a>(value: &Value<'a>, field: &'static str, new: Value<'a>) -> Value<'a> {
    let Value::Struct(message) = value else { return value.clone() };
    let mut fields = message.fields.clone();
    fields.insert(field.into(), new);
    of_fields(&message.name, fields)
}

/// The same message with one more item in a field that is a list.
pub(super) fn adding<'a>(value: &Value<'a>, field: &'static str, item: Value<'a>) -> Value<'a> {
    let mut items = get(value, field).and_then(|list| list.items().ok()).unwrap_or_default();
    items.push(item);
    with(value, field, Value::list(items))
}
