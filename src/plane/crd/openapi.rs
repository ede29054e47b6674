//! The keywords of a schema: which may stand in it, and what they ask of each other.

use serde_json::Value;

use super::cel::{self, Rules};
use super::node::{self, Additional, Items, Node};
use super::path::{Errors, Path};
use super::selectable;
use super::validate::Options;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What holds for a schema because of where it stands.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    root: bool,
    /// Below `apiVersion`, `kind` or `metadata` of a whole object.
    in_metadata: bool,
    /// Why defaults may not stand here.
    no_defaults: Option<&'a str>,
    /// The nearest schema whose parts cannot be told from the stored object's.
    uncorrelatable: Option<&'a Path<'a>>,
}

/// What is wrong with keywords, and what is wrong with rules.
#[derive(Default)]
pub(super) struct Found {
    pub schema: Errors,
    pub rules: Errors,
}

impl Found {
    fn merge(&mut self, other: Found) {
        self.schema.append(other.schema);
        self.rules.append(other.rules);
    }
}

/// Checks a whole schema. `rules` are looked at where they are given.
pub(super) fn validate(root: Node<'_>, at: &Path<'_>, options: &Options, rules: Option<&Rules<'_>>) -> Found {
    check(root, at, Place { root: true, ..Place::default() }, options, rules)
}

fn check(
    node: Node<'_>,
    at: &Path<'_>,
    place: Place<'_>,
    options: &Options,
    rules: Option<&Rules<'_>>,
) -> Found {
    let mut found = Found::default();
    keywords(node, at, place, options, &mut found.schema);
    children(node, at, place, options, rules, &mut found);
    extensions(node, at, options, &mut found.schema);
    if options.keyed_lists {
        keyed_items(node, at, &mut found.schema);
    }
    rule_fields(node, at, &mut found.schema);
    let declared = node.list("x-kubernetes-validations");
    if let Some(rules) = rules.filter(|_| !declared.is_empty() && found.schema.is_empty()) {
        cel::check(node, rules, at, place.uncorrelatable, options, &mut found.rules);
    }
    found
}

fn keywords(node: Node<'_>, at: &Path<'_>, place: Place<'_>, options: &Options, errors: &mut Errors) {
    let kind = node.kind();
    if options.types && !kind.is_empty() && !TYPES.contains(&kind) {
        errors.not_supported(&at.child("type"), kind, &TYPES);
    }
    if let Some(why) = place.no_defaults.filter(|_| node.pointer("default").is_some()) {
        errors.forbidden(&at.child("default"), &format!("must not be set {why}"));
    }
    let there = |key: &str| match node.pointer(key) {
        Some(Value::Object(map)) => !map.is_empty() || matches!(key, "additionalItems" | "dependencies"),
        Some(Value::String(text)) => !text.is_empty() || key == "$ref",
        other => other.is_some(),
    };
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if there(key) {
            errors.forbidden(&at.child(key), &format!("{key} is not supported"));
        }
    }
    if kind == "null" {
        errors.forbidden(&at.child("type"), "type cannot be set to null, use nullable as an alternative");
    }
    if matches!(node.items(), Items::Many(many) if !many.is_empty()) {
        errors.forbidden(&at.child("items"), "items must be a schema object and not an array");
    }
    if place.in_metadata && node.is("x-kubernetes-embedded-resource") {
        let why = "must not be used inside of resource meta";
        errors.forbidden(&at.child("x-kubernetes-embedded-resource"), why);
    }
    if node.is("uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&at.child("uniqueItems"), why);
    }
}

