//! What discovery says about a kind.

use serde_json::Value;

use crate::model::Gvk;

/// What discovery says about a kind in a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindInfo {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Name in URLs, `deployments`.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a status subresource.
    pub has_status: bool,
    /// All subresources, such as `status` and `scale`.
    pub subresources: Vec<String>,
    /// What can be asked of it, such as `create` and `list`.
    pub verbs: Vec<String>,
    /// Whether the API server has it without a CustomResourceDefinition.
    pub builtin: bool,
    /// The kind of a list of it.
    pub list_kind: String,
}

/// The verbs of every kind that is stored.
const STORED: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl KindInfo {
    /// From a row of the table of built-in kinds.
    pub(super) fn of_row(row: &Value) -> KindInfo {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let subresources = texts(&row["subresources"]);
        KindInfo {
            gvk: Gvk {
                group: text("group").into(),
                version: text("version").into(),
                kind: text("kind").into(),
            },
            plural: text("plural").to_owned(),
            singular: text("singular").to_owned(),
            short_names: texts(&row["shortNames"]),
            categories: texts(&row["categories"]),
            namespaced: row["namespaced"] == true,
            has_status: subresources.iter().any(|s| s == "status"),
            subresources,
            verbs: texts(&row["verbs"]),
            builtin: true,
            list_kind: format!("{}List", text("kind")),
        }
    }

    /// Of one version of a CustomResourceDefinition; `spec` and the entry of `spec.versions`.
    pub(super) fn of_crd(spec: &Value, version: &Value) -> KindInfo {
        let names = &spec["names"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&names["kind"]);
        let mut subresources: Vec<String> =
            version["subresources"].as_object().into_iter().flat_map(|m| m.keys().cloned()).collect();
        subresources.sort();
        let or = |value: String, other: String| if value.is_empty() { other } else { value };
        KindInfo {
            gvk: Gvk {
                group: text(&spec["group"]).into(),
                version: text(&version["name"]).into(),
                kind: kind.as_str().into(),
            },
            plural: text(&names["plural"]),
            singular: or(text(&names["singular"]), kind.to_lowercase()),
            short_names: texts(&names["shortNames"]),
            categories: texts(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            has_status: subresources.iter().any(|s| s == "status"),
            subresources,
            verbs: STORED.map(str::to_owned).to_vec(),
            builtin: false,
            list_kind: or(text(&names["listKind"]), format!("{kind}List")),
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}
