//! Columns of built-in kinds.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

/// A line is a column: resource, name, type, format, priority and description. `=` and a resource and column stand
/// for what is said there. Made by `examples/table_columns.rs`.
const COLUMNS: &str = include_str!("columns.txt");

/// What is said about the time of creation.
pub(crate) const AGE_DESCRIPTION: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
/// What is said about the name.
pub(super) const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// A column's definition.
pub(super) fn column(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

/// The columns of a built-in resource, `deployments.apps`.
pub(super) fn builtin(resource: &str) -> Vec<Value> {
    match lines().get(resource) {
        Some(lines) => lines.iter().filter_map(|line| parse(line)).collect(),
        None => vec![
            column("Name", "string", "name", NAME_DESCRIPTION, 0),
            column("Created At", "date", "", AGE_DESCRIPTION, 0),
        ],
    }
}

/// The columns of a `scale` subresource.
pub(super) fn scale() -> Vec<Value> {
    vec![
        column("Name", "string", "", NAME_DESCRIPTION, 0),
        column(
            "Desired",
            "integer",
            "",
            "replicas is the desired number of instances for the scaled object.",
            0,
        ),
        column(
            "Available",
            "integer",
            "",
            "replicas is the actual number of observed instances of the scaled object.",
            0,
        ),
        column("Age", "string", "", AGE_DESCRIPTION, 0),
    ]
}

fn lines() -> &'static HashMap<&'static str, Vec<&'static str>> {
    static LINES: OnceLock<HashMap<&'static str, Vec<&'static str>>> = OnceLock::new();
    LINES.get_or_init(|| {
        let mut lines: HashMap<_, Vec<_>> = HashMap::new();
        for line in COLUMNS.lines() {
            if let Some((resource, column)) = line.split_once('\t') {
                lines.entry(resource).or_default().push(column);
            }
        }
        lines
    })
}

fn parse(line: &str) -> Option<Value> {
    let mut parts = line.split('\t');
    let (name, kind, format) = (parts.next()?, parts.next()?, parts.next()?);
    let priority = parts.next()?.parse().ok()?;
    let description: String = serde_json::from_str(resolve(parts.next()?)?).ok()?;
    Some(column(name, kind, format, &description, priority))
}

fn resolve(text: &str) -> Option<&str> {
    let Some(elsewhere) = text.strip_prefix('=') else { return Some(text) };
    let (resource, name) = elsewhere.split_once(' ')?;
    let line = lines().get(resource)?.iter().find(|line| line.split('\t').next() == Some(name))?;
    line.split('\t').nth(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_column() {
        for (resource, columns) in lines() {
            assert_eq!(builtin(resource).len(), columns.len(), "{resource}");
        }
        assert_eq!(builtin("configmaps")[0]["description"], NAME_DESCRIPTION);
        assert_eq!(builtin("configmaps")[2]["description"], AGE_DESCRIPTION);
    }
}
