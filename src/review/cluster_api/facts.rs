//! What the rules know beside the object that they judge.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::Surroundings;
use crate::finding::{Location, Severity};
use crate::model::{LiveObject, Manifest, ObjectId};
use crate::render::Manifests;

/// The objects of Cluster API and of ClusterStacks, as rendered, and as they were before.
pub(super) struct Facts<'a> {
    rendered: &'a Manifests,
    indices: Vec<usize>,
    by_id: FxHashMap<&'a ObjectId, &'a Arc<Manifest>>,
    applied: Option<FxHashMap<&'a ObjectId, &'a Arc<Manifest>>>,
    live: Option<&'a HashMap<ObjectId, LiveObject>>,
}

/// An object as it was before.
#[derive(Clone, Copy)]
pub(super) struct Former<'a> {
    pub body: &'a Value,
    /// Read from the cluster: it holds defaults, and fields of others.
    pub is_live: bool,
}

impl<'a> Facts<'a> {
    pub fn of(rendered: &'a Manifests, surroundings: &Surroundings<'a>) -> Facts<'a> {
        let concerned = |manifests: &'a [Arc<Manifest>]| {
            manifests.iter().enumerate().filter(|(_, manifest)| is_of_cluster_api(&manifest.id))
        };
        let index = |manifests| concerned(manifests).map(|(_, manifest)| (&manifest.id, manifest)).collect();
        Facts {
            rendered,
            indices: concerned(&rendered.manifests).map(|(index, _)| index).collect(),
            by_id: index(&rendered.manifests),
            applied: surroundings.applied.map(|applied| index(&applied.manifests)),
            live: surroundings.objects,
        }
    }

    /// The rendered objects of these groups, each with its index.
    pub fn objects(&self) -> impl Iterator<Item = (usize, &'a Arc<Manifest>)> + '_ {
        self.indices.iter().map(|index| (*index, &self.rendered.manifests[*index]))
    }

    /// The rendered objects of a kind in a namespace.
    pub fn of_kind(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<&'a Arc<Manifest>> {
        let fits = |id: &ObjectId| id.group() == group && id.kind() == kind && id.namespace() == namespace;
        self.objects().map(|(_, manifest)| manifest).filter(|manifest| fits(&manifest.id)).collect()
    }

    /// Any rendered object of the core group.
    pub fn core_object(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Value> {
        let id = ObjectId::new("", kind, Some(namespace), name);
        self.rendered.manifests.iter().find(|manifest| manifest.id == id).map(|manifest| &*manifest.body)
    }

    /// An object of these groups: as rendered, else as it lives.
    pub fn object(&self, id: &ObjectId) -> Option<&'a Value> {
        let rendered = self.by_id.get(id).map(|manifest| &*manifest.body);
        rendered.or_else(|| self.live?.get(id).map(|object| &*object.body))
    }

    /// Where an object is written, if it is rendered.
    pub fn place(&self, id: &ObjectId) -> Option<Location> {
        let origin = &self.by_id.get(id)?.origin;
        Some(Location::in_source(&origin.source, origin.line, 1))
    }

    /// The forms that an object had: in the applied revision, and in the cluster.
    pub fn formers(&self, id: &ObjectId) -> Vec<Former<'a>> {
        let applied = self.applied.as_ref().and_then(|applied| applied.get(id));
        let applied = applied.map(|manifest| Former { body: &manifest.body, is_live: false });
        let live = self.live.and_then(|live| live.get(id));
        let live = live.map(|object| Former { body: &object.body, is_live: true });
        live.into_iter().chain(applied).collect()
    }

    /// How bad it is when an object names something that does not exist, or is in somebody's way: an error for what
    /// this change brings. What has been like that before runs somehow, and is not held up.
    pub fn severity_of_new(&self, id: &ObjectId, was_so: impl Fn(&Value) -> bool) -> Severity {
        let nothing_is_known = self.applied.is_none() && self.live.is_none();
        match nothing_is_known || self.formers(id).iter().any(|former| was_so(former.body)) {
            true => Severity::Warning,
            false => Severity::Error,
        }
    }

    /// What points to an object by kind and name, among the rendered objects.
    pub fn referrers(&self, id: &ObjectId) -> Vec<&'a ObjectId> {
        let refers = |manifest: &&Arc<Manifest>| {
            manifest.id.namespace() == id.namespace() && names(&manifest.body["spec"], id)
        };
        self.objects().map(|(_, manifest)| manifest).filter(refers).map(|manifest| &manifest.id).collect()
    }
}

/// Whether a value holds a reference to an object.
fn names(value: &Value, id: &ObjectId) -> bool {
    match value {
        Value::Object(map) => {
            let is = |key: &str, word: &str| map.get(key).and_then(Value::as_str) == Some(word);
            (is("kind", id.kind()) && is("name", id.name())) || map.values().any(|value| names(value, id))
        }
        Value::Array(items) => items.iter().any(|item| names(item, id)),
        _ => false,
    }
}

fn is_of_cluster_api(id: &ObjectId) -> bool {
    ["cluster.x-k8s.io", "clusterstack.x-k8s.io"].iter().any(|group| {
        let before = id.group().strip_suffix(group);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}
