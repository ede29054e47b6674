//! The little protobuf that is understood: what `kubectl create` sends for kinds that people create by hand.
//!
//! Other kinds are refused (415), as the real server refuses protobuf for custom kinds.

use base64::Engine as _;
use serde_json::{Map, Value};

/// What opens every protobuf body of the API.
const MAGIC: &[u8] = b"k8s\0";

/// How a field is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    Message(Message),
    TextMap,
    BytesMap,
}

/// A field: its number, its name in JSON, how it is written, and whether it is a list.
type Field = (u64, &'static str, Kind, bool);
type Message = &'static [Field];

const OWNER: Message = &[
    (1, "kind", Kind::Text, false),
    (3, "name", Kind::Text, false),
    (4, "uid", Kind::Text, false),
    (5, "apiVersion", Kind::Text, false),
    (6, "controller", Kind::Bool, false),
    (7, "blockOwnerDeletion", Kind::Bool, false),
];
const METADATA: Message = &[
    (1, "name", Kind::Text, false),
    (2, "generateName", Kind::Text, false),
    (3, "namespace", Kind::Text, false),
    (5, "uid", Kind::Text, false),
    (6, "resourceVersion", Kind::Text, false),
    (11, "labels", Kind::TextMap, false),
    (12, "annotations", Kind::TextMap, false),
    (13, "ownerReferences", Kind::Message(OWNER), true),
    (14, "finalizers", Kind::Text, true),
];
const NAMESPACE: Message = &[(1, "metadata", Kind::Message(METADATA), false)];
const CONFIG_MAP: Message = &[
    (1, "metadata", Kind::Message(METADATA), false),
    (2, "data", Kind::TextMap, false),
    (3, "binaryData", Kind::BytesMap, false),
    (4, "immutable", Kind::Bool, false),
];
const SECRET: Message = &[
    (1, "metadata", Kind::Message(METADATA), false),
    (2, "data", Kind::BytesMap, false),
    (3, "type", Kind::Text, false),
    (4, "stringData", Kind::TextMap, false),
    (5, "immutable", Kind::Bool, false),
];
const SERVICE_ACCOUNT: Message = &[
    (1, "metadata", Kind::Message(METADATA), false),
    (4, "automountServiceAccountToken", Kind::Bool, false),
];
const SUBJECT: Message = &[
    (1, "kind", Kind::Text, false),
    (2, "apiGroup", Kind::Text, false),
    (3, "name", Kind::Text, false),
    (4, "namespace", Kind::Text, false),
];
const ROLE: Message =
    &[(1, "apiGroup", Kind::Text, false), (2, "kind", Kind::Text, false), (3, "name", Kind::Text, false)];
const ROLE_BINDING: Message = &[
    (1, "metadata", Kind::Message(METADATA), false),
    (2, "subjects", Kind::Message(SUBJECT), true),
    (3, "roleRef", Kind::Message(ROLE), false),
];
const ATTRIBUTES: Message = &[
    (1, "namespace", Kind::Text, false),
    (2, "verb", Kind::Text, false),
    (3, "group", Kind::Text, false),
    (4, "version", Kind::Text, false),
    (5, "resource", Kind::Text, false),
    (6, "subresource", Kind::Text, false),
    (7, "name", Kind::Text, false),
];
const OTHER_ATTRIBUTES: Message = &[(1, "path", Kind::Text, false), (2, "verb", Kind::Text, false)];
const REVIEW_SPEC: Message = &[
    (1, "resourceAttributes", Kind::Message(ATTRIBUTES), false),
    (2, "nonResourceAttributes", Kind::Message(OTHER_ATTRIBUTES), false),
];
const REVIEW: Message =
    &[(1, "metadata", Kind::Message(METADATA), false), (2, "spec", Kind::Message(REVIEW_SPEC), false)];

/// The fields of a kind; `None` for one that is not understood.
fn message_of(api_version: &str, kind: &str) -> Option<Message> {
    Some(match (api_version, kind) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => ROLE_BINDING,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => REVIEW,
        _ => return None,
    })
}

