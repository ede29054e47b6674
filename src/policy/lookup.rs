//! Context entries whose values lie outside of the request: `configMap`, `apiCall`, `globalReference`, `imageRegistry`.
//!
//! They are asked when an expression reads them for the first time; one that nobody reads costs nothing and cannot fail.

mod explain;
mod part;

use serde_json::{Map, Value};

use crate::expr::{Context, Outside, Template};

use super::reader::{Reader, Result};
use super::variables::{Path, template};
pub(crate) use part::is_part;
use part::{Shape, refused};

/// A compiled entry.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    kind: Kind,
    /// What is taken of the answer.
    path: Option<Path>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Name and namespace.
    ConfigMap {
        name: Template,
        namespace: Option<Template>,
    },
    Api {
        call: Call,
        body: Vec<(String, Template)>,
        posts: bool,
        default: Option<Template>,
    },
    Global(Template),
    Image(Template),
}

#[derive(Debug, Clone)]
enum Call {
    /// The API server.
    Path(Template, Option<Shape>),
    Service(Template),
}

type Answer = std::result::Result<Value, String>;

impl Lookup {
    /// From an entry that is no variable.
    pub(crate) fn compile(entry: &Reader<'_>) -> Result<Lookup> {
        if let Some(map) = entry.field("configMap") {
            map.only(&["name", "namespace"])?;
            return Ok(Lookup {
                kind: Kind::ConfigMap {
                    name: needed(&map, "name")?,
                    namespace: map.field("namespace").map(|n| template(&n)).transpose()?,
                },
                path: None,
            });
        }
        if let Some(call) = entry.field("apiCall") {
            return Ok(Lookup { kind: api(&call)?, path: path(&call)? });
        }
        if let Some(global) = entry.field("globalReference") {
            global.only(&["name", "jmesPath"])?;
            return Ok(Lookup { kind: Kind::Global(needed(&global, "name")?), path: path(&global)? });
        }
        if let Some(image) = entry.field("imageRegistry") {
            image.only(&["reference", "jmesPath", "imageRegistryCredentials"])?;
            return Ok(Lookup { kind: Kind::Image(needed(&image, "reference")?), path: path(&image)? });
        }
        Err(entry.error("one of variable, configMap, apiCall, globalReference, imageRegistry is missing"))
    }

    /// Asks, and takes of the answer what is wanted.
    pub(crate) fn evaluate(&self, context: &Context<'_>) -> Answer {
        let Some(answer) = self.kind.ask(context)? else { return self.kind.default(context) };
        match &self.path {
            None => Ok(answer),
            Some(path) => path.search(context, Some(&answer)).map_err(|e| e.to_string()),
        }
    }
}

fn needed(reader: &Reader<'_>, name: &str) -> Result<Template> {
    template(&reader.field(name).ok_or_else(|| reader.error(format!("{name} is missing")))?)
}

fn path(reader: &Reader<'_>) -> Result<Option<Path>> {
    let path = reader.field("jmesPath").filter(|path| path.value != "");
    path.map(|path| Path::compile(&path)).transpose()
}

fn api(call: &Reader<'_>) -> Result<Kind> {
    call.only(&["urlPath", "method", "data", "service", "jmesPath", "default"])?;
    let url = call.field("urlPath").filter(|path| path.value != "");
    let service = call.field("service");
    let asked = match (url, service) {
        (Some(url), None) => Call::Path(template(&url)?, Shape::of(url.value.as_str().unwrap_or_default())),
        (None, Some(service)) => {
            service.only(&["url", "caBundle", "headers", "requestTimeoutSeconds"])?;
            Call::Service(needed(&service, "url")?)
        }
        (None, None) => return Err(call.error("one of urlPath and service is missing")),
        (Some(_), Some(service)) => return Err(service.error("only one of urlPath and service can be given")),
    };
    let posts = match call.string("method")?.as_deref() {
        None | Some("" | "GET") => false,
        Some("POST") => true,
        Some(_) => return Err(call.error("method is GET or POST")),
    };
    let field = |item: &Reader<'_>| {
        item.only(&["key", "value"])?;
        let key = item.string("key")?.ok_or_else(|| item.error("key is missing"))?;
        Ok((key, needed(item, "value")?))
    };
    let body = call.list("data")?.iter().map(field).collect::<Result<_>>()?;
    let default = call.field("default").map(|default| template(&default)).transpose()?;
    Ok(Kind::Api { call: asked, body, posts, default })
}

fn text(template: &Template, context: &Context<'_>) -> std::result::Result<String, String> {
    match template.resolve(context).map_err(|e| e.to_string())?.as_ref() {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("{other} is no text")),
    }
}

