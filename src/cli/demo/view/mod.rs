//! What somebody who watches the demo sees: clusters, stages, leases, and what just happened.
//!
//! [`State`] is what is known, [`news`] what a change of it means, [`draw`] how it looks: all three without a clock or a
//! terminal. [`follow`] finds out, [`screen`] shows it.

pub mod draw;
pub mod follow;
mod news;
pub mod screen;

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

/// How many of the last news are kept.
const KEPT: usize = 100;

/// The kinds that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Lease,
    Reconciliation,
    Cluster,
    ClusterStack,
    Machine,
}

/// Something that was seen.
#[derive(Debug, Clone)]
pub enum Seen {
    /// An object is so now.
    Is(Kind, Value),
    /// An object is gone.
    Gone(Kind, Value),
    /// Everything in it is gone, and its API server is now here.
    Empty(String),
    /// Something that is no change of an object.
    Told(String),
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct State {
    /// The management clusters, in the order in which they are shown.
    pub seats: Vec<Seat>,
    /// Where the repository is.
    pub repository: String,
    /// What happened, newest last.
    pub news: VecDeque<News>,
}

/// What is known of a management cluster.
#[derive(Debug, Default)]
pub struct Seat {
    pub name: String,
    /// Where its API server is.
    pub url: String,
    /// By kind, and by namespace and name.
    pub objects: BTreeMap<(Kind, String), Value>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// A time of day.
    pub at: String,
    /// The management cluster.
    pub on: String,
    pub text: String,
}

impl State {
    /// Take in what was seen of a management cluster at a time of day; answers what that means.
    pub fn take_in(&mut self, on: &str, at: &str, seen: Seen) -> Vec<News> {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.name == on) else { return Vec::new() };
        let texts = match seen {
            Seen::Is(kind, object) => {
                let old = seat.objects.insert((kind, name_of(&object)), object.clone());
                news::of_change(kind, old.as_ref(), Some(&object))
            }
            Seen::Gone(kind, object) => {
                let old = seat.objects.remove(&(kind, name_of(&object)));
                news::of_change(kind, old.as_ref(), None)
            }
            Seen::Empty(url) => {
                seat.objects.clear();
                seat.url = url;
                Vec::new()
            }
            Seen::Told(text) => vec![text],
        };
        let news = |text: String| News { at: at.to_owned(), on: on.to_owned(), text: harmless(&text) };
        let news: Vec<News> = texts.into_iter().map(news).collect();
        self.news.extend(news.iter().cloned());
        let surplus = self.news.len().saturating_sub(KEPT);
        self.news.drain(..surplus);
        news
    }
}

impl Seat {
    /// All objects of a kind, by namespace and name.
    fn of_kind(&self, wanted: Kind) -> impl Iterator<Item = (&str, &Value)> {
        let all = self.objects.iter().filter(move |((kind, _), _)| *kind == wanted);
        all.map(|((_, name), object)| (name.as_str(), object))
    }

    fn one(&self, kind: Kind) -> &Value {
        self.of_kind(kind).next().map_or(&Value::Null, |(_, object)| object)
    }
}

/// `NAMESPACE/NAME`.
fn name_of(object: &Value) -> String {
    let part = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", part("namespace"), part("name"))
}

/// Who holds a Lease: the management cluster whose daemon it is, and whether that stands in for another.
fn holder(lease: &Value) -> Option<(&str, bool)> {
    let identity = lease["spec"]["holderIdentity"].as_str().filter(|identity| !identity.is_empty())?;
    let stands_in = lease["metadata"]["annotations"]["moin.scs.community/role"] == "peer";
    Some((identity.rsplit_once('_').map_or(identity, |(name, _)| name), stands_in))
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

fn short(revision: &str) -> &str {
    revision.get(..7).unwrap_or(revision)
}

/// Without anything that a terminal would obey: a text may come from anybody who can write an object.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
