//! What a store keeps on disk: snapshots of all objects, and logs of what happened after them.
//!
//! `snapshot-N` holds the objects as they were when `log-N` began; the state is the newest snapshot and every log from
//! its number on. A change is in the log before its answer leaves. It is handed to the operating system and not
//! forced to the disk: a killed process loses nothing, a lost machine may lose the last seconds. When the log
//! outgrows what it describes, a new one begins and a snapshot of that moment is written beside the running server.

mod record;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use record::{End, MAGIC, read_all};
pub(super) use record::{Kind, Record};

use super::{Key, Object};

/// A log that is smaller than this is not worth a snapshot.
const SMALL: u64 = 16 << 20;
/// How many bytes of a snapshot are handed over at once.
const CHUNK: usize = 1 << 20;

/// The files of a store that is open.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
    log: File,
    number: u64,
    length: u64,
    /// Whether a part of a change may stand at its end.
    is_cut: bool,
    buffer: Vec<u8>,
    /// Size of the newest snapshot; [`WRITING`] while one is written.
    snapshot: Arc<AtomicU64>,
}

const WRITING: u64 = u64::MAX;

impl Journal {
    /// Opens a folder, calls `found` with the objects of the snapshot and then with every change, and takes new ones.
    ///
    /// # Errors
    /// When another process has it open, when files cannot be read or written, or when what they hold is damaged
    /// otherwise than by being cut at the end.
    pub fn open(folder: &Path, mut found: impl FnMut(&Record<'_>, bool) -> bool) -> io::Result<Journal> {
        fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        let (snapshots, mut logs) = (numbers(folder, "snapshot")?, numbers(folder, "log")?);
        let base = snapshots.last().copied().unwrap_or(1);
        let mut snapshot = 0;
        if snapshots.contains(&base) {
            snapshot = read_snapshot(&path(folder, "snapshot", base), |record| found(record, true))?;
        }
        logs.retain(|number| *number >= base);
        if logs.iter().enumerate().any(|(index, number)| *number != base + index as u64) {
            let message = format!("{}: a file log-N between others is missing", folder.display());
            return Err(io::Error::other(message));
        }
        let last = base + (logs.len() as u64).saturating_sub(1);
        let mut length = 0;
        for number in logs {
            length = read_log(&path(folder, "log", number), number == last, |record| found(record, false))?;
        }
        let mut log = open_log(&path(folder, "log", last))?;
        log.set_len(length)?;
        log.seek(SeekFrom::End(0))?;
        if length == 0 {
            log.write_all(MAGIC)?;
            length = MAGIC.len() as u64;
        }
        forget_before(folder, base);
        let snapshot = Arc::new(AtomicU64::new(snapshot));
        let folder = folder.to_owned();
        let buffer = Vec::new();
        Ok(Journal { folder, _lock: lock, log, number: last, length, is_cut: false, buffer, snapshot })
    }

    /// Writes a change. After a failure nothing of it stays.
    pub fn append(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.is_cut {
            self.log.set_len(self.length)?;
            self.log.seek(SeekFrom::End(0))?;
            self.is_cut = false;
        }
        self.buffer.clear();
        record.write(&mut self.buffer)?;
        self.is_cut = true;
        self.log.write_all(&self.buffer)?;
        self.is_cut = false;
        self.length += self.buffer.len() as u64;
        Ok(())
    }

    /// Whether the log has outgrown what it describes.
    pub fn is_due(&self) -> bool {
        let snapshot = self.snapshot.load(Ordering::Acquire);
        snapshot != WRITING && self.length > SMALL.max(snapshot.saturating_mul(2))
    }

    /// Begins a new log and writes a snapshot of the objects that there are at this moment, in a thread of its own.
    pub fn rotate(&mut self, revision: u64, objects: Vec<(Key, Arc<Object>)>) -> io::Result<()> {
        let number = self.number + 1;
        let file = path(&self.folder, "log", number);
        let begin = || {
            let mut log = open_log(&file)?;
            log.set_len(0)?;
            log.write_all(MAGIC)?;
            Ok(log)
        };
        self.log = begin().inspect_err(|_: &io::Error| drop(fs::remove_file(&file)))?;
        self.number = number;
        self.length = MAGIC.len() as u64;
        let (folder, size) = (self.folder.clone(), self.snapshot.clone());
        let before = size.swap(WRITING, Ordering::AcqRel);
        std::thread::spawn(move || match write_snapshot(&folder, number, revision, &objects) {
            Ok(written) => {
                forget_before(&folder, number);
                size.store(written, Ordering::Release);
            }
            Err(error) => {
                tracing::warn!(%error, folder = %folder.display(), "no snapshot could be written; the log goes on");
                size.store(before, Ordering::Release);
            }
        });
        Ok(())
    }
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is in use by another process", folder.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn path(folder: &Path, what: &str, number: u64) -> PathBuf {
    folder.join(format!("{what}-{number:010}"))
}

/// The numbers of the files of a kind, in order.
fn numbers(folder: &Path, what: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(what)?.strip_prefix('-'));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what a snapshot has made superfluous; what cannot be removed is removed another time.
fn forget_before(folder: &Path, number: u64) {
    for what in ["snapshot", "log"] {
        for old in numbers(folder, what).unwrap_or_default().into_iter().filter(|old| *old < number) {
            let _ = fs::remove_file(path(folder, what, old));
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// The size of the snapshot.
fn read_snapshot(path: &Path, mut found: impl FnMut(&Record<'_>) -> bool) -> io::Result<u64> {
    let file = File::open(path).map_err(|error| named(path, error))?;
    let length = file.metadata()?.len();
    let mut complete = false;
    let end = read_all(BufReader::with_capacity(CHUNK, file), length, |record| {
        complete |= record.kind == Kind::Complete;
        found(record)
    });
    match end.map_err(|error| named(path, error))? {
        End::Whole if complete => Ok(length),
        _ => Err(named(path, "the snapshot is damaged; restore the folder from a copy")),
    }
}

/// Up to which byte the log is good. Only the last log may end in a record that was not written through.
fn read_log(path: &Path, is_last: bool, found: impl FnMut(&Record<'_>) -> bool) -> io::Result<u64> {
    let file = File::open(path).map_err(|error| named(path, error))?;
    let length = file.metadata()?.len();
    let end = read_all(BufReader::with_capacity(CHUNK, file), length, found);
    match end.map_err(|error| named(path, error))? {
        End::Whole => Ok(length),
        End::Torn(good) if is_last => {
            let cut = length - good;
            tracing::warn!(
                file = %path.display(),
                "the last change was not written to its end and was never answered: {cut} bytes are dropped"
            );
            Ok(good)
        }
        End::Torn(at) | End::Damaged(at) => Err(named(
            path,
            format!(
                "damaged at byte {at}, and more follows; restore the folder from a copy, or move the file away to go on without its changes"
            ),
        )),
    }
}

fn write_snapshot(
    folder: &Path,
    number: u64,
    revision: u64,
    objects: &[(Key, Arc<Object>)],
) -> io::Result<u64> {
    let temporary = folder.join("snapshot.new");
    let mut file = File::create(&temporary)?;
    let mut buffer = MAGIC.to_vec();
    let mut written = 0;
    for (key, object) in objects {
        record(Kind::Put, revision, key, &object.json()).write(&mut buffer)?;
        if buffer.len() >= CHUNK {
            file.write_all(&buffer)?;
            written += buffer.len();
            buffer.clear();
        }
    }
    let nothing = Key { resource: "".into(), namespace: "".into(), name: "".into() };
    record(Kind::Complete, revision, &nothing, b"").write(&mut buffer)?;
    file.write_all(&buffer)?;
    // What it replaces is removed next.
    file.sync_all()?;
    fs::rename(&temporary, path(folder, "snapshot", number))?;
    Ok((written + buffer.len()) as u64)
}

/// A record of an object.
pub(super) fn record<'a>(kind: Kind, revision: u64, key: &'a Key, json: &'a [u8]) -> Record<'a> {
    Record { kind, revision, resource: &key.resource, namespace: &key.namespace, name: &key.name, json }
}
