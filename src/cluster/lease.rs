//! Leases: who may write to a cluster. What to do with one is decided elsewhere.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease as Watched;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::objects::Preconditions;
use super::{Cluster, ClusterError};
use crate::model::{Gvk, ObjectId, ServedKind};

/// A Lease as the API server answered it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Who holds it; `None` when it was given back.
    pub holder: Option<String>,
    /// For how long a renewal counts.
    pub duration_seconds: u32,
    /// When the holder took it, `2026-01-02T03:04:05.000006Z`.
    pub acquired: Option<String>,
    /// When the holder last renewed it.
    pub renewed: Option<String>,
    /// How often the holder changed.
    pub transitions: u32,
    /// Annotations, such as the request to give it back.
    pub annotations: BTreeMap<String, String>,
    /// Which object it is; empty in one to be created.
    pub uid: String,
    /// The state that was read; an update of any other is refused as stale.
    pub resource_version: String,
}

impl Lease {
    fn of(body: &Value) -> Lease {
        let (metadata, spec) = (&body["metadata"], &body["spec"]);
        let text = |value: &Value| value.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        Lease {
            namespace: text(&metadata["namespace"]).unwrap_or_default(),
            name: text(&metadata["name"]).unwrap_or_default(),
            holder: text(&spec["holderIdentity"]),
            duration_seconds: number(&spec["leaseDurationSeconds"]),
            acquired: text(&spec["acquireTime"]),
            renewed: text(&spec["renewTime"]),
            transitions: number(&spec["leaseTransitions"]),
            annotations: metadata["annotations"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            uid: text(&metadata["uid"]).unwrap_or_default(),
            resource_version: text(&metadata["resourceVersion"]).unwrap_or_default(),
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": {"leaseTransitions": self.transitions},
        });
        if !self.annotations.is_empty() {
            body["metadata"]["annotations"] = json!(self.annotations);
        }
        if self.duration_seconds > 0 {
            body["spec"]["leaseDurationSeconds"] = self.duration_seconds.into();
        }
        for (field, value) in
            [("holderIdentity", &self.holder), ("acquireTime", &self.acquired), ("renewTime", &self.renewed)]
        {
            if let Some(value) = value {
                body["spec"][field] = value.as_str().into();
            }
        }
        body
    }
}

fn kind() -> ServedKind {
    ServedKind {
        gvk: Gvk::new("coordination.k8s.io/v1", "Lease"),
        plural: "leases".to_owned(),
        namespaced: true,
    }
}

impl Cluster {
    /// A Lease; `None` when there is none.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, ClusterError> {
        let id = ObjectId::new("coordination.k8s.io", "Lease", Some(namespace), name);
        Ok(self.get(&kind(), &id).await?.map(|live| Lease::of(&live.body)))
    }

    /// Tells the version of a Lease whenever it changes, an empty one when it is gone, until nobody listens. A watch that
    /// breaks begins anew; one that is forbidden never tells anything.
    pub fn follow_lease(&self, namespace: &str, name: &str) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        let api: Api<Watched> = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, config).default_backoff());
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = sender.closed() => return,
                };
                let version = match event {
                    Some(Ok(watcher::Event::Apply(lease) | watcher::Event::InitApply(lease))) => {
                        lease.resource_version().unwrap_or_default()
                    }
                    Some(Ok(watcher::Event::Delete(_))) => String::new(),
                    Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => continue,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the lease cannot be watched; trying again");
                        continue;
                    }
                    None => return,
                };
                // Nobody listens any more: the next turn ends it.
                let _ = sender.send(version);
            }
        });
        receiver
    }

    /// Creates a Lease.
    ///
    /// # Errors
    /// [`ClusterError::AlreadyExists`] when another was faster, and the rest.
    pub async fn create_lease(&self, lease: &Lease) -> Result<Lease, ClusterError> {
        self.create(&kind(), &lease.body(), false).await.map(|live| Lease::of(&live.body))
    }

    /// Writes a Lease that was read before.
    ///
    /// # Errors
    /// [`ClusterError::Stale`] when somebody wrote it since, and the rest.
    pub async fn update_lease(&self, lease: &Lease) -> Result<Lease, ClusterError> {
        let preconditions = Preconditions {
            uid: Some(lease.uid.clone()).filter(|uid| !uid.is_empty()),
            resource_version: Some(lease.resource_version.clone()).filter(|version| !version.is_empty()),
        };
        let live = self.replace(&kind(), &lease.body(), &preconditions, false).await?;
        Ok(Lease::of(&live.body))
    }
}
