//! Finding out: a watch of each kind in each management cluster.

use std::time::Duration;

use futures::TryStreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::super::management::{Management, kind};
use super::super::stage::OWNER;
use super::{Kind, Seen};
use crate::model::SYSTEM_NAMESPACE;

/// When a kind that is not served is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// What was seen, and in which management cluster.
pub type Sighting = (&'static str, Seen);

/// Watch a management cluster for as long as the answer lives.
pub fn follow(management: &Management, tell: &UnboundedSender<Sighting>) -> JoinSet<()> {
    // Nobody listens any more when the demo ends.
    let _ = tell.send((management.name, Seen::Empty(format!("https://{}", management.address))));
    let name = Some(format!("moin-{OWNER}"));
    let kinds = [
        (Kind::Lease, "coordination.k8s.io/v1", "Lease", name),
        (Kind::Reconciliation, "moin.scs.community/v1alpha1", "Reconciliation", Some(OWNER.to_owned())),
        (Kind::Cluster, "cluster.x-k8s.io/v1beta2", "Cluster", None),
        (Kind::ClusterStack, "clusterstack.x-k8s.io/v1alpha1", "ClusterStack", None),
        (Kind::Machine, "cluster.x-k8s.io/v1beta2", "Machine", None),
    ];
    let mut tasks = JoinSet::new();
    for (of, api_version, word, name) in kinds {
        let namespace = name.is_some().then_some(SYSTEM_NAMESPACE);
        let api = management.api(&kind(api_version, word), namespace);
        let config = match name {
            Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
            None => watcher::Config::default(),
        };
        tasks.spawn(watch(management.name, of, api, config, tell.clone()));
    }
    tasks
}

async fn watch(
    on: &'static str,
    kind: Kind,
    api: Api<DynamicObject>,
    config: watcher::Config,
    tell: UnboundedSender<Sighting>,
) {
    let mut events = std::pin::pin!(watcher::watcher(api, config));
    loop {
        let seen = match events.try_next().await {
            Ok(Some(Event::Apply(object) | Event::InitApply(object))) => Seen::Is(kind, value(object)),
            Ok(Some(Event::Delete(object))) => Seen::Gone(kind, value(object)),
            Ok(Some(Event::Init | Event::InitDone)) => continue,
            Ok(None) => return,
            Err(_) => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        if tell.send((on, seen)).is_err() {
            return;
        }
    }
}

/// Without what nobody looks at.
fn value(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    serde_json::to_value(object).unwrap_or_default()
}
