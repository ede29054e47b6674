//! The world around the objects of a repository: what the repository itself describes, answers that a file gives or a
//! cluster gave, and the questions that nobody has answered yet.
//!
//! Nothing is asked while policies are evaluated. A question without an answer is noted and is an error of its rule;
//! whoever has a cluster at hand fetches what was asked for and evaluates again.

mod asking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::Value;

use super::objects::{Objects, Wanted};
use super::request::Values;
use crate::expr::Outside as _;
use crate::model::{Gvk, Manifest};
use crate::schema::{KindInfo, Schemas};

pub use asking::Asking;

/// More paths than this are not asked for: a policy that asks for something else with each object is not answered.
const MOST_QUESTIONS: usize = 2000;

/// Answers from outside of the repository.
#[derive(Debug, Default)]
pub struct World {
    /// A document of values, answers of services and global entries.
    given: Option<Value>,
    /// What a cluster answered, by path.
    fetched: BTreeMap<String, Result<Value, String>>,
    /// Paths that a cluster was asked for and did not answer, and why: that decides nothing, and is asked again.
    silent: BTreeMap<String, String>,
    /// Whether there is a cluster that can be asked.
    has_cluster: bool,
    /// Paths that were asked for and are not answered.
    open: Mutex<BTreeSet<String>>,
    /// Paths whose answers were of use since something last became known.
    used: Mutex<BTreeSet<String>>,
    version: u64,
}

impl World {
    /// Nothing is known beside the repository.
    pub const fn nothing() -> World {
        World {
            given: None,
            fetched: BTreeMap::new(),
            silent: BTreeMap::new(),
            has_cluster: false,
            open: Mutex::new(BTreeSet::new()),
            used: Mutex::new(BTreeSet::new()),
            version: 0,
        }
    }

    /// Takes answers from a document as suites have them: `globalValues`, `policies`, `apiCallResponses`,
    /// `globalContextEntries`.
    #[must_use]
    pub fn given(mut self, values: Value) -> World {
        self.given = Some(values);
        self.changed();
        self
    }

    /// From now on a cluster can be asked.
    #[must_use]
    pub fn with_cluster(mut self) -> World {
        self.has_cluster = true;
        self.changed();
        self
    }

    /// Takes what a cluster answered to a path.
    pub fn take(&mut self, answers: impl IntoIterator<Item = (String, Result<Value, String>)>) {
        for (path, answer) in answers {
            self.open.get_mut().remove(&path);
            self.silent.remove(&path);
            if self.fetched.get(&path) != Some(&answer) {
                self.fetched.insert(path, answer);
                self.changed();
            }
        }
    }

    /// Takes what became of asking a cluster: an answer, or why there is none. What it answered before stays.
    pub fn hear(
        &mut self,
        replies: impl IntoIterator<Item = (String, Result<Result<Value, String>, String>)>,
    ) {
        for (path, reply) in replies {
            match reply {
                Ok(answer) => self.take([(path, answer)]),
                Err(_) if self.fetched.contains_key(&path) => {}
                Err(why) => {
                    self.open.get_mut().remove(&path);
                    if self.silent.get(&path) != Some(&why) {
                        self.silent.insert(path, why);
                        self.changed();
                    }
                }
            }
        }
    }

    /// Paths that were asked for and that a cluster is still to be asked for.
    pub fn open(&self) -> Vec<String> {
        self.open.lock().iter().cloned().collect()
    }

    /// Paths that a cluster was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.fetched.keys().chain(self.silent.keys()).cloned().collect()
    }

    /// Whether anybody still wants to know the answer to a path.
    pub fn wants(&self, path: &str) -> bool {
        self.was_asked(path) || self.open.lock().contains(path)
    }

    fn was_asked(&self, path: &str) -> bool {
        self.fetched.contains_key(path) || self.silent.contains_key(path)
    }

    /// Everything was evaluated by what is known: answers that were of no use are forgotten.
    pub fn settle(&mut self) {
        let used = self.used.get_mut();
        self.fetched.retain(|path, _| used.contains(path));
        self.silent.retain(|path, _| used.contains(path));
    }

    /// Forgets what was of no use since the last time, or since something last became known.
    pub fn forget_unused(&mut self) {
        self.settle();
        self.used.get_mut().clear();
    }

    /// No two states of what is known have the same.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn changed(&mut self) {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        self.used.get_mut().clear();
        self.version = VERSIONS.fetch_add(1, Ordering::Relaxed);
    }

    /// The values that are given for the policies that judge an object.
    pub fn values_for(&self, object: &Value) -> Option<Values> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        self.given.as_ref().map(|given| Values::of_file(given, name))
    }

    fn given_response(&self, method: &str, url: &str) -> Option<&Value> {
        let responses = self.given.as_ref()?["apiCallResponses"].as_array()?;
        let is = |entry: &&Value| {
            let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
            text("url").or(text("urlPath")) == Some(url)
                && text("method").is_none_or(|m| m.eq_ignore_ascii_case(method))
        };
        Some(&responses.iter().find(is)?["response"])
    }

    fn response(&self, method: &str, url: &str) -> Option<Result<Value, String>> {
        let response = self.given_response(method, url)?;
        Some(match response["statusCode"].as_i64() {
            Some(status) if status >= 400 => Err(format!("HTTP {status}: {}", response["body"])),
            _ => Ok(response["body"].clone()),
        })
    }

    fn given_global(&self, name: &str) -> Option<&Value> {
        let entries = self.given.as_ref()?["globalContextEntries"].as_array()?;
        entries.iter().find(|entry| entry["name"] == name).map(|entry| &entry["data"])
    }
}

