//! An object as it is stored: its JSON and where in it stands what is asked for often.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::skim::{self, Span};

/// The longest resourceVersion that is thinkable, to be overwritten with the real one.
const WIDEST: &str = "00000000000000000000";

/// An object as it is stored. The tree is made from the bytes when somebody needs it.
#[derive(Debug)]
pub(crate) struct Object {
    json: Bytes,
    index: Index,
    /// What was stored of it and is gone when it is read.
    empties: Empties,
}

/// Empty lists and dictionaries in the metadata of an applied custom resource: the real server stores them and does
/// not read them, so that the next write of the object changes what is stored even if it changes nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Empties([bool; 4]);

impl Empties {
    /// Those of a body.
    pub fn of(body: &Value) -> Empties {
        let empty = |field: &str| match &body["metadata"][field] {
            Value::Object(map) => map.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        Empties(["labels", "annotations", "finalizers", "ownerReferences"].map(empty))
    }

    /// Whether there are none.
    pub fn is_none(self) -> bool {
        self == Empties::default()
    }
}

/// Where the parts of an object are in its JSON; an empty span is an absent part.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Index {
    api_version: Span,
    kind: Span,
    metadata: Span,
    name: Span,
    namespace: Span,
    uid: Span,
    revision: Span,
    labels: Span,
    owners: Span,
    finalizers: Span,
    deleting: bool,
}

impl Index {
    fn of(json: &[u8]) -> Option<Index> {
        let mut index = Index::default();
        skim::members(json, 0, |key, value| match key {
            b"apiVersion" => index.api_version = value,
            b"kind" => index.kind = value,
            b"metadata" => index.metadata = value,
            _ => {}
        })?;
        if json.get(index.metadata.start()) != Some(&b'{') {
            return Some(index);
        }
        skim::members(json, index.metadata.start(), |key, value| match key {
            b"name" => index.name = value,
            b"namespace" => index.namespace = value,
            b"uid" => index.uid = value,
            b"resourceVersion" => index.revision = value,
            b"labels" => index.labels = value,
            b"ownerReferences" => index.owners = value,
            b"finalizers" => index.finalizers = value,
            b"deletionTimestamp" => index.deleting = json.get(value.start()) == Some(&b'"'),
            _ => {}
        })?;
        Some(index)
    }
}

impl Object {
    /// An object that is answered and not stored.
    pub fn unsaved(body: Value) -> Arc<Object> {
        let json = Bytes::from(encode(&body));
        let index = Index::of(&json).unwrap_or_default();
        Arc::new(Object { json, index, empties: Empties::default() })
    }

    /// From its JSON as this store wrote it.
    pub(super) fn read(json: &[u8]) -> Option<Arc<Object>> {
        let index = Index::of(json)?;
        let json = Bytes::copy_from_slice(json);
        Some(Arc::new(Object { json, index, empties: Empties::default() }))
    }

    /// The object as JSON.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// How many bytes its JSON has.
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// The object as a tree.
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// Its metadata as a tree.
    pub fn metadata(&self) -> Value {
        self.tree(self.index.metadata)
    }

    /// Its metadata as JSON.
    pub fn metadata_json(&self) -> &[u8] {
        if self.index.metadata.is_empty() { b"{}" } else { self.slice(self.index.metadata) }
    }

    pub fn labels(&self) -> Value {
        self.tree(self.index.labels)
    }

    /// Its owner references.
    pub fn owners(&self) -> Value {
        self.tree(self.index.owners)
    }

