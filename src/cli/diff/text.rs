//! A plan as people read it: a unified diff an object, as `kubectl diff` prints it, with what it means above.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

use super::Entry;

/// Colours for a terminal, or none.
pub struct Palette {
    added: Style,
    removed: Style,
    heading: Style,
}

impl Palette {
    /// Colours.
    pub fn colored() -> Palette {
        Palette {
            added: AnsiColor::Green.on_default(),
            removed: AnsiColor::Red.on_default(),
            heading: Style::new().bold(),
        }
    }

    /// None.
    pub fn plain() -> Palette {
        Palette { added: Style::new(), removed: Style::new(), heading: Style::new() }
    }
}

/// The whole plan.
pub fn unified(entries: &[Entry], palette: &Palette) -> String {
    let mut out = String::new();
    for entry in entries {
        let heading = palette.heading;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{heading}{} {}{heading:#}", entry.sign(), entry.title());
        for note in entry.notes() {
            let _ = writeln!(out, "  {note}");
        }
        hunks(&mut out, entry, palette);
        out.push('\n');
    }
    out
}

fn hunks(out: &mut String, entry: &Entry, palette: &Palette) {
    let (before, after) = entry.texts();
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(out, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', palette.removed),
                ChangeTag::Insert => ('+', palette.added),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let _ = writeln!(out, "{style}{sign}{}{style:#}", change.value().trim_end_matches('\n'));
        }
    }
}

/// The hunks alone, for a code block.
pub fn plain_hunks(entry: &Entry) -> String {
    let mut out = String::new();
    hunks(&mut out, entry, &Palette::plain());
    out
}
