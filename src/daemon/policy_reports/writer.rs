//! Writes reports beside the loop. Each that fails waits for itself; what others delete or change comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::Wanted;
use crate::apply::Fence;
use crate::cluster::{ApplyOptions, Cluster, ClusterError, DeleteOptions, ListOptions, Preconditions};
use crate::engine::{Backoff, Event};
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, ObjectId, ServedKind};
use crate::status::{self, REPORTS_OF};

/// Changes closer together than this are written as one.
const QUIET: Duration = Duration::from_secs(1);
/// How often is looked whether the reports are still there as they were written.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Who writes.
pub(super) struct Writer {
    cluster: Cluster,
    owner: String,
    fence: Fence,
    problem: Arc<Mutex<Option<Finding>>>,
    events: mpsc::UnboundedSender<Event>,
    /// What is in the cluster, once it was looked at.
    known: Option<Known>,
    /// What could not be written or deleted; `None` is the look at what is there.
    failing: BTreeMap<Option<ObjectId>, Failing>,
    /// Something is left because writes are not ours for the moment.
    held: bool,
}

/// What is in the cluster, as far as is known: the kinds that were looked at, and the reports.
struct Known {
    kinds: Vec<ServedKind>,
    /// When; `None` if it proved to be out of date.
    looked: Option<Instant>,
    /// Those that we wrote say what was asked for: a definition of another age may keep less of it, or add defaults.
    reports: BTreeMap<ObjectId, (ServedKind, LiveObject)>,
}

/// What waits for its next try.
struct Failing {
    backoff: Backoff,
    until: Instant,
    /// `None` if nobody needs to know.
    why: Option<ClusterError>,
}

impl Writer {
    /// Writes when the fence is open; what stands in the way of it is left as the problem, and the loop is woken.
    pub(super) fn new(
        cluster: Cluster,
        owner: &str,
        fence: Fence,
        problem: Arc<Mutex<Option<Finding>>>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Writer {
        Writer {
            cluster,
            owner: owner.to_owned(),
            fence,
            problem,
            events,
            known: None,
            failing: BTreeMap::new(),
            held: false,
        }
    }

    /// Until nobody says any more what is wanted. When the daemon ends there is no second try.
    pub(super) async fn run(mut self, mut inbox: watch::Receiver<Option<Arc<Wanted>>>) {
        let mut wanted: Option<Arc<Wanted>> = None;
        loop {
            tokio::select! {
                biased;
                news = inbox.changed() => {
                    if news.is_err() {
                        return;
                    }
                    wanted = inbox.borrow_and_update().clone();
                }
                () = tokio::time::sleep_until(self.due().into()), if wanted.is_some() => {}
            }
            let Some(wanted) = &wanted else {
                self.known = None;
                self.failing.clear();
                self.tell();
                continue;
            };
            self.write(wanted).await;
            self.tell();
            tokio::select! {
                () = tokio::time::sleep(QUIET) => {}
                () = closed(&inbox) => {}
            }
        }
    }

    /// When there is something to do without news.
    fn due(&self) -> Instant {
        if let Some(look) = self.failing.get(&None) {
            return look.until;
        }
        let again = self.known.as_ref().and_then(|known| known.looked).map(|looked| looked + LOOK_AGAIN);
        let Some(again) = again.filter(|_| !self.held) else { return Instant::now() };
        self.failing.values().map(|failing| failing.until).fold(again, Instant::min)
    }

    /// What is in the way, for the report of the daemon.
    fn tell(&self) {
        let failing = self.failing.iter().filter_map(|(id, failing)| Some((id, failing.why.as_ref()?)));
        let mut failing = failing.peekable();
        let first = failing.peek().map(|(id, error)| ((*id).clone(), (*error).clone()));
        let more = failing.count().saturating_sub(1);
        let finding = first.map(|(id, error)| {
            let what = match id {
                None => "what there is of policy reports cannot be looked at".to_owned(),
                Some(id) => format!("policy reports cannot be written: {id}"),
            };
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            let finding = Finding::warning(Code::NoPolicyReports, format!("{what}: {error}{more}"));
            match error.finding().help {
                Some(help) => finding.help(help),
                None => finding,
            }
        });
        let mut problem = self.problem.lock();
        if *problem != finding {
            *problem = finding;
            // Nobody listens any more when the daemon ends.
            let _ = self.events.send(Event::Woke);
        }
    }

    /// Look if it is time to, write what differs and delete what is left over.
    async fn write(&mut self, wanted: &Wanted) {
        self.held = !self.fence.is_open();
        if self.held {
            return;
        }
        let is_fresh = |known: &Known| {
            known.kinds == wanted.kinds && known.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN)
        };
        if !self.known.as_ref().is_some_and(is_fresh) {
            if self.waits(None) {
                return;
            }
            match self.look(wanted).await {
                Ok(known) => self.known = Some(known),
                Err(error) => return self.failed(None, error),
            }
            self.failing.remove(&None);
        }
        let Some(mut known) = self.known.take() else { return };
        self.failing.retain(|id, _| {
            id.as_ref().is_some_and(|id| wanted.reports.contains_key(id) || known.reports.contains_key(id))
        });
        self.write_over(wanted, &mut known).await;
        self.known = Some(known);
    }

