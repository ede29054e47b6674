//! Told when a folder changes.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use super::SourceError;

/// A watched folder. Dropping it ends the watch.
pub struct FolderWatch {
    // Dropped first: its end closes the channel that the thread reads.
    _watcher: RecommendedWatcher,
    changes: watch::Receiver<u64>,
}

impl FolderWatch {
    /// Watches a folder. Changes that follow each other within `quiet` count as one; one is told after ten times
    /// `quiet` at the latest.
    ///
    /// # Errors
    /// [`SourceError::Folder`] when the folder is not there or the system has no watches left.
    pub fn start(folder: &Path, quiet: Duration) -> Result<FolderWatch, SourceError> {
        let failed = |reason: String| SourceError::Folder { path: folder.to_owned(), reason };
        // Events carry resolved names, so the folder's name must be one, too.
        let folder = folder.canonicalize().map_err(|e| failed(e.to_string()))?;
        let (events, received) = mpsc::channel();
        let (tell, changes) = watch::channel(0);
        let root = folder.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| matters(&root, &event)) {
                // The receiver is gone when the watch ends: nobody to tell then.
                let _ = events.send(());
            }
        })
        .map_err(|e| failed(e.to_string()))?;
        watcher.watch(&folder, RecursiveMode::Recursive).map_err(|e| failed(e.to_string()))?;
        // The parent sees when the folder itself is removed, made anew or replaced by a link's swap.
        if let Some(parent) = folder.parent().filter(|parent| *parent != Path::new("/")) {
            let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
        }
        std::thread::Builder::new()
            .name("folder-watch".to_owned())
            .spawn(move || debounce(&received, quiet, &tell))
            .map_err(|e| failed(e.to_string()))?;
        Ok(FolderWatch { _watcher: watcher, changes })
    }

    /// Waits for the next change; several that were not waited for count as one.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The watch has ended: nothing will ever change.
            std::future::pending::<()>().await;
        }
    }
}

fn debounce(received: &mpsc::Receiver<()>, quiet: Duration, tell: &watch::Sender<u64>) {
    while received.recv().is_ok() {
        let latest = Instant::now() + quiet * 10;
        while Instant::now() < latest {
            match received.recv_timeout(quiet) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        tell.send_modify(|count| *count += 1);
    }
}

/// Whether an event can change what is read: not a mere access, not of `.git`, not of a neighbour of the folder.
fn matters(root: &Path, event: &notify::Event) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| in_folder(root, path))
}

fn in_folder(root: &Path, path: &Path) -> bool {
    match path.strip_prefix(root) {
        Ok(below) => below.components().next().is_none_or(|first| first.as_os_str() != ".git"),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    async fn told(watch: &mut FolderWatch, within: u64) -> bool {
        tokio::time::timeout(Duration::from_millis(within), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn changes_are_told_once_and_git_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".git")).unwrap();
        let mut watch = FolderWatch::start(dir.path(), Duration::from_millis(50)).unwrap();
        for n in 0..20 {
            fs::write(dir.path().join(format!("{n}.yaml")), "x").unwrap();
        }
        assert!(told(&mut watch, 5000).await);
        assert!(!told(&mut watch, 300).await, "one change, told once");
        fs::write(dir.path().join(".git/index"), "x").unwrap();
        assert!(!told(&mut watch, 300).await);
        fs::create_dir_all(dir.path().join("deep/er")).unwrap();
        assert!(told(&mut watch, 5000).await);
        fs::write(dir.path().join("deep/er/x.yaml"), "x").unwrap();
        assert!(told(&mut watch, 5000).await);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_swap_of_a_volume_is_seen() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("volume");
        for version in ["..1", "..2"] {
            fs::create_dir_all(volume.join(version)).unwrap();
            fs::write(volume.join(version).join("a.yaml"), version).unwrap();
        }
        symlink("..1", volume.join("..data")).unwrap();
        symlink("..data/a.yaml", volume.join("a.yaml")).unwrap();
        let mut watch = FolderWatch::start(&volume, Duration::from_millis(50)).unwrap();
        symlink("..2", volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        assert!(told(&mut watch, 5000).await);
    }
}
