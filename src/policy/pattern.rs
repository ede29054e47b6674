//! Patterns: a tree laid over an object, with anchors, compiled once.
//!
//! The order in which keys are looked at decides which of several mismatches is reported, and whether an object is
//! skipped or refused: in every mapping the anchors `()`, `=()`, `^()` and `X()` come first, by key; then `<()` and
//! what has anchors further down; then the rest.

mod explain;

use serde_json::{Map, Value};

use crate::expr::gotext::sprint;
use crate::expr::{pattern as scalar, wildcard};
use crate::model::{FieldPath, PathSegment};

use super::anchor::{self, Anchor};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pattern(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Map(MapNode),
    List(Vec<Node>),
    Scalar(Value),
}

#[derive(Debug, Clone, PartialEq)]
struct MapNode {
    /// `()`, `=()`, `^()` and `X()`, by key as written.
    anchors: Vec<Entry>,
    rest: Vec<Entry>,
    /// The labels or annotations of some metadata, whose keys may hold wildcards.
    wild_keys: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    anchor: Option<Anchor>,
    key: String,
    node: Node,
}

/// How an object and a pattern differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mismatch {
    /// The pattern is not about this object.
    Skip(String),
    /// The object does not satisfy it: the path as messages show it (`/spec/containers/0/image/`), and parsed.
    Fail(String, FieldPath),
    /// It cannot be said where or whether it fails.
    Error(String),
}

/// Why a node does not match.
#[derive(Debug)]
struct Cause {
    kind: CauseKind,
    message: String,
    /// `None` where no place can be given.
    path: Option<Vec<PathSegment>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CauseKind {
    Skip,
    Negation,
    Plain,
}

impl Pattern {
    pub(crate) fn compile(pattern: &Value) -> Pattern {
        Pattern(compile(pattern, "", ""))
    }

    /// Lays the pattern over an object.
    pub(crate) fn matches(&self, object: &Value) -> Result<(), Mismatch> {
        let mut walk = Walk { path: Vec::new(), seen: Vec::new() };
        let Err(cause) = walk.node(&self.0, Some(object)) else { return Ok(()) };
        let missing = walk.seen.iter().any(|(.., found)| !found);
        match (cause.kind, cause.path) {
            (CauseKind::Skip, _) => Err(Mismatch::Skip(cause.message)),
            (CauseKind::Plain, Some(_)) if missing => Err(Mismatch::Error(cause.message)),
            (_, None) => Err(Mismatch::Error(cause.message)),
            (_, Some(path)) => Err(Mismatch::Fail(text(&path), FieldPath(path))),
        }
    }
}

/// `parent` and `grandparent` are the keys above, for the wildcard keys below `metadata`.
fn compile(pattern: &Value, parent: &str, grandparent: &str) -> Node {
    match pattern {
        Value::Object(map) => Node::Map(compile_map(map, parent, grandparent)),
        Value::Array(list) => Node::List(list.iter().map(|v| compile(v, "", "")).collect()),
        scalar => Node::Scalar(scalar.clone()),
    }
}

fn compile_map(map: &Map<String, Value>, parent: &str, grandparent: &str) -> MapNode {
    let wild_keys = grandparent == "metadata"
        && matches!(parent, "labels" | "annotations")
        && map.keys().any(|key| key.contains(['*', '?']));
    let mut node = MapNode { anchors: Vec::new(), rest: Vec::new(), wild_keys };
    let mut last = Vec::new();
    for (written, value) in map {
        let (anchor, key) = match anchor::parse(written) {
            Some((anchor, key)) => (Some(anchor), key),
            None => (None, written.as_str()),
        };
        let entry = Entry { anchor, key: key.to_owned(), node: compile(value, key, parent) };
        match anchor {
            Some(Anchor::Condition | Anchor::Equality | Anchor::Existence | Anchor::Negation) => {
                node.anchors.push(entry);
            }
            Some(Anchor::Global) => node.rest.insert(0, entry),
            _ if has_anchors(value) => node.rest.insert(0, entry),
            _ => last.push(entry),
        }
    }
    node.rest.append(&mut last);
    node
}

fn has_anchors(pattern: &Value) -> bool {
    match pattern {
        Value::Object(map) => {
            let is_anchor = |key: &str| anchor::parse(key).is_some_and(|(a, _)| a != Anchor::AddIfAbsent);
            map.iter().any(|(key, value)| is_anchor(key) || has_anchors(value))
        }
        Value::Array(list) => list.iter().any(has_anchors),
        _ => false,
    }
}

/// A walk over a pattern and an object.
struct Walk<'p> {
    path: Vec<PathSegment>,
    /// `()` and `^()` keys of the pattern, and whether any object so far had them.
    seen: Vec<(Anchor, &'p str, bool)>,
}

type Outcome = Result<(), Cause>;

impl<'p> Walk<'p> {
    fn plain(&self, message: String) -> Cause {
        Cause { kind: CauseKind::Plain, message, path: Some(self.path.clone()) }
    }

