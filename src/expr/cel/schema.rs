//! Schemas of custom resources as CEL sees them: which type a field has, how large its values may get, and how JSON
//! becomes values (a text of format `date-time` is a timestamp, say).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::types::{Fields, ObjectType, Type};

/// The largest request an API server takes.
const REQUEST: i64 = 3 * 1024 * 1024;
/// Names that CEL keeps for itself, so that fields of that name are escaped.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether CEL keeps a name for itself.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The schema of a value.
#[derive(Debug)]
pub struct Schema {
    pub(crate) shape: Shape,
    pub(crate) nullable: bool,
    ty: Option<Type>,
    max_elements: i64,
    min_size: i64,
}

/// What a schema describes.
#[derive(Debug)]
pub(crate) enum Shape {
    IntOrString,
    Bool,
    Int,
    Double,
    String,
    Bytes,
    Duration,
    Date,
    DateTime,
    List {
        items: Option<Arc<Schema>>,
        identity: Identity,
    },
    Map(Arc<Schema>),
    Object(Object),
    /// No type, and unknown fields are kept.
    Unknown,
    /// No type at all.
    Untyped,
}

/// The fields of an object.
#[derive(Debug, Default)]
pub(crate) struct Object {
    /// By their names in JSON.
    fields: BTreeMap<Arc<str>, Arc<Schema>>,
    /// Whether any fields are declared; if not, keys are not escaped.
    pub(crate) declared: bool,
}

/// How items of a list are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Position,
    Value,
    Keys(Arc<[Arc<str>]>),
}

impl Schema {
    /// Reads the OpenAPI schema of a CustomResourceDefinition, or a part of one. The `root` of a resource has
    /// `apiVersion`, `kind` and `metadata` whether it says so or not.
    pub fn of_openapi(schema: &Json, root: bool) -> Arc<Schema> {
        Schema::read(schema, root, "selfType")
    }

    /// Its type, unless CEL cannot see such values.
    pub fn ty(&self) -> Option<&Type> {
        self.ty.as_ref()
    }

    /// The schema of a field, by its name in JSON.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        match &self.shape {
            Shape::Object(object) => object.fields.get(name),
            _ => None,
        }
    }

    /// The schema of a list's items.
    pub fn items(&self) -> Option<&Arc<Schema>> {
        match &self.shape {
            Shape::List { items, .. } => items.as_ref(),
            _ => None,
        }
    }

    /// The schema of a map's values.
    pub fn values(&self) -> Option<&Arc<Schema>> {
        match &self.shape {
            Shape::Map(values) => Some(values),
            _ => None,
        }
    }

    /// How many items or characters a value may have at most.
    pub fn max_elements(&self) -> u64 {
        u64::try_from(self.max_elements).unwrap_or(0)
    }

    /// How many bytes of JSON a value takes at least.
    pub fn min_size(&self) -> u64 {
        u64::try_from(self.min_size).unwrap_or(0)
    }

    /// How many such values fit into one request.
    pub fn max_cardinality(&self) -> u64 {
        u64::try_from(REQUEST / (self.min_size + 1)).unwrap_or(0)
    }

    /// The schema of what is at a key of an object or map.
    pub(crate) fn of_key(&self, key: &str) -> Option<&Schema> {
        match &self.shape {
            Shape::Object(object) => object.fields.get(key).map(|s| &**s),
            Shape::Map(values) => Some(values),
            _ => None,
        }
    }

    /// Whether its keys are names of fields, which CEL escapes.
    pub(crate) fn has_fields(&self) -> bool {
        matches!(&self.shape, Shape::Object(object) if object.declared)
    }

    fn read(schema: &Json, root: bool, name: &str) -> Arc<Schema> {
        let nullable = schema["nullable"] == true;
        let sized = |shape, ty: Type, max_elements, min_size| {
            Arc::new(Schema { shape, nullable, ty: Some(ty), max_elements, min_size })
        };
        if schema["x-kubernetes-int-or-string"] == true {
            let max = schema["maxLength"].as_i64().map_or(REQUEST - 2, |n| n.max(0) * 4);
            return sized(Shape::IntOrString, Type::Dyn, max, 1);
        }
        match schema["type"].as_str().unwrap_or_default() {
            "array" => list(schema, nullable, name),
            "object" => {
                let root = root || schema["x-kubernetes-embedded-resource"] == true;
                match schema.get("additionalProperties").filter(|s| s.is_object()) {
                    Some(values)
                        if !root && schema["properties"].as_object().is_none_or(|p| p.is_empty()) =>
                    {
                        map(schema, values, nullable, name)
                    }
                    _ => object(schema, root, nullable, name),
                }
            }
            "string" => string(schema, nullable),
            "boolean" => sized(Shape::Bool, Type::Bool, 0, 4),
            "number" => sized(Shape::Double, Type::Double, 0, 1),
            "integer" => sized(Shape::Int, Type::Int, 0, 1),
            _ => {
                let shape = if schema["x-kubernetes-preserve-unknown-fields"] == true {
                    Shape::Unknown
                } else {
                    Shape::Untyped
                };
                Arc::new(Schema { shape, nullable, ty: None, max_elements: 0, min_size: 1 })
            }
        }
    }

    /// A field that every resource has.
    fn text() -> Arc<Schema> {
        string(&Json::Null, false)
    }
}

