//! How an object differs from what was signed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::expr::wildcard;

/// Fields that differ without anybody having changed them: what tools and the API server add. By kind; `*` is any.
const IGNORED: &[(&str, &[&str])] = &[
    (
        "*",
        &[
            "metadata.namespace",
            "spec.containers.*.imagePullPolicy",
            "spec.containers.*.terminationMessagePath",
            "spec.containers.*.terminationMessagePolicy",
            "spec.dnsPolicy",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.terminationGracePeriodSeconds",
            "metadata.labels.app.kubernetes.io/instance",
            "metadata.managedFields.*",
            "metadata.resourceVersion",
            "metadata.selfLink",
            "metadata.annotations.control-plane.alpha.kubernetes.io/leader",
            "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
            "metadata.finalizers",
            "metadata.annotations.namespace",
            "metadata.annotations.deprecated.daemonset.template.generation",
            "metadata.creationTimestamp",
            "metadata.uid",
            "metadata.generation",
            "status",
            "metadata.annotations.deployment.kubernetes.io/revision",
        ],
    ),
    (
        "Pod",
        &[
            "spec.volumes.*.name",
            "spec.volumes.*.projected.*",
            "spec.volumes.*.configMap.defaultMode",
            "spec.containers.*.volumeMounts.*",
            "spec.tolerations.*",
            "spec.enableServiceLinks",
            "spec.preemptionPolicy",
            "spec.priority",
            "spec.serviceAccount",
        ],
    ),
    (
        "Deployment",
        &[
            "spec.progressDeadlineSeconds",
            "spec.revisionHistoryLimit",
            "spec.strategy.*",
            "spec.template.metadata.creationTimestamp",
            "spec.containers.*.ports.*.protocol",
            "spec.containers.*.resources",
            "spec.securityContext",
        ],
    ),
    ("CustomResourceDefinition", &["spec.conversion.strategy", "spec.names.listKind"]),
    (
        "Service",
        &[
            "spec.ports.*.nodePort",
            "spec.clusterIP",
            "spec.clusterIPs.0",
            "spec.sessionAffinity",
            "spec.type",
            "spec.ipFamilies.*",
            "spec.ipFamilyPolicy",
            "spec.internalTrafficPolicy",
        ],
    ),
    (
        "ClusterPolicy",
        &[
            "metadata.annotations.pod-policies.kyverno.io/autogen-controllers",
            "spec.failurePolicy",
            "spec.background",
            "spec.validationFailureAction",
        ],
    ),
    ("ServiceAccount", &["secrets.*.name", "imagePullSecrets.*.name"]),
];

/// What is ignored of every object of a kind.
pub(super) fn ignored(kind: &str) -> impl Iterator<Item = &'static str> {
    let kind = if kind == "Policy" { "ClusterPolicy".to_owned() } else { kind.to_owned() };
    let own = IGNORED.iter().filter(move |(of, _)| *of == "*" || *of == kind);
    own.flat_map(|(_, fields)| fields.iter().copied())
}

/// Fields that differ, but for those that are ignored: each with what was signed and what is there. Values of a Secret are
/// not among them.
pub(super) fn between(signed: &Value, object: &Value, ignored: &[&str]) -> Vec<Value> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    leaves(signed, String::new(), &mut before);
    leaves(object, String::new(), &mut after);
    let is_secret = object["kind"] == "Secret";
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    let counts = |key: &&String| !ignored.iter().any(|pattern| is_meant(pattern, key));
    let mut found = Vec::new();
    for key in keys.into_iter().filter(differs).filter(counts) {
        let (was, is) = (before.get(key), after.get(key));
        if key.ends_with("image") && is_same_image(was, is) {
            continue;
        }
        let mut values = Map::new();
        if !is_secret {
            values.insert("before".into(), was.map_or(Value::Null, |value| (*value).clone()));
            values.insert("after".into(), is.map_or(Value::Null, |value| (*value).clone()));
        }
        found.push(json!({"key": key, "values": values}));
    }
    found
}

/// What holds no others, by its path with dots. What is empty is nothing.
fn leaves<'v>(value: &'v Value, path: String, into: &mut BTreeMap<String, &'v Value>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(value, below(key), into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| leaves(item, below(&i.to_string()), into));
        }
        Value::Null => {}
        scalar => {
            into.insert(path, scalar);
        }
    }
}

/// Whether a pattern means a field, or one above it. One of several parts may begin below: `spec.containers` of a pod is
/// that of a Deployment's pods, too.
fn is_meant(pattern: &str, key: &str) -> bool {
    let pattern = format!("{pattern}*");
    let starts = key.match_indices('.').map(|(at, _)| at + 1).filter(|_| pattern.contains('.'));
    std::iter::once(0).chain(starts).any(|at| wildcard::matches(&pattern, &key[at..]))
}

/// Whether an image was only written out: `nginx:1` as `docker.io/nginx:1`, `ubuntu` as `ubuntu:latest`.
fn is_same_image(was: Option<&&Value>, is: Option<&&Value>) -> bool {
    let (Some(Value::String(was)), Some(Value::String(is))) = (was, is) else { return false };
    format!("docker.io/{was}") == *is || format!("{was}:latest") == *is
}
