//! Copies of what a folder held, for a folder has no history: after a restart the applied state must still be known.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::cache::{private_folder, remove};
use crate::model::{Revision, Snapshot};

/// So many states are kept; with each new one the oldest goes.
const MOST: usize = 32;
/// They take so many bytes together; but the newest is kept, however large it is.
const MOST_BYTES: u64 = 256 << 20;

/// The copies of one folder: below it, one folder a state.
pub(super) struct Kept {
    folder: PathBuf,
    /// The cache lies in the very folder: a copy would be read as part of it.
    inside: bool,
}

impl Kept {
    /// Those of this folder, in a cache.
    pub(super) fn of(folder: &Path, cache: &Path) -> Kept {
        let known_as = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let hash = Sha256::digest(known_as.as_os_str().as_encoded_bytes());
        let name: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let whole = |path: &Path| {
            std::path::absolute(path).ok()?.ancestors().find_map(|above| above.canonicalize().ok())
        };
        let inside = whole(cache).is_some_and(|cache| cache.starts_with(&known_as));
        Kept { folder: cache.join(format!("{name}.folder")), inside }
    }

    /// Where the copy of a state lies, if there is one.
    pub(super) fn place(&self, revision: &Revision) -> PathBuf {
        let name = revision.as_str().rsplit(':').next().unwrap_or_default();
        // A name that leads elsewhere is none of ours.
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        self.folder.join(name)
    }

    /// Keep a copy. Without one everything goes on; only a restart would know less.
    pub(super) fn keep(&self, snapshot: &Snapshot) {
        if self.inside {
            return;
        }
        if let Err(error) = self.write(snapshot) {
            tracing::debug!(%error, cache = %self.folder.display(), "what the folder holds is not kept");
        }
    }

    fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let place = self.place(&snapshot.revision);
        private_folder(&self.folder)?;
        if place.exists() {
            // It is the newest again.
            return fs::File::open(&place)?.set_modified(SystemTime::now());
        }
        let bytes = snapshot.files.values().map(|file| file.bytes.len() as u64).sum();
        // Before it is written, so that both never lie there at once.
        self.make_room(MOST - 1, MOST_BYTES.saturating_sub(bytes))?;
        let half = place.with_extension("part");
        remove(&half)?;
        private_folder(&half)?;
        for (path, file) in &snapshot.files {
            let target = half.join(path.as_str());
            private_folder(target.parent().unwrap_or(&half))?;
            fs::write(target, &file.bytes)?;
        }
        fs::rename(half, place)
    }

    /// Leaves the newest, so many and so large.
    fn make_room(&self, most: usize, most_bytes: u64) -> io::Result<()> {
        let mut states: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            states.push((entry.metadata()?.modified()?, entry.path()));
        }
        states.sort();
        let (mut number, mut bytes) = (0, 0);
        for (_, path) in states.iter().rev() {
            number += 1;
            bytes += size(path)?;
            if number > most || bytes > most_bytes {
                remove(path)?;
            }
        }
        Ok(())
    }
}

/// The bytes of all files below a folder.
fn size(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let about = entry.metadata()?;
        Ok(sum + if about.is_dir() { size(&entry.path())? } else { about.len() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::File;

    #[test]
    fn copies_are_bounded_by_bytes() {
        let cache = tempfile::tempdir().unwrap();
        let kept = Kept { folder: cache.path().join("x.folder"), inside: false };
        let state = |name: &str, bytes: usize| Snapshot {
            revision: Revision::new(&format!("folder:{name}")),
            files: [("a/x.yaml".parse().unwrap(), File { id: name.into(), bytes: vec![b'a'; bytes].into() })]
                .into(),
        };
        let mut clock = SystemTime::UNIX_EPOCH;
        for name in ["a", "b", "c", "d"] {
            kept.write(&state(name, 10)).unwrap();
            clock += std::time::Duration::from_secs(1);
            fs::File::open(kept.folder.join(name)).unwrap().set_modified(clock).unwrap();
        }
        let names = || {
            let entries = fs::read_dir(&kept.folder).unwrap();
            let mut names: Vec<_> =
                entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names.concat()
        };
        kept.make_room(9, 30).unwrap();
        assert_eq!(names(), "bcd");
        kept.make_room(9, 29).unwrap();
        assert_eq!(names(), "cd");
        kept.make_room(1, 29).unwrap();
        assert_eq!(names(), "d");
        kept.make_room(9, 0).unwrap();
        kept.write(&state("e", 40)).unwrap();
        assert_eq!(names(), "e", "the newest stays, however large");
    }
}
