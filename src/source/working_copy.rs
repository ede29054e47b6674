//! A working copy that gets a commit from us: going back to an old state without going back in history.

use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository, RepositoryState, Status, StatusOptions};

use super::history;
use super::{CommitInfo, SourceError};
use crate::model::Revision;

/// Names of changed files in a message, at most.
const MOST_NAMES: usize = 5;

/// Why no commit can be made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The repository or the revision cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Work that nobody has committed would be lost.
    #[error("the working tree has changes that are not committed: {0}; commit or stash them first")]
    Dirty(String),
    /// A merge, rebase or the like is under way.
    #[error("a {0} is under way in this repository; finish or abort it first")]
    Busy(String),
    /// No branch is checked out.
    #[error("no branch is checked out; `git switch BRANCH` first")]
    Detached,
    /// The revision is not in the branch's history.
    #[error("{0} is not in the history of the branch that is checked out")]
    NotInHistory(String),
    /// There is nothing to take back.
    #[error("the files at {0} are those of HEAD: there is nothing to take back")]
    NothingToDo(String),
    /// git itself refuses.
    #[error("git: {0}")]
    Git(String),
}

/// A working copy and the old state that it is to have again.
pub struct WorkingCopy {
    repository: Repository,
    folder: PathBuf,
    branch: String,
    head: Oid,
    old: Oid,
}

impl WorkingCopy {
    /// A working copy whose files are all committed, on a branch that has `rev` in its history.
    ///
    /// # Errors
    /// [`CommitError`] for each of these conditions.
    pub fn open(folder: &Path, rev: &str) -> Result<WorkingCopy, CommitError> {
        let repository = Repository::open(folder).map_err(|error| SourceError::NoHistory {
            path: folder.to_owned(),
            reason: error.message().to_owned(),
        })?;
        if repository.state() != RepositoryState::Clean {
            return Err(CommitError::Busy(format!("{:?}", repository.state()).to_lowercase()));
        }
        let (branch, head) = checked_out(&repository)?;
        let old = history::resolve(&repository, rev)?;
        if old != head && !repository.graph_descendant_of(head, old).map_err(git)? {
            return Err(CommitError::NotInHistory(rev.to_owned()));
        }
        let tree = |id| repository.find_commit(id).and_then(|commit| commit.tree()).map_err(git);
        if tree(old)?.id() == tree(head)?.id() {
            return Err(CommitError::NothingToDo(rev.to_owned()));
        }
        let changed = changed_files(&repository)?;
        if !changed.is_empty() {
            let more = changed.len().saturating_sub(MOST_NAMES);
            let mut names = changed.into_iter().take(MOST_NAMES).collect::<Vec<_>>().join(", ");
            if more > 0 {
                names += &format!(" and {more} more");
            }
            return Err(CommitError::Dirty(names));
        }
        Ok(WorkingCopy { folder: folder.to_owned(), repository, branch, head, old })
    }

    /// The branch that is checked out.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The commit whose state comes back.
    pub fn old(&self) -> Revision {
        history::revision(self.old)
    }

    /// The commits that are taken back, the newest first.
    ///
    /// # Errors
    /// [`CommitError`] when the history cannot be read.
    pub fn taken_back(&self) -> Result<Vec<CommitInfo>, CommitError> {
        let mut walk = self.repository.revwalk().map_err(git)?;
        walk.push(self.head).and_then(|()| walk.hide(self.old)).map_err(git)?;
        let info = |id: Result<Oid, git2::Error>| {
            let revision = history::revision(id.map_err(git)?);
            Ok(history::info(&self.repository, &revision)?)
        };
        walk.map(info).collect()
    }

    /// Makes the commit on top of the branch, and the files those of the old state.
    ///
    /// # Errors
    /// [`CommitError::Git`] when a file that git does not know is in the way, or nobody says who commits.
    pub fn go_back(&self, message: &str) -> Result<Revision, CommitError> {
        let repository = &self.repository;
        let author = repository.signature().map_err(|_| {
            CommitError::Git("who commits? set user.name and user.email with `git config`".to_owned())
        })?;
        let tree = repository.find_commit(self.old).and_then(|commit| commit.tree()).map_err(git)?;
        // First the files, without force: whatever is in the way stops this before anything is written to history.
        let mut checkout = CheckoutBuilder::new();
        repository.checkout_tree(tree.as_object(), Some(checkout.safe())).map_err(git)?;
        let head = repository.find_commit(self.head).map_err(git)?;
        let id = repository
            .commit(Some("HEAD"), &author, &author, message, &tree, &[&head])
            .map_err(|error| CommitError::Git(format!("{}: {}", self.folder.display(), error.message())))?;
        Ok(history::revision(id))
    }
}

