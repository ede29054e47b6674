//! A file with many documents: each is read for itself, so that a broken one hides no other.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::finding::{Code, Finding, Location};
use crate::model::{RepoPath, SourceText};

use super::compose::Tree;
use super::decode;
use super::error::{ErrorKind, YamlError};

/// A document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its content.
    pub value: Value,
    /// Its text and where that stands.
    pub source: SourceText,
    /// Line of its first node in the file, from 1.
    pub line: u32,
}

/// The documents of a file, in order. Empty ones are left out; one that cannot be read, or that holds a key twice,
/// is a finding in its place.
pub fn read(file: &RepoPath, bytes: &[u8]) -> Vec<Result<Document, Finding>> {
    let (text, broken) = decode_utf8(bytes);
    let text: Arc<str> = text.into();
    split(&text)
        .into_iter()
        .filter_map(|(range, line)| {
            let bad_byte = broken.iter().find(|at| range.contains(at)).copied();
            let source = SourceText { file: file.clone(), text: text.clone(), range, line };
            match bad_byte {
                Some(at) => Some(Err(not_utf8(&source, at))),
                None => read_one(source),
            }
        })
        .collect()
}

fn read_one(source: SourceText) -> Option<Result<Document, Finding>> {
    let tree = match Tree::of(source.document()) {
        Ok(None) => return None,
        Ok(Some(tree)) => tree,
        Err(error) => return Some(Err(finding(&source, &error))),
    };
    if let Some(mark) = tree.rest {
        let error = YamlError::syntax(mark, "this stands behind the end of the document");
        return Some(Err(finding(&source, &error)));
    }
    match decode::decode(&tree, true) {
        Ok(Value::Null) => None,
        Ok(value) => {
            let line = source.line + tree.node(tree.root).mark.line;
            Some(Ok(Document { value, source, line }))
        }
        Err(error) => Some(Err(finding(&source, &error))),
    }
}

fn finding(source: &SourceText, error: &YamlError) -> Finding {
    let place =
        |line: u32, column: u32| Location::in_source(source, source.line.saturating_add(line) - 1, column);
    let code = match error.kind {
        ErrorKind::Invalid => Code::BrokenYaml,
        ErrorKind::DuplicateKey => Code::DuplicateKey,
        ErrorKind::TooComplex => Code::TooComplex,
    };
    let finding = Finding::error(code, error.message.clone()).at(place(error.line, error.column));
    match error.first {
        Some((line, column)) => finding.related(place(line, column)),
        None => finding,
    }
}

fn not_utf8(source: &SourceText, at: usize) -> Finding {
    let before = &source.text[source.range.start..at];
    let line = source.line + u32::try_from(before.matches('\n').count()).unwrap_or(u32::MAX);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mut location = Location::line(&source.file, line);
    location.column = u32::try_from(column).unwrap_or(u32::MAX);
    Finding::error(Code::BrokenYaml, "the document is not UTF-8").at(location)
}

/// The text, and the places in it where bytes were no UTF-8.
fn decode_utf8(bytes: &[u8]) -> (String, Vec<usize>) {
    let (mut text, mut broken) = (String::with_capacity(bytes.len()), Vec::new());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            broken.push(text.len());
            text.push('\u{fffd}');
        }
    }
    (text, broken)
}

/// The byte range and first line of each document: a `---` at the beginning of a line begins one, a `...` ends one.
/// Neither can be part of a value there, so this needs no reading. Directives belong to the `---` after them.
fn split(text: &str) -> Vec<(Range<usize>, u32)> {
    let mut documents = Vec::new();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (mut start, mut start_line, mut line) = (at, 1, 0u32);
    let mut only_head = true;
    for piece in text[at..].split_inclusive('\n') {
        line += 1;
        let begins = indicator(piece, "---");
        if begins && !(only_head && has_directive(&text[start..at])) {
            documents.push((start..at, start_line));
            (start, start_line) = (at, line);
        }
        at += piece.len();
        if indicator(piece, "...") {
            documents.push((start..at, start_line));
            (start, start_line, only_head) = (at, line + 1, true);
        } else {
            let head = piece.starts_with(['#', '%']) || piece.trim().is_empty();
            only_head = !begins && only_head && head;
        }
    }
    documents.push((start..at, start_line));
    documents.retain(|(range, _)| !range.is_empty());
    documents
}

fn indicator(line: &str, mark: &str) -> bool {
    line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn has_directive(head: &str) -> bool {
    head.lines().any(|line| line.starts_with('%'))
}
