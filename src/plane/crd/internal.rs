//! A definition as the server holds it inside: what all versions have in common stands once, beside them. That is why
//! messages about a definition of one version name `spec.validation` and not `spec.versions[0].schema`.

use serde_json::Value;

use super::node::{self, Node};

/// What a version says, or what all of them say.
#[derive(Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    /// `schema`: the object around `openAPIV3Schema`.
    pub schema: Option<&'a Value>,
    pub subresources: Option<&'a Value>,
    pub columns: &'a [Value],
    pub selectable: &'a [Value],
}

/// A version.
pub(super) struct Version<'a> {
    pub name: &'a str,
    pub served: bool,
    pub storage: bool,
    pub deprecated: bool,
    pub deprecation_warning: Option<&'a str>,
    pub parts: Parts<'a>,
}

/// The spec of a definition.
pub(super) struct Spec<'a> {
    pub body: &'a Value,
    pub versions: Vec<Version<'a>>,
    pub common: Parts<'a>,
}

impl<'a> Parts<'a> {
    fn of(version: &'a Value) -> Parts<'a> {
        let object = |key: &str| version.get(key).filter(|value| value.is_object());
        let list = |key: &str| version[key].as_array().map(Vec::as_slice).unwrap_or_default();
        Parts {
            schema: object("schema"),
            subresources: object("subresources"),
            columns: list("additionalPrinterColumns"),
            selectable: list("selectableFields"),
        }
    }

    /// The schema itself.
    pub fn root(&self) -> Option<Node<'a>> {
        Node::of(self.schema?.get("openAPIV3Schema")?)
    }

    pub fn has_status(&self) -> bool {
        self.subresources.is_some_and(|subresources| subresources["status"].is_object())
    }
}

impl<'a> Spec<'a> {
    pub fn of(definition: &'a Value) -> Spec<'a> {
        let body = &definition["spec"];
        let mut versions: Vec<Version<'a>> = super::versions(definition).map(version).collect();
        let mut common = Parts::default();
        if let Some(first) = versions.first().map(|version| version.parts) {
            if versions.iter().all(|v| v.parts.schema == first.schema) {
                common.schema = first.schema;
                versions.iter_mut().for_each(|v| v.parts.schema = None);
            }
            if versions.iter().all(|v| v.parts.subresources == first.subresources) {
                common.subresources = first.subresources;
                versions.iter_mut().for_each(|v| v.parts.subresources = None);
            }
            if versions.iter().all(|v| v.parts.columns == first.columns) {
                common.columns = first.columns;
                versions.iter_mut().for_each(|v| v.parts.columns = &[]);
            }
            if versions.iter().all(|v| v.parts.selectable == first.selectable) {
                common.selectable = first.selectable;
                versions.iter_mut().for_each(|v| v.parts.selectable = &[]);
            }
        }
        Spec { body, versions, common }
    }

    pub fn text(&self, key: &str) -> &'a str {
        self.body[key].as_str().unwrap_or_default()
    }

    pub fn name(&self, key: &str) -> &'a str {
        self.body["names"][key].as_str().unwrap_or_default()
    }

    pub fn keeps_unknown(&self) -> bool {
        self.body["preserveUnknownFields"] == true
    }

    /// Every schema that stands anywhere.
    pub fn schemas(&self) -> impl Iterator<Item = Node<'a>> {
        let roots: Vec<Node<'a>> = self
            .common
            .root()
            .into_iter()
            .chain(self.versions.iter().filter_map(|v| v.parts.root()))
            .collect();
        roots.into_iter()
    }

    /// The schema of a version, wherever it stands.
    pub fn schema_of(&self, version: &str) -> Option<Node<'a>> {
        let version = self.versions.iter().find(|v| v.name == version)?;
        self.common.root().or_else(|| version.parts.root())
    }

    /// The subresources of a version, wherever they stand.
    pub fn has_status(&self, version: &Version<'_>) -> bool {
        if self.versions.iter().any(|v| v.parts.subresources.is_some()) {
            version.parts.has_status()
        } else {
            self.common.has_status()
        }
    }

    /// The versions as the server's own struct prints them.
    pub fn shown_versions(&self) -> String {
        let shown: Vec<String> = self.versions.iter().map(shown_version).collect();
        format!("[{}]", shown.join(","))
    }
}

fn version(version: &Value) -> Version<'_> {
    Version {
        name: version["name"].as_str().unwrap_or_default(),
        served: version["served"] == true,
        storage: version["storage"] == true,
        deprecated: version["deprecated"] == true,
        deprecation_warning: version["deprecationWarning"].as_str(),
        parts: Parts::of(version),
    }
}

fn shown_version(version: &Version<'_>) -> String {
    let schema = match (version.parts.schema, version.parts.root()) {
        (_, Some(root)) => format!("{{\"OpenAPIV3Schema\":{}}}", node::shown(root)),
        (Some(_), None) => "{\"OpenAPIV3Schema\":null}".to_owned(),
        (None, None) => "null".to_owned(),
    };
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{schema},\"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
        Value::from(version.name),
        version.served,
        version.storage,
        version.deprecated,
        Value::from(version.deprecation_warning),
        version.parts.subresources.map_or_else(|| "null".to_owned(), shown_subresources),
        shown_list(version.parts.columns, shown_column),
        shown_list(version.parts.selectable, |field| format!("{{\"JSONPath\":{}}}", text(field, "jsonPath"))),
    )
}

fn shown_list(list: &[Value], shown: impl Fn(&Value) -> String) -> String {
    if list.is_empty() {
        return "null".to_owned();
    }
    format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(","))
}

fn text(value: &Value, key: &str) -> Value {
    value[key].as_str().unwrap_or_default().into()
}

fn shown_column(column: &Value) -> String {
    format!(
        "{{\"Name\":{},\"Type\":{},\"Format\":{},\"Description\":{},\"Priority\":{},\"JSONPath\":{}}}",
        text(column, "name"),
        text(column, "type"),
        text(column, "format"),
        text(column, "description"),
        column["priority"].as_i64().unwrap_or_default(),
        text(column, "jsonPath"),
    )
}

fn shown_subresources(subresources: &Value) -> String {
    let status = if subresources["status"].is_object() { "{}" } else { "null" };
    let scale = &subresources["scale"];
    let shown_scale = if scale.is_object() {
        format!(
            "{{\"SpecReplicasPath\":{},\"StatusReplicasPath\":{},\"LabelSelectorPath\":{}}}",
            text(scale, "specReplicasPath"),
            text(scale, "statusReplicasPath"),
            scale["labelSelectorPath"],
        )
    } else {
        "null".to_owned()
    };
    format!("{{\"Status\":{status},\"Scale\":{shown_scale}}}")
}
