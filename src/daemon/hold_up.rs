//! What is asked right before something is deleted, because no plan can know it: whether somebody else's Cluster needs
//! it, and what in a workload cluster would hold up the end of its Cluster, or be left behind in the cloud.
//!
//! What is held up is tried again after a while by itself: the load balancers of a workload cluster tell nobody here when
//! they are gone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;

use crate::apply::{Outcome, Receipt};
use crate::cluster::{Cluster, ClusterError, Leftover, ListOptions};
use crate::config::ApprovalAction;
use crate::finding::{ApprovalRequest, Code, Finding};
use crate::model::{GroupKind, Gvk, LiveObject, LiveState, ObjectId, ServedKind};
use crate::plan::{self, Deletion};

/// When to look again whether a deletion is still held up.
const AGAIN: Duration = Duration::from_secs(10);
/// How many of the things that hold up a deletion are named: what a cluster says of itself must not fill the report.
const MOST_NAMED: usize = 20;
/// How many Clusters are looked into at once.
const AT_ONCE: usize = 8;
/// The definition of Cluster API's Cluster.
const CLUSTERS: &str = "clusters.cluster.x-k8s.io";
/// Cluster API's label on what belongs to a Cluster.
const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";

/// The two kinds that are looked for, where somebody serves them.
pub(super) struct Sought {
    clusters: Option<ServedKind>,
    floating_ips: Option<ServedKind>,
}

impl Sought {
    pub(super) fn of(live: &LiveState) -> Sought {
        let kind = |group: &str, kind: &str| {
            let kind = GroupKind { group: group.into(), kind: kind.into() };
            live.kinds.get(&kind).and_then(|versions| versions.first()).cloned()
        };
        Sought {
            clusters: kind("cluster.x-k8s.io", "Cluster"),
            floating_ips: kind("openstack.k-orc.cloud", "FloatingIP"),
        }
    }
}

/// Receipts of those of these deletions that must wait; the objects are as they live.
pub(super) async fn held_up(
    cluster: &Cluster,
    deletions: &[(Deletion, LiveObject)],
    sought: &Sought,
) -> Vec<Receipt> {
    if deletions.is_empty() {
        return Vec::new();
    }
    let Some(kind) = &sought.clusters else {
        let unseen = unseen(cluster).await;
        let ids = deletions.iter().map(|(deletion, _)| &deletion.id);
        return match unseen {
            Ok(None) => Vec::new(),
            Ok(Some(why)) => ids.map(|id| waits(id, nobody_can_tell(&why))).collect(),
            Err(error) => ids.map(|id| Receipt::of_error(id, None, &error)).collect(),
        };
    };
    // Each may take its time, and must not take that of the others.
    let ending: Vec<_> = deletions
        .iter()
        .filter(|(deletion, _)| is_cluster(&deletion.id) && !deletion.forced)
        .map(|(deletion, object)| left_behind(cluster, &deletion.id, object, sought))
        .collect();
    let mut ending = stream::iter(ending).buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter();
    let mut neighbours: HashMap<Option<&str>, Result<Vec<LiveObject>, ClusterError>> = HashMap::new();
    let mut receipts = Vec::new();
    for (deletion, object) in deletions {
        let id = &deletion.id;
        let finding = if is_cluster(id) {
            if deletion.forced { None } else { ending.next().flatten() }
        } else {
            let namespace = if is_namespace(id) { Some(id.name()) } else { id.namespace() };
            if let Entry::Vacant(entry) = neighbours.entry(namespace) {
                let options =
                    ListOptions { namespace: namespace.map(str::to_owned), ..ListOptions::default() };
                entry.insert(cluster.list(kind, &options).await);
            }
            needed(id, object, &neighbours[&namespace])
        };
        receipts.extend(finding.map(|finding| waits(id, finding)));
    }
    receipts
}

fn waits(id: &ObjectId, finding: Finding) -> Receipt {
    Receipt { id: id.clone(), desired: None, outcome: Outcome::Failed(finding.about(id), Some(AGAIN)) }
}

