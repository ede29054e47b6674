//! Questions to the history of a repository.

use git2::{ErrorCode, Oid, Repository, Sort};

use super::SourceError;
use crate::model::Revision;

/// Who wrote a commit, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit.
    pub revision: Revision,
    /// First line of its message.
    pub summary: String,
    /// Its author's name.
    pub author: String,
    /// Its author's address.
    pub email: String,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
}

/// The commit that a branch, tag, commit id or expression (`main~2`) names.
pub(super) fn resolve(repository: &Repository, name: &str) -> Result<Oid, SourceError> {
    repository
        .revparse_single(name)
        .and_then(|object| object.peel_to_commit())
        .map(|commit| commit.id())
        .map_err(|error| no_such(name, &error))
}

/// Whether `old` is `new` or one of its ancestors. A commit that is not here is nobody's ancestor.
pub(super) fn is_ancestor(
    repository: &Repository,
    old: &Revision,
    new: &Revision,
) -> Result<bool, SourceError> {
    let new_id = commit_id(repository, new)?;
    let old_id = match commit_id(repository, old) {
        Ok(id) => id,
        Err(SourceError::NoSuchRevision { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    if old_id == new_id {
        return Ok(true);
    }
    repository.graph_descendant_of(new_id, old_id).map_err(|error| damaged(repository, &error))
}

/// The first commit of the history, along first parents: what names a repository through moves and renames.
pub(super) fn root_commit(repository: &Repository, of: &Revision) -> Result<Revision, SourceError> {
    let start = commit_id(repository, of)?;
    let walk = || {
        let mut walk = repository.revwalk()?;
        walk.set_sorting(Sort::NONE)?;
        walk.simplify_first_parent()?;
        walk.push(start)?;
        let mut root = start;
        for id in walk {
            root = id?;
        }
        Ok(root)
    };
    walk().map(revision).map_err(|error: git2::Error| damaged(repository, &error))
}

/// Author and message of a commit.
pub(super) fn info(repository: &Repository, of: &Revision) -> Result<CommitInfo, SourceError> {
    let commit =
        repository.find_commit(commit_id(repository, of)?).map_err(|error| damaged(repository, &error))?;
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(CommitInfo {
        revision: of.clone(),
        summary: text(commit.message_bytes()).lines().next().unwrap_or_default().to_owned(),
        author: text(author.name_bytes()),
        email: text(author.email_bytes()),
        time: commit.time().seconds(),
    })
}

/// The revision of a commit.
pub(super) fn revision(commit: Oid) -> Revision {
    Revision::new(&commit.to_string())
}

fn commit_id(repository: &Repository, of: &Revision) -> Result<Oid, SourceError> {
    let id = Oid::from_str(of.as_str()).map_err(|error| no_such(of.as_str(), &error))?;
    match repository.find_commit(id) {
        Ok(commit) => Ok(commit.id()),
        Err(error) if error.code() == ErrorCode::NotFound => Err(no_such(of.as_str(), &error)),
        Err(error) => Err(damaged(repository, &error)),
    }
}

fn no_such(name: &str, error: &git2::Error) -> SourceError {
    SourceError::NoSuchRevision { revision: name.to_owned(), reason: error.message().to_owned() }
}

/// An error of git that means that the object store lies.
pub(super) fn damaged(repository: &Repository, error: &git2::Error) -> SourceError {
    SourceError::Cache { path: repository.path().to_owned(), reason: error.message().to_owned() }
}
