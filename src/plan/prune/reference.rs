//! Which objects an object names, read from its body: what it names must outlive it.
//!
//! No table of kinds: a reference is recognised by how the API conventions write one. A mapping with `name` and `kind`
//! (`infrastructureRef`, `roleRef`, `templateRef`, `providerRef`), a field that says the kind itself (`secretRef`,
//! `configMapKeyRef`, `secretName`, `claimName`, `serviceAccountName`, `identityRef`, `classRef`), and the variables of a
//! Cluster's topology, where `name` stands in for the field. Too many are no harm: a reference counts only if it
//! meets an object that is to be deleted.

use std::collections::HashMap;

use serde_json::Value;

use crate::model::ObjectId;

/// Words of fields whose kind they do not end with, and the kind that they mean.
const ALIASES: [(&str, &str); 7] = [
    ("identity", "secret"),
    ("credentials", "secret"),
    ("imagepullsecrets", "secret"),
    ("secrets", "secret"),
    ("class", "clusterclass"),
    ("claim", "persistentvolumeclaim"),
    ("volume", "persistentvolume"),
];

/// Objects to look for in bodies.
pub(super) struct Targets<'a> {
    by_name: HashMap<&'a str, Vec<(usize, &'a ObjectId, String)>>,
}

/// One body under search.
struct Search<'a, 't> {
    targets: &'t Targets<'a>,
    user: &'t ObjectId,
    found: Vec<usize>,
}

