//! The peers of the home cluster: for each a task that reaches it through its Secret, makes sure that it is the cluster
//! that is meant, and reconciles it as a stand-in. Whatever happens to a peer is a finding in the home's report and
//! nothing more to the home.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::DaemonError;
use super::fetch::Fetcher;
use super::meeting::{Meeting, Met};
use super::peer_record::{PeerMemory, PeerRecord};
use super::pipeline::Pipeline;
use super::pipeline::Turn;
use super::reconcile::Reconciler;
use crate::cluster::{Cluster, KUBECONFIG_KEY, KubeconfigSecret, PeerAccess, PeerLink, peer_finding};
use crate::config::{Approval, Rebuild, SecretRef};
use crate::engine::{Backoff, Candidate, Options, Role};
use crate::finding::{Code, Finding, Severity};
use crate::model::{ClusterUid, Revision};
use crate::render::RenderOptions;
use crate::status::SourceRecord;
use crate::web::Probes;

/// How long a peer that is no longer wanted may take to give its lease back.
const PATIENCE: Duration = Duration::from_secs(12);

/// What all peers of a home have in common.
#[derive(Clone)]
pub(super) struct Household {
    /// The home cluster.
    pub home: Cluster,
    /// The owner name.
    pub owner: String,
    /// What identifies the source.
    pub source: SourceRecord,
    /// What is rendered for the home.
    pub render: RenderOptions,
    /// Reads the source for all of them.
    pub fetcher: Fetcher,
    /// Of the home's engine.
    pub options: Options,
    /// When the engines' clock began.
    pub began: std::time::Instant,
}

/// What `moin.yaml` and the operator say about the peers now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    /// What is approved.
    pub approvals: Vec<Approval>,
    /// At which revision.
    pub revision: Option<Revision>,
    /// What to do with each that was built anew.
    pub rebuild: BTreeMap<String, Rebuild>,
}

/// The peers.
pub(super) struct Peers {
    household: Household,
    running: BTreeMap<String, Running>,
    said: watch::Sender<Said>,
    board: Arc<Board>,
}

struct Running {
    secret: SecretRef,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// For whom a stand-in reconciles.
pub(super) struct StandIn {
    /// The identity of the cluster: any other is left alone.
    pub uid: ClusterUid,
    /// Its name in `moin.yaml`.
    pub name: String,
    /// What is remembered of it.
    pub record: PeerRecord,
    /// Where that is kept.
    pub memory: PeerMemory,
    /// The home cluster's name and URL: it stands, whatever the repository says of it.
    pub home: (String, String),
    /// Where to say what is wrong with it.
    pub board: Arc<Board>,
}

/// What is wrong with each peer.
#[derive(Default)]
pub(super) struct Board {
    findings: Mutex<BTreeMap<String, Vec<Finding>>>,
    /// Those that nobody has ever met: they may still have to be made.
    never_met: Mutex<BTreeSet<String>>,
    /// Who was met has changed since a plan was made by it.
    replan: AtomicBool,
    changed: Notify,
}

impl Board {
    /// Say what is wrong with a peer now.
    pub(super) fn set(&self, peer: &str, findings: Vec<Finding>) {
        let findings: Vec<Finding> = findings.into_iter().map(|finding| of_peer(peer, finding)).collect();
        let mut all = self.findings.lock();
        let place = all.entry(peer.to_owned()).or_default();
        if *place != findings {
            *place = findings;
            self.changed.notify_one();
        }
    }

    fn met(&self, peer: &str, ever: bool) {
        let mut never = self.never_met.lock();
        if if ever { never.remove(peer) } else { never.insert(peer.to_owned()) } {
            self.replan.store(true, Ordering::SeqCst);
            self.changed.notify_one();
        }
    }
}

/// A peer's trouble does not make the home unwell.
fn of_peer(peer: &str, mut finding: Finding) -> Finding {
    if finding.severity == Severity::Error {
        finding.severity = Severity::Warning;
    }
    if !finding.message.contains(peer) {
        finding.message = format!("the cluster {peer}: {}", finding.message);
    }
    finding
}

impl Peers {
    /// None yet.
    pub(super) fn new(household: Household) -> Peers {
        Peers { household, running: BTreeMap::new(), said: watch::Sender::default(), board: Arc::default() }
    }