    fn node(&mut self, node: &'p Node, value: Option<&Value>) -> Outcome {
        match (node, value) {
            (Node::Map(map), Some(Value::Object(object))) => self.map(map, object),
            (Node::Map(_), other) => Err(self.plain(format!(
                "pattern and resource have different structures. Path: {}. Expected map[string]interface {{}}, found {}",
                text(&self.path),
                type_of(other)
            ))),
            // A scalar in a list is compared with each element, but the list is what is wrong.
            (Node::List(patterns), Some(Value::Array(_))) if matches!(patterns.first(), Some(Node::Scalar(_))) => {
                self.node(&patterns[0], value)
            }
            (Node::List(patterns), Some(Value::Array(list))) => self.list(patterns, list),
            (Node::List(_), _) => Err(self.plain(format!(
                "validation rule failed at path {}, resource does not satisfy the expected overlay pattern",
                text(&self.path)
            ))),
            (Node::Scalar(pattern), Some(Value::Array(list))) => {
                let matches = list.iter().all(|value| scalar::matches(pattern, Some(value)));
                self.scalar(matches, pattern, value)
            }
            (Node::Scalar(pattern), value) => self.scalar(scalar::matches(pattern, value), pattern, value),
        }
    }

    fn scalar(&self, matches: bool, pattern: &Value, value: Option<&Value>) -> Outcome {
        if matches {
            return Ok(());
        }
        Err(self.plain(format!(
            "resource value '{}' does not match '{}' at path {}",
            sprint(value.unwrap_or(&Value::Null)),
            sprint(pattern),
            text(&self.path)
        )))
    }

    /// A condition that does not hold makes the rule skip this mapping, whatever else is wrong with it; a skip from
    /// further down does so only if no other anchor applies.
    fn map(&mut self, node: &'p MapNode, object: &Map<String, Value>) -> Outcome {
        self.note_missing(node, object);
        let (mut applied, mut failed, mut skipped) = (false, None, Vec::new());
        for entry in &node.anchors {
            match self.entry(entry, node.wild_keys, object) {
                Ok(()) => applied = true,
                Err(cause) if cause.kind != CauseKind::Skip => {
                    failed.get_or_insert(cause);
                }
                Err(cause) if entry.anchor == Some(Anchor::Condition) => return Err(cause),
                Err(cause) => skipped.push(cause),
            }
        }
        if let Some(cause) = failed {
            return Err(cause);
        }
        if !applied && !skipped.is_empty() {
            return Err(self.all_skipped(&skipped));
        }
        node.rest.iter().try_for_each(|entry| self.entry(entry, node.wild_keys, object))
    }

