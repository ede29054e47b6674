//! Structural schemas: every part of a value that is validated is specified too, and by one schema alone.

use serde_json::{Value, json};

use super::node::{Additional, FIELDS, Items, Node};
use super::path::{Errors, Path};
use super::pattern;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Why a schema cannot be read as a structural one at all.
pub(super) fn unreadable(node: Node<'_>) -> Option<String> {
    let unsupported = [
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "$ref"),
        ("patternProperties", "patternProperties"),
        ("dependencies", "dependencies"),
        ("additionalItems", "additionalItems"),
        ("definitions", "definitions"),
    ];
    let says = |key: &str| match node.pointer(key) {
        Some(Value::Object(map)) => !map.is_empty() || key == "additionalItems",
        Some(Value::String(text)) => !text.is_empty(),
        other => other.is_some(),
    };
    if let Some((_, name)) = unsupported.iter().find(|(key, _)| says(key)) {
        return Some(format!("OpenAPIV3Schema '{name}' is not supported"));
    }
    let nested = node
        .schema("not")
        .into_iter()
        .chain(["allOf", "anyOf", "oneOf"].into_iter().flat_map(|key| node.schemas(key)));
    if let Some(why) = nested.into_iter().find_map(unreadable) {
        return Some(why);
    }
    if node.pointer("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let why = "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
        return Some(why.to_owned());
    }
    if matches!(node.items(), Items::Many(many) if !many.is_empty()) {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    node.item()
        .into_iter()
        .chain(node.named("properties").map(|(_, schema)| schema))
        .chain(node.values())
        .find_map(unreadable)
}

/// What keeps a schema from being structural, sorted as the server sorts it.
pub(super) fn validate(node: Node<'_>, at: &Path<'_>) -> Errors {
    let mut errors = Errors::default();
    invariants(node, Level::Root, at, &mut errors);
    complete_branches(node, Some(node), at, at, &mut errors);
    errors.0.sort_by_cached_key(|error| format!("{}: {}", error.field, error.message));
    errors
}

fn invariants(node: Node<'_>, level: Level, at: &Path<'_>, errors: &mut Errors) {
    let embedded = node.is("x-kubernetes-embedded-resource");
    let keeps = node.is("x-kubernetes-preserve-unknown-fields");
    let kind = node.kind();
    if kind == "array" && node.item().is_none() {
        errors.required(&at.child("items"), "must be specified");
    }
    if let Some(item) = node.item() {
        invariants(item, Level::Item, &at.child("items"), errors);
    }
    for (name, property) in node.named("properties") {
        invariants(property, Level::Field, &at.child("properties").key(name), errors);
    }
    if let Some(additional) = node.additional("additionalProperties") {
        if level == Level::Root {
            errors.forbidden(&at.child("additionalProperties"), "must not be used at the root");
        }
        if let Additional::Schema(values) = additional {
            invariants(values, Level::Field, &at.child("additionalProperties"), errors);
        }
    }
    extensions(node, at, errors);
    let skip = Skip { any_of: is_int_or_string(node), first_all_of: first_is_int_or_string(node) };
    value_validation(node, skip, at, errors);
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        if kind.is_empty() {
            errors.required(&at.child("type"), why);
        } else {
            errors.invalid(&at.child("type"), kind, why);
        }
    } else if kind.is_empty() && !node.is("x-kubernetes-int-or-string") && !keeps {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.required(&at.child("type"), why);
    }
    if embedded && node.pointer("additionalProperties").is_some() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(&at.child("additionalProperties"), why);
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.invalid(&at.child("type"), kind, "must be object at the root");
    }
    object_fields(node, level, at, errors);
    if embedded && !keeps && !node.says("properties") {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(&at.child("properties"), why);
    }
}

/// What may be said about `apiVersion`, `kind` and `metadata`, which every object has.
fn object_fields(node: Node<'_>, level: Level, at: &Path<'_>, errors: &mut Errors) {
    let whole = level == Level::Root || node.is("x-kubernetes-embedded-resource");
    let properties = at.child("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(property) = node.property(name).filter(|p| whole && p.kind() != "string") {
            errors.invalid(&properties.key(name).child("type"), property.kind(), "must be string");
        }
    }
    let Some(metadata) = node.property("metadata") else { return };
    let at = properties.key("metadata");
    if whole && metadata.kind() != "object" {
        errors.invalid(&at.child("type"), metadata.kind(), "must be object");
    }
    if level != Level::Root {
        return;
    }
    let names_only = metadata.named("properties").all(|(name, _)| matches!(name, "name" | "generateName"));
    let ignored = ["type", "default", "externalDocs", "example", "$schema"];
    let says_more = FIELDS
        .iter()
        .map(|(_, key, _)| *key)
        .chain(["x-kubernetes-validations"])
        .filter(|key| !(ignored.contains(key) || names_only && *key == "properties"))
        .any(|key| metadata.says(key));
    if says_more {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.forbidden(&at, why);
    }
}