    /// Look after those that the newest plan's repository names, and after no others.
    pub(super) fn follow(&mut self, turn: &Turn, approvals: &[Approval]) {
        let repository = &turn.manifests.repository;
        if turn.manifests.findings.iter().any(|finding| finding.code == Code::BadSettings) {
            // Nobody knows what it says: as before.
            return;
        }
        let home = self.household.render.cluster.as_ref().and_then(|name| repository.clusters.get(name));
        let names = home.map(|home| home.peers.as_slice()).unwrap_or_default();
        let said = Said {
            approvals: repository.approvals.iter().chain(approvals).cloned().collect(),
            revision: Some(turn.plan.revision.clone()),
            rebuild: repository.clusters.iter().map(|(name, it)| (name.clone(), it.rebuild)).collect(),
        };
        self.said.send_if_modified(|before| {
            let is_new = *before != said;
            *before = said;
            is_new
        });
        let mut wanted = BTreeMap::new();
        for name in names {
            match repository.clusters.get(name).and_then(|peer| peer.kubeconfig.clone()) {
                Some(secret) => drop(wanted.insert(name.clone(), secret)),
                None => {
                    let message = "moin.yaml names no kubeconfig for it, so nobody stands in for it";
                    self.board.set(name, vec![Finding::warning(Code::PeerKubeconfig, message)]);
                }
            }
        }
        let gone: Vec<String> = self
            .running
            .iter()
            .filter(|(name, it)| wanted.get(*name) != Some(&it.secret))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(running) = self.running.remove(&name) {
                // It gives its lease back by itself.
                running.stop.cancel();
                tokio::spawn(tokio::time::timeout(PATIENCE, running.task));
            }
        }
        let known = |name: &String| names.contains(name);
        self.board.findings.lock().retain(|name, _| known(name));
        self.board.never_met.lock().retain(known);
        for (name, secret) in wanted {
            if !self.running.contains_key(&name) {
                let running = self.begin(&name, secret);
                self.running.insert(name, running);
            }
        }
    }

    fn begin(&self, name: &str, secret: SecretRef) -> Running {
        let stop = CancellationToken::new();
        let peer = Peer {
            name: name.to_owned(),
            household: self.household.clone(),
            said: self.said.subscribe(),
            board: self.board.clone(),
            stop: stop.clone(),
        };
        let link = PeerLink::follow(
            &self.household.home,
            name,
            KubeconfigSecret {
                namespace: secret.namespace.clone(),
                name: secret.secret.clone(),
                key: secret.key.clone().unwrap_or_else(|| KUBECONFIG_KEY.to_owned()),
            },
        );
        let task = AbortOnDropHandle::new(tokio::spawn(peer.look_after(link)));
        Running { secret, stop, task }
    }

    /// What is wrong with them.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.board.findings.lock().values().flatten().cloned().collect()
    }

    /// Whether there are any: then others write to the home, too, and the API server is to know who may.
    pub(super) fn exist(&self) -> bool {
        !self.running.is_empty()
    }

    /// The names of those that exist: all that are looked after, but for those that were certainly never met.
    pub(super) fn standing(&self) -> Vec<String> {
        let never = self.board.never_met.lock();
        self.running.keys().filter(|name| !never.contains(*name)).cloned().collect()
    }

    /// Whether another plan is due, because it turned out who exists.
    pub(super) fn ask_for_a_plan(&self) -> bool {
        self.board.replan.swap(false, Ordering::SeqCst)
    }

    /// Waits until something else is wrong.
    pub(super) async fn changed(&self) {
        self.board.changed.notified().await;
    }

    /// Let all of them give their leases back.
    pub(super) async fn finish(self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        let tasks = self.running.into_values().map(|running| running.task);
        // One that hangs holds nobody up for ever.
        let _ = tokio::time::timeout(PATIENCE, futures::future::join_all(tasks)).await;
    }
}

