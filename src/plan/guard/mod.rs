//! What is not done although the repository asks for it: rules that look past the two sides of one object.
//!
//! - No instance digs its own grave: the Clusters that instances of moin run on are neither deleted nor made again
//!   ([`homes`]).
//! - A Cluster that may exist already is not built a second time ([`record`]).
//! - Nothing is written where `clusterctl move` works ([`moves`]).

mod homes;
mod moves;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub use homes::Homes;
pub use moves::MovedClusters;
pub(super) use moves::Moves;
pub use record::{Provisioned, provisioned};

use super::{Action, Context, Deletions, Step, step};
use crate::finding::Finding;
use crate::model::{LiveState, Manifest, ObjectId};

/// The group of Cluster API's own kinds.
const CLUSTER_API: &str = "cluster.x-k8s.io";

/// Whether it is a Cluster of Cluster API.
fn is_cluster(id: &ObjectId) -> bool {
    id.group() == CLUSTER_API && id.kind() == "Cluster"
}

/// The rules at work on one plan.
pub(super) struct Guards<'a> {
    live: &'a LiveState,
    context: &'a Context<'a>,
    moves: &'a Moves,
    /// Namespaces in which a move works, with the sign of it.
    moving: BTreeMap<String, String>,
}

impl<'a> Guards<'a> {
    /// For this state; `moves` remembers what earlier plans saw.
    pub(super) fn new(
        manifests: &[Arc<Manifest>],
        live: &'a LiveState,
        context: &'a Context<'a>,
        moves: &'a mut Moves,
    ) -> Guards<'a> {
        let paused_by_us =
            |manifest: &&Arc<Manifest>| is_cluster(&manifest.id) && manifest.body["spec"]["paused"] == true;
        let paused: HashSet<&ObjectId> = manifests.iter().filter(paused_by_us).map(|it| &it.id).collect();
        let moving = moves.look(live, &paused);
        Guards { live, context, moves, moving }
    }

    /// The step, or why it is not done.
    pub(super) fn judge(&self, step: Arc<Step>) -> Arc<Step> {
        if !step.writes() {
            return step;
        }
        let id = step.id();
        let refusal = self.in_a_move(id).or_else(|| match step.action {
            Action::Create if is_cluster(id) => self.second_cluster(id),
            _ => None,
        });
        match refusal {
            None => step,
            Some(finding) => {
                let draft = Step { changes: Vec::new(), ..(*step).clone() };
                Arc::new(step::held_back(draft, finding))
            }
        }
    }

    /// Moves what may not be deleted, whoever approved it, to what is held.
    pub(super) fn keep(&self, deletions: &mut Deletions) {
        let homes = &self.context.rules.homes;
        let refusal = |id: &ObjectId| homes.refuse_deletion(id, self.live).or_else(|| self.in_a_move(id));
        for (id, finding) in &mut deletions.held {
            if let Some(refusal) = homes.refuse_deletion(id, self.live) {
                *finding = refusal;
            }
        }
        let held = &mut deletions.held;
        let mut may_go = |id: &ObjectId| match refusal(id) {
            None => true,
            Some(finding) => {
                held.push((id.clone(), finding));
                false
            }
        };
        deletions.allowed.retain(|deletion| may_go(&deletion.id));
        deletions.waiting.retain(|waiting| may_go(&waiting.deletion.id));
    }

    fn second_cluster(&self, id: &ObjectId) -> Option<Finding> {
        let rules = self.context.rules;
        if let Some(finding) = rules.homes.refuse_creation(id) {
            return Some(finding);
        }
        let remembered = rules.may_exist.iter().find(|cluster| cluster.id() == *id);
        let why = match remembered {
            Some(cluster) => {
                format!("the cluster was built anew, and its peer remembers {id} as provisioned{cluster}")
            }
            None if self.moves.has_departed(id) => format!("{id} was taken away by clusterctl move"),
            None => return None,
        };
        record::may_exist_already(id, &why, self.context)
    }

    fn in_a_move(&self, id: &ObjectId) -> Option<Finding> {
        let namespace =
            if id.kind() == "Namespace" && id.group().is_empty() { Some(id.name()) } else { id.namespace() };
        moves::in_progress(id, self.moving.get(namespace?)?)
    }
}
