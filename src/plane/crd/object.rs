//! A custom resource against its definition: everything that the server holds against it, in its order.

use serde_json::Value;

use crate::expr::rules::Broken;
use crate::plane::kinds::Resource;
use crate::plane::names;
use crate::plane::status::FieldError;
use crate::schema::{Others, TypeRef, Violation, show};

/// Errors that keep the server from evaluating a kind's rules, and what it says then.
const BLOCKING: [&str; 5] = [
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];
const NOT_CHECKED: &str = "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// What is wrong with an object, its rules aside. `before` is the stored one; `status`: only that part is written.
pub(crate) fn validate(
    ty: &TypeRef,
    resource: &Resource,
    body: &Value,
    before: Option<&Value>,
    status: bool,
) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = if status {
        status_errors(ty, body, before)
    } else {
        let wrong = match before {
            Some(before) => ty.violations_of_update(body, before),
            None => ty.violations(body),
        };
        wrong.into_iter().map(|wrong| named(wrong, "")).collect()
    };
    if let Some(scale) = &resource.scale {
        if !status {
            replicas(body, &scale.spec_replicas, &mut errors);
        }
        replicas(body, &scale.status_replicas, &mut errors);
        if let Some(path) = &scale.selector
            && let Err(why) = nested(body, path, Value::is_string, "string")
        {
            let message = format!("Invalid value: \"\": {why}");
            errors.push(FieldError::new(format!(".{}", path.join(".")), message));
        }
    }
    if !status {
        embedded(ty, body, "", &mut errors);
    }
    // What stood twice before may go on standing twice.
    if before.is_none_or(|before| ty.repeated_items(before).is_empty()) {
        errors.extend(ty.repeated_items(body).into_iter().map(|wrong| named(wrong, "")));
    }
    errors
}

/// The error that stands for all rules where they cannot be asked.
pub(crate) fn rules_not_checked<'e>(mut errors: impl Iterator<Item = &'e FieldError>) -> Option<FieldError> {
    let blocked = errors.any(|error| BLOCKING.contains(&error.reason));
    blocked.then(|| FieldError::new("<nil>", NOT_CHECKED))
}

/// A violation below a field; without any field it is about nothing that has a name.
fn named(wrong: Violation, below: &str) -> FieldError {
    let path = wrong.path.dotted();
    let field = match (below, path.as_str()) {
        ("", "") => "<nil>".to_owned(),
        ("", _) => path,
        (below, "") => below.to_owned(),
        (below, path) => format!("{below}.{path}"),
    };
    FieldError { field, message: wrong.message, reason: wrong.reason }
}

/// A status is held against its own schema, and named from there.
fn status_errors(ty: &TypeRef, body: &Value, before: Option<&Value>) -> Vec<FieldError> {
    let field = ty.get().map.as_ref().and_then(|map| map.fields.get("status"));
    let (Some(field), Some(status)) = (field, body.get("status")) else { return Vec::new() };
    let old = before.map(|before| &before["status"]);
    let wrong = match old {
        Some(old) => field.ty.violations_of_update(status, old),
        None => field.ty.violations(status),
    };
    wrong.into_iter().map(|wrong| named(wrong, "status")).collect()
}

/// The value at a path; why it is none of the type.
fn nested<'a>(
    body: &'a Value,
    path: &[String],
    is: impl Fn(&Value) -> bool,
    wanted: &str,
) -> Result<Option<&'a Value>, String> {
    let mut at = body;
    for (depth, key) in path.iter().enumerate() {
        if at.is_null() {
            return Ok(None);
        }
        let Some(map) = at.as_object() else {
            let path = path[..=depth].join(".");
            return Err(format!(
                ".{path} accessor error: {} is of the type {}, expected map[string]interface{{}}",
                go_value(at),
                go_type(at)
            ));
        };
        match map.get(key) {
            None => return Ok(None),
            Some(value) => at = value,
        }
    }
    if is(at) {
        return Ok(Some(at));
    }
    let path = path.join(".");
    Err(format!(".{path} accessor error: {} is of the type {}, expected {wanted}", go_value(at), go_type(at)))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Go's `%v` prints it.
fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => show::value(other),
    }
}

fn replicas(body: &Value, path: &[String], errors: &mut Vec<FieldError>) {
    let message = match nested(body, path, Value::is_i64, "int64") {
        Err(why) => format!("Invalid value: 0: {why}"),
        Ok(found) => match found.and_then(Value::as_i64).unwrap_or(0) {
            count if count < 0 => format!("Invalid value: {count}: should be a non-negative integer"),
            count if count > i64::from(i32::MAX) => {
                format!("Invalid value: {count}: should be less than or equal to {}", i32::MAX)
            }
            _ => return,
        },
    };
    errors.push(FieldError::new(format!(".{}", path.join(".")), message));
}

/// Objects inside of the object: they have a kind, and metadata by the rules of all metadata.
pub(super) fn embedded(ty: &TypeRef, value: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let ty = ty.get();
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.map else { return };
            if ty.rules.embedded {
                whole_object(value, at, errors);
            }
            for (key, value) in object {
                let (child, at) = match (map.fields.get(key.as_str()), &map.others) {
                    (Some(field), _) => {
                        let dot = if at.is_empty() { "" } else { "." };
                        (&field.ty, format!("{at}{dot}{key}"))
                    }
                    (None, Others::Typed(ty)) => (ty, format!("{at}[{key}]")),
                    _ => continue,
                };
                if !child.is_builtin() {
                    embedded(child, value, &at, errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.list.as_ref().and_then(|list| list.items.as_ref()) {
                for (index, item) in items.iter().enumerate() {
                    embedded(ty, item, &format!("{at}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn whole_object(object: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let field = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    for name in ["apiVersion", "kind"] {
        match object.get(name) {
            None => errors.push(FieldError::new(field(name), "Required value")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::new(field(name), "Invalid value: \"\": must not be empty"));
            }
            Some(Value::String(text)) if name == "kind" => {
                let wrong = names::dns_1035_errors(&text.to_lowercase());
                if !wrong.is_empty() {
                    let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                    errors.push(FieldError::new(
                        field(name),
                        format!("Invalid value: {}: {why}", show::quote(text)),
                    ));
                }
            }
            Some(Value::String(text)) if text.matches('/').count() > 1 => {
                let shown = show::quote(text);
                let why = format!("unexpected GroupVersion string: {text}");
                errors.push(FieldError::new(field(name), format!("Invalid value: {shown}: {why}")));
            }
            Some(Value::String(_)) => {}
            Some(other) => {
                let shown = show::value(other);
                errors
                    .push(FieldError::new(field(name), format!("Invalid value: {shown}: must be a string")));
            }
        }
    }
    if object["metadata"].is_object() {
        for error in names::embedded_metadata(object) {
            errors.push(FieldError { field: field(&error.field), ..error });
        }
    }
}

/// A rule that does not hold.
pub(crate) fn broken_rule(broken: Broken) -> FieldError {
    let field = if broken.field.is_empty() { "<nil>".to_owned() } else { broken.field };
    FieldError { field, message: broken.message, reason: broken.reason }
}