fn list(schema: &Json, nullable: bool, name: &str) -> Arc<Schema> {
    let items = schema.get("items").map(|items| Schema::read(items, false, &format!("{name}.@idx")));
    let identity = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Identity::Value,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            Identity::Keys(
                keys.filter_map(Json::as_str)
                    .map(|key| escape(key).unwrap_or_else(|| key.to_owned()).into())
                    .collect(),
            )
        }
        _ => Identity::Position,
    };
    let ty = items.as_ref().and_then(|items| items.ty.clone()).map(Type::list);
    let smallest = items.as_ref().map_or(1, |items| items.min_size);
    let max_elements = schema["maxItems"].as_i64().map_or((REQUEST - 2) / (smallest + 1), |n| n.max(0));
    Arc::new(Schema { shape: Shape::List { items, identity }, nullable, ty, max_elements, min_size: 2 })
}

fn map(schema: &Json, values: &Json, nullable: bool, name: &str) -> Arc<Schema> {
    let values = Schema::read(values, false, &format!("{name}.@elem"));
    let ty = values.ty.clone().map(|value| Type::map(Type::String, value));
    let max_elements =
        schema["maxProperties"].as_i64().map_or((REQUEST - 2) / (values.min_size + 6), |n| n.max(0));
    Arc::new(Schema { shape: Shape::Map(values), nullable, ty, max_elements, min_size: 2 })
}

fn object(schema: &Json, root: bool, nullable: bool, name: &str) -> Arc<Schema> {
    let mut fields = BTreeMap::new();
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let escaped = escape(field).unwrap_or_default();
        fields.insert(Arc::from(field.as_str()), Schema::read(schema, false, &format!("{name}.{escaped}")));
    }
    if root && !has_meta(schema) {
        fields.insert("kind".into(), Schema::text());
        fields.insert("apiVersion".into(), Schema::text());
        let meta = [("name", Schema::text()), ("generateName", Schema::text())];
        let meta = meta.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
        fields.insert("metadata".into(), with_fields(meta, true, false, &format!("{name}.metadata"), 2));
    }
    let mut min_size = 2;
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if let Some(field) = fields.get(required)
            && field.ty.is_some()
            && schema["properties"][required]["default"].is_null()
        {
            min_size += i64::try_from(required.len()).unwrap_or(0) + field.min_size + 4;
        }
    }
    let declared = root || schema["properties"].is_object();
    with_fields(fields, declared, nullable, name, min_size)
}

fn with_fields(
    fields: BTreeMap<Arc<str>, Arc<Schema>>,
    declared: bool,
    nullable: bool,
    name: &str,
    min_size: i64,
) -> Arc<Schema> {
    let types =
        fields.iter().filter_map(|(name, schema)| Some((escape(name)?.into(), schema.ty.clone()?))).collect();
    let ty = Some(Type::Object(ObjectType::new(name, Fields::Named(types))));
    Arc::new(Schema {
        shape: Shape::Object(Object { fields, declared }),
        nullable,
        ty,
        max_elements: 0,
        min_size,
    })
}

