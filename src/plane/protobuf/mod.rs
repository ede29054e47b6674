//! Reading protobuf bodies: what typed clients send for built-in kinds.
//!
//! Field numbers come from a table that `examples/proto_table.rs` makes. Kinds that are not in it are refused (415),
//! as the real server refuses protobuf for custom kinds.

mod special;
mod table;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use table::{Field, Kind, Many, Row};
use wire::{Content, fields};

/// What opens every protobuf body of the API.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest no deeper than this.
const DEPTH: usize = 64;

/// The object of a body; `None` when it is broken or of a kind that is not understood.
pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(bytes.strip_prefix(MAGIC)?) {
        match field? {
            (1, Content::Bytes(type_meta)) => {
                for field in fields(type_meta) {
                    match field? {
                        (1, Content::Bytes(text)) => api_version = text_of(text)?,
                        (2, Content::Bytes(text)) => kind = text_of(text)?,
                        _ => {}
                    }
                }
            }
            (2, Content::Bytes(object)) => raw = object,
            _ => {}
        }
    }
    let mut object = Map::new();
    read(table::of_kind(&api_version, &kind)?, raw, &mut object, DEPTH)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Some(Value::Object(object))
}

/// Reads a message into an object; JSON has the fields of some messages in their parent.
fn read(row: &Row, bytes: &[u8], object: &mut Map<String, Value>, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    for field in fields(bytes) {
        let (number, content) = field?;
        let Some(field) = row.field(number) else { continue };
        match field.many {
            Many::List => {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                items(field, content, list.as_array_mut()?, depth)?;
            }
            Many::Map => {
                let Content::Bytes(entry) = content else { return None };
                let (key, value) = entry_of(field, entry, depth)?;
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                map.as_object_mut()?.insert(key, value);
            }
            Many::One if field.inline => match (field.kind, content) {
                (Kind::Message(name), Content::Bytes(bytes)) => {
                    read(table::row(name)?, bytes, object, depth)?;
                }
                _ => return None,
            },
            Many::One => {
                let value = value_of(field, content, depth)?;
                if !(value.is_null() || field.omit_zero && is_zero(&value)) {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
    }
    Some(())
}

/// Numbers of a list may be packed into one field.
fn items(field: &Field, content: Content<'_>, list: &mut Vec<Value>, depth: usize) -> Option<()> {
    match (field.kind, content) {
        (Kind::Whole | Kind::Bool, Content::Bytes(mut packed)) => {
            while !packed.is_empty() {
                list.push(value_of(field, Content::Number(wire::varint(&mut packed)?), depth)?);
            }
        }
        (_, content) => list.push(value_of(field, content, depth)?),
    }
    Some(())
}

fn entry_of(field: &Field, bytes: &[u8], depth: usize) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), None);
    for part in fields(bytes) {
        match part? {
            (1, Content::Bytes(text)) => key = text_of(text)?,
            (2, content) => value = Some(value_of(field, content, depth)?),
            _ => {}
        }
    }
    let absent = || match field.kind {
        Kind::Whole => Some(0.into()),
        Kind::Bool => Some(false.into()),
        _ => value_of(field, Content::Bytes(&[]), depth),
    };
    Some((key, value.or_else(absent)?))
}

fn value_of(field: &Field, content: Content<'_>, depth: usize) -> Option<Value> {
    Some(match (field.kind, content) {
        (Kind::Text, Content::Bytes(text)) => text_of(text)?.into(),
        (Kind::Bytes, Content::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Kind::Bool, Content::Number(number)) => (number != 0).into(),
        // Negative numbers are written as the unsigned ones with the same bits.
        (Kind::Whole, Content::Number(number)) => number.cast_signed().into(),
        (Kind::Float, Content::Eight(bytes)) => f64::from_le_bytes(bytes).into(),
        (Kind::Message(name), Content::Bytes(bytes)) => message(name, bytes, depth)?,
        _ => return None,
    })
}

fn message(name: &str, bytes: &[u8], depth: usize) -> Option<Value> {
    if let Some(value) = special::read(name, bytes, depth) {
        return value;
    }
    let row = table::row(name)?;
    let mut object = Map::new();
    read(row, bytes, &mut object, depth)?;
    if row.transparent {
        return Some(object.into_iter().next().map_or_else(|| Value::Array(Vec::new()), |(_, value)| value));
    }
    Some(Value::Object(object))
}

fn text_of(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn body(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let type_meta = [part(1, api_version.as_bytes()), part(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), part(1, &type_meta), part(2, object)].concat()
    }

    #[test]
    fn objects_are_read() {
        let metadata =
            [part(1, b"n"), part(2, b""), part(11, &[part(1, b"k"), part(2, b"v")].concat())].concat();
        let object = [part(1, &metadata), part(2, &[part(1, b"a"), part(2, b"b")].concat())].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="},
            "metadata": {"name": "n", "labels": {"k": "v"}}});
        assert_eq!(decode(&body("v1", "Secret", &object)), Some(expected));
        assert_eq!(decode(&body("example.org/v1", "Widget", &object)), None);
    }

    #[test]
    fn json_writes_some_messages_in_its_own_way() {
        let port = [vec![0x18, 80], part(4, &[vec![0x08, 1], part(3, b"http")].concat())].concat();
        let service = part(2, &part(1, &port));
        let read = decode(&body("v1", "Service", &service)).unwrap();
        assert_eq!(read["spec"]["ports"], json!([{"port": 80, "targetPort": "http"}]));
        let limits = part(1, &[part(1, b"cpu"), part(2, &part(1, b"500m"))].concat());
        let volume = [part(1, b"v"), part(2, &part(1, &part(1, b"/x")))].concat();
        let container = [part(1, b"c"), part(8, &limits)].concat();
        let pod = part(2, &[part(1, &volume), part(2, &container)].concat());
        let read = decode(&body("v1", "Pod", &pod)).unwrap();
        assert_eq!(read["spec"]["volumes"], json!([{"name": "v", "hostPath": {"path": "/x"}}]));
        assert_eq!(read["spec"]["containers"][0]["resources"], json!({"limits": {"cpu": "500m"}}));
    }

    #[test]
    fn zero_stays_where_it_says_something() {
        let read = decode(&body("apps/v1", "Deployment", &part(2, &[0x08, 0, 0x28, 0]))).unwrap();
        assert_eq!(read["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn a_broken_body_is_refused() {
        let whole = body("v1", "Namespace", &part(1, &part(1, b"name")));
        assert!(decode(&whole).is_some());
        for length in 0..whole.len() {
            let cut = decode(&whole[..length]);
            assert!(cut.is_none() || cut.is_some_and(|object| object["metadata"].is_null()));
        }
    }
}
