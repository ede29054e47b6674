//! Keeps the webhook known and believed: its keys in a Secret, its registration in the cluster.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::certificate::{Keys, Shown};
use super::registration::Registration;
use super::{AdmissionPolicies, WebhookSettings};
use crate::cluster::{ApplyOptions, Cluster, ClusterError, Preconditions};
use crate::model::{Gvk, ObjectId, SYSTEM_NAMESPACE, ServedKind};

/// The Secret with the keys, in moin's namespace.
const SECRET: &str = "moin-webhook";
/// What somebody else changed is put right again after this long.
const AGAIN: Duration = Duration::from_secs(300);
/// How long a failed attempt waits.
const RETRY: Duration = Duration::from_secs(5);

/// Why the webhook cannot be kept for now.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the keys cannot be made: {0}")]
    Keys(#[from] io::Error),
    #[error("the API server does not say who we are")]
    Nobody,
}

pub(super) struct Keeper {
    pub(super) cluster: Cluster,
    pub(super) settings: WebhookSettings,
    pub(super) policies: AdmissionPolicies,
    pub(super) shown: Arc<Shown>,
}

impl Keeper {
    /// Until it is told to stop. What cannot be done is tried again; the webhook goes on with what it has.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let mut changes = self.policies.subscribe();
        let mut registered = false;
        loop {
            let wait = match self.once().await {
                Ok(wait) => {
                    if !std::mem::replace(&mut registered, true) {
                        tracing::info!("the webhook has its certificate");
                    }
                    wait
                }
                // Another instance was quicker: look again at what it wrote.
                Err(KeepError::Cluster(ClusterError::Stale { .. } | ClusterError::AlreadyExists { .. })) => {
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "the webhook cannot be registered; trying again");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                Ok(()) = changes.changed() => {}
            }
        }
    }

    /// Renews the keys if they are due, shows them, and registers what policies there are. Answers when to look again.
    async fn once(&self) -> Result<Duration, KeepError> {
        let keys = self.keys().await?;
        self.shown.show(&keys)?;
        self.register(&keys).await?;
        Ok(Duration::from_secs(keys.left(now()).max(1)).min(AGAIN))
    }

    async fn keys(&self) -> Result<Keys, KeepError> {
        let kind = kind("v1", "Secret", "secrets", true);
        let id = ObjectId::new("", "Secret", Some(SYSTEM_NAMESPACE), SECRET);
        let live = self.cluster.get(&kind, &id).await?;
        let known = live.as_ref().and_then(|live| Keys::of_secret(&live.body));
        let (now, names) = (now(), self.settings.reached.names());
        match known {
            Some(keys) if keys.serve(now, &names) => Ok(keys),
            known => {
                let keys = Keys::make(now, &names, self.settings.lifetimes, known.as_ref())?;
                let secret = keys.secret(SYSTEM_NAMESPACE, SECRET);
                match &live {
                    Some(live) => {
                        self.cluster.replace(&kind, &secret, &Preconditions::of(live), false).await?
                    }
                    None => self.cluster.create(&kind, &secret, false).await?,
                };
                tracing::info!("the webhook's certificate was made anew");
                Ok(keys)
            }
        }
    }

    /// Nothing is registered before there are policies: until then nobody needs to ask.
    async fn register(&self, keys: &Keys) -> Result<(), KeepError> {
        let Some(policies) = self.policies.current() else { return Ok(()) };
        let own_user = self.own_user().await?;
        let bundle = keys.bundle();
        let exempt = self.settings.exempt_namespaces();
        let registration = Registration {
            reached: &self.settings.reached,
            bundle: &bundle,
            failure_policy: self.settings.failure_policy,
            exempt: &exempt,
            own_user: &own_user,
        };
        let options = ApplyOptions { force: true, ..ApplyOptions::default() };
        for (plural, body) in [
            ("validatingwebhookconfigurations", registration.validating(policies.set.validated().as_ref())),
            ("mutatingwebhookconfigurations", registration.mutating(policies.set.mutated().as_ref())),
        ] {
            let named = body["kind"].as_str().unwrap_or_default();
            let kind = kind("admissionregistration.k8s.io/v1", named, plural, false);
            self.cluster.apply(&kind, &body, &options).await?;
        }
        Ok(())
    }

    /// Who we are here: whose writes are not asked about.
    async fn own_user(&self) -> Result<String, KeepError> {
        let kind = kind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", false);
        let review =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}});
        let answer = self.cluster.create(&kind, &review, false).await?;
        let name = answer.body["status"]["userInfo"]["username"].as_str().filter(|name| !name.is_empty());
        name.map(str::to_owned).ok_or(KeepError::Nobody)
    }
}

fn kind(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> ServedKind {
    ServedKind { gvk: Gvk::new(api_version, kind), plural: plural.to_owned(), namespaced }
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
