//! Defaults in a schema: each must be a value that its schema takes, whole and without unknown fields.

use serde_json::Value;

use super::node::Node;
use super::object;
use super::path::{Errors, Path};
use crate::plane::status::FieldError;
use crate::schema::TypeRef;

/// What is wrong with the defaults of a schema.
pub(super) fn validate(root: Node<'_>, at: &Path<'_>, pruned: bool) -> Errors {
    let mut errors = Errors::default();
    // The root is an object like one that is embedded.
    let mut whole = root.0.clone();
    if root.pointer("default").is_some() {
        whole.insert("x-kubernetes-embedded-resource".to_owned(), true.into());
    }
    walk(Node(if root.pointer("default").is_some() { &whole } else { root.0 }), at, pruned, &mut errors);
    errors
}

fn walk(node: Node<'_>, at: &Path<'_>, pruned: bool, errors: &mut Errors) {
    if let Some(default) = node.pointer("default") {
        check(node, default, &at.child("default"), pruned, errors);
    }
    if let Some(item) = node.item() {
        walk(item, &at.child("items"), pruned, errors);
    }
    for (name, property) in node.named("properties") {
        walk(property, &at.child("properties").key(name), pruned, errors);
    }
}

fn check(node: Node<'_>, default: &Value, at: &Path<'_>, pruned: bool, errors: &mut Errors) {
    let ty = TypeRef::of_custom(&Value::Object(node.0.clone()));
    if pruned && !ty.prune(&mut default.clone()).is_empty() {
        errors.invalid_value(at, default, "must not have unknown fields");
    }
    let before = errors.0.len();
    object::embedded(&ty, default, &at.to_string(), &mut errors.0);
    if errors.0.len() > before {
        return;
    }
    for wrong in ty.violations(default) {
        let path = wrong.path.dotted();
        let field = match path.as_str() {
            "" => at.to_string(),
            path => format!("{at}.{}", path.trim_start_matches('.')),
        };
        errors.0.push(FieldError { field, message: wrong.message, reason: wrong.reason });
    }
}

/// Whether any default has fields that its schema does not know.
pub(super) fn has_unpruned(root: Node<'_>) -> bool {
    root.has(&|node| {
        node.pointer("default").is_some_and(|default| {
            let ty = TypeRef::of_custom(&Value::Object(node.0.clone()));
            !ty.prune(&mut default.clone()).is_empty()
        })
    })
}
