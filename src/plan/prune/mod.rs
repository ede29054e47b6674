//! What is no longer rendered: what may be deleted now, what waits for others to be gone, and what is held.

mod going;
mod order;
mod reference;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Action, Cause, Context, Step, Wave};
use crate::config::ApprovalAction;
use crate::finding::{ApprovalRequest, Code, Finding};
use crate::model::{
    FIELD_MANAGER, GENERATED_BY, Gvk, LiveObject, LiveState, OWNER_LABEL, ObjectId, TENANT, Tenant,
};
use order::Leaving;
pub use reference::refers_to;

/// Annotation: never delete the object.
const PRUNE: &str = "moin.scs.community/prune";

/// One object that may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The object.
    pub id: ObjectId,
    /// Its group, version and kind as it lives.
    pub gvk: Gvk,
    /// Its uid: another object of that name is not meant.
    pub uid: String,
    /// Its resourceVersion, as it was planned on.
    pub version: String,
    /// Why.
    pub reason: String,
    /// It need not wait until the rest of the commit has succeeded: its namespace is going, or it is made anew.
    pub at_once: bool,
    /// Somebody approved it whatever would hold it up.
    pub forced: bool,
    /// The tenant whose it was: it is deleted as him.
    pub tenant: Option<Tenant>,
}

/// A deletion whose turn has not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The deletion.
    pub deletion: Deletion,
    /// What must be gone before.
    pub after: Vec<ObjectId>,
}

impl Waiting {
    /// `, after Cluster/team-a/web`, behind the reason.
    pub fn when(&self) -> String {
        format!(", after {}", going::names(self.after.iter()))
    }
}

/// What the repository no longer renders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletions {
    /// What may be deleted now: nothing of it is needed by anything that is still there.
    pub allowed: Vec<Deletion>,
    /// What may be deleted once others are gone.
    pub waiting: Vec<Waiting>,
    /// Deletions under way, with what holds them.
    pub going: Vec<(ObjectId, Finding)>,
    /// What waits for an approval, or is kept.
    pub held: Vec<(ObjectId, Finding)>,
}

/// Where an object that leaves stands.
enum Standing {
    Going,
    Held(Finding),
    May(Deletion),
}

/// Everything that carries our label and our field manager and is rendered no more, and what is to be made anew.
/// O(live objects).
pub(super) fn deletions(live: &LiveState, context: &Context<'_>) -> Deletions {
    let mut leaving: Vec<Leaving<'_>> = live
        .objects
        .iter()
        .filter(|(id, object)| {
            !context.described.contains(id) && is_proven_ours(object, &context.rules.owner)
        })
        .filter(|(_, object)| object.is_deleting() || object.annotation(PRUNE) != Some("never"))
        .collect();
    if leaving.is_empty() {
        return Deletions::default();
    }
    leaving.sort_by_key(|(id, object)| (Reverse(order(object)), (*id).clone()));
    let mut standings: Vec<Standing> =
        leaving.iter().map(|(id, object)| standing(id, object, live, context)).collect();
    cap(&mut standings, live, context);
    let after = order::blockers(&leaving, live, context);
    sorted_out(&leaving, standings, &after)
}

fn standing(id: &ObjectId, object: &LiveObject, live: &LiveState, context: &Context<'_>) -> Standing {
    if object.is_deleting() {
        return Standing::Going;
    }
    match (verdict(id, object, live, context), Gvk::of(&object.body)) {
        (Ok(reason), Ok(gvk)) => Standing::May(Deletion {
            id: id.clone(),
            gvk,
            uid: object.uid().to_owned(),
            version: object.resource_version().to_owned(),
            reason,
            at_once: object.annotation(GENERATED_BY).is_some() && namespace_is_going(id, live),
            forced: is_approved(context, ApprovalAction::ForceDelete, id),
            tenant: tenant(object, context),
        }),
        (Err(finding), _) => Standing::Held(*finding),
        (_, Err(error)) => Standing::Held(Finding::warning(Code::DeleteFailed, error.to_string()).about(id)),
    }
}

