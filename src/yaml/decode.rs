//! Nodes to a JSON value: aliases, merge keys, keys of other types than text, and what JSON cannot say.

use serde_json::{Map, Number, Value};

use super::compose::{NodeId, NodeKind, Tree};
use super::error::{ErrorKind, YamlError};
use super::resolve::{self, Scalar};
use super::scanner::Mark;

/// The most nodes that aliases may bring, and the most bytes of text.
const MOST_ALIASED_NODES: usize = 100_000;
const MOST_ALIASED_BYTES: usize = 8 << 20;
/// The deepest nesting of the result, aliases followed.
const DEEPEST: usize = super::compose::DEEPEST;

/// The value of a document; `strict` refuses a key that stands twice in one mapping.
pub(super) fn decode(tree: &Tree, strict: bool) -> Result<Value, YamlError> {
    let mut decoder = Decoder::new(tree, strict);
    decoder.value(tree.root)
}

/// A key before it is text. Keys are equal when their types are, too: `1` and `"1"` are two.
#[derive(Debug, Clone, PartialEq)]
struct Key(Scalar);

struct Decoder<'t> {
    tree: &'t Tree,
    strict: bool,
    /// Aliases that are being followed.
    open: Vec<NodeId>,
    depth: usize,
    /// What aliases brought so far.
    nodes: usize,
    bytes: usize,
    /// The mappings that are merged into the one that is filled, and how many entries of each are in it.
    filling: Vec<(NodeId, usize)>,
}