/// The branch that is checked out, and its commit.
fn checked_out(repository: &Repository) -> Result<(String, Oid), CommitError> {
    let head = repository.head().map_err(git)?;
    if !head.is_branch() {
        return Err(CommitError::Detached);
    }
    let branch = String::from_utf8_lossy(head.shorthand_bytes()).into_owned();
    Ok((branch, head.peel_to_commit().map_err(git)?.id()))
}

fn changed_files(repository: &Repository) -> Result<Vec<String>, CommitError> {
    let mut options = StatusOptions::new();
    options.include_untracked(false).include_ignored(false);
    let statuses = repository.statuses(Some(&mut options)).map_err(git)?;
    let changed = statuses.iter().filter(|entry| entry.status() != Status::CURRENT);
    Ok(changed.map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned()).collect())
}

fn git(error: git2::Error) -> CommitError {
    CommitError::Git(error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestRepo;
    use super::*;

    fn two_commits() -> (TestRepo, String) {
        let repo = TestRepo::new();
        repo.write("a.yaml", "1");
        repo.write("gone.yaml", "x");
        let first = repo.commit("First").to_string();
        std::fs::remove_file(repo.path().join("gone.yaml")).unwrap();
        repo.write("a.yaml", "2");
        repo.write("new.yaml", "x");
        repo.commit("Second");
        let repository = Repository::open(repo.path()).unwrap();
        let mut config = repository.config().unwrap();
        config.set_str("user.name", "Jane").unwrap();
        config.set_str("user.email", "jane@example.org").unwrap();
        (repo, first)
    }

    fn refusal(repo: &TestRepo, rev: &str) -> String {
        WorkingCopy::open(repo.path(), rev).err().expect("it is refused").to_string()
    }

    #[test]
    fn an_old_state_comes_back_as_a_new_commit() {
        let (repo, first) = two_commits();
        let copy = WorkingCopy::open(repo.path(), &first).unwrap();
        assert_eq!(copy.taken_back().unwrap()[0].summary, "Second");
        copy.go_back("Back").unwrap();
        let files = |name: &str| std::fs::read_to_string(repo.path().join(name)).ok();
        assert_eq!((files("a.yaml").as_deref(), files("gone.yaml").as_deref()), (Some("1"), Some("x")));
        assert_eq!(files("new.yaml"), None);
        let repository = Repository::open(repo.path()).unwrap();
        let head = repository.head().unwrap().peel_to_commit().unwrap();
        assert_eq!(head.parent(0).unwrap().summary().unwrap(), Some("Second"));
        assert!(changed_files(&repository).unwrap().is_empty());
        assert!(refusal(&repo, &first).contains("nothing to take back"));
    }

    #[test]
    fn what_is_not_committed_is_never_lost() {
        let (repo, first) = two_commits();
        repo.write("a.yaml", "by hand");
        assert!(refusal(&repo, &first).contains("not committed: a.yaml"));
        repo.write("a.yaml", "2");
        repo.write("gone.yaml", "untracked");
        let copy = WorkingCopy::open(repo.path(), &first).unwrap();
        assert!(copy.go_back("Back").is_err());
        assert_eq!(std::fs::read_to_string(repo.path().join("gone.yaml")).unwrap(), "untracked");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let (repo, _) = two_commits();
        let outside = tempfile::tempdir().unwrap();
        repo.write("d/file.yaml", "in the repository");
        let with_folder = repo.commit("A folder").to_string();
        std::fs::remove_dir_all(repo.path().join("d")).unwrap();
        repo.commit("No folder");
        std::os::unix::fs::symlink(outside.path(), repo.path().join("d")).unwrap();
        let copy = WorkingCopy::open(repo.path(), &with_folder).unwrap();
        // Refused or put in the link's place; never followed.
        let _ = copy.go_back("Back");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_a_state_of_this_branch_can_come_back() {
        let (repo, first) = two_commits();
        assert!(refusal(&repo, "no-such-commit").contains("no-such-commit"));
        let repository = Repository::open(repo.path()).unwrap();
        let second = repository.head().unwrap().target().unwrap();
        repository.set_head_detached(second).unwrap();
        assert!(refusal(&repo, &first).contains("no branch"));
    }
}
