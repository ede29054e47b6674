//! A small API server for tests: stores, lists, watches, and answers as it is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::Cluster;

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub method: String,
    pub path: String,
    pub query: HashMap<String, String>,
    pub content_type: String,
    /// Values of the headers that impersonate.
    pub acting: Vec<String>,
    pub body: Value,
}

type ServedRow = (&'static str, &'static str, &'static str, bool);

/// The server; clones are the same one.
#[derive(Clone)]
pub(super) struct Server {
    pub objects: Arc<Mutex<BTreeMap<String, Value>>>,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// `METHOD path` -> status and body of the only answer.
    pub answers: Arc<Mutex<HashMap<String, (u16, Value)>>>,
    /// Group, kind, plural, whether namespaced; all in version v1.
    pub kinds: Arc<Mutex<Vec<ServedRow>>>,
    version: Arc<Mutex<u64>>,
    events: broadcast::Sender<(String, String, Value)>,
}

impl Server {
    pub fn new() -> Server {
        let kinds = vec![
            ("", "Namespace", "namespaces", false),
            ("", "ConfigMap", "configmaps", true),
            ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false),
        ];
        Server {
            objects: Arc::default(),
            asked: Arc::default(),
            answers: Arc::default(),
            kinds: Arc::new(Mutex::new(kinds)),
            version: Arc::default(),
            events: broadcast::channel(1000).0,
        }
    }

    pub fn cluster(&self) -> Cluster {
        let router = Router::new().fallback(handle).with_state(self.clone());
        Cluster::from_client(kube::Client::new(router, "default"))
    }

    pub fn answer(&self, request: &str, status: u16, body: Value) {
        self.answers.lock().insert(request.to_owned(), (status, body));
    }

    /// Stores an object below `collection/name` and tells the watches.
    pub fn put(&self, path: &str, mut object: Value) -> Value {
        let version = self.next_version();
        let old = self.objects.lock().get(path).cloned();
        let uid =
            old.as_ref().map_or_else(|| json!(format!("uid-{version}")), |o| o["metadata"]["uid"].clone());
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        self.objects.lock().insert(path.to_owned(), object.clone());
        let what = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let _ = self.events.send((path.to_owned(), what.to_owned(), object.clone()));
        object
    }

    pub fn remove(&self, path: &str) -> Option<Value> {
        let mut object = self.objects.lock().remove(path)?;
        object["metadata"]["resourceVersion"] = self.next_version().to_string().into();
        let _ = self.events.send((path.to_owned(), "DELETED".to_owned(), object.clone()));
        Some(object)
    }

    fn next_version(&self) -> u64 {
        let mut version = self.version.lock();
        *version += 1;
        *version
    }

    fn discovery(&self, path: &str) -> Value {
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (group, kind, plural, namespaced) in self.kinds.lock().iter() {
            if (path == "/api") == group.is_empty() {
                groups.entry(group).or_default().push(json!({
                    "resource": plural, "responseKind": {"group": group, "version": "v1", "kind": kind},
                    "scope": if *namespaced { "Namespaced" } else { "Cluster" }, "verbs": ["get"]}));
            }
        }
        let items: Vec<Value> = groups
            .into_iter()
            .map(|(name, resources)| {
                json!({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]})
            })
            .collect();
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items})
    }
}

fn selected(object: &Value, query: &HashMap<String, String>) -> bool {
    let labels = query
        .get("labelSelector")
        .and_then(|s| s.split_once('='))
        .is_none_or(|(name, value)| object["metadata"]["labels"][name] == value);
    let fields = query
        .get("fieldSelector")
        .and_then(|s| s.strip_prefix("metadata.name="))
        .is_none_or(|name| object["metadata"]["name"] == name);
    labels && fields
}

/// Whether an object's path lies in a collection, in one namespace or over all.
fn in_collection(path: &str, collection: &str) -> bool {
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let (head, plural) = collection.rsplit_once('/').unwrap_or_default();
    folder == collection
        || folder.starts_with(&format!("{head}/namespaces/")) && folder.ends_with(&format!("/{plural}"))
}

async fn handle(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let content_type =
        headers.get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let acting = ["user", "group", "extra-moin.scs.community%2fholder"];
    let acting = acting.iter().flat_map(|name| headers.get_all(format!("impersonate-{name}")));
    let acting = acting.map(|value| value.to_str().unwrap().to_owned()).collect();
    server.asked.lock().push(Asked {
        acting,
        method: method.to_string(),
        path: path.clone(),
        query: query.clone(),
        content_type,
        body: body.clone(),
    });
    let answer = |status: u16, body: Value| {
        (StatusCode::from_u16(status).unwrap(), serde_json::to_vec(&body).unwrap()).into_response()
    };
    if let Some((status, body)) = server.answers.lock().get(&format!("{method} {path}")) {
        return answer(*status, body.clone());
    }
    if path == "/api" || path == "/apis" {
        return answer(200, server.discovery(&path));
    }
    let plural = path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_collection = server.kinds.lock().iter().any(|kind| kind.2 == plural);
    match (method.as_str(), is_collection) {
        ("GET", true) if query.get("watch").is_some_and(|w| w == "true" || w == "1") => {
            watch(&server, path, query)
        }
        ("GET", true) => {
            let version = server.version.lock().to_string();
            let objects = server.objects.lock();
            let items: Vec<&Value> = objects
                .iter()
                .filter(|(at, object)| in_collection(at, &path) && selected(object, &query))
                .map(|(_, object)| object)
                .collect();
            answer(
                200,
                json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}),
            )
        }
        ("GET", false) => match server.objects.lock().get(&path) {
            Some(object) => answer(200, object.clone()),
            None => answer(
                404,
                json!({"kind": "Status", "code": 404, "reason": "NotFound",
                "message": "not found", "details": {"name": plural}}),
            ),
        },
        ("POST", true) => {
            let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or("generated"));
            answer(201, server.put(&path, body))
        }
        ("PATCH" | "PUT", false) => answer(200, server.put(path.trim_end_matches("/status"), body)),
        ("DELETE", false) => {
            server.remove(&path);
            answer(200, json!({"kind": "Status", "status": "Success"}))
        }
        _ => answer(405, json!({"kind": "Status", "reason": "MethodNotAllowed", "message": "no"})),
    }
}

fn watch(server: &Server, collection: String, query: HashMap<String, String>) -> Response {
    let from: u64 = query.get("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or_default();
    let events = server.events.subscribe();
    let missed: Vec<(String, String, Value)> = server
        .objects
        .lock()
        .iter()
        .filter(|(_, o)| o["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > from)
        .map(|(path, object)| (path.clone(), "ADDED".to_owned(), object.clone()))
        .collect();
    let live = futures::stream::unfold(events, |mut events| async move {
        events.recv().await.ok().map(|event| (event, events))
    });
    let all = futures::StreamExt::chain(futures::stream::iter(missed), live);
    let lines = futures::StreamExt::filter_map(all, move |(path, what, object)| {
        // What loses the label leaves the watch.
        let what = if selected(&object, &query) { what } else { "DELETED".to_owned() };
        let line = in_collection(&path, &collection)
            .then(|| Ok::<_, std::io::Error>(format!("{}\n", json!({"type": what, "object": object}))));
        std::future::ready(line)
    });
    Body::from_stream(lines).into_response()
}
