//! Where a walk over a value is, without a path being built for every node that nothing is said of.

use std::fmt;

use crate::model::{FieldPath, PathSegment};

/// A place in a value: the node that it is in, and the step from there.
#[derive(Clone, Copy)]
pub(super) struct At<'a>(Place<'a>);

#[derive(Clone, Copy)]
enum Place<'a> {
    Whole,
    Path(&'a FieldPath),
    In(&'a At<'a>, Step<'a>),
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl At<'static> {
    /// The whole value.
    pub const WHOLE: At<'static> = At(Place::Whole);
}

impl<'a> At<'a> {
    /// The value at a path.
    pub fn of(path: &'a FieldPath) -> At<'a> {
        At(Place::Path(path))
    }

    /// The value under a key.
    pub fn key(&'a self, key: &'a str) -> At<'a> {
        At(Place::In(self, Step::Key(key)))
    }

    /// An item.
    pub fn index(&'a self, index: usize) -> At<'a> {
        At(Place::In(self, Step::Index(index)))
    }

    /// As a path.
    pub fn path(&self) -> FieldPath {
        let (before, step) = match self.0 {
            Place::Whole => return FieldPath::default(),
            Place::Path(path) => return path.clone(),
            Place::In(before, step) => (before, step),
        };
        let mut path = before.path();
        path.0.push(match step {
            Step::Key(key) => PathSegment::Key(key.to_owned()),
            Step::Index(index) => PathSegment::Index(index),
        });
        path
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().fmt(f)
    }
}
