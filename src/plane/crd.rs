//! CustomResourceDefinitions: defaults, what is wrong with them, their conditions, and the resources they declare.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::{Column, Resource, Scale, collection, priority};
use super::status::FieldError;
use crate::model::Gvk;

/// The group and kind of a definition itself.
pub(crate) const GROUP: &str = "apiextensions.k8s.io";
pub(crate) const KIND: &str = "CustomResourceDefinition";
/// Keeps a definition until the objects of its kind are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in what a definition may leave out.
pub(crate) fn default(body: &mut Value) {
    let spec = &mut body["spec"];
    if !spec.is_object() {
        return;
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let names = &mut spec["names"];
    if names.is_object() && !kind.is_empty() {
        if names["singular"].as_str().unwrap_or_default().is_empty() {
            names["singular"] = kind.to_lowercase().into();
        }
        if names["listKind"].as_str().unwrap_or_default().is_empty() {
            names["listKind"] = format!("{kind}List").into();
        }
    }
    for version in versions_mut(spec) {
        for column in version["additionalPrinterColumns"].as_array_mut().into_iter().flatten() {
            if column["priority"] == 0 {
                column.as_object_mut().map(|column| column.remove("priority"));
            }
        }
        if version["deprecated"] == false {
            version.as_object_mut().map(|version| version.remove("deprecated"));
        }
    }
    if spec["preserveUnknownFields"] == false {
        spec.as_object_mut().map(|spec| spec.remove("preserveUnknownFields"));
    }
}

/// The status of a definition that was just created.
pub(crate) fn initial_status(body: &Value) -> Value {
    json!({
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": null,
        "storedVersions": storage_versions(body).first().into_iter().collect::<Vec<_>>(),
    })
}

/// Names of the versions that are marked as stored.
fn storage_versions(body: &Value) -> Vec<&str> {
    versions(body).filter(|v| v["storage"] == true).filter_map(|v| v["name"].as_str()).collect()
}

/// The status after the names were accepted and the resource is served. Kept conditions keep their times.
pub(crate) fn established(body: &Value, now: &str) -> Value {
    let mut stored: Vec<String> = body["status"]["storedVersions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    for version in storage_versions(body) {
        if !stored.iter().any(|s| s == version) {
            stored.push(version.to_owned());
        }
    }
    let condition = |kind: &str, reason: &str, message: &str| {
        let old = body["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["type"] == kind && c["status"] == "True");
        let since = old.and_then(|c| c["lastTransitionTime"].as_str()).unwrap_or(now);
        json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since})
    };
    json!({
        "acceptedNames": body["spec"]["names"],
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    })
}

/// The status of a definition whose names another one holds; nothing is served for it.
pub(crate) fn names_refused(body: &Value, field: &str, name: &str, now: &str) -> Value {
    let mut status = body["status"].clone();
    status["conditions"] = json!([
        {
            "type": "NamesAccepted", "status": "False", "reason": format!("{field}Conflict"),
            "message": format!("{name:?} is already in use"), "lastTransitionTime": now,
        },
        {
            "type": "Established", "status": "False", "reason": "NotAccepted",
            "message": "not all names are accepted", "lastTransitionTime": now,
        },
    ]);
    status
}

/// Whether its resources are served.
pub(crate) fn is_established(body: &Value) -> bool {
    body["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Established" && c["status"] == "True")
}

