//! From an OpenAPI schema (of a built-in type or of a CustomResourceDefinition) to a [`Type`], as the API server
//! makes its merge types.

use std::sync::Arc;

use serde_json::Value;

use super::table;
use super::types::{
    Bounds, Field, ListKind, ListType, MapType, Others, Pattern, Rules, Scalar, Type, TypeRef, Validation,
};

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// In the table of built-in types: `$ref` names a row.
    Builtin,
    /// In a CustomResourceDefinition, at its root: metadata is added.
    CustomRoot,
    /// Below the root of one.
    Custom,
    /// Below a field that keeps unknown fields: merging keeps those of all descendants too.
    CustomOpen,
}

/// The type of a schema.
pub(super) fn type_of(schema: &Value, at: Names) -> Type {
    let mut rules = rules(schema, at);
    let whole = at == Names::CustomRoot || rules.embedded;
    if whole {
        rules.narrowed = narrowed(schema);
    }
    let at = match at {
        Names::Custom | Names::CustomRoot if rules.preserve_unknown => Names::CustomOpen,
        Names::CustomRoot => Names::Custom,
        _ => at,
    };
    let (scalar, list, map) = match schema["type"].as_str() {
        Some("object") => (None, None, Some(map_type(schema, at, whole))),
        Some("array") => (None, Some(list_type(schema, at)), None),
        Some("string") => (Some(string_type(schema)), None, None),
        Some("integer" | "number") => (Some(Scalar::Numeric), None, None),
        Some("boolean") => (Some(Scalar::Boolean), None, None),
        _ => (Some(Scalar::Untyped), Some(list_type(schema, at)), Some(map_type(schema, at, whole))),
    };
    Type { scalar, list, map, rules }
}

fn string_type(schema: &Value) -> Scalar {
    match schema["format"].as_str() {
        None | Some("" | "byte") => Scalar::String,
        Some(_) => Scalar::Untyped,
    }
}

/// A child's type: a row of the table or one of its own.
fn child(schema: &Value, at: Names) -> TypeRef {
    let Some(row) = schema["$ref"].as_str().and_then(table::named) else {
        return TypeRef::new(type_of(schema, at));
    };
    // The one thing a reference may say beside itself.
    if schema["x-kubernetes-map-type"] == "atomic" {
        let mut ty = row.get().clone();
        if let Some(map) = &mut ty.map {
            map.atomic = true;
        }
        return TypeRef::new(ty);
    }
    row
}

fn list_type(schema: &Value, at: Names) -> ListType {
    let text = |key: &str| schema[key].as_str();
    let patch_merge = text("x-kubernetes-patch-strategy").is_some_and(|s| s.split(',').any(|s| s == "merge"));
    let patch_key: Option<Arc<str>> = text("x-kubernetes-patch-merge-key").map(Into::into);
    let keys = || schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
    let kind = match text("x-kubernetes-list-type") {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(keys().filter_map(Value::as_str).map(Into::into).collect()),
        Some(_) => ListKind::Atomic,
        None if patch_merge => match &patch_key {
            Some(key) => ListKind::Map(vec![key.clone()]),
            None => ListKind::Set,
        },
        None => ListKind::Atomic,
    };
    let items = schema.get("items").filter(|v| v.is_object()).map(|items| child(items, at));
    ListType { kind, items, patch_key, patch_merge }
}

