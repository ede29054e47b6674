//! Having revisions read from the source.

use super::Turning;
use super::beside::Message;
use crate::daemon::fetch::{Fetched, Fetcher};
use crate::engine::{Event, Look};
use crate::model::{Revision, Snapshot};
use crate::source::SourceError;

impl Turning {
    pub(super) fn fetch(&mut self, after: Option<Revision>) {
        // It was read before the target was known; only with nothing recorded needs its descent no judging.
        if let Some(first) = self.first.take().filter(|_| after.is_none()) {
            return self.ask(async move { Message::Fetched(Box::new(Ok(first))) });
        }
        let fetcher = self.fetcher.clone();
        self.ask(async move { Message::Fetched(Box::new(fetcher.fetch(after).await)) });
    }

    pub(super) fn fetched(&mut self, result: Result<Fetched, SourceError>) -> Event {
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
}

/// All files of a revision, if it can be read. Without it, edits by hand look like conflicts.
pub(in crate::daemon) async fn snapshot_of(fetcher: &Fetcher, revision: &Revision) -> Option<Snapshot> {
    match fetcher.snapshot(revision).await {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            tracing::warn!(%error, %revision, "the applied revision cannot be read; edits by hand look like conflicts");
            None
        }
    }
}
