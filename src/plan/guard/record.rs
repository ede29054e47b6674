//! What is remembered of a cluster in case it is lost: the Clusters that it had provisioned.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::homes::endpoint_of;
use super::{CLUSTER_API, is_cluster};
use crate::config::ApprovalAction;
use crate::finding::{ApprovalRequest, Code, Finding};
use crate::model::{LiveState, ObjectId};
use crate::plan::Context;

/// A Cluster for which machines exist somewhere, whether or not its object does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provisioned {
    /// The Cluster's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid that it had.
    pub uid: String,
    /// `spec.providerID` of its machines, as far as they were seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provider_ids: Vec<String>,
    /// `HOST:PORT` of its API server, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Provisioned {
    /// The Cluster's identity as an object.
    pub fn id(&self) -> ObjectId {
        ObjectId::new(CLUSTER_API, "Cluster", Some(&self.namespace), &self.name)
    }
}

impl fmt::Display for Provisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = &self.endpoint {
            write!(f, " at {endpoint}")?;
        }
        match &self.provider_ids[..] {
            [] => Ok(()),
            [one] => write!(f, " with the machine {one}"),
            [first, rest @ ..] => write!(f, " with the machine {first} and {} more", rest.len()),
        }
    }
}

/// The Clusters of a live state for which machines exist, by identity: what a peer writes down.
pub fn provisioned(live: &LiveState) -> Vec<Provisioned> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<Provisioned> = live
        .objects
        .iter()
        .filter(|(id, object)| is_cluster(id) && exists_outside(&object.body))
        .map(|(id, object)| {
            let is_machine = |other: &&ObjectId| {
                other.group() == CLUSTER_API
                    && other.kind() == "Machine"
                    && other.namespace() == id.namespace()
            };
            let machines = live.objects.keys().filter(is_machine).map(|machine| &live.objects[machine].body);
            let machines = machines.filter(|machine| machine["spec"]["clusterName"] == id.name());
            let mut provider_ids: Vec<String> = machines
                .map(|machine| text(&machine["spec"]["providerID"]))
                .filter(|id| !id.is_empty())
                .collect();
            provider_ids.sort();
            Provisioned {
                namespace: id.namespace().unwrap_or_default().to_owned(),
                name: id.name().to_owned(),
                uid: object.uid().to_owned(),
                provider_ids,
                endpoint: endpoint_of(&object.body),
            }
        })
        .collect();
    found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    found
}

/// Whether something was built for a Cluster: it has an endpoint, or its infrastructure is ready (in the words of
/// v1beta2, then of v1beta1).
fn exists_outside(cluster: &serde_json::Value) -> bool {
    let status = &cluster["status"];
    endpoint_of(cluster).is_some()
        || status["initialization"]["infrastructureProvisioned"] == true
        || status["infrastructureReady"] == true
        || status["phase"] == "Provisioned"
}

/// Why a Cluster is not created, unless somebody approved that.
pub(super) fn may_exist_already(id: &ObjectId, why: &str, context: &Context<'_>) -> Option<Finding> {
    let approved = context.rules.approvals.iter().any(|approval| {
        let revisions = [Some(context.revision), context.applied].into_iter().flatten();
        revisions.into_iter().any(|revision| approval.allows(ApprovalAction::Create, id, revision))
    });
    if approved {
        return None;
    }
    let help = format!(
        "bring the object back with `clusterctl move` or from a backup; to build a second cluster, approve: \
         {{action: create, object: {id}}}"
    );
    let request = ApprovalRequest::object(ApprovalAction::Create.word(), id);
    Some(Finding::warning(Code::MayExistAlready, why).about(id).help(help).asks(request))
}
