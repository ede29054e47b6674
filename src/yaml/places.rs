//! Where a field of an object stands in its file.

use crate::finding::Location;
use crate::model::{FieldPath, PathSegment, SourceText};

use super::compose::{NodeId, NodeKind, Tree};
use super::decode;
use super::scanner::Mark;

/// The places of one document's nodes, found by reading that document again.
#[derive(Debug)]
pub struct Places {
    source: SourceText,
    tree: Option<Tree>,
}

impl Places {
    /// Of a document. One that cannot be read has its first line as the place of everything.
    pub fn of(source: &SourceText) -> Places {
        let tree = Tree::of(source.document()).ok().flatten();
        Places { source: source.clone(), tree }
    }

    /// Where the field at `path` stands: its key, or the item of a list. Where the path leads nowhere, the nearest
    /// ancestor that is there.
    pub fn locate(&self, path: &FieldPath) -> Location {
        let Some(tree) = &self.tree else {
            return Location::in_source(&self.source, self.source.line, 1);
        };
        let mut mark = tree.node(tree.root).mark;
        let mut node = Some(tree.root);
        for segment in &path.0 {
            let Some((place, child)) = node.and_then(|node| child(tree, node, segment, 0)) else { break };
            (mark, node) = (place, Some(child));
        }
        self.location(mark)
    }

    fn location(&self, mark: Mark) -> Location {
        Location::in_source(&self.source, self.source.line + mark.line, mark.column + 1)
    }
}

/// Where the field at `path` stands; see [`Places::locate`].
pub fn locate(source: &SourceText, path: &FieldPath) -> Location {
    Places::of(source).locate(path)
}

/// The place of one step and the node that it leads to; the last of equal keys, as in the decoded value.
fn child(tree: &Tree, node: NodeId, segment: &PathSegment, level: usize) -> Option<(Mark, NodeId)> {
    match (&tree.node(decode::target(tree, node)).kind, segment) {
        (NodeKind::Sequence(items), PathSegment::Index(index)) => {
            items.get(*index).map(|item| (tree.node(*item).mark, *item))
        }
        (NodeKind::Mapping(entries), PathSegment::Key(wanted)) => {
            entries.iter().rev().find_map(|(key, value)| {
                if decode::is_merge(tree, *key) {
                    return (level < 32).then(|| merged(tree, *value, segment, level + 1)).flatten();
                }
                (decode::key_of(tree, *key).as_deref() == Some(wanted))
                    .then(|| (tree.node(*key).mark, *value))
            })
        }
        _ => None,
    }
}

fn merged(tree: &Tree, node: NodeId, segment: &PathSegment, level: usize) -> Option<(Mark, NodeId)> {
    match &tree.node(node).kind {
        NodeKind::Sequence(items) => items.iter().find_map(|item| child(tree, *item, segment, level)),
        _ => child(tree, node, segment, level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_its_line_and_column() {
        let text = "# head\na: 1\n---\nspec:\n  list:\n  - name: x\n    é: {k: [1, two]}\n";
        let start = text.find("---").unwrap();
        let source = SourceText {
            file: "f.yaml".parse().unwrap(),
            text: text.into(),
            range: start..text.len(),
            line: 3,
        };
        let at = |path: FieldPath| {
            let location = locate(&source, &path);
            (location.line, location.column)
        };
        let item = FieldPath::of_keys(["spec", "list"]).index(0);
        assert_eq!(at(FieldPath::default()), (4, 1));
        assert_eq!(at(FieldPath::of_keys(["spec", "list"])), (5, 3));
        assert_eq!(at(item.key("name")), (6, 5));
        assert_eq!(at(item.key("é").key("k").index(1)), (7, 16));
        assert_eq!(at(item.key("absent").key("deeper")), (6, 5));
    }

    #[test]
    fn merged_fields_are_found_where_they_are_written() {
        let text = "base: &b\n  x: 1\nc:\n  <<: *b\n  z: 2\n";
        let source =
            SourceText { file: "f".parse().unwrap(), text: text.into(), range: 0..text.len(), line: 1 };
        assert_eq!(locate(&source, &FieldPath::of_keys(["c", "x"])).line, 2);
        assert_eq!(locate(&source, &FieldPath::of_keys(["c", "z"])).line, 5);
    }
}
