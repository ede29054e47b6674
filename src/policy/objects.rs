//! Objects and answers that are known without asking anybody: of a repository, of a suite.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::expr::image::Image;
use crate::expr::{Outside, wildcard};

use super::matching::resource_name;

/// Answers from objects that are at hand, as the API server would, and from given answers of services and registries.
#[derive(Debug, Clone, Default)]
pub struct Objects<'a> {
    objects: Vec<Held<'a>>,
    /// Places in `objects` by the name of the resource.
    by_resource: HashMap<String, Vec<usize>>,
    /// What services answer, by method (empty for any) and URL or path: `statusCode` and `body`.
    responses: HashMap<(String, String), Value>,
    globals: HashMap<String, Value>,
    images: HashMap<String, Value>,
}

/// An object that somebody else keeps, or that is kept here.
#[derive(Debug, Clone)]
enum Held<'a> {
    Lent(&'a Value),
    Kept(Arc<Value>),
}

impl Deref for Held<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Held::Lent(object) => object,
            Held::Kept(object) => object,
        }
    }
}

impl Objects<'static> {
    /// Knows these objects, and keeps them.
    pub fn keeping(objects: impl IntoIterator<Item = Arc<Value>>) -> Objects<'static> {
        Objects::holding(objects.into_iter().map(Held::Kept))
    }
}

impl<'a> Objects<'a> {
    /// Knows these objects.
    pub fn of(objects: impl IntoIterator<Item = &'a Value>) -> Objects<'a> {
        Objects::holding(objects.into_iter().map(Held::Lent))
    }

    fn holding(objects: impl Iterator<Item = Held<'a>>) -> Objects<'a> {
        let mut known = Objects::default();
        for object in objects {
            let resource = resource_name(object["kind"].as_str().unwrap_or_default());
            known.by_resource.entry(resource).or_default().push(known.objects.len());
            known.objects.push(object);
        }
        known
    }

    /// Adds an object; one of the same kind, namespace and name takes the place of what was there.
    pub fn add(&mut self, object: Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = |object: &Value| {
            let metadata = &object["metadata"];
            [&object["apiVersion"], &metadata["namespace"], &metadata["name"]].map(text)
        };
        let resource = resource_name(object["kind"].as_str().unwrap_or_default());
        let places = self.by_resource.entry(resource).or_default();
        let wanted = key(&object);
        match places.iter().find(|at| key(&self.objects[**at]) == wanted) {
            Some(at) => self.objects[*at] = Held::Kept(object.into()),
            None => {
                places.push(self.objects.len());
                self.objects.push(Held::Kept(object.into()));
            }
        }
    }

    /// Whether nothing is known at all.
    pub fn is_empty(&self) -> bool {
        let Objects { objects, by_resource: _, responses, globals, images } = self;
        objects.is_empty() && responses.is_empty() && globals.is_empty() && images.is_empty()
    }

    /// Adds what a service, or the API server, answers: `statusCode` and `body`. Without a method to every one.
    pub fn add_response(&mut self, method: &str, url: &str, response: Value) {
        self.responses.insert((method.to_uppercase(), url.to_owned()), response);
    }

    /// Adds the data of a GlobalContextEntry.
    pub fn set_global(&mut self, name: &str, data: Value) {
        self.globals.insert(name.to_owned(), data);
    }

    /// Adds what a registry knows about an image.
    pub fn add_image(&mut self, image: &str, data: Value) {
        self.images.insert(image.to_owned(), data);
    }

    pub(crate) fn response(&self, method: &str, url: &str) -> Option<&Value> {
        let of = |method: &str| self.responses.get(&(method.to_owned(), url.to_owned()));
        of(method).or_else(|| of(""))
    }

    /// Also by another way to write the same reference.
    pub(crate) fn image_data(&self, image: &str) -> Option<&Value> {
        let parsed = |text: &str| Image::parse(text, "docker.io");
        self.images.get(image).or_else(|| {
            let wanted = parsed(image)?;
            self.images.iter().find(|(text, _)| parsed(text).as_ref() == Some(&wanted)).map(|(_, data)| data)
        })
    }

    pub(crate) fn global_entry(&self, name: &str) -> Option<&Value> {
        self.globals.get(name)
    }

    fn of_resource(&self, resource: &str) -> impl Iterator<Item = &Value> {
        self.by_resource.get(resource).into_iter().flatten().map(|at| &*self.objects[*at])
    }

    /// The objects that a path asks for.
    pub(super) fn wanted<'o>(&'o self, wanted: &'o Wanted<'_>) -> impl Iterator<Item = &'o Value> {
        self.of_resource(wanted.resource).filter(|object| wanted.is(object))
    }