impl Kind {
    /// `None` when there is no answer, and a default for that.
    fn ask(&self, context: &Context<'_>) -> std::result::Result<Option<Value>, String> {
        let outside = context.outside();
        let unknown = |what: &str| format!("{what} is not looked up here");
        match self {
            Kind::ConfigMap { name, namespace } => {
                let name = text(name, context)?;
                let namespace = match namespace {
                    Some(namespace) => text(namespace, context)?,
                    None => "default".to_owned(),
                };
                let path = config_map(&namespace, &name)?;
                let found = outside.ok_or_else(|| unknown("configMap"))?.get(&path);
                let found =
                    found.map_err(|error| format!("failed to get configmap {namespace}/{name} : {error}"))?;
                let part = |field: &str| (field.to_owned(), found[field].clone());
                let parts = ["data", "binaryData", "metadata"].map(part);
                Ok(Some(Value::Object(parts.into_iter().filter(|(_, value)| !value.is_null()).collect())))
            }
            Kind::Api { call, body, posts, default } => {
                let (answer, is_open) = match outside {
                    None => (Err(unknown("apiCall")), false),
                    Some(outside) => {
                        request(call, body, *posts, context, outside).unwrap_or_else(|why| (Err(why), false))
                    }
                };
                match answer {
                    // A question that nobody answered is not decided by what stands for a failed call.
                    Err(_) if default.is_some() && !is_open => Ok(None),
                    answer => answer.map(Some),
                }
            }
            Kind::Global(name) => {
                let name = text(name, context)?;
                let found = outside.ok_or_else(|| unknown("globalReference"))?.global(&name);
                found.map(Some).ok_or_else(|| format!("the GlobalContextEntry {name} is not known"))
            }
            Kind::Image(reference) => {
                let reference = text(reference, context)?;
                outside.ok_or_else(|| unknown("imageRegistry"))?.image(&reference).map(Some)
            }
        }
    }

    fn default(&self, context: &Context<'_>) -> Answer {
        match self {
            Kind::Api { default: Some(default), .. } => {
                default.resolve(context).map(|value| value.into_owned()).map_err(|e| e.to_string())
            }
            _ => Err("there is no default".to_owned()),
        }
    }
}

/// The path of a ConfigMap.
fn config_map(namespace: &str, name: &str) -> std::result::Result<String, String> {
    match [namespace, name].into_iter().find(|part| !is_part(part)) {
        Some(part) => Err(refused(part)),
        None => Ok(format!("/api/v1/namespaces/{namespace}/configmaps/{name}")),
    }
}

impl Call {
    /// The path or URL.
    fn target(&self, context: &Context<'_>) -> std::result::Result<String, String> {
        match self {
            Call::Path(path, Some(shape)) => shape.checked(text(path, context)?),
            Call::Path(target, None) | Call::Service(target) => text(target, context),
        }
    }
}

