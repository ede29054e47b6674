//! What is wrong with a definition, in the order in which the server says it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cel::{Costs, Rules};
use super::internal::{Parts, Spec, Version};
use super::node::{self, FIELDS, Node};
use super::path::{Errors, Path};
use super::{approval, conversion, defaults, names, openapi, parts, selectable, structural};
use crate::plane::status::FieldError;

/// What is asked of a definition. What the stored one already breaks is not asked of the next.
pub(super) struct Options {
    /// Kind and scope cannot change any more.
    pub immutable_names: bool,
    /// Every version has a schema.
    pub schemas: bool,
    /// Types are such as OpenAPI knows.
    pub types: bool,
    /// Schemas are structural.
    pub structural: bool,
    /// Defaults hold no unknown fields.
    pub pruned_defaults: bool,
    /// Items of sets are atomic.
    pub atomic_sets: bool,
    /// Items of sets and of keyed lists are not null, and have their keys.
    pub keyed_lists: bool,
    /// A webhook understands a review that the server sends.
    pub known_reviews: bool,
    /// A webhook's certificates may be none.
    pub any_bundle: bool,
    /// Versions that may have more selectable fields than allowed; empty for what all have in common.
    pub many_selectable: BTreeSet<String>,
    /// Versions whose schema did not change: the cost of their rules is not counted one by one.
    pub unchanged: BTreeSet<String>,
    /// The cost of single rules does not count.
    pub any_cost: bool,
}

impl Options {
    fn on_create() -> Options {
        Options {
            immutable_names: false,
            schemas: true,
            types: true,
            structural: true,
            pruned_defaults: true,
            atomic_sets: true,
            keyed_lists: true,
            known_reviews: true,
            any_bundle: true,
            many_selectable: BTreeSet::new(),
            unchanged: BTreeSet::new(),
            any_cost: false,
        }
    }

