//! What is kept in a ConfigMap of moin's namespace, because neither git nor the objects could tell it.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::apply::Fence;
use crate::cluster::{ApplyOptions, Cluster, ClusterError};
use crate::engine::Backoff;
use crate::finding::{Finding, Severity};
use crate::model::{Gvk, ObjectId, SYSTEM_NAMESPACE, ServedKind};

/// A ConfigMap that holds one `T`.
#[derive(Debug, Clone)]
pub(super) struct Notes<T> {
    cluster: Cluster,
    name: String,
    key: &'static str,
    holds: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned + Default> Notes<T> {
    /// Of this name, under this key.
    pub(super) fn new(cluster: &Cluster, name: String, key: &'static str) -> Notes<T> {
        Notes { cluster: cluster.clone(), name, key, holds: PhantomData }
    }

    /// What is kept; nothing before the first time.
    ///
    /// # Errors
    /// [`ClusterError`]; also when what is kept is not understood.
    pub(super) async fn recall(&self) -> Result<T, ClusterError> {
        let id = ObjectId::new("", "ConfigMap", Some(SYSTEM_NAMESPACE), &self.name);
        let found = self.cluster.get(&kind(), &id).await?;
        found.map_or_else(|| Ok(T::default()), |found| self.read(&found.body))
    }

    /// Keep this.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub(super) async fn keep(&self, what: &T) -> Result<(), ClusterError> {
        self.apply(&self.body(what)).await
    }

    /// What a person should know when it may not be read or written.
    pub(super) fn cannot(&self, done: &str, error: &ClusterError) -> Finding {
        let mut finding = error.finding();
        finding.severity = Severity::Warning;
        finding.message = format!(
            "what moin remembers in the ConfigMap {SYSTEM_NAMESPACE}/{} cannot be {done}: {}",
            self.name, finding.message
        );
        finding
    }

    async fn apply(&self, body: &Value) -> Result<(), ClusterError> {
        let options = ApplyOptions { force: true, ..ApplyOptions::default() };
        self.cluster.apply(&kind(), body, &options).await.map(drop)
    }

    fn body(&self, what: &T) -> Value {
        let text = serde_json::to_string(what).expect("notes hold only texts");
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": SYSTEM_NAMESPACE, "name": self.name}, "data": {self.key: text}})
    }

    /// What is not understood was written by a later version, or by hand. It guards against a second cluster, so nobody
    /// may go on as if nothing was kept.
    fn read(&self, body: &Value) -> Result<T, ClusterError> {
        let Some(text) = body["data"][self.key].as_str() else { return Ok(T::default()) };
        serde_json::from_str(text).map_err(|_| ClusterError::Config {
            reason: format!(
                "{} in the ConfigMap {SYSTEM_NAMESPACE}/{} is not understood: repair it, or delete the ConfigMap if nothing \
                 of it counts any more",
                self.key, self.name
            ),
        })
    }
}

/// Writes the newest notes beside the loop, until it is done.
pub(super) struct Scribe<T> {
    newest: watch::Sender<Option<Value>>,
    trouble: watch::Receiver<Option<Finding>>,
    notes: Notes<T>,
    _task: AbortOnDropHandle<()>,
}

impl<T: Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static> Scribe<T> {
    /// Begin; where there is a fence, nothing is written while it is closed.
    pub(super) fn begin(notes: Notes<T>, fence: Option<Fence>) -> Scribe<T> {
        let (newest, inbox) = watch::channel(None);
        let (tell, trouble) = watch::channel(None);
        let task = AbortOnDropHandle::new(tokio::spawn(write_newest(notes.clone(), fence, inbox, tell)));
        Scribe { newest, trouble, notes, _task: task }
    }

    /// Why it cannot be written, if that does not pass by itself.
    pub(super) fn trouble(&self) -> Option<Finding> {
        self.trouble.borrow().clone()
    }

    /// Waits until that changes.
    pub(super) async fn changed(&mut self) {
        // The other end lives as long as the task, and that as long as we.
        if self.trouble.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Have this kept.
    pub(super) fn keep(&self, what: &T) {
        self.newest.send_replace(Some(self.notes.body(what)));
    }
}

async fn write_newest<T: Serialize + DeserializeOwned + Default>(
    notes: Notes<T>,
    fence: Option<Fence>,
    mut inbox: watch::Receiver<Option<Value>>,
    tell: watch::Sender<Option<Finding>>,
) {
    let say = |trouble: Option<Finding>| {
        tell.send_if_modified(|told| {
            let is_new = *told != trouble;
            *told = trouble;
            is_new
        });
    };
    let mut backoff = Backoff::default();
    while inbox.changed().await.is_ok() {
        loop {
            let Some(body) = inbox.borrow_and_update().clone() else { break };
            if fence.as_ref().is_some_and(|fence| !fence.is_open()) {
                // Whoever holds the lease now keeps what he sees himself.
                break;
            }
            let Err(error) = notes.apply(&body).await else {
                say(None);
                break;
            };
            if !error.is_retryable() {
                say(Some(notes.cannot("written", &error)));
            }
            tracing::warn!(%error, notes = notes.name, "what is to be remembered could not be written; trying again");
            tokio::select! {
                () = tokio::time::sleep(backoff.next(0)) => {}
                _ = inbox.changed() => {}
            }
        }
        backoff = Backoff::default();
    }
}

fn kind() -> ServedKind {
    ServedKind { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_may_not_be_written_is_told_with_the_missing_right() {
        let message = "configmaps \"moin-x\" is forbidden: User \"system:serviceaccount:moin-system:moin\" cannot patch \
                       resource \"configmaps\" in API group \"\" in the namespace \"moin-system\"";
        let answer = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": message});
        let router = axum::Router::new()
            .fallback(move || async move { (http::StatusCode::FORBIDDEN, axum::Json(answer)) });
        let cluster = Cluster::from_client(kube::Client::new(router, "default"));
        let mut scribe: Scribe<Vec<String>> =
            Scribe::begin(Notes::new(&cluster, "moin-x".into(), "x.json"), None);
        assert_eq!(scribe.trouble(), None);
        scribe.keep(&vec!["a".to_owned()]);
        scribe.changed().await;
        let told = scribe.trouble().unwrap();
        assert!(told.message.contains("ConfigMap moin-system/moin-x cannot be written"), "{told:?}");
        assert!(told.help.unwrap().contains("the right to patch configmaps in the namespace moin-system"));
    }

    #[tokio::test]
    async fn what_is_broken_is_not_taken_for_nothing() {
        let cluster = Cluster::from_client(kube::Client::new(axum::Router::new(), "default"));
        let notes: Notes<Vec<String>> = Notes::new(&cluster, "moin-x".into(), "x.json");
        let kept = vec!["a".to_owned()];
        assert_eq!(notes.read(&notes.body(&kept)).unwrap(), kept);
        for nothing in [json!({"data": {"other": "["}}), json!({}), Value::Null] {
            assert!(notes.read(&nothing).unwrap().is_empty());
        }
        for broken in ["[", "", "{\"a\": 1}"] {
            let error = notes.read(&json!({"data": {"x.json": broken}})).unwrap_err();
            assert!(error.to_string().contains("moin-system/moin-x"), "{error}");
        }
    }
}
