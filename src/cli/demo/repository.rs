//! The demo's git repository: the example, and commits on top of it.

use std::path::{Path, PathBuf};

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use include_dir::{Dir, include_dir};

static EXAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/moin-cluster-config");

const SETTINGS: &str = "moin.yaml";
const APPROVALS: &str = "\n  approvals:\n";

/// A working tree with history.
pub struct DemoRepository {
    folder: PathBuf,
}

impl DemoRepository {
    /// The example as the first commit on branch `main`; a repository that is there already is taken as it is.
    pub fn create(folder: &Path) -> Result<DemoRepository, super::super::BoxError> {
        let this = DemoRepository { folder: folder.to_owned() };
        if !folder.join(".git").exists() {
            std::fs::create_dir_all(folder)?;
            EXAMPLE.extract(folder)?;
            Repository::init_opts(folder, RepositoryInitOptions::new().initial_head("main"))?;
            this.commit("The example repository")?;
        }
        Ok(this)
    }

    /// Where it is, for git and for the daemon.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Write a file.
    pub fn write(&self, path: &str, text: &str) -> std::io::Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)
    }

    /// Write something else in a file, wherever it stands there.
    pub fn replace(&self, path: &str, old: &str, new: &str) -> std::io::Result<()> {
        let text = std::fs::read_to_string(self.folder.join(path))?;
        self.write(path, &text.replace(old, new))
    }

    /// The newest commit.
    pub fn head(&self) -> Result<String, git2::Error> {
        Ok(Repository::open(&self.folder)?.head()?.peel_to_commit()?.id().to_string())
    }

    /// Remove a file, or a folder with all files.
    pub fn remove(&self, path: &str) -> std::io::Result<()> {
        let path = self.folder.join(path);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    }

    /// Write these approvals, and no others, at the end of `moin.yaml`; without any, none is left.
    pub fn approve(&self, approvals: &[String]) -> std::io::Result<()> {
        let text = std::fs::read_to_string(self.folder.join(SETTINGS))?;
        let mut text = text.split(APPROVALS).next().unwrap_or_default().trim_end().to_owned();
        text.push('\n');
        if !approvals.is_empty() {
            text.push_str(APPROVALS);
            approvals.iter().for_each(|approval| text.push_str(&format!("    - {approval}\n")));
        }
        self.write(SETTINGS, &text)
    }

    /// Commit everything as it is; answers the commit's id.
    pub fn commit(&self, message: &str) -> Result<String, git2::Error> {
        let repository = Repository::open(&self.folder)?;
        let mut index = repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        index.update_all(["*"], None)?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("moin demo", "demo@moin.invalid")?;
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        Ok(repository.commit(Some("HEAD"), &author, &author, message, &tree, &parents)?.to_string())
    }
}
