//! What the judgement of one object asks of the world, and what it did not get to know.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::objects::Wanted;
use super::{Neighbours, World};
use crate::expr::{Environment, Expression, Lack, Outside};
use crate::finding::{Code, Finding, conceal};

/// What is said of a path beyond these.
const TOO_MANY: &str = "is not asked for: policies ask for more than 2000 paths";

/// What is said of an API call that changes something.
const NOT_SENT: &str = "is a POST, which is not sent from here";

/// What is said of a service.
const NOT_CALLED: &str = "is a service, which is not called from here";

/// What is said of an image.
const NOT_PULLED: &str = "is in a registry, which is not asked from here: not evaluated offline";

/// What the judgement of one object may ask, and what it asked.
#[derive(Debug)]
pub struct Asking<'n, 'a> {
    around: &'n Neighbours<'a>,
    judged: &'n Value,
    /// Why questions had no answer, in the order in which they were asked.
    missing: Mutex<Vec<Lack>>,
    asked: AtomicBool,
    waits: AtomicBool,
    /// Secrets that were told.
    secrets: Mutex<Vec<Value>>,
}

impl<'n, 'a> Asking<'n, 'a> {
    pub(super) fn about(judged: &'n Value, around: &'n Neighbours<'a>) -> Asking<'n, 'a> {
        let [asked, waits] = [false; 2].map(AtomicBool::new);
        Asking { around, judged, missing: Mutex::default(), asked, waits, secrets: Mutex::default() }
    }
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

    /// Makes a finding about a failed rule say how to give what the rule lacks.
    pub fn explain(&self, finding: &mut Finding, lack: Option<Lack>) {
        let Some(lack) = lack else { return };
        finding.code = Code::ContextMissing;
        let how = match lack {
            Lack::TooMany => "have policies ask for a list in place of one object after the other",
            Lack::NotSent => {
                "give the answer with --values FILE: apiCallResponses: [{url: ..., response: {statusCode: 200, body: ...}}]"
            }
            Lack::NotPulled => {
                "give what the registry knows with --values FILE: policies: [{name: ..., rules: [{name: ..., values: {...}}]}], by \
                 the name of the context entry; or judge images at admission"
            }
            Lack::Open | Lack::NotThere => "it is asked for; until it answers, the object waits",
            Lack::Undescribed => {
                "describe it in the repository, give it with --values FILE, or ask a cluster: moin diff --live"
            }
        };
        finding.help.get_or_insert_with(|| how.to_owned());
    }