/// The objects that stand together, and the world around them.
#[derive(Debug)]
pub struct Neighbours<'a> {
    world: &'a World,
    objects: Vec<&'a Value>,
    known: OnceLock<Objects<'a>>,
    described: Option<&'a Described>,
    /// Whether there is a repository.
    describes: bool,
}

/// Objects that stand together for long, found by their kind from the first question on.
#[derive(Debug, Default)]
pub struct Described {
    bodies: Vec<Arc<Value>>,
    known: OnceLock<Objects<'static>>,
}

impl Described {
    /// These.
    pub fn of(bodies: Vec<Arc<Value>>) -> Described {
        Described { bodies, known: OnceLock::new() }
    }

    /// Whether they are the very same.
    pub fn is_of(&self, bodies: &[Arc<Value>]) -> bool {
        self.bodies.len() == bodies.len() && self.bodies.iter().zip(bodies).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    fn known(&self) -> &Objects<'static> {
        self.known.get_or_init(|| Objects::keeping(self.bodies.iter().cloned()))
    }
}

impl<'a> Neighbours<'a> {
    /// These manifests; `also` lives in a cluster.
    pub fn new(
        world: &'a World,
        manifests: &'a [Arc<Manifest>],
        also: impl IntoIterator<Item = &'a Value>,
    ) -> Neighbours<'a> {
        let objects = manifests.iter().map(|manifest| &*manifest.body).chain(also).collect();
        Neighbours { world, objects, known: OnceLock::new(), described: None, describes: true }
    }

    /// These, in a cluster.
    pub fn among(world: &'a World, described: &'a Described) -> Neighbours<'a> {
        let described = Some(described);
        Neighbours { world, objects: Vec::new(), known: OnceLock::new(), described, describes: true }
    }

    /// No repository: what is not given is not known.
    pub fn none(world: &'a World) -> Neighbours<'a> {
        Neighbours { describes: false, ..Neighbours::new(world, &[], []) }
    }

    /// For the judgement of one of them.
    pub fn of<'n>(&'n self, judged: &'n Value) -> Asking<'n, 'a> {
        Asking::about(judged, self)
    }

    /// The values that are given for the policies that judge an object.
    pub fn values_for(&self, object: &Value) -> Option<Values> {
        self.world.values_for(object)
    }

    fn known(&self) -> &Objects<'a> {
        match self.described {
            Some(described) => described.known(),
            None => self.known.get_or_init(|| Objects::of(self.objects.iter().copied())),
        }
    }

    /// Whether there is such a resource, as far as is known here: a name with a mistake in it has no objects, either.
    fn serves(&self, wanted: &Wanted<'_>) -> bool {
        let known = self.known();
        let defines = |crd: &&Value| {
            let spec = &crd["spec"];
            let mut versions = spec["versions"].as_array().into_iter().flatten();
            spec["group"] == wanted.group
                && spec["names"]["plural"] == wanted.resource
                && versions.any(|version| version["name"] == wanted.version)
        };
        let is = |kind: &KindInfo| {
            let Gvk { group, version, .. } = &kind.gvk;
            kind.plural == wanted.resource && **group == *wanted.group && **version == *wanted.version
        };
        Schemas::builtin().kinds().any(is)
            || known.wanted(&wanted.resource_alone()).next().is_some()
            || known.objects("", "CustomResourceDefinition").iter().any(defines)
    }

    /// What a cluster answers to a path; without an answer the question is noted.
    fn fetched(&self, path: &str) -> Option<Result<Value, String>> {
        let answer = self.world.fetched.get(path).cloned();
        if self.world.was_asked(path) {
            let mut used = self.world.used.lock();
            if !used.contains(path) {
                used.insert(path.to_owned());
            }
        } else {
            let mut open = self.world.open.lock();
            let known = self.world.fetched.len() + self.world.silent.len();
            if open.len() + known < MOST_QUESTIONS {
                open.insert(path.to_owned());
            }
        }
        answer
    }

    /// Whether a path is one too many to be asked for.
    fn is_too_much(&self, path: &str) -> bool {
        !self.is_open(path) && !self.world.was_asked(path)
    }

    /// Whether a path is still to be asked for.
    fn is_open(&self, path: &str) -> bool {
        self.world.open.lock().contains(path)
    }
}
