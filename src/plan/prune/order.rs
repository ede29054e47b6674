//! What must be gone before an object may go, computed from the live objects.
//!
//! An object is held back by what is in it (a Namespace by its objects, a definition by objects of its kind), by its
//! owner, by what refers to it (see [`super::reference`]), by the Clusters whose class comes from it (a ClusterStack), and
//! within a namespace by the rank of what leaves: Clusters, then objects of other kinds that definitions bring, then
//! ClusterStacks, then the rest: a controller needs credentials, roles and quota until it has cleaned up.

use std::collections::{BTreeSet, HashMap};

use super::reference::{Targets, is_cluster};
use super::{is_proven_ours, namespace_is_going, uses_stack};
use crate::model::{GENERATED_BY, GroupKind, Gvk, LiveObject, LiveState, ObjectId};
use crate::plan::{Context, Wave};

/// An object that is rendered no more.
pub(super) type Leaving<'a> = (&'a ObjectId, &'a LiveObject);

/// For each object that leaves, what must be gone before it. O(bodies of what leaves and of Cluster API).
pub(super) fn blockers<'a>(
    leaving: &[Leaving<'a>],
    live: &'a LiveState,
    context: &Context<'_>,
) -> Vec<BTreeSet<&'a ObjectId>> {
    let mut after: Vec<BTreeSet<&ObjectId>> = vec![BTreeSet::new(); leaving.len()];
    let numbers: HashMap<&ObjectId, usize> =
        leaving.iter().enumerate().map(|(number, (id, _))| (*id, number)).collect();
    let targets = Targets::new(leaving.iter().enumerate().map(|(number, (id, _))| (number, *id)));
    let containers = Containers::of(leaving);
    for (id, object) in &live.objects {
        let leaves = numbers.get(id).copied();
        let counts = leaves.is_some()
            || context.described.contains(id)
            || is_proven_ours(object, &context.rules.owner);
        if !counts {
            continue;
        }
        let namespace = containers.namespace_of(id).filter(|_| !goes_along(id, object));
        for number in namespace.into_iter().chain(containers.definition_of(id)) {
            after[number].insert(id);
        }
        if let Some(number) = leaves {
            after[number].extend(owners(id, object, &numbers));
        }
        // Of what stays, only Cluster API would hang without what it refers to; others may live with a broken reference.
        if leaves.is_some() || is_of_cluster_api(id) {
            for number in targets.named_by(id, &object.body) {
                after[number].insert(id);
            }
        }
        if is_cluster(id) {
            for (number, (stack, body)) in leaving.iter().enumerate() {
                let near = stack.kind() == "ClusterStack" && stack.namespace() == id.namespace();
                if near && uses_stack(&object.body, &body.body) {
                    after[number].insert(id);
                }
            }
        }
    }
    let kept = kept(&after, &numbers);
    by_rank(leaving, live, &kept, &mut after);
    for (number, (id, _)) in leaving.iter().enumerate() {
        after[number].remove(id);
    }
    after
}

/// What contains others: Namespaces by name, definitions by the kind that they bring.
struct Containers<'a> {
    namespaces: HashMap<&'a str, usize>,
    definitions: HashMap<GroupKind, usize>,
}