fn is_cluster(id: &ObjectId) -> bool {
    (id.group(), id.kind()) == ("cluster.x-k8s.io", "Cluster")
}

fn is_namespace(id: &ObjectId) -> bool {
    (id.group(), id.kind()) == ("", "Namespace")
}

/// Why there may be Clusters although discovery knows no such kind; `None` when there is none that could need anything.
async fn unseen(cluster: &Cluster) -> Result<Option<String>, ClusterError> {
    let id = ObjectId::new("apiextensions.k8s.io", "CustomResourceDefinition", None, CLUSTERS);
    let definitions = ServedKind {
        gvk: Gvk::new("apiextensions.k8s.io/v1", id.kind()),
        plural: "customresourcedefinitions".into(),
        namespaced: false,
    };
    match cluster.get(&definitions, &id).await {
        Ok(None) => Ok(None),
        Ok(Some(LiveObject { body, .. })) => {
            let conditions = body["status"]["conditions"].as_array().into_iter().flatten();
            let is_established =
                conditions.into_iter().any(|it| it["type"] == "Established" && it["status"] == "True");
            let stays = body["metadata"]["deletionTimestamp"].is_null();
            Ok((is_established && stays)
                .then(|| format!("{CLUSTERS} is defined, but not served at the moment")))
        }
        Err(error) if error.is_retryable() => Err(error),
        // Who may not read definitions never could tell.
        Err(_) => Ok(None),
    }
}

fn nobody_can_tell(why: &dyn std::fmt::Display) -> Finding {
    Finding::warning(Code::StillInUse, format!("nobody can tell whether a Cluster needs it: {why}"))
}

/// Why an object must stay for the Clusters of its namespace, whoever made them: the watches know our own only.
fn needed(
    id: &ObjectId,
    object: &LiveObject,
    clusters: &Result<Vec<LiveObject>, ClusterError>,
) -> Option<Finding> {
    let found = match clusters {
        Ok(found) => found,
        Err(ClusterError::NotServed { .. }) => return None,
        Err(error) => return Some(nobody_can_tell(error)),
    };
    let needs = |cluster: &&LiveObject| match (id.group(), id.kind()) {
        ("", "Namespace") => true,
        (_, "ClusterStack") => plan::uses_stack(&cluster.body, &object.body),
        _ => ObjectId::of(&cluster.body).is_ok_and(|user| plan::refers_to(&user, &cluster.body, id)),
    };
    let users: Vec<&str> = found.iter().filter(needs).map(name).collect();
    if users.is_empty() {
        return None;
    }
    let message = format!("kept while the Cluster {} is there and needs it", users.join(", "));
    Some(Finding::warning(Code::StillInUse, message).help("delete that Cluster first"))
}

/// What would hold up the end of a Cluster.
async fn left_behind(
    cluster: &Cluster,
    id: &ObjectId,
    object: &LiveObject,
    sought: &Sought,
) -> Option<Finding> {
    let namespace = id.namespace().unwrap_or_default();
    let mut found = match look_into(cluster, namespace, id.name(), &object.body).await {
        Ok(found) => found,
        Err(why) => {
            let message =
                format!("nobody can tell whether load balancers or volumes of it would stay behind: {why}");
            return Some(waits_for_force(id, message, "bring the workload cluster back"));
        }
    };
    if let Some(kind) = &sought.floating_ips {
        let options = ListOptions {
            namespace: Some(namespace.to_owned()),
            labels: Some(format!("{CLUSTER_NAME}={}", id.name())),
            ..ListOptions::default()
        };
        // Not every installation lets us look; it is one source of many.
        let addresses = cluster.list(kind, &options).await.unwrap_or_default();
        found.extend(addresses.iter().map(|address| Leftover {
            what: format!("FloatingIP {namespace}/{}", name(address)),
            remedy: format!(
                "kubectl delete floatingip -n {namespace} {} (management cluster)",
                name(address)
            ),
        }));
    }
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    let (first, rest) = found.split_first()?;
    let mut what: Vec<String> = found.iter().map(|leftover| leftover.what.clone()).collect();
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    let mut remedy = format!("in the workload cluster: {}", first.remedy);
    for leftover in rest {
        remedy += &format!("; {}", leftover.remedy);
    }
    Some(waits_for_force(id, format!("it would hang or leave behind: {}", what.join(", ")), &remedy))
}

