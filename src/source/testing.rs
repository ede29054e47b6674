//! Repositories for tests.

use std::fs;
use std::path::Path;

use git2::{IndexAddOption, Oid, Repository, Signature};

/// A repository with a working tree.
pub(super) struct TestRepo {
    pub dir: tempfile::TempDir,
    pub repository: Repository,
}

impl TestRepo {
    pub fn new() -> TestRepo {
        let dir = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main");
        let repository = Repository::init_opts(dir.path(), &options).unwrap();
        TestRepo { dir, repository }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> super::RemoteUrl {
        format!("file://{}", self.path().display()).parse().unwrap()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits the whole working tree on top of HEAD.
    pub fn commit(&self, message: &str) -> Oid {
        let parent = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        self.commit_on(parent.map(|commit| commit.id()), message)
    }

    /// Commits the whole working tree on top of some commit, and moves the branch there.
    pub fn commit_on(&self, parent: Option<Oid>, message: &str) -> Oid {
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::now("Test", "test@example.org").unwrap();
        let parent = parent.map(|id| self.repository.find_commit(id).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        let id = self.repository.commit(None, &who, &who, message, &tree, &parents).unwrap();
        self.repository.reference("refs/heads/main", id, true, "test").unwrap();
        id
    }
}
