//! Fields that a definition names by path: those that selectors may name, and those that rules speak about.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::{Additional, Node};
use super::path::{Errors, Path};

/// The most fields that a version may make selectable.
const MOST: usize = 8;

/// Where a path leads, and what stands there.
pub(super) struct Found<'a> {
    /// The path as the server writes it, such as `spec.a[b]`.
    pub path: String,
    root: String,
    schema: Option<Node<'a>>,
}

pub(super) fn validate(
    fields: &[Value],
    schema: Option<Node<'_>>,
    at: &Path<'_>,
    allow_many: bool,
    errors: &mut Errors,
) {
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let path = field["jsonPath"].as_str().unwrap_or_default();
        let at = at.index(index);
        let at = at.child("jsonPath");
        if path.is_empty() {
            errors.required(&at, "");
            continue;
        }
        let found = match schema.map(|schema| find(path, schema, false)) {
            Some(Ok(found)) => found,
            Some(Err(why)) => {
                errors.invalid(&at, path, &format!("is an invalid path: {why}"));
                continue;
            }
            None => continue,
        };
        if found.root == "metadata" {
            errors.invalid(&at, path, "must not point to fields in metadata");
        }
        let kind = found.schema.map(Node::kind).unwrap_or_default();
        if !matches!(kind, "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.invalid(&at, path, why);
        }
        if !seen.insert(found.path) {
            errors.duplicate(&at, path);
        }
    }
    if seen.len() > MOST && !allow_many {
        errors.too_many(at, seen.len(), MOST);
    }
}

/// Follows a path of fields and keys through a schema; why it leads nowhere.
pub(super) fn find<'a>(path: &str, schema: Node<'a>, brackets: bool) -> Result<Found<'a>, String> {
    let mut found = Found { path: String::new(), root: String::new(), schema: Some(schema) };
    let tokens = tokens(path);
    let mut tokens = tokens.iter().copied();
    let end = || "unexpected end of JSON path".to_owned();
    while let Some(token) = tokens.next() {
        let quoted = match token {
            "[" if !brackets => return Err("array notation is not allowed".to_owned()),
            "[" => true,
            "." => false,
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        let token = tokens.next().ok_or_else(end)?;
        let name = if quoted {
            let inside =
                token.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).filter(|_| token.len() > 1);
            unescape(inside.ok_or_else(|| format!("expected single quoted string but got {token}"))?)?
        } else {
            token.to_owned()
        };
        found.step(&name)?;
        if quoted {
            match tokens.next().ok_or_else(end)? {
                "]" => {}
                other => return Err(format!("expected ] but got {other}")),
            }
        }
    }
    Ok(found)
}

impl Found<'_> {
    fn step(&mut self, name: &str) -> Result<(), String> {
        let nowhere = || "does not refer to a valid field".to_owned();
        let schema = self.schema.ok_or_else(nowhere)?;
        if schema.says("properties") {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(name);
            self.schema = Some(schema.property(name).ok_or_else(nowhere)?);
        } else {
            self.schema = match schema.additional("additionalProperties").ok_or_else(nowhere)? {
                Additional::Schema(values) => Some(values),
                Additional::Allowed(_) => None,
            };
            self.path.push_str(&format!("[{name}]"));
        }
        if self.root.is_empty() {
            name.clone_into(&mut self.root);
        }
        Ok(())
    }
}

/// The delimiters `.`, `[` and `]`, and what stands between them; quoted text is one token.
fn tokens(path: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let bytes = rest.as_bytes();
        let end = if bytes[0] == b'\'' {
            (1..bytes.len())
                .find(|at| bytes[*at] == b'\'' && bytes[at - 1] != b'\\')
                .map_or(rest.len(), |at| at + 1)
        } else if matches!(bytes[0], b'.' | b'[' | b']') {
            1
        } else {
            rest.find(['.', '[', ']']).unwrap_or(rest.len())
        };
        tokens.push(&rest[..end]);
        rest = &rest[end..];
    }
    tokens
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some(c @ ('\'' | '\\')) => out.push(c),
            Some(c) => return Err(format!("invalid string literal: invalid escape char \\{c}")),
            None => out.push('\\'),
        }
    }
    Ok(out)
}
