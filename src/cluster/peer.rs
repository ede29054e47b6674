//! The way to a peer: a kubeconfig in a Secret of the home cluster, taken anew whenever it is renewed.
//!
//! The Secret is outside input: whoever can write it decides where we connect, but must not gain this machine by it, so
//! a kubeconfig that runs a program or names a file is refused. Its text reaches no log and no finding.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::config::Kubeconfig;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::certificate::expiry;
use super::{Cluster, ClusterError};
use crate::finding::{Code, Finding};
use crate::model::{ClusterUid, Gvk, ObjectId, ServedKind};

/// The key of Cluster API's kubeconfig Secrets.
pub const KUBECONFIG_KEY: &str = "value";

/// Where a kubeconfig lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeconfigSecret {
    /// The Secret's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The key in it; Cluster API's is [`KUBECONFIG_KEY`].
    pub key: String,
}

/// How a peer can be reached now.
#[derive(Debug, Clone)]
pub enum PeerAccess {
    /// The Secret was not seen yet, because the home cluster has not answered.
    Looking,
    /// With this client; nothing was asked of the peer yet.
    Open(Cluster),
    /// Not at all, for this reason.
    Closed(Arc<Finding>),
}

/// Follows the Secret of a peer. Dropping it ends that.
#[derive(Debug)]
pub struct PeerLink {
    access: watch::Receiver<PeerAccess>,
    task: JoinHandle<()>,
}

impl PeerLink {
    /// Begins to follow. `peer` is the name for messages.
    pub fn follow(home: &Cluster, peer: &str, secret: KubeconfigSecret) -> PeerLink {
        let (sender, access) = watch::channel(PeerAccess::Looking);
        let (home, peer) = (home.clone(), peer.to_owned());
        let task = tokio::spawn(async move { follow(&home, &peer, &secret, &sender).await });
        PeerLink { access, task }
    }

    /// How the peer can be reached now.
    pub fn access(&self) -> PeerAccess {
        self.access.borrow().clone()
    }

    /// Waits for the next change of that, and answers with it.
    pub async fn changed(&mut self) -> PeerAccess {
        // The other end lives as long as the task, and that as long as we.
        if self.access.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.access.borrow_and_update().clone()
    }
}

impl Drop for PeerLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(home: &Cluster, peer: &str, secret: &KubeconfigSecret, access: &watch::Sender<PeerAccess>) {
    let api: Api<Secret> = Api::namespaced(home.client().clone(), &secret.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", secret.name));
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    let mut taken: Option<Result<String, Arc<Finding>>> = None;
    let mut listed = None;
    let mut ends = None;
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            end = ended(ends) => {
                ends = None;
                access.send_replace(PeerAccess::Closed(secret.at_its_end(peer, end).into()));
                continue;
            }
        };
        let Some(event) = event else { return };
        let found = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(object);
                continue;
            }
            Ok(Event::InitDone) => secret.text(peer, listed.take().as_ref()),
            Ok(Event::Apply(object)) => secret.text(peer, Some(&object)),
            Ok(Event::Delete(_)) => secret.text(peer, None),
            Err(error) => match secret.unreadable(peer, &error) {
                Some(finding) => Err(finding.into()),
                // The home cluster does not answer: what is known of the peer stays.
                None => continue,
            },
        };
        if taken.as_ref() == Some(&found) {
            continue;
        }
        let now = match &found {
            Ok(text) => secret.open(peer, text).await,
            Err(finding) => PeerAccess::Closed(finding.clone()),
        };
        ends = match (&found, &now) {
            (Ok(text), PeerAccess::Open(_)) => {
                Kubeconfig::from_yaml(text).ok().and_then(|file| end_of(&file))
            }
            _ => None,
        };
        taken = Some(found);
        access.send_replace(now);
    }
}

impl KubeconfigSecret {
    /// The kubeconfig in the Secret, or why there is none.
    fn text(&self, peer: &str, secret: Option<&Secret>) -> Result<String, Arc<Finding>> {
        let Some(secret) = secret else {
            return Err(self.finding(peer, "is not there").into());
        };
        let data = secret.data.as_ref();
        let Some(value) = data.and_then(|data| data.get(&self.key)) else {
            let keys: Vec<&str> = data.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
            return Err(self.finding(peer, &format!("has no key {:?} (its keys: {keys})", self.key)).into());
        };
        String::from_utf8(value.0.clone()).map_err(|_| self.finding(peer, "holds no text").into())
    }

