//! The local copy of a remote repository: bare, private to its user, made anew when it is damaged.

use std::fs;
use std::path::{Path, PathBuf};

use git2::Repository;
use sha2::{Digest, Sha256};

use super::{RemoteUrl, SourceError};

/// Opens the copy of a remote below `folder`, or makes an empty one (mode 0700).
pub(super) fn open(folder: &Path, url: &RemoteUrl) -> Result<Repository, SourceError> {
    let path = path_of(folder, url);
    let failed = |reason: String| SourceError::Cache { path: path.clone(), reason };
    private_folder(folder).and_then(|()| private_folder(&path)).map_err(|e| failed(e.to_string()))?;
    match Repository::open_bare(&path) {
        Ok(repository) => Ok(repository),
        Err(_) => {
            remove(&path).and_then(|()| private_folder(&path)).map_err(|e| failed(e.to_string()))?;
            Repository::init_bare(&path).map_err(|e| failed(e.message().to_owned()))
        }
    }
}

/// Where the copy of a remote lies; two remotes never share one.
pub(super) fn path_of(folder: &Path, url: &RemoteUrl) -> PathBuf {
    let hash = Sha256::digest(url.as_str());
    let name: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{name}.git"))
}

/// Removes a copy, whatever state it is in.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}