    fn on_update(definition: &Value, old: &Value) -> Options {
        let (spec, before) = (Spec::of(definition), Spec::of(old));
        let any = |such: &dyn Fn(Node<'_>) -> bool| before.schemas().any(|schema| schema.has(such));
        let not_structural = |schema: Node<'_>| {
            structural::unreadable(schema).is_some()
                || !structural::validate(schema, &Path::new("")).is_empty()
        };
        let established = super::is_established(old);
        let bundle =
            old["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        let versions = || spec.versions.iter().map(|version| version.name);
        Options {
            immutable_names: established,
            schemas: before.versions.iter().all(|version| before.schema_of(version.name).is_some()),
            types: !any(&|schema| !schema.kind().is_empty() && !is_known_type(schema.kind())),
            structural: !before.schemas().any(not_structural),
            pruned_defaults: !before.schemas().any(defaults::has_unpruned),
            atomic_sets: !any(&has_loose_set),
            keyed_lists: !any(&|schema| {
                let mut errors = Errors::default();
                openapi::keyed_items(schema, &Path::new(""), &mut errors);
                !errors.is_empty()
            }),
            known_reviews: conversion::reviews_are_known(&old["spec"]["conversion"]),
            any_bundle: !established || (!bundle.is_empty() && !conversion::is_bundle(bundle)),
            many_selectable: many_selectable(&spec, &before),
            unchanged: versions()
                .filter(|name| {
                    let same = |spec: &Spec<'_>| spec.schema_of(name).map(|node| node.0.clone());
                    before.versions.iter().any(|version| version.name == *name)
                        && same(&spec) == same(&before)
                })
                .map(str::to_owned)
                .collect(),
            any_cost: false,
        }
    }

    fn for_version(&self, version: &str) -> Options {
        Options {
            any_cost: self.unchanged.contains(version),
            many_selectable: self.many_selectable.clone(),
            unchanged: BTreeSet::new(),
            ..*self
        }
    }
}

fn is_known_type(kind: &str) -> bool {
    matches!(kind, "string" | "number" | "integer" | "boolean" | "array" | "object")
}

/// Whether a set has items that are no single values.
fn has_loose_set(schema: Node<'_>) -> bool {
    let Some(item) = schema.item().filter(|_| schema.text("x-kubernetes-list-type") == "set") else {
        return false;
    };
    let text = |key: &str| item.pointer(key).and_then(Value::as_str);
    match item.kind() {
        "array" => text("x-kubernetes-list-type").is_some_and(|list_type| list_type != "atomic"),
        "object" => text("x-kubernetes-map-type") != Some("atomic"),
        _ => false,
    }
}

fn many_selectable(spec: &Spec<'_>, before: &Spec<'_>) -> BTreeSet<String> {
    let many = |new: &[Value], old: &[Value]| old.len() > 8 && new == old;
    let mut found = BTreeSet::new();
    if many(spec.common.selectable, before.common.selectable) {
        found.insert(String::new());
    }
    for version in &spec.versions {
        let old = before.versions.iter().find(|old| old.name == version.name);
        if old.is_some_and(|old| many(version.parts.selectable, old.parts.selectable)) {
            found.insert(version.name.to_owned());
        }
    }
    found
}

/// What is wrong with a definition that is created, or changed from `before`.
pub(crate) fn validate(definition: &Value, before: Option<&Value>) -> Vec<FieldError> {
    let options = before.map_or_else(Options::on_create, |before| Options::on_update(definition, before));
    let mut errors = Errors::default();
    if before.is_none() {
        own_name(definition, &mut errors);
    }
    let at = Path::new("spec");
    let spec = Spec::of(definition);
    validate_spec(&spec, &at, options, before, &mut errors);
    let status = Path::new("status");
    names::validate(&definition["status"]["acceptedNames"], &status.child("acceptedNames"), &mut errors);
    stored_versions(definition, &spec, &status.child("storedVersions"), &mut errors);
    approval::validate(definition, before, &mut errors);
    let kept = before.is_some_and(|before| before["spec"]["preserveUnknownFields"] == true);
    if spec.keeps_unknown() && !kept {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid_shown(&at.child("preserveUnknownFields"), "true", why);
    }
    errors.0
}

/// What is wrong with a definition whose status is written.
pub(crate) fn validate_status(definition: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let at = Path::new("status");
    names::validate(&definition["status"]["acceptedNames"], &at.child("acceptedNames"), &mut errors);
    errors.0
}

fn own_name(definition: &Value, errors: &mut Errors) {
    let (name, spec) = (definition["metadata"]["name"].as_str().unwrap_or_default(), Spec::of(definition));
    if !name.is_empty() && name != format!("{}.{}", spec.name("plural"), spec.text("group")) {
        let at = Path::new("metadata");
        errors.invalid(&at.child("name"), name, "must be spec.names.plural+\".\"+spec.group");
    }
}

fn validate_spec(
    spec: &Spec<'_>,
    at: &Path<'_>,
    mut options: Options,
    before: Option<&Value>,
    errors: &mut Errors,
) {
    names::validate_group(spec.text("group"), &at.child("group"), errors);
    match spec.text("scope") {
        "" => errors.required(&at.child("scope"), ""),
        "Cluster" | "Namespaced" => {}
        scope => errors.not_supported(&at.child("scope"), scope, &["Cluster", "Namespaced"]),
    }
    let extended = |schema: Node<'_>| {
        schema.is("x-kubernetes-embedded-resource")
            || schema.is("x-kubernetes-int-or-string")
            || schema.pointer("x-kubernetes-preserve-unknown-fields").is_some()
            || schema.pointer("x-kubernetes-list-type").is_some()
            || !schema.list("x-kubernetes-list-map-keys").is_empty()
            || !schema.list("x-kubernetes-validations").is_empty()
    };
    let any = |such: &dyn Fn(Node<'_>) -> bool| spec.schemas().any(|schema| schema.has(such));
    options.structural |= !spec.keeps_unknown();
    has_schemas(spec, &at.child("versions"), &options, errors);
    if any(&|schema| schema.pointer("default").is_some()) {
        options.structural = true;
        if spec.keeps_unknown() {
            let why = "must be false in order to use defaults in the schema";
            errors.invalid_shown(&at.child("preserveUnknownFields"), "true", why);
        }
    }
    options.structural |= any(&extended);
    versions(spec, at, &options, errors);
    if let Some(first) = spec.versions.first().filter(|version| !version.name.is_empty()) {
        names::validate_version(first.name, &at.child("version"), errors);
    }
    names::validate_required(spec, &at.child("names"), errors);
    names::validate(&spec.body["names"], &at.child("names"), errors);
    let first = spec.versions.first().map(|version| version.name).unwrap_or_default();
    let has_status = spec.common.has_status() || spec.versions.iter().any(|v| v.parts.has_status());
    common_parts(&spec.common, at, has_status, &options.for_version(first), errors);
    let conversion = &spec.body["conversion"];
    if spec.keeps_unknown() && conversion.is_object() && conversion["strategy"] != "None" {
        let conversion_at = at.child("conversion");
        let why = "must be None if spec.preserveUnknownFields is true";
        errors.invalid_value(&conversion_at.child("strategy"), &conversion["strategy"], why);
    }
    conversion::validate(conversion, &at.child("conversion"), &options, errors);
    if let Some(before) = before {
        immutable(spec, &Spec::of(before), at, &options, errors);
    }
}

fn has_schemas(spec: &Spec<'_>, at: &Path<'_>, options: &Options, errors: &mut Errors) {
    if spec.common.root().is_some() {
        return;
    }
    for (index, version) in spec.versions.iter().enumerate().filter(|(_, v)| v.parts.root().is_none()) {
        let at = at.index(index);
        let at = at.child("schema");
        if options.schemas {
            errors.required(&at.child("openAPIV3Schema"), "");
        } else if !spec.keeps_unknown() && version.served {
            errors.required(&at.child("openAPIV3Schema"), "because otherwise all fields are pruned");
        }
    }
}

fn versions(spec: &Spec<'_>, at: &Path<'_>, options: &Options, errors: &mut Errors) {
    let at = at.child("versions");
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for (index, version) in spec.versions.iter().enumerate() {
        unique &= seen.insert(version.name);
        let at = at.index(index);
        names::validate_version(version.name, &at.child("name"), errors);
        one_version(spec, version, &at, &options.for_version(version.name), errors);
    }
    if !unique {
        errors.invalid_shown(&at, &spec.shown_versions(), "must contain unique version names");
    }
    if spec.versions.iter().filter(|version| version.storage).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.invalid_shown(&at, &spec.shown_versions(), why);
    }
}