    fn note_missing(&mut self, node: &'p MapNode, object: &Map<String, Value>) {
        for entry in &node.anchors {
            let Some(anchor @ (Anchor::Condition | Anchor::Existence)) = entry.anchor else { continue };
            let found = object.contains_key(&*effective_key(entry, node.wild_keys, object));
            match self.seen.iter_mut().find(|(a, key, _)| *a == anchor && *key == entry.key) {
                Some((.., seen)) => *seen |= found,
                None => self.seen.push((anchor, &entry.key, found)),
            }
        }
    }

    fn all_skipped(&self, causes: &[Cause]) -> Cause {
        let messages: Vec<&str> = causes.iter().map(|c| c.message.as_str()).collect();
        Cause { kind: CauseKind::Skip, message: messages.join("; "), path: Some(self.path.clone()) }
    }

    fn entry(&mut self, entry: &'p Entry, wild: bool, object: &Map<String, Value>) -> Outcome {
        let key = effective_key(entry, wild, object).into_owned();
        let value = object.get(&key);
        if entry.anchor.is_none() && entry.node == Node::Scalar("*".into()) {
            return match value {
                Some(value) if !value.is_null() => Ok(()),
                _ => Err(self.plain(format!("{}/{key} not found", text(&self.path)))),
            };
        }
        self.path.push(PathSegment::Key(key));
        let outcome = self.anchored(entry, value);
        self.path.pop();
        outcome
    }

    fn anchored(&mut self, entry: &'p Entry, value: Option<&Value>) -> Outcome {
        let skip = |prefix: &str, cause: Cause| Cause {
            kind: CauseKind::Skip,
            message: format!("{prefix}: {}", cause.message),
            ..cause
        };
        match (entry.anchor, value) {
            (None | Some(Anchor::AddIfAbsent), value) => self.node(&entry.node, value),
            (Some(Anchor::Negation), Some(_)) => Err(Cause {
                kind: CauseKind::Negation,
                message: format!("negation anchor matched in resource: {} is not allowed", text(&self.path)),
                path: Some(self.path.clone()),
            }),
            (Some(Anchor::Condition), None) => {
                let cause = self.plain("conditional anchor key doesn't exist in the resource".into());
                Err(skip("conditional anchor mismatch", cause))
            }
            (Some(Anchor::Condition), value) => {
                self.node(&entry.node, value).map_err(|cause| skip("conditional anchor mismatch", cause))
            }
            (Some(_), None) => Ok(()),
            (Some(Anchor::Global), value) => {
                self.node(&entry.node, value).map_err(|cause| skip("global anchor mismatch", cause))
            }
            (Some(Anchor::Equality), value) => self.node(&entry.node, value),
            (Some(Anchor::Existence), Some(value)) => self.existence(&entry.node, value),
        }
    }

    /// Each pattern of the list must match some element.
    fn existence(&mut self, node: &'p Node, value: &Value) -> Outcome {
        let Value::Array(list) = value else {
            return Err(self.plain(format!(
                "invalid resource type {}: Existence ^ () anchor can be used only on list/array type resource",
                type_of(Some(value))
            )));
        };
        let Node::List(patterns) = node else {
            return Err(self.plain(
                "invalid pattern type: Pattern has to be of list to compare against resource".into(),
            ));
        };
        for pattern in patterns {
            let mut found = false;
            for (i, element) in list.iter().enumerate() {
                self.path.push(PathSegment::Index(i));
                found = self.node(pattern, Some(element)).is_ok();
                self.path.pop();
                if found {
                    break;
                }
            }
            if !found {
                let message = format!("existence anchor validation failed at path {}", text(&self.path));
                return Err(self.plain(message));
            }
        }
        Ok(())
    }

