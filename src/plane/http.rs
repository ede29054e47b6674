//! From an HTTP request to an answer.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::audit::Record;
use super::auth::authenticate::{Peer, authenticate};
use super::auth::authorize::authorize;
use super::auth::impersonate::impersonate;
use super::auth::{Attributes, RequestInfo, User, reviews, token, token_request};
use super::call::{Answer, Call, Content, Notes, Subresource};
use super::kinds::Resource;
use super::negotiate::Endpoint;
use super::probe::{RequestRecord, Trouble};
use super::request::{Form, Query, Target, WriteOptions, wants_aggregated};
use super::server::Server;
use super::status::{Failure, bytes_response, json_response, no_such_page, respond};
use super::write::PatchKind;
use super::{audit, body, clock, convert, cut, discovery, fault_header, health, negotiate, read, table};

/// The largest body that is read.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// Answers a request: faults that tests asked for come before everything else.
pub(crate) async fn handle(server: Arc<Server>, request: Request<Body>, peer: Arc<Peer>) -> Response<Body> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let asked = request.headers().get(fault_header::HEADER).filter(|_| server.settings.fault_header);
    let trouble = match asked.map(|text| server.faults.asked(&String::from_utf8_lossy(text.as_bytes()))) {
        None => server.faults.next(method.as_str(), uri.path()),
        Some(Ok(trouble)) => trouble,
        Some(Err(wrong)) => return Failure::bad_request(wrong).response(),
    };
    let response = match trouble {
        Some(Trouble::Status(code)) => injected(code).response(),
        Some(Trouble::Hang) => std::future::pending().await,
        Some(Trouble::Delay(time)) => {
            tokio::time::sleep(time).await;
            answer(&server, request, &peer).await
        }
        Some(Trouble::LoseAnswer) => {
            let _ = answer(&server, request, &peer).await;
            broken()
        }
        Some(Trouble::Cut(lines)) => {
            answer(&server, request, &peer).await.map(|body| cut::after(body, lines))
        }
        None => answer(&server, request, &peer).await,
    };
    server.log.push(|| RequestRecord {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        status: response.status().as_u16(),
    });
    response
}

