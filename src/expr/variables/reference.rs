//! `$(./../key)`: a text stands for another text of the same policy value. Resolved before anything is known of an
//! object, so while compiling.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::TemplateError;
use crate::expr::jmespath::ExprError;
use crate::model::{FieldPath, PathSegment};

static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[^\\])(\$\([^\n][^ ]*\))").expect("a fixed expression"));
static ESCAPED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\\(\$\([^\n][^ ]*\))").expect("a fixed expression"));

/// A value with its references resolved.
pub(super) fn resolve(value: &Value) -> Result<Value, TemplateError> {
    if has_reference(value) { walk(value, value, &FieldPath::default()) } else { Ok(value.clone()) }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("$("),
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains("$(") || has_reference(value)),
        _ => false,
    }
}

fn walk(root: &Value, value: &Value, path: &FieldPath) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => Value::String(replace(root, text, path)?),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(at, item)| walk(root, item, &path.index(at)))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => {
            let mut resolved = Map::new();
            for (key, item) in map {
                let at = path.key(key);
                resolved.insert(replace(root, key, &at)?, walk(root, item, &at)?);
            }
            Value::Object(resolved)
        }
        plain => plain.clone(),
    })
}

fn replace(root: &Value, text: &str, path: &FieldPath) -> Result<String, TemplateError> {
    if !text.contains("$(") {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    let mut end = 0;
    for found in REFERENCE.captures_iter(text).filter_map(|c| c.get(1)) {
        let target = target(root, found.as_str(), path).map_err(|message| TemplateError {
            path: path.clone(),
            expression: found.as_str().to_owned(),
            error: ExprError::new(0, message),
        })?;
        out.push_str(&text[end..found.start()]);
        out.push_str(&target);
        end = found.end();
    }
    out.push_str(&text[end..]);
    Ok(ESCAPED.replace_all(&out, "$1").into_owned())
}

/// The text a reference stands for; an operator before the path is kept before the text.
fn target(root: &Value, reference: &str, path: &FieldPath) -> Result<String, String> {
    let inner = reference.trim_matches(['$', '(', ')']);
    let sign = [">=", "<=", ">", "<", "!"].into_iter().find(|sign| inner.starts_with(sign)).unwrap_or("");
    let segments = absolute(&inner[sign.len()..], path)?;
    match (find(root, &segments), sign) {
        (Some(Value::String(text)), _) => Ok(format!("{sign}{text}")),
        (Some(Value::Number(number)), sign) if !sign.is_empty() => {
            Ok(format!("{sign}{:.6}", number.as_f64().unwrap_or_default()))
        }
        (Some(_), _) => Err("the reference must lead to a string".to_owned()),
        (None, _) => Err("the reference leads nowhere".to_owned()),
    }
}

/// The names on the way from the root, without anchors.
fn absolute(reference: &str, path: &FieldPath) -> Result<Vec<String>, String> {
    let mut segments: Vec<String> = if reference.starts_with('/') {
        Vec::new()
    } else {
        path.0
            .iter()
            .map(|segment| match segment {
                PathSegment::Key(key) => without_anchor(key).to_owned(),
                PathSegment::Index(at) => at.to_string(),
            })
            .collect()
    };
    for step in reference.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or("the reference leaves the value")?;
            }
            name => segments.push(name.to_owned()),
        }
    }
    if reference.is_empty() { Err("an empty reference".to_owned()) } else { Ok(segments) }
}

fn find<'v>(value: &'v Value, segments: &[String]) -> Option<&'v Value> {
    let Some((first, rest)) = segments.split_first() else { return Some(value) };
    let child = match value {
        Value::Array(items) => items.get(first.parse::<usize>().ok()?),
        Value::Object(map) => map
            .get(first)
            .or_else(|| map.iter().find(|(key, _)| without_anchor(key) == first).map(|(_, value)| value)),
        _ => None,
    };
    find(child?, rest)
}

/// `=(key)`, `X(key)` and the like without the anchor.
pub(super) fn without_anchor(key: &str) -> &str {
    let inner = key.strip_prefix(['=', 'X', '^', '<', '+']).unwrap_or(key);
    inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(key)
}
