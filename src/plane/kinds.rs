//! Which resources are served: built-in kinds and those that CustomResourceDefinitions declare.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::crd;
use super::types::{Types, ordered};
use crate::model::Gvk;

/// A kind as it is served in one version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub gvk: Gvk,
    pub plural: String,
    pub singular: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Has the `status` subresource.
    pub status: bool,
    pub scale: Option<Scale>,
    /// Declared by a CustomResourceDefinition.
    pub custom: bool,
    /// What objects are stored as: usually this kind, in whatever version.
    pub stored: Gvk,
    /// `plural.group`, or `plural` for the core group.
    pub qualified: Arc<str>,
    /// The name of the collection in the store: `qualified` of what is stored.
    pub collection: Arc<str>,
    /// Fields, beside the usual ones, that a field selector may name.
    pub selectable: Vec<String>,
    pub columns: Vec<Column>,
    /// Only answers a POST and stores nothing (reviews).
    pub virtual_kind: bool,
    /// A warning for each request, when the version is deprecated.
    pub deprecation: Option<String>,
}

/// Where the numbers of a `scale` subresource are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scale {
    pub spec_replicas: Vec<String>,
    pub status_replicas: Vec<String>,
    pub selector: Option<Vec<String>>,
}

/// An additional printer column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

impl Resource {
    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.gvk.group == group && &*self.gvk.kind == kind
    }
}

/// `plural.group`, without the dot for the core group.
pub(crate) fn collection(plural: &str, group: &str) -> Arc<str> {
    if group.is_empty() { plural.into() } else { format!("{plural}.{group}").into() }
}

/// All that is served at one moment.
#[derive(Clone)]
pub(crate) struct Registry {
    pub types: Types,
    builtin: Types,
    resources: HashMap<(String, String, String), Arc<Resource>>,
    /// Groups in the order of discovery, each with its versions, the preferred one first.
    pub groups: Vec<(String, Vec<String>)>,
}

impl Registry {
    /// The built-in kinds alone.
    pub fn builtin() -> Registry {
        let types = Types::builtin();
        let mut registry =
            Registry { builtin: types.clone(), resources: HashMap::new(), groups: Vec::new(), types };
        for resource in ordered(registry.types.resources()) {
            registry.add(resource);
        }
        registry
    }

    /// These built-in kinds and the kinds of established definitions.
    pub fn with(&self, definitions: &[&Value]) -> Registry {
        let mut registry = Registry {
            types: self.builtin.with(definitions),
            builtin: self.builtin.clone(),
            resources: HashMap::new(),
            groups: Vec::new(),
        };
        for resource in ordered(registry.builtin.resources()) {
            registry.add(resource);
        }
        for definition in definitions.iter().filter(|definition| crd::is_established(definition)) {
            for resource in crd::resources(definition) {
                registry.add(resource);
            }
        }
        registry
    }

    fn add(&mut self, resource: Resource) {
        let (group, version) = (resource.gvk.group.to_string(), resource.gvk.version.to_string());
        match self.groups.iter_mut().find(|(name, _)| *name == group) {
            None => self.groups.push((group.clone(), vec![version.clone()])),
            Some((_, versions)) if !versions.contains(&version) => {
                versions.push(version.clone());
                versions.sort_by_key(|v| std::cmp::Reverse(priority(v)));
            }
            Some(_) => {}
        }
        self.resources.insert((group, version, resource.plural.clone()), Arc::new(resource));
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The resources of a version, by name.
    pub fn of_version(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        let mut found: Vec<_> = self
            .resources
            .values()
            .filter(|r| &*r.gvk.group == group && &*r.gvk.version == version)
            .collect();
        found.sort_by(|a, b| a.plural.cmp(&b.plural));
        found
    }

    /// Any served version of a stored collection.
    pub fn of_collection(&self, name: &str) -> Option<&Arc<Resource>> {
        self.resources.values().filter(|r| &*r.collection == name).max_by_key(|r| priority(&r.gvk.version))
    }

    /// The resource whose objects are of a kind.
    pub fn of_kind(&self, kind: &Gvk) -> Option<&Arc<Resource>> {
        self.resources.values().find(|resource| resource.gvk == *kind && !resource.virtual_kind)
    }

    /// All forms in which a stored collection is served, by group and version.
    pub fn forms_of(&self, collection: &str) -> Vec<&Arc<Resource>> {
        let mut found: Vec<_> = self.resources.values().filter(|r| &*r.collection == collection).collect();
        found.sort_by(|a, b| {
            let order = |r: &Resource| (r.gvk.group.clone(), std::cmp::Reverse(priority(&r.gvk.version)));
            order(a).cmp(&order(b))
        });
        found
    }

    /// Every collection once.
    pub fn collections(&self) -> BTreeMap<Arc<str>, Arc<Resource>> {
        self.resources
            .values()
            .filter(|r| !r.virtual_kind)
            .map(|r| (r.collection.clone(), r.clone()))
            .collect()
    }
}

/// Order of versions: `v2` over `v1` over `v1beta2` over `v1alpha1` over anything else.
pub(crate) fn priority(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Ok(major) = rest[..digits].parse() else { return other };
    let none = std::cmp::Reverse(String::new());
    let stage = &rest[digits..];
    if stage.is_empty() {
        return (3, major, 0, none);
    }
    for (name, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some(minor) = stage.strip_prefix(name).and_then(|minor| minor.parse().ok()) {
            return (rank, major, minor, none);
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_discovery_orders_them() {
        let mut versions = ["v1alpha1", "v1", "v1beta1", "v2", "v1beta2", "x"];
        versions.sort_by_key(|v| std::cmp::Reverse(priority(v)));
        assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "x"]);
    }
}