fn children(
    node: Node<'_>,
    at: &Path<'_>,
    place: Place<'_>,
    options: &Options,
    rules: Option<&Rules<'_>>,
    found: &mut Found,
) {
    let inner = Place { root: false, ..place };
    if let Some(additional) = node.additional("additionalProperties") {
        let at = at.child("additionalProperties");
        if node.says("properties") && !matches!(additional, Additional::Allowed(true)) {
            found.schema.forbidden(&at, "additionalProperties and properties are mutual exclusive");
        }
        if let Additional::Schema(values) = additional {
            let mut inner = inner;
            if place.in_metadata {
                inner.no_defaults = Some("inside additionalProperties applying to object metadata");
            }
            let rules = rules.map(|rules| rules.values(values));
            found.merge(check(values, &at, inner, options, rules.as_ref()));
        }
    }
    properties(node, at, place, options, rules, found);
    if let Some(not) = node.schema("not") {
        found.merge(check(not, &at.child("not"), inner, options, None));
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for (index, branch) in node.schemas(key).enumerate() {
            found.merge(check(branch, &at.child(key).index(index), inner, options, None));
        }
    }
    for (name, schema) in node.named("definitions") {
        found.merge(check(schema, &at.child("definitions").key(name), inner, options, None));
    }
    // Items of sets and of plain lists cannot be told from those that were there before.
    let keyed = node.text("x-kubernetes-list-type") == "map";
    let below =
        if keyed { inner } else { Place { uncorrelatable: inner.uncorrelatable.or(Some(at)), ..inner } };
    let items_at = at.child("items");
    match node.items() {
        Items::Absent => {}
        Items::One(item) => {
            let rules = rules.map(|rules| rules.items(item));
            found.merge(check(item, &items_at, below, options, rules.as_ref()));
        }
        Items::Many(items) => {
            for (index, item) in items.into_iter().enumerate() {
                found.merge(check(item, &items_at.index(index), below, options, None));
            }
        }
    }
    for (name, schema) in node.named("dependencies") {
        found.merge(check(schema, &at.child("dependencies").key(name), inner, options, None));
    }
}

fn properties(
    node: Node<'_>,
    at: &Path<'_>,
    place: Place<'_>,
    options: &Options,
    rules: Option<&Rules<'_>>,
    found: &mut Found,
) {
    let map_type = node.pointer("x-kubernetes-map-type").and_then(Value::as_str);
    let correlatable = matches!(map_type, None | Some("granular" | "atomic"));
    for (name, property) in node.named("properties") {
        let mut inner = Place { root: false, ..place };
        if !correlatable {
            inner.uncorrelatable = inner.uncorrelatable.or(Some(at));
        }
        let whole = place.root || node.is("x-kubernetes-embedded-resource");
        let in_top_level = format!("in top-level {name}");
        if whole && matches!(name, "metadata" | "kind" | "apiVersion") {
            inner.in_metadata = true;
            if place.root {
                inner.no_defaults = Some(&in_top_level);
            }
        }
        let rules = rules.map(|rules| rules.property(property, name));
        found.merge(check(property, &at.child("properties").key(name), inner, options, rules.as_ref()));
    }
}

/// `x-kubernetes-*`.
fn extensions(node: Node<'_>, at: &Path<'_>, options: &Options, errors: &mut Errors) {
    if node.pointer("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        errors.invalid_shown(
            &at.child("x-kubernetes-preserve-unknown-fields"),
            "false",
            "must be true or undefined",
        );
    }
    let of_type = |key: &'static str, wanted: &str, errors: &mut Errors| {
        let why = format!("must be {wanted} if {key} is specified");
        if node.kind().is_empty() {
            errors.required(&at.child("type"), &why);
        } else {
            errors.invalid(&at.child("type"), node.kind(), &why);
        }
    };
    if let Some(map_type) = node.pointer("x-kubernetes-map-type").and_then(Value::as_str) {
        if node.kind() != "object" {
            of_type("x-kubernetes-map-type", "object", errors);
        }
        if !matches!(map_type, "atomic" | "granular") {
            errors.not_supported(&at.child("x-kubernetes-map-type"), map_type, &["atomic", "granular"]);
        }
    }
    let list_type = node.pointer("x-kubernetes-list-type").and_then(Value::as_str);
    if list_type.is_some() && node.kind() != "array" {
        of_type("x-kubernetes-list-type", "array", errors);
    } else if let Some(item) = node.item().filter(|_| options.atomic_sets && list_type == Some("set")) {
        set_items(item, &at.child("items"), errors);
    }
    if let Some(list_type) = list_type.filter(|list_type| !matches!(*list_type, "atomic" | "set" | "map")) {
        errors.not_supported(&at.child("x-kubernetes-list-type"), list_type, &["atomic", "set", "map"]);
    }
    if !node.list("x-kubernetes-list-map-keys").is_empty() && list_type != Some("map") {
        let (at, why) =
            (at.child("x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty");
        match list_type {
            None => errors.required(&at, why),
            Some(list_type) => errors.invalid(&at, list_type, why),
        }
    }
    if list_type == Some("map") {
        list_map(node, at, errors);
    }
}