fn waits_for_force(id: &ObjectId, message: String, remedy: &str) -> Finding {
    let request = ApprovalRequest::object(ApprovalAction::ForceDelete.word(), id);
    // A status cuts a long help, and the remedies may be many.
    let help = format!("`{request}` lets it go all the same; to lose nothing: {remedy}");
    Finding::warning(Code::DeletionHeldUp, message).help(help).asks(request)
}

async fn look_into(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    body: &Value,
) -> Result<Vec<Leftover>, String> {
    // One that never had a control plane has made nothing.
    if !was_up(body) {
        return Ok(Vec::new());
    }
    let workload = cluster.workload(namespace, name).await.map_err(|error| error.to_string())?;
    let workload = workload.ok_or_else(|| format!("there is no Secret {namespace}/{name}-kubeconfig"))?;
    workload.leftovers().await.map_err(|why| format!("the workload cluster does not tell: {why}"))
}

/// Whether the control plane of a Cluster was ever up, in the words of either API version.
fn was_up(body: &Value) -> bool {
    let status = &body["status"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let initialized = |kind: &Value| kind == "ControlPlaneInitialized";
    status["initialization"]["controlPlaneInitialized"] == true
        || status["controlPlaneReady"] == true
        || conditions.into_iter().any(|it| initialized(&it["type"]) && it["status"] == "True")
}

fn name(object: &LiveObject) -> &str {
    object.body["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use serde_json::json;

    fn served() -> Sought {
        let clusters = ServedKind {
            gvk: Gvk::new("cluster.x-k8s.io/v1beta1", "Cluster"),
            plural: "clusters".into(),
            namespaced: true,
        };
        Sought { clusters: Some(clusters), floating_ips: None }
    }

    fn deletion(id: &str, body: Value) -> (Deletion, LiveObject) {
        let id: ObjectId = id.parse().unwrap();
        let gvk = Gvk::new("v1", id.kind());
        let reason = String::new();
        (
            Deletion {
                id,
                gvk,
                uid: "1".into(),
                version: String::new(),
                reason,
                at_once: false,
                forced: false,
                tenant: None,
            },
            LiveObject::new(body),
        )
    }

    fn message(receipt: &Receipt) -> (String, &Finding) {
        let Outcome::Failed(finding, Some(_)) = &receipt.outcome else { panic!("{receipt:?}") };
        (receipt.id.to_string(), finding)
    }

    /// An API server that answers each path with one body.
    fn server(answers: Vec<(&'static str, Value)>) -> Cluster {
        let router = axum::Router::new().fallback(move |uri: http::Uri| {
            let answer = answers.iter().find(|(path, _)| uri.path() == *path).map(|(_, body)| body.clone());
            async move {
                let missing =
                    json!({"kind": "Status", "code": 404, "reason": "NotFound", "details": {"name": "x"}});
                match answer {
                    Some(body) => (http::StatusCode::OK, axum::Json(body)),
                    None => (http::StatusCode::NOT_FOUND, axum::Json(missing)),
                }
            }
        });
        Cluster::from_client(kube::Client::new(router, "default"))
    }

    #[tokio::test]
    async fn what_somebody_elses_cluster_needs_is_kept() {
        let clusters = json!({"kind": "ClusterList", "metadata": {}, "items": [
            {"metadata": {"name": "web", "namespace": "a"}, "spec": {"identityRef": {"name": "cloud"},
                "topology": {"class": "openstack-scs-1-31-v2"}}}]});
        let cluster = server(vec![("/apis/cluster.x-k8s.io/v1beta1/namespaces/a/clusters", clusters)]);
        let stack = |version: &str| {
            deletion(
                &format!("ClusterStack.clusterstack.x-k8s.io/a/{version}"),
                json!({"spec": {"provider": "openstack", "name": "scs", "kubernetesVersion": version}}),
            )
        };
        let deletions = [
            stack("1.30"),
            stack("1.31"),
            deletion("Namespace/a", json!({})),
            deletion("Secret/a/cloud", json!({})),
            deletion("Secret/a/other", json!({})),
        ];
        let receipts = held_up(&cluster, &deletions, &served()).await;
        let held: Vec<String> = receipts.iter().map(|receipt| message(receipt).0).collect();
        assert_eq!(held, ["ClusterStack/a/1.31", "Namespace/a", "Secret/a/cloud"]);
        let nobody = Sought { clusters: None, floating_ips: None };
        assert!(held_up(&cluster, &deletions, &nobody).await.is_empty());
    }

    #[tokio::test]
    async fn what_belongs_to_no_namespace_is_asked_about_everywhere() {
        let clusters = json!({"kind": "ClusterList", "metadata": {}, "items": [
            {"metadata": {"name": "web", "namespace": "a"}, "spec": {"paused": false,
                "infrastructureRef": {"kind": "Cloud", "apiVersion": "example.org/v1", "name": "big"}}}]});
        let cluster = server(vec![("/apis/cluster.x-k8s.io/v1beta1/clusters", clusters)]);
        let deletions =
            [deletion("Cloud.example.org/big", json!({})), deletion("Cloud.example.org/small", json!({}))];
        let receipts = held_up(&cluster, &deletions, &served()).await;
        assert_eq!(receipts.len(), 1);
        assert_eq!(message(&receipts[0]).0, "Cloud/big");
    }

    #[tokio::test]
    async fn a_kind_that_discovery_forgot_is_not_one_that_nobody_has() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusters.cluster.x-k8s.io";
        let nobody = Sought { clusters: None, floating_ips: None };
        let deletions = [deletion("Secret/a/cloud", json!({}))];
        for (status, held) in [("True", 1), ("False", 0)] {
            let definition = json!({"status": {"conditions": [{"type": "Established", "status": status}]}});
            let receipts = held_up(&server(vec![(path, definition)]), &deletions, &nobody).await;
            assert_eq!(receipts.len(), held);
        }
    }

    #[tokio::test]
    async fn a_cluster_that_cannot_be_looked_into_waits_for_force() {
        let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
            clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
            contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n";
        let value = base64::engine::general_purpose::STANDARD.encode(kubeconfig);
        let secret =
            json!({"kind": "Secret", "metadata": {"name": "web-kubeconfig"}, "data": {"value": value}});
        let cluster = server(vec![("/api/v1/namespaces/a/secrets/web-kubeconfig", secret)]);
        let up = json!({"status": {"initialization": {"controlPlaneInitialized": true}}});
        let (web, db) = ("Cluster.cluster.x-k8s.io/a/web", "Cluster.cluster.x-k8s.io/a/db");
        let mut forced = deletion(web, up.clone());
        forced.0.forced = true;
        let deletions = [
            deletion(web, up.clone()),
            deletion(db, up),
            deletion("Cluster.cluster.x-k8s.io/a/never-up", json!({})),
            forced,
        ];
        let receipts = held_up(&cluster, &deletions, &served()).await;
        assert_eq!(receipts.len(), 2);
        let (id, finding) = message(&receipts[0]);
        assert_eq!((id.as_str(), finding.code), ("Cluster/a/web", Code::DeletionHeldUp));
        assert!(finding.message.contains("does not tell"), "{finding:?}");
        assert!(finding.help.as_ref().unwrap().starts_with("`moin approve force-delete Cluster/a/web"));
        assert!(message(&receipts[1]).1.message.contains("no Secret a/db-kubeconfig"));
    }
}
