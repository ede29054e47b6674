//! What a schema says about a value, and where in the value that is.

use crate::model::{FieldPath, PathSegment};
use crate::schema::Violation;

/// A place in a value, as a list from the leaf to the root.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    up: Option<&'a At<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    pub const ROOT: At<'static> = At { up: None, part: Part::Root };

    pub fn key(&'a self, key: &'a str) -> At<'a> {
        At { up: Some(self), part: Part::Key(key) }
    }

    pub fn index(&'a self, index: usize) -> At<'a> {
        At { up: Some(self), part: Part::Index(index) }
    }

    pub fn is_root(&self) -> bool {
        self.up.is_none()
    }

    pub fn path(&self) -> FieldPath {
        let mut parts = Vec::new();
        let mut at = Some(self);
        while let Some(here) = at {
            match here.part {
                Part::Root => {}
                Part::Key(key) => parts.push(PathSegment::Key(key.to_owned())),
                Part::Index(index) => parts.push(PathSegment::Index(index)),
            }
            at = here.up;
        }
        parts.reverse();
        FieldPath(parts)
    }

    /// `spec.list[0].name`, as the validator names it.
    pub fn name(&self) -> String {
        self.path().dotted()
    }
}

/// What a schema says about a value.
#[derive(Default)]
pub(super) struct Outcome {
    pub wrong: Vec<Violation>,
    /// How many checks went well: of several alternatives the one with most of them is told about.
    pub matched: usize,
}

impl Outcome {
    pub fn is_valid(&self) -> bool {
        self.wrong.is_empty()
    }

    pub fn merge(&mut self, other: Outcome) {
        self.wrong.extend(other.wrong);
        self.matched += other.matched;
    }

    pub fn add(&mut self, at: &At<'_>, reason: &'static str, message: String) {
        self.wrong.push(Violation { path: at.path(), reason, message });
    }

    /// `Invalid value: VALUE: NAME in body WORDS`.
    pub fn invalid(&mut self, at: &At<'_>, shown: &str, words: &str) {
        self.add(at, "FieldValueInvalid", format!("Invalid value: {shown}: {} in body {words}", at.name()));
    }

    /// A finding about alternatives, which names no field.
    pub fn composite(&mut self, at: &At<'_>, words: &str) {
        let message = format!("Invalid value: \"\": {} {words}", crate::schema::show::quote(&at.name()));
        self.wrong.push(Violation { path: FieldPath::default(), reason: "FieldValueInvalid", message });
    }
}