    /// One that cannot be written does not stop the others.
    async fn write_over(&mut self, wanted: &Wanted, known: &mut Known) {
        for (id, (kind, report)) in &wanted.reports {
            let live = known.reports.get(id).map(|(_, live)| &*live.body);
            if live.is_some_and(|live| status::says_the_same(live, report)) {
                self.failing.remove(&Some(id.clone()));
                continue;
            }
            if self.waits(Some(id)) || self.is_held() {
                continue;
            }
            match self.apply(kind, report, live).await {
                Ok(made) => {
                    known.reports.insert(id.clone(), (kind.clone(), made));
                    self.failing.remove(&Some(id.clone()));
                }
                Err(error) => self.failed(Some(id), error),
            }
        }
        let left: Vec<ObjectId> =
            known.reports.keys().filter(|id| !wanted.reports.contains_key(*id)).cloned().collect();
        for id in left {
            if self.waits(Some(&id)) || self.is_held() {
                continue;
            }
            let Some((kind, live)) = known.reports.get(&id) else { continue };
            let options =
                DeleteOptions { preconditions: Preconditions::uid_of(live), ..DeleteOptions::default() };
            match self.cluster.delete(kind, &id, &options).await {
                Ok(_) | Err(ClusterError::NotFound { .. } | ClusterError::NotServed { .. }) => {
                    known.reports.remove(&id);
                    self.failing.remove(&Some(id));
                }
                Err(error) => {
                    if matches!(error, ClusterError::Stale { .. }) {
                        known.looked = None;
                    }
                    self.failed(Some(&id), error);
                }
            }
        }
    }

    async fn apply(
        &self,
        kind: &ServedKind,
        report: &Value,
        live: Option<&Value>,
    ) -> Result<LiveObject, ClusterError> {
        let mut stamped = status::stamped(report, live, Timestamp::now().as_second());
        let options = ApplyOptions { force: true, ..ApplyOptions::default() };
        let made = self.cluster.apply(kind, &stamped, &options).await?;
        stamped["metadata"]["uid"] = made.uid().into();
        stamped["metadata"]["resourceVersion"] = made.resource_version().into();
        Ok(LiveObject::new(stamped))
    }

    fn is_held(&mut self) -> bool {
        self.held |= !self.fence.is_open();
        self.held
    }

    /// Whether its next try is yet to come.
    fn waits(&self, id: Option<&ObjectId>) -> bool {
        self.failing.get(&id.cloned()).is_some_and(|failing| Instant::now() < failing.until)
    }

    fn failed(&mut self, id: Option<&ObjectId>, error: ClusterError) {
        let now = Instant::now();
        let failing = self.failing.entry(id.cloned()).or_insert_with(|| Failing {
            backoff: Backoff::default(),
            until: now,
            why: None,
        });
        let asked = match &error {
            ClusterError::Retry { after, .. } => after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        failing.until = now + failing.backoff.next(0).max(asked);
        failing.why = (!is_for_want_of_namespace(&error)).then_some(error);
        if let Some(error) = &failing.why {
            let report = id.map(ToString::to_string);
            tracing::warn!(%error, report, "policy reports could not be written; trying again");
        }
    }

    /// Look at what is in the cluster.
    async fn look(&self, wanted: &Wanted) -> Result<Known, ClusterError> {
        let labels = Some(format!("{REPORTS_OF}={}", self.owner));
        let options = ListOptions { labels, ..ListOptions::default() };
        let mut known =
            Known { kinds: wanted.kinds.clone(), looked: Some(Instant::now()), reports: BTreeMap::new() };
        for kind in &wanted.kinds {
            let is_written = wanted.reports.values().any(|(wanted, _)| wanted == kind);
            match self.cluster.list(kind, &options).await {
                Ok(found) => known.reports.extend(found.into_iter().filter_map(|live| {
                    let id = ObjectId::of(&live.body).ok()?;
                    let live = self.unchanged(&id, &live).unwrap_or(live);
                    Some((id, (kind.clone(), live)))
                })),
                // Who may not look at what he does not write has left nothing there.
                Err(error) if !is_written && !error.is_retryable() => {
                    tracing::debug!(%error, kind = kind.plural, "reports could not be looked for");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    /// What was known before, if nobody has written since: what a definition defaults is not written again and again.
    fn unchanged(&self, id: &ObjectId, live: &LiveObject) -> Option<LiveObject> {
        let (_, before) = self.known.as_ref()?.reports.get(id)?;
        let version = |it: &LiveObject| (it.uid().to_owned(), it.resource_version().to_owned());
        (version(before) == version(live)).then(|| before.clone())
    }
}

/// Its namespace goes or has gone; the next plan knows.
fn is_for_want_of_namespace(error: &ClusterError) -> bool {
    match error {
        ClusterError::NotFound { .. } => true,
        ClusterError::Refused { status: 403, message, .. } => {
            message.contains("because it is being terminated")
        }
        _ => false,
    }
}

async fn closed<T>(inbox: &watch::Receiver<T>) {
    let mut inbox = inbox.clone();
    inbox.mark_unchanged();
    while inbox.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