fn one_version(
    spec: &Spec<'_>,
    version: &Version<'_>,
    at: &Path<'_>,
    options: &Options,
    errors: &mut Errors,
) {
    let warning_at = at.child("deprecationWarning");
    parts::deprecation(version.deprecated, version.deprecation_warning, &warning_at, errors);
    let parts = &version.parts;
    schema(parts.root(), spec.has_status(version), options, &at.child("schema"), errors);
    parts::subresources(parts.subresources, &at.child("subresources"), errors);
    for (index, column) in parts.columns.iter().enumerate() {
        parts::column(column, &at.child("additionalPrinterColumns").index(index), errors);
    }
    if parts.selectable.is_empty() {
        return;
    }
    let fields_at = at.child("selectableFields");
    let Some(root) = parts.root() else {
        let why = "may only be set when `version.schema.openAPIV3Schema` is not included";
        return errors.invalid(&fields_at, "", why);
    };
    if let Some(why) = structural::unreadable(root) {
        errors.invalid(&at.child("schema.openAPIV3Schema"), "", &why);
    }
    let many = options.many_selectable.contains(version.name);
    selectable::validate(parts.selectable, Some(root), &fields_at, many, errors);
}

/// What all versions say alike.
fn common_parts(parts: &Parts<'_>, at: &Path<'_>, has_status: bool, options: &Options, errors: &mut Errors) {
    schema(parts.root(), has_status, options, &at.child("validation"), errors);
    parts::subresources(parts.subresources, &at.child("subresources"), errors);
    for (index, column) in parts.columns.iter().enumerate() {
        parts::column(column, &at.child("additionalPrinterColumns").index(index), errors);
    }
    if parts.selectable.is_empty() {
        return;
    }
    let fields_at = at.child("selectableFields");
    if parts.schema.is_none() {
        return errors.invalid(&fields_at, "", "may only be set when validations.schema is included");
    }
    if let Some(why) = parts.root().and_then(structural::unreadable) {
        errors.invalid(&at.child("schema.openAPIV3Schema"), "", &why);
    }
    let many = options.many_selectable.contains("");
    selectable::validate(parts.selectable, parts.root(), &fields_at, many, errors);
}

