//! What policies look up and what they make: `resource`, `globalContext`, `http`, `image`, `generator`.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json, json};

use crate::expr::cel::{Cost, EvalError, Native, Opaque, Row, Value, row};

use super::super::super::objects::Objects;
use super::answers::{self, Answers, Question};

pub(super) const RESOURCE: &str = "resource.Context";
pub(super) const GLOBAL: &str = "globalContext.Context";
pub(super) const HTTP: &str = "http.Context";
pub(super) const IMAGES: &str = "imagedata.Context";
pub(super) const GENERATOR: &str = "generator.Context";
const GVR: &str = "resource.Gvr";

/// What a look-up costs.
const ASK: Cost = Cost::Fixed(100);

const NOT_GOT: &str = "failed to get resource";
const NOT_LISTED: &str = "failed to list resource";
const NOT_MADE: &str = "failed to create resource";

type Answer<'a> = Result<Value<'a>, EvalError>;

/// What is known of the world.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// Nothing, and nobody can be asked.
    Nothing,
    /// All that there is.
    Whole(Arc<Objects<'static>>),
    /// What was asked and answered in this judgement.
    Asked(Arc<Answers>),
}

/// Where things are looked up.
pub(super) struct Source {
    ty: &'static str,
    known: Known,
    /// The namespace that the policy is confined to.
    namespace: Option<String>,
}

/// An API version and the name of a resource.
#[derive(Debug, PartialEq, Eq)]
struct Gvr(String, String);

/// What a GeneratingPolicy makes in one evaluation.
#[derive(Debug, Default)]
pub(crate) struct Generator {
    made: Mutex<Vec<Json>>,
    namespace: Option<String>,
}

impl Source {
    pub(super) fn new(ty: &'static str, known: Known, namespace: Option<String>) -> Source {
        Source { ty, known, namespace }
    }

