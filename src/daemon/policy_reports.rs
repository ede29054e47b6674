//! Writes what policies say of the objects of the repository into the cluster, beside the loop: the newest reports win, and
//! what says already what it should is not written.

mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use self::writer::Writer;
use crate::apply::Fence;
use crate::cluster::Cluster;
use crate::config::Repository;
use crate::engine::Event;
use crate::finding::{Code, Finding};
use crate::model::{LiveState, ObjectId, ServedKind};
use crate::review::ObjectResults;
use crate::status::{self, ReportKinds};

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
        let writer = Writer::new(cluster, owner, fence.clone(), problem.clone(), events);
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