fn map_type(schema: &Value, at: Names, whole: bool) -> MapType {
    let properties = || schema["properties"].as_object().into_iter().flatten();
    let mut map = MapType { atomic: schema["x-kubernetes-map-type"] == "atomic", ..MapType::default() };
    for (name, schema) in properties() {
        let strategy = schema["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
        let field = Field {
            ty: child(schema, at),
            default: schema.get("default").cloned(),
            patch_replace: strategy.split(',').any(|s| s == "replace"),
        };
        map.fields.insert(name.as_str().into(), field);
    }
    if whole {
        add_object_fields(&mut map);
    }
    let declared = schema.get("additionalProperties").is_some_and(|v| !v.is_null());
    map.free_form = at != Names::Builtin && !declared;
    map.others = match schema.get("additionalProperties") {
        None | Some(Value::Null) if at == Names::CustomOpen || map.fields.is_empty() => Others::Any,
        None | Some(Value::Null | Value::Bool(false)) => Others::None,
        Some(Value::Bool(true)) => Others::Any,
        Some(values) => Others::Typed(child(values, at)),
    };
    let required = schema["required"].as_array().into_iter().flatten();
    map.required = required.filter_map(Value::as_str).map(Into::into).collect();
    map
}

/// What every object has, whatever its schema says about it.
fn add_object_fields(map: &mut MapType) {
    let text = || {
        TypeRef::new(Type {
            scalar: Some(Scalar::String),
            rules: Rules { json_type: Some("string".into()), ..Rules::default() },
            ..Type::default()
        })
    };
    let field = |ty| Field { ty, default: None, patch_replace: false };
    map.fields.insert("apiVersion".into(), field(text()));
    map.fields.insert("kind".into(), field(text()));
    if let Some(metadata) = table::named("meta.v1.ObjectMeta") {
        map.fields.insert("metadata".into(), field(metadata));
    }
}

fn rules(schema: &Value, at: Names) -> Rules {
    let is = |key: &str| schema[key] == true;
    Rules {
        json_type: schema["type"].as_str().map(Into::into),
        format: schema["format"].as_str().map(Into::into),
        nullable: is("nullable"),
        int_or_string: is("x-kubernetes-int-or-string") || schema["format"] == "int-or-string",
        preserve_unknown: is("x-kubernetes-preserve-unknown-fields"),
        embedded: is("x-kubernetes-embedded-resource"),
        closed: schema["additionalProperties"] == false,
        narrowed: Vec::new(),
        validations: validations(schema),
        values: schema["enum"].as_array().cloned(),
        bounds: bounds(schema, at),
    }
}

/// What a definition says about the fields that every object has, where it says more than their types.
fn narrowed(schema: &Value) -> Vec<(Arc<str>, TypeRef)> {
    ["apiVersion", "kind", "metadata"]
        .into_iter()
        .filter_map(|name| {
            let declared = schema["properties"].get(name)?;
            let says_more =
                declared.as_object()?.keys().any(|key| !matches!(key.as_str(), "type" | "description"));
            says_more.then(|| (name.into(), TypeRef::new(type_of(declared, Names::Custom))))
        })
        .collect()
}

fn validations(schema: &Value) -> Vec<Validation> {
    let all = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    all.map(|rule| {
        let text = |key: &str| rule[key].as_str().filter(|text| !text.is_empty()).map(Into::into);
        Validation {
            rule: rule["rule"].as_str().unwrap_or_default().into(),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: text("reason"),
            field_path: text("fieldPath"),
            optional_old_self: rule["optionalOldSelf"] == true,
        }
    })
    .collect()
}

const BOUNDS: [&str; 15] = [
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
];

fn bounds(schema: &Value, at: Names) -> Option<Box<Bounds>> {
    let map = schema.as_object()?;
    if !BOUNDS.iter().any(|key| map.contains_key(*key)) {
        return None;
    }
    let count = |key: &str| schema[key].as_u64();
    let limit = |key: &str, exclusive: &str| Some((schema[key].as_f64()?, schema[exclusive] == true));
    let branches = |key: &str| {
        let all = schema[key].as_array().into_iter().flatten();
        all.map(|branch| child(branch, at)).collect::<Vec<TypeRef>>()
    };
    Some(Box::new(Bounds {
        minimum: limit("minimum", "exclusiveMinimum"),
        maximum: limit("maximum", "exclusiveMaximum"),
        multiple_of: schema["multipleOf"].as_f64(),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        pattern: schema["pattern"].as_str().map(Pattern::new),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: schema["uniqueItems"] == true,
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        all_of: branches("allOf"),
        any_of: branches("anyOf"),
        one_of: branches("oneOf"),
        not: schema.get("not").filter(|v| v.is_object()).map(|not| child(not, at)),
    }))
}
