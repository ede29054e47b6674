//! The files of a tenant: filled from the template, tried on the repository as it is, and written all or none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::template::{TemplateError, fill, names_in};
use crate::cli::BoxError;
use crate::config::TenantTemplate;
use crate::finding::nearest;
use crate::model::{File, RepoPath, Snapshot};

/// A template in a snapshot, and where it goes.
pub struct Template<'a> {
    /// What moin.yaml says.
    pub settings: &'a TenantTemplate,
    /// The folder of moin.yaml, from which its paths are seen.
    pub base: RepoPath,
}

/// A file to be: its path in the repository and its text.
pub type NewFile = (RepoPath, String);

impl Template<'_> {
    /// The folder of the template.
    pub fn folder(&self) -> Result<RepoPath, BoxError> {
        Ok(self.base.join(self.settings.template.as_str())?)
    }

    /// The folder that the files go to.
    pub fn target(&self, values: &BTreeMap<String, String>) -> Result<RepoPath, BoxError> {
        let in_settings = |error: TemplateError| format!("moin.yaml, spec.tenants.folder: {error}");
        Ok(self.base.join(&fill(&self.settings.folder, values).map_err(in_settings)?)?)
    }

    /// The template's files with the values in their places.
    pub fn filled(
        &self,
        snapshot: &Snapshot,
        values: &BTreeMap<String, String>,
    ) -> Result<Vec<NewFile>, BoxError> {
        let (folder, target) = (self.folder()?, self.target(values)?);
        let mut files = Vec::new();
        for (path, file) in snapshot.below(&folder) {
            let Some(name) = path.relative_to(&folder) else { continue };
            // A file is left out when its name holds something that nobody asked for.
            let Ok(name) = fill(name, values) else { continue };
            let text = std::str::from_utf8(&file.bytes).map_err(|_| format!("{path} is not text"))?;
            let text = fill(text, values).map_err(|error| format!("{path}, {error}"))?;
            let to = target.join(&name)?;
            if !to.is_in(&target) || to == target {
                return Err(format!("{path} would become {to}, which is not in {target}").into());
            }
            files.push((to, text));
        }
        if files.is_empty() {
            return Err(format!("the template {folder} has no file to fill").into());
        }
        files.sort();
        Ok(files)
    }

    /// A value that was given and that no file asks for, with what is perhaps meant.
    pub fn unasked<'v>(&self, snapshot: &Snapshot, given: impl Iterator<Item = &'v str>) -> Option<String> {
        let folder = self.folder().ok()?;
        let mut asked: BTreeSet<&str> = self.settings.values.keys().map(String::as_str).collect();
        asked.extend(self.settings.values.values().flat_map(|value| names_in(value)));
        asked.extend(names_in(&self.settings.folder));
        for (path, file) in snapshot.below(&folder) {
            asked.extend(path.relative_to(&folder).into_iter().flat_map(names_in));
            asked.extend(std::str::from_utf8(&file.bytes).into_iter().flat_map(names_in));
        }
        let known: Vec<&str> = asked.into_iter().filter(|name| *name != "tenant").collect();
        let wrong = given.into_iter().find(|name| !known.contains(name))?;
        let help = match nearest(wrong, &known) {
            Some(near) => format!("perhaps {near} is meant"),
            None => format!("there are {}", known.join(", ")),
        };
        Some(format!("--set {wrong}: nothing in the template {folder} asks for it; {help}"))
    }
}

/// The snapshot as it would be with these files.
pub fn with_files(snapshot: &Snapshot, files: &[NewFile]) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for (path, text) in files {
        let id: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        snapshot.files.insert(path.clone(), File { id: id.into(), bytes: Arc::from(text.as_bytes()) });
    }
    snapshot
}

/// All files, or none.
pub fn write(root: &Path, files: &[NewFile]) -> Result<(), BoxError> {
    let mut written = Vec::new();
    for (path, text) in files {
        let path = root.join(path.as_str());
        if let Err(error) = stays_below(root, &path).and_then(|()| write_new(&path, text)) {
            for path in written {
                let _ = std::fs::remove_file(path);
            }
            return Err(format!("{}: {error}; nothing was written", path.display()).into());
        }
        written.push(path);
    }
    Ok(())
}

/// A link in the repository, which anybody may have committed, must not lead a file out of it.
fn stays_below(root: &Path, path: &Path) -> std::io::Result<()> {
    let there = path.ancestors().skip(1).find(|folder| folder.symlink_metadata().is_ok()).unwrap_or(root);
    if there.canonicalize()?.starts_with(root.canonicalize()?) {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{} leads out of the repository", there.display())))
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