    /// What is looked up: in all that there is, or by the answer to a question.
    fn look_up<T>(
        &self,
        what: impl FnOnce() -> String,
        failed: &str,
        question: impl FnOnce() -> Result<Question, EvalError>,
        in_whole: impl FnOnce(&Objects<'static>) -> Result<T, EvalError>,
        in_answer: impl FnOnce(&Json) -> T,
    ) -> Result<T, EvalError> {
        match &self.known {
            Known::Nothing => Err(EvalError::not_looked_up(format!("{} is not looked up here", what()))),
            Known::Whole(known) => in_whole(known),
            Known::Asked(answers) => answers.to(question()?, failed, in_answer),
        }
    }

    /// The namespace that is meant: the one a policy is confined to goes before what it asks for.
    fn namespace<'n>(&'n self, asked: Option<&'n str>) -> Result<&'n str, EvalError> {
        match (self.namespace.as_deref(), asked) {
            (Some(own), Some(other)) if other != own => Err(EvalError::new(format!(
                "a policy of namespace {own} cannot look into namespace {other:?}"
            ))),
            (Some(own), _) => Ok(own),
            (None, Some(asked)) => Ok(asked),
            (None, None) => Err(EvalError::no_such_overload()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ty)
    }
}

impl Generator {
    /// For a policy, which may be confined to a namespace.
    pub(crate) fn of(namespace: Option<&str>) -> Generator {
        Generator { made: Mutex::default(), namespace: namespace.map(str::to_owned) }
    }

    /// What was made so far, which is forgotten.
    pub(crate) fn take(&self) -> Vec<Json> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an object where it says it is.
    pub(crate) fn add(&self, object: Json) -> Result<(), EvalError> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        self.apply(&namespace, object)
    }

    /// Adds an object, or the items of a list, in a namespace; without one they have none.
    pub(crate) fn apply(&self, namespace: &str, object: Json) -> Result<(), EvalError> {
        if self.namespace.as_deref().is_some_and(|own| own != namespace) {
            return Err(EvalError::new("a policy of a namespace makes objects there alone"));
        }
        let objects = match object["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![object],
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for mut object in objects {
            place(&mut object, namespace)?;
            made.push(object);
        }
        Ok(())
    }
}

/// Puts an object into a namespace, without what only the copied one has.
fn place(object: &mut Json, namespace: &str) -> Result<(), EvalError> {
    let fields = object.as_object_mut().ok_or_else(|| EvalError::new("an object is expected"))?;
    let metadata = fields.entry("metadata").or_insert_with(|| Map::new().into());
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(EvalError::new("metadata is no mapping"));
    };
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "managedFields"] {
        metadata.remove(field);
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    fields.remove("status");
    Ok(())
}

macro_rules! opaque {
    ($ty:ty, $name:expr, $equals:expr) => {
        impl Opaque for $ty {
            fn type_name(&self) -> &str {
                let name: fn(&$ty) -> &'static str = $name;
                name(self)
            }

            fn as_any(&self) -> &dyn Any {
                self
            }

            fn equals(&self, other: &dyn Opaque) -> bool {
                let equals: fn(&$ty, &$ty) -> bool = $equals;
                other.as_any().downcast_ref::<$ty>().is_some_and(|other| equals(self, other))
            }
        }
    };
}

opaque!(Source, |source| source.ty, |_, _| false);
opaque!(Gvr, |_| GVR, |a, b| a == b);
opaque!(Generator, |_| GENERATOR, |_, _| false);

macro_rules! both {
    ($($upper:literal $lower:literal $id:literal $signature:literal $run:expr),* $(,)?) => {
        &[$(
            row($upper, concat!($id, "_pascal"), $signature, ASK, $run as Native),
            row($lower, concat!($id, "_camel"), $signature, ASK, $run as Native),
        )*]
    };
}

pub(super) const TABLE: &[Row] = both!(
    "Get" "get" "resource_get_string_string_string_string" "resource.Context().(string, string, string, string) -> map(string, dyn)" get,
    "Get" "get" "resource_get_string_string_string" "resource.Context().(string, string, string) -> map(string, dyn)" get,
    "Get" "get" "resource_get_gvr_string_string" "resource.Context().(resource.Gvr(), string, string) -> map(string, dyn)" get_by_gvr,
    "Get" "get" "resource_get_gvr_string" "resource.Context().(resource.Gvr(), string) -> map(string, dyn)" get_by_gvr,
    "List" "list" "resource_list_string_string_string" "resource.Context().(string, string, string) -> map(string, dyn)" list,
    "List" "list" "resource_list_string_string_string_map" "resource.Context().(string, string, string, map(string, string)) -> map(string, dyn)" list,
    "List" "list" "resource_list_string_string" "resource.Context().(string, string) -> map(string, dyn)" list,
    "List" "list" "resource_list_string_string_map" "resource.Context().(string, string, map(string, string)) -> map(string, dyn)" list,
    "List" "list" "resource_list_gvr_string" "resource.Context().(resource.Gvr(), string) -> map(string, dyn)" list_by_gvr,
    "List" "list" "resource_list_gvr_string_map" "resource.Context().(resource.Gvr(), string, map(string, string)) -> map(string, dyn)" list_by_gvr,
    "Post" "post" "resource_post_string_string_string_map" "resource.Context().(string, string, string, map(string, dyn)) -> map(string, dyn)" post,
    "Post" "post" "resource_post_string_string_map" "resource.Context().(string, string, map(string, dyn)) -> map(string, dyn)" post,
    "ToGVR" "toGVR" "resource_to_gvr_string_string" "resource.Context().(string, string) -> resource.Gvr()" to_gvr,
    "Get" "get" "globalcontext_get_string" "globalContext.Context().(string) -> dyn" global,
    "Get" "get" "globalcontext_get_string_string" "globalContext.Context().(string, string) -> dyn" global,
    "Get" "get" "http_get_string" "http.Context().(string) -> dyn" |args| http(args, "GET"),
    "Get" "get" "http_get_string_headers" "http.Context().(string, map(string, string)) -> dyn" |args| http(args, "GET"),
    "Post" "post" "http_post_string_any" "http.Context().(string, dyn) -> dyn" |args| http(args, "POST"),
    "Post" "post" "http_post_string_any_headers" "http.Context().(string, dyn, map(string, string)) -> dyn" |args| http(args, "POST"),
    "Put" "put" "http_put_string_any" "http.Context().(string, dyn) -> dyn" |args| http(args, "PUT"),
    "Put" "put" "http_put_string_any_headers" "http.Context().(string, dyn, map(string, string)) -> dyn" |args| http(args, "PUT"),
    "Client" "client" "http_client_string" "http.Context().(string) -> http.Context()" client,
    "GetMetadata" "getMetadata" "imagedata_get_string" "imagedata.Context().(string) -> dyn" image,
    "Apply" "apply" "generator_apply_string_list" "generator.Context().(string, list(map(string, dyn))) -> bool" apply,
);

/// What a function is called on, and its other arguments.
fn called<'v, 'a, T: 'static>(args: &'v [Value<'a>]) -> Result<(&'v T, &'v [Value<'a>]), EvalError> {
    let (first, rest) = args.split_first().ok_or_else(EvalError::no_such_overload)?;
    Ok((first.downcast::<T>().ok_or_else(EvalError::no_such_overload)?, rest))
}