/// What may go now, what waits for what, and what is kept for something that stays.
fn sorted_out(leaving: &[Leaving<'_>], standings: Vec<Standing>, after: &[BTreeSet<&ObjectId>]) -> Deletions {
    let numbers: HashMap<&ObjectId, usize> =
        leaving.iter().enumerate().map(|(n, (id, _))| (*id, n)).collect();
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); leaving.len()];
    for (n, before) in after.iter().enumerate() {
        for before in before.iter().filter_map(|id| numbers.get(*id)) {
            waiters[*before].push(n);
        }
    }
    let stays = |id: &&&ObjectId| !numbers.contains_key(**id);
    let held_by = |n: usize| after[n].iter().filter(stays).copied().collect::<Vec<&ObjectId>>();
    let moves =
        |n: usize| !matches!(standings[n], Standing::May(_)) || after[n].is_empty() || !held_by(n).is_empty();
    let number = |id: &&ObjectId| numbers.get(*id).copied();
    let blockers: Vec<Vec<usize>> = after.iter().map(|ids| ids.iter().filter_map(number).collect()).collect();
    let released = in_circles((0..leaving.len()).map(moves).collect(), &waiters, &blockers);
    let mut result = Deletions::default();
    for (n, standing) in standings.into_iter().enumerate() {
        let (id, object) = leaving[n];
        let staying = held_by(n);
        match standing {
            Standing::Going => {
                let waiting: Vec<&ObjectId> = waiters[n].iter().map(|waiter| leaving[*waiter].0).collect();
                result.going.push((id.clone(), going::finding(id, object, &waiting)));
            }
            Standing::Held(finding) => result.held.push((id.clone(), finding)),
            Standing::May(_) if !staying.is_empty() => {
                result.held.push((id.clone(), still_in_use(id, &staying)));
            }
            Standing::May(deletion) if after[n].is_empty() || released == Some(n) => {
                result.allowed.push(deletion);
            }
            Standing::May(deletion) => {
                let after = after[n].iter().map(|id| (*id).clone()).collect();
                result.waiting.push(Waiting { deletion, after });
            }
        }
    }
    result
}

/// Objects that name each other in a circle would wait for ever: the first of one is let go. Whatever waits, however
/// indirectly, for something that moves (or for a person) is in no such circle; what a circle merely needs goes on waiting.
fn in_circles(mut moves: Vec<bool>, waiters: &[Vec<usize>], blockers: &[Vec<usize>]) -> Option<usize> {
    let mut work: Vec<usize> = (0..moves.len()).filter(|n| moves[*n]).collect();
    while let Some(n) = work.pop() {
        for waiter in &waiters[n] {
            if !std::mem::replace(&mut moves[*waiter], true) {
                work.push(*waiter);
            }
        }
    }
    // What does not move waits for something that does not move either: following that leads into a circle.
    let mut next = moves.iter().position(|moves| !moves)?;
    let mut way = Vec::new();
    loop {
        if let Some(begin) = way.iter().position(|n| *n == next) {
            return way[begin..].iter().copied().min();
        }
        way.push(next);
        next = blockers[next].iter().copied().find(|n| !moves[*n])?;
    }
}

fn still_in_use(id: &ObjectId, staying: &[&ObjectId]) -> Finding {
    let message = format!(
        "the repository renders it no more, but {}, which {}, still {} it",
        going::names(staying.iter().copied()),
        if staying.len() == 1 { "stays" } else { "stay" },
        if staying.len() == 1 { "needs" } else { "need" },
    );
    Finding::warning(Code::StillInUse, message).about(id).help(Code::StillInUse.page().remedy)
}

/// Objects that an approval lets be deleted and created anew, and that this commit changes; without a deletion while one
/// is under way.
pub(super) fn recreations<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    live: &LiveState,
    context: &Context<'_>,
) -> Vec<(ObjectId, Option<Deletion>)> {
    let wanted = steps.into_iter().filter(|step| {
        step.action == Action::Update(Cause::Commit)
            && is_approved(context, ApprovalAction::Recreate, step.id())
    });
    let recreation = |step: &Step| {
        let id = step.id();
        let object = live.objects.get(id)?;
        let deletion = Deletion {
            id: id.clone(),
            gvk: Gvk::of(&object.body).ok()?,
            uid: object.uid().to_owned(),
            version: object.resource_version().to_owned(),
            reason: "approved to be deleted and created anew".to_owned(),
            at_once: true,
            forced: is_approved(context, ApprovalAction::ForceDelete, id),
            tenant: tenant(object, context),
        };
        Some((id.clone(), (!object.is_deleting()).then_some(deletion)))
    };
    wanted.filter_map(recreation).collect()
}

/// Whose the object was, where tenants' objects are written as them.
fn tenant(object: &LiveObject, context: &Context<'_>) -> Option<Tenant> {
    let rule = context.rules.impersonation.as_ref()?;
    object.annotation(TENANT).map(|name| rule.tenant(name))
}

/// Whether what the repository renders no more may still be deleted, as it lives by now: nobody took it over, or asked that
/// it be kept.
pub fn may_still_go(object: &LiveObject, owner: &str) -> bool {
    is_proven_ours(object, owner) && object.annotation(PRUNE) != Some("never")
}

