//! Names in a definition: of the group, of the kind, of versions.

use serde_json::Value;

use super::internal::Spec;
use super::path::{Errors, Path};
use crate::plane::names::{dns_1035_errors, subdomain_errors};

/// The names that the spec asks for, and those that the status says were given.
pub(super) fn validate(names: &Value, at: &Path<'_>, errors: &mut Errors) {
    let text = |key: &str| names[key].as_str().unwrap_or_default();
    let mut check = |key: &str, mixed: bool| {
        let name = text(key);
        let small = name.to_lowercase();
        let wrong = dns_1035_errors(if mixed { &small } else { name });
        if !name.is_empty() && !wrong.is_empty() {
            let prefix = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.invalid(&at.child(key), name, &format!("{prefix}{}", wrong.join(",")));
        }
    };
    check("plural", false);
    check("singular", false);
    check("kind", true);
    check("listKind", true);
    labels(&names["shortNames"], &at.child("shortNames"), errors);
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        errors.invalid(&at.child("listKind"), text("listKind"), "kind and listKind may not be the same");
    }
    labels(&names["categories"], &at.child("categories"), errors);
}

fn labels(names: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (index, name) in names.as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
        let wrong = dns_1035_errors(name);
        if !wrong.is_empty() {
            errors.invalid(&at.index(index), name, &wrong.join(","));
        }
    }
}

pub(super) fn validate_group(group: &str, at: &Path<'_>, errors: &mut Errors) {
    let wrong = subdomain_errors(group);
    if group.is_empty() {
        errors.required(at, "");
    } else if !wrong.is_empty() {
        errors.invalid(at, group, &wrong.join(","));
    } else if !group.contains('.') {
        errors.invalid(at, group, "should be a domain with at least one dot");
    }
}

pub(super) fn validate_version(name: &str, at: &Path<'_>, errors: &mut Errors) {
    let wrong = dns_1035_errors(name);
    if !wrong.is_empty() {
        errors.invalid(at, name, &wrong.join(","));
    }
}

/// Names that must be there.
pub(super) fn validate_required(spec: &Spec<'_>, at: &Path<'_>, errors: &mut Errors) {
    for key in ["plural", "singular", "kind", "listKind"] {
        if spec.name(key).is_empty() {
            errors.required(&at.child(key), "");
        }
    }
}
