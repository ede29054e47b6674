//! Places in a definition, as the server's messages name them, and the list of what is wrong there.

use std::fmt;

use serde_json::Value;

use crate::plane::status::FieldError;
use crate::schema::show;

/// A place, as a list from the leaf to the root.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    up: Option<&'a Path<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Root(&'a str),
    Child(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub const fn new(root: &'a str) -> Path<'a> {
        Path { up: None, part: Part::Root(root) }
    }

    /// `.name`
    pub fn child(&'a self, name: &'a str) -> Path<'a> {
        Path { up: Some(self), part: Part::Child(name) }
    }

    /// `[key]`
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { up: Some(self), part: Part::Key(key) }
    }

    /// `[3]`
    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path { up: Some(self), part: Part::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        match self.part {
            Part::Root(name) => f.write_str(name),
            Part::Child(name) => write!(f, ".{name}"),
            Part::Key(key) => write!(f, "[{key}]"),
            Part::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// What is wrong, in the order in which it was found.
#[derive(Default)]
pub(super) struct Errors(pub Vec<FieldError>);

impl Errors {
    fn add(&mut self, at: &Path<'_>, what: &str, detail: &str) {
        let message = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
        self.0.push(FieldError::new(at.to_string(), message));
    }

    pub fn required(&mut self, at: &Path<'_>, detail: &str) {
        self.add(at, "Required value", detail);
    }

    pub fn forbidden(&mut self, at: &Path<'_>, detail: &str) {
        self.add(at, "Forbidden", detail);
    }

    /// An invalid text.
    pub fn invalid(&mut self, at: &Path<'_>, text: &str, detail: &str) {
        self.invalid_shown(at, &show::quote(text), detail);
    }

    /// An invalid value of any type.
    pub fn invalid_value(&mut self, at: &Path<'_>, value: &Value, detail: &str) {
        self.invalid_shown(at, &show::value(value), detail);
    }

    /// An invalid value in the words that it is shown in.
    pub fn invalid_shown(&mut self, at: &Path<'_>, shown: &str, detail: &str) {
        self.add(at, &format!("Invalid value: {shown}"), detail);
    }

    pub fn not_supported(&mut self, at: &Path<'_>, text: &str, supported: &[&str]) {
        let supported: Vec<String> = supported.iter().map(|text| show::quote(text)).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        self.add(at, &format!("Unsupported value: {}", show::quote(text)), &detail);
    }

    pub fn duplicate(&mut self, at: &Path<'_>, text: &str) {
        self.add(at, &format!("Duplicate value: {}", show::quote(text)), "");
    }

    pub fn too_many(&mut self, at: &Path<'_>, count: usize, most: usize) {
        self.add(at, &format!("Too many: {count}"), &format!("must have at most {most} items"));
    }

    pub fn internal(&mut self, at: &Path<'_>, detail: &str) {
        self.add(at, "Internal error", detail);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn append(&mut self, other: Errors) {
        self.0.extend(other.0);
    }
}
