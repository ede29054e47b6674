//! Reading the source, beside the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::DaemonError;
use crate::engine::Backoff;
use crate::finding::Finding;
use crate::model::{RepoPath, Revision, Snapshot};
use crate::source::{FolderWatch, SharedSource, Source, SourceError};
use crate::status::SourceRecord;

/// One look at the source.
#[derive(Debug)]
pub(super) struct Fetched {
    /// All files.
    pub snapshot: Snapshot,
    /// What was left out.
    pub left_out: Vec<Finding>,
    /// First commit of its history; empty for a folder.
    pub root_commit: String,
    /// The revision that it should descend from.
    pub after: Option<Revision>,
    /// Whether it does.
    pub descends: bool,
}

/// Reads the source; clones share it.
#[derive(Clone)]
pub(super) struct Fetcher {
    source: Arc<SharedSource>,
    timeout: Duration,
    /// Clones wait for each other: there is one local copy.
    turn: Arc<tokio::sync::Mutex<()>>,
    changes: watch::Receiver<()>,
    /// Ends with the last clone.
    _watching: Option<Arc<AbortOnDropHandle<()>>>,
}

impl Fetcher {
    pub(super) fn new(source: Source, timeout: Duration) -> Fetcher {
        let watch = source.watch().unwrap_or_else(|error| {
            tracing::warn!(%error, "the folder cannot be watched; it is looked at from time to time");
            None
        });
        let (tell, changes) = watch::channel(());
        let watching =
            watch.map(|watch| Arc::new(AbortOnDropHandle::new(tokio::spawn(tell_changes(watch, tell)))));
        Fetcher {
            source: Arc::new(SharedSource::new(source)),
            timeout,
            turn: Arc::default(),
            changes,
            _watching: watching,
        }
    }

    /// The first look, without which nobody knows what this repository calls itself. One that is `patient` tries again
    /// for ever; `None` when it was told to stop.
    pub(super) async fn first(
        &self,
        patient: bool,
        stop: &CancellationToken,
    ) -> Result<Option<Fetched>, DaemonError> {
        let mut backoff = Backoff::default();
        loop {
            match self.fetch(None).await {
                Ok(fetched) => return Ok(Some(fetched)),
                Err(error) if !patient => return Err(DaemonError::Source(error)),
                Err(error) => tracing::error!(%error, "the source cannot be read; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(backoff.next(0)) => {}
            }
        }
    }

    /// A look at the source; `applied` is the revision that the new one should descend from.
    pub(super) async fn fetch(&self, applied: Option<Revision>) -> Result<Fetched, SourceError> {
        let _turn = self.turn.lock().await;
        let (snapshot, left_out) = self.source.fetch(self.timeout).await?;
        let revision = snapshot.revision.clone();
        let after = applied.clone();
        let (root_commit, descends) = self
            .source
            .run(self.timeout, move |source| {
                let root = source.root_commit(&revision)?.map(|root| root.to_string()).unwrap_or_default();
                let descends = match &applied {
                    Some(applied) if !root.is_empty() => source.is_ancestor(applied, &revision)?,
                    // A folder has no history to go back in.
                    _ => true,
                };
                Ok((root, descends))
            })
            .await?;
        Ok(Fetched { snapshot, left_out, root_commit, after, descends })
    }

    /// All files at a revision that was read before.
    pub(super) async fn snapshot(&self, revision: &Revision) -> Result<Snapshot, SourceError> {
        let _turn = self.turn.lock().await;
        let revision = revision.to_string();
        self.source.run(self.timeout, move |source| source.snapshot(&revision)).await
    }

    /// What identifies the source.
    pub(super) fn record(&self, url: &str, path: &RepoPath, first: &Fetched) -> SourceRecord {
        SourceRecord { url: url.to_owned(), path: path.to_string(), root_commit: first.root_commit.clone() }
    }

    /// Waits until the source says by itself that it changed; for ever where it cannot tell (only a local folder can).
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn tell_changes(mut watch: FolderWatch, tell: watch::Sender<()>) {
    loop {
        watch.changed().await;
        tell.send_replace(());
    }
}