/// The way of a request: request info, authentication, impersonation, authorization, handler; the audit log sees
/// all of it.
async fn answer(server: &Arc<Server>, request: Request<Body>, peer: &Peer) -> Response<Body> {
    let info = RequestInfo::of(request.method(), request.uri().path(), request.uri().query());
    let id = audit_id(request.headers());
    let log = server.settings.audit.as_ref();
    let mut record = log.map(|log| Record::begin(log, &id, &request, &info, peer));
    let mut response = match admit(server, &info, request.headers(), peer, record.as_mut()) {
        Ok(user) => serve(server, request, user, &info, record.as_mut()).await,
        Err(failure) => refused(&failure),
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("audit-id", id);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    match record {
        Some(record) => audit::finish(record, response).await,
        None => response,
    }
}

/// The client's own id of the request, or a new one.
fn audit_id(headers: &http::HeaderMap) -> String {
    let given = headers.get("audit-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    given.map_or_else(|| uuid::Uuid::new_v4().to_string(), |id| id.chars().take(64).collect())
}

/// Who the request is from, and whether he may do that.
fn admit(
    server: &Server,
    info: &RequestInfo,
    headers: &http::HeaderMap,
    peer: &Peer,
    mut record: Option<&mut Record>,
) -> Result<Arc<User>, Failure> {
    let mut user = authenticate(server, headers, peer)?;
    if let Some(record) = record.as_deref_mut() {
        record.user(&user);
    }
    if let Some(other) = impersonate(&server.rbac, &user, headers)? {
        if let Some(record) = record.as_deref_mut() {
            record.impersonated(&other);
        }
        user = other;
    }
    let attributes = Attributes::of(&user, info);
    let decision = authorize(&server.rbac, &attributes);
    if let Some(record) = record {
        record.decision(&decision);
    }
    if decision.allowed { Ok(user) } else { Err(attributes.forbidden(&decision.reason)) }
}

fn refused(failure: &Failure) -> Response<Body> {
    let mut response = failure.response();
    if failure.code == 403 {
        response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    }
    response
}

/// A refusal that a test asked for.
fn injected(code: u16) -> Failure {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => (
            "Conflict",
            "the object has been modified; please apply your changes to the latest version and try again",
        ),
        422 => ("Invalid", "the server rejected our request due to an error in our request"),
        429 => (
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    Failure::new(code, reason, message)
}

/// An answer whose connection breaks before its body is through.
fn broken() -> Response<Body> {
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the answer is lost");
    let mut response =
        Response::new(Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(error) })));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Carries out what was allowed.
async fn serve(
    server: &Arc<Server>,
    request: Request<Body>,
    user: Arc<User>,
    info: &RequestInfo,
    record: Option<&mut Record>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let yaml = negotiate::wants_yaml(&parts.headers);
    let response = serve_json(server, (parts, body), user, info, record).await;
    if yaml { in_yaml(response).await } else { response }
}

/// The answer in YAML, if it is JSON.
async fn in_yaml(response: Response<Body>) -> Response<Body> {
    if response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(collected) = body.collect().await else { return broken() };
    let json = collected.to_bytes();
    let Some(yaml) = negotiate::as_yaml(&json) else { return Response::from_parts(parts, Body::from(json)) };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    Response::from_parts(parts, Body::from(yaml))
}

async fn serve_json(
    server: &Arc<Server>,
    (parts, body): (http::request::Parts, Body),
    user: Arc<User>,
    info: &RequestInfo,
    mut record: Option<&mut Record>,
) -> Response<Body> {
    let bytes = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("Request entity too large: limit is {BODY_LIMIT}");
            return Failure::new(413, "RequestEntityTooLarge", message).response();
        }
        Err(error) => return Failure::bad_request(error.to_string()).response(),
    };
    if let Some(record) = record.as_deref_mut() {
        record.request_object(&bytes);
    }
    if !info.is_resource {
        return elsewhere(server, &parts);
    }
    let path = parts.uri.path().trim_end_matches('/');
    let resource = Target::parse(path).and_then(|target| {
        let resource = server.registry().find(&target.group, &target.version, &target.plural).cloned();
        resource.map(|resource| (target, resource))
    });
    let Some((target, resource)) = resource else { return not_served(server, path) };
    match dispatch(server, &parts, target, resource, &bytes, user).await {
        Ok(mut response) => {
            if let (Some(record), Some(notes)) = (record, response.extensions_mut().remove::<Arc<Notes>>()) {
                notes
                    .annotations()
                    .iter()
                    .for_each(|(key, value)| record.annotate(key, value.as_str().into()));
            }
            response
        }
        Err(failure) => unstored(server, &parts.method).unwrap_or(failure).response(),
    }
}

/// The answer for what is not served: below a built-in group a Status, elsewhere a page.
fn not_served(server: &Server, path: &str) -> Response<Body> {
    let group = match path.strip_prefix('/').unwrap_or(path).split('/').collect::<Vec<_>>()[..] {
        ["api", ..] => "",
        ["apis", group, ..] => group,
        _ => return no_such_page(),
    };
    let builtin = server.registry().is_builtin_group(group);
    if builtin { Failure::no_such_resource().response() } else { no_such_page() }
}

/// What a write says that could not be written to disk: not what it looked like from the inside.
fn unstored(server: &Server, method: &Method) -> Option<Failure> {
    let why = server.store.failure().filter(|_| method != Method::GET)?;
    Some(Failure::internal(format!("the change could not be stored: {why}")))
}

/// Paths that are no resources: health, version, discovery.
fn elsewhere(server: &Arc<Server>, parts: &http::request::Parts) -> Response<Body> {
    let path = parts.uri.path().trim_end_matches('/');
    match path {
        "/version" if parts.method != Method::GET => return Failure::method_not_allowed().response(),
        "/version" => return json_response(200, &discovery::version()),
        "" => return json_response(200, &discovery::paths(&server.registry())),
        "/openid/v1/jwks" => return openid("application/jwk-set+json", &server.keys.signer.jwks()),
        "/.well-known/openid-configuration" => {
            let host = parts.uri.authority().map(|authority| authority.as_str().to_owned());
            let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let host = host.or_else(|| named.map(str::to_owned)).unwrap_or_default();
            return openid("application/json", &token::openid_configuration(&host));
        }
        _ => {}
    }
    if let Some(answer) = health::answer(path, &Query::parse(parts.uri.query())) {
        return answer;
    }
    if path.starts_with("/openapi/") {
        let answer = server.documents.answer(server, path, parts.uri.query(), &parts.headers);
        return answer.unwrap_or_else(no_such_page);
    }
    // The lists of groups answer to every method.
    let any_method = path == "/apis" || path.strip_prefix("/apis/").is_some_and(|rest| !rest.contains('/'));
    match discover(server, path, &parts.headers) {
        Some(_) if parts.method != Method::GET && !any_method => Failure::method_not_allowed().response(),
        Some(found) => found,
        None => not_served(server, path),
    }
}

