//! Writes the Reconciliation and events, beside the loop: the newest report wins, and equal reports write nothing.
//!
//! The status says which revision may be applied, so it goes over the very state that was read: when somebody else has
//! recorded another revision since, nothing is written and the engine is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::bootstrap::{self, reconciliation_kind};
use super::target::attempted_in;
use crate::cluster::{ApplyOptions, Cluster, ClusterError, EventRecord, Preconditions};
use crate::engine::{Backoff, Event};
use crate::model::{LiveObject, Revision};
use crate::status::{self, EventNote, Report};

/// Reports closer together than this are written as one.
const QUIET: Duration = Duration::from_secs(1);
/// How long a report of a revision that was told before waits while it is in motion: going through units after a
/// restart, with nothing to write, is no news.
const PASSING: Duration = Duration::from_secs(5);

/// How often a report is written over what somebody else (an operator with an approval) has changed since it was read.
const ATTEMPTS: u32 = 3;

pub(super) struct Reporter {
    reports: watch::Sender<Inbox>,
    standing: Arc<Mutex<Standing>>,
    task: JoinHandle<()>,
}

/// What is to be told.
#[derive(Default)]
struct Inbox {
    report: Option<Report>,
    /// How often it was hushed: what was to be told before is not told after.
    hushes: u64,
}

/// What is known to be written.
struct Standing {
    live: Option<LiveObject>,
    /// The last report that was written, or that could not be.
    told: Report,
    /// The revision that is recorded.
    recorded: Option<Revision>,
    /// How often it was read anew: a report from before has no place after.
    readings: u64,
}

impl Standing {
    fn of(live: Option<LiveObject>) -> Standing {
        let told = live.as_ref().map(|live| status::last_told(&live.body)).unwrap_or_default();
        let recorded = live.as_ref().and_then(|live| attempted_in(&live.body));
        Standing { live, told, recorded, readings: 0 }
    }
}

struct Writer {
    cluster: Cluster,
    standing: Arc<Mutex<Standing>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Reporter {
    /// Begin; `live` is the Reconciliation as it stands. What becomes of the revisions in the reports is told as events.
    pub(super) fn start(
        cluster: Cluster,
        live: Option<LiveObject>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Reporter {
        let (reports, mut inbox) = watch::channel(Inbox::default());
        let standing = Arc::new(Mutex::new(Standing::of(live)));
        let writer = Writer { cluster, standing: standing.clone(), events };
        let task = tokio::spawn(async move {
            while inbox.changed().await.is_ok() {
                let news = |inbox: &Inbox| inbox.report.as_ref().is_some_and(|r| writer.is_news(r));
                // Whatever comes of it, or when nobody will report any more: then the newest is written.
                let _ = tokio::time::timeout(PASSING, inbox.wait_for(news)).await;
                let (report, hushes) = {
                    let newest = inbox.borrow_and_update();
                    (newest.report.clone(), newest.hushes)
                };
                let Some(report) = report else { continue };
                let mut backoff = Backoff::default();
                // What could not be written is written later, even if nothing newer comes: a restart goes by it.
                while !writer.write_unless_hushed(&report, &inbox, hushes).await {
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next(0)) => {}
                        news = inbox.changed() => {
                            if news.is_err() {
                                writer.write(&report).await;
                                return;
                            }
                            inbox.mark_changed();
                            break;
                        }
                    }
                }
                // No need to wait when nobody will report any more.
                tokio::select! {
                    () = tokio::time::sleep(QUIET) => {}
                    () = closed(&inbox) => {}
                }
            }
        });
        Reporter { reports, standing, task }
    }

    /// This is how it stands now, and it is to be written whatever became of the same report before.
    pub(super) fn insist(&self, report: &Report) {
        self.reports.send_modify(|inbox| inbox.report = Some(report.clone()));
    }

    /// The Reconciliation was read anew.
    pub(super) fn found(&self, live: Option<LiveObject>) {
        let mut standing = self.standing.lock();
        *standing = Standing { readings: standing.readings + 1, ..Standing::of(live) };
    }