fn texts<'v>(args: &'v [Value<'_>]) -> Result<Vec<&'v str>, EvalError> {
    let texts: Option<Vec<&str>> = args.iter().map(Value::as_str).collect();
    texts.ok_or_else(EvalError::no_such_overload)
}

/// A resource with its group, as the API server names it.
fn shown(api_version: &str, resource: &str) -> String {
    match api_version.split_once('/') {
        Some((group, _)) => format!("{resource}.{group}"),
        None => resource.to_owned(),
    }
}

fn get<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    match texts(rest)?[..] {
        [version, resource, namespace, name] => source.get(version, resource, Some(namespace), name),
        [version, resource, name] => source.get(version, resource, None, name),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn get_by_gvr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let (Gvr(version, resource), rest) = called::<Gvr>(rest)?;
    match texts(rest)?[..] {
        [namespace, name] => source.get(version, resource, Some(namespace), name),
        [name] => source.get(version, resource, None, name),
        _ => Err(EvalError::no_such_overload()),
    }
}

impl Source {
    fn get<'a>(&self, version: &str, resource: &str, namespace: Option<&str>, name: &str) -> Answer<'a> {
        let namespace = self.namespace(namespace)?;
        let shown = || format!("{} {name:?}", shown(version, resource));
        let path = || answers::path(version, resource, namespace, Some(name)).map(Question::Get);
        let among = |known: &Objects<'static>| {
            let found = known.list(version, resource, namespace).into_iter();
            match found.into_iter().find(|object| object["metadata"]["name"] == *name) {
                Some(object) => Ok(Value::owned(object)),
                None => Err(EvalError::new(format!("{NOT_GOT}: {} not found", shown()))),
            }
        };
        self.look_up(shown, NOT_GOT, path, among, Value::owned)
    }

    fn list<'a>(
        &self,
        version: &str,
        resource: &str,
        namespace: Option<&str>,
        labels: Option<&Value<'a>>,
    ) -> Answer<'a> {
        let namespace = self.namespace(namespace)?;
        let labels = labels.map(Value::to_json).unwrap_or_default();
        let path = || {
            let path = answers::path(version, resource, namespace, None)?;
            answers::selected(path, &labels).map(Question::Get)
        };
        let among = |known: &Objects<'static>| {
            if !known.has(version, resource) {
                let resource = shown(version, resource);
                return Err(EvalError::new(format!("{NOT_LISTED}: {resource} resource not found")));
            }
            let wanted = |object: &&&Json| {
                let own = &object["metadata"]["labels"];
                labels.as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| own[key] == *value))
            };
            let found = known.list(version, resource, namespace);
            let items: Vec<&Json> = found.iter().filter(wanted).copied().collect();
            Ok(Value::owned(&json!({"items": items})))
        };
        let what = || format!("the list of {}", shown(version, resource));
        self.look_up(what, NOT_LISTED, path, among, Value::owned)
    }
}

