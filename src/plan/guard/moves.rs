//! `clusterctl move`: it pauses the Clusters of a namespace, copies everything, marks the source's objects and deletes
//! them. Whoever writes in between brings back at the source what lives at the destination: a second cluster.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{CLUSTER_API, is_cluster};
use crate::finding::{Code, Finding};
use crate::model::{LiveState, ObjectId};

/// The mark of an object that a move is about to delete at its source.
const DELETE_FOR_MOVE: &str = "clusterctl.cluster.x-k8s.io/delete-for-move";

/// What a planner remembers of moves: the plan after the deletion no longer sees the mark.
#[derive(Debug, Default)]
pub(in crate::plan) struct Moves {
    /// Clusters in a move when they were last seen.
    leaving: BTreeSet<ObjectId>,
    /// Those that have gone since.
    departed: BTreeSet<ObjectId>,
}

/// The same for a planner that begins anew; Clusters are named `NAMESPACE/NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MovedClusters {
    leaving: BTreeSet<String>,
    departed: BTreeSet<String>,
}

impl Moves {
    /// What another planner is to know.
    pub(in crate::plan) fn told(&self) -> MovedClusters {
        let names = |ids: &BTreeSet<ObjectId>| {
            ids.iter().map(|id| format!("{}/{}", id.namespace().unwrap_or_default(), id.name())).collect()
        };
        MovedClusters { leaving: names(&self.leaving), departed: names(&self.departed) }
    }

    /// Takes in what another planner knew; what is no name of a Cluster is nothing.
    pub(in crate::plan) fn recall(&mut self, moved: &MovedClusters) {
        let id = |name: &String| {
            let (namespace, name) = name.split_once('/')?;
            Some(ObjectId::new(CLUSTER_API, "Cluster", Some(namespace), name))
        };
        self.leaving.extend(moved.leaving.iter().filter_map(id));
        self.departed.extend(moved.departed.iter().filter_map(id));
    }

    /// Takes in a state; answers with the namespaces in which a move works, each with its sign. `paused` are the
    /// Clusters that the repository itself pauses.
    pub(super) fn look(&mut self, live: &LiveState, paused: &HashSet<&ObjectId>) -> BTreeMap<String, String> {
        let mut moving = BTreeMap::new();
        let mut leaving = BTreeSet::new();
        for (id, object) in &live.objects {
            let marked = object.annotation(DELETE_FOR_MOVE).is_some();
            let paused = is_cluster(id) && object.body["spec"]["paused"] == true && !paused.contains(id);
            if !(marked || paused && is_of_cluster_api(id)) {
                continue;
            }
            if is_cluster(id) {
                leaving.insert(id.clone());
            }
            let sign = match marked {
                true => format!("{id} is marked to be deleted by a move"),
                false => format!("{id} is paused, and not by the repository"),
            };
            let Some(namespace) = id.namespace() else { continue };
            let known = moving.entry(namespace.to_owned()).or_insert_with(|| sign.clone());
            // The same sign every time, in whatever order the objects come.
            if sign < *known {
                *known = sign;
            }
        }
        let gone = self.leaving.iter().filter(|id| !live.objects.contains_key(*id)).cloned();
        self.departed.extend(gone.collect::<Vec<_>>());
        self.departed.retain(|id| !live.objects.contains_key(id));
        self.leaving = leaving;
        moving
    }

    /// Whether a move has taken this Cluster away.
    pub(super) fn has_departed(&self, id: &ObjectId) -> bool {
        self.departed.contains(id)
    }
}

fn is_of_cluster_api(id: &ObjectId) -> bool {
    id.group() == CLUSTER_API || id.group().ends_with(".cluster.x-k8s.io")
}

/// Why nothing is done to an object in a namespace with such a sign.
pub(super) fn in_progress(id: &ObjectId, sign: &str) -> Option<Finding> {
    let message = format!("nothing is written to its namespace: {sign}");
    Some(Finding::warning(Code::MoveInProgress, message).about(id).help(Code::MoveInProgress.page().remedy))
}
