//! A schema as a definition holds it: JSON, read as the server's struct, where absent fields have zero values.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::schema::show;

/// A schema.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub &'a Map<String, Value>);

/// What `items` may be.
pub(super) enum Items<'a> {
    Absent,
    One(Node<'a>),
    Many(Vec<Node<'a>>),
}

/// What `additionalProperties` (or `additionalItems`) may be.
#[derive(Clone, Copy)]
pub(super) enum Additional<'a> {
    Allowed(bool),
    Schema(Node<'a>),
}

impl<'a> Node<'a> {
    pub fn of(value: &'a Value) -> Option<Node<'a>> {
        value.as_object().map(Node)
    }

    /// A field that is there and not null.
    pub fn pointer(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub fn text(self, key: &str) -> &'a str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn kind(self) -> &'a str {
        self.text("type")
    }

    pub fn is(self, key: &str) -> bool {
        self.0.get(key) == Some(&Value::Bool(true))
    }

    pub fn list(self, key: &str) -> &'a [Value] {
        self.0.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn texts(self, key: &str) -> Vec<&'a str> {
        self.list(key).iter().filter_map(Value::as_str).collect()
    }

    pub fn schema(self, key: &str) -> Option<Node<'a>> {
        self.0.get(key).and_then(Node::of)
    }

    pub fn schemas(self, key: &str) -> impl Iterator<Item = Node<'a>> {
        self.list(key).iter().filter_map(Node::of)
    }

    /// Named schemas, such as `properties`.
    pub fn named(self, key: &str) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let all = self.0.get(key).and_then(Value::as_object).into_iter().flatten();
        all.filter_map(|(name, schema)| Some((name.as_str(), Node::of(schema)?)))
    }

    pub fn property(self, name: &str) -> Option<Node<'a>> {
        self.0.get("properties")?.get(name).and_then(Node::of)
    }

    pub fn items(self) -> Items<'a> {
        match self.pointer("items") {
            Some(Value::Object(schema)) => Items::One(Node(schema)),
            Some(Value::Array(schemas)) => Items::Many(schemas.iter().filter_map(Node::of).collect()),
            _ => Items::Absent,
        }
    }

    pub fn item(self) -> Option<Node<'a>> {
        self.schema("items")
    }

    pub fn additional(self, key: &str) -> Option<Additional<'a>> {
        match self.pointer(key)? {
            Value::Object(schema) => Some(Additional::Schema(Node(schema))),
            allowed => Some(Additional::Allowed(*allowed == Value::Bool(true))),
        }
    }

    /// The schema of other keys.
    pub fn values(self) -> Option<Node<'a>> {
        self.schema("additionalProperties")
    }

    /// Whether any schema in this one, itself too, is such.
    pub fn has(self, such: &dyn Fn(Node<'_>) -> bool) -> bool {
        such(self) || self.children().any(|child| child.has(such))
    }

    /// All schemas right below this one.
    fn children(self) -> impl Iterator<Item = Node<'a>> {
        let items = match self.items() {
            Items::Absent => Vec::new(),
            Items::One(schema) => vec![schema],
            Items::Many(schemas) => schemas,
        };
        items
            .into_iter()
            .chain(["allOf", "anyOf", "oneOf"].into_iter().flat_map(move |key| self.schemas(key)))
            .chain(
                ["not", "additionalProperties", "additionalItems"]
                    .into_iter()
                    .filter_map(move |key| self.schema(key)),
            )
            .chain(
                ["properties", "patternProperties", "definitions", "dependencies"]
                    .into_iter()
                    .flat_map(move |key| self.named(key).map(|(_, schema)| schema)),
            )
    }

    /// Whether a field has another value than its zero value.
    pub fn says(self, key: &str) -> bool {
        match self.0.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(truth)) => *truth || key == "x-kubernetes-preserve-unknown-fields",
            Some(Value::String(text)) => {
                !text.is_empty()
                    || matches!(
                        key,
                        "$ref" | "x-kubernetes-list-type" | "x-kubernetes-map-type" | "default" | "example"
                    )
            }
            Some(Value::Array(list)) => !list.is_empty() || matches!(key, "default" | "example"),
            Some(Value::Object(map)) => {
                !map.is_empty() || !matches!(key, "properties" | "patternProperties" | "definitions")
            }
            Some(Value::Number(_)) => true,
        }
    }
}

