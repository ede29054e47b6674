//! What can be wrong with a document.

use std::fmt;

use super::scanner::Mark;

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not YAML.
    Invalid,
    /// YAML that JSON could not say.
    NotJson,
    /// A key stands twice in one mapping.
    DuplicateKey,
    /// A limit of the reader is exceeded.
    TooComplex,
}

/// Why a document could not be read, and where: lines and columns count from 1 in the text that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// What kind of mistake it is.
    pub kind: ErrorKind,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Line and column of the first of two equal keys.
    pub first: Option<(u32, u32)>,
    /// What is wrong.
    pub message: String,
}

impl YamlError {
    pub(super) fn new(kind: ErrorKind, mark: Mark, message: impl Into<String>) -> YamlError {
        YamlError { kind, line: mark.line + 1, column: mark.column + 1, first: None, message: message.into() }
    }

    pub(super) fn syntax(mark: Mark, message: impl Into<String>) -> YamlError {
        YamlError::new(ErrorKind::Invalid, mark, message)
    }

    pub(super) fn not_json(mark: Mark, message: impl Into<String>) -> YamlError {
        YamlError::new(ErrorKind::NotJson, mark, message)
    }

    pub(super) fn too_complex(mark: Mark, message: impl Into<String>) -> YamlError {
        YamlError::new(ErrorKind::TooComplex, mark, message)
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for YamlError {}

/// Refuses characters that YAML does not allow, wherever they stand.
pub(super) fn check_characters(text: &str) -> Result<(), YamlError> {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
    };
    // Most text is printable ASCII: look closely only where it is not.
    if text.bytes().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        return Ok(());
    }
    let mut mark = Mark::default();
    for c in text.chars() {
        if !allowed(c) {
            return Err(YamlError::syntax(mark, format!("the control character {:?} is not allowed", c)));
        }
        if c == '\n' {
            mark.line += 1;
            mark.column = 0;
        } else {
            mark.column += 1;
        }
    }
    Ok(())
}
