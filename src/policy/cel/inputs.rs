//! What expressions are evaluated on.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::expr::cel::{Bindings, Program, Value};

use super::super::request::{Operation, Request};
use super::library::{Answers, Library};

/// The parts of a request in the form that expressions see them.
pub(super) struct Inputs<'a> {
    object: &'a Json,
    old: &'a Json,
    request: Json,
    namespace: Json,
    around: Option<Around<'a>>,
    given: &'a [(&'static str, Json)],
}

/// What a policy that is all CEL has beside the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) library: &'a Library,
    /// The namespace that the policy is confined to.
    pub(crate) namespace: Option<&'a str>,
    /// What exceptions allow: `allowedImages` and `allowedValues`.
    pub(crate) exceptions: &'a Json,
    /// Whether the policy, or an exception from it, may look something up.
    pub(crate) looks_up: bool,
}

impl Around<'_> {
    /// Evaluates until all that is looked up is answered, or known to have no answer.
    pub(super) fn answering<T>(self, request: &Request<'_>, evaluate: impl Fn(Around<'_>) -> T) -> T {
        let asks = self.looks_up && self.library.known().is_none();
        let Some(outside) = request.outside.filter(|_| asks) else { return evaluate(self) };
        let answers = Arc::new(Answers::default());
        let library = self.library.asking(answers.clone());
        loop {
            let result = evaluate(Around { library: &library, looks_up: false, ..self });
            if !answers.ask(outside) {
                return result;
            }
        }
    }
}

/// Whether a policy's `spec` names anything by which its expressions could look something up.
pub(crate) fn looks_up(spec: &Json) -> bool {
    let text = spec.to_string();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    ["resource", "globalContext", "http", "image"].iter().any(|name| {
        text.match_indices(name)
            .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
    })
}

static NOTHING: Json = Json::Null;

impl<'a> Inputs<'a> {
    pub(super) fn of(request: &Request<'a>) -> Inputs<'a> {
        let deleting = request.operation == Operation::Delete;
        let object = if deleting { &NOTHING } else { request.object };
        let old = request.old_object.or(deleting.then_some(request.object)).unwrap_or(&NOTHING);
        let (described, namespace) = (described(request), namespace(request));
        Inputs { object, old, request: described, namespace, around: None, given: &[] }
    }

    /// With the libraries of policies that are all CEL.
    pub(super) fn among(request: &Request<'a>, around: Around<'a>) -> Inputs<'a> {
        Inputs { around: Some(around), ..Inputs::of(request) }
    }

    /// Whether all that there is to look up is known.
    pub(super) fn knows_all(&self) -> bool {
        self.around.is_some_and(|around| around.library.known().is_some())
    }

    /// With more values by their names.
    pub(super) fn with<'b>(&'b self, given: &'b [(&'static str, Json)]) -> Inputs<'b> {
        let Inputs { object, old, request, namespace, around, .. } = self;
        let (request, namespace) = (request.clone(), namespace.clone());
        Inputs { object, old, request, namespace, around: *around, given }
    }

    /// What expressions of every policy see.
    fn plain(&self) -> Bindings<'_> {
        Bindings::new()
            .with("object", Value::of_json(self.object))
            .with("oldObject", Value::of_json(self.old))
            .with("request", Value::of_json(&self.request))
            .with("namespaceObject", Value::of_json(&self.namespace))
    }

    /// What expressions of an admission policy see, but for the policy's own variables.
    pub(super) fn with_params<'b>(&'b self, params: &'b Json) -> Bindings<'b> {
        self.plain().with("params", Value::of_json(params))
    }

    /// What expressions see that may use these variables.
    pub(super) fn bindings<'b>(&'b self, variables: &'b [(String, Program)]) -> Bindings<'b> {
        let mut bindings = self.plain();
        if let Some(Around { library, namespace, exceptions, .. }) = self.around {
            library.bind(&mut bindings, namespace);
            bindings.set("exceptions", Value::of_json(exceptions));
        }
        for (name, value) in self.given {
            bindings.set(name, Value::of_json(value));
        }
        for (name, program) in variables {
            bindings.define("variables", name, program);
        }
        bindings
    }
}

/// `request`, as an AdmissionRequest has it.
fn described(request: &Request<'_>) -> Json {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let metadata = &request.object["metadata"];
    let api_version = text(&request.object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let kind = json!({"group": group, "version": version, "kind": request.object["kind"]});
    let user = request.user;
    json!({
        "kind": kind, "requestKind": kind,
        "name": text(&metadata["name"]), "namespace": text(&metadata["namespace"]),
        "operation": request.operation.as_str(), "subResource": request.subresource.unwrap_or_default(),
        "dryRun": false,
        "userInfo": {
            "username": user.map_or("", |user| &user.name),
            "groups": user.map_or(&[][..], |user| &user.groups),
        },
    })
}

/// The namespace of the object, as far as it is known; a Namespace has none.
fn namespace(request: &Request<'_>) -> Json {
    let name = request.object["metadata"]["namespace"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Json::Null;
    }
    if let Some(namespace) = request.namespace {
        return namespace.clone();
    }
    let mut metadata = json!({"name": name});
    if let Some(labels) = request.namespace_labels {
        metadata["labels"] = json!(labels);
    }
    json!({"metadata": metadata})
}