    /// Whether any object of a resource is known.
    pub(crate) fn has(&self, api_version: &str, resource: &str) -> bool {
        self.of_resource(resource).any(|object| object["apiVersion"] == *api_version)
    }

    /// The objects of a resource (`configmaps`) in an API version, of all namespaces for an empty one.
    pub(crate) fn list(&self, api_version: &str, resource: &str, namespace: &str) -> Vec<&Value> {
        let fits = |object: &&Value| {
            object["apiVersion"] == *api_version
                && (namespace.is_empty() || object["metadata"]["namespace"] == *namespace)
        };
        self.of_resource(resource).filter(fits).collect()
    }

    /// The body of a response, or its failure.
    fn answered(&self, method: &str, url: &str) -> Option<Result<Value, String>> {
        self.response(method, url).map(|response| match response["statusCode"].as_i64() {
            Some(status) if status >= 400 => Err(format!("HTTP {status}: {}", response["body"])),
            _ => Ok(response["body"].clone()),
        })
    }
}

impl Outside for Objects<'_> {
    fn get(&self, path: &str) -> Result<Value, String> {
        if let Some(answer) = self.answered("GET", path) {
            return answer;
        }
        let wanted = Wanted::parse(path).ok_or_else(|| format!("{path} is no path of objects"))?;
        let mut found = self.wanted(&wanted);
        let Some(name) = wanted.name else {
            let items: Vec<&Value> = found.collect();
            let kind = items.first().and_then(|item| item["kind"].as_str()).unwrap_or_default();
            let api_version = [wanted.group, wanted.version].into_iter().filter(|part| !part.is_empty());
            let api_version = api_version.collect::<Vec<_>>().join("/");
            return Ok(
                json!({"apiVersion": api_version, "kind": format!("{kind}List"), "metadata": {}, "items": items}),
            );
        };
        found.next().cloned().ok_or_else(|| format!("{} \"{name}\" not found", wanted.resource))
    }

    fn post(&self, path: &str, _body: &Value) -> Result<Value, String> {
        self.answered("POST", path).unwrap_or_else(|| Err(format!("{path} is not asked here")))
    }

    fn call(&self, method: &str, url: &str, _body: Option<&Value>) -> Result<Value, String> {
        self.answered(method, url).unwrap_or_else(|| Err(format!("{url} is not called here")))
    }

    fn global(&self, name: &str) -> Option<Value> {
        self.globals.get(name).cloned()
    }

    fn objects(&self, api_version: &str, kind: &str) -> Vec<&Value> {
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        let is = |object: &&Value| {
            let version = text(&object["apiVersion"]);
            wildcard::matches(kind, &text(&object["kind"]))
                && (api_version.is_empty() || wildcard::matches(api_version, &version))
        };
        match kind.contains(['*', '?']) {
            true => self.objects.iter().map(|object| &**object).filter(is).collect(),
            false => self.of_resource(&resource_name(kind)).filter(is).collect(),
        }
    }
}

/// What a path of the API server asks for.
pub(super) struct Wanted<'p> {
    pub(super) group: &'p str,
    pub(super) version: &'p str,
    namespace: Option<&'p str>,
    pub(super) resource: &'p str,
    pub(super) name: Option<&'p str>,
    labels: Vec<LabelTerm>,
    /// `metadata.name` and `metadata.namespace` that a field selector names.
    fields: Vec<(String, String)>,
}

enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl<'p> Wanted<'p> {
    pub(super) fn parse(path: &'p str) -> Option<Wanted<'p>> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, resource, name) = match *rest {
            ["namespaces", name] if group.is_empty() => (None, "namespaces", Some(name)),
            ["namespaces", namespace, resource] => (Some(namespace), resource, None),
            ["namespaces", namespace, resource, name] => (Some(namespace), resource, Some(name)),
            [resource] => (None, resource, None),
            [resource, name] => (None, resource, Some(name)),
            _ => return None,
        };
        let mut wanted =
            Wanted { group, version, namespace, resource, name, labels: Vec::new(), fields: Vec::new() };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = unescaped(value);
            match key {
                "labelSelector" => wanted.labels = label_terms(&value),
                "fieldSelector" => {
                    let terms = value.split(',').filter_map(|term| term.split_once('='));
                    wanted.fields =
                        terms.map(|(k, v)| (k.to_owned(), v.trim_start_matches('=').to_owned())).collect();
                }
                _ => {}
            }
        }
        Some(wanted)
    }

    /// Whatever there is of the resource.
    pub(super) fn resource_alone(&self) -> Wanted<'p> {
        let Wanted { group, version, resource, .. } = *self;
        Wanted {
            group,
            version,
            resource,
            namespace: None,
            name: None,
            labels: Vec::new(),
            fields: Vec::new(),
        }
    }

    fn is(&self, object: &Value) -> bool {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let metadata = &object["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default();
        group == self.group
            && self.namespace.is_none_or(|namespace| text("namespace") == namespace)
            && self.name.is_none_or(|name| text("name") == name)
            && self.labels.iter().all(|term| term.holds(&metadata["labels"]))
            && self.fields.iter().all(|(field, wanted)| match field.as_str() {
                "metadata.name" => text("name") == wanted,
                "metadata.namespace" => text("namespace") == wanted,
                _ => false,
            })
    }
}