/// One peer.
struct Peer {
    name: String,
    household: Household,
    said: watch::Receiver<Said>,
    board: Arc<Board>,
    stop: CancellationToken,
}

impl Peer {
    async fn look_after(mut self, mut link: PeerLink) {
        let stop = self.stop.clone();
        let ever_met = tokio::select! {
            ever_met = self.recall() => ever_met,
            () = stop.cancelled() => return,
        };
        let mut backoff = Backoff::default();
        loop {
            let wait = match link.access() {
                PeerAccess::Looking => None,
                PeerAccess::Closed(finding) => {
                    self.board.met(&self.name, ever_met);
                    self.board.set(&self.name, vec![(*finding).clone()]);
                    None
                }
                PeerAccess::Open(cluster) => {
                    // Whoever made the way to it made the cluster.
                    self.board.met(&self.name, true);
                    let stop = self.stop.clone();
                    tokio::select! {
                        finding = self.reconcile(&cluster) => match finding {
                            None if stop.is_cancelled() => return,
                            finding => {
                                self.board.set(&self.name, finding.into_iter().collect());
                                Some(backoff.next(0))
                            }
                        },
                        // With the new credentials everything begins anew; the lease stays ours, for it names us.
                        _ = link.changed() => {
                            backoff = Backoff::default();
                            continue;
                        }
                    }
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = link.changed() => backoff = Backoff::default(),
                // Something that was waited for may be approved by now.
                _ = self.said.changed() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// Find out whether it was ever met.
    async fn recall(&self) -> bool {
        let memory = PeerMemory::of_peer(&self.household.home, &self.household.owner, &self.name);
        let mut backoff = Backoff::default();
        loop {
            match memory.recall().await {
                Ok(record) => return record.uid().is_some(),
                Err(error) => {
                    tracing::warn!(%error, peer = self.name, "what is remembered of it cannot be read");
                    if !error.is_retryable() {
                        self.board.set(&self.name, vec![memory.cannot("read", &error)]);
                    }
                }
            }
            tokio::time::sleep(backoff.next(0)).await;
        }
    }

    /// Reconcile the peer until told to stop, or until something stands in the way, which is answered.
    async fn reconcile(&self, cluster: &Cluster) -> Option<Finding> {
        let house = &self.household;
        let meeting = Meeting {
            name: &self.name,
            peer: cluster,
            home: &house.home,
            home_name: house.render.cluster.as_deref().unwrap_or_default(),
            owner: &house.owner,
            source: &house.source,
            memory: PeerMemory::of_peer(&house.home, &house.owner, &self.name),
        };
        let said = self.said.borrow().clone();
        let (uid, record) = match meeting.meet(&said).await {
            Ok(Met::Admitted(uid, record)) => (uid, record),
            Ok(Met::Held(finding)) => return Some(*finding),
            Err(error) => return Some(peer_finding(&self.name, &error)),
        };
        let render =
            RenderOptions { cluster: Some(self.name.clone()), use_case: None, ..house.render.clone() };
        let identity = house.options.candidate.identity.clone();
        let candidate = Candidate { identity, role: Role::Peer, cluster: Some(self.name.clone()) };
        let reconciler = Reconciler {
            cluster: cluster.clone(),
            owner: house.owner.clone(),
            source: house.source.clone(),
            options: Options { candidate, ..house.options.clone() },
            fetcher: house.fetcher.clone(),
            probes: Probes::default(),
            began: house.began,
            stand_in: Some(StandIn {
                uid,
                name: self.name.clone(),
                record,
                memory: meeting.memory,
                home: (meeting.home_name.to_owned(), house.home.url().to_owned()),
                board: self.board.clone(),
            }),
            peers: None,
        };
        self.board.set(&self.name, Vec::new());
        match reconciler.run(Pipeline::new(render), None, &self.stop).await {
            Ok(_) => None,
            Err(DaemonError::Cluster(error)) => Some(peer_finding(&self.name, &error)),
            Err(DaemonError::SourceMismatch(finding)) => Some(*finding),
            // It reads what the home reads.
            Err(DaemonError::Source(error)) => Some(error.finding()),
        }
    }
}