/// The object of a body; `None` when it is broken or of a kind that is not understood.
pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(bytes.strip_prefix(MAGIC)?) {
        match field? {
            (1, Content::Bytes(type_meta)) => {
                for field in fields(type_meta) {
                    match field? {
                        (1, Content::Bytes(text)) => api_version = String::from_utf8(text.to_vec()).ok()?,
                        (2, Content::Bytes(text)) => kind = String::from_utf8(text.to_vec()).ok()?,
                        _ => {}
                    }
                }
            }
            (2, Content::Bytes(object)) => raw = object,
            _ => {}
        }
    }
    let mut object = message(message_of(&api_version, &kind)?, raw)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Some(Value::Object(object))
}

fn message(shape: Message, bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, content) = field?;
        let Some((_, name, kind, repeated)) = shape.iter().find(|(n, ..)| *n == number) else { continue };
        let name = (*name).to_owned();
        match (kind, content) {
            (Kind::TextMap | Kind::BytesMap, Content::Bytes(entry)) => {
                let (key, value) = entry_of(entry, matches!(kind, Kind::BytesMap))?;
                let map = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
                map.as_object_mut()?.insert(key, value);
            }
            (kind, content) => {
                let value = match (kind, content) {
                    (Kind::Text, Content::Bytes(text)) => String::from_utf8(text.to_vec()).ok()?.into(),
                    (Kind::Bool, Content::Number(number)) => (number != 0).into(),
                    (Kind::Message(shape), Content::Bytes(bytes)) => Value::Object(message(shape, bytes)?),
                    _ => return None,
                };
                if *repeated {
                    let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut()?.push(value);
                } else if value != "" {
                    object.insert(name, value);
                }
            }
        }
    }
    Some(object)
}

fn entry_of(bytes: &[u8], encoded: bool) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in fields(bytes) {
        match field? {
            (1, Content::Bytes(text)) => key = String::from_utf8(text.to_vec()).ok()?,
            (2, Content::Bytes(content)) => value = content,
            _ => {}
        }
    }
    let value = if encoded {
        base64::engine::general_purpose::STANDARD.encode(value)
    } else {
        String::from_utf8(value.to_vec()).ok()?
    };
    Some((key, value.into()))
}

enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// The fields of an encoded message; an item is `None` where the encoding breaks, and nothing follows it.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Content<'_>)>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = next_field(&mut bytes);
        if field.is_none() {
            bytes = &[];
        }
        Some(field)
    })
}

fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Content<'a>)> {
    let tag = varint(bytes)?;
    let content = match tag & 7 {
        0 => Content::Number(varint(bytes)?),
        1 => take(bytes, 8).map(|_| Content::Skipped)?,
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Content::Bytes(take(bytes, length)?)
        }
        5 => take(bytes, 4).map(|_| Content::Skipped)?,
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn body(kind: &str, object: &[u8]) -> Vec<u8> {
        let type_meta = [part(1, b"v1"), part(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), part(1, &type_meta), part(2, object)].concat()
    }

    #[test]
    fn objects_are_read() {
        let metadata = [part(1, b"n"), part(11, &[part(1, b"k"), part(2, b"v")].concat())].concat();
        let object = [part(1, &metadata), part(2, &[part(1, b"a"), part(2, b"b")].concat())].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="},
            "metadata": {"name": "n", "labels": {"k": "v"}}});
        assert_eq!(decode(&body("Secret", &object)), Some(expected));
        assert_eq!(decode(&body("Pod", &object)), None);
    }

    #[test]
    fn a_broken_body_is_refused() {
        let whole = body("Namespace", &part(1, &part(1, b"name")));
        assert!(decode(&whole).is_some());
        for length in 0..whole.len() {
            let cut = decode(&whole[..length]);
            assert!(cut.is_none() || cut.is_some_and(|object| object["metadata"].is_null()));
        }
    }
}
