//! What stands in for a cluster's answers: values of variables, labels of namespaces, the kinds of subresources, the
//! user who asks.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::inputs::texts;
use crate::model::Gvk;
use crate::policy::{UserInfo, Values};

/// The values for a policy and an object: the global ones, the object's, and those of each rule.
pub(super) fn values_for(values: &Value, policy: &str, object: &str) -> Values {
    let mut given = Values::default();
    given.global.extend(values["globalValues"].as_object().cloned().unwrap_or_default());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for entry in list(&values["policies"]).iter().filter(|entry| entry["name"] == policy) {
        for resource in list(&entry["resources"]).iter().filter(|r| r["name"] == object) {
            given.global.extend(resource["values"].as_object().cloned().unwrap_or_default());
        }
        for rule in list(&entry["rules"]) {
            let own = rule["values"].as_object().cloned().unwrap_or_default();
            let key = (policy.to_owned(), rule["name"].as_str().unwrap_or_default().to_owned());
            given
                .elements
                .insert(key.clone(), rule["foreachValues"].as_object().cloned().unwrap_or_default());
            given.rules.insert(key, own);
        }
    }
    given
}

/// Labels of namespaces, by name: of the objects under `namespaces`, and as `namespaceSelector` says.
pub(super) fn namespace_labels(values: &Value) -> HashMap<String, BTreeMap<String, String>> {
    let list = |name: &str| values[name].as_array().into_iter().flatten();
    let objects = list("namespaces").map(|namespace| &namespace["metadata"]);
    objects
        .chain(list("namespaceSelector"))
        .filter_map(|item| {
            let labels = item["labels"].as_object().into_iter().flatten();
            let labels = labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
            Some((item["name"].as_str()?.to_owned(), labels))
        })
        .collect()
}

/// The namespace of a name, as an object under `namespaces`.
pub(super) fn namespace<'v>(values: &'v Value, name: &str) -> Option<&'v Value> {
    values["namespaces"].as_array()?.iter().find(|namespace| namespace["metadata"]["name"] == name)
}

/// The subresource that an object is, and the kind it belongs to.
pub(super) fn subresource(values: &Value, object: &Value) -> Option<(String, Gvk)> {
    let gvk = |kind: &Value| {
        let text = |name: &str| kind[name].as_str().unwrap_or_default();
        Gvk { group: text("group").into(), version: text("version").into(), kind: text("kind").into() }
    };
    let own = Gvk::of(object).ok()?;
    let mut entries = values["subresources"].as_array()?.iter();
    let found = entries.find(|entry| gvk(&entry["subresource"]).group_kind() == own.group_kind())?;
    let name = found["subresource"]["name"].as_str()?.rsplit('/').next()?.to_owned();
    Some((name, gvk(&found["parentResource"])))
}

/// The user that a `UserInfo` document describes.
pub(super) fn user(info: &Value) -> UserInfo {
    UserInfo {
        name: info["userInfo"]["username"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&info["userInfo"]["groups"]),
        roles: texts(&info["roles"]),
        cluster_roles: texts(&info["clusterRoles"]),
    }
}