    /// Nothing is ours to tell any more, nor what was to be told.
    pub(super) fn hush(&self) {
        self.reports.send_modify(|inbox| *inbox = Inbox { report: None, hushes: inbox.hushes + 1 });
    }

    /// Whether this revision is recorded already.
    pub(super) fn has_recorded(&self, revision: &Revision) -> bool {
        self.standing.lock().recorded.as_ref() == Some(revision)
    }

    /// This is how it stands now.
    pub(super) fn report(&self, report: &Report) {
        self.reports.send_if_modified(|inbox| {
            let differs = inbox.report.as_ref() != Some(report);
            if differs {
                inbox.report = Some(report.clone());
            }
            differs
        });
    }

    /// The last report; comes back when it is written, or could not be.
    pub(super) async fn finish(self, report: &Report) {
        self.report(report);
        drop(self.reports);
        // A writer that panicked has nothing more to say.
        let _ = tokio::time::timeout(Duration::from_secs(10), self.task).await;
    }
}

async fn closed(inbox: &watch::Receiver<Inbox>) {
    let mut inbox = inbox.clone();
    while inbox.changed().await.is_ok() {}
}

impl Writer {
    fn is_news(&self, report: &Report) -> bool {
        report.converged
            || report.stalled
            || report.revision.as_deref() != self.standing.lock().recorded.as_ref().map(Revision::as_str)
    }