/// Public keys and where they are: clients may keep them for an hour.
fn openid(content_type: &'static str, body: &serde_json::Value) -> Response<Body> {
    let mut response = respond(200, content_type, Body::from(body.to_string()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// `/api`, `/apis` and below, down to the resources of a version.
fn discover(server: &Server, path: &str, headers: &http::HeaderMap) -> Option<Response<Body>> {
    let registry = server.registry();
    let found = match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["api" | "apis"] if wants_aggregated(headers) => {
            let body = discovery::aggregated(&registry, path == "/api");
            let mut response = json_response(200, &body);
            let media_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            let fields = response.headers_mut();
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            fields.insert(header::VARY, HeaderValue::from_static("Accept"));
            fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
            return Some(response);
        }
        ["api"] => Some(discovery::core_versions()),
        ["apis"] => Some(discovery::groups(&registry)),
        ["api", version] => discovery::resources(&registry, "", version),
        ["apis", group] => discovery::group_of(&registry, group),
        ["apis", group, version] => discovery::resources(&registry, group, version),
        _ => None,
    };
    found.map(|body| json_response(200, &body))
}

async fn dispatch(
    server: &Arc<Server>,
    parts: &http::request::Parts,
    mut target: Target,
    resource: Arc<Resource>,
    bytes: &[u8],
    user: Arc<User>,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(parts.uri.query());
    if target.watch {
        query.set("watch", "true".to_owned());
        if let Some(name) = target.name.take() {
            query.set("fieldSelector", format!("metadata.name={name}"));
        }
    }
    let patch =
        if parts.method == Method::PATCH { Some(patch_kind(&parts.headers, &resource)?) } else { None };
    let options_kind = match parts.method {
        Method::POST => "CreateOptions",
        Method::PUT => "UpdateOptions",
        Method::PATCH => "PatchOptions",
        _ => "DeleteOptions",
    };
    let apply = patch == Some(PatchKind::Apply);
    let options = match parts.method {
        Method::GET | Method::HEAD => WriteOptions::default(),
        Method::DELETE => {
            let given = body::delete_options(&parts.headers, bytes)?;
            let dry_run = match &given {
                serde_json::Value::Null => query.get("dryRun") == Some("All"),
                given => given["dryRun"].as_array().is_some_and(|all| all.iter().any(|one| one == "All")),
            };
            WriteOptions::of_deletion(&parts.headers, dry_run)
        }
        _ => WriteOptions::of(&query, &parts.headers, options_kind, apply)?,
    };
    let subresource = subresource(&resource, target.subresource.as_deref())?;
    let endpoint = Endpoint {
        builtin: !resource.custom,
        collection: target.name.is_none() && parts.method == Method::GET,
        watch: target.name.is_none() && parts.method == Method::GET && query.flag("watch"),
    };
    let call = Call {
        server,
        user,
        form: negotiate::form(&parts.headers, endpoint)?,
        namespace: target.namespace,
        name: target.name,
        subresource,
        resource,
        query,
        options,
        now: clock::now(),
        notes: Arc::default(),
    };
    let whole = call.resource.namespaced && call.namespace.is_none();
    if whole && call.name.is_some() {
        return Err(Failure::no_such_resource());
    }
    if whole && parts.method != Method::GET {
        return Err(Failure::method_not_allowed());
    }
    let mut response = perform(&call, parts, patch, bytes).await.unwrap_or_else(|failure| failure.response());
    warn(&mut response, call.notes.take_warnings());
    if call.notes.are_annotated() {
        response.extensions_mut().insert(call.notes.clone());
    }
    Ok(response)
}

/// Does what a request to a resource asks for.
async fn perform(
    call: &Call<'_>,
    parts: &http::request::Parts,
    patch: Option<PatchKind>,
    bytes: &[u8],
) -> Result<Response<Body>, Failure> {
    let is_watch = call.query.flag("watch");
    let answer = match (&parts.method, call.name.is_some()) {
        (&Method::POST, true) if call.subresource == Some(Subresource::Token) => {
            let body = body::object(&parts.headers, bytes)?.value;
            Answer::value(201, token_request::create(call, body)?)
        }
        _ if call.subresource == Some(Subresource::Token) => return Err(Failure::method_not_allowed()),
        (&Method::POST, false) if call.resource.virtual_kind => {
            let body = body::object(&parts.headers, bytes)?.value;
            Answer::value(201, reviews::answer(call, body)?)
        }
        _ if call.resource.virtual_kind && call.name.is_some() => return Err(unknown_path()),
        _ if call.resource.virtual_kind => return Err(Failure::method_not_allowed()),
        (&Method::GET, false) if is_watch => return call.watch(),
        (&Method::GET, false) => call.list()?,
        _ if call.subresource == Some(Subresource::Finalize) && parts.method != Method::PUT => {
            return Err(Failure::method_not_allowed());
        }
        (&Method::GET, true) => call.get()?,
        (&Method::POST, false) => call.create(body::object(&parts.headers, bytes)?).await?,
        (&Method::PUT, true) => call.update(body::object(&parts.headers, bytes)?).await?,
        (&Method::PATCH, true) => call.patch(patch.unwrap_or(PatchKind::Merge), bytes).await?,
        (&Method::DELETE, true) if call.subresource.is_none() => {
            call.delete(&body::delete_options(&parts.headers, bytes)?).await?
        }
        (&Method::DELETE, false) if !call.resource.is("", "Namespace") => {
            call.delete_collection(&body::delete_options(&parts.headers, bytes)?).await?
        }
        _ => return Err(Failure::method_not_allowed()),
    };
    Ok(render(call, answer))
}

fn subresource(resource: &Resource, name: Option<&str>) -> Result<Option<Subresource>, Failure> {
    match name {
        None => Ok(None),
        Some("status") if resource.status => Ok(Some(Subresource::Status)),
        Some("scale") if resource.scale.is_some() => Ok(Some(Subresource::Scale)),
        Some("finalize") if resource.is("", "Namespace") => Ok(Some(Subresource::Finalize)),
        Some("token") if resource.is("", "ServiceAccount") => Ok(Some(Subresource::Token)),
        Some(_) => Err(unknown_path()),
    }
}

fn unknown_path() -> Failure {
    Failure {
        details: Some(serde_json::json!({})),
        ..Failure::new(404, "NotFound", "the server could not find the requested resource")
    }
}

fn patch_kind(headers: &http::HeaderMap, resource: &Resource) -> Result<PatchKind, Failure> {
    match body::media_type(headers) {
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/strategic-merge-patch+json" if !resource.custom => Ok(PatchKind::Strategic),
        "application/apply-patch+yaml" => Ok(PatchKind::Apply),
        "application/strategic-merge-patch+json" => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Failure {
            details: Some(serde_json::json!({})),
            ..Failure::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
        }),
    }
}

/// The answer in the wanted form.
fn render(call: &Call<'_>, answer: Answer) -> Response<Body> {
    let mut response = match &answer.content {
        Content::Value(value) if call.form == Form::Table && call.subresource == Some(Subresource::Scale) => {
            json_response(answer.code, &table::of_scale(value, &call.now))
        }
        Content::Value(value) => json_response(answer.code, value),
        Content::Json(json) => bytes_response(answer.code, json.clone()),
        Content::Object(object) => match call.form {
            Form::Whole if convert::is_stored_form(&call.resource) => {
                bytes_response(answer.code, object.json())
            }
            Form::Whole | Form::Metadata => {
                let mut json = Vec::with_capacity(object.size());
                read::write_object(&call.resource, object, call.form, &mut json);
                bytes_response(answer.code, json.into())
            }
            Form::Table => {
                let metadata = serde_json::json!({"resourceVersion": object.revision()});
                let rows = std::slice::from_ref(object);
                let body = table::of(&call.resource, rows, metadata, &call.query, true, &call.now);
                json_response(answer.code, &body)
            }
        },
    };
    let deprecation = call.resource.deprecation.clone();
    warn(&mut response, answer.warnings.into_iter().chain(deprecation));
    response
}

fn warn(response: &mut Response<Body>, warnings: impl IntoIterator<Item = String>) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
