//! The roles and bindings that a new server has.
//!
//! `bootstrap.json` holds them as kube-apiserver v1.35 makes them, in its order and without what all have in common;
//! `MOIN_WRITE_BOOTSTRAP=1 cargo test --test plane_auth_real bootstrap` records it again from a real one.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{GROUP, Scope, aggregate};
use crate::plane::server::Server;
use crate::plane::store::{Key, Range};

const MANAGER: &str = "kube-apiserver";

/// Collection, namespace, name and body of each, but for what is its own in every server.
static OBJECTS: LazyLock<Vec<(Key, Value)>> = LazyLock::new(|| {
    let entries: Vec<Map<String, Value>> =
        serde_json::from_str(include_str!("bootstrap.json")).expect("the table in the repository is JSON");
    entries.into_iter().map(object).collect()
});

/// The same after the controller has gathered the rules of `admin`, `edit` and `view`.
static AGGREGATED: LazyLock<Vec<(Key, Value)>> = LazyLock::new(|| {
    let mut objects = OBJECTS.clone();
    loop {
        let bodies: Vec<&Value> = objects.iter().map(|(_, body)| body).collect();
        let Some((role, rules)) = aggregate::changes(&bodies).next() else { return objects };
        let name = role["metadata"]["name"].clone();
        let body = objects.iter_mut().map(|(_, body)| body);
        for role in body.filter(|body| body["metadata"]["name"] == name && body["kind"] == "ClusterRole") {
            role["rules"] = rules.clone().into();
            let managers = &mut role["metadata"]["managedFields"];
            let own = managers[managers.as_array().map_or(0, |all| all.len() - 1)].clone();
            *managers = json!([gathered(), own]);
        }
    }
});

fn gathered() -> Value {
    json!({
        "manager": aggregate::MANAGER, "operation": "Apply", "apiVersion": format!("{GROUP}/v1"),
        "fieldsType": "FieldsV1", "fieldsV1": {"f:rules": {}},
    })
}

fn object(mut entry: Map<String, Value>) -> (Key, Value) {
    let mut take = |field: &str| entry.remove(field).unwrap_or_default();
    let (resource, name, namespace, labels) =
        (take("resource"), take("name"), take("namespace"), take("labels"));
    let mut labels = labels.as_object().cloned().unwrap_or_default();
    labels.insert("kubernetes.io/bootstrapping".to_owned(), "rbac-defaults".into());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = Key {
        resource: format!("{}.{GROUP}", text(&resource)).into(),
        namespace: text(&namespace).into(),
        name: text(&name).into(),
    };
    let mut metadata = json!({
        "name": name, "labels": labels,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "managedFields": [{
            "manager": MANAGER, "operation": "Update", "apiVersion": format!("{GROUP}/v1"),
            "fieldsType": "FieldsV1", "fieldsV1": fields(&entry, &labels),
        }],
    });
    if !namespace.is_null() {
        metadata["namespace"] = namespace;
    }
    let mut body = Value::Object(entry);
    body["apiVersion"] = format!("{GROUP}/v1").into();
    body["kind"] = kind_of(&text(&resource)).into();
    body["metadata"] = metadata;
    (key, body)
}

fn kind_of(resource: &str) -> &'static str {
    match resource {
        "clusterroles" => "ClusterRole",
        "clusterrolebindings" => "ClusterRoleBinding",
        "roles" => "Role",
        _ => "RoleBinding",
    }
}

/// The fields that the server owns in one of them.
fn fields(entry: &Map<String, Value>, labels: &Map<String, Value>) -> Value {
    let mut owned = json!({"f:metadata": {
        "f:annotations": {".": {}, "f:rbac.authorization.kubernetes.io/autoupdate": {}},
        "f:labels": {".": {}},
    }});
    for label in labels.keys() {
        owned["f:metadata"]["f:labels"][format!("f:{label}")] = json!({});
    }
    for (field, _) in entry.iter().filter(|(_, value)| !value.is_null()) {
        owned[format!("f:{field}")] = match &**field {
            "aggregationRule" => json!({".": {}, "f:clusterRoleSelectors": {}}),
            _ => json!({}),
        };
    }
    owned
}

/// Adds those that are not there yet.
pub(crate) fn ensure(server: &Server, now: &str) {
    let objects = if server.settings.controllers { &AGGREGATED } else { &OBJECTS };
    for (key, body) in objects.iter().filter(|(key, _)| server.store.get(key).is_none()) {
        let mut body = body.clone();
        let metadata = &mut body["metadata"];
        metadata["uid"] = uuid::Uuid::new_v4().to_string().into();
        metadata["creationTimestamp"] = now.into();
        for entry in metadata["managedFields"].as_array_mut().into_iter().flatten() {
            entry["time"] = now.into();
        }
        // The server does not serve yet: nothing can be in the way.
        let _ = server.store.put(key, None, body);
    }
}

/// Reads every role and binding into the index.
pub(crate) fn index(server: &Server) {
    for resource in ["roles", "clusterroles", "rolebindings", "clusterrolebindings"] {
        let Some(scope) = Scope::of(resource) else { continue };
        let page = server.store.list(&format!("{resource}.{GROUP}"), &Range::default(), |_| true);
        for object in page.map(|page| page.objects).unwrap_or_default() {
            server.rbac.refresh(scope, &object.namespace(), &object.name(), || Some(object.body()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete() {
        assert_eq!(OBJECTS.len(), 131);
        let (key, body) = &OBJECTS[0];
        assert_eq!((&*key.resource, &*key.name), ("clusterroles.rbac.authorization.k8s.io", "cluster-admin"));
        assert_eq!(body["metadata"]["managedFields"][0]["fieldsV1"]["f:rules"], json!({}));
        let local = OBJECTS.iter().filter(|(key, _)| !key.namespace.is_empty()).count();
        assert_eq!(local, 14);
        let rules = |name: &str| {
            let of =
                |(key, _): &&(Key, Value)| &*key.name == name && key.resource.starts_with("clusterroles.");
            AGGREGATED.iter().find(of).unwrap().1["rules"].as_array().unwrap().len()
        };
        assert!(rules("view") > 5 && rules("edit") > rules("view") && rules("admin") > rules("edit"));
    }
}
