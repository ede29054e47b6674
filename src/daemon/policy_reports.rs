//! Writes what policies say of the objects of the repository into the cluster, beside the loop: the newest reports win, and
//! what says already what it should is not written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::apply::Fence;
use crate::cluster::{ApplyOptions, Cluster, ClusterError, DeleteOptions, ListOptions, Preconditions};
use crate::config::Repository;
use crate::engine::{Backoff, Event};
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, LiveState, ObjectId, ServedKind};
use crate::review::ObjectResults;
use crate::status::{self, REPORTS_OF, ReportKinds};

/// Changes closer together than this are written as one.
const QUIET: Duration = Duration::from_secs(1);
/// How long the last reports may take when the daemon ends.
const LAST: Duration = Duration::from_secs(10);

/// The reports that there are to be.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    /// All kinds of reports that the cluster takes: those of a kind that is not preferred (any more) go.
    kinds: Vec<ServedKind>,
    reports: BTreeMap<ObjectId, (ServedKind, Arc<Value>)>,
}

/// The reports in the cluster.
pub(super) struct PolicyReports {
    owner: String,
    made: status::PolicyReports,
    wanted: Option<Arc<Wanted>>,
    /// The repository asks for reports that nobody takes.
    unserved: bool,
    newest: watch::Sender<Option<Arc<Wanted>>>,
    problem: Arc<Mutex<Option<Finding>>>,
    /// Until when they are ours to write.
    fence: Fence,
    task: AbortOnDropHandle<()>,
}

impl PolicyReports {
    /// Begin; nothing is written before that is said to be ours. When what stands in the way of it changes, the loop is woken.
    pub(super) fn start(
        cluster: Cluster,
        owner: &str,
        events: mpsc::UnboundedSender<Event>,
    ) -> PolicyReports {
        let fence = Fence::default();
        let (newest, inbox) = watch::channel(None);
        let problem: Arc<Mutex<Option<Finding>>> = Arc::default();
        let writer = Writer {
            cluster,
            owner: owner.to_owned(),
            fence: fence.clone(),
            problem: problem.clone(),
            events,
            known: None,
        };
        PolicyReports {
            owner: owner.to_owned(),
            made: status::PolicyReports::default(),
            wanted: None,
            unserved: false,
            newest,
            problem,
            fence,
            task: AbortOnDropHandle::new(tokio::spawn(writer.run(inbox))),
        }
    }

    /// Whether anybody would take reports, and the repository does not decline.
    pub(super) fn are_wanted(repository: &Repository, live: &LiveState) -> bool {
        repository.policy_reports != Some(false) && ReportKinds::served(&live.kinds).is_some()
    }

    /// These are the results now.
    pub(super) fn take(&mut self, results: &[ObjectResults], repository: &Repository, live: &LiveState) {
        let preferred = ReportKinds::served(&live.kinds);
        self.unserved = preferred.is_none() && repository.policy_reports == Some(true);
        let Some(kinds) = preferred else {
            self.wanted = None;
            return;
        };
        let results = if repository.policy_reports == Some(false) { &[] } else { results };
        let lives = |name: &str| live.namespaces.get(name).is_some_and(|namespace| !namespace.is_deleting());
        let reports = self.made.about(&self.owner, &kinds, results, lives);
        let reports = reports.into_iter().filter_map(|report| {
            let id = ObjectId::of(&report).ok()?;
            let kind = kinds.of(id.namespace()).clone();
            Some((id, (kind, report)))
        });
        let all = ReportKinds::all_served(&live.kinds);
        let kinds = all.flat_map(|kinds| kinds.both().map(ServedKind::clone)).collect();
        let wanted = Wanted { kinds, reports: reports.collect() };
        if self.wanted.as_deref() != Some(&wanted) {
            self.wanted = Some(Arc::new(wanted));
        }
    }

    /// They may be written until then.
    pub(super) fn open_until(&self, end: Instant) {
        self.fence.open_until(end);
    }

    /// None may be written for the moment.
    pub(super) fn close(&self) {
        self.fence.close();
    }

    /// They are ours to write.
    pub(super) fn tell(&self) {
        self.newest.send_if_modified(|newest| {
            let same = match (&*newest, &self.wanted) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            if !same {
                newest.clone_from(&self.wanted);
            }
            !same
        });
    }

    /// Nothing is ours to write any more: whoever does knows better what is there.
    pub(super) fn hush(&self) {
        self.newest.send_if_modified(|newest| newest.take().is_some());
    }

    /// What stands in their way.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let unserved = self.unserved.then(|| {
            let message =
                "the cluster takes no policy reports: nobody defines PolicyReport of wgpolicyk8s.io, or Report of openreports.io";
            Finding::warning(Code::NoPolicyReports, message)
        });
        unserved.into_iter().chain(self.problem.lock().clone()).collect()
    }

    /// Comes back when the last are written, or could not be.
    pub(super) async fn finish(self) {
        drop(self.newest);
        // A writer that panicked has nothing more to say.
        let _ = tokio::time::timeout(LAST, self.task).await;
    }
}

struct Writer {
    cluster: Cluster,
    owner: String,
    fence: Fence,
    problem: Arc<Mutex<Option<Finding>>>,
    events: mpsc::UnboundedSender<Event>,
    /// What is in the cluster, once it was looked at.
    known: Option<Known>,
}

