//! The world around the objects of a repository: what the repository itself describes, answers that a file gives or a
//! cluster gave, and the questions that nobody has answered yet.
//!
//! Nothing is asked while policies are evaluated. A question without an answer is noted and is an error of its rule;
//! whoever has a cluster at hand fetches what was asked for and evaluates again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::objects::{Objects, Wanted};
use super::request::Values;
use crate::expr::{Environment, Expression, Outside};
use crate::finding::{Code, Finding, conceal};
use crate::model::Manifest;

/// More paths than this are not asked for: a policy that asks for something else with each object is not answered.
const MOST_QUESTIONS: usize = 2000;

/// What is said of a path beyond these.
const TOO_MANY: &str = "is not asked for: policies ask for more than 2000 paths";

/// What is said of an API call that changes something.
const NOT_SENT: &str = "is a POST, which is not sent from here";

/// What is said of a service.
const NOT_CALLED: &str = "is a service, which is not called from here";

/// What is said of an image.
const NOT_PULLED: &str = "is in a registry, which is not asked from here: not evaluated offline";

/// Answers from outside of the repository.
#[derive(Debug, Default)]
pub struct World {
    /// A document of values, answers of services and global entries.
    given: Option<Value>,
    /// What a cluster answered, by path.
    fetched: BTreeMap<String, Result<Value, String>>,
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
            if self.fetched.get(&path) != Some(&answer) {
                self.fetched.insert(path, answer);
                self.changed();
            }
        }
    }

    /// Paths that were asked for and that a cluster has not answered.
    pub fn open(&self) -> Vec<String> {
        self.open.lock().iter().cloned().collect()
    }

    /// Paths that a cluster has answered.
    pub fn answered(&self) -> Vec<String> {
        self.fetched.keys().cloned().collect()
    }

    /// Whether anybody still wants to know the answer to a path.
    pub fn wants(&self, path: &str) -> bool {
        self.fetched.contains_key(path) || self.open.lock().contains(path)
    }

    /// Everything was evaluated by what is known: answers that were of no use are forgotten.
    pub fn settle(&mut self) {
        let used = self.used.get_mut();
        self.fetched.retain(|path, _| used.contains(path));
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
        Neighbours { world, objects, known: OnceLock::new(), described: None }
    }

    /// These, in a cluster.
    pub fn among(world: &'a World, described: &'a Described) -> Neighbours<'a> {
        Neighbours { world, objects: Vec::new(), known: OnceLock::new(), described: Some(described) }
    }

    /// For the judgement of one of them.
    pub fn of<'n>(&'n self, judged: &'n Value) -> Asking<'n, 'a> {
        let [asked, waits] = [false; 2].map(AtomicBool::new);
        Asking { around: self, judged, missing: Mutex::default(), asked, waits, secrets: Mutex::default() }
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

    /// What a cluster answers to a path; without an answer the question is noted.
    fn fetched(&self, path: &str) -> Option<Result<Value, String>> {
        let answer = self.world.fetched.get(path).cloned();
        if answer.is_some() {
            let mut used = self.world.used.lock();
            if !used.contains(path) {
                used.insert(path.to_owned());
            }
        } else {
            let mut open = self.world.open.lock();
            if open.len() + self.world.fetched.len() < MOST_QUESTIONS {
                open.insert(path.to_owned());
            }
        }
        answer
    }

    /// Whether a path is one too many to be asked for.
    fn is_too_much(&self, path: &str) -> bool {
        !self.world.open.lock().contains(path) && !self.world.fetched.contains_key(path)
    }
}

/// What the judgement of one object may ask, and what it asked.
#[derive(Debug)]
pub struct Asking<'n, 'a> {
    around: &'n Neighbours<'a>,
    judged: &'n Value,
    /// Questions without an answer.
    missing: Mutex<Vec<String>>,
    asked: AtomicBool,
    waits: AtomicBool,
    /// Secrets that were told.
    secrets: Mutex<Vec<Value>>,
}

impl Asking<'_, '_> {
    /// Whether anything was asked: then the judgement depends on more than the object and its policies.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the answer to anything that was asked is still to come.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether a failed rule says that something is missing.
    pub fn is_why(&self, message: &str) -> bool {
        self.missing.lock().iter().any(|question| message.contains(question.as_str()))
    }