impl LabelTerm {
    fn holds(&self, labels: &Value) -> bool {
        let has = |key: &str, values: &[String]| {
            labels[key].as_str().is_some_and(|label| values.iter().any(|value| value == label))
        };
        match self {
            LabelTerm::In(key, values) => has(key, values),
            LabelTerm::NotIn(key, values) => !has(key, values),
            LabelTerm::Exists(key) => !labels[key].is_null(),
            LabelTerm::Missing(key) => labels[key].is_null(),
        }
    }
}

/// `a=b,c!=d,e in (f,g),h notin (i),j,!k`
fn label_terms(text: &str) -> Vec<LabelTerm> {
    let mut terms = Vec::new();
    let mut depth = 0;
    for term in text.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    }) {
        let term = term.trim();
        let listed = |text: &str| -> Vec<String> {
            text.trim().trim_matches(['(', ')']).split(',').map(|value| value.trim().to_owned()).collect()
        };
        let key = |text: &str| text.trim().to_owned();
        terms.push(if let Some((k, v)) = term.split_once(" notin ") {
            LabelTerm::NotIn(key(k), listed(v))
        } else if let Some((k, v)) = term.split_once(" in ") {
            LabelTerm::In(key(k), listed(v))
        } else if let Some((k, v)) = term.split_once("!=") {
            LabelTerm::NotIn(key(k), vec![key(v)])
        } else if let Some((k, v)) = term.split_once('=') {
            LabelTerm::In(key(k), vec![key(v.trim_start_matches('='))])
        } else if let Some(k) = term.strip_prefix('!') {
            LabelTerm::Missing(key(k))
        } else if term.is_empty() {
            continue;
        } else {
            LabelTerm::Exists(key(term))
        });
    }
    terms
}

/// `%2C` and the like, read.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [a, b, ..] if *first == b'%' => {
                std::str::from_utf8(&[*a, *b]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_answered_as_the_api_server_does() {
        let object = |kind: &str, version: &str, namespace: &str, name: &str, tier: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace, "name": name, "labels": {"tier": tier}}});
        let objects = [
            object("ConfigMap", "v1", "a", "x", "front"),
            object("ConfigMap", "v1", "b", "x", "back"),
            object("Ingress", "networking.k8s.io/v1", "a", "i", "front"),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}),
        ];
        let known = Objects::of(&objects);
        let count = |path: &str| known.get(path).unwrap()["items"].as_array().unwrap().len();
        assert_eq!(known.get("/api/v1/namespaces/b/configmaps/x").unwrap(), objects[1]);
        assert_eq!(known.get("/api/v1/namespaces/a").unwrap(), objects[3]);
        assert!(known.get("/api/v1/namespaces/c/configmaps/x").unwrap_err().contains("not found"));
        assert!(known.get("/version").is_err());
        assert_eq!(count("/api/v1/configmaps"), 2);
        assert_eq!(count("/api/v1/namespaces"), 1);
        assert_eq!(count("/apis/networking.k8s.io/v1/ingresses"), 1);
        assert_eq!(count("/apis/extensions/v1beta1/ingresses"), 0);
        for (selector, expected) in [
            ("tier=front", 1),
            ("tier!=front", 1),
            ("tier%20in%20(front,back)", 2),
            ("tier+notin+(front),tier", 1),
            ("!tier", 0),
        ] {
            assert_eq!(
                count(&format!("/api/v1/configmaps?labelSelector={selector}")),
                expected,
                "{selector}"
            );
        }
        assert_eq!(count("/api/v1/configmaps?fieldSelector=metadata.namespace=b"), 1);
        assert_eq!(known.objects("v1", "ConfigMap").len(), 2);
        assert_eq!(known.objects("*", "*").len(), 4);
    }

    #[test]
    fn given_answers_come_first() {
        let mut known = Objects::default();
        known.add_response("", "https://a", json!({"statusCode": 200, "body": 1}));
        known.add_response("post", "https://b", json!({"statusCode": 500, "body": "no"}));
        assert_eq!(known.call("POST", "https://a", None), Ok(json!(1)));
        assert_eq!(known.call("POST", "https://b", None), Err("HTTP 500: \"no\"".into()));
        assert!(known.call("GET", "https://b", None).is_err());
    }
}
