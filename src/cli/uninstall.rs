//! `moin uninstall`: moin goes, everything that it applied stays.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::args::{ClusterArgs, SettingsArgs};
use super::{BoxError, Outcome, output};
use crate::cluster::{Cluster, ClusterError, DeleteOptions, Kinds, ListOptions, Preconditions, Propagation};
use crate::model::{
    API_GROUP, FIELD_MANAGER, GENERATED_BY, GroupKind, LiveObject, OWNER_LABEL, ObjectId, SYSTEM_NAMESPACE,
    ServedKind,
};
use crate::status::REPORTS_OF;

const EXAMPLES: &str = "\
Examples:
  moin uninstall                         what would go, and what stays
  moin uninstall --yes                   the daemon, its rights, lease, fence and definition go
  moin uninstall --marks --yes           and moin's label and field ownership on what it applied";

/// The label on what `moin install` prints.
const NAME_LABEL: &str = "app.kubernetes.io/name";
/// The name of the webhook configurations.
const WEBHOOK: &str = "moin-policies";
/// The Secret with the webhook's certificate.
const CERTIFICATE: &str = "moin-webhook";
/// The field manager of what this command changes.
const MANAGER: &str = "moin-uninstall";
/// How many seconds a daemon may take to give its lease back, and what is deleted to be gone.
const PATIENCE: u64 = 30;
/// How much longer than a lease lasts a peer may take to take one that nobody holds, in seconds.
const TAKEN_AFTER: u64 = 3;
/// How often a look is taken whether it is gone.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a write is tried again that another one overtook.
const TRIES: u32 = 5;

/// What belongs to moin itself, in the order in which it goes: first who is asked, then who writes, then what guards the
/// writing, then what is only records and rights. Group, kind, and whether it lives in moin's namespace alone.
const OWN: [(&str, &str, bool); 22] = [
    // With nobody to answer it, a webhook that may not fail would refuse everything that anybody writes.
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", false),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", false),
    ("apps", "Deployment", true),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", false),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", false),
    ("wgpolicyk8s.io", "PolicyReport", false),
    ("wgpolicyk8s.io", "ClusterPolicyReport", false),
    ("openreports.io", "Report", false),
    ("openreports.io", "ClusterReport", false),
    ("networking.k8s.io", "NetworkPolicy", true),
    ("policy", "PodDisruptionBudget", true),
    ("", "Service", true),
    (API_GROUP, "Reconciliation", true),
    ("apiextensions.k8s.io", "CustomResourceDefinition", false),
    ("coordination.k8s.io", "Lease", true),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", false),
    // Also in the namespaces with the kubeconfigs of peers.
    ("rbac.authorization.k8s.io", "RoleBinding", false),
    ("rbac.authorization.k8s.io", "ClusterRole", false),
    ("rbac.authorization.k8s.io", "Role", false),
    ("", "ServiceAccount", true),
    ("", "Secret", true),
    ("", "ConfigMap", true),
];

/// Remove moin from a cluster and leave everything running that it applied.
///
/// Nothing that carries an owner label is ever deleted, even if it is the daemon's own Deployment out of a repository. The list
/// is shown first; --yes does it. Ends with 0 when nothing of moin is left, with 1 when something is.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UninstallArgs {
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// Take moin's label, annotations and field ownership off the objects that it applied; they stay.
    #[arg(long)]
    marks: bool,
    /// Although an instance outside of this cluster holds the lease, or takes it.
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// So many of these kinds are what the API server asks before it lets anything pass.
const WEBHOOKS: usize = 2;

/// An object and how its kind is served.
type Found = (ServedKind, ObjectId, LiveObject);

