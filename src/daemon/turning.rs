//! One turn of the loop: performing effects, taking in what came of them, saying how it stands.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use super::bootstrap;
use super::fetch::{Fetched, Fetcher};
use super::hold_up::{Sought, held_up};
use super::lease::LeaseClient;
use super::notes::Scribe;
use super::peer_record::{OwnMemory, OwnRecord, PeerRecord, gone, not_back, united};
use super::peers::{Peers, StandIn};
use super::pipeline::{Pipeline, Turn, fingerprint, rules_of};
use super::reporter::Reporter;
use super::target::{Target, absent, attempted_in, prepared};
use crate::apply::{Applier, Fence, Outcome, Receipt, Work};
use crate::cluster::{Cluster, ClusterError, WriteFence};
use crate::engine::{
    Backoff, Candidate, Effect, Engine, Event, LEASE_PATIENCE, Look, UnitPhase, WriteEnd, Written,
};
use crate::finding::Finding;
use crate::model::{GroupKind, LiveObject, LiveState, ObjectId, Revision, Snapshot};
use crate::plan::{Action, Cause, Provisioned, Step};
use crate::render::Manifests;
use crate::source::SourceError;
use crate::status::{self, ObjectCounts, Report, SourceRecord, Suspension, UnitStatus};
use crate::web::Probes;

/// How long the API server may take to know who writes.
const FENCE_PATIENCE: Duration = Duration::from_secs(5);

/// How long the API server may take to answer the questions of policies.
const QUESTION_DEADLINE: Duration = Duration::from_secs(10);
/// How often what policies asked for is asked again.
const QUESTION_INTERVAL: Duration = Duration::from_secs(30);

/// What comes back from work beside the loop.
pub(super) enum Message {
    Fetched(Box<Result<Fetched, SourceError>>),
    Applied(Vec<Receipt>),
    Pruned(Vec<Receipt>),
    Record(Box<Result<Found, ClusterError>>),
    Raised(Result<WriteFence, Box<Finding>>),
    /// Clusters of the peer that were asked for and are gone.
    Gone(Vec<ObjectId>),
    /// What the cluster says to the questions of policies.
    Answered(Vec<(String, Result<Value, String>)>),
    Engine(Event),
}

