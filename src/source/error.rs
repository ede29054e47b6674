//! What can go wrong with a source, and what is worth another try.

use std::path::PathBuf;
use std::time::Duration;

use crate::finding::{Code, Finding};

/// Why a source gave no answer. No variant ever holds a credential: URLs are shown without user and password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The text is no URL of a repository that moin can read.
    #[error("{url}: {reason}")]
    BadUrl {
        /// The URL, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The remote did not answer, or not as git.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The URL, without credentials.
        url: String,
        /// What the network or the remote said.
        reason: String,
    },
    /// The remote wants other credentials.
    #[error("{url} refuses the credentials: {reason}")]
    Denied {
        /// The URL, without credentials.
        url: String,
        /// What the remote said.
        reason: String,
    },
    /// The remote answered, but has no such branch or tag.
    #[error("{url} has no {reference}")]
    ReferenceMissing {
        /// The URL, without credentials.
        url: String,
        /// The branch, tag or commit that was asked for.
        reference: String,
    },
    /// It took too long; it may still go on in the background.
    #[error("no answer from {source_name} within {after:?}")]
    Timeout {
        /// The URL or folder.
        source_name: String,
        /// How long was waited.
        after: Duration,
    },
    /// An earlier request is still under way.
    #[error("an earlier request to the source is still under way")]
    Busy,
    /// A revision is not in the repository, or its name has several meanings.
    #[error("there is no revision {revision:?}: {reason}")]
    NoSuchRevision {
        /// What was asked for.
        revision: String,
        /// What git said.
        reason: String,
    },
    /// The local copy of the repository cannot be read or written. The next fetch makes a new one.
    #[error("the local copy of the repository in {} is damaged: {reason}", path.display())]
    Cache {
        /// Where it is.
        path: PathBuf,
        /// What git said.
        reason: String,
    },
    /// A local folder cannot be read.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The repository is larger than any set of manifests.
    #[error("the repository has more than {0}")]
    TooLarge(String),
    /// The source is a plain folder, without history.
    #[error("{} is not a git repository: {reason}", path.display())]
    NoHistory {
        /// The folder.
        path: PathBuf,
        /// What git said.
        reason: String,
    },
}

impl SourceError {
    /// Whether the same request may succeed later without anybody changing a setting.
    pub fn is_retryable(&self) -> bool {
        match self {
            SourceError::BadUrl { .. } | SourceError::NoHistory { .. } | SourceError::TooLarge(_) => false,
            SourceError::NoSuchRevision { .. } => false,
            // A token file is rotated, a branch is pushed, a volume is mounted: all of these mend themselves.
            _ => true,
        }
    }

    /// As a finding.
    pub fn finding(&self) -> Finding {
        Finding::error(Code::SourceUnreachable, self.to_string())
    }
}
