//! A git tree -> files, read straight from the object store; nothing is ever checked out.

use std::collections::BTreeMap;
use std::sync::Arc;

use git2::{ObjectType, Odb, Oid, Repository};

use super::Limits;
use crate::finding::{Code, Finding, Location};
use crate::model::{File, RepoPath};

/// Files by path, and what was left out.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub files: BTreeMap<RepoPath, File>,
    pub findings: Vec<Finding>,
}

/// Why a tree was not read.
pub(super) enum TreeError {
    /// The object store is damaged.
    Git(git2::Error),
    /// More than any set of manifests.
    TooLarge(String),
}

impl From<git2::Error> for TreeError {
    fn from(error: git2::Error) -> TreeError {
        TreeError::Git(error)
    }
}

/// Reads all regular files of a commit. `known` are files read before; the bytes of equal content are shared.
pub(super) fn read(
    repository: &Repository,
    commit: Oid,
    limits: &Limits,
    known: &BTreeMap<RepoPath, File>,
) -> Result<Files, TreeError> {
    let by_id = known.values().map(|file| (&*file.id, &file.bytes)).collect();
    let tree = repository.find_commit(commit)?.tree_id();
    let mut reader =
        Reader { repository, odb: repository.odb()?, limits, by_id, entries: 0, out: Files::default() };
    reader.folder(tree, "")?;
    Ok(reader.out)
}

struct Reader<'a> {
    repository: &'a Repository,
    odb: Odb<'a>,
    limits: &'a Limits,
    by_id: std::collections::HashMap<&'a str, &'a Arc<[u8]>>,
    entries: usize,
    out: Files,
}

impl Reader<'_> {
    fn folder(&mut self, tree: Oid, folder: &str) -> Result<(), TreeError> {
        let tree = self.repository.find_tree(tree)?;
        for entry in &tree {
            // A few trees that name each other can stand for billions of files.
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(TreeError::TooLarge(format!("{} files and folders", self.limits.entries)));
            }
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let text = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let path = match text.parse::<RepoPath>() {
                Ok(path) if path.as_str() == text && entry.name().is_ok() && !name.contains('/') => path,
                _ => {
                    let message = format!("{text:?} was left out: no portable name of a file");
                    self.out.findings.push(Finding::warning(Code::FileLeftOut, message));
                    continue;
                }
            };
            match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) => self.folder(entry.id(), &text)?,
                (Some(ObjectType::Blob), 0o120_000) => self.out.left_out(&path, "a symbolic link"),
                (Some(ObjectType::Blob), _) => self.file(path, entry.id())?,
                _ => self.out.left_out(&path, "a submodule"),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: RepoPath, blob: Oid) -> Result<(), TreeError> {
        let id = blob.to_string();
        let bytes = match self.by_id.get(id.as_str()) {
            Some(bytes) => Arc::clone(bytes),
            None => {
                let (size, _) = self.odb.read_header(blob)?;
                if size > self.limits.file_bytes {
                    self.out.left_out(&path, &self.limits.too_large(size));
                    return Ok(());
                }
                self.odb.read(blob)?.data().into()
            }
        };
        self.out.files.insert(path, File { id: id.into(), bytes });
        Ok(())
    }
}

impl Files {
    /// Notes that a path is not among the files.
    pub fn left_out(&mut self, path: &RepoPath, what: &str) {
        self.findings.push(
            Finding::warning(Code::FileLeftOut, format!("{path} was left out: it is {what}"))
                .at(Location::line(path, 1)),
        );
    }
}
