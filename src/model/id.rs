//! What names an object: group, version, kind, namespace, name.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Group, version and kind, as `apiVersion` and `kind` write them. The core group is the empty string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// API version, `v1` or `v1beta2`.
    pub version: Arc<str>,
    /// Kind, `Deployment`.
    pub kind: Arc<str>,
}

/// A kind in whatever version: what stays the same when an API version is replaced by the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
}

/// Identity of an object in one cluster, over all API versions. Prints as `Kind/namespace/name` or `Kind/name`,
/// with the group behind the kind (`Cluster.cluster.x-k8s.io/team-a/web`) in [`ObjectId::full`].
///
/// Every turn looks every object up in several tables, so that copying, hashing and comparing one cost no more than a
/// few instructions: the parts are shared, and their hash is kept with them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId {
    parts: Arc<Parts>,
    hash: u64,
}

/// What an identity is made of; ordered by the fields as they stand here.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    group: Arc<str>,
    kind: Arc<str>,
    namespace: Option<Arc<str>>,
    name: Arc<str>,
}

impl PartialEq for ObjectId {
    fn eq(&self, other: &ObjectId) -> bool {
        Arc::ptr_eq(&self.parts, &other.parts) || (self.hash == other.hash && self.parts == other.parts)
    }
}

impl Eq for ObjectId {}

impl Hash for ObjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for ObjectId {
    fn partial_cmp(&self, other: &ObjectId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectId {
    fn cmp(&self, other: &ObjectId) -> Ordering {
        if Arc::ptr_eq(&self.parts, &other.parts) { Ordering::Equal } else { self.parts.cmp(&other.parts) }
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({})", self.full())
    }
}

/// Why something is no identity of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The document is a list or a scalar.
    #[error("not an object: a manifest is a mapping with apiVersion, kind and metadata")]
    NotAMapping,
    /// A required field is absent, empty or not text.
    #[error("{0} is missing, empty or not text")]
    Missing(&'static str),
    /// `Kind/name` or `Kind/namespace/name` was expected.
    #[error("{0:?} is not Kind[.group]/name or Kind[.group]/namespace/name")]
    Malformed(String),
}

impl Gvk {
    /// From an `apiVersion` (`apps/v1`, `v1`) and a kind.
    pub fn new(api_version: &str, kind: &str) -> Gvk {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Gvk { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Of an object's `apiVersion` and `kind`.
    ///
    /// # Errors
    /// [`IdError`] when the value is no mapping or a field is missing.
    pub fn of(object: &Value) -> Result<Gvk, IdError> {
        let map = object.as_object().ok_or(IdError::NotAMapping)?;
        let text = |field: &'static str| match map.get(field) {
            Some(Value::String(s)) if !s.is_empty() => Ok(s.as_str()),
            _ => Err(IdError::Missing(field)),
        };
        Ok(Gvk::new(text("apiVersion")?, text("kind")?))
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Without the version.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.api_version(), self.kind)
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            write!(f, "{}", self.kind)
        } else {
            write!(f, "{}.{}", self.kind, self.group)
        }
    }
}

impl ObjectId {
    /// From its parts; `namespace` is `None` for a cluster-scoped object.
    pub fn new(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectId {
        let parts = Parts {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.filter(|n| !n.is_empty()).map(Into::into),
            name: name.into(),
        };
        ObjectId { hash: FxBuildHasher.hash_one(&parts), parts: Arc::new(parts) }
    }

    /// Of an object's own fields. An absent `metadata.namespace` stays absent: nothing is defaulted here.
    ///
    /// # Errors
    /// [`IdError`] when the value is no mapping, or apiVersion, kind or metadata.name is missing.
    pub fn of(object: &Value) -> Result<ObjectId, IdError> {
        let gvk = Gvk::of(object)?;
        let metadata = &object["metadata"];
        let name =
            metadata["name"].as_str().filter(|n| !n.is_empty()).ok_or(IdError::Missing("metadata.name"))?;
        Ok(ObjectId::new(&gvk.group, &gvk.kind, metadata["namespace"].as_str(), name))
    }

    /// API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.parts.group
    }

    /// Kind.
    pub fn kind(&self) -> &str {
        &self.parts.kind
    }

    /// Namespace, `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.parts.namespace.as_deref()
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// Its kind in whatever version.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.parts.group.clone(), kind: self.parts.kind.clone() }
    }

    /// With the group behind the kind: `Cluster.cluster.x-k8s.io/team-a/web`.
    pub fn full(&self) -> String {
        match &self.parts.namespace {
            Some(ns) => format!("{}/{ns}/{}", self.group_kind(), self.parts.name),
            None => format!("{}/{}", self.group_kind(), self.parts.name),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts.namespace {
            Some(ns) => write!(f, "{}/{ns}/{}", self.parts.kind, self.parts.name),
            None => write!(f, "{}/{}", self.parts.kind, self.parts.name),
        }
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<ObjectId, IdError> {
        let malformed = || IdError::Malformed(s.to_owned());
        let parts: Vec<&str> = s.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(namespace), name),
            _ => return Err(malformed()),
        };
        if kind.is_empty() || name.is_empty() || namespace == Some("") {
            return Err(malformed());
        }
        let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
        Ok(ObjectId::new(group, kind, namespace, name))
    }
}

impl TryFrom<String> for ObjectId {
    type Error = IdError;

    fn try_from(s: String) -> Result<ObjectId, IdError> {
        s.parse()
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> String {
        id.full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_identity_survives_its_text() {
        for id in [
            ObjectId::new("cluster.x-k8s.io", "Cluster", Some("team-a"), "web"),
            ObjectId::new("", "Namespace", None, "team-a"),
        ] {
            assert_eq!(id.full().parse::<ObjectId>().unwrap(), id);
        }
        assert!("Cluster".parse::<ObjectId>().is_err());
        assert!("Cluster//web".parse::<ObjectId>().is_err());
    }

    #[test]
    fn identities_are_equal_and_ordered_by_their_parts() {
        let id = |text: &str| text.parse::<ObjectId>().unwrap();
        assert_eq!(id("Secret/a/b"), id("Secret/a/b"));
        assert_ne!(id("Secret/a/b"), id("Secret/a/c"));
        let mut ids = [id("Role.rbac/a/b"), id("Secret/b"), id("Secret/a/b"), id("ConfigMap/z/z")];
        ids.sort();
        assert_eq!(ids, [id("ConfigMap/z/z"), id("Secret/b"), id("Secret/a/b"), id("Role.rbac/a/b")]);
    }

    #[test]
    fn the_namespace_is_never_defaulted() {
        let id = ObjectId::of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}))
            .unwrap();
        assert_eq!(id.namespace(), None);
        assert_eq!(
            ObjectId::of(&json!({"apiVersion": "v1", "kind": "ConfigMap"})),
            Err(IdError::Missing("metadata.name"))
        );
    }
}
