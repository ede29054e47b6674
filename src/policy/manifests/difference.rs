//! How an object differs from what was signed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::expr::wildcard;
use crate::model::{GENERATED_BY, OWNER_LABEL, TENANT};

/// What moin itself puts on the objects of a repository.
const MOINS: [[&str; 3]; 3] = [
    ["metadata", "labels", OWNER_LABEL],
    ["metadata", "annotations", TENANT],
    ["metadata", "annotations", GENERATED_BY],
];

/// The most that the paths of an object's fields may take: each is as long as all the names above it.
const MOST_PATHS: usize = 8 << 20;
/// What a field costs beside its path.
const FIELD: usize = 128;

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
/// not among them. `None` if there are more fields than any signed object has.
pub(super) fn between(signed: &Value, object: &Value, ignored: &[&str]) -> Option<Vec<Value>> {
    let (before, after) = (Leaves::of(signed)?, Leaves::of(object)?);
    let is_secret = object["kind"] == "Secret";
    let mut paths: Vec<&Path> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    let differs = |path: &&Path| before.get(*path) != after.get(*path);
    let counts = |path: &&Path| !path.is_moins() && !ignored.iter().any(|pattern| path.is_meant(pattern));
    let mut found = Vec::new();
    for path in paths.into_iter().filter(differs).filter(counts) {
        let (was, is) = (before.get(path), after.get(path));
        if path.text.ends_with("image") && is_same_image(was, is) {
            continue;
        }
        let mut values = Map::new();
        if !is_secret {
            values.insert("before".into(), was.map_or(Value::Null, |value| (*value).clone()));
            values.insert("after".into(), is.map_or(Value::Null, |value| (*value).clone()));
        }
        found.push(json!({"key": path.text, "values": values}));
    }
    Some(found)
}

/// The path of a field: its names with dots between them, and where each name begins, since names may have dots.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    text: String,
    starts: Vec<usize>,
}

impl Path {
    fn below(&self, name: &str) -> Path {
        let mut below = self.clone();
        if !below.starts.is_empty() {
            below.text.push('.');
        }
        below.starts.push(below.text.len());
        below.text.push_str(name);
        below
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let ends = self.starts.iter().skip(1).map(|start| start - 1).chain([self.text.len()]);
        self.starts.iter().zip(ends).map(|(start, end)| &self.text[*start..end])
    }

    fn is_moins(&self) -> bool {
        MOINS.iter().any(|own| self.names().eq(own.iter().copied()))
    }

    /// Whether a pattern means this field, or one above it. One of several parts may begin below: `spec.containers` of a pod
    /// is that of a Deployment's pods, too; but it begins with a name, and not within an annotation that has such a name.
    fn is_meant(&self, pattern: &str) -> bool {
        let whole = format!("{pattern}*");
        if wildcard::matches(&whole, &self.text) {
            return true;
        }
        let Some((first, _)) = pattern.split_once('.') else { return false };
        let mut starts = self.starts.iter().zip(self.names());
        starts
            .any(|(at, name)| wildcard::matches(first, name) && wildcard::matches(&whole, &self.text[*at..]))
    }
}

/// What holds no others, by its path. What is empty is nothing.
struct Leaves<'v> {
    found: BTreeMap<Path, &'v Value>,
    left: usize,
}

impl<'v> Leaves<'v> {
    fn of(object: &'v Value) -> Option<BTreeMap<Path, &'v Value>> {
        let mut leaves = Leaves { found: BTreeMap::new(), left: MOST_PATHS };
        leaves.add(object, Path::default())?;
        Some(leaves.found)
    }

    fn add(&mut self, value: &'v Value, path: Path) -> Option<()> {
        self.left = self.left.checked_sub(FIELD + path.text.len())?;
        match value {
            Value::Object(map) => map.iter().try_for_each(|(name, value)| self.add(value, path.below(name))),
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(i, item)| self.add(item, path.below(&i.to_string())))
            }
            Value::Null => Some(()),
            scalar => {
                self.found.insert(path, scalar);
                Some(())
            }
        }
    }
}

/// Whether an image was only written out: `nginx:1` as `docker.io/nginx:1`, `ubuntu` as `ubuntu:latest`.
fn is_same_image(was: Option<&&Value>, is: Option<&&Value>) -> bool {
    let (Some(Value::String(was)), Some(Value::String(is))) = (was, is) else { return false };
    format!("docker.io/{was}") == *is || format!("{was}:latest") == *is
}
