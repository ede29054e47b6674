//! What may stand in `metadata`: names, labels, annotations, finalizers, owners.

use serde_json::Value;

use super::kinds::Resource;
use super::status::FieldError;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations of an object together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Errors in an object's metadata; `before` is the stored object when this is an update.
pub(crate) fn validate(resource: &Resource, body: &Value, before: Option<&Value>) -> Vec<FieldError> {
    let metadata = &body["metadata"];
    let mut errors = Vec::new();
    match metadata["name"].as_str().filter(|name| !name.is_empty()) {
        None => {
            errors.push(FieldError::new("metadata.name", "Required value: name or generateName is required"))
        }
        Some(name) if before.is_none() => {
            errors.extend(
                name_errors(resource, name)
                    .into_iter()
                    .map(|why| FieldError::new("metadata.name", format!("Invalid value: {name:?}: {why}"))),
            );
        }
        Some(_) => {}
    }
    labels(&metadata["labels"], "metadata.labels", &mut errors);
    annotations(&metadata["annotations"], &mut errors);
    finalizers(metadata, before, &mut errors);
    owners(&metadata["ownerReferences"], &mut errors);
    if before.is_some() {
        // Both the storage and the kind's own strategy look at an update's metadata.
        errors.extend(errors.clone());
    }
    errors
}

/// Errors in the metadata of an object that is part of another: its name may be any part of a path.
pub(crate) fn embedded_metadata(object: &Value) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let mut errors = Vec::new();
    let name = metadata["name"].as_str().unwrap_or_default();
    for why in path_segment_errors(name) {
        errors.push(FieldError::new("metadata.name", format!("Invalid value: {name:?}: {why}")));
    }
    labels(&metadata["labels"], "metadata.labels", &mut errors);
    annotations(&metadata["annotations"], &mut errors);
    finalizers(metadata, None, &mut errors);
    owners(&metadata["ownerReferences"], &mut errors);
    errors
}

fn name_errors(resource: &Resource, name: &str) -> Vec<String> {
    match (&*resource.gvk.group, &*resource.gvk.kind) {
        ("", "Namespace") => label_errors(name, LABEL, char::is_alphanumeric),
        ("", "Service") => label_errors(name, LABEL_1035, char::is_alphabetic),
        ("rbac.authorization.k8s.io", _) => path_segment_errors(name),
        _ => subdomain_errors(name),
    }
}

/// Why a text is no label of DNS that begins with a letter.
pub(crate) fn dns_1035_errors(text: &str) -> Vec<String> {
    label_errors(text, LABEL_1035, char::is_alphabetic)
}

fn label_errors(name: &str, rule: &str, first: fn(char) -> bool) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 63 {
        errors.push("must be no more than 63 characters".to_owned());
    }
    if !is_label(name) || !name.starts_with(first) {
        errors.push(rule.to_owned());
    }
    errors
}

/// Why a text is no subdomain of DNS.
pub(crate) fn subdomain_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 253 {
        errors.push("must be no more than 253 characters".to_owned());
    }
    if !name.split('.').all(is_label) {
        errors.push(SUBDOMAIN.to_owned());
    }
    errors
}

/// Whether a text is a DNS subdomain.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn path_segment_errors(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].into_iter().filter(|c| name.contains(c)).map(|c| format!("may not contain '{c}'")).collect()
}

pub(crate) fn is_label(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.chars().all(|c| alphanumeric(c) || c == '-')
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// `[A-Za-z0-9]` at both ends, `-`, `_` and `.` between.
fn is_name_part(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    !text.is_empty()
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// Why a text is no key of a label.
pub(crate) fn label_key_errors(key: &str) -> Vec<String> {
    let errors = qualified_name_errors(key);
    errors.into_iter().map(|e| e.replacen("a qualified name must", "a valid label key must", 1)).collect()
}

/// Why a text is no value of a label.
pub(crate) fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > 63 {
        errors.push("must be no more than 63 characters".to_owned());
    }
    if !value.is_empty() && !is_name_part(value) {
        errors.push(LABEL_VALUE.to_owned());
    }
    errors
}

/// Why a text is no qualified name (`name` or `prefix/name`).
fn qualified_name_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(subdomain_errors(prefix).into_iter().map(|e| format!("prefix part {e}")));
            }
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_name_part(name) {
        errors.push(NAME_PART.to_owned());
    }
    errors
}

fn labels(labels: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        let mut wrong = |value: &str, why: String| {
            errors.push(FieldError::new(field, format!("Invalid value: {value:?}: {why}")));
        };
        qualified_name_errors(key).into_iter().for_each(|why| wrong(key, why));
        let value = value.as_str().unwrap_or_default();
        label_value_errors(value).into_iter().for_each(|why| wrong(value, why));
    }
}

fn annotations(annotations: &Value, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        for why in qualified_name_errors(&key.to_lowercase()) {
            errors.push(FieldError::new("metadata.annotations", format!("Invalid value: {key:?}: {why}")));
        }
    }
    if size > ANNOTATIONS_LIMIT {
        let message = format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes");
        errors.push(FieldError::new("metadata.annotations", message));
    }
}

fn finalizers(metadata: &Value, before: Option<&Value>, errors: &mut Vec<FieldError>) {
    let now: Vec<&str> = texts(&metadata["finalizers"]);
    for finalizer in &now {
        if !finalizer.contains('/') && !matches!(*finalizer, "orphan" | "foregroundDeletion" | "kubernetes") {
            let message = format!(
                "Invalid value: {finalizer:?}: name is neither a standard finalizer name nor is it fully qualified"
            );
            errors.push(FieldError::new("metadata.finalizers", message));
        }
    }
    let Some(before) = before.map(|body| &body["metadata"]) else { return };
    if before["deletionTimestamp"].is_string() {
        let old: Vec<&str> = texts(&before["finalizers"]);
        let added: Vec<String> = now.iter().filter(|f| !old.contains(f)).map(|f| format!("{f:?}")).collect();
        if !added.is_empty() {
            let message = format!(
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::new("metadata.finalizers", message));
        }
    }
}

fn owners(owners: &Value, errors: &mut Vec<FieldError>) {
    let mut controllers = 0;
    for (index, owner) in owners.as_array().into_iter().flatten().enumerate() {
        for (key, what) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[key].as_str().unwrap_or_default().is_empty() {
                let message = format!("Invalid value: \"\": {what}");
                errors.push(FieldError::new(format!("metadata.ownerReferences[{index}].{key}"), message));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let message = "Invalid value: null: Only one reference can have Controller set to true".to_owned();
        errors.push(FieldError::new("metadata.ownerReferences", message));
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_rules() {
        assert!(subdomain_errors("a.b-c").is_empty());
        assert!(!subdomain_errors("A_b").is_empty());
        assert!(!subdomain_errors("a..b").is_empty());
        assert!(qualified_name_errors("example.com/My_name").is_empty());
        assert!(!qualified_name_errors("a b").is_empty());
        assert!(!qualified_name_errors("a/b/c").is_empty());
        assert!(path_segment_errors("system:node").is_empty());
        assert_eq!(label_errors("1a", LABEL_1035, char::is_alphabetic).len(), 1);
    }
}
