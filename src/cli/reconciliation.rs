//! The Reconciliation as an operator changes it: found, read, and its spec written under the caller's own rights.

use serde_json::{Value, json};

use super::BoxError;
use super::args::{ClusterArgs, SettingsArgs};
use crate::cluster::{ApplyOptions, Cluster, ClusterError, ListOptions, Preconditions};
use crate::model::{API_GROUP, API_VERSION, Gvk, LiveObject, ObjectId, SYSTEM_NAMESPACE, ServedKind};
use crate::status;

/// What is said where no daemon has ever reported.
pub const NOBODY: &str = "moin is installed here, but no daemon has reported yet; `kubectl get pods -n moin-system` shows \
     whether one runs, and `moin run` starts one from outside";
/// What is said where moin never was.
pub const NOT_INSTALLED: &str = "moin is not installed in this cluster, which does not know the kind Reconciliation; `moin install` \
     prints what a daemon needs there, and `moin run` starts one from outside";
/// How often a write is tried again that another one overtook.
const TRIES: u32 = 5;

/// One Reconciliation in a cluster.
pub struct Operated {
    /// The cluster.
    pub cluster: Cluster,
    /// How its kind is served.
    pub kind: ServedKind,
    /// The object as it was read last.
    pub live: LiveObject,
}

/// All Reconciliations of a cluster, and how their kind is served.
pub async fn all(cluster: &Cluster) -> Result<(ServedKind, Vec<LiveObject>), BoxError> {
    let kinds = cluster.discover().await?;
    let gvk = Gvk::new(API_VERSION, "Reconciliation");
    let Some(kind) = kinds.get(&gvk.group_kind()).and_then(|versions| versions.first()) else {
        return Err(NOT_INSTALLED.into());
    };
    let options = ListOptions { namespace: Some(SYSTEM_NAMESPACE.to_owned()), ..ListOptions::default() };
    Ok((kind.clone(), cluster.list(kind, &options).await?))
}

/// The Reconciliation of an owner name, if there is one.
pub async fn of(cluster: &Cluster, owner: &str) -> Result<Option<LiveObject>, ClusterError> {
    let kinds = cluster.discover().await?;
    let gvk = Gvk::new(API_VERSION, "Reconciliation");
    let Some(kind) = kinds.get(&gvk.group_kind()).and_then(|versions| versions.first()) else {
        return Ok(None);
    };
    let name = status::name_of(owner);
    cluster.get(kind, &ObjectId::new(API_GROUP, "Reconciliation", Some(SYSTEM_NAMESPACE), &name)).await
}

impl Operated {
    /// The one that is meant: by its owner name, or the only one.
    pub async fn find(
        settings: &SettingsArgs,
        cluster: &ClusterArgs,
        name: Option<&str>,
    ) -> Result<Operated, BoxError> {
        let settings = settings.resolve(cluster.flags())?;
        let cluster = cluster.connect(&settings).await?;
        let (kind, mut found) = all(&cluster).await?;
        let name = name.or(settings.name.as_deref());
        let names: Vec<String> = found.iter().map(|live| name_of(live).to_owned()).collect();
        if let Some(name) = name {
            found.retain(|live| name_of(live) == name);
        }
        match (found.pop(), found.is_empty(), name) {
            (Some(live), true, _) => Ok(Operated { cluster, kind, live }),
            (Some(_), false, _) => {
                Err(format!("several repositories reconcile this cluster, say --name: {}", names.join(", "))
                    .into())
            }
            (None, _, Some(name)) if !names.is_empty() => Err(format!(
                "nothing here is called {name:?}; what reconciles this cluster is {}",
                names.join(", ")
            )
            .into()),
            (None, ..) => Err(NOBODY.into()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        name_of(&self.live)
    }

    /// Replaces a list of its spec by what `edit` makes of it, and reads it anew when somebody else wrote in between.
    pub async fn edit(
        &mut self,
        field: &str,
        manager: &str,
        edit: impl Fn(&Value) -> Vec<Value>,
    ) -> Result<(), BoxError> {
        let mut tries = TRIES;
        loop {
            let list = edit(&self.live.body);
            let body = json!({"apiVersion": API_VERSION, "kind": "Reconciliation",
                "metadata": {"name": self.name(), "namespace": SYSTEM_NAMESPACE}, "spec": {field: list}});
            let options = ApplyOptions {
                // The list may have been written with kubectl before: all of it is in the new one.
                force: true,
                preconditions: Preconditions::of(&self.live),
                ..ApplyOptions::default()
            };
            match self.cluster.apply_as(manager, &self.kind, &body, &options).await {
                Err(ClusterError::Stale { .. }) if tries > 0 => {
                    tries -= 1;
                    self.read().await?;
                }
                answer => {
                    self.live = answer?;
                    return Ok(());
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), BoxError> {
        let id = ObjectId::of(&self.live.body)?;
        let found = self.cluster.get(&self.kind, &id).await?;
        self.live = found.ok_or_else(|| format!("{id} was deleted meanwhile"))?;
        Ok(())
    }
}

fn name_of(live: &LiveObject) -> &str {
    live.body["metadata"]["name"].as_str().unwrap_or_default()
}