/// A name of `body` that an established definition of the same group already holds. Plural, singular and short names
/// stand for the same thing in a request, so each may collide with each; so may kinds with list kinds.
pub(crate) fn name_conflict(body: &Value, others: &[&Value]) -> Option<(&'static str, String)> {
    const RESOURCES: [&str; 3] = ["plural", "singular", "shortNames"];
    const KINDS: [&str; 2] = ["kind", "listKind"];
    let of_group = |other: &&&Value| {
        other["metadata"]["name"] != body["metadata"]["name"]
            && other["spec"]["group"] == body["spec"]["group"]
    };
    let others: Vec<&Value> =
        others.iter().filter(of_group).map(|other| &other["status"]["acceptedNames"]).collect();
    let names = &body["spec"]["names"];
    let taken = |field: &str, among: &[&str]| {
        let held: Vec<&str> =
            others.iter().flat_map(|held| among.iter().flat_map(|field| texts(&held[*field]))).collect();
        texts(&names[field]).into_iter().find(|name| held.contains(name)).map(str::to_owned)
    };
    let labels = ["Plural", "Singular", "ShortNames", "Kind", "ListKind"];
    let fields = RESOURCES.map(|field| (field, &RESOURCES[..])).into_iter();
    fields
        .chain(KINDS.map(|field| (field, &KINDS[..])))
        .zip(labels)
        .find_map(|((field, among), label)| Some((label, taken(field, among)?)))
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// What is wrong with the definition as a whole; its schemas are the business of `schema`.
pub(crate) fn validate(body: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &body["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, plural, group) =
        (text(&body["metadata"]["name"]), text(&spec["names"]["plural"]), text(&spec["group"]));
    if name != format!("{plural}.{group}") {
        let message = format!("Invalid value: {name:?}: must be spec.names.plural+\".\"+spec.group");
        errors.push(FieldError::new("metadata.name", message));
    }
    for (field, value) in [
        ("spec.group", &group),
        ("spec.names.plural", &plural),
        ("spec.names.kind", &text(&spec["names"]["kind"])),
    ] {
        if value.is_empty() {
            errors.push(FieldError::new(field, "Required value"));
        }
    }
    let scope = text(&spec["scope"]);
    if scope.is_empty() {
        errors.push(FieldError::new("spec.scope", "Required value"));
    } else if !matches!(scope.as_str(), "Namespaced" | "Cluster") {
        let message = format!("Unsupported value: {scope:?}: supported values: \"Cluster\", \"Namespaced\"");
        errors.push(FieldError::new("spec.scope", message));
    }
    let several = versions(body).count() > 1;
    for (index, version) in versions(body).enumerate() {
        let schema = &version["schema"]["openAPIV3Schema"];
        if !schema.is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            errors.push(FieldError::new(field, "Required value"));
            continue;
        }
        // A single version's schema is shown where all versions' common one used to be.
        let field = if several {
            format!("spec.versions[{index}].schema.openAPIV3Schema")
        } else {
            "spec.validation.openAPIV3Schema".to_owned()
        };
        structural(schema, &field, "at the root", &mut errors);
    }
    stored_versions(body, &mut errors);
    errors
}

/// Whether a schema says the type of everything it specifies.
fn structural(schema: &Value, field: &str, place: &str, errors: &mut Vec<FieldError>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let field = format!("{field}.properties[{name}]");
        structural(property, &field, "for specified object fields", errors);
    }
    if schema["items"].is_object() {
        structural(&schema["items"], &format!("{field}.items"), "for specified array items", errors);
    }
    if schema["additionalProperties"].is_object() {
        let field = format!("{field}.additionalProperties");
        structural(&schema["additionalProperties"], &field, "for specified object fields", errors);
    }
    let free = schema["x-kubernetes-int-or-string"] == true
        || (schema["x-kubernetes-preserve-unknown-fields"] == true && place != "at the root");
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind.is_empty() && !free {
        errors.push(FieldError::new(
            format!("{field}.type"),
            format!("Required value: must not be empty {place}"),
        ));
    } else if place == "at the root" && kind != "object" {
        let message = format!("Invalid value: {kind:?}: must be object at the root");
        errors.push(FieldError::new(format!("{field}.type"), message));
    }
}

fn stored_versions(body: &Value, errors: &mut Vec<FieldError>) {
    let marked = storage_versions(body);
    if marked.len() != 1 {
        let shown: Vec<String> = versions(body).map(go_version).collect();
        let message = format!(
            "Invalid value: [{}]: must have exactly one version marked as storage version",
            shown.join(",")
        );
        errors.push(FieldError::new("spec.versions", message));
    }
    let stored: Vec<&str> =
        body["status"]["storedVersions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(last) = marked.last().filter(|last| !stored.is_empty() && !stored.contains(last)) {
        let message = format!("Invalid value: {}: must have the storage version {last}", json!(stored));
        errors.push(FieldError::new("status.storedVersions", message));
    }
}

