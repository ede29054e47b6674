//! A state of the repository: which commit, and the files in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::RepoPath;

/// Names a state of the source: a git commit id in hex, or `folder:HASH` for a local folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(Arc<str>);

impl Revision {
    /// A revision by its name in the source.
    pub fn new(name: &str) -> Revision {
        Revision(name.into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven characters of a commit id, as git prints it; what else it is, whole.
    pub fn short(&self) -> &str {
        if self.0.len() == 40 && self.0.bytes().all(|b| b.is_ascii_hexdigit()) {
            &self.0[..7]
        } else {
            &self.0
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Hash of the content (git's blob id, or an equal one for a folder): equal ids, equal bytes.
    pub id: Arc<str>,
    /// The content.
    pub bytes: Arc<[u8]>,
}

/// All files of the repository at a revision, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which state this is.
    pub revision: Revision,
    /// Regular files; symbolic links and submodules are left out by the source, with a finding where they matter.
    pub files: BTreeMap<RepoPath, File>,
}

impl Snapshot {
    /// The files in `folder` and below, in the order of their paths.
    pub fn below<'a>(&'a self, folder: &'a RepoPath) -> impl Iterator<Item = (&'a RepoPath, &'a File)> + 'a {
        self.files
            .range(folder.clone()..)
            .take_while(move |(path, _)| path.as_str().starts_with(folder.as_str()))
            .filter(move |(path, _)| path.is_in(folder))
    }

    /// Whether anything lies below `folder`.
    pub fn has_folder(&self, folder: &RepoPath) -> bool {
        self.below(folder).any(|(path, _)| path != folder)
    }
}