    /// The first element of a pattern list says what all elements are compared with.
    fn list(&mut self, patterns: &'p [Node], list: &[Value]) -> Outcome {
        match patterns.first() {
            None => Err(self.plain("pattern Array empty".into())),
            Some(first @ (Node::Map(_) | Node::Scalar(_))) => {
                self.elements(list.iter().map(|value| (first, value)))
            }
            Some(Node::List(_)) if list.len() < patterns.len() => Err(Cause {
                kind: CauseKind::Plain,
                message: format!(
                    "validate Array failed, array length mismatch, resource Array len is {} and pattern Array len is {}",
                    list.len(),
                    patterns.len()
                ),
                path: None,
            }),
            Some(Node::List(_)) => self.elements(patterns.iter().zip(list)),
        }
    }

    /// Elements that are skipped do not count, unless all are: then the list is skipped.
    fn elements<'v>(&mut self, pairs: impl Iterator<Item = (&'p Node, &'v Value)>) -> Outcome {
        let (mut applied, mut skipped) = (false, Vec::new());
        for (i, (pattern, value)) in pairs.enumerate() {
            self.path.push(PathSegment::Index(i));
            let outcome = self.node(pattern, Some(value));
            self.path.pop();
            match outcome {
                Ok(()) => applied = true,
                Err(cause) if cause.kind == CauseKind::Skip => skipped.push(cause),
                Err(cause) => return Err(cause),
            }
        }
        if applied || skipped.is_empty() { Ok(()) } else { Err(self.all_skipped(&skipped)) }
    }
}

/// The object's first key that a wildcard key of labels or annotations matches, else the key itself.
fn effective_key<'a>(
    entry: &'a Entry,
    wild: bool,
    object: &'a Map<String, Value>,
) -> std::borrow::Cow<'a, str> {
    if wild
        && entry.key.contains(['*', '?'])
        && let Some(key) = object.keys().find(|key| wildcard::matches(&entry.key, key))
    {
        return key.as_str().into();
    }
    entry.key.as_str().into()
}

/// As Go's `%T` prints the type of a decoded JSON value.
fn type_of(value: Option<&Value>) -> &'static str {
    match value {
        None | Some(Value::Null) => "<nil>",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(_)) => "float64",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "[]interface {}",
        Some(Value::Object(_)) => "map[string]interface {}",
    }
}

