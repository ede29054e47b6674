//! The files of a suite, read.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, Gvk, Manifest, RepoPath};
use crate::policy::{Proxy, ProxyRequest, Standing};
use crate::schema::Schemas;
use crate::yaml;

/// The documents of a file of a suite; what cannot be read is a finding, and so is a file that holds none.
pub(super) fn documents(folder: &Path, file: &str, problems: &mut Vec<Finding>) -> Vec<yaml::Document> {
    let known = problems.len();
    let documents = any_documents(folder, file, problems);
    if documents.is_empty() && problems.len() == known {
        let name = shown(&folder.join(file));
        let finding = Finding::error(Code::SuiteBroken, format!("{name} holds no document"));
        let help = "write what it should hold, or take the file out of the suite";
        problems.push(finding.at(Location::line(&name, 1)).help(help));
    }
    documents
}

/// The documents of a file that may be empty.
pub(super) fn any_documents(folder: &Path, file: &str, problems: &mut Vec<Finding>) -> Vec<yaml::Document> {
    let path = folder.join(file);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(Finding::error(Code::SuiteBroken, format!("{}: {error}", path.display())));
            return Vec::new();
        }
    };
    let mut documents = Vec::new();
    for document in yaml::read(&shown(&path), &bytes) {
        match document {
            Ok(document) => documents.push(document),
            Err(finding) => problems.push(finding),
        }
    }
    documents
}

/// Requests of a proxy in a file.
pub(super) fn requests(
    folder: &Path,
    file: &str,
    proxy: Proxy,
    problems: &mut Vec<Finding>,
) -> Vec<ProxyRequest> {
    let mut requests = Vec::new();
    for document in documents(folder, file, problems) {
        let place = yaml::locate(&document.source, &FieldPath::default());
        let request = match ProxyRequest::read(proxy, &document.value) {
            Ok(request) => request,
            Err(why) => {
                let message = format!("{file} is no request: {why}");
                problems.push(Finding::error(Code::SuiteBroken, message).at(place));
                continue;
            }
        };
        if !request.unknown.is_empty() {
            let message = format!("{file}: nobody reads {}", request.unknown.join(", "));
            problems.push(Finding::warning(Code::SuiteBroken, message).at(place));
        }
        requests.push(request);
    }
    requests
}

/// The policies in documents. What is none is said: nothing would be judged by it.
pub(super) fn policies(documents: Vec<yaml::Document>, problems: &mut Vec<Finding>) -> Vec<Arc<Manifest>> {
    let mut policies = Vec::new();
    for document in documents {
        let source = document.source.clone();
        let place = |field: &str| yaml::locate(&source, &FieldPath::of_keys([field]));
        let gvk = match Gvk::of(&document.value) {
            Ok(gvk) => gvk,
            Err(error) => {
                let message = format!("this document is no policy: {error}");
                problems.push(Finding::error(Code::SuiteBroken, message).at(place("kind")));
                continue;
            }
        };
        let problem = match Standing::of(&gvk) {
            Standing::Misspelt { field, what, help } => {
                Finding::error(Code::SuiteBroken, format!("{what}: nothing is judged by it"))
                    .at(place(field))
                    .help(help)
            }
            Standing::Foreign => {
                let message = format!("a {} of {} is no policy", gvk.kind, gvk.api_version());
                let help = "name it under `resources`, or under what it is to the policies";
                Finding::warning(Code::SuiteBroken, message).at(place("kind")).help(help)
            }
            Standing::Policy | Standing::Beside => match manifest(document) {
                Some(manifest) => {
                    policies.push(manifest);
                    continue;
                }
                None => {
                    Finding::error(Code::SuiteBroken, "the policy has no metadata.name").at(place("metadata"))
                }
            },
        };
        problems.push(problem);
    }
    policies
}

/// Objects in documents. Lists (`kind: List`) are taken apart, and what only wraps objects for the tool
/// (`ClusterResource`, `Context`) gives them free.
pub(super) fn objects(documents: Vec<yaml::Document>) -> Vec<Value> {
    documents.into_iter().flat_map(|document| unwrapped(document.value)).collect()
}

fn unwrapped(value: Value) -> Vec<Value> {
    let of_tool = value["apiVersion"].as_str().is_some_and(|version| version.starts_with("cli.kyverno.io/"));
    let items = match value["kind"].as_str() {
        Some("List") => &value["items"],
        Some("ClusterResource" | "Context") if of_tool => &value["spec"]["resources"],
        _ => return vec![value],
    };
    items.as_array().cloned().unwrap_or_default()
}

/// A path as findings name it: without steps back where that is possible.
pub(super) fn shown(path: &Path) -> RepoPath {
    let text = path.to_string_lossy();
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    text.parse().or_else(|_| name.parse()).unwrap_or_default()
}

/// The policy exceptions in documents; anything else there is said.
pub(super) fn exceptions(documents: Vec<yaml::Document>, problems: &mut Vec<Finding>) -> Vec<Arc<Manifest>> {
    let (exceptions, others): (Vec<_>, Vec<_>) =
        policies(documents, problems).into_iter().partition(|one| one.id.kind() == "PolicyException");
    for other in others {
        let message = format!("a {} is no PolicyException", other.id.kind());
        let place = yaml::locate(&other.origin.source, &FieldPath::of_keys(["kind"]));
        let help = "name it under `policies`";
        problems.push(Finding::error(Code::SuiteBroken, message).at(place).help(help));
    }
    exceptions
}

/// A document as a policy; `None` if it is no object.
pub(super) fn manifest(mut document: yaml::Document) -> Option<Arc<Manifest>> {
    // A policy of the whole cluster is in no namespace, whatever is written there.
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&document.value["apiVersion"]), text(&document.value["kind"]));
    let is_everywhere = version.starts_with("policies.kyverno.io/")
        && kind.ends_with("ingPolicy")
        && !kind.starts_with("Namespaced");
    if let (true, Some(metadata)) = (is_everywhere, document.value["metadata"].as_object_mut()) {
        metadata.remove("namespace");
    }
    document.into_manifest().ok().map(Arc::new)
}

/// An object as the reference tool takes it in: what has no namespace and is not known to need none is in `default`.
pub(super) fn with_namespace(mut object: Value, schemas: &Schemas) -> Value {
    let Ok(gvk) = Gvk::of(&object) else { return object };
    // A kind that was built in once, and is no more.
    let namespaced = schemas.namespaced(&gvk.group_kind()).unwrap_or(&*gvk.kind != "FlowSchema");
    if !object["metadata"].is_object() {
        object["metadata"] = Map::new().into();
    }
    let metadata = &mut object["metadata"];
    if namespaced && metadata["namespace"].as_str().unwrap_or_default().is_empty() {
        metadata["namespace"] = "default".into();
    }
    object
}

/// The texts in a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
