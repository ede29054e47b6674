//! Sets of paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{Path, PathElement};

/// A set of paths into an object: what a manager owns. A path being in it says nothing of paths below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<PathElement, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> FieldSet {
        FieldSet::default()
    }

    /// A set of paths.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a [PathElement]>) -> FieldSet {
        let mut set = FieldSet::new();
        paths.into_iter().for_each(|path| set.insert(path));
        set
    }

    /// A set of paths of fields alone: `[["status"], ["metadata", "labels"]]`.
    pub fn of_fields<'a, P: IntoIterator<Item = &'a str>>(paths: impl IntoIterator<Item = P>) -> FieldSet {
        let mut set = FieldSet::new();
        for path in paths {
            let path: Path = path.into_iter().map(|name| PathElement::Field(name.to_owned())).collect();
            set.insert(&path);
        }
        set
    }

    /// From the `fieldsV1` of a managed-fields entry. What it does not understand it leaves out.
    pub fn from_fields_v1(fields: &Value) -> FieldSet {
        let mut set = FieldSet::new();
        for (key, below) in fields.as_object().into_iter().flatten() {
            if let Some(element) = PathElement::parse(key) {
                let empty = below.as_object().is_none_or(Map::is_empty);
                let member = empty || below.get(".").is_some();
                let node = Node { member, below: FieldSet::from_fields_v1(below) };
                if !node.is_empty() {
                    set.nodes.insert(element, node);
                }
            }
        }
        set
    }

    /// As the `fieldsV1` of a managed-fields entry.
    pub fn to_fields_v1(&self) -> Value {
        let entry = |(element, node): (&PathElement, &Node)| {
            let mut below = node.below.to_fields_v1();
            if node.member && !node.below.is_empty() {
                below["."] = Value::Object(Map::new());
            }
            (element.encode(), below)
        };
        Value::Object(self.nodes.iter().map(entry).collect())
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of paths.
    pub fn len(&self) -> usize {
        self.nodes.values().map(|node| usize::from(node.member) + node.below.len()).sum()
    }

    /// Adds a path; the empty path is no field and stays out.
    pub fn insert(&mut self, path: &[PathElement]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.nodes.entry(first.clone()).or_default();
            match rest {
                [] => node.member = true,
                _ => node.below.insert(rest),
            }
        }
    }

    /// Adds a path of one element.
    pub(super) fn insert_element(&mut self, element: PathElement) {
        self.nodes.entry(element).or_default().member = true;
    }

    /// Adds all paths of a set below an element.
    pub(super) fn insert_below(&mut self, element: PathElement, below: FieldSet) {
        if !below.is_empty() {
            let node = self.nodes.entry(element).or_default();
            node.below = std::mem::take(&mut node.below).union(below);
        }
    }

    /// Adds an element, if it is a member, and all paths of a set below it.
    pub(super) fn insert_whole(&mut self, element: PathElement, member: bool, below: FieldSet) {
        if member || !below.is_empty() {
            let node = self.nodes.entry(element).or_default();
            node.member |= member;
            node.below = std::mem::take(&mut node.below).union(below);
        }
    }

    /// Whether a path is in it.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path.split_first() {
            None => false,
            Some((first, rest)) => self.nodes.get(first).is_some_and(|node| match rest {
                [] => node.member,
                _ => node.below.contains(rest),
            }),
        }
    }

    /// Whether a path of one element is in it.
    pub(super) fn has(&self, element: &PathElement) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// The paths below an element.
    pub fn below(&self, element: &PathElement) -> Option<&FieldSet> {
        self.nodes.get(element).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// The first elements of its paths, whether the element itself is a path of it, and what is below.
    pub(super) fn elements(&self) -> impl Iterator<Item = (&PathElement, bool, &FieldSet)> {
        self.nodes.iter().map(|(element, node)| (element, node.member, &node.below))
    }

    /// Paths of either.
    pub fn union(self, other: FieldSet) -> FieldSet {
        if self.is_empty() {
            return other;
        }
        let mut nodes = self.nodes;
        for (element, node) in other.nodes {
            let mine = nodes.entry(element).or_default();
            mine.member |= node.member;
            mine.below = std::mem::take(&mut mine.below).union(node.below);
        }
        FieldSet { nodes }
    }

    /// Paths of both.
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        self.combine(|element, node| {
            let Some(theirs) = other.nodes.get(element) else { return Node::default() };
            Node { member: node.member && theirs.member, below: node.below.intersection(&theirs.below) }
        })
    }

    /// Paths of this that are not in the other.
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        self.combine(|element, node| match other.nodes.get(element) {
            None => node.clone(),
            Some(theirs) => {
                Node { member: node.member && !theirs.member, below: node.below.difference(&theirs.below) }
            }
        })
    }

    /// Paths of this that are neither in the other nor below a path of it.
    pub fn without(&self, other: &FieldSet) -> FieldSet {
        self.combine(|element, node| match other.nodes.get(element) {
            None => node.clone(),
            Some(theirs) if theirs.member => Node::default(),
            Some(theirs) => Node { member: node.member, below: node.below.without(&theirs.below) },
        })
    }

    fn combine(&self, keep: impl Fn(&PathElement, &Node) -> Node) -> FieldSet {
        let kept = self.nodes.iter().map(|(element, node)| (element, keep(element, node)));
        let kept = kept.filter(|(_, node)| !node.is_empty());
        FieldSet { nodes: kept.map(|(element, node)| (element.clone(), node)).collect() }
    }

    /// All paths: those of a level before those below it, each level in its order.
    pub fn paths(&self) -> Vec<Path> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect(&self, prefix: &mut Path, found: &mut Vec<Path>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            let mut path = prefix.clone();
            path.push(element.clone());
            found.push(path);
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.below.collect(prefix, found);
            prefix.pop();
        }
    }
}
