//! A file with many documents: each is read for itself, so that a broken one hides no other.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::finding::{Code, Finding, Location};
use crate::model::{Gvk, IdError, Manifest, ObjectId, Origin, RepoPath, SourceText, UnitName};

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

impl Document {
    /// The object as it stands here: of the root unit, and of no layer, rule or tenant.
    ///
    /// # Errors
    /// [`IdError`] when apiVersion, kind or metadata.name is missing.
    pub fn into_manifest(self) -> Result<Manifest, IdError> {
        Ok(Manifest {
            id: ObjectId::of(&self.value)?,
            gvk: Gvk::of(&self.value)?,
            body: Arc::new(self.value),
            origin: Origin {
                source: self.source,
                line: self.line,
                layer: None,
                overlays: Vec::new(),
                rule: None,
                tenant: None,
            },
            unit: UnitName::root(),
        })
    }
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
        ErrorKind::Invalid | ErrorKind::NotJson => Code::BrokenYaml,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(text: &str) -> Vec<Result<Document, Finding>> {
        read(&"f.yaml".parse().unwrap(), text.as_bytes())
    }

    fn lines(text: &str) -> Vec<Result<(Value, u32), (Code, u32)>> {
        read_text(text)
            .into_iter()
            .map(|result| match result {
                Ok(document) => Ok((document.value, document.line)),
                Err(finding) => Err((finding.code, finding.location.unwrap().line)),
            })
            .collect()
    }

    #[test]
    fn a_broken_document_hides_no_other() {
        let text = "a: 1\n---\nb: [\n---\nc: 3\n---\n d: 1\n e: 'x\n---\nf: 1\nf: 2\n--- # last\ng: 7";
        assert_eq!(
            lines(text),
            [
                Ok((json!({"a": 1}), 1)),
                Err((Code::BrokenYaml, 4)),
                Ok((json!({"c": 3}), 5)),
                Err((Code::BrokenYaml, 8)),
                Err((Code::DuplicateKey, 11)),
                Ok((json!({"g": 7}), 13)),
            ]
        );
    }

    #[test]
    fn empty_documents_are_left_out_and_marks_of_other_systems_are_understood() {
        assert_eq!(lines(""), []);
        assert_eq!(lines("\u{feff}# only a comment\n---\n---\n\n--- ~\n...\n"), []);
        assert_eq!(
            lines("\u{feff}a: 1\r\n---\r\nb:\r\n- 2\r\n...\r\n"),
            [Ok((json!({"a": 1}), 1)), Ok((json!({"b": [2]}), 3)),]
        );
        assert_eq!(
            lines("%TAG !e! tag:e,1:\n---\na: !e!x 1\n...\n%YAML 1.1\n---\nb: 2"),
            [Ok((json!({"a": "1"}), 3)), Ok((json!({"b": 2}), 7)),]
        );
        // Neither mark counts where text goes on.
        assert_eq!(
            lines("a: |\n  ---\n  ...\nb: ---x\n"),
            [Ok((json!({"a": "---\n...\n", "b": "---x"}), 1))]
        );
    }

    #[test]
    fn ranges_are_each_documents_own_text() {
        let documents = read_text("a: 1\n---\n# of b\nb: 2\n---\nc: 3\n");
        let texts: Vec<_> = documents.iter().map(|d| d.as_ref().unwrap().source.document()).collect();
        assert_eq!(texts, ["a: 1\n", "---\n# of b\nb: 2\n", "---\nc: 3\n"]);
        let source = &documents[1].as_ref().unwrap().source;
        assert_eq!((source.line, documents[1].as_ref().unwrap().line), (2, 4));
    }

    #[test]
    fn both_lines_of_a_duplicate_key_are_named() {
        let finding = read_text("x: 0\n---\nkind:\n  b: 1\n  c: 2\n  b: 3\n").remove(1).unwrap_err();
        assert_eq!(finding.code, Code::DuplicateKey);
        let (second, first) = (finding.location.unwrap(), finding.related.unwrap());
        assert_eq!((second.line, second.column, first.line, first.column), (6, 3, 4, 3));
        assert_eq!(second.text.as_deref(), Some("  b: 3"));
    }

    #[test]
    fn the_text_of_a_secret_is_never_shown() {
        for text in [
            "kind: Secret\nstringData:\n  p: hunter2\n  p: hunter2\n",
            "apiVersion: v1\nkind: Secret\ndata: {p: hunter2\n",
            "password: 'hunter2\nkind: Secret\n",
            "x: ENC[AES256_GCM,data:hunter2]\nx: 1\n",
        ] {
            let finding = read_text(text).remove(0).unwrap_err();
            assert!(!finding.to_string().contains("hunter2"), "{finding}");
            assert_eq!(finding.location.unwrap().text, None);
        }
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_document_alone() {
        let results = read(&"f".parse().unwrap(), b"a: 1\n---\nb: \xff\n---\nc: 3\n");
        assert_eq!(results.len(), 3);
        let location = results[1].as_ref().unwrap_err().location.clone().unwrap();
        assert_eq!((location.line, location.column), (3, 4));
        assert_eq!(results[2].as_ref().unwrap().value, json!({"c": 3}));
    }

    #[test]
    fn bombs_are_refused_quickly() {
        let began = std::time::Instant::now();
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for i in 1..12 {
            let item = format!("*a{}", i - 1);
            laughs.push_str(&format!("a{i}: &a{i} [{}]\n", [item.as_str(); 9].join(", ")));
        }
        let mut texts = format!("a: &a \"{}\"\nb:\n", "x".repeat(1 << 20));
        texts.push_str(&"- *a\n".repeat(1000));
        let merges = (1..40).fold("m0: &m0 {a: 1}\n".to_owned(), |text, i| {
            text + &format!("m{i}: &m{i}\n  <<: [*m{p}, *m{p}]\n", p = i - 1)
        });
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let block = (0..3000).fold(String::new(), |text, i| text + &" ".repeat(i) + "a:\n");
        let long = format!("a: {}", "x".repeat(9 << 20));
        // Strictly read, the second merge of a mapping brings keys that stand there already.
        assert_eq!(crate::yaml::parse(&merges, false).unwrap_err().kind, ErrorKind::TooComplex);
        for bomb in [laughs, texts, nested, block, long] {
            let results = read_text(&bomb);
            assert_eq!(results.len(), 1);
            assert_eq!(results[0].as_ref().unwrap_err().code, Code::TooComplex, "{:.40}", bomb);
        }
        let circle = read_text("a: &a [*a]\n");
        assert_eq!(circle[0].as_ref().unwrap_err().code, Code::BrokenYaml);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
