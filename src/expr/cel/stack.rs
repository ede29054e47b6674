//! Room for deep expressions: what recurses deeper than a small stack may hold gets a thread with a large one.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;

/// Trees up to this depth fit any stack.
pub(crate) const SHALLOW: usize = 48;
/// The stack of a thread for the others. Pages that are not touched cost nothing.
const STACK: usize = 128 << 20;

/// Does work that recurses to a depth. `None` if there is no thread to be had.
pub(crate) fn with_room<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if depth <= SHALLOW {
        return Some(work());
    }
    thread::scope(|scope| {
        let handle = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            HAS_ROOM.set(true);
            work()
        });
        let handle = handle.ok()?;
        Some(handle.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

thread_local!(static HAS_ROOM: Cell<bool> = const { Cell::new(false) });

/// As [`with_room`], but for work that may be a part of other such work: that has room already.
pub(crate) fn with_more_room<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if HAS_ROOM.get() { Some(work()) } else { with_room(depth, work) }
}

/// How deep the tree of a text may be, told from its marks alone: brackets nest, and so do operators in a row.
pub(crate) fn depth_of(text: &str) -> usize {
    let (mut open, mut deepest, mut marks) = (0_usize, 0, 0);
    for b in text.bytes() {
        match b {
            b'(' | b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'?' | b'!' => marks += 1,
            _ => {}
        }
    }
    // Few marks in a row go deep; many texts have some dozens side by side.
    deepest * 3 + marks / 4
}
