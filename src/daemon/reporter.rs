//! Writes the Reconciliation and events, beside the loop: the newest report wins, and equal reports write nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bootstrap::reconciliation_kind;
use crate::cluster::{ApplyOptions, Cluster, ClusterError, EventRecord, Preconditions};
use crate::engine::Backoff;
use crate::model::LiveObject;
use crate::status::{self, EventNote, Report};

/// Reports closer together than this are written as one.
const QUIET: Duration = Duration::from_secs(1);
/// How long a report of a revision that was told before waits while it is in motion: going through units after a
/// restart, with nothing to write, is no news.
const PASSING: Duration = Duration::from_secs(5);

/// How long writes wait for the report of their revision at most.
const TELLING: Duration = Duration::from_secs(5);

pub(super) struct Reporter {
    reports: watch::Sender<Option<Report>>,
    /// The revision of the last report that was written, or could not be.
    told: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

struct Writer {
    cluster: Cluster,
    live: Option<LiveObject>,
    told: Report,
    tell: watch::Sender<Option<String>>,
}

impl Reporter {
    /// Begin; `live` is the Reconciliation as it stands.
    pub(super) fn start(cluster: Cluster, live: Option<LiveObject>) -> Reporter {
        let (reports, mut inbox) = watch::channel(None);
        let told = live.as_ref().map(|live| status::last_told(&live.body)).unwrap_or_default();
        let (tell, telling) = watch::channel(told.revision.clone());
        let mut writer = Writer { cluster, live, told, tell };
        let task = tokio::spawn(async move {
            while inbox.changed().await.is_ok() {
                let news = |report: &Option<Report>| report.as_ref().is_some_and(|r| writer.is_news(r));
                // Whatever comes of it, or when nobody will report any more: then the newest is written.
                let _ = tokio::time::timeout(PASSING, inbox.wait_for(news)).await;
                let report: Option<Report> = inbox.borrow_and_update().clone();
                let Some(report) = report else { continue };
                let mut backoff = Backoff::default();
                // What could not be written is written later, even if nothing newer comes: a restart goes by it.
                while !writer.write(&report).await {
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
        Reporter { reports, told: telling, task }
    }

    /// This is how it stands now.
    pub(super) fn report(&self, report: &Report) {
        self.reports.send_if_modified(|last| {
            let differs = last.as_ref() != Some(report);
            if differs {
                *last = Some(report.clone());
            }
            differs
        });
    }

    /// Waits until a report of this revision was written, or could not be: after a crash nobody else would know that
    /// something of it may be applied.
    pub(super) fn once_told(&self, revision: &str) -> impl Future<Output = ()> + Send + 'static {
        let (mut told, revision) = (self.told.clone(), revision.to_owned());
        async move {
            let is_it = |told: &Option<String>| told.as_deref() == Some(&revision);
            // A status that cannot be written in time is no reason to leave the cluster as it is.
            let _ = tokio::time::timeout(TELLING, told.wait_for(is_it)).await;
        }
    }

    /// The last report; comes back when it is written, or could not be.
    pub(super) async fn finish(self, report: &Report) {
        self.report(report);
        drop(self.reports);
        // A writer that panicked has nothing more to say.
        let _ = tokio::time::timeout(Duration::from_secs(10), self.task).await;
    }
}

async fn closed(inbox: &watch::Receiver<Option<Report>>) {
    let mut inbox = inbox.clone();
    while inbox.changed().await.is_ok() {}
}

impl Writer {
    fn is_news(&self, report: &Report) -> bool {
        report.converged || report.stalled || report.revision != self.told.revision
    }

    /// Answers whether the status stands as it should.
    async fn write(&mut self, report: &Report) -> bool {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let object = status::reconciliation(report, self.live.as_ref().map(|live| &*live.body), &now);
        let same = self.live.as_ref().is_some_and(|live| live.body["status"] == object["status"]);
        let mut written = same;
        if !same {
            match self.write_status(&object).await {
                Ok(live) => {
                    self.live = Some(live);
                    written = true;
                }
                Err(error) => {
                    tracing::warn!(%error, "the status could not be written; trying again");
                    // Somebody deleted it: it is made anew.
                    if matches!(error, ClusterError::NotFound { .. }) {
                        self.live = None;
                    }
                }
            }
        }
        let notes = status::events(&self.told, report);
        for note in &notes {
            self.write_event(note, &now).await;
        }
        self.told = report.clone();
        self.tell.send_replace(report.revision.clone());
        written
    }

    async fn write_status(&self, object: &Value) -> Result<LiveObject, ClusterError> {
        let kind = reconciliation_kind();
        if self.live.is_none() {
            let mut bare = object.clone();
            if let Some(map) = bare.as_object_mut() {
                map.remove("status");
            }
            self.cluster.apply(&kind, &bare, &ApplyOptions::default()).await?;
        }
        self.cluster.patch_status(&kind, object, &Preconditions::default()).await
    }

    async fn write_event(&self, note: &EventNote, now: &str) {
        let Some(about) = &self.live else { return };
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
        if let Err(error) = self.cluster.record(about, &record).await {
            tracing::debug!(%error, "an event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

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

    #[tokio::test]
    async fn a_status_that_could_not_be_written_is_written_later() {
        let (cluster, stored) = server(1);
        let reporter = Reporter::start(cluster, None);
        let report = Report { owner: "moin".into(), revision: Some("b".into()), ..Report::default() };
        reporter.report(&report);
        for _ in 0..100 {
            if !stored.lock().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(stored.lock().len(), 1);
        assert_eq!(stored.lock()[0]["status"]["revision"], "b");
    }

    #[tokio::test]
    async fn writes_wait_until_their_revision_is_recorded() {
        let (cluster, stored) = server(0);
        let reporter = Reporter::start(cluster, None);
        let report = Report { owner: "moin".into(), revision: Some("b".into()), ..Report::default() };
        reporter.report(&report);
        reporter.once_told("b").await;
        assert_eq!(stored.lock().len(), 1);
    }
}
