//! Kinds that answer a question and are not stored: may somebody do that, and who is it?

use serde_json::{Value, json};

use super::authenticate;
use super::authorize::{Attributes, Decision, authorize};
use super::rbac::{Reference, together};
use super::user::User;
use crate::plane::call::Call;
use crate::plane::status::{Failure, FieldError};

const AUTHORIZATION: &str = "authorization.k8s.io";

/// The answer to a review.
pub(crate) fn answer(call: &Call<'_>, mut body: Value) -> Result<Value, Failure> {
    let registry = call.server.registry();
    let given = body["metadata"].take();
    body["metadata"] = if given.is_object() { given } else { json!({}) };
    registry.types.normalise(&call.resource, &mut body, true);
    check_namespace(call, &body)?;
    let manager = &call.options.manager;
    body = registry.types.update(&call.resource, None, &body, manager, None, &call.now);
    let asked = match &*call.resource.gvk.kind {
        "SelfSubjectReview" => return Ok(whoami(call)),
        "SelfSubjectRulesReview" => return rules(call, &body),
        "TokenReview" => token(call, &body)?,
        _ => access(call, &body)?,
    };
    body["apiVersion"] = call.resource.gvk.api_version().into();
    body["kind"] = (&*call.resource.gvk.kind).into();
    body["status"] = asked;
    Ok(body)
}

fn check_namespace(call: &Call<'_>, body: &Value) -> Result<(), Failure> {
    let named = body["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    if call.resource.namespaced && named.is_some_and(|namespace| namespace != call.namespace()) {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Failure::bad_request(why));
    }
    Ok(())
}

fn api_version(call: &Call<'_>) -> Value {
    call.resource.gvk.api_version().into()
}

fn whoami(call: &Call<'_>) -> Value {
    json!({
        "apiVersion": api_version(call), "kind": "SelfSubjectReview",
        "metadata": {"creationTimestamp": call.now}, "status": {"userInfo": call.user.info()},
    })
}

