//! What tests see and do: every request that came in, and answers that go wrong on purpose.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;

use super::fault_header;

/// A request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, empty if there was none.
    pub query: String,
    /// Status of the answer.
    pub status: u16,
}

impl RequestRecord {
    /// Whether it could have changed anything.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }
}

/// The requests that came in.
pub(crate) struct Log {
    kept: usize,
    records: Mutex<VecDeque<RequestRecord>>,
}

impl Log {
    /// Remembers so many.
    pub fn new(kept: usize) -> Log {
        Log { kept, records: Mutex::default() }
    }

    pub fn push(&self, record: impl FnOnce() -> RequestRecord) {
        if self.kept == 0 {
            return;
        }
        let mut records = self.records.lock();
        if records.len() >= self.kept {
            records.pop_front();
        }
        records.push_back(record());
    }

    pub fn all(&self) -> Vec<RequestRecord> {
        self.records.lock().iter().cloned().collect()
    }

    pub fn clear(&self) {
        self.records.lock().clear();
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    Status(u16),
    Delay(Duration),
    Hang,
    LoseAnswer,
    /// The connection breaks after so many lines of the answer.
    Cut(usize),
}

/// Something that goes wrong with the next requests that match.
///
/// ```
/// use moin::plane::Fault;
/// let two_refusals = Fault::status(503).on("PATCH", "/configmaps/").times(2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    method: String,
    path: String,
    left: usize,
    trouble: Trouble,
}

impl Fault {
    fn new(trouble: Trouble) -> Fault {
        Fault { method: String::new(), path: String::new(), left: 1, trouble }
    }

    /// The request is answered with this status and not carried out.
    pub fn status(code: u16) -> Fault {
        Fault::new(Trouble::Status(code))
    }

    /// The request is carried out after a while.
    pub fn delay(time: Duration) -> Fault {
        Fault::new(Trouble::Delay(time))
    }

    /// The request is never answered and not carried out.
    pub fn hang() -> Fault {
        Fault::new(Trouble::Hang)
    }

    /// The request is carried out, and its answer is lost.
    pub fn lose_answer() -> Fault {
        Fault::new(Trouble::LoseAnswer)
    }

    /// The request is carried out, and its answer breaks off after so many events of a watch.
    pub fn cut_watch(events: usize) -> Fault {
        Fault::new(Trouble::Cut(events))
    }

    /// Only requests of this method (empty: any) whose path contains this text.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Fault {
        self.method = method.to_owned();
        self.path = path.to_owned();
        self
    }

    /// So many requests; one if this is not called.
    #[must_use]
    pub fn times(mut self, times: usize) -> Fault {
        self.left = times;
        self
    }
}

/// The faults that are still to come.
#[derive(Default)]
pub(crate) struct Faults {
    coming: Mutex<Vec<Fault>>,
    /// How often a header that says how often was heeded.
    heeded: Mutex<HashMap<String, usize>>,
}

impl Faults {
    pub fn add(&self, fault: Fault) {
        self.coming.lock().push(fault);
    }

    pub fn clear(&self) {
        self.coming.lock().clear();
        self.heeded.lock().clear();
    }

    /// The trouble that a request asks for itself.
    pub fn asked(&self, header: &str) -> Result<Option<Trouble>, String> {
        let (trouble, times) = fault_header::parse(header)?;
        let Some(times) = times else { return Ok(Some(trouble)) };
        let mut heeded = self.heeded.lock();
        let count = heeded.entry(header.to_owned()).or_default();
        *count += 1;
        Ok((*count <= times).then_some(trouble))
    }

    /// The trouble that this request is in.
    pub fn next(&self, method: &str, path: &str) -> Option<Trouble> {
        let mut faults = self.coming.lock();
        let hit = faults.iter_mut().find(|fault| {
            fault.left > 0
                && (fault.method.is_empty() || fault.method == method)
                && path.contains(&fault.path)
        })?;
        hit.left -= 1;
        let trouble = hit.trouble.clone();
        faults.retain(|fault| fault.left > 0);
        Some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_so_many_requests() {
        let faults = Faults::default();
        faults.add(Fault::status(500).on("PATCH", "/configmaps/").times(2));
        assert_eq!(faults.next("GET", "/configmaps/a"), None);
        assert_eq!(faults.next("PATCH", "/configmaps/a"), Some(Trouble::Status(500)));
        assert_eq!(faults.next("PATCH", "/configmaps/b"), Some(Trouble::Status(500)));
        assert_eq!(faults.next("PATCH", "/configmaps/b"), None);
    }
}
