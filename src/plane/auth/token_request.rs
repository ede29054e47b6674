//! `serviceaccounts/NAME/token`: a token for a service account, for as long and for whom one asks.

use serde_json::{Value, json};

use super::token::ISSUER;
use crate::plane::call::Call;
use crate::plane::clock;
use crate::plane::kinds::Resource;
use crate::plane::status::{Failure, FieldError, details};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
const DEFAULT_SECONDS: i64 = 3600;
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
/// Tokens that pods ask for like this live for a year, and are counted as stale after the hour.
const PROJECTED_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// The object that a token is bound to.
struct Bound {
    kind: &'static str,
    claims: Value,
}

/// Answers a request for a token.
pub(crate) fn create(call: &Call<'_>, mut body: Value) -> Result<Value, Failure> {
    let (name, namespace) = (call.name().to_owned(), call.namespace().to_owned());
    check_metadata(&body, &name, &namespace)?;
    let account = call.live().ok_or_else(|| Failure::not_found(&call.resource, &name))?;
    let uid = account.uid().to_owned();
    if let Some(given) = text(&body["metadata"]["uid"]).filter(|given| *given != uid) {
        return Err(conflict(
            KIND,
            &name,
            &format!(
                "the UID in the token request ({given}) does not match the UID of the service account ({uid})"
            ),
        ));
    }
    let now = jiff::Timestamp::now();
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    check_seconds(seconds)?;
    let mut audiences = body["spec"]["audiences"].clone();
    if audiences.as_array().is_none_or(Vec::is_empty) {
        audiences = json!([ISSUER]);
    }
    let bound = bound(call, &body["spec"]["boundObjectRef"])?;
    let extended = seconds == PROJECTED_SECONDS
        && bound.as_ref().is_some_and(|bound| bound.kind == "Pod")
        && audiences == json!([ISSUER]);
    let lasts = if extended { EXTENDED_SECONDS } else { seconds };
    let issued = now.as_second();
    let mut private = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}});
    for (key, value) in bound.iter().filter_map(|bound| bound.claims.as_object()).flatten() {
        private[key] = value.clone();
    }
    if extended {
        private["warnafter"] = (issued + seconds).into();
    }
    let token = call.server.keys.signer.sign(&json!({
        "iss": ISSUER, "sub": super::user::service_account_name(&namespace, &name), "aud": audiences,
        "exp": issued + lasts, "iat": issued, "nbf": issued, "jti": uuid::Uuid::new_v4().to_string(),
        "kubernetes.io": private,
    }));
    let fields = managed(call, &body);
    let reference = body["spec"]["boundObjectRef"].take();
    Ok(json!({
        "kind": KIND, "apiVersion": format!("{GROUP}/v1"),
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid, "creationTimestamp": clock::text(now),
            "managedFields": [fields],
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
        "status": {
            "token": token,
            "expirationTimestamp": clock::text(now + jiff::SignedDuration::from_secs(seconds)),
        },
    }))
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn conflict(kind: &str, name: &str, why: &str) -> Failure {
    let message = format!("Operation cannot be fulfilled on {kind}.{GROUP} {name:?}: {why}");
    Failure { details: Some(details(GROUP, kind, name)), ..Failure::new(409, "Conflict", message) }
}

fn check_metadata(body: &Value, name: &str, namespace: &str) -> Result<(), Failure> {
    for (field, wanted) in [("name", name), ("namespace", namespace)] {
        if let Some(given) = text(&body["metadata"][field]).filter(|given| *given != wanted) {
            let why =
                format!("Invalid value: {given:?}: must match the service account {field} if specified");
            let errors = [FieldError::new(format!("metadata.{field}"), why)];
            return Err(Failure::invalid(GROUP, KIND, name, &errors));
        }
    }
    Ok(())
}

fn check_seconds(seconds: i64) -> Result<(), Failure> {
    let why = match seconds {
        ..SHORTEST => "may not specify a duration less than 10 minutes",
        SHORTEST..=LONGEST => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let errors = [FieldError::new("spec.expirationSeconds", format!("Invalid value: {seconds}: {why}"))];
    Err(Failure::invalid(GROUP, KIND, "", &errors))
}

/// The object of a `boundObjectRef`, and what the token says of it.
fn bound(call: &Call<'_>, reference: &Value) -> Result<Option<Bound>, Failure> {
    if !reference.is_object() {
        return Ok(None);
    }
    let of = |field: &str| reference[field].as_str().unwrap_or_default();
    let (kind, plural, scope) = match (of("apiVersion"), of("kind")) {
        ("v1", "Pod") => ("Pod", "pods", call.namespace()),
        ("v1", "Secret") => ("Secret", "secrets", call.namespace()),
        ("v1", "Node") => ("Node", "nodes", ""),
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let what = format!("{group}/{version}, Kind={kind}");
            return Err(Failure::bad_request(format!("cannot bind token to object of type {what}")));
        }
    };
    let registry = call.server.registry();
    let Some(resource) = registry.find("", "v1", plural) else { return Ok(None) };
    let key = |name: &str, resource: &Resource, scope: &str| crate::plane::store::Key {
        resource: resource.collection.clone(),
        namespace: scope.into(),
        name: name.into(),
    };
    let object = call.server.store.get(&key(of("name"), resource, scope));
    let object = object.ok_or_else(|| Failure::not_found(resource, of("name")))?;
    if kind == "Pod" && object.body()["spec"]["serviceAccountName"] != call.name() {
        return Err(Failure::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            call.name()
        )));
    }
    if let Some(given) = text(&reference["uid"]).filter(|given| *given != object.uid()) {
        let why = format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        let message = format!("Operation cannot be fulfilled on {kind} {:?}: {why}", of("name"));
        let about = details("", kind, of("name"));
        return Err(Failure { details: Some(about), ..Failure::new(409, "Conflict", message) });
    }
    let mut claims = json!({kind.to_lowercase(): {"name": of("name"), "uid": object.uid()}});
    let body = object.body();
    if let (Some(node), Some(nodes)) =
        (text(&body["spec"]["nodeName"]).filter(|_| kind == "Pod"), registry.find("", "v1", "nodes"))
    {
        claims["node"] = json!({"name": node});
        if let Some(found) = call.server.store.get(&key(node, nodes, "")) {
            claims["node"]["uid"] = found.uid().into();
        }
    }
    Ok(Some(Bound { kind, claims }))
}

/// The entry of managed fields for what was asked; the lifetime is always there, by its default.
fn managed(call: &Call<'_>, body: &Value) -> Value {
    let mut spec = json!({"f:expirationSeconds": {}});
    if body["spec"]["audiences"].is_array() {
        spec["f:audiences"] = json!({});
    }
    if let Some(reference) = body["spec"]["boundObjectRef"].as_object() {
        let fields = reference.keys().map(|key| (format!("f:{key}"), json!({})));
        spec["f:boundObjectRef"] = fields.chain([(".".to_owned(), json!({}))]).collect();
    }
    json!({
        "manager": call.options.manager, "operation": "Update", "apiVersion": format!("{GROUP}/v1"),
        "time": call.now, "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec}, "subresource": "token",
    })
}