    /// A text without the values of the Secrets that it is about, and of those that were told: whatever is said of a
    /// judgement goes through here.
    pub fn conceal<'o>(&self, text: &str, about: impl IntoIterator<Item = &'o Value>) -> String {
        let text = about.into_iter().fold(text.to_owned(), |text, object| conceal(&text, object));
        self.secrets.lock().iter().fold(text, |text, secret| conceal(&text, secret))
    }

    /// Notes the Secrets of an answer.
    fn note_secrets(&self, answer: &Value) {
        let alone = std::slice::from_ref(answer);
        let items = answer["items"].as_array().map_or(alone, Vec::as_slice);
        // An API server leaves the kind out of what is in a list.
        let all = answer["kind"] == "SecretList";
        let of_kind = items.iter().filter(|item| all && item.is_object() || item["kind"] == "Secret");
        let secrets = of_kind.cloned().map(|mut secret| {
            secret["kind"] = "Secret".into();
            secret
        });
        self.secrets.lock().extend(secrets);
    }

    fn world(&self) -> &World {
        self.asked.store(true, Ordering::Relaxed);
        self.around.world
    }

    fn missing(&self, question: &str, lack: Lack, why: &str) -> String {
        self.missing.lock().push(lack);
        format!("{question} {why}")
    }

    fn unanswered(&self, path: &str) -> String {
        let lack = self.lack_of(path);
        let why = match lack {
            Lack::TooMany => TOO_MANY,
            Lack::Undescribed => "is not described by the repository, and no cluster is asked",
            _ => match self.around.world.silent.get(path) {
                Some(why) => return self.missing(path, lack, &format!("has no answer: {why}")),
                None => "is being asked for",
            },
        };
        self.missing(path, lack, why)
    }

    /// Why nobody answered a path.
    fn lack_of(&self, path: &str) -> Lack {
        match self.around.world.has_cluster {
            true if self.around.is_too_much(path) => Lack::TooMany,
            true => Lack::Open,
            false => Lack::Undescribed,
        }
    }

    /// What a cluster answered to a path; without an answer the question is noted.
    fn fetched(&self, path: &str) -> Option<Result<Value, String>> {
        let answer = self.around.fetched(path);
        if answer.is_none() && self.around.is_open(path) {
            self.waits.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// What a cluster answers to a path, if there is one.
    fn answer(&self, path: &str) -> Result<Value, String> {
        match self.around.world.has_cluster.then(|| self.fetched(path)).flatten() {
            Some(answer) => {
                answer.map_err(|why| self.missing(path, Lack::NotThere, &format!("is not known: {why}")))
            }
            None => Err(self.unanswered(path)),
        }
    }

    /// Whether there is somebody to tell what a list holds: a cluster, or a repository that could describe such objects.
    fn is_told(&self, wanted: &Wanted<'_>) -> bool {
        let around = self.around;
        around.world.has_cluster || (around.describes && around.serves(wanted))
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

    /// The `spec` of a GlobalContextEntry, or why it is not known.
    fn entry_spec(&self, name: &str) -> Result<Value, Lack> {
        let described = self.around.known().objects("", "GlobalContextEntry");
        if let Some(entry) = described.iter().find(|entry| entry["metadata"]["name"] == name) {
            return Ok(entry["spec"].clone());
        }
        let path = format!("/apis/kyverno.io/v2beta1/globalcontextentries/{name}");
        let fetched = self.around.world.has_cluster.then(|| self.fetched(&path)).flatten();
        match fetched {
            Some(Ok(entry)) => Ok(entry["spec"].clone()),
            Some(Err(_)) => Err(Lack::NotThere),
            None => Err(self.lack_of(&path)),
        }
    }
}

impl Asking<'_, '_> {
    fn look_up(&self, path: &str) -> Result<Value, String> {
        if let Some(answer) = self.world().response("GET", path) {
            return answer;
        }
        if let Some(wanted) = Wanted::parse(path) {
            if wanted.name.is_none() {
                return if self.is_told(&wanted) {
                    self.list(&wanted, path)
                } else {
                    Err(self.unanswered(path))
                };
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
        given.unwrap_or_else(|| Err(self.missing(path, Lack::NotSent, NOT_SENT)))
    }

    fn call(&self, method: &str, url: &str, _body: Option<&Value>) -> Result<Value, String> {
        let given = self.world().response(method, url);
        given.unwrap_or_else(|| Err(self.missing(url, Lack::NotSent, NOT_CALLED)))
    }

    fn response(&self, method: &str, url: &str) -> Option<Value> {
        self.world().given_response(method, url).cloned()
    }

    fn global(&self, name: &str) -> Option<Value> {
        if let Some(data) = self.world().given_global(name) {
            return Some(data.clone());
        }
        let (entry, projection) = name.split_once('.').unwrap_or((name, ""));
        let before = self.lacks();
        let spec = self.entry_spec(entry).map_err(|lack| self.missing.lock().push(lack));
        let found = spec.ok().and_then(|spec| {
            let data = self.entry(&spec).ok()?;
            if projection.is_empty() {
                return Some(data);
            }
            let mut named = spec["projections"].as_array()?.iter();
            let path = named.find(|one| one["name"] == projection)?["jmesPath"].as_str()?;
            Expression::compile(path).ok()?.search_in(&data, &Environment::default()).ok()
        });
        if found.is_none() && self.lacks() == before {
            self.missing.lock().push(Lack::NotThere);
        }
        found
    }

    fn image(&self, reference: &str) -> Result<Value, String> {
        self.world();
        Err(self.missing(reference, Lack::NotPulled, NOT_PULLED))
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

    fn lacks(&self) -> usize {
        self.missing.lock().len()
    }

    fn lack(&self, since: usize) -> Option<Lack> {
        self.missing.lock().get(since..)?.last().copied()
    }

    fn teller(&self, method: &str, target: &str) -> Option<&'static str> {
        let world = self.around.world;
        if world.response(method, target).is_some() || world.given_global(target).is_some() {
            return Some("the file of values");
        }
        let wanted = Wanted::parse(target).filter(|_| method == "GET");
        let is_described =
            wanted.as_ref().is_some_and(|wanted| self.around.known().wanted(wanted).next().is_some());
        let is_list = wanted.is_some_and(|wanted| wanted.name.is_none() && self.is_told(&wanted));
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