/// Run the command.
pub fn run(args: &UninstallArgs) -> Outcome {
    let settings = args.settings.resolve(args.cluster.flags())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let cluster = args.cluster.connect(&settings).await?;
        let kinds = cluster.discover().await?;
        let (own, desired) = own_objects(&cluster, &kinds, &OWN).await?;
        let marked = if args.marks { marked_objects(&cluster, &kinds).await? } else { Vec::new() };
        output::words(&list(&own, &desired, &marked))?;
        if own.is_empty() && marked.is_empty() {
            return Ok(u8::from(!desired.is_empty()));
        }
        if !args.yes {
            output::words("nothing was changed; --yes does it\n")?;
            return Ok(1);
        }
        let holder = holder(&own);
        let runs_here = own.iter().any(|(_, id, _)| id.kind() == "Deployment");
        if let Some(holder) = holder.filter(|_| !runs_here && !args.anyway) {
            return Err(format!(
                "{holder} holds the lease and is no Deployment of this cluster: stop it first, for it would make all of this \
                 anew (or say --anyway)"
            )
            .into());
        }
        for (kind, id, object) in &own {
            delete(&cluster, kind, id, object).await?;
            if id.kind() == "Deployment" {
                let alive = until_stopped(&cluster, &own, (kind, id)).await?;
                if let Some(holder) = alive.filter(|_| !args.anyway) {
                    return Err(format!(
                        "{holder} holds the lease and goes on: it stands in for the daemon that was stopped. Take `peers` out of \
                         moin.yaml first (or say --anyway)"
                    )
                    .into());
                }
            }
        }
        // A daemon that was at work until now may have registered its webhook once more.
        let again = own_objects(&cluster, &kinds, &OWN[..WEBHOOKS]).await?.0;
        for (kind, id, object) in &again {
            delete(&cluster, kind, id, object).await?;
        }
        until_gone(&cluster, &own).await?;
        for (kind, id, object) in &marked {
            unmark(&cluster, kind, id, object).await?;
        }
        output::words(&format!(
            "moin is gone; what it applied stays. The namespace {SYSTEM_NAMESPACE} stays too, with what you put there (credentials): \
             `kubectl delete namespace {SYSTEM_NAMESPACE}`\n"
        ))?;
        Ok(u8::from(!desired.is_empty()))
    })
}

fn list(own: &[Found], desired: &[ObjectId], marked: &[Found]) -> String {
    let mut out = String::new();
    for (_, id, _) in own {
        out += &format!("delete {id}\n");
    }
    for id in desired {
        out += &format!("keep {id}: a repository wants it; take it out there first\n");
    }
    for (_, id, _) in marked {
        out += &format!("take the marks off {id}\n");
    }
    if out.is_empty() {
        out += "nothing of moin is here\n";
    }
    out
}

fn served<'a>(kinds: &'a Kinds, group: &str, kind: &str) -> Option<&'a ServedKind> {
    kinds.get(&GroupKind { group: group.into(), kind: kind.into() })?.first()
}

/// What of these kinds belongs to moin itself, and what of that a repository wants.
async fn own_objects(
    cluster: &Cluster,
    kinds: &Kinds,
    of: &[(&str, &str, bool)],
) -> Result<(Vec<Found>, Vec<ObjectId>), BoxError> {
    let (mut own, mut desired) = (Vec::new(), Vec::new());
    for &(group, kind, in_namespace) in of {
        let Some(served) = served(kinds, group, kind) else { continue };
        let namespace = in_namespace.then(|| SYSTEM_NAMESPACE.to_owned());
        let options = ListOptions { namespace, ..ListOptions::default() };
        for object in cluster.list(served, &options).await? {
            let id = ObjectId::of(&object.body)?;
            if !is_own(&id, &object) {
                continue;
            }
            match object.label(OWNER_LABEL) {
                Some(_) => desired.push(id),
                None => own.push((served.clone(), id, object)),
            }
        }
    }
    Ok((own, desired))
}

/// Whether an object of one of these kinds is moin's: by what only moin is called, or by the label of `moin install`.
fn is_own(id: &ObjectId, object: &LiveObject) -> bool {
    let name = id.name();
    let is_at_home = id.namespace() == Some(SYSTEM_NAMESPACE);
    let installed = || name == "moin" || object.label(NAME_LABEL) == Some("moin");
    match id.kind() {
        "Reconciliation" => true,
        "CustomResourceDefinition" => object.body["spec"]["group"] == API_GROUP,
        "Lease" => name.starts_with("moin-"),
        "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" => {
            name == API_GROUP || name.ends_with(&format!(".{API_GROUP}"))
        }
        "PolicyReport" | "ClusterPolicyReport" | "Report" | "ClusterReport" => {
            object.label(REPORTS_OF).is_some()
        }
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => name == WEBHOOK,
        // Credentials are yours; the webhook's certificate, and what is remembered of a peer or of itself, are moin's.
        "Secret" => name == CERTIFICATE,
        "ConfigMap" => {
            let holds = |key: &str| object.body["data"][key].is_string();
            holds("peer.json") && name.contains("-peer-") || holds("memory.json") && name.ends_with("-memory")
        }
        "ClusterRoleBinding" => installed() || binds_account(object),
        // Elsewhere others may call theirs the same.
        "RoleBinding" => binds_account(object) || is_at_home && installed(),
        "Role" if !is_at_home => name == "moin" && object.label(NAME_LABEL) == Some("moin"),
        _ => installed(),
    }
}

