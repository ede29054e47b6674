//! Where manifests come from: a remote git repository, a local folder, or the working tree of a repository.
//!
//! A source answers with a [`Snapshot`]: all regular files at a revision. What cannot be a manifest (symbolic links,
//! submodules, very large files) is left out with a finding. Everything here blocks; [`SharedSource`] is for async
//! code.

mod cache;
mod error;
mod folder;
mod git;
mod history;
mod kept;
mod shared;
mod transport;
mod tree;
mod url;
mod watch;
mod working_copy;

#[cfg(test)]
mod testing;

use std::path::PathBuf;
use std::time::Duration;

pub use crate::config::Reference;
pub use error::SourceError;
pub use folder::FolderSource;
pub use git::GitSource;
pub use history::CommitInfo;
pub use shared::SharedSource;
pub use transport::Access;
pub use url::{RemoteUrl, Scheme, redact};
pub use watch::FolderWatch;
pub use working_copy::{CommitError, WorkingCopy};

use crate::finding::Finding;
use crate::model::{Revision, Snapshot};

/// Where the manifests are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A remote repository.
    Git {
        /// Its URL.
        url: RemoteUrl,
        /// What to follow in it.
        reference: Reference,
    },
    /// A folder of this machine, read as it is: also a ConfigMap volume.
    Folder(PathBuf),
    /// The working tree of a repository on this machine, uncommitted changes included, ignored files not.
    Worktree(PathBuf),
}

/// How much is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file; a larger one is left out.
    pub file_bytes: usize,
    /// Files and folders; more are an error.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { file_bytes: 16 << 20, entries: 200_000 }
    }
}

impl Limits {
    fn too_large(&self, size: usize) -> String {
        format!("too large ({size} bytes; {} are read at most)", self.file_bytes)
    }
}

/// What a source needs to know.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Where the manifests are.
    pub place: Place,
    /// Folder for local copies of remote repositories; made with mode 0700.
    pub cache: PathBuf,
    /// Credentials, and how to get to the remote.
    pub access: Access,
    /// How long a fetch may take.
    pub timeout: Duration,
    /// How much is read at most.
    pub limits: Limits,
}

impl SourceSettings {
    /// Settings with the usual limits.
    pub fn new(place: Place, cache: impl Into<PathBuf>) -> SourceSettings {
        SourceSettings {
            place,
            cache: cache.into(),
            access: Access::default(),
            timeout: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// A source of manifests.
pub enum Source {
    /// A remote repository.
    Git(GitSource),
    /// A folder or working tree of this machine.
    Folder(FolderSource),
}

impl Source {
    /// Makes a source ready; nothing is fetched yet.
    ///
    /// # Errors
    /// [`SourceError::Folder`] when a local folder is not there.
    pub fn open(settings: &SourceSettings) -> Result<Source, SourceError> {
        let folder = |path: &PathBuf, worktree| {
            // Checked here for an early answer; it may still go away later.
            std::fs::read_dir(path)
                .map_err(|error| SourceError::Folder { path: path.clone(), reason: error.to_string() })?;
            Ok(Source::Folder(FolderSource::new(path.clone(), settings.limits, worktree, &settings.cache)))
        };
        match &settings.place {
            Place::Folder(path) => folder(path, false),
            Place::Worktree(path) => folder(path, true),
            Place::Git { url, reference } => {
                GitSource::new(url.clone(), reference.clone(), settings).map(Source::Git)
            }
        }
    }

    /// The files at the newest state. Contents that did not change share their bytes with the snapshot before.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::is_retryable`] says whether to try again.
    pub fn fetch(&mut self) -> Result<Snapshot, SourceError> {
        match self {
            Source::Git(git) => git.fetch(),
            Source::Folder(folder) => folder.fetch(),
        }
    }

    /// The files at any revision of the repository: branch, tag, commit, or an expression such as `main~2`.
    ///
    /// # Errors
    /// [`SourceError::NoSuchRevision`], or what keeps the repository from being read.
    pub fn snapshot(&mut self, rev: &str) -> Result<Snapshot, SourceError> {
        match self {
            Source::Git(git) => git.snapshot(rev),
            Source::Folder(folder) => folder.snapshot(rev),
        }
    }

    /// The commit that a branch, tag, commit id or expression names.
    ///
    /// # Errors
    /// [`SourceError::NoSuchRevision`], or what keeps the repository from being read.
    pub fn resolve(&mut self, rev: &str) -> Result<Revision, SourceError> {
        match self {
            Source::Git(git) => git.resolve(rev),
            Source::Folder(folder) => folder.resolve(rev),
        }
    }

    /// Whether `new` is `old` or descends from it. False when the history was rewritten so that `old` is gone.
    /// States of a folder have no history: each may follow any other.
    ///
    /// # Errors
    /// [`SourceError::NoSuchRevision`] when `new` is not in the repository.
    pub fn is_ancestor(&mut self, old: &Revision, new: &Revision) -> Result<bool, SourceError> {
        match self {
            Source::Git(git) => git.is_ancestor(old, new),
            Source::Folder(folder) => folder.is_ancestor(old, new),
        }
    }

    /// The first commit of the history of a revision; `None` for a state of a folder.
    ///
    /// # Errors
    /// [`SourceError::NoSuchRevision`] when the revision is not in the repository.
    pub fn root_commit(&mut self, of: &Revision) -> Result<Option<Revision>, SourceError> {
        match self {
            Source::Git(git) => git.root_commit(of).map(Some),
            Source::Folder(folder) => folder.root_commit(of),
        }
    }

    /// Author and message of a revision; `None` for a state of a folder.
    ///
    /// # Errors
    /// [`SourceError::NoSuchRevision`] when the revision is not in the repository.
    pub fn commit_info(&mut self, of: &Revision) -> Result<Option<CommitInfo>, SourceError> {
        match self {
            Source::Git(git) => git.commit_info(of).map(Some),
            Source::Folder(folder) => folder.commit_info(of),
        }
    }

    /// What the last fetch or snapshot left out.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Source::Git(git) => git.findings(),
            Source::Folder(folder) => folder.findings(),
        }
    }

    /// Watches a local folder; `None` for a remote repository, which is asked from time to time.
    ///
    /// # Errors
    /// [`SourceError::Folder`] when the folder cannot be watched.
    pub fn watch(&self) -> Result<Option<FolderWatch>, SourceError> {
        match self {
            Source::Git(_) => Ok(None),
            Source::Folder(folder) => FolderWatch::start(folder.path(), Duration::from_millis(200)).map(Some),
        }
    }

    /// What to call the source in messages: URL without credentials, or path.
    pub fn name(&self) -> String {
        match self {
            Source::Git(git) => git.url().to_string(),
            Source::Folder(folder) => folder.path().display().to_string(),
        }
    }
}
