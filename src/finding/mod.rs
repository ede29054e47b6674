//! The one currency for telling a person something.
//!
//! A finding is a value, not a failure: every stage returns what it understood and a list of findings beside it.
//! Codes are stable; `moin explain CODE` prints the page in [`catalog`] that belongs to each.

mod catalog;
mod display;
mod request;
mod secret;
mod spelling;

pub use catalog::{Code, Page};
pub use display::Rendered;
pub use request::ApprovalRequest;
pub use secret::{conceal, masked};
pub use spelling::{any_of, counted, nearest};

use serde::Serialize;

use crate::model::{FieldPath, ObjectId, RepoPath, SourceText};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something a person should look at; nothing is held up by it.
    Warning,
    /// Something was refused, left out or failed.
    Error,
}

/// A place in a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Location {
    /// The file.
    pub file: RepoPath,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The text of that line, unless it may hold a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is; never changes its meaning.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The object it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectId>,
    /// Where in the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// A second place, such as the first of two duplicate keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Location>,
    /// The field of the object that it is about.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written")]
    pub path: Option<FieldPath>,
    /// What is the matter, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The approval that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<ApprovalRequest>>,
}

/// A path as people write it.
fn written<S: serde::Serializer>(path: &Option<FieldPath>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Location {
    /// A line of a file, its text unknown.
    pub fn line(file: &RepoPath, line: u32) -> Location {
        Location { file: file.clone(), line, column: 1, text: None }
    }

    /// A line and column of a document, with the line's text unless the document is (or may hold) a Secret.
    /// `line` counts from 1 in the file.
    pub fn in_source(source: &SourceText, line: u32, column: u32) -> Location {
        let text = (!may_hold_secret(source.document()))
            .then(|| source.text.lines().nth(line.saturating_sub(1) as usize).map(str::to_owned))
            .flatten();
        Location { file: source.file.clone(), line, column, text }
    }
}

/// Whether a document's lines must not be shown: it is a Secret, or an encrypted one, or has no kind to tell by.
pub fn may_hold_secret(document: &str) -> bool {
    let mut kinds = document.match_indices("kind").map(|(at, key)| &document[at + key.len()..]).peekable();
    kinds.peek().is_none()
        || kinds.any(names_secret)
        || document.contains("stringData")
        || document.contains("ENC[")
}

/// Whether the value behind a `kind` begins with `Secret`, past quotes, brackets, tags and anchors.
fn names_secret(rest: &str) -> bool {
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || "\"':?{}[],-|>\\".contains(c));
        match rest.strip_prefix(['!', '&']) {
            Some(property) => rest = property.trim_start_matches(|c: char| !c.is_whitespace()),
            None => return rest.starts_with("Secret"),
        }
    }
}

impl Finding {
    /// An error of a kind.
    pub fn error(code: Code, message: impl Into<String>) -> Finding {
        Finding::new(code, Severity::Error, message)
    }

    /// A warning of a kind.
    pub fn warning(code: Code, message: impl Into<String>) -> Finding {
        Finding::new(code, Severity::Warning, message)
    }

    /// A note of a kind.
    pub fn note(code: Code, message: impl Into<String>) -> Finding {
        Finding::new(code, Severity::Note, message)
    }

    fn new(code: Code, severity: Severity, message: impl Into<String>) -> Finding {
        Finding {
            code,
            severity,
            object: None,
            location: None,
            related: None,
            path: None,
            message: message.into(),
            help: None,
            approval: None,
        }
    }

    /// About this object.
    #[must_use]
    pub fn about(mut self, object: &ObjectId) -> Finding {
        self.object = Some(object.clone());
        self
    }

    /// At this place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Finding {
        self.location = Some(location);
        self
    }

    /// About this field of the object; one about the whole object names none.
    #[must_use]
    pub fn field(mut self, path: &FieldPath) -> Finding {
        self.path = Some(path.clone()).filter(|path| !path.0.is_empty());
        self
    }

    /// With a second place.
    #[must_use]
    pub fn related(mut self, location: Location) -> Finding {
        self.related = Some(location);
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    /// With the approval that it waits for.
    #[must_use]
    pub fn asks(mut self, approval: ApprovalRequest) -> Finding {
        self.approval = Some(Box::new(approval));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_however_it_is_written() {
        for secret in [
            "apiVersion: v1\nkind: Secret\n",
            r#"{"apiVersion":"v1","kind":"Secret","data":{}}"#,
            "kind: !!str 'Secret'",
            "kind: &k\n  Secret",
            "? kind\n: Secret\n",
            "kind: List\nitems:\n- kind: Secret\n",
            "kind: ConfigMap\ndata: {a: \"ENC[AES256_GCM,data:x]\"}",
            "password: broken",
        ] {
            assert!(may_hold_secret(secret), "{secret}");
        }
        assert!(!may_hold_secret("kind: Deployment\nspec: {imagePullSecrets: []}\n"));
    }
}
