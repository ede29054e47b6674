//! One turn of the loop: performing effects, taking in what came of them, saying how it stands.
//!
//! Here is what the loop owns and how effects and messages find their way; each file below is about one kind of work.

mod beside;
mod fencing;
mod fetching;
mod memory;
mod planning;
mod questions;
mod recorded;
mod reporting;
mod writing;

use std::time::Instant;

use tokio::sync::mpsc;

use super::fetch::{Fetched, Fetcher};
use super::lease::LeaseClient;
use super::notes::Scribe;
use super::peer_record::{OwnMemory, OwnRecord, PeerRecord};
use super::peers::{Peers, StandIn};
use super::pipeline::{Pipeline, Turn};
use super::policy_reports::PolicyReports;
use super::reporter::Reporter;
use super::target::Target;
use crate::apply::{Applier, Fence};
use crate::cluster::{Cluster, WriteFence};
use crate::engine::{Candidate, Effect, Engine, Event, LEASE_PATIENCE};
use crate::finding::Finding;
use crate::model::{Revision, Snapshot};
use crate::status::{Report, SourceRecord};
use crate::web::Probes;
use beside::Message;
use questions::Questions;

pub(super) use fetching::snapshot_of;

/// What work is done with.
pub(super) struct Tools {
    pub applier: Applier,
    pub fence: Fence,
    pub lease: LeaseClient,
    /// For whom it stands in: then nothing is prepared in the target before the lease is won.
    pub stand_in: Option<StandIn>,
    pub peers: Option<Peers>,
    pub candidate: Candidate,
    pub fetcher: Fetcher,
    pub probes: Probes,
    /// When the engine's clock began.
    pub began: Instant,
}

/// Everything that the loop owns beside the engine.
pub(super) struct Turning {
    target: Target,
    applier: Applier,
    fence: Fence,
    _closing: Closing,
    lease: LeaseClient,
    stand_in: Option<StandIn>,
    /// Keeps what is remembered of the peer.
    peer_scribe: Option<Scribe<PeerRecord>>,
    /// The peer is being asked which of its Clusters are gone.
    asking: bool,
    peers: Option<Peers>,
    candidate: Candidate,
    /// What the target keeps of itself, as far as is known.
    own: OwnRecord,
    own_memory: OwnMemory,
    own_scribe: Scribe<OwnRecord>,
    /// Why it may not be read what the target keeps of itself.
    own_unread: Option<Finding>,
    /// The fence in the API server, once it stands, or why it does not.
    write_fence: Option<Result<WriteFence, Box<Finding>>>,
    /// It is being raised beside the loop.
    raising: bool,
    /// The target is another cluster than it was.
    elsewhere: bool,
    began: Instant,
    pipeline: Pipeline,
    cluster: Cluster,
    fetcher: Fetcher,
    source: SourceRecord,
    first: Option<Fetched>,
    /// What was read last; whether it may be applied the engine says.
    fetched: Option<Fetched>,
    snapshot: Option<Snapshot>,
    left_out: Vec<Finding>,
    turn: Option<Turn>,
    /// The revision that was applied as a whole.
    applied: Option<Revision>,
    reporter: Reporter,
    policy_reports: PolicyReports,
    events: mpsc::UnboundedReceiver<Event>,
    probes: Probes,
    messages: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// Whether the plan waits for what policies asked.
    waiting: bool,
    /// What policies asked and the cluster is being asked.
    questions: Questions,
    /// Whether the engine may tell the cluster anything.
    may_tell: bool,
}

impl Turning {
    pub(super) fn new(
        tools: Tools,
        target: Target,
        pipeline: Pipeline,
        source: SourceRecord,
        first: Option<Fetched>,
    ) -> Turning {
        let (messages, inbox) = mpsc::unbounded_channel();
        let (tell, events) = mpsc::unbounded_channel();
        let cluster = tools.applier.cluster().clone();
        let own_memory = OwnMemory::of_itself(&cluster, target.owner());
        Turning {
            cluster: cluster.clone(),
            applier: tools.applier,
            _closing: Closing(tools.fence.clone()),
            own: OwnRecord::default(),
            own_scribe: Scribe::begin(own_memory.clone(), Some(tools.fence.clone())),
            own_memory,
            own_unread: None,
            fence: tools.fence,
            lease: tools.lease,
            peer_scribe: tools.stand_in.as_ref().map(|it| Scribe::begin(it.memory.clone(), None)),
            asking: false,
            stand_in: tools.stand_in,
            peers: tools.peers,
            candidate: tools.candidate,
            write_fence: None,
            raising: false,
            elsewhere: false,
            began: tools.began,
            policy_reports: PolicyReports::start(cluster.clone(), target.owner(), tell.clone()),
            reporter: Reporter::start(cluster, target.reconciliation(), tell),
            events,
            applied: target.applied_revision(),
            target,
            pipeline,
            fetcher: tools.fetcher,
            source,
            first,
            fetched: None,
            snapshot: None,
            left_out: Vec::new(),
            turn: None,
            probes: tools.probes,
            messages,
            inbox,
            waiting: false,
            questions: Questions::default(),
            may_tell: false,
        }
    }

