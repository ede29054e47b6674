//! The resources that a definition declares, one for each served version.

use std::sync::Arc;

use serde_json::Value;

use super::{storage_versions, versions};
use crate::model::Gvk;
use crate::plane::kinds::{Column, Resource, Scale, collection, priority};
use crate::plane::table::AGE_DESCRIPTION;

/// The resources of a definition, under the names that it was given.
pub(crate) fn resources(body: &Value) -> Vec<Resource> {
    let mut served: Vec<&Value> = versions(body).filter(|version| version["served"] == true).collect();
    served.sort_by_key(|version| std::cmp::Reverse(priority(version["name"].as_str().unwrap_or_default())));
    served.into_iter().map(|version| resource(body, version)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn resource(body: &Value, version: &Value) -> Resource {
    let spec = &body["spec"];
    let accepted = &body["status"]["acceptedNames"];
    let names = if accepted["plural"].as_str().is_none_or(str::is_empty) { &spec["names"] } else { accepted };
    let (group, plural, kind) = (text(&spec["group"]), text(&names["plural"]), text(&names["kind"]));
    let gvk = |version: &str| Gvk {
        group: group.as_str().into(),
        version: version.into(),
        kind: kind.as_str().into(),
    };
    let served = version["name"].as_str().unwrap_or_default();
    let qualified: Arc<str> = collection(&plural, &group);
    Resource {
        gvk: gvk(served),
        stored: gvk(storage_versions(body).first().copied().unwrap_or_default()),
        singular: text(&names["singular"]),
        list_kind: text(&names["listKind"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: version["subresources"]["status"].is_object(),
        scale: scale(&version["subresources"]["scale"]),
        custom: true,
        collection: qualified.clone(),
        qualified,
        selectable: version["selectableFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned())
            .collect(),
        columns: columns(version),
        virtual_kind: false,
        deprecation: deprecation(body, &group, &kind, version),
        plural,
    }
}

/// The warning of a deprecated version: its own words, or which version to use instead.
fn deprecation(body: &Value, group: &str, kind: &str, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    if let Some(warning) = version["deprecationWarning"].as_str() {
        return Some(warning.to_owned());
    }
    let name = version["name"].as_str().unwrap_or_default();
    let better = versions(body)
        .filter(|other| other["served"] == true && other["deprecated"] != true)
        .filter_map(|other| other["name"].as_str())
        .filter(|other| priority(other) > priority(name))
        .max_by_key(|other| priority(other));
    let instead = better.map(|better| format!("; use {group}/{better} {kind}")).unwrap_or_default();
    Some(format!("{group}/{name} {kind} is deprecated{instead}"))
}

fn scale(scale: &Value) -> Option<Scale> {
    let path = |field: &str| -> Option<Vec<String>> {
        let path = scale[field].as_str()?.trim_start_matches('.');
        Some(path.split('.').map(str::to_owned).collect())
    };
    Some(Scale {
        spec_replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        selector: path("labelSelectorPath"),
    })
}

fn columns(version: &Value) -> Vec<Column> {
    let declared: Vec<Column> = version["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|column| Column {
            name: text(&column["name"]),
            kind: text(&column["type"]),
            format: text(&column["format"]),
            description: column["description"].as_str().filter(|text| !text.is_empty()).map_or_else(
                || {
                    let path = text(&column["jsonPath"]);
                    format!("Custom resource definition column (in JSONPath format): {path}")
                },
                str::to_owned,
            ),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: text(&column["jsonPath"]),
        })
        .collect();
    if !declared.is_empty() {
        return declared;
    }
    vec![Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: AGE_DESCRIPTION.to_owned(),
        priority: 0,
        path: ".metadata.creationTimestamp".to_owned(),
    }]
}