impl<'t> Decoder<'t> {
    fn new(tree: &'t Tree, strict: bool) -> Decoder<'t> {
        Decoder { tree, strict, open: Vec::new(), depth: 0, nodes: 0, bytes: 0, filling: Vec::new() }
    }

    fn value(&mut self, id: NodeId) -> Result<Value, YamlError> {
        let node = self.tree.node(id);
        self.count(id)?;
        match &node.kind {
            NodeKind::Scalar { .. } => json(self.scalar(id)?, node.mark),
            NodeKind::Alias(target) => self.follow(id, |this| this.value(*target)),
            NodeKind::Sequence(items) => {
                self.descend(node.mark)?;
                let values = items.iter().map(|item| self.value(*item)).collect::<Result<Vec<_>, _>>()?;
                self.depth -= 1;
                Ok(Value::Array(values))
            }
            NodeKind::Mapping(_) => {
                let mut map = Map::new();
                let around = std::mem::take(&mut self.filling);
                let filled = self.mapping(id, &mut map);
                self.filling = around;
                filled?;
                Ok(Value::Object(map))
            }
        }
    }

    /// Aliases make the result larger than the text; that is bounded.
    fn count(&mut self, id: NodeId) -> Result<(), YamlError> {
        if self.open.is_empty() {
            return Ok(());
        }
        let node = self.tree.node(id);
        self.nodes += 1;
        if let NodeKind::Scalar { value, .. } = &node.kind {
            self.bytes += value.len();
        }
        if self.nodes > MOST_ALIASED_NODES || self.bytes > MOST_ALIASED_BYTES {
            return Err(YamlError::too_complex(node.mark, "aliases make the document too large"));
        }
        Ok(())
    }

    fn descend(&mut self, mark: Mark) -> Result<(), YamlError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(YamlError::too_complex(mark, format!("nesting is deeper than {DEEPEST}")));
        }
        Ok(())
    }

    fn follow<T>(
        &mut self,
        alias: NodeId,
        body: impl FnOnce(&mut Self) -> Result<T, YamlError>,
    ) -> Result<T, YamlError> {
        if self.open.contains(&alias) {
            return Err(YamlError::syntax(
                self.tree.node(alias).mark,
                "the value of an anchor contains itself",
            ));
        }
        self.open.push(alias);
        let result = body(self);
        self.open.pop();
        result
    }

    fn scalar(&self, id: NodeId) -> Result<Scalar, YamlError> {
        let node = self.tree.node(id);
        let NodeKind::Scalar { value, tag, plain } = &node.kind else {
            return Err(YamlError::syntax(node.mark, "a key must be a scalar"));
        };
        match tag.as_deref() {
            None if !plain => Ok(Scalar::Text(value.clone())),
            tag => resolve::resolve(value, tag).map_err(|message| YamlError::syntax(node.mark, message)),
        }
    }

    /// Puts the entries of a mapping into `map`, which may hold some already when this one is merged.
    fn mapping(&mut self, id: NodeId, map: &mut Map<String, Value>) -> Result<(), YamlError> {
        let tree = self.tree;
        let node = tree.node(id);
        let NodeKind::Mapping(entries) = &node.kind else {
            return Err(YamlError::syntax(node.mark, "only mappings can be merged"));
        };
        self.descend(node.mark)?;
        for (position, (key_id, value_id)) in entries.iter().enumerate() {
            if is_merge(tree, *key_id) {
                let before = self.filling.len();
                self.filling.push((id, position));
                self.merge(*value_id, map)?;
                self.filling.truncate(before);
                continue;
            }
            let key = self.key(*key_id)?;
            let mark = tree.node(*key_id).mark;
            let text = key_text(&key, mark)?;
            if self.strict
                && map.contains_key(&text)
                && let Some(first) = self.known(id, position, &key)
            {
                let message = format!("the key {text:?} stands twice in one mapping");
                let mut error = YamlError::new(ErrorKind::DuplicateKey, mark, message);
                error.first = Some((first.line + 1, first.column + 1));
                return Err(error);
            }
            let (depth, filling) = (self.depth, self.filling.len());
            let value = match self.value(*value_id) {
                // Only what stays in the document must be something that JSON can say.
                Err(error) if error.kind == ErrorKind::NotJson && self.is_replaced(id, position, &key) => {
                    self.depth = depth;
                    self.filling.truncate(filling);
                    continue;
                }
                value => value?,
            };
            map.insert(text, value);
        }
        self.depth -= 1;
        Ok(())
    }

    fn key(&mut self, id: NodeId) -> Result<Key, YamlError> {
        self.count(id)?;
        match &self.tree.node(id).kind {
            NodeKind::Alias(target) => self.follow(id, |this| this.key(*target)),
            _ => Ok(Key(self.scalar(id)?)),
        }
    }

    fn merge(&mut self, id: NodeId, map: &mut Map<String, Value>) -> Result<(), YamlError> {
        let tree = self.tree;
        self.count(id)?;
        match &tree.node(id).kind {
            NodeKind::Mapping(_) => self.mapping(id, map),
            NodeKind::Alias(target) => self.follow(id, |this| this.mapping(*target, map)),
            // The earlier ones win, so they come last.
            NodeKind::Sequence(items) => items.iter().rev().try_for_each(|item| {
                match &tree.node(*item).kind {
                    NodeKind::Alias(target) => self.follow(*item, |this| this.mapping(*target, map)),
                    _ => self.mapping(*item, map),
                }?;
                self.filling.push((target(tree, *item), usize::MAX));
                Ok(())
            }),
            NodeKind::Scalar { .. } => {
                Err(YamlError::syntax(tree.node(id).mark, "only mappings can be merged"))
            }
        }
    }

    /// Where an equal key stands before the entry at `position` of a mapping, or in what it is merged into.
    fn known(&mut self, id: NodeId, position: usize, key: &Key) -> Option<Mark> {
        let around = self.filling.clone();
        self.earlier(id, position, key, 0)
            .or_else(|| around.into_iter().find_map(|(id, position)| self.earlier(id, position, key, 0)))
    }

    /// Whether a later entry of a mapping has an equal key, which counts where keys may stand twice.
    fn is_replaced(&mut self, id: NodeId, position: usize, key: &Key) -> bool {
        let NodeKind::Mapping(entries) = &self.tree.node(id).kind else { return false };
        let mut later = entries.iter().skip(position + 1).filter(|(key, _)| !is_merge(self.tree, *key));
        !self.strict && later.any(|(later, _)| self.key(*later).ok().as_ref() == Some(key))
    }

    /// Where an equal key stands before the entry at `position`, merged mappings included.
    fn earlier(&mut self, id: NodeId, position: usize, key: &Key, level: usize) -> Option<Mark> {
        let tree = self.tree;
        let NodeKind::Mapping(entries) = &tree.node(id).kind else { return None };
        for (key_id, value_id) in entries.iter().take(position) {
            if !is_merge(tree, *key_id) {
                if self.key(*key_id).ok().as_ref() == Some(key) {
                    return Some(tree.node(*key_id).mark);
                }
                continue;
            }
            let merged = match &tree.node(*value_id).kind {
                NodeKind::Sequence(items) => items.clone(),
                _ => vec![*value_id],
            };
            for source in merged {
                let source = target(tree, source);
                if level < DEEPEST
                    && let Some(mark) = self.earlier(source, usize::MAX, key, level + 1)
                {
                    return Some(mark);
                }
            }
        }
        None
    }
}