/// `/spec/containers/0/image/`.
fn text(path: &[PathSegment]) -> String {
    let mut text = String::from("/");
    for segment in path {
        match segment {
            PathSegment::Key(key) => text.push_str(key),
            PathSegment::Index(index) => text.push_str(&index.to_string()),
        }
        text.push('/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(pattern: Value, object: Value) -> Result<(), Mismatch> {
        Pattern::compile(&pattern).matches(&object)
    }

    fn failed_at(pattern: Value, object: Value) -> String {
        match matches(pattern, object) {
            Err(Mismatch::Fail(path, field)) => {
                let printed = field.to_string();
                let last = field.0.last().map(|segment| FieldPath(vec![segment.clone()]).to_string());
                assert!(last.is_some_and(|last| printed.ends_with(&last)), "{path} {printed}");
                path
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_says_where() {
        let pattern = json!({"spec": {"containers": [{"image": "*:v?"}]}});
        assert_eq!(matches(pattern.clone(), json!({"spec": {"containers": [{"image": "a:v1"}]}})), Ok(()));
        let object = json!({"spec": {"containers": [{"image": "a:v1"}, {"image": "b"}]}});
        assert_eq!(failed_at(pattern.clone(), object), "/spec/containers/1/image/");
        assert_eq!(failed_at(pattern.clone(), json!({"spec": {}})), "/spec/containers/");
        assert_eq!(failed_at(pattern.clone(), json!({})), "/spec/");
        // An empty list has nothing that could be wrong.
        assert_eq!(matches(pattern, json!({"spec": {"containers": []}})), Ok(()));
        assert_eq!(failed_at(json!({"a": {"b": "*"}}), json!({"a": {}})), "/a/");
    }

    #[test]
    fn a_condition_that_does_not_hold_skips() {
        let pattern = json!({"spec": {"(kind)": "A", "size": "<5"}});
        assert_eq!(matches(pattern.clone(), json!({"spec": {"kind": "A", "size": 4}})), Ok(()));
        assert_eq!(failed_at(pattern.clone(), json!({"spec": {"kind": "A", "size": 5}})), "/spec/size/");
        for object in [json!({"spec": {"kind": "B", "size": 5}}), json!({"spec": {"size": 5}})] {
            assert!(matches!(matches(pattern.clone(), object), Err(Mismatch::Skip(_))));
        }
        let list = json!({"l": [{"(n)": "a", "v": "1"}]});
        assert_eq!(matches(list.clone(), json!({"l": [{"n": "b", "v": "2"}, {"n": "a", "v": "1"}]})), Ok(()));
        assert_eq!(failed_at(list.clone(), json!({"l": [{"n": "b"}, {"n": "a", "v": "2"}]})), "/l/1/v/");
        assert!(matches!(matches(list, json!({"l": [{"n": "b"}]})), Err(Mismatch::Skip(_))));
    }

    #[test]
    fn the_other_anchors() {
        let equality = json!({"=(a)": {"=(b)": "false"}});
        assert_eq!(matches(equality.clone(), json!({})), Ok(()));
        assert_eq!(matches(equality.clone(), json!({"a": {"b": false}})), Ok(()));
        assert_eq!(failed_at(equality, json!({"a": {"b": true}})), "/a/b/");

        let negation = json!({"a": {"X(b)": "null"}});
        assert_eq!(matches(negation.clone(), json!({"a": {}})), Ok(()));
        assert_eq!(failed_at(negation, json!({"a": {"b": 1}})), "/a/b/");

        let existence = json!({"^(l)": [{"n": "a"}]});
        assert_eq!(matches(existence.clone(), json!({"l": [{"n": "b"}, {"n": "a"}]})), Ok(()));
        assert_eq!(failed_at(existence, json!({"l": [{"n": "b"}]})), "/l/");

        let global = json!({"spec": {"<(image)": "x/*", "secret": "s"}});
        assert!(matches!(matches(global.clone(), json!({"spec": {"image": "y/a"}})), Err(Mismatch::Skip(_))));
        assert_eq!(failed_at(global, json!({"spec": {"image": "x/a"}})), "/spec/secret/");
    }

    #[test]
    fn a_failure_after_a_missing_key_is_an_error() {
        let pattern = json!({"l": [{"(n)": "a", "v": "1"}]});
        let object = json!({"l": [{"m": 1}, {"n": "a", "v": "2"}]});
        assert_eq!(failed_at(pattern.clone(), object), "/l/1/v/");
        let pattern = json!({"a": [{"(n)": "a"}], "z": "1"});
        assert!(matches!(matches(pattern, json!({"a": [{}], "z": "2"})), Err(Mismatch::Skip(_))));
        let pattern = json!({"=(a)": {"=(b)": [{"(n)": "x"}], "=(c)": "1"}, "z": "1"});
        let object = json!({"a": {"b": [{}], "c": "1"}, "z": "2"});
        assert!(matches!(matches(pattern, object), Err(Mismatch::Error(_))));
    }

    #[test]
    fn keys_of_labels_may_hold_wildcards() {
        let pattern = json!({"metadata": {"=(annotations)": {"=(c.io/*)": "!bad", "X(x-?)": "null"}}});
        assert_eq!(matches(pattern.clone(), json!({"metadata": {}})), Ok(()));
        assert_eq!(
            matches(pattern.clone(), json!({"metadata": {"annotations": {"c.io/a": "good"}}})),
            Ok(())
        );
        for (key, value) in [("c.io/a", "bad"), ("x-1", "")] {
            let path = failed_at(pattern.clone(), json!({"metadata": {"annotations": {key: value}}}));
            assert_eq!(path.split('/').nth(3), key.split('/').next());
        }
    }
}