    /// What comes next of work beside the loop; `None`: there is something new to report.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let peers_changed = async {
            match &self.peers {
                Some(peers) => peers.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(message) = self.inbox.recv() => Some(self.receive(message)),
            Some(event) = self.events.recv() => Some(event),
            () = self.own_scribe.changed() => None,
            () = peers_changed => {
                let replan = self.peers.as_ref().is_some_and(Peers::ask_for_a_plan);
                replan.then_some(Event::ClusterChanged)
            }
        }
    }

    /// Do it, or have it done; what comes of it at once is answered, the rest comes as a message.
    pub(super) fn perform(&mut self, effect: Effect, engine: &Engine) -> Option<Event> {
        match effect {
            Effect::Fetch { after } => self.fetch(after),
            Effect::Plan => return Some(self.plan(engine)),
            Effect::Apply(ids) => self.apply(&ids),
            Effect::Prune(ids) => self.prune(&ids),
            Effect::Report => self.report(engine),
            Effect::ReadLease => {
                let lease = self.lease.clone();
                self.ask(async move { Message::Engine(lease.read().await) });
            }
            Effect::WriteLease(write) => {
                let lease = self.lease.clone();
                self.ask(async move { Message::Engine(lease.write(write).await) });
            }
            Effect::OpenFence(until) => {
                self.fence.open_until(self.began + until);
                self.policy_reports.open_until(self.began + until);
            }
            Effect::CloseFence => {
                self.fence.close();
                self.policy_reports.close();
                if !engine.holds_lease() {
                    self.reporter.hush();
                    self.policy_reports.hush();
                }
            }
            Effect::ReadRecord => self.read_record(),
            Effect::Record(revision) => return self.record(revision, engine),
            // The loop itself sees to these.
            Effect::WakeAt(_) | Effect::Finish(_) => {}
        }
        None
    }

    /// Take in what came of work beside the loop.
    fn receive(&mut self, message: Message) -> Event {
        match message {
            Message::Fetched(result) => self.fetched(*result),
            Message::Applied(receipts) => Event::Applied(self.take_in(receipts)),
            Message::Pruned(receipts) => Event::Pruned(self.take_in(receipts)),
            Message::Record(answer) => self.found(*answer),
            Message::Raised(fence) => {
                self.raising = false;
                self.fenced(fence);
                Event::Woke
            }
            Message::Gone(ids) => self.forget(&ids),
            Message::Answered(answers) => self.answered(answers),
            Message::AskAgain => self.ask_again(),
            Message::Engine(event) => event,
        }
    }

    /// Whether the target turned out to be another cluster than it was.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// The last report; then the lease is given back.
    pub(super) async fn finish(mut self, engine: &Engine) -> Report {
        let peers = self.peers.take().map(|peers| tokio::spawn(peers.finish()));
        // What of a batch is not sent yet is not sent any more.
        self.fence.close();
        let report = self.make_report(engine);
        if engine.may_tell() {
            self.policy_reports.tell();
            self.policy_reports.finish().await;
            self.reporter.finish(&report).await;
        }
        if let Some(write) = engine.give_back()
            && !matches!(self.lease.write(write).await, Event::LeaseWritten(_))
        {
            tracing::warn!(after = ?LEASE_PATIENCE, "the lease could not be given back; it runs out by itself");
        }
        if let Some(peers) = peers {
            // One that panicked has nothing to give back.
            let _ = peers.await;
        }
        report
    }
}

/// Closes the fence when the loop ends, however it ends: work that goes on beside it sends nothing more.
struct Closing(Fence);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