    /// Whether it names an owner.
    pub fn has_owners(&self) -> bool {
        self.slice(self.index.owners).len() > "[]".len()
    }

    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        let list = self.tree(self.index.finalizers);
        list.as_array().is_some_and(|list| list.iter().any(|f| f == finalizer))
    }

    pub fn name(&self) -> Cow<'_, str> {
        self.text(self.index.name)
    }

    /// The namespace, empty for cluster-scoped objects.
    pub fn namespace(&self) -> Cow<'_, str> {
        self.text(self.index.namespace)
    }

    pub fn uid(&self) -> &str {
        self.plain(self.index.uid)
    }

    pub fn revision(&self) -> &str {
        self.plain(self.index.revision)
    }

    pub fn is_deleting(&self) -> bool {
        self.index.deleting
    }

    /// The object as it would be at another resourceVersion.
    pub fn at(&self, revision: u64) -> Arc<Object> {
        Draft { json: self.json.to_vec(), index: self.index, empties: self.empties }.stamp(revision)
    }

    /// What was stored of it and is gone when it is read.
    pub fn empties(&self) -> Empties {
        self.empties
    }

    /// Appends the object without `apiVersion` and `kind`, as an item of a list that says both.
    pub fn write_untyped(&self, out: &mut Vec<u8>) {
        let mut from = 0;
        for (key, value) in [("\"apiVersion\":", self.index.api_version), ("\"kind\":", self.index.kind)] {
            // Keys are sorted, so that `metadata` follows: behind both stands a comma.
            if !value.is_empty()
                && value.start() >= from + key.len()
                && self.index.metadata.start() > value.end()
            {
                out.extend_from_slice(&self.json[from..value.start() - key.len()]);
                from = value.end() + 1;
            }
        }
        out.extend_from_slice(&self.json[from..]);
    }

    /// Whether both name the same owners, have the same uid and wait for the same finalizers.
    pub(super) fn is_related_as(&self, other: &Object) -> bool {
        let same = |a: Span, b: Span| self.slice(a) == other.slice(b);
        self.index.deleting == other.index.deleting
            && same(self.index.uid, other.index.uid)
            && same(self.index.owners, other.index.owners)
            && same(self.index.finalizers, other.index.finalizers)
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.json.get(span.start()..span.end()).unwrap_or_default()
    }

    fn tree(&self, span: Span) -> Value {
        if span.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(self.slice(span)).unwrap_or_default()
        }
    }

    fn text(&self, span: Span) -> Cow<'_, str> {
        let plain = self.plain(span);
        if !plain.contains('\\') {
            return Cow::Borrowed(plain);
        }
        Cow::Owned(self.tree(span).as_str().unwrap_or_default().to_owned())
    }

    /// What stands between the quotes.
    fn plain(&self, span: Span) -> &str {
        let inner = self.slice(span).strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\""));
        inner.and_then(|s| std::str::from_utf8(s).ok()).unwrap_or_default()
    }
}

/// An object that is ready to be stored but for its resourceVersion, so that little is left to do under a lock.
pub(super) struct Draft {
    json: Vec<u8>,
    index: Index,
    empties: Empties,
}

impl Draft {
    /// Of a body that will probably be stored at `revision`.
    pub fn new(body: &mut Value, revision: u64, empties: Empties) -> Draft {
        let width = revision.checked_ilog10().unwrap_or(0) as usize + 1;
        body["metadata"]["resourceVersion"] = WIDEST[..width].into();
        let json = encode(body);
        let index = Index::of(&json).unwrap_or_default();
        Draft { json, index, empties }
    }

    /// The object at its resourceVersion.
    pub fn stamp(mut self, revision: u64) -> Arc<Object> {
        let digits = revision.to_string();
        let place = self.index.revision;
        let range = place.start() + 1..place.end().saturating_sub(1);
        if range.len() == digits.len() {
            self.json[range].copy_from_slice(digits.as_bytes());
        } else {
            self.json.splice(range, digits.bytes());
            self.index = Index::of(&self.json).unwrap_or_default();
        }
        let json = Bytes::copy_from_slice(&self.json);
        Arc::new(Object { json, index: self.index, empties: self.empties })
    }
}

fn encode(body: &Value) -> Vec<u8> {
    // A tree with text keys always has a JSON form.
    let mut json = Vec::with_capacity(1024);
    let _ = serde_json::to_writer(&mut json, body);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map() -> Value {
        json!({
            "apiVersion": "v1", "data": {"name": "no \"name\" {[", "metadata": "x"}, "kind": "ConfigMap",
            "metadata": {"name": "a\"b", "namespace": "n", "labels": {"a": "1"}, "uid": "u",
                "finalizers": ["orphan"], "deletionTimestamp": "now", "ownerReferences": [{"uid": "o"}]},
        })
    }

    #[test]
    fn what_is_asked_for_often_is_at_hand() {
        let object = Draft::new(&mut map(), 7, Empties::default()).stamp(12);
        assert_eq!((&*object.name(), &*object.namespace(), object.uid()), ("a\"b", "n", "u"));
        assert_eq!((object.revision(), object.is_deleting()), ("12", true));
        assert_eq!(object.labels(), json!({"a": "1"}));
        assert_eq!(object.owners(), json!([{"uid": "o"}]));
        assert!(object.has_finalizer("orphan") && !object.has_finalizer("x"));
        let mut expected = map();
        expected["metadata"]["resourceVersion"] = "12".into();
        assert_eq!(object.body(), expected);
        assert_eq!(object.metadata(), expected["metadata"]);
    }

    #[test]
    fn a_list_item_is_the_text_without_its_type() {
        let object = Object::unsaved(map());
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let mut out = Vec::new();
        object.write_untyped(&mut out);
        let mut expected = map();
        expected.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
        assert_eq!(read(&out), expected);
    }
}