/// Whether a schema already says what every resource has.
fn has_meta(schema: &Json) -> bool {
    let properties = &schema["properties"];
    properties["kind"]["type"] == "string"
        && properties["apiVersion"]["type"] == "string"
        && properties["metadata"]["type"] == "object"
        && properties["metadata"]["properties"]["name"]["type"] == "string"
        && properties["metadata"]["properties"]["generateName"]["type"] == "string"
}

fn string(schema: &Json, nullable: bool) -> Arc<Schema> {
    let longest = schema["maxLength"].as_i64().map(|n| n.max(0));
    let named = || schema["enum"].as_array().filter(|values| !values.is_empty());
    let (shape, ty, max_elements, min_size) = match schema["format"].as_str() {
        Some("byte") => (Shape::Bytes, Type::Bytes, longest.unwrap_or(REQUEST - 2), 2),
        Some("duration") => (Shape::Duration, Type::Duration, 32, 3),
        Some("date") => (Shape::Date, Type::Timestamp, 12, 12),
        Some("date-time") => (Shape::DateTime, Type::Timestamp, 32, 21),
        _ => {
            let max = match (longest, named()) {
                (Some(longest), _) => longest * 4,
                (None, Some(values)) => {
                    let length = values.iter().filter_map(Json::as_str).map(str::len).max().unwrap_or(0);
                    i64::try_from(length).unwrap_or(i64::MAX)
                }
                (None, None) => REQUEST - 2,
            };
            (Shape::String, Type::String, max, 2)
        }
    };
    Arc::new(Schema { shape, nullable, ty: Some(ty), max_elements, min_size })
}

/// The name of a field in expressions: `self.x__dash__y` for `x-y`. `None` if it has no such name.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("__") {
            out.push_str("__underscores__");
            rest = after;
            continue;
        }
        match c {
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            _ => return None,
        }
        rest = &rest[c.len_utf8()..];
    }
    Some(out)
}

/// The field that a name in an expression means. `None` if it means none.
pub fn unescape(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("__") {
        let inner = &rest[at + 2..];
        let length = inner.find('_').unwrap_or(inner.len());
        if length == 0 || !inner[length..].starts_with("__") {
            out.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        }
        out.push_str(&rest[..at]);
        match &inner[..length] {
            "underscores" => out.push_str("__"),
            "dot" => out.push('.'),
            "dash" => out.push('-'),
            "slash" => out.push('/'),
            word if RESERVED.contains(&word) && word.len() + 4 == name.len() => out.push_str(word),
            _ => return None,
        }
        rest = &inner[length + 2..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_escaped_and_back() {
        for (name, escaped) in [
            ("a-b", "a__dash__b"),
            ("namespace", "__namespace__"),
            ("x_y", "x_y"),
            ("a__b.c/d", "a__underscores__b__dot__c__slash__d"),
        ] {
            assert_eq!(escape(name).as_deref(), Some(escaped));
            assert_eq!(unescape(escaped).as_deref(), Some(name));
        }
        assert_eq!(escape("1a"), None);
        assert_eq!(escape("ä"), None);
        assert_eq!(unescape("a__b__c"), None);
        assert_eq!(unescape("a___b").as_deref(), Some("a___b"));
    }

    #[test]
    fn bounds_follow_from_the_schema() {
        let schema = json!({"type": "object", "required": ["s"], "properties": {
            "s": {"type": "string", "maxLength": 5}, "l": {"type": "array", "items": {"type": "string"}},
            "m": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
            "u": {"x-kubernetes-preserve-unknown-fields": true}}});
        let schema = Schema::of_openapi(&schema, false);
        assert_eq!(schema.min_size(), 2 + 1 + 2 + 4);
        assert_eq!(schema.field("s").unwrap().max_elements(), 20);
        assert_eq!(schema.field("l").unwrap().max_elements(), (3_145_728 - 2) / 3);
        assert_eq!(schema.field("m").unwrap().max_elements(), 3);
        assert!(schema.field("u").unwrap().ty().is_none());
        assert_eq!(schema.field("m").unwrap().ty().unwrap().to_string(), "map(string, int)");
    }
}
