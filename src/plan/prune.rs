//! What is no longer rendered and may be deleted.

use std::cmp::Reverse;

use serde_json::Value;

use super::{Context, Wave};
use crate::config::ApprovalAction;
use crate::finding::{Code, Finding};
use crate::model::{
    FIELD_MANAGER, GENERATED_BY, Gvk, LiveObject, LiveState, OWNER_LABEL, ObjectId, TENANT, Tenant,
};

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
    /// Why.
    pub reason: String,
    /// Its namespace is going: it need not wait until the rest of the commit has succeeded.
    pub at_once: bool,
    /// The tenant whose it was: it is deleted as him.
    pub tenant: Option<Tenant>,
}

/// What the repository no longer renders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletions {
    /// What may be deleted, in the order in which it should be.
    pub allowed: Vec<Deletion>,
    /// What waits for an approval, or is kept.
    pub held: Vec<(ObjectId, Finding)>,
}

/// Everything that carries our label and our field manager and is rendered no more. O(live objects).
pub(super) fn deletions(live: &LiveState, context: &Context<'_>) -> Deletions {
    let mut gone: Vec<(&ObjectId, &LiveObject)> = live
        .objects
        .iter()
        .filter(|(id, object)| {
            !context.described.contains(id) && is_proven_ours(object, &context.rules.owner)
        })
        .filter(|(_, object)| !object.is_deleting() && object.annotation(PRUNE) != Some("never"))
        .collect();
    gone.sort_by_key(|(id, object)| (Reverse(order(object)), (*id).clone()));
    let mut result = Deletions::default();
    for (id, object) in gone {
        match verdict(id, object, live, context) {
            Ok(reason) => {
                let Ok(gvk) = Gvk::of(&object.body) else { continue };
                let at_once = object.annotation(GENERATED_BY).is_some() && namespace_is_going(id, live);
                let uid = object.uid().to_owned();
                let tenant = object.annotation(TENANT).zip(context.rules.impersonation.as_ref());
                let tenant = tenant.map(|(name, rule)| rule.tenant(name));
                result.allowed.push(Deletion { id: id.clone(), gvk, uid, reason, at_once, tenant });
            }
            Err(finding) => result.held.push((id.clone(), *finding)),
        }
    }
    cap(&mut result, live, context);
    result
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
        return match cluster_that_uses(id, object, live) {
            None => Ok("its namespace is being deleted".to_owned()),
            Some(cluster) => {
                let message = format!("kept while {cluster} still uses it");
                Err(Box::new(Finding::warning(Code::ApprovalNeeded, message).about(id)))
            }
        };
    }
    if !context.rules.protection.protects(&id.group_kind()) || may_delete(context, id) {
        return Ok(match object.annotation(GENERATED_BY) {
            Some(rule) => format!("the rule {rule} generates it no more"),
            None => "the repository renders it no more".to_owned(),
        });
    }
    let message = format!("the repository renders it no more, and {} is a protected kind", id.kind());
    let help = format!(
        "to delete it, add to spec.approvals: {{action: delete, object: {id}, revision: {}}}",
        base(context)
    );
    Err(Box::new(Finding::warning(Code::ApprovalNeeded, message).about(id).help(help)))
}

/// The revision that an approval in git would name.
fn base<'a>(context: &Context<'a>) -> &'a str {
    context.applied.unwrap_or(context.revision).short()
}

fn namespace_is_going(id: &ObjectId, live: &LiveState) -> bool {
    let Some(name) = id.namespace() else { return false };
    live.namespaces.get(name).is_none_or(|ns| ns.is_deleting() || ns.body["status"]["phase"] == "Terminating")
}

/// A Cluster in the same namespace whose class comes from this ClusterStack.
fn cluster_that_uses(id: &ObjectId, object: &LiveObject, live: &LiveState) -> Option<ObjectId> {
    if id.kind() != "ClusterStack" {
        return None;
    }
    let in_use = |(cluster, body): &(&ObjectId, &LiveObject)| {
        cluster.group() == "cluster.x-k8s.io"
            && cluster.kind() == "Cluster"
            && cluster.namespace() == id.namespace()
            && uses_stack(&body.body, &object.body)
    };
    live.objects.iter().find(in_use).map(|(cluster, _)| cluster.clone())
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
    let revisions = || [Some(context.revision), context.applied].into_iter().flatten();
    context
        .rules
        .approvals
        .iter()
        .any(|approval| revisions().any(|revision| approval.allows(ApprovalAction::Delete, id, revision)))
}

/// Whether somebody approved more deletions than the cap.
fn may_exceed_the_cap(context: &Context<'_>) -> bool {
    let revisions = || [Some(context.revision), context.applied].into_iter().flatten();
    context.rules.approvals.iter().any(|approval| {
        revisions().any(|revision| approval.allows_revision(ApprovalAction::Deletions, revision))
    })
}

/// Above the cap nothing is deleted but what one object's approval names, or what goes with its namespace.
fn cap(result: &mut Deletions, live: &LiveState, context: &Context<'_>) {
    let max = context.rules.protection.max_deletions as usize;
    let counted =
        |deletion: &Deletion| !may_delete(context, &deletion.id) && !namespace_is_going(&deletion.id, live);
    let number = result.allowed.iter().filter(|deletion| counted(deletion)).count();
    if number <= max || may_exceed_the_cap(context) {
        return;
    }
    let (held, allowed) = std::mem::take(&mut result.allowed).into_iter().partition(counted);
    result.allowed = allowed;
    let held: Vec<Deletion> = held;
    for deletion in held {
        let message =
            format!("this commit deletes {number} objects, more than protection.maxDeletions ({max}) allows");
        let help = format!(
            "to delete them, add to spec.approvals: {{action: deletions, revision: {}}}",
            base(context)
        );
        let finding = Finding::warning(Code::ApprovalNeeded, message).about(&deletion.id).help(help);
        result.held.push((deletion.id, finding));
    }
}
