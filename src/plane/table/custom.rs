//! Custom kinds: their additional printer columns.

use serde_json::Value;

use super::columns::{NAME_DESCRIPTION, column};
use super::row::{Row, text};
use crate::plane::kinds::Resource;

/// The columns of a custom kind.
pub(super) fn columns(resource: &Resource) -> Vec<Value> {
    let mut columns = vec![column("Name", "string", "name", NAME_DESCRIPTION, 0)];
    columns.extend(
        resource.columns.iter().map(|c| column(&c.name, &c.kind, &c.format, &c.description, c.priority)),
    );
    columns
}

/// The cells of an object of a custom kind.
pub(super) fn cells(resource: &Resource, row: &Row<'_>) -> Vec<Value> {
    let mut cells = vec![row.name()];
    cells.extend(resource.columns.iter().map(|column| {
        let value = json_path(row.body, &column.path);
        match column.kind.as_str() {
            "date" => row.since(value.unwrap_or(&Value::Null)).into(),
            "integer" | "number" | "boolean" => value.cloned().unwrap_or_default(),
            _ => value.map_or(Value::Null, shown),
        }
    }));
    cells
}

/// A value in a cell of text.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        Value::Null => Value::Null,
        other => other.to_string().into(),
    }
}

/// The value at a simple JSON path: `.a.b`, `.a[0]`, `.a['b.c']`, `.a[?(@.type=="Ready")].status`.
fn json_path<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = body;
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']')?;
            at = step(at, inside)?;
            rest = after;
        } else {
            let after = rest.strip_prefix('.').unwrap_or(rest);
            // A dot behind a backslash belongs to the key.
            let mut key = String::new();
            let mut used = 0;
            let mut escaped = false;
            for c in after.chars() {
                if !escaped && (c == '.' || c == '[') {
                    break;
                }
                used += c.len_utf8();
                escaped = !escaped && c == '\\';
                if !escaped {
                    key.push(c);
                }
            }
            if !key.is_empty() {
                at = at.get(&key)?;
            }
            rest = &after[used..];
        }
    }
    Some(at)
}

/// A step in brackets: an index, a quoted key or a filter for equality.
fn step<'a>(at: &'a Value, inside: &str) -> Option<&'a Value> {
    let inside = inside.trim();
    if let Some(filter) = inside.strip_prefix("?(@.").and_then(|filter| filter.strip_suffix(')')) {
        let (key, wanted) = filter.split_once("==")?;
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        return at.as_array()?.iter().find(|item| text(&item[key.trim()]) == wanted);
    }
    if let Ok(index) = inside.parse::<i64>() {
        let list = at.as_array()?;
        let index = if index < 0 { list.len() as i64 + index } else { index };
        return list.get(usize::try_from(index).ok()?);
    }
    if inside == "*" {
        return at.as_array()?.first();
    }
    at.get(inside.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_found_by_path() {
        let body = json!({"a": {"b.c": [{"type": "Ready", "status": "True"}]}});
        for path in [r#".a.b\.c[?(@.type=="Ready")].status"#, ".a['b.c'][0].status"] {
            // A quoted key may hold a dot; a bracket inside quotes is not supported by kubectl either.
            assert_eq!(json_path(&body, path), Some(&json!("True")), "{path}");
        }
        assert_eq!(json_path(&body, ".a.x.y"), None);
    }
}
