//! Which resources are served: built-in kinds and those that CustomResourceDefinitions declare.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::crd;
use super::types::{self, Types, ordered};
use crate::model::{GroupKind, Gvk};

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

/// All that is served at one moment. Cheap to clone: what a definition changes is copied, the rest is shared.
#[derive(Clone)]
pub(crate) struct Registry {
    pub types: Types,
    served: BTreeMap<Arc<str>, Arc<Versions>>,
    /// A version of every stored collection, the best one.
    collections: BTreeMap<Arc<str>, Arc<Resource>>,
    definitions: BTreeMap<Arc<str>, Arc<Definition>>,
    /// Groups in the order of discovery, each with its versions, the preferred one first.
    pub groups: Vec<(String, Vec<String>)>,
    /// How many of the groups are built in.
    builtin_groups: usize,
}

/// The resources of a group, by version and name.
type Versions = BTreeMap<String, BTreeMap<String, Arc<Resource>>>;

/// What is kept of a definition.
#[derive(Debug)]
pub(crate) struct Definition {
    pub generation: i64,
    pub established: bool,
    pub names_accepted: bool,
    pub accepted_names: Value,
    group_kind: GroupKind,
    resources: Vec<Arc<Resource>>,
}

impl Definition {
    pub fn group(&self) -> &Arc<str> {
        &self.group_kind.group
    }

    /// Whether it is what was kept of a definition as it is now.
    pub fn is_of(&self, body: &Value) -> bool {
        self.generation == body["metadata"]["generation"].as_i64().unwrap_or(0)
            && self.established == crd::is_established(body)
            && self.names_accepted == crd::is_accepted(body)
            && self.accepted_names == body["status"]["acceptedNames"]
    }
}

impl Registry {
    /// The built-in kinds alone.
    pub fn builtin() -> Registry {
        let mut registry = Registry {
            types: Types::builtin(),
            served: BTreeMap::new(),
            collections: BTreeMap::new(),
            definitions: BTreeMap::new(),
            groups: Vec::new(),
            builtin_groups: 0,
        };
        for resource in ordered(registry.types.resources()) {
            registry.add(Arc::new(resource));
        }
        registry.builtin_groups = registry.groups.len();
        registry
    }

    /// With kinds of the server's own that a definition describes.
    pub fn with_own(&self, definition: &Value) -> Registry {
        let mut registry = Registry { types: self.types.with(definition), ..self.clone() };
        for resource in crd::resources(definition) {
            registry.add(Arc::new(Resource { custom: false, ..resource }));
        }
        registry
    }

    /// What is kept of a definition.
    pub fn definition(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name)
    }

    /// The definitions of a group, by name.
    pub fn definitions_of<'a>(
        &'a self,
        group: &'a str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Definition)> {
        let of_group = move |(_, definition): &(_, &Arc<Definition>)| &*definition.group_kind.group == group;
        self.definitions.iter().filter(of_group).map(|(name, definition)| (name, &**definition))
    }

    /// Takes a definition in, in place of what it said before; it is served if it is established.
    pub fn define(&mut self, name: &str, body: &Value) {
        self.withdraw(name);
        let established = crd::is_established(body);
        let mut definition = Definition {
            generation: body["metadata"]["generation"].as_i64().unwrap_or(0),
            established,
            names_accepted: crd::is_accepted(body),
            accepted_names: body["status"]["acceptedNames"].clone(),
            group_kind: types::group_kind(body),
            resources: Vec::new(),
        };
        if established {
            self.types = self.types.with(body);
            definition.resources = crd::resources(body).into_iter().map(Arc::new).collect();
            definition.resources.iter().for_each(|resource| self.add(resource.clone()));
        }
        self.definitions.insert(name.into(), Arc::new(definition));
    }

    /// Forgets a definition and no longer serves what it declared.
    pub fn withdraw(&mut self, name: &str) {
        let Some(old) = self.definitions.remove(name) else { return };
        if !old.established {
            return;
        }
        self.types = self.types.without(&old.group_kind);
        for resource in &old.resources {
            self.remove(resource);
        }
    }

    fn add(&mut self, resource: Arc<Resource>) {
        let (group, version) = (resource.gvk.group.clone(), resource.gvk.version.to_string());
        let known = self.groups.iter().position(|(name, _)| **name == *group);
        let at = known.unwrap_or_else(|| {
            // Groups of definitions follow those built in, by name.
            let custom = &self.groups[self.builtin_groups..];
            let later =
                if resource.custom { custom.iter().position(|(name, _)| **name > *group) } else { None };
            let at = later.map_or(self.groups.len(), |at| self.builtin_groups + at);
            self.groups.insert(at, (group.to_string(), Vec::new()));
            at
        });
        let versions = &mut self.groups[at].1;
        if !versions.contains(&version) {
            versions.push(version.clone());
            versions.sort_by_key(|v| std::cmp::Reverse(priority(v)));
        }
        if !resource.virtual_kind {
            let best =
                self.collections.entry(resource.collection.clone()).or_insert_with(|| resource.clone());
            if priority(&resource.gvk.version) > priority(&best.gvk.version) {
                *best = resource.clone();
            }
        }
        let served = Arc::make_mut(self.served.entry(group).or_default());
        served.entry(version).or_default().insert(resource.plural.clone(), resource);
    }

    fn remove(&mut self, resource: &Resource) {
        let (group, version) = (&resource.gvk.group, &*resource.gvk.version);
        self.collections.remove(&resource.collection);
        let Some(served) = self.served.get_mut(group).map(Arc::make_mut) else { return };
        if let Some(resources) = served.get_mut(version) {
            resources.remove(&resource.plural);
            if !resources.is_empty() {
                return;
            }
        }
        served.remove(version);
        if served.is_empty() {
            self.served.remove(group);
        }
        for (name, versions) in &mut self.groups {
            if **name == **group {
                versions.retain(|v| v != version);
            }
        }
        self.groups.retain(|(_, versions)| !versions.is_empty());
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.served.get(group)?.get(version)?.get(plural)
    }

    /// The resources of a version, by name.
    pub fn of_version(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        let resources = self.served.get(group).and_then(|versions| versions.get(version));
        resources.into_iter().flat_map(BTreeMap::values).collect()
    }

    /// Whether a group is one of the server's own.
    pub fn is_builtin_group(&self, group: &str) -> bool {
        self.groups[..self.builtin_groups].iter().any(|(name, _)| &**name == group)
    }

    /// Everything that is served, in every version.
    fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.served.values().flat_map(|versions| versions.values()).flat_map(BTreeMap::values)
    }

    /// The best served version of a stored collection.
    pub fn of_collection(&self, name: &str) -> Option<&Arc<Resource>> {
        self.collections.get(name)
    }

    /// The resource whose objects are of a kind.
    pub fn of_kind(&self, kind: &Gvk) -> Option<&Arc<Resource>> {
        self.all().find(|resource| resource.gvk == *kind && !resource.virtual_kind)
    }

    /// All forms in which a stored collection is served, by group and version.
    pub fn forms_of(&self, collection: &str) -> Vec<&Arc<Resource>> {
        let mut found: Vec<_> = self.all().filter(|r| &*r.collection == collection).collect();
        found.sort_by(|a, b| {
            let order = |r: &Resource| (r.gvk.group.clone(), std::cmp::Reverse(priority(&r.gvk.version)));
            order(a).cmp(&order(b))
        });
        found
    }

    /// Every collection once.
    pub fn collections(&self) -> BTreeMap<Arc<str>, Arc<Resource>> {
        self.collections.clone()
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
