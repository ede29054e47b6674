//! Watching every simulated kind, and finding those that appear later.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::object::CLUSTER_NAME;
use super::world::{World, api_resource};
use super::{is_simulated, preferred};
use crate::cluster::Cluster;
use crate::model::{GroupKind, ObjectId, ServedKind};

/// What a watch tells.
pub(super) enum News {
    /// Other kinds may be served.
    Kinds,
    /// An object is so.
    Is(Box<Value>),
    /// An object is gone.
    Gone(ObjectId),
    /// All objects of a kind have been told; there are no others.
    Listed(GroupKind, HashSet<ObjectId>),
    /// A kind cannot be watched for now.
    Unreadable(GroupKind),
}

/// The watches. They end when it is dropped.
pub(super) struct Follower {
    cluster: Cluster,
    sender: UnboundedSender<News>,
    followed: HashMap<GroupKind, ServedKind>,
    /// Kinds of which not all objects have been told.
    pending: HashSet<GroupKind>,
    stale: bool,
    discovered: bool,
    tasks: JoinSet<()>,
}

impl Follower {
    pub fn start(cluster: Cluster) -> (Follower, UnboundedReceiver<News>) {
        let (sender, news) = unbounded_channel();
        let mut tasks = JoinSet::new();
        let definitions = ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        ));
        let all: Api<DynamicObject> = Api::all_with(cluster.client().clone(), &definitions);
        let told = sender.clone();
        tasks.spawn(async move {
            let mut events = Box::pin(watcher(all, watcher::Config::default()).default_backoff());
            while events.next().await.is_some() {
                if told.send(News::Kinds).is_err() {
                    return;
                }
            }
        });
        let follower = Follower {
            cluster,
            sender,
            followed: HashMap::new(),
            pending: HashSet::new(),
            stale: true,
            discovered: false,
            tasks,
        };
        (follower, news)
    }

    /// Whether everything that is followed is known.
    pub fn is_complete(&self) -> bool {
        self.discovered && self.pending.is_empty()
    }

    pub fn kinds_changed(&mut self) {
        self.stale = true;
    }

    pub fn listed(&mut self, kind: &GroupKind) {
        self.pending.remove(kind);
    }

    /// Follow the kinds that are served now, if they may be others than before. Whether they are.
    pub async fn discover(&mut self, world: &World) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        let kinds = match self.cluster.discover().await {
            Ok(kinds) => preferred(kinds),
            Err(error) => {
                tracing::debug!(%error, "the simulated operators cannot ask which kinds are served");
                // The watch of the definitions tells when it is back.
                self.stale = true;
                return false;
            }
        };
        self.discovered = true;
        for (name, kind) in kinds.iter().filter(|(name, _)| is_simulated(name)) {
            if self.followed.get(name).is_none_or(|followed| followed != kind) {
                self.followed.insert(name.clone(), kind.clone());
                self.pending.insert(name.clone());
                let task = follow(self.cluster.client().clone(), kind.clone(), self.sender.clone());
                self.tasks.spawn(task);
            }
        }
        world.serve(kinds)
    }
}

/// Tell everything of one kind.
async fn follow(client: kube::Client, kind: ServedKind, news: UnboundedSender<News>) {
    let name = kind.gvk.group_kind();
    let all: Api<DynamicObject> = Api::all_with(client, &api_resource(&kind));
    let config = match &*name.kind {
        // Secrets of others are none of theirs.
        "Secret" => watcher::Config::default().labels(CLUSTER_NAME),
        _ => watcher::Config::default(),
    };
    let mut events = Box::pin(watcher(all, config).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        let item = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                let Some(object) = value(object, &kind) else { continue };
                listed.extend(ObjectId::of(&object));
                News::Is(Box::new(object))
            }
            Ok(Event::InitDone) => News::Listed(name.clone(), std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => {
                let Some(object) = value(object, &kind) else { continue };
                News::Is(Box::new(object))
            }
            Ok(Event::Delete(object)) => {
                let Some(Ok(id)) = value(object, &kind).map(|object| ObjectId::of(&object)) else { continue };
                News::Gone(id)
            }
            Err(error) => {
                tracing::debug!(%error, kind = %kind.gvk, "the simulated operators lost a watch");
                News::Unreadable(name.clone())
            }
        };
        if news.send(item).is_err() {
            return;
        }
    }
}

/// An object with apiVersion and kind, which lists leave out.
fn value(object: DynamicObject, kind: &ServedKind) -> Option<Value> {
    let mut value = serde_json::to_value(object).ok()?;
    value["apiVersion"] = kind.gvk.api_version().into();
    value["kind"] = kind.gvk.kind.to_string().into();
    Some(value)
}