    /// Makes a finding about a failed rule say what is missing and how to give it, if that is why it failed.
    pub fn explain(&self, finding: &mut Finding) {
        if !self.is_why(&finding.message) {
            return;
        }
        finding.code = Code::ContextMissing;
        let how = if finding.message.contains(TOO_MANY) {
            "have policies ask for a list in place of one object after the other"
        } else if finding.message.contains(NOT_CALLED) || finding.message.contains(NOT_SENT) {
            "give the answer with --values FILE: apiCallResponses: [{url: ..., response: {statusCode: 200, body: ...}}]"
        } else if finding.message.contains(NOT_PULLED) {
            "give what the registry knows with --values FILE: policies: [{name: ..., rules: [{name: ..., values: {...}}]}], by \
             the name of the context entry; or judge images at admission"
        } else if self.around.world.has_cluster {
            "it is asked for; until it answers, the object waits"
        } else {
            "describe it in the repository, give it with --values FILE, or ask a cluster: moin diff --live"
        };
        finding.help.get_or_insert_with(|| how.to_owned());
    }

    /// A text without the values of the Secrets that were told.
    pub fn conceal(&self, text: &str) -> String {
        self.secrets.lock().iter().fold(text.to_owned(), |text, secret| conceal(&text, secret))
    }

    /// Notes the Secrets of an answer.
    fn note_secrets(&self, answer: &Value) {
        let alone = std::slice::from_ref(answer);
        let items = answer["items"].as_array().map_or(alone, Vec::as_slice);
        let of_kind = |item: &&Value| item["kind"] == "Secret";
        self.secrets.lock().extend(items.iter().filter(of_kind).cloned());
    }

    fn world(&self) -> &World {
        self.asked.store(true, Ordering::Relaxed);
        self.around.world
    }

    fn missing(&self, question: &str, why: &str) -> String {
        self.missing.lock().push(question.to_owned());
        format!("{question} {why}")
    }

    fn unanswered(&self, path: &str) -> String {
        match self.around.world.has_cluster {
            true if self.around.is_too_much(path) => self.missing(path, TOO_MANY),
            true => self.missing(path, "is being asked for"),
            false => self.missing(path, "is not described by the repository, and no cluster is asked"),
        }
    }

