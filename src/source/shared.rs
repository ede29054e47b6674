//! A source for async code.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Source, SourceError};
use crate::finding::Finding;
use crate::model::Snapshot;

/// A source whose blocking work is done on threads of its own, each request with a time-out.
#[derive(Clone)]
pub struct SharedSource {
    source: Arc<Mutex<Source>>,
    name: Arc<str>,
}

impl SharedSource {
    /// Takes a source over.
    pub fn new(source: Source) -> SharedSource {
        let name = source.name().into();
        SharedSource { source: Arc::new(Mutex::new(source)), name }
    }

    /// What to call the source in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// [`Source::fetch`], with what it left out.
    ///
    /// # Errors
    /// As [`SharedSource::run`].
    pub async fn fetch(&self, timeout: Duration) -> Result<(Snapshot, Vec<Finding>), SourceError> {
        self.run(timeout, |source| {
            let snapshot = source.fetch()?;
            Ok((snapshot, source.findings().to_vec()))
        })
        .await
    }

    /// Does anything with the source.
    ///
    /// # Errors
    /// [`SourceError::Timeout`] when it takes longer (it goes on in the background), [`SourceError::Busy`] when an
    /// earlier request still does, else what `work` answers.
    pub async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&mut Source) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let source = Arc::clone(&self.source);
        let task = tokio::task::spawn_blocking(move || {
            let Some(mut source) = source.try_lock() else { return Err(SourceError::Busy) };
            work(&mut source)
        });
        match tokio::time::timeout(timeout, task).await {
            Ok(Ok(answer)) => answer,
            // The work panicked, or the runtime is going down.
            Ok(Err(error)) => Err(SourceError::Unreachable {
                url: self.name.to_string(),
                reason: if error.is_panic() { "the request failed inside" } else { "moin is shutting down" }
                    .to_owned(),
            }),
            Err(_) => Err(SourceError::Timeout { source_name: self.name.to_string(), after: timeout }),
        }
    }
}