fn list<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let (rest, labels) = match rest.split_last() {
        Some((last, rest)) if last.map_len().is_some() => (rest, Some(last)),
        _ => (rest, None),
    };
    match texts(rest)?[..] {
        [version, resource, namespace] => source.list(version, resource, Some(namespace), labels),
        [version, resource] => source.list(version, resource, None, labels),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn list_by_gvr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let (Gvr(version, resource), rest) = called::<Gvr>(rest)?;
    match rest {
        [Value::String(namespace)] => source.list(version, resource, Some(namespace), None),
        [Value::String(namespace), labels] => source.list(version, resource, Some(namespace), Some(labels)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn post<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let (body, rest) = rest.split_last().ok_or_else(EvalError::no_such_overload)?;
    let (version, resource, namespace) = match texts(rest)?[..] {
        [version, resource, namespace] => (version, resource, Some(namespace)),
        // Without a namespace it is of none.
        [version, resource] => (version, resource, source.namespace.as_deref().or(Some(""))),
        _ => return Err(EvalError::no_such_overload()),
    };
    let namespace = source.namespace(namespace)?;
    let question = || {
        let path = answers::path(version, resource, namespace, None)?;
        Ok(Question::Post(path, body.to_json().to_string()))
    };
    let nothing = |_: &Objects<'static>| {
        Err(EvalError::new(format!("{NOT_MADE}: nothing is created while policies are evaluated here")))
    };
    let what = || "what the API server says to a new resource".to_owned();
    source.look_up(what, NOT_MADE, question, nothing, Value::owned)
}

fn to_gvr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (_, rest) = called::<Source>(args)?;
    match texts(rest)?[..] {
        [version, kind] => {
            let resource = super::super::super::matching::resource_name(kind);
            Ok(Value::opaque(Gvr(version.to_owned(), resource)))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

/// An entry of the global context, or a projection of it; `null` if there is none.
fn global<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let texts = texts(rest)?;
    let (name, projection) = match texts[..] {
        [name] => (name, ""),
        [name, projection] => (name, projection),
        _ => return Err(EvalError::no_such_overload()),
    };
    let what = || format!("global context entry {name:?}");
    let among = |known: &Objects<'static>| {
        let Some(entry) = known.global_entry(name) else { return Ok(Value::Null) };
        match entry.as_object() {
            Some(fields) if !projection.is_empty() => match fields.get(projection) {
                Some(value) => Ok(Value::owned(value)),
                None => Err(EvalError::new(format!(
                    "projection {projection:?} not found in global context entry {name:?}"
                ))),
            },
            _ => Ok(Value::owned(entry)),
        }
    };
    let question = || Ok(Question::Global(name.to_owned(), projection.to_owned()));
    source.look_up(what, "failed to get global context entry", question, among, Value::owned)
}

fn http<'a>(args: &[Value<'a>], method: &str) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let Some(url) = rest.first().and_then(Value::as_str) else { return Err(EvalError::no_such_overload()) };
    let among = |known: &Objects<'static>| match known.response(method, url) {
        Some(response) => Ok(Value::owned(response)),
        None => Err(EvalError::new(format!(
            "request failed: {method} {url} is not asked while policies are evaluated here"
        ))),
    };
    let question = || Ok(Question::Call(method.to_owned(), url.to_owned()));
    source.look_up(|| format!("{method} {url}"), "request failed", question, among, Value::owned)
}

fn client<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args.first().cloned().ok_or_else(EvalError::no_such_overload)
}

fn image<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (source, rest) = called::<Source>(args)?;
    let Some(image) = rest.first().and_then(Value::as_str) else { return Err(EvalError::no_such_overload()) };
    let among = |known: &Objects<'static>| match known.image_data(image) {
        Some(data) => Ok(Value::owned(data)),
        None => Err(EvalError::new(format!("image data for {image} not found in the context"))),
    };
    let what = || format!("the metadata of image {image}");
    let question = || Ok(Question::Image(image.to_owned()));
    source.look_up(what, "failed to get image data", question, among, Value::owned)
}

fn apply<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (generator, rest) = called::<Generator>(args)?;
    let [Value::String(namespace), objects] = rest else { return Err(EvalError::no_such_overload()) };
    for object in objects.items()? {
        generator.apply(namespace, object.to_json())?;
    }
    Ok(Value::Bool(true))
}