impl<'a> Containers<'a> {
    fn of(leaving: &[Leaving<'a>]) -> Containers<'a> {
        let mut found = Containers { namespaces: HashMap::new(), definitions: HashMap::new() };
        for (number, (id, object)) in leaving.iter().enumerate() {
            match (id.group(), id.kind()) {
                ("", "Namespace") => {
                    found.namespaces.insert(id.name(), number);
                }
                ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                    let spec = &object.body["spec"];
                    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().into();
                    let kind = GroupKind { group: text(&spec["group"]), kind: text(&spec["names"]["kind"]) };
                    found.definitions.insert(kind, number);
                }
                _ => {}
            }
        }
        found
    }

    fn namespace_of(&self, id: &ObjectId) -> Option<usize> {
        self.namespaces.get(id.namespace()?).copied()
    }

    fn definition_of(&self, id: &ObjectId) -> Option<usize> {
        if self.definitions.is_empty() { None } else { self.definitions.get(&id.group_kind()).copied() }
    }
}

/// Whether an object is there only because a rule makes it for its namespace: as long as that lives, the rule goes on.
fn goes_along(id: &ObjectId, object: &LiveObject) -> bool {
    let trigger = object.annotation(GENERATED_BY).and_then(|rule| rule.splitn(3, '/').nth(2));
    trigger.is_some() && trigger == id.namespace()
}

/// The owners of an object that leave as well.
fn owners<'a>(
    id: &ObjectId,
    object: &LiveObject,
    leaving: &HashMap<&'a ObjectId, usize>,
) -> Vec<&'a ObjectId> {
    let references = object.body["metadata"]["ownerReferences"].as_array();
    let of = |reference: &serde_json::Value| {
        let gvk = Gvk::of(reference).ok()?;
        let name = reference["name"].as_str()?;
        let owner = |namespace| ObjectId::new(&gvk.group, &gvk.kind, namespace, name);
        let known = |id: &ObjectId| leaving.get_key_value(id).map(|(id, _)| *id);
        known(&owner(id.namespace())).or_else(|| known(&owner(None)))
    };
    references.into_iter().flatten().filter_map(of).collect()
}

fn is_of_cluster_api(id: &ObjectId) -> bool {
    id.group() == "clusterstack.x-k8s.io"
        || id.group() == "cluster.x-k8s.io"
        || id.group().ends_with(".cluster.x-k8s.io")
}

/// What cannot go because something that stays needs it, however indirectly.
fn kept(after: &[BTreeSet<&ObjectId>], leaving: &HashMap<&ObjectId, usize>) -> Vec<bool> {
    let mut kept = vec![false; after.len()];
    loop {
        let needed = |id: &ObjectId| leaving.get(id).is_none_or(|number| kept[*number]);
        let more: Vec<usize> =
            (0..after.len()).filter(|n| !kept[*n] && after[*n].iter().any(|id| needed(id))).collect();
        if more.is_empty() {
            return kept;
        }
        more.into_iter().for_each(|number| kept[number] = true);
    }
}

/// Within a namespace, what leaves of one rank waits for the rank before it, but not for what is kept.
fn by_rank<'a>(
    leaving: &[Leaving<'a>],
    live: &LiveState,
    kept: &[bool],
    after: &mut [BTreeSet<&'a ObjectId>],
) {
    let mut namespaces: HashMap<&str, [Vec<usize>; 4]> = HashMap::new();
    for (number, (id, object)) in leaving.iter().enumerate().filter(|(number, _)| !kept[*number]) {
        if let Some(namespace) = id.namespace() {
            namespaces.entry(namespace).or_default()[rank(id, object)].push(number);
        }
    }
    for ranks in namespaces.values() {
        for (rank, members) in ranks.iter().enumerate() {
            let Some(before) = ranks[..rank].iter().rfind(|members| !members.is_empty()) else { continue };
            for number in members {
                let (id, object) = leaving[*number];
                // Kubernetes itself deletes it now.
                let swept = object.annotation(GENERATED_BY).is_some() && namespace_is_going(id, live);
                if !swept {
                    // A few will do: once they are gone, the next few are found.
                    after[*number].extend(before.iter().take(8).map(|before| leaving[*before].0));
                }
            }
        }
    }
}

fn rank(id: &ObjectId, object: &LiveObject) -> usize {
    match id.kind() {
        _ if is_cluster(id) => 0,
        "ClusterStack" => 2,
        _ if Gvk::of(&object.body).is_ok_and(|gvk| Wave::of(&gvk) == Wave::Custom) => 1,
        _ => 3,
    }
}