    /// A client from the text of a kubeconfig.
    async fn open(&self, peer: &str, text: &str) -> PeerAccess {
        let closed = |finding| PeerAccess::Closed(Arc::new(finding));
        // What the reader says of YAML may quote it.
        let Ok(parsed) = Kubeconfig::from_yaml(text) else {
            return closed(self.finding(peer, "holds no valid kubeconfig"));
        };
        if let Some(end) = expired(&parsed, Timestamp::now()) {
            return closed(self.at_its_end(peer, end));
        }
        match Cluster::connect_with_text(text, None).await {
            Ok(cluster) => PeerAccess::Open(cluster),
            Err(ClusterError::Config { reason }) => {
                closed(self.finding(peer, &format!("cannot be used: {reason}")))
            }
            Err(error) => closed(peer_finding(peer, &error)),
        }
    }

    /// Of an error that means that the Secret may not be read; others pass.
    fn unreadable(&self, peer: &str, error: &watcher::Error) -> Option<Finding> {
        let (watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
        else {
            return None;
        };
        (status.code == 403).then(|| self.finding(peer, &format!("may not be read: {}", status.message)))
    }

    fn at_its_end(&self, peer: &str, end: Timestamp) -> Finding {
        let message = format!("the client certificate in {self} for the cluster {peer} ended at {end}");
        Finding::error(Code::PeerCredentials, message)
    }

    fn finding(&self, peer: &str, what: &str) -> Finding {
        Finding::error(Code::PeerKubeconfig, format!("{self}, which leads to the cluster {peer}, {what}"))
    }
}

impl std::fmt::Display for KubeconfigSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret/{}/{}", self.namespace, self.name)
    }
}

/// When the client certificate of the current context ended, if it has.
fn expired(file: &Kubeconfig, now: Timestamp) -> Option<Timestamp> {
    end_of(file).filter(|end| *end < now)
}

/// Waits for that moment, and answers with it; without one, for ever.
async fn ended(end: Option<Timestamp>) -> Timestamp {
    let Some(end) = end else { return std::future::pending().await };
    // The last second counts in full.
    let left = (end.as_second() + 1).saturating_sub(Timestamp::now().as_second());
    tokio::time::sleep(Duration::from_secs(left.try_into().unwrap_or(0))).await;
    end
}

/// When the client certificate of the current context ends.
fn end_of(file: &Kubeconfig) -> Option<Timestamp> {
    use base64::Engine as _;
    let current = file.current_context.as_ref()?;
    let context = file.contexts.iter().find(|context| context.name == *current)?.context.as_ref()?;
    let user = file.auth_infos.iter().find(|user| Some(&user.name) == context.user.as_ref())?;
    let data = user.auth_info.as_ref()?.client_certificate_data.as_ref()?;
    let pem = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
    expiry(&pem)
}

/// What a person should know when a peer does not answer as it should.
pub fn peer_finding(peer: &str, error: &ClusterError) -> Finding {
    match error {
        ClusterError::Refused { status: 401, .. } => {
            let message = format!("the API server of the cluster {peer} does not know who asks: {error}");
            Finding::error(Code::PeerCredentials, message)
        }
        ClusterError::Unreachable { reason } if reason.contains("ertificate") => {
            let message =
                format!("the certificates of the cluster {peer} are not accepted: {}", refused(reason));
            Finding::error(Code::PeerCredentials, message)
        }
        error => {
            let mut finding = error.finding();
            finding.message = format!("the cluster {peer}: {}", finding.message);
            finding
        }
    }
}

/// Why the two sides of a connection do not believe each other, for people.
fn refused(reason: &str) -> &str {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["BadSignature", "UnknownIssuer"]) {
        "it shows a certificate of another authority than its kubeconfig holds. It was built anew and the Secret still \
         leads to the one before, or something else answers there"
    } else if says(&["CertificateExpired", "certificate expired"]) {
        "the certificate of the kubeconfig has ended, or that of the API server has"
    } else {
        reason
    }
}

impl Cluster {
    /// The cluster's identity.
    ///
    /// # Errors
    /// [`ClusterError`]; a cluster without `kube-system` is one whose API server has not come up yet.
    pub async fn uid(&self) -> Result<ClusterUid, ClusterError> {
        let kind = ServedKind {
            gvk: Gvk::new("v1", "Namespace"),
            plural: "namespaces".to_owned(),
            namespaced: false,
        };
        let id = ObjectId::new("", "Namespace", None, "kube-system");
        let namespace = self.get(&kind, &id).await?;
        namespace.and_then(|namespace| ClusterUid::new(namespace.uid())).ok_or_else(|| ClusterError::Retry {
            after: None,
            message: "the namespace kube-system does not exist yet".to_owned(),
        })
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