    /// A request that hangs must not hold up what is to be told when the lease is ours again.
    /// `hushes` belongs to the report.
    async fn write_unless_hushed(
        &self,
        report: &Report,
        inbox: &watch::Receiver<Inbox>,
        hushes: u64,
    ) -> bool {
        let mut inbox = inbox.clone();
        let hushed = async {
            if inbox.wait_for(|inbox| inbox.hushes != hushes).await.is_err() {
                // Nobody reports any more: this is the last one.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = hushed => true,
            done = self.write(report) => done,
        }
    }

    /// Answers whether nothing is left to do about this report.
    async fn write(&self, report: &Report) -> bool {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut end = Ok(true);
        let readings = self.standing.lock().readings;
        for _ in 0..ATTEMPTS {
            end = self.write_once(report, &now).await;
            if !matches!(end, Err(ClusterError::Stale { .. })) {
                break;
            }
            match self.read_again(readings).await {
                Ok(true) => {}
                // Somebody else has applied more by now: this report has no place any more.
                Ok(false) => return true,
                Err(error) => end = Err(error),
            }
        }
        let notes = status::events(&self.standing.lock().told, report);
        for note in &notes {
            self.write_event(note, &now).await;
        }
        self.standing.lock().told = report.clone();
        match end {
            Ok(_) => {
                let recorded = report.revision.as_deref().map(Revision::new);
                self.standing.lock().recorded.clone_from(&recorded);
                // Nobody listens any more when the daemon ends.
                if let Some(revision) = recorded {
                    let _ = self.events.send(Event::Recorded(revision));
                }
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the status could not be written; trying again");
                // Somebody deleted it: it is made anew.
                if matches!(error, ClusterError::NotFound { .. }) {
                    self.standing.lock().live = None;
                }
                let mut finding = error.finding();
                finding.message = format!("the status cannot be written: {}", finding.message);
                let _ = self.events.send(Event::RecordFailed(Box::new(finding)));
                false
            }
        }
    }

    /// Answers whether there was anything to write.
    async fn write_once(&self, report: &Report, now: &str) -> Result<bool, ClusterError> {
        let live = self.standing.lock().live.clone();
        let object = status::reconciliation(report, live.as_ref().map(|live| &*live.body), now);
        if live.as_ref().is_some_and(|live| live.body["status"] == object["status"]) {
            return Ok(false);
        }
        let kind = reconciliation_kind();
        let before = match live {
            Some(live) => live,
            None => {
                let mut bare = object.clone();
                if let Some(map) = bare.as_object_mut() {
                    map.remove("status");
                }
                let made = self.cluster.apply(&kind, &bare, &ApplyOptions::default()).await?;
                if attempted_in(&made.body).is_some() {
                    return Err(ClusterError::Stale { message: "it is there already".to_owned() });
                }
                made
            }
        };
        let written = self.cluster.patch_status(&kind, &object, &Preconditions::of(&before)).await?;
        self.standing.lock().live = Some(written);
        Ok(true)
    }

    /// Look at what is there in place of what was expected. Answers whether the same revisions are still recorded
    /// as when the report was made.
    async fn read_again(&self, readings: u64) -> Result<bool, ClusterError> {
        let owner = {
            let standing = self.standing.lock();
            let live = standing.live.as_ref();
            live.and_then(|live| live.body["metadata"]["name"].as_str().map(str::to_owned))
        };
        let Some(name) = owner else { return Ok(true) };
        let live = bootstrap::find(&self.cluster, &name).await?;
        let recorded = live.as_ref().and_then(|live| attempted_in(&live.body));
        let mut standing = self.standing.lock();
        let applied =
            |live: &Option<LiveObject>| live.as_ref().and_then(|live| status::recorded(&live.body).1);
        if standing.readings != readings {
            return Ok(false);
        }
        let same = recorded == standing.recorded && applied(&live) == applied(&standing.live);
        standing.live = live;
        if !same {
            standing.recorded.clone_from(&recorded);
            let _ = self.events.send(Event::RecordSeen(recorded));
        }
        Ok(same)
    }

    async fn write_event(&self, note: &EventNote, now: &str) {
        let Some(about) = self.standing.lock().live.clone() else { return };
        let record = EventRecord {
            warning: note.kind == "Warning",
            reason: note.reason.clone(),
            action: "Reconcile".to_owned(),
            note: match &note.regarding {
                Some(id) => format!("{id}: {}", note.message),
                None => note.message.clone(),
            },
            instance: "moin".to_owned(),
            time: now.replace('Z', ".000000Z"),
        };
        if let Err(error) = self.cluster.record(&about, &record).await {
            tracing::debug!(%error, "an event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tokio::sync::Notify;

    /// A server that refuses the first writes of a status.
    fn server(refusals: u32) -> (Cluster, Arc<Mutex<Vec<Value>>>) {
        let stored: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (seen, left) = (stored.clone(), Arc::new(Mutex::new(refusals)));
        let router =
            axum::Router::new().fallback(move |uri: http::Uri, body: axum::body::Bytes| async move {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                if uri.path().ends_with("/status") {
                    let mut left = left.lock();
                    if *left > 0 {
                        *left -= 1;
                        return (http::StatusCode::INTERNAL_SERVER_ERROR, axum::Json(Value::Null));
                    }
                    seen.lock().push(body.clone());
                }
                (http::StatusCode::OK, axum::Json(body))
            });
        (Cluster::from_client(kube::Client::new(router, "default")), stored)
    }

    fn report(revision: &str) -> Report {
        Report { owner: "moin".into(), revision: Some(revision.into()), ..Report::default() }
    }

    #[tokio::test]
    async fn a_revision_is_recorded_only_when_it_is_written() {
        let (cluster, stored) = server(1);
        let (events, mut told) = mpsc::unbounded_channel();
        let reporter = Reporter::start(cluster, None, events);
        reporter.report(&report("b"));
        assert!(matches!(told.recv().await, Some(Event::RecordFailed(_))));
        assert!(stored.lock().is_empty());
        let again = told.recv().await;
        assert!(matches!(&again, Some(Event::Recorded(revision)) if revision.as_str() == "b"), "{again:?}");
        assert_eq!(stored.lock()[0]["status"]["revision"], "b");
        assert!(reporter.has_recorded(&Revision::new("b")));
        reporter.found(None);
        assert!(!reporter.has_recorded(&Revision::new("b")));
    }

    #[tokio::test]
    async fn what_somebody_else_recorded_is_not_written_over() {
        let body = |revision: &str, version: &str| {
            serde_json::json!({"apiVersion": "moin.scs.community/v1alpha1", "kind": "Reconciliation",
                "metadata": {"name": "moin", "namespace": "moin-system", "resourceVersion": version},
                "status": {"revision": revision}})
        };
        let stale = serde_json::json!({"kind": "Status", "reason": "Conflict", "message": "modified"});
        let router = axum::Router::new().fallback(move |method: http::Method| async move {
            match method {
                http::Method::GET => (http::StatusCode::OK, axum::Json(body("other", "2"))),
                _ => (http::StatusCode::CONFLICT, axum::Json(stale)),
            }
        });
        let cluster = Cluster::from_client(kube::Client::new(router, "default"));
        let (events, mut told) = mpsc::unbounded_channel();
        let reporter = Reporter::start(cluster, Some(LiveObject::new(body("a", "1"))), events);
        reporter.report(&report("b"));
        let seen = told.recv().await;
        assert!(matches!(&seen, Some(Event::RecordSeen(Some(it))) if it.as_str() == "other"), "{seen:?}");
    }

    /// A server that keeps the first write of a status until it is told to refuse it.
    struct SlowServer {
        cluster: Cluster,
        arrived: Arc<Notify>,
        refuse: Arc<Notify>,
        stored: Arc<Mutex<Vec<Value>>>,
    }

    fn slow_server(now: Value) -> SlowServer {
        let stored: Arc<Mutex<Vec<Value>>> = Arc::default();
        let [arrived, refuse] = [0, 1].map(|_| Arc::new(Notify::new()));
        let (seen, first) = (stored.clone(), Arc::new(Mutex::new(true)));
        let (tell, told) = (arrived.clone(), refuse.clone());
        let router =
            axum::Router::new().fallback(move |method: http::Method, body: axum::body::Bytes| async move {
                if method == http::Method::GET {
                    return (http::StatusCode::OK, axum::Json(now));
                }
                let is_first = std::mem::take(&mut *first.lock());
                if is_first {
                    tell.notify_one();
                    told.notified().await;
                    let stale =
                        serde_json::json!({"kind": "Status", "reason": "Conflict", "message": "modified"});
                    return (http::StatusCode::CONFLICT, axum::Json(stale));
                }
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                if !body["status"].is_null() {
                    seen.lock().push(body.clone());
                }
                (http::StatusCode::OK, axum::Json(body))
            });
        SlowServer {
            cluster: Cluster::from_client(kube::Client::new(router, "default")),
            arrived,
            refuse,
            stored,
        }
    }

    fn recorded(applied: &str, version: &str) -> Value {
        serde_json::json!({"apiVersion": "moin.scs.community/v1alpha1", "kind": "Reconciliation",
            "metadata": {"name": "moin", "namespace": "moin-system", "resourceVersion": version},
            "status": {"revision": "b", "appliedRevision": applied}})
    }

    #[tokio::test]
    async fn what_was_applied_meanwhile_is_not_taken_back_by_a_late_answer() {
        for read_anew in [false, true] {
            let server = slow_server(recorded("b", "2"));
            let (events, mut told) = mpsc::unbounded_channel();
            let before = LiveObject::new(recorded("a", "1"));
            let reporter = Reporter::start(server.cluster, Some(before), events);
            reporter.report(&Report { converged: true, ..report("b") });
            server.arrived.notified().await;
            if read_anew {
                reporter.found(Some(LiveObject::new(recorded("b", "2"))));
            }
            reporter.insist(&Report { applied_revision: Some("b".into()), converged: true, ..report("b") });
            server.refuse.notify_one();
            while !matches!(told.recv().await, Some(Event::Recorded(_))) {}
            let stored = server.stored.lock();
            let applied: Vec<&Value> = stored.iter().map(|body| &body["status"]["appliedRevision"]).collect();
            assert_eq!(applied, ["b"]);
        }
    }

    #[tokio::test]
    async fn a_request_that_hangs_does_not_hold_up_what_is_to_be_told_next() {
        let server = slow_server(recorded("a", "1"));
        let (events, mut told) = mpsc::unbounded_channel();
        let before = LiveObject::new(recorded("a", "1"));
        let reporter = Reporter::start(server.cluster, Some(before), events);
        reporter.insist(&report("c"));
        server.arrived.notified().await;
        reporter.hush();
        reporter.insist(&report("d"));
        let recorded = told.recv().await;
        assert!(matches!(&recorded, Some(Event::Recorded(it)) if it.as_str() == "d"), "{recorded:?}");
    }
}