/// A version as the server's own struct prints it, which is what its message shows.
fn go_version(version: &Value) -> String {
    let flag = |field: &str| version[field] == true;
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
        version["name"],
        flag("served"),
        flag("storage"),
        flag("deprecated"),
        version["deprecationWarning"],
    )
}

/// The resources of a definition, one for each served version.
pub(crate) fn resources(body: &Value) -> Vec<Resource> {
    let spec = &body["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let storage: Arc<str> = storage_versions(body).first().copied().unwrap_or_default().into();
    let mut served: Vec<&Value> = versions(body).filter(|v| v["served"] == true).collect();
    served.sort_by_key(|v| std::cmp::Reverse(priority(v["name"].as_str().unwrap_or_default())));
    served
        .into_iter()
        .map(|version| Resource {
            gvk: Gvk {
                group: group.as_str().into(),
                version: text(&version["name"]).into(),
                kind: text(&names["kind"]).into(),
            },
            plural: plural.clone(),
            singular: text(&names["singular"]),
            list_kind: text(&names["listKind"]),
            short_names: texts(&names["shortNames"]),
            categories: texts(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            status: version["subresources"]["status"].is_object(),
            scale: scale(&version["subresources"]["scale"]),
            custom: true,
            stored: Gvk {
                group: group.as_str().into(),
                version: storage.clone(),
                kind: text(&names["kind"]).into(),
            },
            qualified: collection(&plural, &group),
            collection: collection(&plural, &group),
            selectable: version["selectableFields"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|f| text(&f["jsonPath"]).trim_start_matches('.').to_owned())
                .collect(),
            columns: columns(version),
            virtual_kind: false,
            deprecation: deprecation(&group, &text(&names["kind"]), version),
        })
        .collect()
}

fn deprecation(group: &str, kind: &str, version: &Value) -> Option<String> {
    (version["deprecated"] == true).then(|| match version["deprecationWarning"].as_str() {
        Some(warning) => warning.to_owned(),
        None => format!("{group}/{} {kind} is deprecated", version["name"].as_str().unwrap_or_default()),
    })
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
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let declared: Vec<Column> = version["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|column| Column {
            name: text(&column["name"]),
            kind: text(&column["type"]),
            format: text(&column["format"]),
            description: text(&column["description"]),
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
        description: super::table::AGE_DESCRIPTION.to_owned(),
        priority: 0,
        path: ".metadata.creationTimestamp".to_owned(),
    }]
}

fn versions(body: &Value) -> impl Iterator<Item = &Value> {
    body["spec"]["versions"].as_array().into_iter().flatten()
}

fn versions_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    spec["versions"].as_array_mut().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({
            "metadata": {"name": "things.g"},
            "spec": {
                "group": "g", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
        })
    }

    #[test]
    fn a_definition_becomes_established() {
        let mut body = definition();
        default(&mut body);
        assert_eq!(body["spec"]["names"]["listKind"], "ThingList");
        assert!(validate(&body).is_empty());
        body["status"] = initial_status(&body);
        assert!(!is_established(&body));
        body["status"] = established(&body, "2024-01-01T00:00:00Z");
        assert!(is_established(&body));
        assert_eq!(resources(&body)[0].qualified.as_ref(), "things.g");
    }

    #[test]
    fn a_taken_name_is_refused() {
        let mut first = definition();
        first["status"] = established(&first, "");
        let mut second = definition();
        second["metadata"]["name"] = "others.g".into();
        second["spec"]["names"]["plural"] = "others".into();
        assert_eq!(name_conflict(&second, &[&first]), Some(("Kind", "Thing".to_owned())));
        let names = |names: Value| json!({"metadata": {"name": names["plural"]}, "spec": {"group": "a", "names": names}, "status": {"acceptedNames": names}});
        let (gadgets, widgets) = (
            names(json!({"plural": "gadgets", "shortNames": ["gd"]})),
            names(json!({"plural": "widgets", "singular": "gd"})),
        );
        assert_eq!(name_conflict(&gadgets, &[&widgets]), Some(("ShortNames", "gd".to_owned())));
        assert_eq!(name_conflict(&gadgets, &[&gadgets]), None);
        assert!(
            !validate(&{
                second["spec"]["names"]["plural"] = "things".into();
                second
            })
            .is_empty()
        );
    }
}