/// What is in the cluster, as far as is known: the kinds that were looked at, and the reports.
#[derive(Default)]
struct Known {
    kinds: Vec<ServedKind>,
    reports: BTreeMap<ObjectId, (ServedKind, LiveObject)>,
}

/// Why not all is written.
enum Trouble {
    /// Writes are not ours for the moment.
    Fenced,
    Cluster(ClusterError),
}

impl From<ClusterError> for Trouble {
    fn from(error: ClusterError) -> Trouble {
        Trouble::Cluster(error)
    }
}

impl Writer {
    async fn run(mut self, mut inbox: watch::Receiver<Option<Arc<Wanted>>>) {
        let mut backoff = Backoff::default();
        while inbox.changed().await.is_ok() {
            let Some(wanted) = inbox.borrow_and_update().clone() else {
                self.known = None;
                continue;
            };
            match self.write(&wanted).await {
                Ok(()) => {
                    self.tell(None);
                    backoff = Backoff::default();
                    tokio::select! {
                        () = tokio::time::sleep(QUIET) => {}
                        () = closed(&inbox) => {}
                    }
                }
                Err(trouble) => {
                    if let Trouble::Cluster(error) = &trouble {
                        tracing::warn!(%error, "policy reports could not be written; trying again");
                        self.tell(Some(error));
                        self.known = None;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next(0)) => inbox.mark_changed(),
                        // When the daemon ends there is no second try.
                        news = inbox.changed() => if news.is_ok() { inbox.mark_changed() },
                    }
                }
            }
        }
    }

    /// What is in the way, for the report of the daemon.
    fn tell(&self, error: Option<&ClusterError>) {
        let finding = error.map(|error| {
            Finding::warning(Code::NoPolicyReports, format!("policy reports cannot be written: {error}"))
        });
        let mut problem = self.problem.lock();
        if *problem != finding {
            *problem = finding;
            // Nobody listens any more when the daemon ends.
            let _ = self.events.send(Event::Woke);
        }
    }

    /// Write what differs and delete what is left over. One that cannot be written does not stop the others.
    async fn write(&mut self, wanted: &Wanted) -> Result<(), Trouble> {
        let mut known = match self.known.take() {
            Some(known) if known.kinds == wanted.kinds => known,
            _ => self.look(wanted).await?,
        };
        let done = self.write_over(wanted, &mut known).await;
        self.known = Some(known);
        done
    }

    async fn write_over(&self, wanted: &Wanted, known: &mut Known) -> Result<(), Trouble> {
        let mut first = Ok(());
        for (id, (kind, report)) in &wanted.reports {
            let live = known.reports.get(id).map(|(_, live)| &*live.body);
            if live.is_some_and(|live| status::says_the_same(live, report)) {
                continue;
            }
            self.is_ours()?;
            let stamped = status::stamped(report, live, Timestamp::now().as_second());
            let options = ApplyOptions { force: true, ..ApplyOptions::default() };
            match self.cluster.apply(kind, &stamped, &options).await {
                Ok(made) => {
                    // What it says is what was asked for: a definition of another age may keep less of it.
                    let uid = made.uid().to_owned();
                    let mut kept = stamped;
                    kept["metadata"]["uid"] = uid.into();
                    known.reports.insert(id.clone(), (kind.clone(), LiveObject::new(kept)));
                }
                // Its namespace has gone meanwhile; the next plan knows.
                Err(ClusterError::NotFound { .. }) => {}
                Err(error) => first = first.and(Err(error.into())),
            }
        }
        let left: Vec<ObjectId> =
            known.reports.keys().filter(|id| !wanted.reports.contains_key(*id)).cloned().collect();
        for id in left {
            let Some((kind, live)) = known.reports.get(&id) else { continue };
            self.is_ours()?;
            let options =
                DeleteOptions { preconditions: Preconditions::uid_of(live), ..DeleteOptions::default() };
            match self.cluster.delete(kind, &id, &options).await {
                Ok(_) | Err(ClusterError::NotFound { .. } | ClusterError::NotServed { .. }) => {
                    known.reports.remove(&id);
                }
                Err(error) => first = first.and(Err(error.into())),
            }
        }
        first
    }

    fn is_ours(&self) -> Result<(), Trouble> {
        if self.fence.is_open() { Ok(()) } else { Err(Trouble::Fenced) }
    }

    /// Look at what is in the cluster.
    async fn look(&self, wanted: &Wanted) -> Result<Known, Trouble> {
        let labels = Some(format!("{REPORTS_OF}={}", self.owner));
        let options = ListOptions { labels, ..ListOptions::default() };
        let mut known = Known { kinds: wanted.kinds.clone(), ..Known::default() };
        for kind in &wanted.kinds {
            let is_written = wanted.reports.values().any(|(wanted, _)| wanted == kind);
            match self.cluster.list(kind, &options).await {
                Ok(found) => known.reports.extend(
                    found
                        .into_iter()
                        .filter_map(|live| Some((ObjectId::of(&live.body).ok()?, (kind.clone(), live)))),
                ),
                // Who may not look at what he does not write has left nothing there.
                Err(error) if !is_written && !error.is_retryable() => {
                    tracing::debug!(%error, kind = kind.plural, "reports could not be looked for");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(known)
    }
}

async fn closed<T>(inbox: &watch::Receiver<T>) {
    let mut inbox = inbox.clone();
    inbox.mark_unchanged();
    while inbox.changed().await.is_ok() {}
}
