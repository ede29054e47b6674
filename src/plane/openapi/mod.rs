//! `/openapi/v3`: documents of what is served, made when somebody asks and kept while they are true.

mod custom;
mod paths;
mod schemas;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};

use super::kinds::{Registry, Resource};
use super::server::Server;
use super::status::json_response;
use super::store::Object;
use super::{clock, discovery};
use crate::schema::builtin_type_name;
use paths::Described;

/// How long a document that is asked for by its hash may be kept.
const YEAR: i64 = 365 * 24 * 3600;

/// The documents that were asked for, each with the hash of what it was made from.
#[derive(Default)]
pub(crate) struct Documents {
    source: Mutex<Option<Arc<Source>>>,
    made: Mutex<HashMap<String, (String, Bytes)>>,
}

/// What documents are made from.
struct Source {
    registry: Arc<Registry>,
    definitions: Vec<Definition>,
}

/// A CustomResourceDefinition.
struct Definition {
    group: String,
    plural: String,
    /// Names of the served versions.
    versions: Vec<String>,
    /// Another one when the definition's spec is another one.
    mark: String,
    object: Arc<Object>,
}

impl Definition {
    fn of(object: &Arc<Object>) -> Definition {
        let body = object.body();
        let (metadata, spec) = (&body["metadata"], &body["spec"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let versions = spec["versions"].as_array().into_iter().flatten();
        Definition {
            group: text(&spec["group"]),
            plural: text(&spec["names"]["plural"]),
            versions: versions.filter(|v| v["served"] != false).map(|v| text(&v["name"])).collect(),
            mark: format!("{} {}", metadata["uid"], metadata["generation"]),
            object: object.clone(),
        }
    }
}

/// A group's version: `api/v1`, `apis/apps/v1`.
struct GroupVersion<'a> {
    group: &'a str,
    version: &'a str,
}

impl GroupVersion<'_> {
    fn path(&self) -> String {
        if self.group.is_empty() {
            format!("api/{}", self.version)
        } else {
            format!("apis/{}/{}", self.group, self.version)
        }
    }
}

impl Source {
    fn versions(&self) -> impl Iterator<Item = GroupVersion<'_>> {
        self.registry
            .groups
            .iter()
            .flat_map(|(group, versions)| versions.iter().map(move |version| GroupVersion { group, version }))
    }

    /// The definitions that have a version of a group.
    fn definitions_of<'a>(&'a self, of: &'a GroupVersion<'_>) -> impl Iterator<Item = &'a Definition> {
        self.definitions.iter().filter(|definition| {
            definition.group == of.group && definition.versions.iter().any(|version| version == of.version)
        })
    }

    /// Changes when the document does: it is made from nothing else.
    fn hash(&self, of: &GroupVersion<'_>) -> String {
        let mut hash = Sha512::new();
        hash.update(concat!(env!("CARGO_PKG_VERSION"), "\n"));
        hash.update(of.path());
        for resource in self.registry.of_version(of.group, of.version) {
            hash.update(format!("\n{} {}", resource.plural, resource.custom));
        }
        for definition in self.definitions_of(of) {
            hash.update(format!("\n{}", definition.mark));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn index(&self) -> Value {
        let entry = |of: GroupVersion<'_>| {
            let url = format!("/openapi/v3/{}?hash={}", of.path(), self.hash(&of));
            (of.path(), json!({"serverRelativeURL": url}))
        };
        json!({"paths": self.versions().map(entry).collect::<Map<String, Value>>()})
    }

    fn document(&self, of: &GroupVersion<'_>) -> Value {
        let mut own = Map::new();
        let mut described = Vec::new();
        let resources = self.registry.of_version(of.group, of.version);
        for resource in &resources {
            let (object, list) = match self.custom(of, resource) {
                Some([object, list]) => {
                    let names = (object.0.clone(), list.0.clone());
                    own.extend([object, list]);
                    names
                }
                None => {
                    let name = builtin_type_name(&resource.gvk).unwrap_or_default();
                    let object = schemas::long(name);
                    let list = format!("{object}List");
                    (object, list)
                }
            };
            let verbs = discovery::verbs(resource);
            described.push(Described { resource, verbs, object, list });
        }
        let paths = paths::of_version(&format!("/{}", of.path()), of.group, of.version, &described);
        let components = schemas::components(&paths, own);
        let custom = !resources.is_empty() && resources.iter().all(|resource| resource.custom);
        let (title, version) =
            if custom { ("Kubernetes CRD Swagger", "v0.1.0") } else { ("Kubernetes", "1.35") };
        let mut document = json!({
            "openapi": "3.0.0", "info": {"title": title, "version": version},
            "paths": paths, "components": {"schemas": components},
        });
        if !custom {
            document["components"]["securitySchemes"] = json!({"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
            }});
        }
        document
    }

    /// The schemas of a custom kind and of its list.
    fn custom(&self, of: &GroupVersion<'_>, resource: &Resource) -> Option<[(String, Value); 2]> {
        if !resource.custom {
            return None;
        }
        let definition = self.definitions_of(of).find(|definition| definition.plural == resource.plural)?;
        let body = definition.object.body();
        let version =
            body["spec"]["versions"].as_array()?.iter().find(|version| version["name"] == of.version)?;
        Some(custom::schemas(resource, version))
    }
}

