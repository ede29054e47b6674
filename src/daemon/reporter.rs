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

pub(super) struct Reporter {
    reports: watch::Sender<Option<Report>>,
    task: JoinHandle<()>,
}

struct Writer {
    cluster: Cluster,
    live: Option<LiveObject>,
    told: Report,
}

impl Reporter {
    /// Begin; `live` is the Reconciliation as it stands.
    pub(super) fn start(cluster: Cluster, live: Option<LiveObject>) -> Reporter {
        let (reports, mut inbox) = watch::channel(None);
        let told = live.as_ref().map(|live| status::last_told(&live.body)).unwrap_or_default();
        let mut writer = Writer { cluster, live, told };
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
        Reporter { reports, task }
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
