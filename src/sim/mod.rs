//! Simulated operators, for the demo and for tests: whatever stands behind the kinds of a management cluster that
//! no controller is running for. They are clients of any API server, and say who they are in every field they own.
//!
//! What they do is small and true to form. The ClusterStack operator makes releases and their ClusterClasses; Cluster API
//! makes a Cluster's infrastructure, control plane and machines, changes their version one at a time, and takes them down in
//! order, once nothing in the workload cluster holds that up; others say that all is well.
//!
//! One loop watches all their kinds. Whatever changes in a namespace, each object there is looked at and brought one step
//! on ([`world`] sends nothing that is said already). State is in the API server alone: it can be stopped and started at
//! any moment, and with nothing to do it asks for nothing.

mod accept;
mod class;
mod cloud;
mod cluster;
mod condition;
mod follow;
mod infrastructure;
mod machine;
mod machines;
mod object;
mod providers;
mod release;
mod removal;
mod stack;
#[cfg(test)]
mod tests;
mod topology;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::model::GroupKind;
pub use cloud::Cloud;
use follow::{Follower, News};
use world::{Error, World, kind};

/// Their field manager.
pub const MANAGER: &str = "simulated-operators";

/// Where a cluster is found, and what a server is, other operators say than make the objects.
const ENDPOINT_MANAGER: &str = "simulated-operators-endpoint";
const PROVIDER_ID_MANAGER: &str = "simulated-operators-provider-id";

/// When something that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// The operators of one management cluster.
pub struct Operators {
    /// The management cluster.
    pub cluster: Cluster,
    /// Where its workload clusters are.
    pub cloud: Cloud,
    /// How long one step takes: a machine, a release, the infrastructure of a cluster. Zero is as fast as it goes.
    pub pace: Duration,
}

impl Operators {
    /// Work until stopped. Kinds that appear later are taken up then.
    pub async fn run(self, stop: CancellationToken) {
        let world = World::new(self.cluster.client().clone(), self.cloud, self.pace);
        let (mut follower, mut news) = Follower::start(self.cluster);
        let mut agenda = Agenda::default();
        loop {
            let next = agenda.next(follower.is_complete());
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(first) = news.recv() => {
                    let mut rest = Some(first);
                    while let Some(item) = rest {
                        take_in(&world, &mut follower, &mut agenda, item);
                        rest = news.try_recv().ok();
                    }
                    if follower.discover(&world).await {
                        // What waited for a kind can go on.
                        world.namespaces().iter().for_each(|namespace| agenda.add(namespace, Instant::now()));
                    }
                }
                () = at(next), if next.is_some() => {
                    let namespace = agenda.take();
                    let failed = tend(&world, &namespace).await;
                    let (wrote, wake) = world.outcome();
                    if wrote {
                        agenda.add(&namespace, Instant::now());
                    }
                    if failed {
                        agenda.add(&namespace, Instant::now() + RETRY);
                    }
                    if let Some(wake) = wake {
                        agenda.add(&namespace, wake);
                    }
                }
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn take_in(world: &World, follower: &mut Follower, agenda: &mut Agenda, news: News) {
    match news {
        News::Kinds => follower.kinds_changed(),
        News::Is(object) => {
            let namespace = object::namespace(&object).to_owned();
            if world.learn(*object) {
                agenda.add(&namespace, Instant::now());
            }
        }
        News::Gone(id) => {
            world.forget(&id);
            agenda.add(id.namespace().unwrap_or_default(), Instant::now());
        }
        News::Listed(kind, ids) => {
            for (id, _) in world.all_of(&kind) {
                if !ids.contains(&id) {
                    world.forget(&id);
                    agenda.add(id.namespace().unwrap_or_default(), Instant::now());
                }
            }
            follower.listed(&kind);
        }
        News::Unreadable(kind) => follower.listed(&kind),
    }
}

/// Namespaces in which something is to be looked at, each with its time.
#[derive(Default)]
struct Agenda(BTreeSet<(Instant, String)>);

impl Agenda {
    fn add(&mut self, namespace: &str, at: Instant) {
        self.0.insert((at, namespace.to_owned()));
    }

    fn next(&self, ready: bool) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at).filter(|_| ready)
    }

    /// The namespace that is due first; what is due there by now is done with it.
    fn take(&mut self) -> String {
        let Some((_, namespace)) = self.0.pop_first() else { return String::new() };
        let now = Instant::now();
        self.0.retain(|(at, other)| *other != namespace || *at > now);
        namespace
    }
}

/// Bring everything in a namespace one step on. Whether something failed.
async fn tend(world: &World, namespace: &str) -> bool {
    let mut failed = false;
    for (id, _) in world.everything(namespace) {
        // An earlier one may have changed it.
        let Some(object) = world.get((id.group(), id.kind()), namespace, id.name()) else { continue };
        match reconcile(world, &object).await {
            Ok(()) => {}
            // It comes with its provider.
            Err(Error::NotServed(kind)) => tracing::debug!(%kind, object = %id, "a simulated operator waits"),
            Err(error) => {
                failed = true;
                tracing::debug!(error = ?error, object = %id, "a simulated operator could not do its part");
            }
        }
    }
    failed
}

async fn reconcile(world: &World, object: &Arc<Value>) -> Result<(), Error> {
    match kind(object) {
        stack::KIND => stack::reconcile(world, object).await,
        release::KIND => release::reconcile(world, object).await,
        class::KIND => class::reconcile(world, object).await,
        cluster::KIND => cluster::reconcile(world, object).await,
        machine::KIND => machine::reconcile(world, object).await,
        machines::DEPLOYMENT | machines::CONTROL_PLANE => machines::reconcile(world, object).await,
        (infrastructure::GROUP, kind) if kind.ends_with("Cluster") => {
            infrastructure::reconcile(world, object).await
        }
        (providers::GROUP, _) => providers::reconcile(world, object).await,
        _ => accept::reconcile(world, object).await,
    }
}

/// Whether objects of this kind concern an operator.
fn is_simulated(kind: &GroupKind) -> bool {
    match (&*kind.group, &*kind.kind) {
        (group, _) if group == release::PROVIDER_GROUP || group == stack::KIND.0 => true,
        (group, _) if group == cluster::KIND.0 || group.ends_with(".cluster.x-k8s.io") => true,
        ("", "Secret") => true,
        (group, kind) => accept::is_simulated(group, kind),
    }
}

/// A table of what is served: of each kind its preferred version.
fn preferred(kinds: crate::cluster::Kinds) -> HashMap<GroupKind, crate::model::ServedKind> {
    kinds.into_iter().filter_map(|(kind, versions)| Some((kind, versions.into_iter().next()?))).collect()
}
