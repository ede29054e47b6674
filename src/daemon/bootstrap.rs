//! What a target needs before anything else: moin's namespace and the definition of its status kind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{ApplyOptions, Cluster, ClusterError, Kinds, contains};
use crate::model::{API_GROUP, GroupKind, Gvk, LiveObject, ObjectId, SYSTEM_NAMESPACE, ServedKind};
use crate::status;

/// How the Reconciliation kind is served.
pub fn reconciliation_kind() -> ServedKind {
    ServedKind {
        gvk: Gvk::new(crate::model::API_VERSION, "Reconciliation"),
        plural: "reconciliations".to_owned(),
        namespaced: true,
    }
}

/// Create or correct what is missing; writes nothing when all is there. Answers the Reconciliation of this owner, if any.
///
/// # Errors
/// [`ClusterError`] when the API server refuses or does not answer.
pub async fn prepare(
    cluster: &Cluster,
    kinds: &Kinds,
    owner: &str,
) -> Result<Option<LiveObject>, ClusterError> {
    ensure(cluster, kinds, &system_namespace()).await?;
    ensure(cluster, kinds, &status::reconciliation_crd()).await?;
    let id = ObjectId::new(API_GROUP, "Reconciliation", Some(SYSTEM_NAMESPACE), &status::name_of(owner));
    // A definition that was just created is served a moment later, and there is nothing to watch before it is.
    let mut left = 100;
    loop {
        match cluster.get(&reconciliation_kind(), &id).await {
            Err(ClusterError::NotServed { .. }) if left > 0 => {
                left -= 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

/// The Reconciliation of this owner, if there is one, in a cluster where nothing may be written.
///
/// # Errors
/// [`ClusterError`] when the API server refuses or does not answer.
pub async fn find(cluster: &Cluster, owner: &str) -> Result<Option<LiveObject>, ClusterError> {
    let id = ObjectId::new(API_GROUP, "Reconciliation", Some(SYSTEM_NAMESPACE), &status::name_of(owner));
    match cluster.get(&reconciliation_kind(), &id).await {
        Err(ClusterError::NotServed { .. }) => Ok(None),
        answer => answer,
    }
}

/// Create moin's namespace if it is missing.
///
/// # Errors
/// [`ClusterError`] when the API server refuses or does not answer.
pub async fn prepare_namespace(cluster: &Cluster) -> Result<(), ClusterError> {
    let kind =
        ServedKind { gvk: Gvk::new("v1", "Namespace"), plural: "namespaces".to_owned(), namespaced: false };
    match cluster.create(&kind, &system_namespace(), false).await {
        Err(ClusterError::AlreadyExists { .. }) => Ok(()),
        answer => answer.map(drop),
    }
}

fn system_namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
}

/// Apply an object unless it is there with everything that is asked for.
async fn ensure(cluster: &Cluster, kinds: &Kinds, wanted: &Value) -> Result<(), ClusterError> {
    let not_served = |what: String| ClusterError::NotServed { what };
    let gvk = Gvk::of(wanted).map_err(|error| not_served(error.to_string()))?;
    let id = ObjectId::of(wanted).map_err(|error| not_served(error.to_string()))?;
    let kind = served(kinds, &gvk).ok_or_else(|| not_served(gvk.to_string()))?;
    let live = match cluster.get(kind, &id).await {
        Err(error) if is_forbidden(&error) => {
            tracing::warn!(object = %id, %error, "it may not be looked at, and is taken as it is");
            return Ok(());
        }
        answer => answer?,
    };
    if live.as_ref().is_some_and(|live| contains(&live.body, wanted)) {
        return Ok(());
    }
    match cluster.apply(kind, wanted, &ApplyOptions { force: true, ..ApplyOptions::default() }).await {
        // Whoever installed it has the say.
        Err(error) if live.is_some() && is_forbidden(&error) => {
            tracing::warn!(object = %id, %error, "it differs from what moin expects, and may not be corrected");
            Ok(())
        }
        answer => answer.map(drop),
    }
}

fn is_forbidden(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Refused { status: 403, .. })
}

fn served<'a>(kinds: &'a Kinds, gvk: &Gvk) -> Option<&'a ServedKind> {
    let of_kind = kinds.get(&GroupKind { group: gvk.group.clone(), kind: gvk.kind.clone() })?;
    of_kind.iter().find(|kind| kind.gvk == *gvk)
}