/// What the target records, read from itself.
pub(super) struct Found {
    live: Option<LiveObject>,
    /// Whether the target is the cluster that it was.
    same_cluster: bool,
    /// The fence in the API server, if it was asked for.
    write_fence: Option<Result<WriteFence, Box<Finding>>>,
    /// What it keeps of itself.
    own: OwnRecord,
    /// All files of the revision that it says was applied as a whole, where that is another than was known.
    applied: Option<Snapshot>,
}

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
    events: mpsc::UnboundedReceiver<Event>,
    probes: Probes,
    messages: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// Whether the plan waits for what policies asked.
    waiting: bool,
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
            Effect::OpenFence(until) => self.fence.open_until(self.began + until),
            Effect::CloseFence => {
                self.fence.close();
                if !engine.holds_lease() {
                    self.reporter.hush();
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
            Message::Engine(event) => event,
        }
    }

    /// Have something asked beside the loop.
    fn ask(&self, request: impl Future<Output = Message> + Send + 'static) {
        let messages = self.messages.clone();
        // Nobody listens any more when the daemon ends.
        tokio::spawn(async move { messages.send(request.await) });
    }

    /// Have read what the target records, and the API server told who writes from now on.
    fn read_record(&self) {
        let (cluster, fetcher) = (self.cluster.clone(), self.fetcher.clone());
        let (owner, identity) = (self.target.owner().to_owned(), self.candidate.identity.clone());
        let known = self.pipeline.applied_revision().cloned();
        let expected = self.stand_in.as_ref().map(|stand_in| stand_in.uid.clone());
        let is_shared = self.stand_in.is_some() || self.peers.as_ref().is_some_and(Peers::exist);
        let mut write_fence = self.write_fence.clone().filter(Result::is_ok);
        let told = self.stand_in.as_ref().map(|it| (it.home.0.clone(), it.record.lost.clone()));
        let memory = self.own_memory.clone();
        self.ask(async move {
            let read = async {
                if let Some(expected) = &expected {
                    if cluster.uid().await? != *expected {
                        return Ok(Found {
                            live: None,
                            same_cluster: false,
                            write_fence: None,
                            own: OwnRecord::default(),
                            applied: None,
                        });
                    }
                    prepared(&cluster, &owner).await?;
                }
                if is_shared {
                    if write_fence.is_none() {
                        write_fence = Some(WriteFence::raise(&cluster, &owner, &identity).await?);
                    }
                    if let Some(Ok(fence)) = &write_fence {
                        let delay = fence.wait(FENCE_PATIENCE).await?;
                        tracing::info!(%owner, ?delay, "the API server knows who writes");
                    }
                }
                let own = own_record(&memory, told).await?;
                let live = bootstrap::find(&cluster, &owner).await?;
                let applied = live.as_ref().and_then(|live| status::recorded(&live.body).1);
                let applied = applied.map(|revision| Revision::new(&revision));
                let applied = match applied.filter(|applied| Some(applied) != known.as_ref()) {
                    Some(revision) => snapshot_of(&fetcher, &revision).await,
                    None => None,
                };
                Ok(Found { live, same_cluster: true, write_fence, own, applied })
            };
            Message::Record(Box::new(read.await))
        });
    }

    fn found(&mut self, answer: Result<Found, ClusterError>) -> Event {
        match answer {
            Err(error) => {
                let mut finding = error.finding();
                finding.message = format!("what the cluster records cannot be read: {}", finding.message);
                tracing::warn!(code = %finding.code, "{}", finding.message);
                Event::RecordUnread(Box::new(finding))
            }
            Ok(Found { same_cluster: false, .. }) => {
                self.elsewhere = true;
                Event::Woke
            }
            Ok(Found { live, applied, write_fence, own, .. }) => {
                self.pipeline.recall_moves(&own.moved);
                self.own = own;
                if let Some(fence) = write_fence {
                    self.fenced(fence);
                }
                if let Some(snapshot) = applied {
                    self.pipeline.record_revision(&snapshot, &self.target.live());
                }
                let status = live.as_ref().map(|live| &live.body);
                let recorded = status.and_then(|body| attempted_in(body));
                self.applied = status.and_then(|body| status::recorded(body).1).map(|it| Revision::new(&it));
                self.reporter.found(live);
                Event::RecordSeen(recorded)
            }
        }
    }

    /// From now on writes bear our mark, if the API server takes it.
    fn fenced(&mut self, fence: Result<WriteFence, Box<Finding>>) {
        if let Ok(fence) = &fence {
            self.applier = self.applier.clone().shared(fence.writer().clone());
            self.lease.mark(fence.identity());
        }
        self.write_fence = Some(fence);
    }

    /// Have the fence raised that was not needed when the lease was won, for there was nobody else.
    fn raise_fence(&mut self) {
        if self.raising || self.write_fence.is_some() {
            return;
        }
        self.raising = true;
        let (cluster, messages) = (self.cluster.clone(), self.messages.clone());
        let (owner, identity) = (self.target.owner().to_owned(), self.candidate.identity.clone());
        tokio::spawn(async move {
            let mut backoff = Backoff::default();
            let fence = loop {
                match WriteFence::raise(&cluster, &owner, &identity).await {
                    Ok(fence) => break fence,
                    Err(error) => tracing::warn!(%error, %owner, "writes are not fenced yet; trying again"),
                }
                tokio::select! {
                    () = messages.closed() => return,
                    () = tokio::time::sleep(backoff.next(0)) => {}
                }
            };
            // Nobody listens any more when the daemon ends.
            let _ = messages.send(Message::Raised(fence));
        });
    }

    fn record(&mut self, revision: Revision, engine: &Engine) -> Option<Event> {
        if self.reporter.has_recorded(&revision) {
            return Some(Event::Recorded(revision));
        }
        // The report is of this revision; that it is written is told by the reporter.
        let report = self.make_report(engine);
        self.reporter.insist(&report);
        None
    }

    /// Whether the target turned out to be another cluster than it was.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Tell the home what is wrong with the peer that it stands in for.
    pub(super) fn tell_home(&self, engine: &Engine) {
        if let Some(stand_in) = &self.stand_in {
            let mut findings = engine.own_findings();
            findings.extend(self.unfenced());
            if findings.is_empty() {
                // One of many watches that fail for one reason says enough.
                findings.extend(self.target.findings().into_iter().take(1));
            }
            stand_in.board.set(&stand_in.name, findings);
        }
    }

    fn unfenced(&self) -> Option<Finding> {
        self.write_fence.as_ref()?.as_ref().err().map(|finding| (**finding).clone())
    }

    /// The last report; then the lease is given back.
    pub(super) async fn finish(mut self, engine: &Engine) -> Report {
        let peers = self.peers.take().map(|peers| tokio::spawn(peers.finish()));
        // What of a batch is not sent yet is not sent any more.
        self.fence.close();
        let report = self.make_report(engine);
        if engine.may_tell() {
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

    fn fetch(&mut self, after: Option<Revision>) {
        // It was read before the target was known; only with nothing recorded needs its descent no judging.
        if let Some(first) = self.first.take().filter(|_| after.is_none()) {
            return self.ask(async move { Message::Fetched(Box::new(Ok(first))) });
        }
        let fetcher = self.fetcher.clone();
        self.ask(async move { Message::Fetched(Box::new(fetcher.fetch(after).await)) });
    }

    fn fetched(&mut self, result: Result<Fetched, SourceError>) -> Event {
        match result {
            Err(error) => {
                self.probes.metrics.fetch_failures.inc();
                let finding = error.finding();
                tracing::warn!(code = %finding.code, "{}", finding.message);
                Event::FetchFailed(Box::new(finding))
            }
            Ok(fetched) => {
                let revision = fetched.snapshot.revision.clone();
                let look = Look {
                    approved: !fetched.descends && self.target.approves_revision(&revision),
                    revision,
                    after: fetched.after.clone(),
                    descends: fetched.descends,
                };
                self.fetched = Some(fetched);
                Event::Fetched(look)
            }
        }
    }

    fn plan(&mut self, engine: &Engine) -> Event {
        let accepted = self.fetched.take_if(|it| Some(&it.snapshot.revision) == engine.revision());
        if let Some(fetched) = accepted {
            self.left_out = fetched.left_out;
            self.snapshot = Some(fetched.snapshot);
        }
        self.may_tell = engine.may_tell();
        self.plan_again()
    }

    /// Plan by what is known; what policies ask for comes first.
    fn plan_again(&mut self) -> Event {
        let Some(snapshot) = &self.snapshot else { return Event::Woke };
        let began = Instant::now();
        let live = self.target.live();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if !self.is_at_home_in(&live) {
            self.elsewhere = true;
            return Event::Woke;
        }
        let approvals = self.target.approvals();
        let places = self.places();
        let lost = self.stand_in.as_ref().map(|stand_in| stand_in.record.lost.clone()).unwrap_or_default();
        let lost = united(lost, &self.own.lost);
        let rules = |manifests: &Manifests| {
            let mut rules = rules_of(manifests, &approvals);
            for (name, url) in &places {
                rules.homes.stands(name, url);
            }
            rules.may_exist = lost;
            rules
        };
        let pipeline = &mut self.pipeline;
        pipeline.suspend(self.target.suspensions());
        let turn = tokio::task::block_in_place(|| pipeline.turn(snapshot, &live, rules, &now));
        let open = self.pipeline.world.open();
        self.waiting = !open.is_empty();
        if self.waiting {
            self.ask_for(open, Duration::ZERO);
            return Event::Woke;
        }
        if let Some(peers) = &mut self.peers {
            peers.follow(&turn, &approvals);
        }
        if self.may_tell && self.peers.as_ref().is_some_and(Peers::exist) {
            self.raise_fence();
        }
        self.remember(&live);
        self.remember_itself(&live);
        self.target.follow(&turn);
        self.probes.metrics.planned_in(began.elapsed());
        self.probes.set_ready(true);
        let view = turn.view.clone();
        self.turn = Some(turn);
        self.publish_policies(&live);
        Event::Planned(view)
    }

    /// Have the cluster asked what policies want to know.
    fn ask_for(&self, paths: Vec<String>, after: Duration) {
        let cluster = self.cluster.clone();
        self.ask(async move {
            tokio::time::sleep(after).await;
            Message::Answered(cluster.answers(paths, QUESTION_DEADLINE).await)
        });
    }

    /// Plan with what is known now. What was answered is asked again later, for it may change.
    fn answered(&mut self, answers: Vec<(String, Result<Value, String>)>) -> Event {
        let paths = answers.iter().map(|(path, _)| path.clone()).collect();
        let world = &mut self.pipeline.world;
        let before = world.version();
        world.take(answers);
        let changed = world.version() != before;
        self.ask_for(paths, QUESTION_INTERVAL);
        match (self.waiting, changed) {
            (true, _) => self.plan_again(),
            (false, true) => Event::ClusterChanged,
            (false, false) => Event::Woke,
        }
    }

    /// The admission webhook judges by what is applied.
    fn publish_policies(&self, live: &LiveState) {
        let admission = &self.probes.admission;
        if let Some(applied) = self.pipeline.applied().filter(|_| admission.are_wanted()) {
            let namespaces = live.namespaces.iter().map(|(name, namespace)| (name, &*namespace.body));
            admission.publish(&applied.policy_set, &applied.schemas, namespaces);
        }
    }

    /// Whether it is still the cluster that is meant.
    fn is_at_home_in(&self, live: &LiveState) -> bool {
        let Some(stand_in) = &self.stand_in else { return true };
        let system = live.namespaces.get("kube-system");
        system.is_none_or(|system| system.uid() == stand_in.uid.as_str())
    }

    /// The management clusters that are known to stand, and where.
    fn places(&self) -> Vec<(String, String)> {
        let here = self.candidate.cluster.iter().map(|name| (name.clone(), self.cluster.url().to_owned()));
        let others = self.peers.iter().flat_map(Peers::standing).map(|name| (name, String::new()));
        let home = self.stand_in.iter().map(|stand_in| stand_in.home.clone());
        let told = self.own.standing.iter().map(|name| (name.clone(), String::new()));
        here.chain(others).chain(home).chain(told).collect()
    }

    /// What the peer would lose with its cluster is remembered at home.
    fn remember(&mut self, live: &LiveState) {
        let Some(stand_in) = &mut self.stand_in else { return };
        let unseen = stand_in.record.unseen(live);
        let record = stand_in.record.updated(live);
        if record != stand_in.record {
            stand_in.record = record;
            self.peer_scribe.iter().for_each(|scribe| scribe.keep(&stand_in.record));
        }
        let clusters = GroupKind { group: "cluster.x-k8s.io".into(), kind: "Cluster".into() };
        let kind = live.kinds.get(&clusters).and_then(|versions| versions.first()).cloned();
        if let Some(kind) = kind.filter(|_| !unseen.is_empty() && !self.asking) {
            self.asking = true;
            let (peer, uid) = (self.cluster.clone(), stand_in.uid.clone());
            self.ask(async move { Message::Gone(gone(&peer, &uid, &kind, unseen).await) });
        }
    }

    /// What the peer itself says is gone need not be remembered.
    fn forget(&mut self, gone: &[ObjectId]) -> Event {
        self.asking = false;
        if let Some(stand_in) = self.stand_in.as_mut().filter(|_| !gone.is_empty()) {
            stand_in.record.clusters.retain(|cluster| !gone.contains(&cluster.id()));
            self.peer_scribe.iter().for_each(|scribe| scribe.keep(&stand_in.record));
        }
        Event::Woke
    }

    /// What whoever reconciles the target next must know is kept in it.
    fn remember_itself(&mut self, live: &LiveState) {
        let lost = not_back(&self.own.lost, live);
        let own = OwnRecord { lost, moved: self.pipeline.moved(), standing: self.own.standing.clone() };
        if own != self.own && self.may_tell {
            self.own_scribe.keep(&own);
            self.own = own;
        }
    }

    fn apply(&mut self, ids: &[ObjectId]) {
        let Some(turn) = &self.turn else { return };
        let live = self.target.live();
        let by_id: HashMap<&ObjectId, _> = turn.plan.steps.iter().map(|step| (step.id(), step)).collect();
        let work: Vec<Work> = ids
            .iter()
            .filter_map(|id| {
                let step = (*by_id.get(id)?).clone();
                let kind = live.served(&step.manifest.gvk)?.clone();
                Some(Work { live: live.objects.get(id).cloned(), step, kind })
            })
            .collect();
        drop(live);
        let (applier, target) = (self.applier.clone(), self.target.watches());
        self.beside(ids, Message::Applied, async move {
            // What exists without being ours is not in the watch caches: it must be seen before it is written over.
            let (new, known): (Vec<Work>, Vec<Work>) =
                work.into_iter().partition(|work| work.step.action == Action::Create);
            let (absent, mut receipts) = absent(&target, new).await;
            receipts.extend(applier.apply(known.into_iter().chain(absent).collect()).await);
            receipts
        });
    }

    /// Have writes done beside the loop. Whatever becomes of them, an answer comes: the loop waits for it.
    fn beside(
        &self,
        ids: &[ObjectId],
        answer: fn(Vec<Receipt>) -> Message,
        work: impl Future<Output = Vec<Receipt>> + Send + 'static,
    ) {
        let (messages, ids) = (self.messages.clone(), ids.to_vec());
        tokio::spawn(async move {
            let receipts = match tokio::spawn(work).await {
                Ok(receipts) => receipts,
                Err(error) => {
                    tracing::error!(%error, "writing failed inside");
                    ids.iter().map(Receipt::unknown).collect()
                }
            };
            // Nobody listens any more when the daemon ends.
            let _ = messages.send(answer(receipts));
        });
    }

    fn prune(&mut self, ids: &[ObjectId]) {
        let Some(turn) = &self.turn else { return };
        let live = self.target.live();
        let mut work = Vec::new();
        let mut receipts = Vec::new();
        let mut objects = Vec::new();
        for deletion in turn.plan.deletions.allowed.iter().filter(|deletion| ids.contains(&deletion.id)) {
            match live.served(&deletion.gvk) {
                Some(kind) => work.push((deletion.clone(), kind.clone())),
                None => {
                    let error = ClusterError::NotServed { what: deletion.gvk.to_string() };
                    receipts.push(Receipt::of_error(&deletion.id, None, &error));
                }
            }
            if let Some(object) = live.objects.get(&deletion.id) {
                objects.push((deletion.clone(), object.clone()));
            }
        }
        let sought = Sought::of(&live);
        let (applier, cluster) = (self.applier.clone(), self.cluster.clone());
        self.beside(ids, Message::Pruned, async move {
            receipts.extend(held_up(&cluster, &objects, &sought).await);
            work.retain(|(deletion, _)| receipts.iter().all(|receipt| receipt.id != deletion.id));
            receipts.extend(applier.prune(work).await);
            receipts
        });
    }

    /// Remember what was applied, so that the next plan sees it whether or not the watch has told of it.
    fn take_in(&mut self, receipts: Vec<Receipt>) -> Vec<Written> {
        let turn = self.turn.as_ref();
        let steps: HashMap<&ObjectId, &Arc<Step>> =
            turn.iter().flat_map(|turn| &turn.plan.steps).map(|step| (step.id(), step)).collect();
        receipts
            .into_iter()
            .map(|Receipt { id, desired, outcome }| {
                let step = steps.get(&id);
                let fingerprint = step.map(|step| fingerprint(&step.manifest)).unwrap_or_default();
                let drift = step.is_some_and(|step| matches!(step.action, Action::Update(Cause::Drift(_))));
                let end = match outcome {
                    Outcome::Written(object) | Outcome::AlreadySo(object) if desired.is_some() => {
                        self.probes.metrics.written.inc();
                        if drift {
                            self.probes.metrics.repaired.inc();
                        }
                        if let Some(desired) = desired {
                            self.pipeline.accepted.remember(&id, &desired, object.resource_version());
                            self.pipeline.record(&id, desired);
                        }
                        self.target.take_in(&id, Some(object));
                        WriteEnd::Done
                    }
                    Outcome::Written(_) | Outcome::AlreadySo(_) => WriteEnd::Done,
                    Outcome::Deleted(left) => {
                        self.target.take_in(&id, left);
                        WriteEnd::Done
                    }
                    Outcome::Refused(finding) => WriteEnd::Refused(Box::new(finding)),
                    Outcome::Failed(finding, after) => WriteEnd::Failed(Box::new(finding), after),
                };
                Written { id, fingerprint, end }
            })
            .collect()
    }

    /// Say how it stands.
    pub(super) fn report(&mut self, engine: &Engine) {
        // Before the first plan there is nothing to tell but what stands in its way.
        if self.turn.is_none() && engine.findings().is_empty() {
            return;
        }
        let report = self.make_report(engine);
        self.probes.metrics.report(&report);
        if engine.may_tell() {
            self.reporter.report(&report);
        }
    }

    fn make_report(&mut self, engine: &Engine) -> Report {
        let mut findings = self.left_out.clone();
        findings.extend(self.target.findings());
        findings.extend(self.turn.iter().flat_map(|turn| turn.findings.iter().cloned()));
        findings.extend(engine.findings());
        findings.extend(self.unfenced());
        findings.extend(self.peers.iter().flat_map(Peers::findings));
        let converged = engine.is_converged();
        let revision = engine.revision().cloned();
        if engine.has_applied_everything() && self.applied != revision {
            self.applied.clone_from(&revision);
            if let Some(turn) = &self.turn {
                self.pipeline.record_turn(turn);
                self.publish_policies(&self.target.live());
            }
        }
        let suspensions = self.target.suspensions();
        let units = engine.units().map(|unit| {
            let by_hand = suspensions.iter().find(|suspension| suspension.covers(unit.name.as_str()));
            let by_hand = by_hand.filter(|_| unit.phase == UnitPhase::Suspended);
            UnitStatus {
                name: unit.name.to_string(),
                phase: phase_name(&unit.phase).to_owned(),
                message: by_hand.map_or_else(|| unit.message.clone(), Suspension::words),
            }
        });
        let objects = self.turn.as_ref().map_or(ObjectCounts::default(), |turn| ObjectCounts {
            rendered: turn.manifests.manifests.len(),
            in_sync: turn.in_sync,
            blocked: turn.blocked,
            pending: turn.manifests.manifests.len().saturating_sub(turn.in_sync + turn.blocked),
        });
        Report {
            owner: self.target.owner().to_owned(),
            source: self.source.clone(),
            // One that was refused leaves no trace: what was attempted before is what the next must descend from.
            revision: revision.or_else(|| engine.recorded().cloned()).map(|revision| revision.to_string()),
            applied_revision: self.applied.as_ref().map(ToString::to_string),
            holds_lease: engine.holds_lease(),
            converged,
            stalled: engine.is_stalled(),
            units: units.collect(),
            objects,
            findings,
        }
    }
}

/// What the target keeps of itself, with what a stand-in tells it: the name of the cluster that he runs on, and what the
/// target has lost.
async fn own_record(
    memory: &OwnMemory,
    told: Option<(String, Vec<Provisioned>)>,
) -> Result<OwnRecord, ClusterError> {
    let mut own = match memory.recall().await {
        Err(error @ ClusterError::Refused { status: 403, .. }) => {
            tracing::warn!(%error, "what the cluster keeps of itself may not be read");
            OwnRecord::default()
        }
        answer => answer?,
    };
    let Some((name, lost)) = told else { return Ok(own) };
    let before = own.clone();
    own.lost = united(own.lost, &lost);
    own.standing.insert(name);
    if own != before {
        // Before the first write: its own daemon may be back at any moment.
        memory.keep(&own).await?;
    }
    Ok(own)
}

/// All files of a revision, if it can be read. Without it, edits by hand look like conflicts.
pub(super) async fn snapshot_of(fetcher: &Fetcher, revision: &Revision) -> Option<Snapshot> {
    match fetcher.snapshot(revision).await {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            tracing::warn!(%error, %revision, "the applied revision cannot be read; edits by hand look like conflicts");
            None
        }
    }
}

/// Closes the fence when the loop ends, however it ends: work that goes on beside it sends nothing more.
struct Closing(Fence);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn phase_name(phase: &UnitPhase) -> &'static str {
    match phase {
        UnitPhase::Refused => "Refused",
        UnitPhase::Suspended => "Suspended",
        UnitPhase::WaitingFor(_) => "WaitingForDependency",
        UnitPhase::Applying => "Applying",
        UnitPhase::WaitingForHealth => "WaitingForHealth",
        UnitPhase::Failed => "Failed",
        UnitPhase::TimedOut => "TimedOut",
        UnitPhase::Ready => "Ready",
    }
}