fn set_items(item: Node<'_>, at: &Path<'_>, errors: &mut Errors) {
    let list_type = item.pointer("x-kubernetes-list-type").and_then(Value::as_str);
    let map_type = item.pointer("x-kubernetes-map-type").and_then(Value::as_str);
    let shown = list_type.map_or_else(|| "null".to_owned(), crate::schema::show::quote);
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    match item.kind() {
        "array" if list_type.is_some_and(|list_type| list_type != "atomic") => {
            errors.invalid_shown(&at.child("x-kubernetes-list-type"), &shown, why);
        }
        // The server shows the list's type here, too.
        "object" if map_type != Some("atomic") => {
            errors.invalid_shown(&at.child("x-kubernetes-map-type"), &shown, why);
        }
        _ => {}
    }
}

fn list_map(node: Node<'_>, at: &Path<'_>, errors: &mut Errors) {
    let keys = node.texts("x-kubernetes-list-map-keys");
    let (keys_at, items_at) = (at.child("x-kubernetes-list-map-keys"), at.child("items"));
    if keys.is_empty() {
        errors.required(&keys_at, "must not be empty if x-kubernetes-list-type is map");
    }
    let item = match node.items() {
        Items::Absent => {
            return errors.required(&items_at, "must have a schema if x-kubernetes-list-type is map");
        }
        Items::Many(_) => {
            let why = "must only have a single schema if x-kubernetes-list-type is map";
            return errors.invalid_shown(&items_at, &node::shown_items(node), why);
        }
        Items::One(item) => item,
    };
    if item.kind() != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.invalid(&items_at.child("type"), item.kind(), why);
    }
    let shown = Value::from(keys.clone()).to_string();
    for (index, key) in keys.iter().enumerate() {
        match item.property(key) {
            Some(property) if matches!(property.kind(), "array" | "object") => {
                let properties = items_at.child("properties");
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.invalid(&properties.key(key).child("type"), item.kind(), why);
            }
            Some(_) => {}
            None => errors.invalid_shown(&keys_at, &shown, "entries must all be names of item properties"),
        }
        if keys[..index].contains(key) {
            errors.invalid_shown(&keys_at, &shown, "must not contain duplicate entries");
        }
    }
}

/// What sets and keyed lists ask of their items: no null, and keys that are always there.
pub(super) fn keyed_items(node: Node<'_>, at: &Path<'_>, errors: &mut Errors) {
    let list_type = node.text("x-kubernetes-list-type");
    let Some(item) = node.item().filter(|_| matches!(list_type, "set" | "map")) else { return };
    let at = at.child("items");
    if item.is("nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.forbidden(&at.child("nullable"), &why);
    }
    if list_type == "set" {
        return;
    }
    let required = item.texts("required");
    for key in node.texts("x-kubernetes-list-map-keys") {
        let Some(property) = item.property(key) else { continue };
        let properties = at.child("properties");
        let at = properties.key(key);
        if !required.contains(&key) && property.pointer("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&at.child("default"), why);
        }
        if property.is("nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&at.child("nullable"), why);
        }
    }
}

/// The fields of validation rules, beside their expressions.
fn rule_fields(node: Node<'_>, at: &Path<'_>, errors: &mut Errors) {
    let all = at.child("x-kubernetes-validations");
    for (index, rule) in node.list("x-kubernetes-validations").iter().enumerate() {
        let at = all.index(index);
        let text = |key: &str| rule[key].as_str().unwrap_or_default();
        let broken = |text: &str| text.contains(['\n', '\r']);
        let (expression, message) = (text("rule").trim(), text("message").trim());
        if expression.is_empty() {
            errors.required(&at.child("rule"), "rule is not specified");
        } else if !text("message").is_empty() && message.is_empty() {
            errors.invalid(&at.child("message"), text("message"), "must be non-empty if specified");
        } else if broken(message) {
            errors.invalid(&at.child("message"), text("message"), "must not contain line breaks");
        } else if broken(expression) && message.is_empty() {
            let why = "message must be specified if rule contains line breaks";
            errors.required(&at.child("message"), why);
        }
        let said = text("messageExpression");
        if !said.is_empty() && said.trim().is_empty() {
            let why = "messageExpression must be non-empty if specified";
            errors.required(&at.child("messageExpression"), why);
        }
        if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
            errors.not_supported(&at.child("reason"), reason, &REASONS);
        }
        let (path, at) = (text("fieldPath"), at.child("fieldPath"));
        if !path.is_empty() && path.trim().is_empty() {
            errors.invalid(&at, path, "must be non-empty if specified");
        }
        if broken(path) {
            errors.invalid(&at, path, "must not contain line breaks");
        }
        let readable = || super::structural::unreadable(node).is_none();
        if !path.is_empty() && readable() && selectable::find(path, node, true).is_err() {
            errors.invalid(&at, path, "must be a valid path");
        }
    }
}
