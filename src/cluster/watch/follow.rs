//! One watch: lists, follows, and begins anew for as long as it is wanted.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};

use super::held::{Held, api_resource};
use super::{Inner, Key};
use crate::cluster::ClusterError;
use crate::model::{ObjectId, ServedKind};

/// How long the next page of a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Which objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    Labelled(String),
    Named(ObjectId),
}

/// What a watch does with what it sees; `listed` is there while a list is under way.
pub(super) trait Sink: Send + Sync + 'static {
    fn begin(&self) {}
    fn put(&self, object: Held, listed: Option<&mut HashSet<ObjectId>>);
    fn gone(&self, object: Held);
    fn listed(&self, listed: &HashSet<ObjectId>);
}

/// Follows until the task is aborted.
pub(super) async fn follow(
    inner: Arc<Inner>,
    key: Key,
    kind: ServedKind,
    selection: Selection,
    sink: impl Sink,
) {
    let mut failures = 0u32;
    loop {
        let error = one_life(&inner, &key, &kind, &selection, &sink, &mut failures).await;
        failures = failures.saturating_add(1);
        inner.lost(&key, error);
        tokio::time::sleep(wait(failures)).await;
    }
}

/// One stream, from its first list to an error that it does not get over; then a new stream lists anew, so that its
/// recovery is seen.
async fn one_life(
    inner: &Inner,
    key: &Key,
    kind: &ServedKind,
    selection: &Selection,
    sink: &impl Sink,
    failures: &mut u32,
) -> ClusterError {
    let (api, config) = request(inner, kind, selection);
    let mut stream = std::pin::pin!(watcher(api, config));
    let mut listed = HashSet::new();
    let mut synced = false;
    let mut stumbles = 0u32;
    loop {
        // A watch may be silent for ever (it notices a dead connection itself); a list may not.
        let next = if synced {
            stream.next().await
        } else {
            match tokio::time::timeout(LIST_TIMEOUT, stream.next()).await {
                Ok(next) => next,
                Err(_) => return ClusterError::Timeout { after: LIST_TIMEOUT },
            }
        };
        match next {
            None => return ClusterError::Unreachable { reason: "the watch ended".to_owned() },
            Some(Ok(event)) => {
                stumbles = 0;
                match event {
                    Event::Init => {
                        (synced, listed) = (false, HashSet::new());
                        sink.begin();
                    }
                    Event::InitApply(object) => sink.put(object, Some(&mut listed)),
                    Event::InitDone => {
                        sink.listed(&std::mem::take(&mut listed));
                        (synced, *failures) = (true, 0);
                        inner.synced(key);
                    }
                    Event::Apply(object) => sink.put(object, None),
                    Event::Delete(object) => sink.gone(object),
                }
            }
            Some(Err(error)) => {
                let error = cluster_error(&error);
                stumbles += 1;
                // A connection that breaks, or history that the server forgot, is everyday life once it worked.
                if !synced || stumbles > 1 || !error.is_retryable() && !is_gone(&error) {
                    return error;
                }
                tokio::time::sleep(wait(1)).await;
            }
        }
    }
}

fn request(inner: &Inner, kind: &ServedKind, selection: &Selection) -> (Api<Held>, watcher::Config) {
    let resource = api_resource(kind);
    let client = inner.cluster.client().clone();
    let config = watcher::Config::default().page_size(250);
    match selection {
        Selection::All => (Api::all_with(client, &resource), config),
        Selection::Labelled(selector) => (Api::all_with(client, &resource), config.labels(selector)),
        Selection::Named(id) => {
            let config = config.fields(&format!("metadata.name={}", id.name()));
            match id.namespace() {
                Some(namespace) => (Api::namespaced_with(client, namespace, &resource), config),
                None => (Api::all_with(client, &resource), config),
            }
        }
    }
}

fn cluster_error(error: &watcher::Error) -> ClusterError {
    match error {
        watcher::Error::InitialListFailed(e)
        | watcher::Error::WatchStartFailed(e)
        | watcher::Error::WatchFailed(e) => ClusterError::of_client(e),
        watcher::Error::WatchError(status) => ClusterError::of_client(&kube::Error::Api(status.clone())),
        other => ClusterError::Unreachable { reason: other.to_string() },
    }
}

fn is_gone(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Refused { status: 410, .. })
}

/// Half a second, doubled with each failure, up to a minute; its upper half is drawn, so that many watches do not come
/// back at once.
fn wait(failures: u32) -> Duration {
    let full = Duration::from_millis(500).saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT);
    let drawn = f64::from(RandomState::new().hash_one(failures) as u32) / f64::from(u32::MAX);
    full.mul_f64(0.5 + drawn / 2.0)
}