fn rules(call: &Call<'_>, body: &Value) -> Result<Value, Failure> {
    let namespace = body["spec"]["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Failure::bad_request("no namespace on request"));
    }
    let (rules, missing) = call.server.rbac.rules_for(&call.user, namespace);
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for (resource, path) in rules.iter().map(super::rbac::Rule::reviewed) {
        resources.extend(resource);
        paths.extend(path);
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    let errors = together(missing.iter().map(Reference::missing).collect());
    if !errors.is_empty() {
        status["evaluationError"] = errors.into();
    }
    Ok(json!({
        "apiVersion": api_version(call), "kind": "SelfSubjectRulesReview",
        "metadata": {}, "spec": {}, "status": status,
    }))
}

fn token(call: &Call<'_>, body: &Value) -> Result<Value, Failure> {
    let token = body["spec"]["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Failure::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = texts(&body["spec"]["audiences"]);
    Ok(match authenticate::of_token(call.server, token, &audiences) {
        Ok((user, audiences)) => {
            json!({"authenticated": true, "user": user.info(), "audiences": audiences})
        }
        Err(why) => json!({"user": {}, "error": why}),
    })
}

/// Subject access reviews of all kinds.
fn access(call: &Call<'_>, body: &Value) -> Result<Value, Failure> {
    let spec = &body["spec"];
    let of_self = &*call.resource.gvk.kind == "SelfSubjectAccessReview";
    let errors = access_errors(call, body, of_self);
    if !errors.is_empty() {
        return Err(Failure::invalid(AUTHORIZATION, "", "", &errors));
    }
    let named;
    let user = if of_self {
        &*call.user
    } else {
        named = subject(spec);
        &named
    };
    let decision = authorize(&call.server.rbac, &attributes(user, spec));
    Ok(status(&decision))
}

fn status(decision: &Decision) -> Value {
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.as_str().into();
    }
    status
}

fn subject(spec: &Value) -> User {
    let extra = spec["extra"].as_object().into_iter().flatten();
    User {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        uid: spec["uid"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    }
}

fn attributes<'a>(user: &'a User, spec: &'a Value) -> Attributes<'a> {
    let about = &spec["resourceAttributes"];
    let is_resource = about.is_object();
    let about = if is_resource { about } else { &spec["nonResourceAttributes"] };
    let text = |field: &str| about[field].as_str().unwrap_or_default();
    Attributes {
        user,
        is_resource,
        verb: text("verb"),
        group: text("group"),
        resource: text("resource"),
        subresource: text("subresource"),
        namespace: text("namespace"),
        name: text("name"),
        path: text("path"),
    }
}

fn access_errors(call: &Call<'_>, body: &Value, of_self: bool) -> Vec<FieldError> {
    let spec = &body["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut errors = Vec::new();
    let mut wrong = |field: &str, value: &str, why: &str| {
        errors.push(FieldError::new(field, format!("Invalid value: {value}: {why}")));
    };
    // The server prints the attributes by the names of its own fields.
    let printed = || {
        let text = |field: &str| path[field].as_str().unwrap_or_default();
        format!("{{\"Path\":{:?},\"Verb\":{:?}}}", text("path"), text("verb"))
    };
    if resource.is_object() && path.is_object() {
        let why = "cannot be specified in combination with resourceAttributes";
        wrong("spec.nonResourceAttributes", &printed(), why);
    }
    if !resource.is_object() && !path.is_object() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        wrong("spec.resourceAttributes", "null", why);
    }
    let empty = |value: &Value| value.as_str().is_none_or(str::is_empty);
    if !of_self && empty(&spec["user"]) && texts(&spec["groups"]).is_empty() {
        wrong("spec.user", "\"\"", "at least one of user or group must be specified");
    }
    for field in ["fieldSelector", "labelSelector"] {
        selector_errors(&resource[field], field, &mut wrong);
    }
    let mut metadata = body["metadata"].clone();
    let shown = printed_metadata(&metadata);
    if let Some(map) = metadata.as_object_mut() {
        map.remove("managedFields");
        if call.resource.namespaced {
            map.remove("namespace");
        }
        map.retain(|_, value| !value.is_null());
    }
    if metadata != json!({}) {
        let why =
            if call.resource.namespaced { "must be empty except for namespace" } else { "must be empty" };
        wrong("metadata", &shown, why);
    }
    if call.resource.namespaced {
        let named = resource["namespace"].as_str().unwrap_or_default();
        if resource.is_object() && named != body["metadata"]["namespace"].as_str().unwrap_or(call.namespace())
        {
            let value = format!("{named:?}");
            wrong("spec.resourceAttributes.namespace", &value, "must match metadata.namespace");
        }
        if path.is_object() {
            wrong("spec.nonResourceAttributes", &printed(), "disallowed on this kind of request");
        }
    }
    errors
}

/// Metadata in the order in which the server prints it.
fn printed_metadata(metadata: &Value) -> String {
    const FIELDS: [&str; 12] = [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
    ];
    const MANAGED: [&str; 7] =
        ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
    let field = |of: &Value, name: &str| {
        of.get(name).filter(|value| !value.is_null()).map(|value| format!("{name:?}:{value}"))
    };
    let mut parts: Vec<String> = FIELDS.iter().filter_map(|name| field(metadata, name)).collect();
    if let Some(managers) = metadata["managedFields"].as_array() {
        let entry = |entry: &Value| {
            let parts: Vec<String> = MANAGED.iter().filter_map(|name| field(entry, name)).collect();
            format!("{{{}}}", parts.join(","))
        };
        let entries: Vec<String> = managers.iter().map(entry).collect();
        parts.push(format!("\"managedFields\":[{}]", entries.join(",")));
    }
    format!("{{{}}}", parts.join(","))
}

fn selector_errors(selector: &Value, field: &str, wrong: &mut impl FnMut(&str, &str, &str)) {
    if !selector.is_object() {
        return;
    }
    let raw = selector["rawSelector"].as_str().unwrap_or_default();
    let requirements = selector["requirements"].as_array().is_some_and(|all| !all.is_empty());
    let at = format!("spec.resourceAttributes.{field}");
    if !raw.is_empty() && requirements {
        let why = "may not specified at the same time as requirements";
        wrong(&format!("{at}.rawSelector"), &format!("{raw:?}"), why);
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
