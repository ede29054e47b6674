//! A local folder as a source: a plain one, a ConfigMap volume, or the working tree of a git repository.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository};
use sha2::{Digest, Sha256};

use super::kept::Kept;
use super::tree::{self, Files, TreeError};
use super::{CommitInfo, Limits, SourceError, history};
use crate::finding::{Code, Finding};
use crate::model::{File, RepoPath, Revision, Snapshot};

/// A folder of this machine.
pub struct FolderSource {
    folder: PathBuf,
    limits: Limits,
    /// Files that git ignores are left out, and a clean tree has its commit's name.
    worktree: bool,
    last: Option<Snapshot>,
    /// What it held before: it has no history that would know.
    kept: Kept,
    findings: Vec<Finding>,
}

impl FolderSource {
    pub(super) fn new(folder: PathBuf, limits: Limits, worktree: bool, cache: &Path) -> FolderSource {
        let kept = Kept::of(&folder, cache);
        FolderSource { folder, limits, worktree, last: None, kept, findings: Vec::new() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Reads the folder as it is now.
    pub(super) fn fetch(&mut self) -> Result<Snapshot, SourceError> {
        let repository = if self.worktree { Repository::open(&self.folder).ok() } else { None };
        let Files { files, findings } = self.walk(repository.as_ref(), &self.folder)?;
        let revision = repository
            .as_ref()
            .and_then(|repository| clean_head(repository, &self.limits, &files))
            .unwrap_or_else(|| content_revision(&files));
        self.findings = findings;
        let snapshot = Snapshot { revision, files };
        // Of a working tree nobody applies anything.
        if !self.worktree && self.last.as_ref().is_none_or(|last| last.revision != snapshot.revision) {
            self.kept.keep(&snapshot);
        }
        self.last = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// All files below a folder.
    fn walk(&self, repository: Option<&Repository>, folder: &Path) -> Result<Files, SourceError> {
        let none = BTreeMap::new();
        let known = self.last.as_ref().map_or(&none, |snapshot| &snapshot.files);
        let mut walk = Walk {
            repository,
            worktree: self.worktree,
            limits: &self.limits,
            by_id: known.values().map(|file| (&*file.id, &file.bytes)).collect(),
            entries: 0,
            out: Files::default(),
        };
        walk.folder(folder, "")?;
        Ok(walk.out)
    }

    pub(super) fn resolve(&self, rev: &str) -> Result<Revision, SourceError> {
        history::resolve(&self.repository()?, rev).map(history::revision)
    }

    pub(super) fn snapshot(&mut self, rev: &str) -> Result<Snapshot, SourceError> {
        let named = Revision::new(rev);
        if is_content(&named) {
            return self.content(&named);
        }
        let repository = self.repository()?;
        let commit = history::resolve(&repository, rev)?;
        let none = BTreeMap::new();
        let known = self.last.as_ref().map_or(&none, |snapshot| &snapshot.files);
        let read = tree::read(&repository, commit, &self.limits, known).map_err(|error| match error {
            TreeError::Git(error) => history::damaged(&repository, &error),
            TreeError::TooLarge(what) => SourceError::TooLarge(what),
        })?;
        self.findings = read.findings;
        Ok(Snapshot { revision: history::revision(commit), files: read.files })
    }

    /// A state by its content: the present one, or one that was kept.
    fn content(&self, revision: &Revision) -> Result<Snapshot, SourceError> {
        if let Some(last) = self.last.as_ref().filter(|last| last.revision == *revision) {
            return Ok(last.clone());
        }
        for place in [self.folder.clone(), self.kept.place(revision)] {
            // What is not what it is called (it changed since, or was only written in part) does not count.
            if let Ok(Files { files, .. }) = self.walk(None, &place)
                && content_revision(&files) == *revision
            {
                return Ok(Snapshot { revision: revision.clone(), files });
            }
        }
        let reason = format!("{} has changed since, and no copy was kept", self.folder.display());
        Err(SourceError::NoSuchRevision { revision: revision.to_string(), reason })
    }

    pub(super) fn is_ancestor(&self, old: &Revision, new: &Revision) -> Result<bool, SourceError> {
        // A state of a folder has no history: whatever stands there now is meant.
        if old == new || is_content(old) || is_content(new) {
            return Ok(true);
        }
        history::is_ancestor(&self.repository()?, old, new)
    }

    pub(super) fn root_commit(&self, of: &Revision) -> Result<Option<Revision>, SourceError> {
        if is_content(of) {
            return Ok(None);
        }
        history::root_commit(&self.repository()?, of).map(Some)
    }

    pub(super) fn commit_info(&self, of: &Revision) -> Result<Option<CommitInfo>, SourceError> {
        if is_content(of) {
            return Ok(None);
        }
        history::info(&self.repository()?, of).map(Some)
    }

    fn repository(&self) -> Result<Repository, SourceError> {
        Repository::open(&self.folder).map_err(|error| SourceError::NoHistory {
            path: self.folder.clone(),
            reason: error.message().to_owned(),
        })
    }
}

/// Whether a revision names the content of a folder.
fn is_content(revision: &Revision) -> bool {
    revision.as_str().starts_with("folder:")
}

/// A hash over names and contents.
fn content_revision(files: &BTreeMap<RepoPath, File>) -> Revision {
    let mut hash = Sha256::new();
    for (path, file) in files {
        hash.update(path.as_str());
        hash.update([0]);
        hash.update(&*file.id);
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Revision::new(&format!("folder:{}", &hex[..40]))
}

/// Whether a link of this folder leads into the data folder of a ConfigMap or Secret volume, and what it finds lies in
/// a version there: links on the way, `..data` above all, must not lead out of the folder again.
fn in_volume(link: &Path) -> bool {
    let is_data = fs::read_link(link).is_ok_and(|target| target.starts_with("..data"));
    let whole = |path: &Path| path.canonicalize().ok();
    let Some((folder, target)) = link.parent().and_then(whole).zip(whole(link)).filter(|_| is_data) else {
        return false;
    };
    let Ok(within) = target.strip_prefix(&folder) else { return false };
    let mut parts = within.components().map(Component::as_os_str);
    let of_version = |part: &OsStr| part.as_encoded_bytes().starts_with(b"..");
    parts.next().is_some_and(of_version) && parts.all(|part| part != ".git")
}

/// The commit that is checked out, if the files are exactly its files.
fn clean_head(
    repository: &Repository,
    limits: &Limits,
    files: &BTreeMap<RepoPath, File>,
) -> Option<Revision> {
    let head = repository.head().ok()?.peel_to_commit().ok()?.id();
    let committed = tree::read(repository, head, limits, files).ok()?.files;
    let same = committed.len() == files.len()
        && committed.iter().zip(files).all(|(a, b)| a.0 == b.0 && a.1.id == b.1.id);
    same.then(|| history::revision(head))
}

struct Walk<'a> {
    repository: Option<&'a Repository>,
    /// Git has no volumes: no link of a working tree is followed.
    worktree: bool,
    limits: &'a Limits,
    by_id: HashMap<&'a str, &'a Arc<[u8]>>,
    entries: usize,
    out: Files,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, below: &str) -> Result<(), SourceError> {
        let failed = |error: std::io::Error| SourceError::Folder {
            path: folder.to_owned(),
            reason: error.to_string(),
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(SourceError::TooLarge(format!("{} files and folders", self.limits.entries)));
            }
            self.entry(&entry.path(), &entry.file_name().to_string_lossy(), below)?;
        }
        Ok(())
    }

    fn entry(&mut self, place: &Path, name: &str, below: &str) -> Result<(), SourceError> {
        // `.git` is a folder, or a file in a linked working tree. `..data` and its like are how a ConfigMap volume
        // keeps the versions of its content; the files are reached through the links beside them.
        if name == ".git" || name.starts_with("..") {
            return Ok(());
        }
        let text = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        let path = match text.parse::<RepoPath>() {
            Ok(path) if path.as_str() == text && place.to_str().is_some() => path,
            _ => {
                let message = format!("{text:?} was left out: no portable name of a file");
                self.out.findings.push(Finding::warning(Code::FileLeftOut, message));
                return Ok(());
            }
        };
        let Ok(mut kind) = fs::symlink_metadata(place) else { return Ok(()) };
        if kind.is_symlink() {
            let of_a_volume = !self.worktree && below.is_empty() && in_volume(place);
            match fs::metadata(place) {
                Ok(target) if of_a_volume => kind = target,
                _ => {
                    self.out.left_out(&path, "a symbolic link");
                    return Ok(());
                }
            }
        }
        if self.ignored(&text, kind.is_dir()) {
            return Ok(());
        }
        if kind.is_dir() {
            if self.repository.is_some() && place.join(".git").exists() {
                self.out.left_out(&path, "a submodule");
                return Ok(());
            }
            return self.folder(place, &text);
        }
        if !kind.is_file() {
            self.out.left_out(&path, "neither a file nor a folder");
            return Ok(());
        }
        self.file(place, path, kind.len())
    }

    fn ignored(&self, path: &str, is_folder: bool) -> bool {
        let Some(repository) = self.repository else { return false };
        let asked = if is_folder { format!("{path}/") } else { path.to_owned() };
        if !repository.is_path_ignored(&asked).unwrap_or(false) {
            return false;
        }
        // What is committed counts, though a later line of .gitignore names it.
        let Ok(index) = repository.index() else { return true };
        if is_folder {
            index.find_prefix(&asked).is_err()
        } else {
            index.get_path(Path::new(path), 0).is_none()
        }
    }

    fn file(&mut self, place: &Path, path: RepoPath, size: u64) -> Result<(), SourceError> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > self.limits.file_bytes {
            self.out.left_out(&path, &self.limits.too_large(size));
            return Ok(());
        }
        let bytes = match fs::read(place) {
            Ok(bytes) => bytes,
            // It went away while the folder was read: the watch will say so, too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(SourceError::Folder { path: place.to_owned(), reason: error.to_string() });
            }
        };
        let id = Oid::hash_object(ObjectType::Blob, &bytes)
            .map_err(|error| SourceError::Folder {
                path: place.to_owned(),
                reason: error.message().to_owned(),
            })?
            .to_string();
        let bytes = self.by_id.get(id.as_str()).map_or_else(|| bytes.into(), |known| Arc::clone(known));
        self.out.files.insert(path, File { id: id.into(), bytes });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestRepo;
    use super::super::{Place, Source, SourceSettings};
    use super::*;

