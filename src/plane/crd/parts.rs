//! What versions say beside their schema: printer columns, subresources, deprecation.

use serde_json::Value;

use super::path::{Errors, Path};

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

pub(super) fn column(column: &Value, at: &Path<'_>, errors: &mut Errors) {
    let text = |key: &str| column[key].as_str().unwrap_or_default();
    if text("name").is_empty() {
        errors.required(&at.child("name"), "");
    }
    let kinds = format!("must be one of {}", COLUMN_TYPES.join(","));
    if text("type").is_empty() {
        errors.required(&at.child("type"), &kinds);
    } else if !COLUMN_TYPES.contains(&text("type")) {
        errors.invalid(&at.child("type"), text("type"), &kinds);
    }
    if !text("format").is_empty() && !COLUMN_FORMATS.contains(&text("format")) {
        let formats = format!("must be one of {}", COLUMN_FORMATS.join(","));
        errors.invalid(&at.child("format"), text("format"), &formats);
    }
    if text("jsonPath").is_empty() {
        errors.required(&at.child("JSONPath"), "");
    } else {
        simple_path(text("jsonPath"), &at.child("JSONPath"), errors);
    }
}

/// Whether a text may be a path at all.
fn simple_path(path: &str, at: &Path<'_>, errors: &mut Errors) -> bool {
    let fine = path.starts_with('.');
    if !fine {
        errors.invalid(at, path, "must be a simple json path starting with .");
    }
    fine
}

pub(super) fn subresources(subresources: Option<&Value>, at: &Path<'_>, errors: &mut Errors) {
    let Some(scale) = subresources.map(|all| &all["scale"]).filter(|scale| scale.is_object()) else { return };
    let text = |key: &str| scale[key].as_str().unwrap_or_default();
    for (key, name, root, why) in [
        ("specReplicasPath", "scale.specReplicasPath", ".spec.", "should be a json path under .spec"),
        ("statusReplicasPath", "scale.statusReplicasPath", ".status.", "should be a json path under .status"),
    ] {
        let at = at.child(name);
        if text(key).is_empty() {
            errors.required(&at, "");
        } else if simple_path(text(key), &at, errors) && !text(key).starts_with(root) {
            errors.invalid(&at, text(key), why);
        }
    }
    let selector = text("labelSelectorPath");
    let at = at.child("scale.labelSelectorPath");
    let below = selector.starts_with(".spec.") || selector.starts_with(".status.");
    if !selector.is_empty() && simple_path(selector, &at, errors) && !below {
        errors.invalid(&at, selector, "should be a json path under either .spec or .status");
    }
}

pub(super) fn deprecation(deprecated: bool, warning: Option<&str>, at: &Path<'_>, errors: &mut Errors) {
    let Some(warning) = warning else { return };
    if !deprecated {
        errors.invalid(at, warning, "can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        errors.invalid(at, warning, "must be <= 256 characters long");
    }
    if warning.is_empty() {
        errors.invalid(at, warning, "must not be an empty string");
    }
    let odd = warning.char_indices().find(|(_, c)| *c != ' ' && (c.is_control() || c.is_whitespace()));
    if let Some((index, _)) = odd {
        let why = "must only contain printable UTF-8 characters; non-printable character found at index";
        errors.invalid(at, warning, &format!("{why} {index}"));
    }
}
