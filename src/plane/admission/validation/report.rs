//! Errors of fields, in the order in which the real server finds them.

use serde_json::Value;

use crate::plane::status::FieldError;

/// What was found so far.
#[derive(Default)]
pub(super) struct Report {
    pub errors: Vec<FieldError>,
}

impl Report {
    fn add(&mut self, at: &str, parts: &[&str]) {
        let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        self.errors.push(FieldError::new(at, parts.join(": ")));
    }

    pub fn required(&mut self, at: &str, detail: &str) {
        self.add(at, &["Required value", detail]);
    }

    pub fn invalid(&mut self, at: &str, value: &Value, detail: &str) {
        self.add(at, &["Invalid value", &value.to_string(), detail]);
    }

    /// A text is shown as Go quotes it.
    pub fn invalid_text(&mut self, at: &str, value: &str, detail: &str) {
        self.add(at, &["Invalid value", &format!("{value:?}"), detail]);
    }

    pub fn unsupported(&mut self, at: &str, value: &str, allowed: &[&str]) {
        let allowed: Vec<String> = allowed.iter().map(|one| format!("{one:?}")).collect();
        let allowed = format!("supported values: {}", allowed.join(", "));
        self.add(at, &["Unsupported value", &format!("{value:?}"), &allowed]);
    }

    pub fn duplicate(&mut self, at: &str, value: &str) {
        self.add(at, &["Duplicate value", &format!("{value:?}")]);
    }

    pub fn forbidden(&mut self, at: &str, detail: &str) {
        self.add(at, &["Forbidden", detail]);
    }

    pub fn too_many(&mut self, at: &str, count: usize, limit: usize) {
        self.add(at, &["Too many", &count.to_string(), &format!("must have at most {limit} items")]);
    }

    /// A text that is there must be one of these.
    pub fn one_of(&mut self, at: &str, value: &Value, allowed: &[&str]) {
        match value.as_str() {
            Some(value) if allowed.contains(&value) => {}
            Some(value) => self.unsupported(at, value, allowed),
            None => {}
        }
    }
}

/// The text of a field, empty where there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The items of a list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