    fn open(place: Place) -> Source {
        Source::open(&SourceSettings::new(place, "/nowhere")).unwrap()
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.files.keys().map(RepoPath::as_str).collect()
    }

    #[test]
    fn a_folder_is_named_by_its_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/.git")).unwrap();
        fs::write(dir.path().join("a/.git/config"), "x").unwrap();
        fs::write(dir.path().join("a/x.yaml"), "1").unwrap();
        fs::write(dir.path().join("y.yaml"), "2").unwrap();
        let mut source = open(Place::Folder(dir.path().to_owned()));
        let first = source.fetch().unwrap();
        assert_eq!(names(&first), ["a/x.yaml", "y.yaml"]);
        assert!(first.revision.as_str().starts_with("folder:"));
        assert_eq!(source.fetch().unwrap().revision, first.revision);
        fs::write(dir.path().join("y.yaml"), "3").unwrap();
        let second = source.fetch().unwrap();
        assert_ne!(second.revision, first.revision);
        let x: RepoPath = "a/x.yaml".parse().unwrap();
        assert!(Arc::ptr_eq(&first.files[&x].bytes, &second.files[&x].bytes));
        assert!(source.is_ancestor(&first.revision, &second.revision).unwrap());
        assert!(matches!(source.resolve("main"), Err(SourceError::NoHistory { .. })));
        assert_eq!(source.root_commit(&second.revision).unwrap(), None);
    }

    #[test]
    fn a_restart_knows_what_a_folder_held_before() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.yaml"), "1").unwrap();
        let open = || {
            let place = Place::Folder(dir.path().to_owned());
            Source::open(&SourceSettings::new(place, cache.path().join("c"))).unwrap()
        };
        let first = open().fetch().unwrap();
        assert_eq!(open().snapshot(first.revision.as_str()).unwrap(), first, "it is still so");
        fs::write(dir.path().join("a/x.yaml"), "2").unwrap();
        let mut restarted = open();
        let second = restarted.fetch().unwrap();
        assert_eq!(restarted.snapshot(first.revision.as_str()).unwrap(), first, "it was kept");
        assert_eq!(restarted.snapshot(second.revision.as_str()).unwrap(), second);
        for n in 0..40 {
            fs::write(dir.path().join("a/x.yaml"), format!("more {n}")).unwrap();
            restarted.fetch().unwrap();
        }
        let gone = restarted.snapshot(first.revision.as_str()).unwrap_err();
        assert!(matches!(gone, SourceError::NoSuchRevision { .. }), "only so many are kept");
        let elsewhere = SourceSettings::new(Place::Folder(dir.path().to_owned()), "/proc/none");
        assert!(Source::open(&elsewhere).unwrap().fetch().is_ok(), "it goes without, too");
    }

    #[cfg(unix)]
    #[test]
    fn a_config_map_volume_is_read_through_its_links() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("..2026_01_01");
        fs::create_dir_all(version.join("sub")).unwrap();
        fs::write(version.join("a.yaml"), "1").unwrap();
        fs::write(version.join("sub/b.yaml"), "2").unwrap();
        symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
        symlink("..data/sub", dir.path().join("sub")).unwrap();
        symlink("/etc/passwd", dir.path().join("evil.yaml")).unwrap();
        symlink("..data/../../../etc/passwd", dir.path().join("sly.yaml")).unwrap();
        let mut source = open(Place::Folder(dir.path().to_owned()));
        assert_eq!(names(&source.fetch().unwrap()), ["a.yaml", "sub/b.yaml"]);
        assert_eq!(source.findings().len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn no_link_leads_out_of_the_folder() {
        use std::os::unix::fs::symlink;
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("token.yaml"), "secret").unwrap();
        let fetched = |data: &Path| {
            let _ = fs::remove_file(dir.path().join("..data"));
            symlink(data, dir.path().join("..data")).unwrap();
            let mut source = open(Place::Folder(dir.path().to_owned()));
            let files = names(&source.fetch().unwrap()).join(" ");
            (files, source.findings().len())
        };
        symlink("..data/token.yaml", dir.path().join("x.yaml")).unwrap();
        assert_eq!(fetched(other.path()), (String::new(), 1));
        fs::create_dir_all(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/token.yaml"), "secret").unwrap();
        assert_eq!(fetched(Path::new(".git")), (String::new(), 1));
        let version = dir.path().join("..1");
        fs::create_dir_all(&version).unwrap();
        symlink(other.path().join("token.yaml"), version.join("token.yaml")).unwrap();
        assert_eq!(fetched(Path::new("..1")), (String::new(), 1), "nor does one of the version itself");
        fs::remove_file(version.join("token.yaml")).unwrap();
        fs::write(version.join("token.yaml"), "1").unwrap();
        assert_eq!(fetched(Path::new("..1")), ("x.yaml".to_owned(), 0));

        let repo = TestRepo::new();
        repo.write("a.yaml", "1");
        repo.write("..1/token.yaml", "1");
        symlink("..1", repo.path().join("..data")).unwrap();
        symlink("..data/token.yaml", repo.path().join("x.yaml")).unwrap();
        let mut source = open(Place::Worktree(repo.path().to_owned()));
        assert_eq!(names(&source.fetch().unwrap()), ["a.yaml"], "git has no volumes");
    }

    #[test]
    fn a_working_tree_shows_what_is_not_committed() {
        let repo = TestRepo::new();
        repo.write("a.yaml", "1");
        repo.write(".gitignore", "*.log\ntarget\n");
        let first = repo.commit("one");
        repo.write("x.log", "noise");
        repo.write("target/x.yaml", "noise");
        let mut source = open(Place::Worktree(repo.path().to_owned()));
        let clean = source.fetch().unwrap();
        assert_eq!(clean.revision.as_str(), first.to_string());
        assert_eq!(source.root_commit(&clean.revision).unwrap(), Some(clean.revision.clone()));
        repo.write("a.yaml", "2");
        repo.write("new.yaml", "3");
        let dirty = source.fetch().unwrap();
        assert_eq!(names(&dirty), [".gitignore", "a.yaml", "new.yaml"]);
        assert!(dirty.revision.as_str().starts_with("folder:"));
        assert_eq!(source.snapshot("HEAD").unwrap(), clean);
        assert_eq!(source.resolve("main").unwrap(), clean.revision);
        let missing = source.snapshot("nope").unwrap_err();
        assert!(matches!(missing, SourceError::NoSuchRevision { .. }) && !missing.is_retryable());
    }
}