fn extensions(node: Node<'_>, at: &Path<'_>, errors: &mut Errors) {
    if !node.is("x-kubernetes-int-or-string") {
        return;
    }
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if node.is(name) {
            let why = "must be false if x-kubernetes-int-or-string is true";
            errors.invalid_shown(&at.child(name), "true", why);
        }
    }
}

/// Where types may stand among alternatives after all: the two forms of an integer or a string.
#[derive(Clone, Copy, Default)]
struct Skip {
    any_of: bool,
    first_all_of: bool,
}

fn is_int_or_string(node: Node<'_>) -> bool {
    node.list("anyOf") == [json!({"type": "integer"}), json!({"type": "string"})]
}

fn first_is_int_or_string(node: Node<'_>) -> bool {
    node.schemas("allOf").next().is_some_and(is_int_or_string)
}

fn value_validation(node: Node<'_>, skip: Skip, at: &Path<'_>, errors: &mut Errors) {
    if !skip.any_of {
        for (index, branch) in node.schemas("anyOf").enumerate() {
            nested(branch, Skip::default(), &at.child("anyOf").index(index), errors);
        }
    }
    for (index, branch) in node.schemas("allOf").enumerate() {
        let skip = Skip { any_of: skip.first_all_of && index == 0, first_all_of: false };
        nested(branch, skip, &at.child("allOf").index(index), errors);
    }
    for (index, branch) in node.schemas("oneOf").enumerate() {
        nested(branch, Skip::default(), &at.child("oneOf").index(index), errors);
    }
    if let Some(not) = node.schema("not") {
        nested(not, Skip::default(), &at.child("not"), errors);
    }
    let text = node.text("pattern");
    if let Some(why) = Some(text).filter(|p| !p.is_empty()).and_then(pattern::refused) {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.invalid(&at.child("pattern"), text, &why);
    }
}

/// What must not stand in alternatives.
const FORBIDDEN: [(&str, &str); 11] = [
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

fn nested(node: Node<'_>, skip: Skip, at: &Path<'_>, errors: &mut Errors) {
    value_validation(node, skip, at, errors);
    if let Some(item) = node.item() {
        nested(item, Skip::default(), &at.child("items"), errors);
    }
    for (name, property) in node.named("properties") {
        nested(property, Skip::default(), &at.child("properties").key(name), errors);
    }
    if !node.kind().is_empty() {
        errors.forbidden(&at.child("type"), "must be empty to be structural");
    }
    if !matches!(node.additional("additionalProperties"), None | Some(Additional::Allowed(false))) {
        errors.forbidden(&at.child("additionalProperties"), "must be undefined to be structural");
    }
    for (key, why) in FORBIDDEN {
        if node.says(key) {
            errors.forbidden(&at.child(key), why);
        }
    }
    if node.property("metadata").is_some() {
        let why = "must not be specified in a nested context";
        errors.forbidden(&at.child("properties").key("metadata"), why);
    }
}

/// Whether what alternatives validate is specified outside of them. `specified` is where that should be.
fn complete_branches(
    node: Node<'_>,
    specified: Option<Node<'_>>,
    at: &Path<'_>,
    from: &Path<'_>,
    errors: &mut Errors,
) {
    if let Some(not) = node.schema("not") {
        complete(not, specified, at, &from.child("not"), errors);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in node.schemas(key).enumerate() {
            complete(branch, specified, at, &from.child(key).index(index), errors);
        }
    }
}

fn complete(
    node: Node<'_>,
    specified: Option<Node<'_>>,
    at: &Path<'_>,
    from: &Path<'_>,
    errors: &mut Errors,
) {
    let Some(outer) = specified else {
        errors.required(at, &format!("because it is defined in {from}"));
        return;
    };
    complete_branches(node, specified, at, from, errors);
    if let Some(item) = node.item() {
        complete(item, outer.item(), &at.child("items"), &from.child("items"), errors);
    }
    for (name, property) in node.named("properties") {
        let (at, from) = (at.child("properties"), from.child("properties"));
        complete(property, outer.property(name), &at.key(name), &from.key(name), errors);
    }
}
