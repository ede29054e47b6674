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

/// A folder of this user alone (mode 0700), with those above it.
#[cfg(unix)]
pub(super) fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
pub(super) fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

/// Each fetch leaves a pack; after so many they are made one.
const MOST_PACKS: usize = 50;

/// Makes one pack of many, of what the references reach. History that was rewritten away goes with the old packs.
/// True when the repository must be opened anew.
pub(super) fn tidy(repository: &Repository) -> Result<bool, git2::Error> {
    let folder = repository.path().join("objects/pack");
    let old = packs(&folder);
    if old.len() <= MOST_PACKS {
        return Ok(false);
    }
    let mut builder = repository.packbuilder()?;
    let mut walk = repository.revwalk()?;
    let mut tips: Vec<git2::Oid> = repository.references()?.flatten().filter_map(|r| r.target()).collect();
    tips.extend(repository.head().ok().and_then(|head| head.target()));
    for tip in tips {
        let object = repository.find_object(tip, None)?;
        // A tag that names a file or folder has no history.
        if let Ok(commit) = object.peel_to_commit() {
            walk.push(commit.id())?;
        }
        builder.insert_object(tip, None)?;
    }
    builder.insert_walk(&mut walk)?;
    builder.write(&folder, 0o600)?;
    let kept = builder.name()?.map(|name| format!("pack-{name}")).unwrap_or_default();
    for pack in old.iter().filter(|pack| pack.file_stem().is_none_or(|stem| stem != kept.as_str())) {
        // The index goes first: a pack without one is no longer looked at. What cannot be removed is tried again.
        let _ = fs::remove_file(pack.with_extension("idx")).and_then(|()| fs::remove_file(pack));
    }
    Ok(true)
}

fn packs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "pack")).collect()
}