    /// What a cluster answered to a path; without an answer the question is noted.
    fn fetched(&self, path: &str) -> Option<Result<Value, String>> {
        let answer = self.around.fetched(path);
        if answer.is_none() && !self.around.is_too_much(path) {
            self.waits.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// What a cluster answers to a path, if there is one.
    fn answer(&self, path: &str) -> Result<Value, String> {
        match self.around.world.has_cluster.then(|| self.fetched(path)).flatten() {
            Some(answer) => answer.map_err(|why| self.missing(path, &format!("is not known: {why}"))),
            None => Err(self.unanswered(path)),
        }
    }

    fn is_judged(&self, object: &Value) -> bool {
        ["namespace", "name"].iter().all(|field| object["metadata"][field] == self.judged["metadata"][field])
            && object["kind"] == self.judged["kind"]
    }

    /// The items of a list that a cluster holds.
    fn held(&self, path: &str) -> Result<Vec<Value>, String> {
        let list = self.answer(path)?;
        let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
        let whole = |item: &Value| {
            let mut item = item.clone();
            for (field, value) in [("kind", kind.into()), ("apiVersion", list["apiVersion"].clone())] {
                if item[field].is_null() {
                    item[field] = value;
                }
            }
            item
        };
        Ok(list["items"].as_array().into_iter().flatten().map(whole).collect())
    }

    /// A list as it will be: what a cluster holds, with what the repository describes over it, but for the object that
    /// is judged, which is not there yet.
    fn list(&self, wanted: &Wanted<'_>, path: &str) -> Result<Value, String> {
        let known = self.around.known();
        let described: Vec<&Value> = known.wanted(wanted).collect();
        let mut items: Vec<Value> = Vec::new();
        if self.around.world.has_cluster {
            let same = |a: &Value, b: &Value| {
                ["namespace", "name"].iter().all(|field| a["metadata"][field] == b["metadata"][field])
            };
            let others = self.held(path)?.into_iter().filter(|item| {
                !described.iter().any(|described| same(described, item)) && !self.is_judged(item)
            });
            items.extend(others);
        }
        items.extend(described.into_iter().filter(|object| !self.is_judged(object)).cloned());
        Ok(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    /// The data of a GlobalContextEntry, by its `spec`.
    fn entry(&self, spec: &Value) -> Result<Value, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = &spec["kubernetesResource"];
        if resource.is_object() {
            let (group, version) = (text(&resource["group"]), text(&resource["version"]));
            let mut path =
                if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            if let Some(namespace) = resource["namespace"].as_str().filter(|name| !name.is_empty()) {
                path += &format!("/namespaces/{namespace}");
            }
            path += &format!("/{}", text(&resource["resource"]));
            return self.get(&path).map(|list| list["items"].clone());
        }
        let call = &spec["apiCall"];
        match call["service"]["url"].as_str() {
            Some(url) => self.call(call["method"].as_str().unwrap_or("GET"), url, None),
            None => self.get(&text(&call["urlPath"])),
        }
    }

    /// The `spec` of a GlobalContextEntry.
    fn entry_spec(&self, name: &str) -> Option<Value> {
        let described = self.around.known().objects("", "GlobalContextEntry");
        if let Some(entry) = described.iter().find(|entry| entry["metadata"]["name"] == name) {
            return Some(entry["spec"].clone());
        }
        let path = format!("/apis/kyverno.io/v2beta1/globalcontextentries/{name}");
        let fetched = self.around.world.has_cluster.then(|| self.fetched(&path))?;
        fetched?.ok().map(|entry| entry["spec"].clone())
    }
}

impl Asking<'_, '_> {
    fn look_up(&self, path: &str) -> Result<Value, String> {
        if let Some(answer) = self.world().response("GET", path) {
            return answer;
        }
        if let Some(wanted) = Wanted::parse(path) {
            if wanted.name.is_none() {
                return self.list(&wanted, path);
            }
            if let Some(object) = self.around.known().wanted(&wanted).next() {
                return Ok(object.clone());
            }
        }
        self.answer(path)
    }
}

impl Outside for Asking<'_, '_> {
    fn get(&self, path: &str) -> Result<Value, String> {
        let answer = self.look_up(path);
        if let Ok(answer) = &answer
            && path.contains("/secrets")
        {
            self.note_secrets(answer);
        }
        answer
    }

    fn post(&self, path: &str, _body: &Value) -> Result<Value, String> {
        let given = self.world().response("POST", path);
        given.unwrap_or_else(|| Err(self.missing(path, NOT_SENT)))
    }

    fn call(&self, method: &str, url: &str, _body: Option<&Value>) -> Result<Value, String> {
        let given = self.world().response(method, url);
        given.unwrap_or_else(|| Err(self.missing(url, NOT_CALLED)))
    }

    fn response(&self, method: &str, url: &str) -> Option<Value> {
        self.world().given_response(method, url).cloned()
    }

    fn global(&self, name: &str) -> Option<Value> {
        if let Some(data) = self.world().given_global(name) {
            return Some(data.clone());
        }
        let (entry, projection) = name.split_once('.').unwrap_or((name, ""));
        let found = self.entry_spec(entry).and_then(|spec| {
            let data = self.entry(&spec).ok()?;
            if projection.is_empty() {
                return Some(data);
            }
            let mut named = spec["projections"].as_array()?.iter();
            let path = named.find(|one| one["name"] == projection)?["jmesPath"].as_str()?;
            Expression::compile(path).ok()?.search_in(&data, &Environment::default()).ok()
        });
        if found.is_none() {
            self.missing(name, "");
        }
        found
    }

    fn image(&self, reference: &str) -> Result<Value, String> {
        self.world();
        Err(self.missing(reference, NOT_PULLED))
    }

    fn objects(&self, api_version: &str, kind: &str) -> Vec<&Value> {
        self.world();
        self.around.known().objects(api_version, kind)
    }

    fn living(&self, path: &str, enough: bool) -> Result<Vec<Value>, String> {
        match enough && !self.world().has_cluster {
            true => Ok(Vec::new()),
            false => self.held(path),
        }
    }

    fn secrets_told(&self) -> usize {
        self.secrets.lock().len()
    }

    fn teller(&self, method: &str, target: &str) -> Option<&'static str> {
        let world = self.around.world;
        if world.response(method, target).is_some() || world.given_global(target).is_some() {
            return Some("the file of values");
        }
        let wanted = Wanted::parse(target).filter(|_| method == "GET");
        let is_described =
            wanted.as_ref().is_some_and(|wanted| self.around.known().wanted(wanted).next().is_some());
        let is_list = wanted.is_some_and(|wanted| wanted.name.is_none());
        match (is_described, world.has_cluster) {
            (true, true) if is_list => Some("the repository and the cluster"),
            (true, _) => Some("the repository"),
            (false, true) => Some("the cluster"),
            (false, false) if is_list => Some("the repository"),
            (false, false) => None,
        }
    }

    fn has_answered(&self, method: &str, target: &str) -> bool {
        let world = self.world();
        world.response(method, target).is_some()
            || (method == "GET" && world.has_cluster && world.fetched.contains_key(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}})
    }

    fn names(list: &Value) -> Vec<&str> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str())
            .collect()
    }

    #[test]
    fn the_repository_answers_what_it_describes_and_the_rest_is_missing() {
        let (a, b) = (object("ConfigMap", "a"), object("ConfigMap", "b"));
        let world = World::nothing();
        let around = Neighbours::new(&world, &[], [&a, &b]);
        let asking = around.of(&b);
        assert!(!asking.asked());
        assert_eq!(asking.get("/api/v1/namespaces/n/configmaps/a").unwrap(), a);
        assert_eq!(
            names(&asking.get("/api/v1/namespaces/n/configmaps").unwrap()),
            ["a"],
            "b is not there yet"
        );
        assert!(asking.asked() && world.open().is_empty());
        let error = asking.get("/api/v1/namespaces/n/configmaps/c").unwrap_err();
        let mut finding = Finding::error(Code::PolicyError, format!("p/r: {error}"));
        asking.explain(&mut finding);
        assert_eq!(finding.code, Code::ContextMissing);
        assert!(finding.help.unwrap().contains("--values FILE"));
        let mut other = Finding::error(Code::PolicyError, "p/r: another matter");
        asking.explain(&mut other);
        assert_eq!(other.code, Code::PolicyError);
    }

    #[test]
    fn a_cluster_is_asked_once_and_what_is_described_goes_over_it() {
        let described = object("ConfigMap", "a");
        let path = "/api/v1/namespaces/n/configmaps".to_owned();
        let mut world = World::nothing().with_cluster();
        {
            let around = Neighbours::new(&world, &[], [&described]);
            let pod = object("Pod", "p");
            let asking = around.of(&pod);
            assert!(asking.get(&path).unwrap_err().contains("is being asked for"));
            assert_eq!(asking.global("g"), None);
        }
        assert_eq!(
            world.open(),
            [path.clone(), "/apis/kyverno.io/v2beta1/globalcontextentries/g".to_owned()]
        );
        let before = world.version();
        let old = json!({"metadata": {"name": "a", "namespace": "n"}, "data": {"old": "x"}});
        let list =
            json!({"kind": "ConfigMapList", "apiVersion": "v1", "items": [old, object("ConfigMap", "z")]});
        let entry = json!({"spec": {"kubernetesResource": {"version": "v1", "resource": "configmaps", "namespace": "n"},
            "projections": [{"name": "count", "jmesPath": "length(@)"}]}});
        world.take([
            (path.clone(), Ok(list)),
            ("/apis/kyverno.io/v2beta1/globalcontextentries/g".into(), Ok(entry)),
        ]);
        assert!(world.open().is_empty() && world.version() != before);
        let around = Neighbours::new(&world, &[], [&described]);
        let pod = object("Pod", "p");
        let asking = around.of(&pod);
        let list = asking.get(&path).unwrap();
        assert_eq!(names(&list), ["z", "a"]);
        assert_eq!(list["items"][1], described);
        assert_eq!(asking.global("g.count"), Some(json!(2)));
    }

    #[test]
    fn what_is_of_no_use_is_forgotten_and_what_is_too_much_says_so() {
        let mut world = World::nothing().with_cluster();
        let judged = object("Pod", "p");
        let ask = |world: &World, path: &str| Neighbours::new(world, &[], []).of(&judged).get(path);
        for at in 0..MOST_QUESTIONS {
            assert!(ask(&world, &format!("/{at}")).unwrap_err().contains("is being asked for"));
        }
        assert!(ask(&world, "/more").unwrap_err().contains("more than 2000 paths"));
        let open = world.open();
        world.take(open.into_iter().map(|path| (path, Ok(Value::Null))));
        assert_eq!(ask(&world, "/7"), Ok(Value::Null));
        world.settle();
        assert_eq!(world.answered(), ["/7"]);
        assert!(ask(&world, "/more").unwrap_err().contains("is being asked for"));
        assert!(world.wants("/7") && world.wants("/more") && !world.wants("/8"));
    }

    #[test]
    fn given_answers_come_first() {
        let world = World::nothing().given(json!({
            "globalValues": {"x": 1},
            "apiCallResponses": [{"urlPath": "/a", "response": {"body": 1}}, {"method": "POST", "url": "https://b", "response": {"statusCode": 500}}],
            "globalContextEntries": [{"name": "g", "data": [1]}]}));
        let around = Neighbours::new(&world, &[], []);
        let asking = around.of(&Value::Null);
        assert_eq!(asking.get("/a"), Ok(json!(1)));
        assert!(asking.call("POST", "https://b", None).unwrap_err().contains("500"));
        assert!(asking.call("GET", "https://b", None).unwrap_err().contains("not called"));
        assert!(asking.has_answered("POST", "https://b") && !asking.has_answered("GET", "https://b"));
        assert!(!asking.has_answered("GET", "/b"), "what nobody answered does not take a default");
        assert!(asking.image("a:1").unwrap_err().contains("not evaluated offline"));
        assert_eq!(asking.global("g"), Some(json!([1])));
        assert_eq!(around.values_for(&Value::Null).unwrap().global["x"], 1);
    }
}
