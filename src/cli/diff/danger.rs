//! What an entry means for what runs, in words for somebody who reviews it.

use super::Entry;
use crate::plan::Risk;

/// Kinds that take data or machines with them when they go.
const HOLD_DATA: [&str; 6] = [
    "Cluster",
    "Namespace",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Secret",
    "CustomResourceDefinition",
];

/// The risk of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// Nothing that runs notices more than the change itself.
    None(&'static str),
    /// Worth a word in the summary.
    Some(&'static str),
}

impl Danger {
    /// Of an entry.
    pub fn of(entry: &Entry) -> Danger {
        let kind = entry.object.kind();
        match (entry.sign(), entry.risk()) {
            ('+', _) if kind == "Cluster" => Danger::None("new, starts machines"),
            ('+', _) => Danger::None("new"),
            ('-', _) if HOLD_DATA.contains(&kind) => Danger::Some("deletes data"),
            ('-', _) => Danger::None("is gone"),
            ('!', _) => Danger::None(entry.stopped_by()),
            (_, Some(Risk::NotRevertible)) => Danger::Some("replaces machines, cannot be taken back"),
            (_, Some(Risk::Rolls)) if entry.object.group() == "apps" => Danger::Some("replaces pods"),
            (_, Some(Risk::Rolls)) => Danger::Some("replaces machines"),
            (_, Some(Risk::Deletes)) => Danger::Some("deletes machines"),
            (_, Some(Risk::InPlace) | None) => Danger::None("in place"),
        }
    }

    /// In a table.
    pub fn word(self) -> String {
        match self {
            Danger::None(word) => word.to_owned(),
            Danger::Some(word) => format!("**{word}**"),
        }
    }
}

/// The dangers of all entries for the summary, each once.
pub fn all(entries: &[Entry]) -> Vec<&'static str> {
    let dangers = entries.iter().map(Danger::of).filter_map(|danger| match danger {
        Danger::Some(word) => Some(word),
        Danger::None(_) => None,
    });
    let mut all: Vec<&str> = dangers.collect();
    all.sort_unstable();
    all.dedup();
    all
}
