//! Which field of the object an expression is about, so that a refusal can point at it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{FieldPath, PathSegment};

/// What every object has, and no rule is about.
const COMMON: &[&str] = &["kind", "apiVersion", "metadata.deletionTimestamp", "metadata.namespace"];

/// The fields that the expressions of a list of a policy's `spec` name, themselves or by its variables.
pub(super) fn of_list(spec: &Value, list: &str) -> Vec<Option<FieldPath>> {
    let entries = |name: &str| spec[name].as_array().into_iter().flatten();
    let text = |entry: &Value| entry["expression"].as_str().unwrap_or_default().to_owned();
    let mut fields = BTreeMap::new();
    for variable in entries("variables") {
        if let (Some(name), Some(field)) =
            (variable["name"].as_str(), of_expression(&text(variable), &fields))
        {
            fields.insert(name.to_owned(), field);
        }
    }
    entries(list).map(|entry| of_expression(&text(entry), &fields)).collect()
}

/// The first field below `object` that an expression names, itself or by a variable.
pub(super) fn of_expression(text: &str, variables: &BTreeMap<String, FieldPath>) -> Option<FieldPath> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    let mut before = ' ';
    while let Some(at) = rest.find(|c: char| is_word(c)) {
        before = rest[..at].chars().next_back().unwrap_or(before);
        rest = &rest[at..];
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        // `x.object` is a field of something else.
        let found = match word {
            _ if before == '.' => None,
            "object" => Some(path(after)).filter(|keys| !keys.is_empty()),
            "variables" => path(after).first().and_then(|name| variables.get(*name)).map(keys_of),
            _ => None,
        };
        if let Some(keys) = found.filter(|keys| !COMMON.contains(&keys.join(".").as_str())) {
            return Some(FieldPath::of_keys(keys));
        }
        before = word.chars().next_back().unwrap_or(before);
        rest = after;
    }
    None
}

fn keys_of(path: &FieldPath) -> Vec<&str> {
    let mut keys = Vec::new();
    for segment in &path.0 {
        if let PathSegment::Key(key) = segment {
            keys.push(key.as_str());
        }
    }
    keys
}

/// The fields of `.a.?b.c.size()`: those that are no calls.
fn path(mut text: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    while let Some(rest) = text.strip_prefix(".?").or_else(|| text.strip_prefix('.')) {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() || after.starts_with('(') {
            break;
        }
        keys.push(key);
        text = after;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_that_is_named() {
        let variables = [("flavor".to_owned(), FieldPath::of_keys(["spec", "topology", "variables"]))].into();
        for (text, expected) in [
            ("object.spec.replicas > 3", Some("spec.replicas")),
            ("!has(object.metadata.labels) || x", Some("metadata.labels")),
            ("object.spec.?topology.version.orValue('') != ''", Some("spec.topology.version")),
            ("variables.flavor.size() > 0", Some("spec.topology.variables")),
            ("object.kind == 'A' || object.spec.a == 1", Some("spec.a")),
            ("oldObject.spec.a == request.object.b", None),
            ("object.spec['a'].b == 1", Some("spec")),
            ("object == 1", None),
        ] {
            let found = of_expression(text, &variables).map(|path| path.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