/// The answer to a call, and whether nobody gave one.
fn request(
    call: &Call,
    body: &[(String, Template)],
    posts: bool,
    context: &Context<'_>,
    outside: &dyn Outside,
) -> std::result::Result<(Answer, bool), String> {
    let mut data = Map::new();
    for (key, value) in body {
        let value = value.resolve(context).map_err(|e| e.to_string())?;
        data.insert(key.clone(), value.into_owned());
    }
    let data = Value::Object(data);
    let method = if posts { "POST" } else { "GET" };
    let target = call.target(context)?;
    let answer = match call {
        Call::Path(..) if posts => outside.post(&target, &data),
        Call::Path(..) => outside.get(&target),
        Call::Service(_) => outside.call(method, &target, posts.then_some(&data)),
    };
    let is_open = answer.is_err() && !outside.has_answered(method, &target);
    Ok((answer, is_open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Environment, Expression};
    use crate::model::FieldPath;
    use crate::policy::variables;
    use serde_json::json;

    #[derive(Debug)]
    struct World;

    impl Outside for World {
        fn get(&self, path: &str) -> Answer {
            match path {
                "/api/v1/namespaces/default/configmaps/c-a" => {
                    Ok(json!({"kind": "ConfigMap", "metadata": {"name": "c-a"}, "data": {"k": "v"}}))
                }
                "/apis/apps/v1/deployments?limit=1" => Ok(json!({"items": [{"n": 1}, {"n": 2}]})),
                _ => Err("not found".to_owned()),
            }
        }

        fn post(&self, path: &str, body: &Value) -> Answer {
            Ok(json!({"path": path, "body": body}))
        }

        fn call(&self, method: &str, url: &str, _: Option<&Value>) -> Answer {
            Ok(json!({"said": format!("{method} {url}")}))
        }

        fn global(&self, name: &str) -> Option<Value> {
            (name == "g").then(|| json!([1, 2, 3]))
        }
    }

    fn ask(entry: Value, outside: Option<&dyn Outside>) -> Answer {
        let mut entry = entry;
        entry["name"] = json!("x");
        let owner = json!({"context": [entry]});
        let entries =
            variables::entries(&Reader::new(&owner, FieldPath::default())).map_err(|e| e.message)?;
        let document =
            json!({"request": {"name": "a", "up": "..", "query": "b?watch=true", "group": "apps"}});
        let mut context = Context::of_document(Environment::default(), &document);
        if let Some(outside) = outside {
            context.ask(outside);
        }
        variables::bind(&mut context, &entries);
        let expression = Expression::compile("x").unwrap();
        context.query(&expression).map(|v| v.into_owned()).map_err(|e| e.to_string())
    }

    #[test]
    fn each_kind_asks_and_takes_its_part() {
        let cases = [
            (
                json!({"configMap": {"name": "c-{{ request.name }}"}}),
                json!({"data": {"k": "v"}, "metadata": {"name": "c-a"}}),
            ),
            (
                json!({"apiCall": {"urlPath": "/apis/apps/v1/deployments?limit=1", "jmesPath": "items[].n"}}),
                json!([1, 2]),
            ),
            (
                json!({"apiCall": {"urlPath": "/apis/a", "method": "POST", "data": [{"key": "n", "value": "{{ request.name }}"}]}}),
                json!({"path": "/apis/a", "body": {"n": "a"}}),
            ),
            (
                json!({"apiCall": {"service": {"url": "https://{{ request.name }}"}, "jmesPath": "said"}}),
                json!("GET https://a"),
            ),
            (
                json!({"apiCall": {"urlPath": "/gone", "default": {"a": "{{ request.name }}"}, "jmesPath": "x"}}),
                json!({"a": "a"}),
            ),
            (json!({"globalReference": {"name": "g", "jmesPath": "length(@)"}}), json!(3)),
        ];
        for (entry, expected) in cases {
            assert_eq!(ask(entry.clone(), Some(&World)), Ok(expected), "{entry}");
        }
    }

    #[test]
    fn no_answer_is_an_error_that_names_the_entry() {
        for (entry, why) in [
            (
                json!({"configMap": {"name": "gone", "namespace": "n"}}),
                "failed to load context entry x: failed to get configmap n/gone : not found",
            ),
            (json!({"globalReference": {"name": "h"}}), "the GlobalContextEntry h is not known"),
            (json!({"imageRegistry": {"reference": "a:1"}}), "the registry of a:1 is not asked here"),
        ] {
            let error = ask(entry.clone(), Some(&World)).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(ask(entry, None).unwrap_err().contains("is not looked up here"));
        }
    }

    #[test]
    fn a_name_of_an_object_leads_nowhere_else() {
        let map = |name: &str| json!({"configMap": {"name": name, "namespace": "n"}});
        let api = |path: &str| json!({"apiCall": {"urlPath": path}});
        for entry in [
            map("a/../../secrets/b"),
            map("{{ request.gone || '' }}"),
            json!({"configMap": {"name": "a", "namespace": "{{ request.up }}"}}),
            api("/api/v1/namespaces/{{ request.up }}/configmaps"),
            api("/api/v1/namespaces/n/configmaps/{{ request.query }}"),
        ] {
            let error = ask(entry.clone(), Some(&World)).unwrap_err();
            assert!(error.contains("cannot be looked up"), "{entry}: {error}");
        }
        assert_eq!(
            ask(api("/apis/{{ request.group }}/v1/deployments?limit=1"), Some(&World)).map(|_| ()),
            Ok(())
        );
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for entry in [
            json!({}),
            json!({"apiCall": {}}),
            json!({"apiCall": {"urlPath": "/a", "service": {"url": "b"}}}),
            json!({"apiCall": {"urlPath": "/a", "method": "PUT"}}),
            json!({"apiCall": {"urlPath": "{{ a( }}"}}),
            json!({"configMap": {"namespace": "n"}}),
            json!({"globalReference": {"name": "g", "jmespath": "a"}}),
        ] {
            let owner = json!({"context": [entry]});
            let mut owner = owner;
            owner["context"][0]["name"] = json!("x");
            assert!(variables::entries(&Reader::new(&owner, FieldPath::default())).is_err(), "{owner}");
        }
    }
}
