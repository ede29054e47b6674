//! The table of messages: which fields a kind has, by number. A line is parsed when somebody asks for it.

use std::collections::HashMap;
use std::sync::OnceLock;

/// A message.
pub(super) struct Row {
    /// JSON has the value of the only field in its place.
    pub transparent: bool,
    fields: Vec<Field>,
}

/// A field of a message.
pub(super) struct Field {
    number: u64,
    pub name: &'static str,
    pub kind: Kind,
    pub many: Many,
    /// JSON has the fields of this message in its parent.
    pub inline: bool,
    /// JSON leaves it out when it is zero.
    pub omit_zero: bool,
}

/// Type of a field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    Whole,
    Float,
    Message(&'static str),
}

/// How many values a field has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    Map,
}

impl Row {
    pub fn field(&self, number: u64) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

struct Line {
    transparent: bool,
    fields: &'static str,
    parsed: OnceLock<Row>,
}

fn lines() -> &'static HashMap<&'static str, Line> {
    static LINES: OnceLock<HashMap<&'static str, Line>> = OnceLock::new();
    LINES.get_or_init(|| {
        include_str!("messages.txt")
            .lines()
            .map(|line| {
                let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
                let (transparent, name) = (name.ends_with('='), name.trim_end_matches('='));
                (name, Line { transparent, fields, parsed: OnceLock::new() })
            })
            .collect()
    })
}

/// A message by its short name, such as `core.v1.Pod`.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    let line = lines().get(name)?;
    Some(line.parsed.get_or_init(|| Row {
        transparent: line.transparent,
        fields: line.fields.split_whitespace().filter_map(field).collect(),
    }))
}

/// The message of a kind. Options of requests come under the version of whatever they are for.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Row> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let builtin = group == "core" || !group.contains('.') || group.ends_with(".k8s.io");
    let folder = group.split('.').next().filter(|_| builtin)?;
    row(&format!("{folder}.{version}.{kind}"))
        .or_else(|| kind.ends_with("Options").then(|| row(&format!("meta.v1.{kind}"))).flatten())
}

/// `replicas=1:i`
fn field(text: &'static str) -> Option<Field> {
    let (name, rest) = text.split_once('=')?;
    let (number, kind) = rest.split_once(':')?;
    let strip = |text: &'static str, mark: &str| match text.strip_prefix(mark) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (kind, inline) = strip(kind, "~");
    let (kind, omit_zero) = strip(kind, "?");
    let (kind, list) = strip(kind, "[]");
    let (kind, map) = strip(kind, "{}");
    let many = match (list, map) {
        (true, _) => Many::List,
        (_, true) => Many::Map,
        _ => Many::One,
    };
    let kind = match kind {
        "s" => Kind::Text,
        "y" => Kind::Bytes,
        "b" => Kind::Bool,
        "i" => Kind::Whole,
        "d" => Kind::Float,
        message => Kind::Message(message.strip_prefix('@')?),
    };
    Some(Field { number: number.parse().ok()?, name, kind, many, inline, omit_zero })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood_and_every_message_is_there() {
        for (name, line) in lines() {
            assert_eq!(
                row(name).unwrap().fields.len(),
                line.fields.split_whitespace().count(),
                "a field of {name} is not understood"
            );
            for field in &row(name).unwrap().fields {
                if let Kind::Message(other) = field.kind {
                    let special = super::super::special::read(other, &[], 8).is_some();
                    assert!(
                        special || row(other).is_some() || name.starts_with("runtime."),
                        "{name}: {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_built_in_kind_is_there() {
        for kind in crate::schema::Schemas::builtin().kinds() {
            assert!(of_kind(&kind.gvk.api_version(), &kind.gvk.kind).is_some(), "{}", kind.gvk);
        }
    }
}