/// Owner label and an entry of our manager among the managed fields: a copied label alone proves nothing.
fn is_proven_ours(object: &LiveObject, owner: &str) -> bool {
    let managers = object.body["metadata"]["managedFields"].as_array();
    object.label(OWNER_LABEL) == Some(owner)
        && managers.is_some_and(|entries| {
            entries.iter().any(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
        })
}

/// Deleted in the reverse order of creation; Clusters before everything else, because what their deletion needs
/// (classes, credentials, the namespace) must outlive them.
fn order(object: &LiveObject) -> (bool, Option<Wave>) {
    let gvk = Gvk::of(&object.body).ok();
    let is_cluster =
        gvk.as_ref().is_some_and(|gvk| &*gvk.group == "cluster.x-k8s.io" && &*gvk.kind == "Cluster");
    (is_cluster, gvk.map(|gvk| Wave::of(&gvk)))
}

fn verdict(
    id: &ObjectId,
    object: &LiveObject,
    live: &LiveState,
    context: &Context<'_>,
) -> Result<String, Box<Finding>> {
    if object.annotation(GENERATED_BY).is_some() && namespace_is_going(id, live) {
        return Ok("its namespace is being deleted".to_owned());
    }
    if !context.rules.protection.protects(&id.group_kind()) || may_delete(context, id) {
        return Ok(match object.annotation(GENERATED_BY) {
            Some(rule) => format!("the rule {rule} generates it no more"),
            None => "the repository renders it no more".to_owned(),
        });
    }
    let message = format!("the repository renders it no more, and {} is a protected kind", id.kind());
    let help = format!(
        "to delete it: `moin approve delete {id}`, or add to spec.approvals: {{action: delete, object: {id}, revision: {}}}",
        base(context)
    );
    let request = ApprovalRequest::object(ApprovalAction::Delete.word(), id);
    Err(Box::new(Finding::warning(Code::ApprovalNeeded, message).about(id).help(help).asks(request)))
}

/// The revision that an approval in git would name.
fn base<'a>(context: &Context<'a>) -> &'a str {
    context.applied.unwrap_or(context.revision).short()
}

fn namespace_is_going(id: &ObjectId, live: &LiveState) -> bool {
    let Some(name) = id.namespace() else { return false };
    live.namespaces.get(name).is_none_or(|ns| ns.is_deleting() || ns.body["status"]["phase"] == "Terminating")
}

/// Whether a Cluster's class comes from a ClusterStack of its namespace.
pub fn uses_stack(cluster: &Value, stack: &Value) -> bool {
    let part = |field: &str| stack["spec"][field].as_str().unwrap_or_default().replace('.', "-");
    let prefix = format!("{}-{}-{}-", part("provider"), part("name"), part("kubernetesVersion"));
    let topology = &cluster["spec"]["topology"];
    let class = topology["classRef"]["name"].as_str().or_else(|| topology["class"].as_str());
    class.is_some_and(|class| class.starts_with(&prefix))
}

/// Whether somebody approved the deletion of this object.
fn may_delete(context: &Context<'_>, id: &ObjectId) -> bool {
    is_approved(context, ApprovalAction::Delete, id) || is_approved(context, ApprovalAction::ForceDelete, id)
}

fn is_approved(context: &Context<'_>, action: ApprovalAction, id: &ObjectId) -> bool {
    let revisions = || [Some(context.revision), context.applied].into_iter().flatten();
    let mut approvals = context.rules.approvals.iter();
    approvals.any(|approval| revisions().any(|revision| approval.allows(action, id, revision)))
}

/// Whether somebody approved more deletions than the cap.
fn may_exceed_the_cap(context: &Context<'_>) -> bool {
    let revisions = || [Some(context.revision), context.applied].into_iter().flatten();
    context.rules.approvals.iter().any(|approval| {
        revisions().any(|revision| approval.allows_revision(ApprovalAction::Deletions, revision))
    })
}

/// Above the cap nothing is deleted but what one object's approval names, or what goes with its namespace.
fn cap(standings: &mut [Standing], live: &LiveState, context: &Context<'_>) {
    let max = context.rules.protection.max_deletions as usize;
    let counted = |standing: &Standing| match standing {
        Standing::May(deletion) => {
            !may_delete(context, &deletion.id) && !namespace_is_going(&deletion.id, live)
        }
        Standing::Going | Standing::Held(_) => false,
    };
    let number = standings.iter().filter(|standing| counted(standing)).count();
    if number <= max || may_exceed_the_cap(context) {
        return;
    }
    let message =
        format!("this commit deletes {number} objects, more than protection.maxDeletions ({max}) allows");
    let revision = context.revision.short();
    let help = format!(
        "to delete them: `moin approve deletions {revision}`, or add to spec.approvals: {{action: deletions, revision: {}}}",
        base(context)
    );
    for standing in standings.iter_mut().filter(|standing| counted(standing)) {
        let Standing::May(deletion) = standing else { continue };
        let request = ApprovalRequest::revision(ApprovalAction::Deletions.word(), revision);
        let finding = Finding::warning(Code::ApprovalNeeded, &message).about(&deletion.id).help(&help);
        *standing = Standing::Held(finding.asks(request));
    }
}
