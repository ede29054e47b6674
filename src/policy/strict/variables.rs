//! Variables that nobody defines: `{{ }}` that no object could ever fill.

use serde_json::Value;

use super::super::reader::{CompileError, Reader};
use crate::expr::wildcard;

/// What every rule knows, by the text that such an expression holds.
const KNOWN: [&str; 7] =
    ["request.", "element", "@", "images", "image.", "serviceAccountName", "serviceAccountNamespace"];

/// Adds each variable of a rule that is neither known to every rule nor defined by a context of this one. Looked at is
/// what Kyverno looks at: variables without braces in them. A call of a function may hold anything.
pub(super) fn of_rule(rule: &Reader<'_>, errors: &mut Vec<CompileError>) {
    let has_targets = rule.value["mutate"]["targets"].is_array();
    check(rule, has_targets, errors);
}

/// The same of a policy whose `target` is what it selects.
pub(super) fn of_targets(spec: &Reader<'_>, errors: &mut Vec<CompileError>) {
    check(spec, true, errors);
}

fn check(rule: &Reader<'_>, has_targets: bool, errors: &mut Vec<CompileError>) {
    let mut defined = Vec::new();
    names(rule.value, &mut defined);
    texts(rule, &mut |reader, text| {
        for variable in innermost(text) {
            let known = KNOWN.iter().any(|part| variable.contains(part))
                || has_targets && variable.contains("target")
                || calls(variable)
                || is_literal(variable)
                || defined.iter().any(|name| wildcard::matches(&format!("{name}*"), variable));
            if !known {
                errors.push(reader.error(format!("the variable {{{{ {variable} }}}} is not defined")));
            }
        }
    });
}

/// Names that contexts define, wherever they stand in the rule.
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for entry in map.get("context").and_then(Value::as_array).into_iter().flatten() {
                found.extend(entry["name"].as_str().map(str::to_owned));
            }
            map.values().for_each(|value| names(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

fn texts(reader: &Reader<'_>, visit: &mut impl FnMut(&Reader<'_>, &str)) {
    match reader.value {
        Value::String(text) => visit(reader, text),
        Value::Array(_) => reader.items().unwrap_or_default().iter().for_each(|item| texts(item, visit)),
        Value::Object(map) => {
            for (key, value) in map {
                let inner = Reader::new(value, reader.path.key(key));
                visit(&inner, key);
                texts(&inner, visit);
            }
        }
        _ => {}
    }
}

/// Variables that hold no others and no braces; one that is escaped is text.
fn innermost(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let escaped = rest[..open].ends_with('\\');
        let inner = &rest[open + 2..];
        match (inner.find("}}"), inner.find('{')) {
            (Some(close), brace) if brace.is_none_or(|brace| brace > close) => {
                let variable = inner[..close].trim_start_matches('-').trim();
                if !escaped && !variable.contains('}') && !variable.is_empty() {
                    found.push(variable);
                }
                rest = &inner[close + 2..];
            }
            (_, Some(brace)) => rest = &inner[brace..],
            _ => break,
        }
    }
    found
}

/// Whether a function is called in an expression.
fn calls(variable: &str) -> bool {
    variable.match_indices('(').any(|(at, _)| {
        variable[..at].ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

/// A literal, a text or a list needs nothing.
fn is_literal(variable: &str) -> bool {
    variable.starts_with(['`', '\'', '"', '['])
}