impl<'a> Targets<'a> {
    /// Looked for are these, known by their number. A Cluster is named by all that belongs to it and goes with it, so
    /// being named never keeps one.
    pub(super) fn new(ids: impl IntoIterator<Item = (usize, &'a ObjectId)>) -> Targets<'a> {
        let mut by_name: HashMap<&str, Vec<_>> = HashMap::new();
        for (number, id) in ids {
            if !is_cluster(id) {
                let entry = (number, id, id.kind().to_ascii_lowercase());
                by_name.entry(id.name()).or_default().push(entry);
            }
        }
        Targets { by_name }
    }

    /// The numbers of those that a body names, in order.
    pub(super) fn named_by(&self, user: &ObjectId, body: &Value) -> Vec<usize> {
        let mut search = Search { targets: self, user, found: Vec::new() };
        for (key, value) in body.as_object().into_iter().flatten() {
            if !matches!(key.as_str(), "metadata" | "status" | "apiVersion" | "kind") {
                search.visit(value, key);
            }
        }
        search.found.sort_unstable();
        search.found.dedup();
        search.found
    }
}

/// Whether an object's body names another object.
pub fn refers_to(user: &ObjectId, body: &Value, used: &ObjectId) -> bool {
    !Targets::new([(0, used)]).named_by(user, body).is_empty()
}

/// Whether an object of a kind is a Cluster of Cluster API.
pub(super) fn is_cluster(id: &ObjectId) -> bool {
    id.group() == "cluster.x-k8s.io" && id.kind() == "Cluster"
}

impl Search<'_, '_> {
    fn visit(&mut self, value: &Value, key: &str) {
        match value {
            Value::Object(map) => {
                if let Some(name) = map.get("name").and_then(Value::as_str) {
                    self.reference(map, key, name);
                }
                for (key, value) in map {
                    // `{name: identityRef, value: {name: x}}` is a variable: its name is the field.
                    let field = match (key.as_str(), map.get("name").and_then(Value::as_str)) {
                        ("value", Some(name)) => name,
                        _ => key,
                    };
                    match value {
                        Value::String(text) => self.word(text, field),
                        value => self.visit(value, field),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.visit(item, key)),
            _ => {}
        }
    }

    /// A mapping with a name.
    fn reference(&mut self, map: &serde_json::Map<String, Value>, key: &str, name: &str) {
        let text = |field: &str| map.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let group = text("apiGroup").or(text("group")).or_else(|| {
            let version = text("apiVersion")?;
            Some(version.split_once('/').map_or("", |(group, _)| group))
        });
        match text("kind") {
            Some(kind) => self.meet(name, text("namespace"), |id, _| {
                id.kind() == kind && group.is_none_or(|group| group == id.group())
            }),
            None => {
                let word = normal(key);
                self.meet(name, text("namespace"), |_, kind| means(&word, kind));
            }
        }
    }

    /// A text in a field that says what kind of name it is.
    fn word(&mut self, text: &str, key: &str) {
        if self.targets.by_name.contains_key(text) && key != "name" && key != "namespace" {
            let word = normal(key);
            self.meet(text, None, |_, kind| means(&word, kind));
        }
    }

    fn meet(&mut self, name: &str, namespace: Option<&str>, is_meant: impl Fn(&ObjectId, &str) -> bool) {
        let namespace = namespace.or(self.user.namespace());
        for (number, id, kind) in self.targets.by_name.get(name).into_iter().flatten() {
            let in_reach = id.namespace().is_none() || id.namespace() == namespace;
            if in_reach && *id != self.user && is_meant(id, kind) {
                self.found.push(*number);
            }
        }
    }
}

/// A field without what only says that it is a reference: `secretKeyRef`, `secret_name` and `Secret` are `secret`.
fn normal(key: &str) -> String {
    let lower: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    for ending in ["keyref", "reference", "ref", "refs", "name"] {
        if let Some(word) = lower.strip_suffix(ending).filter(|word| !word.is_empty()) {
            return word.to_owned();
        }
    }
    lower
}

/// Whether a field of this word names objects of a kind (in lower case).
fn means(word: &str, kind: &str) -> bool {
    word.ends_with(kind) || ALIASES.iter().any(|(alias, meant)| *meant == kind && word.ends_with(alias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(user: &str, body: Value, targets: &[&str]) -> Vec<String> {
        let ids: Vec<ObjectId> = targets.iter().map(|id| id.parse().unwrap()).collect();
        let known = Targets::new(ids.iter().enumerate());
        let found = known.named_by(&user.parse().unwrap(), &body);
        found.into_iter().map(|number| targets[number].to_owned()).collect()
    }

    #[test]
    fn references_are_known_by_how_they_are_written() {
        let cluster = "Cluster.cluster.x-k8s.io/a/web";
        let topology = json!({"spec": {
            "infrastructureRef": {"kind": "OpenStackCluster", "name": "web"},
            "topology": {"classRef": {"name": "scs"}, "variables": [
                {"name": "identityRef", "value": {"name": "openstack", "cloudName": "openstack"}},
                {"name": "cloud_secret", "value": "other"}]},
        }});
        let targets = [
            "OpenStackCluster.infrastructure.cluster.x-k8s.io/a/web",
            "ClusterClass.cluster.x-k8s.io/a/scs",
            "Secret/a/openstack",
            "Secret/a/other",
            "Secret/b/openstack",
            "ConfigMap/a/openstack",
            "Cluster.cluster.x-k8s.io/a/openstack",
        ];
        assert_eq!(named(cluster, topology, &targets), targets[..4]);
        let old = json!({"spec": {"topology": {"class": "scs"}}});
        assert_eq!(named(cluster, old, &targets), targets[1..2]);
    }

    #[test]
    fn built_in_kinds_name_each_other_too() {
        let deployment = json!({"spec": {"template": {"spec": {
            "serviceAccountName": "runner",
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "pull", "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "x"}}}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "mounted"}}, {"configMap": {"name": "map"}},
                {"persistentVolumeClaim": {"claimName": "data"}}]}}}});
        let targets = [
            "ServiceAccount/a/runner",
            "Secret/a/pull",
            "Secret/a/key",
            "Secret/a/mounted",
            "ConfigMap/a/map",
            "PersistentVolumeClaim/a/data",
            "Secret/a/v",
            "ConfigMap/a/data",
        ];
        assert_eq!(named("Deployment.apps/a/x", deployment, &targets), targets[..6]);
        let binding = json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "runner", "namespace": "a"}]});
        let targets =
            ["ClusterRole.rbac.authorization.k8s.io/r", "ServiceAccount/a/runner", "ServiceAccount/b/runner"];
        let found = named("RoleBinding.rbac.authorization.k8s.io/b/x", binding, &targets);
        assert_eq!(found, targets[..2]);
    }
}