/// The fields that the root of a schema may have where `status` is written apart.
const ROOT_FIELDS: [&str; 22] = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
];

fn schema(root: Option<Node<'_>>, has_status: bool, options: &Options, at: &Path<'_>, all: &mut Errors) {
    let Some(root) = root else { return };
    let at_type = at.child("openAPIV3Schema.type");
    let at_nullable = at.child("openAPIV3Schema.nullable");
    let at = at.child("openAPIV3Schema");
    let mut errors = Errors::default();
    if has_status {
        for (name, key, _) in FIELDS.iter().filter(|(_, key, _)| root.says(key)) {
            if *name == "Type" && root.kind() != "object" {
                let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
                errors.invalid(&at_type, root.kind(), why);
                break;
            }
            if !ROOT_FIELDS.contains(name) {
                let why = format!(
                    "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                    ROOT_FIELDS.join(" ")
                );
                debug_assert!(root.says(key));
                errors.invalid_shown(&at, &node::shown(root), &why);
                break;
            }
        }
    }
    if root.is("nullable") {
        errors.forbidden(&at_nullable, "nullable cannot be true at the root");
    }
    let mut unreadable = None;
    let costs = RefCell::new(Costs::default());
    let mut rules = None;
    if options.structural {
        unreadable = structural::unreadable(root);
        if unreadable.is_none() {
            let mut wrong = structural::validate(root, &at);
            if wrong.is_empty() {
                wrong = defaults::validate(root, &at, options.pruned_defaults);
            }
            if wrong.is_empty() {
                rules = Some(Rules::new(root, &costs));
            }
            errors.append(wrong);
        }
    }
    let found = openapi::validate(root, &at, options, rules.as_ref());
    errors.append(found.schema);
    errors.append(found.rules);
    if let Some(why) = unreadable.filter(|_| errors.is_empty()) {
        errors.invalid(&at, "", &why);
    }
    costs.borrow().check(&at, &mut errors);
    all.append(errors);
}

fn immutable(spec: &Spec<'_>, before: &Spec<'_>, at: &Path<'_>, options: &Options, errors: &mut Errors) {
    let names = at.child("names");
    let mut check = |at: &Path<'_>, new: &str, old: &str| {
        if new != old {
            errors.invalid(at, new, "field is immutable");
        }
    };
    if options.immutable_names {
        check(&at.child("scope"), spec.text("scope"), before.text("scope"));
        check(&names.child("kind"), spec.name("kind"), before.name("kind"));
    }
    check(&at.child("group"), spec.text("group"), before.text("group"));
    check(&names.child("plural"), spec.name("plural"), before.name("plural"));
}

fn stored_versions(definition: &Value, spec: &Spec<'_>, at: &Path<'_>, errors: &mut Errors) {
    let list = definition["status"]["storedVersions"].as_array().into_iter().flatten();
    let stored: Vec<&str> = list.filter_map(Value::as_str).collect();
    if stored.is_empty() {
        return errors.invalid_shown(at, "null", "must have at least one stored version");
    }
    for version in spec.versions.iter().filter(|version| version.storage && !stored.contains(&version.name)) {
        errors.invalid_value(at, &json!(stored), &format!("must have the storage version {}", version.name));
    }
    for (index, name) in stored.iter().enumerate() {
        if !spec.versions.iter().any(|version| version.name == *name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.invalid(&at.index(index), name, &why);
        }
    }
}