/// The node that an alias stands for; other nodes stand for themselves.
pub(super) fn target(tree: &Tree, id: NodeId) -> NodeId {
    match tree.node(id).kind {
        NodeKind::Alias(target) => target,
        _ => id,
    }
}

/// Whether a key is `<<`.
pub(super) fn is_merge(tree: &Tree, id: NodeId) -> bool {
    match &tree.node(id).kind {
        NodeKind::Scalar { value, tag, plain } => {
            value == "<<" && (*plain || tag.as_deref() == Some("tag:yaml.org,2002:merge"))
        }
        _ => false,
    }
}

/// The text of a key node, as it is in the decoded value; `None` for what can be no key.
pub(super) fn key_of(tree: &Tree, id: NodeId) -> Option<String> {
    let id = target(tree, id);
    let decoder = Decoder::new(tree, false);
    key_text(&Key(decoder.scalar(id).ok()?), tree.node(id).mark).ok()
}

fn key_text(key: &Key, mark: Mark) -> Result<String, YamlError> {
    match &key.0 {
        Scalar::Text(text) => Ok(text.clone()),
        Scalar::Bool(bool) => Ok(bool.to_string()),
        Scalar::Int(int) => Ok(int.to_string()),
        Scalar::Float(float) => Ok(resolve::float_key(*float)),
        Scalar::Null => Err(YamlError::not_json(mark, "null cannot be a key")),
        Scalar::Big(_) => {
            Err(YamlError::not_json(mark, "a key is a number beyond 64 bits; put it in quotes"))
        }
    }
}

fn json(scalar: Scalar, mark: Mark) -> Result<Value, YamlError> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(bool) => Value::Bool(bool),
        Scalar::Int(int) => Value::Number(int.into()),
        Scalar::Big(int) => Value::Number(int.into()),
        Scalar::Text(text) => Value::String(text),
        Scalar::Float(float) => Value::Number(
            json_number(float)
                .ok_or_else(|| YamlError::not_json(mark, "infinity and NaN cannot be said in JSON"))?,
        ),
    })
}

/// Go writes a float without a fraction like an integer up to 10^21, and what reads JSON takes it for one if it fits.
fn json_number(float: f64) -> Option<Number> {
    if float.fract() == 0.0 && float.abs() < 1e21 {
        return serde_json::from_str(&format!("{float}")).ok();
    }
    Number::from_f64(float)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::yaml::parse;

    #[test]
    fn a_merged_key_stands_twice_if_it_is_there_already() {
        let anchors = "- &x {q: 1}\n- &y {q: 2}\n- ";
        for entries in
            ["{q: 3, <<: *x}", "{<<: *x, q: 3}", "{<<: [*x, *y]}", "{<<: *x, <<: *y}", "{<<: {q: 1}, q: 2}"]
        {
            assert!(parse(&format!("{anchors}{entries}"), true).is_err(), "{entries}");
        }
        let merged = |entries| parse(&format!("{anchors}{entries}"), false).unwrap()[2].clone();
        // Without strictness the last one counts, and of a list the first.
        assert_eq!(merged("{q: 3, <<: *x}"), json!({"q": 1}));
        assert_eq!(merged("{<<: *x, q: 3}"), json!({"q": 3}));
        assert_eq!(merged("{<<: [*x, *y]}"), json!({"q": 1}));
        let nested = parse("a: &x {q: 1}\nb: {<<: *x, c: {q: 2, <<: {r: 3}}}", true).unwrap();
        assert_eq!(nested["b"], json!({"q": 1, "c": {"q": 2, "r": 3}}));
    }

    #[test]
    fn only_what_stays_must_be_json() {
        assert_eq!(parse("a: [.nan]\na: 1", false).unwrap(), json!({"a": 1}));
        assert_eq!(parse("a: {null: 1}\na: {b: .inf}\na: 2", false).unwrap(), json!({"a": 2}));
        for bad in ["a: 1\na: [.nan]", "a: [.nan]\nb: 1", "null: 1"] {
            assert!(parse(bad, false).is_err(), "{bad}");
        }
        assert!(parse("a: .nan\na: 1", true).is_err());
    }
}