/// The fields of the server's struct in its order: its name of the field, ours, and what an absent one is.
pub(super) const FIELDS: [(&str, &str, &str); 43] = [
    ("ID", "id", "\"\""),
    ("Schema", "$schema", "\"\""),
    ("Ref", "$ref", "null"),
    ("Description", "description", "\"\""),
    ("Type", "type", "\"\""),
    ("Nullable", "nullable", "false"),
    ("Format", "format", "\"\""),
    ("Title", "title", "\"\""),
    ("Default", "default", "null"),
    ("Maximum", "maximum", "null"),
    ("ExclusiveMaximum", "exclusiveMaximum", "false"),
    ("Minimum", "minimum", "null"),
    ("ExclusiveMinimum", "exclusiveMinimum", "false"),
    ("MaxLength", "maxLength", "null"),
    ("MinLength", "minLength", "null"),
    ("Pattern", "pattern", "\"\""),
    ("MaxItems", "maxItems", "null"),
    ("MinItems", "minItems", "null"),
    ("UniqueItems", "uniqueItems", "false"),
    ("MultipleOf", "multipleOf", "null"),
    ("Enum", "enum", "null"),
    ("MaxProperties", "maxProperties", "null"),
    ("MinProperties", "minProperties", "null"),
    ("Required", "required", "null"),
    ("Items", "items", "null"),
    ("AllOf", "allOf", "null"),
    ("OneOf", "oneOf", "null"),
    ("AnyOf", "anyOf", "null"),
    ("Not", "not", "null"),
    ("Properties", "properties", "null"),
    ("AdditionalProperties", "additionalProperties", "null"),
    ("PatternProperties", "patternProperties", "null"),
    ("Dependencies", "dependencies", "null"),
    ("AdditionalItems", "additionalItems", "null"),
    ("Definitions", "definitions", "null"),
    ("ExternalDocs", "externalDocs", "null"),
    ("Example", "example", "null"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", "null"),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", "false"),
    ("XIntOrString", "x-kubernetes-int-or-string", "false"),
    ("XListMapKeys", "x-kubernetes-list-map-keys", "null"),
    ("XListType", "x-kubernetes-list-type", "null"),
    ("XMapType", "x-kubernetes-map-type", "null"),
];

/// A schema as the server's own struct prints it, which is what some messages show.
pub(super) fn shown(node: Node<'_>) -> String {
    let mut out = String::from("{");
    for (name, key, zero) in FIELDS {
        let value = match node.pointer(key) {
            None => zero.to_owned(),
            Some(value) => shown_field(key, node, value),
        };
        let _ = write!(out, "{name:?}:{value},");
    }
    let rules: Vec<String> = node.list("x-kubernetes-validations").iter().map(shown_rule).collect();
    let rules = if rules.is_empty() { "null".to_owned() } else { format!("[{}]", rules.join(",")) };
    let _ = write!(out, "\"XValidations\":{rules}}}");
    out
}

fn shown_field(key: &str, node: Node<'_>, value: &Value) -> String {
    let list = |schemas: Vec<String>| format!("[{}]", schemas.join(","));
    match key {
        "items" => shown_items(node),
        "allOf" | "oneOf" | "anyOf" => list(node.schemas(key).map(shown).collect()),
        "not" => node.schema(key).map_or_else(|| "null".to_owned(), shown),
        "properties" | "patternProperties" | "definitions" => {
            let named: Vec<String> = node
                .named(key)
                .map(|(name, schema)| format!("{}:{}", Value::from(name), shown(schema)))
                .collect();
            format!("{{{}}}", named.join(","))
        }
        "additionalProperties" | "additionalItems" => match node.additional(key) {
            Some(Additional::Schema(schema)) => format!("{{\"Allows\":true,\"Schema\":{}}}", shown(schema)),
            Some(Additional::Allowed(allowed)) => format!("{{\"Allows\":{allowed},\"Schema\":null}}"),
            None => "null".to_owned(),
        },
        "externalDocs" => {
            let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
            format!(
                "{{\"Description\":{},\"URL\":{}}}",
                Value::from(text("description")),
                Value::from(text("url"))
            )
        }
        _ => show::json(value),
    }
}

/// `items` as the server's struct prints it.
pub(super) fn shown_items(node: Node<'_>) -> String {
    match node.items() {
        Items::Absent => "null".to_owned(),
        Items::One(schema) => format!("{{\"Schema\":{},\"JSONSchemas\":null}}", shown(schema)),
        Items::Many(schemas) => {
            let schemas: Vec<String> = schemas.into_iter().map(shown).collect();
            format!("{{\"Schema\":null,\"JSONSchemas\":[{}]}}", schemas.join(","))
        }
    }
}

/// A validation rule as the server's struct prints it.
pub(super) fn shown_rule(rule: &Value) -> String {
    let text = |key: &str| show::json(&Value::from(rule[key].as_str().unwrap_or_default()));
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"],
    )
}