impl Documents {
    /// What documents are made from now: definitions are read again when the registry is another one.
    fn source(&self, server: &Server) -> Arc<Source> {
        let registry = server.registry();
        let mut known = self.source.lock();
        match &*known {
            Some(source) if Arc::ptr_eq(&source.registry, &registry) => source.clone(),
            _ => {
                let definitions = server.definitions().iter().map(Definition::of).collect();
                known.insert(Arc::new(Source { registry, definitions })).clone()
            }
        }
    }

    /// Answers a path below `/openapi`; `None` where there is nothing.
    pub fn answer(
        &self,
        server: &Server,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let rest = path.strip_prefix("/openapi/v3")?;
        let source = self.source(server);
        if rest.is_empty() {
            let mut response = json_response(200, &source.index());
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            return Some(response);
        }
        let rest = rest.strip_prefix('/')?;
        let of = source.versions().find(|of| of.path() == rest)?;
        if !accepts_json(headers) {
            return Some(empty(StatusCode::NOT_ACCEPTABLE));
        }
        let hash = source.hash(&of);
        Some(self.answer_document(&source, &of, &hash, query, headers))
    }

    fn answer_document(
        &self,
        source: &Source,
        of: &GroupVersion<'_>,
        hash: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("hash="));
        let tag = format!("\"{hash}\"");
        let mut response = if asked.is_some_and(|asked| asked != hash) {
            let mut response = empty(StatusCode::MOVED_PERMANENTLY);
            let now = format!("/openapi/v3/{}?hash={hash}", of.path());
            if let Ok(now) = HeaderValue::from_str(&now) {
                response.headers_mut().insert(header::LOCATION, now);
            }
            response
        } else if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(Body::from(self.document(source, of, hash)))
        };
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        out.insert(header::VARY, HeaderValue::from_static("Accept"));
        // Whoever names the hash gets what never changes.
        let caching = if asked == Some(hash) { "public, immutable" } else { "no-cache, private" };
        if asked == Some(hash)
            && let Ok(expires) = HeaderValue::from_str(&clock::http_date(YEAR))
        {
            out.insert(header::EXPIRES, expires);
        }
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            out.insert(header::ETAG, tag);
        }
        response
    }

    fn document(&self, source: &Source, of: &GroupVersion<'_>, hash: &str) -> Bytes {
        let path = of.path();
        if let Some((made, document)) = self.made.lock().get(&path)
            && made == hash
        {
            return document.clone();
        }
        let document = Bytes::from(source.document(of).to_string());
        self.made.lock().insert(path, (hash.to_owned(), document.clone()));
        document
    }
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    accept.split(',').any(|accepted| {
        let accepted = accepted.split(';').next().unwrap_or_default().trim();
        matches!(accepted, "" | "*/*" | "application/*" | "application/json")
    })
}

fn empty(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}