/// Whether a binding is for moin's accounts and nobody else.
fn binds_account(binding: &LiveObject) -> bool {
    let same = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && subject["namespace"] == SYSTEM_NAMESPACE
            && (subject["name"] == "moin" || subject["name"] == "moin-peer")
    };
    let subjects = binding.body["subjects"].as_array();
    subjects.is_some_and(|subjects| !subjects.is_empty() && subjects.iter().all(same))
}

/// Everything that carries an owner label.
async fn marked_objects(cluster: &Cluster, kinds: &Kinds) -> Result<Vec<Found>, BoxError> {
    let options = ListOptions { labels: Some(OWNER_LABEL.to_owned()), ..ListOptions::default() };
    let mut found = Vec::new();
    for kind in kinds.values().filter_map(|versions| versions.first()) {
        match cluster.list(kind, &options).await {
            Ok(objects) => {
                for object in objects {
                    found.push((kind.clone(), ObjectId::of(&object.body)?, object));
                }
            }
            Err(error) if error.is_retryable() => return Err(error.into()),
            // Kinds that cannot be listed (reviews) hold nothing.
            Err(
                ClusterError::NotServed { .. }
                | ClusterError::NotFound { .. }
                | ClusterError::Refused { status: 405, .. },
            ) => {}
            Err(error) => output::words(&format!("not looked at: {}: {error}\n", kind.plural))?,
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

fn holder(own: &[Found]) -> Option<String> {
    let leases = own.iter().filter(|(_, id, _)| id.kind() == "Lease");
    leases.filter_map(|(.., lease)| holder_of(lease)).map(str::to_owned).next()
}

fn holder_of(lease: &LiveObject) -> Option<&str> {
    lease.body["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())
}

async fn delete(
    cluster: &Cluster,
    kind: &ServedKind,
    id: &ObjectId,
    object: &LiveObject,
) -> Result<(), BoxError> {
    let options = DeleteOptions {
        // A Deployment is gone when its pods are.
        propagation: match id.kind() {
            "Deployment" => Propagation::Foreground,
            _ => Propagation::Background,
        },
        preconditions: Preconditions::uid_of(object),
        ..DeleteOptions::default()
    };
    match cluster.delete(kind, id, &options).await {
        // A Reconciliation goes with its definition.
        Ok(_) | Err(ClusterError::NotFound { .. } | ClusterError::NotServed { .. }) => {
            Ok(output::words(&format!("deleted {id}\n"))?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Waits until the daemon has given its leases back. Answers who renews one although the Deployment and its pods are gone.
async fn until_stopped(
    cluster: &Cluster,
    own: &[Found],
    deployment: (&ServedKind, &ObjectId),
) -> Result<Option<String>, BoxError> {
    let leases: Vec<&Found> = own.iter().filter(|(_, id, _)| id.kind() == "Lease").collect();
    // A peer takes what is given back, within the time of a lease.
    let has_peers = own.iter().any(|(.., object)| object.body["data"]["peer.json"].is_string());
    let lasts = |(.., lease): &&Found| lease.body["spec"]["leaseDurationSeconds"].as_u64();
    let taken_within = leases.iter().filter_map(lasts).max().unwrap_or(15) + TAKEN_AFTER;
    let mut renewals: HashMap<&ObjectId, Value> = HashMap::new();
    let mut held = false;
    for second in 0..PATIENCE.max(taken_within + 2) {
        held = false;
        let stopped = cluster.get(deployment.0, deployment.1).await?.is_none();
        for (kind, id, _) in &leases {
            let Some(lease) = cluster.get(kind, id).await? else { continue };
            let Some(holder) = holder_of(&lease) else { continue };
            held = true;
            let renewed = &lease.body["spec"]["renewTime"];
            if stopped && renewals.get(id).is_some_and(|before| before != renewed) {
                return Ok(Some(holder.to_owned()));
            }
            if stopped {
                renewals.insert(id, renewed.clone());
            }
        }
        if !held && (!has_peers || second > taken_within) {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if held {
        output::words("the lease was not given back in time; its holder is taken for gone\n")?;
    }
    Ok(None)
}

/// Waits until nothing of it is there any more: a definition stays until the API server has cleared away its objects.
async fn until_gone(cluster: &Cluster, own: &[Found]) -> Result<(), BoxError> {
    let since = Instant::now();
    for (kind, id, object) in own {
        loop {
            let left = match cluster.get(kind, id).await {
                Ok(left) => left,
                Err(ClusterError::NotServed { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            // What somebody made anew meanwhile is another's.
            if left.is_none_or(|left| left.uid() != object.uid()) {
                break;
            }
            if since.elapsed() > Duration::from_secs(PATIENCE) {
                return Err(format!("{id} does not go; something holds it: see its finalizers").into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// Takes label, annotation and field ownership off an object, which stays as it is.
async fn unmark(
    cluster: &Cluster,
    kind: &ServedKind,
    id: &ObjectId,
    object: &LiveObject,
) -> Result<(), BoxError> {
    let mut object = object.clone();
    let mut tries = TRIES;
    loop {
        let entries = object.body["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let mut kept: Vec<Value> =
            entries.into_iter().filter(|entry| entry["manager"] != FIELD_MANAGER).collect();
        if kept.is_empty() {
            // The API server takes an empty list for none given, and a single empty entry for no entries.
            kept.push(json!({}));
        }
        let patch = json!({"metadata": {"managedFields": kept, "labels": {OWNER_LABEL: null},
            "annotations": {GENERATED_BY: null}}});
        match cluster.merge_patch(MANAGER, kind, id, &patch, &Preconditions::of(&object)).await {
            Err(ClusterError::NotFound { .. }) => return Ok(()),
            Err(ClusterError::Stale { .. }) if tries > 0 => match cluster.get(kind, id).await? {
                Some(newer) => (object, tries) = (newer, tries - 1),
                None => return Ok(()),
            },
            answer => {
                answer?;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(id: &str, body: Value) -> bool {
        is_own(&id.parse().unwrap(), &LiveObject::new(body))
    }

    #[test]
    fn only_what_is_moins_is_taken_for_moins() {
        let moins = json!({"kind": "ServiceAccount", "name": "moin", "namespace": "moin-system"});
        let other = json!({"kind": "User", "name": "jane"});
        let binding = "ClusterRoleBinding.rbac.authorization.k8s.io/admin-for-it";
        assert!(own(binding, json!({"subjects": [moins]})));
        assert!(!own(binding, json!({"subjects": [moins, other]})) && !own(binding, json!({})));
        assert!(own("Lease.coordination.k8s.io/moin-system/moin-a", json!({})));
        assert!(!own("Lease.coordination.k8s.io/moin-system/other", json!({})));
        let fence = "ValidatingAdmissionPolicy.admissionregistration.k8s.io";
        assert!(own(&format!("{fence}/one-writer.moin.scs.community"), json!({})));
        assert!(!own(&format!("{fence}/somebodys"), json!({})));
        assert!(own("ClusterRole.rbac.authorization.k8s.io/moin", json!({})));
        for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
            assert!(own(&format!("{kind}.admissionregistration.k8s.io/moin-policies"), json!({})));
            assert!(!own(&format!("{kind}.admissionregistration.k8s.io/moin"), json!({})));
        }
        assert!(own("Secret/moin-system/moin-webhook", json!({})));
        assert!(!own("Secret/moin-system/repository", json!({"metadata": {"labels": {NAME_LABEL: "moin"}}})));
        assert!(own("ConfigMap/moin-system/moin-peer-mgmt2", json!({"data": {"peer.json": "{}"}})));
        assert!(own("ConfigMap/moin-system/moin-memory", json!({"data": {"memory.json": "{}"}})));
        assert!(!own("ConfigMap/moin-system/kube-root-ca.crt", json!({"data": {"ca.crt": ""}})));
        let of_moin = json!({"metadata": {"labels": {REPORTS_OF: "moin"}}});
        assert!(own("PolicyReport.wgpolicyk8s.io/team-a/moin-moin", of_moin));
        assert!(!own("PolicyReport.wgpolicyk8s.io/team-a/cpol-x", json!({})));
        let labelled = json!({"metadata": {"labels": {NAME_LABEL: "moin"}}});
        let (role, binds) = ("Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io");
        assert!(own(&format!("{role}/mgmt/moin"), labelled.clone()), "it reads a peer's kubeconfig");
        assert!(
            !own(&format!("{role}/mgmt/moin"), json!({}))
                && !own(&format!("{role}/mgmt/other"), labelled.clone())
        );
        let peer = json!({"kind": "ServiceAccount", "name": "moin-peer", "namespace": "moin-system"});
        assert!(own(&format!("{binds}/mgmt/moin"), json!({"subjects": [moins, peer]})));
        assert!(!own(&format!("{binds}/mgmt/moin"), labelled.clone()));
        assert_eq!(OWN[WEBHOOKS].1, "Deployment", "what is asked goes before who answers");
        assert!(own("ClusterRole.rbac.authorization.k8s.io/moin-writes", labelled));
    }
}
