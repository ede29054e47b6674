//! What the API server answers when it cannot do what was asked: a `Status` object and its code.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::kinds::Resource;

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Value>,
    /// A whole `Status` that somebody else wrote, answered in place of the parts above.
    pub status: Option<Box<Value>>,
    /// A token with which an expired list can go on.
    pub token: Option<String>,
}

/// Why a field is refused, as it appears in the causes of an `Invalid` answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// The field as the server writes it.
    pub field: String,
    /// `Required value: ...`, `Invalid value: ...`.
    pub message: String,
    /// The machine-readable reason.
    pub reason: &'static str,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> FieldError {
        let message = message.into();
        FieldError { field: field.into(), reason: reason_of(&message), message }
    }
}

/// The machine-readable reason that belongs to the message's opening words.
fn reason_of(message: &str) -> &'static str {
    const REASONS: [(&str, &str); 10] = [
        ("Required value", "FieldValueRequired"),
        ("Unsupported value", "FieldValueNotSupported"),
        ("Duplicate value", "FieldValueDuplicate"),
        ("Forbidden", "FieldValueForbidden"),
        ("Too long", "FieldValueTooLong"),
        ("Too many", "FieldValueTooMany"),
        ("Too few", "FieldValueTooFew"),
        ("Not found", "FieldValueNotFound"),
        ("Internal error", "InternalError"),
        ("Invalid value", "FieldValueInvalid"),
    ];
    REASONS
        .iter()
        .find(|(opening, _)| message.starts_with(opening))
        .map_or("FieldValueInvalid", |(_, reason)| reason)
}

impl Failure {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, reason, message: message.into(), details: None, status: None, token: None }
    }

    fn with(mut self, details: Value) -> Failure {
        self.details = Some(details);
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(400, "BadRequest", message)
    }

    /// A failure that the server did not foresee; it has no reason.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(500, "", message)
    }

    /// A refusal whose `Status` somebody else wrote.
    pub fn of_status(status: Value) -> Failure {
        let code = status["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or(500);
        Failure { status: Some(Box::new(status)), ..Failure::new(code, "", "") }
    }

    /// What went wrong inside the server or with something that it needs.
    pub fn internal_error(error: &str) -> Failure {
        Failure::new(500, "InternalError", format!("Internal error occurred: {error}"))
            .with_causes(vec![json!({ "message": error })])
    }

    /// A patch that does not fit the object: the server says no more than this.
    pub fn unprocessable() -> Failure {
        Failure::new(422, "Invalid", "the server rejected our request due to an error in our request")
            .with(json!({}))
    }

    pub fn unauthorized() -> Failure {
        Failure::new(401, "Unauthorized", "Unauthorized")
    }

    pub fn expired(message: impl Into<String>) -> Failure {
        Failure::new(410, "Expired", message)
    }

    /// A resourceVersion that was never given out.
    pub fn too_large_revision(wanted: u64, current: u64) -> Failure {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        Failure::new(504, "Timeout", message).with(json!({
            "causes": [{"message": "Too large resource version", "reason": "ResourceVersionTooLarge"}],
            "retryAfterSeconds": 1,
        }))
    }

    pub fn not_found(resource: &Resource, name: &str) -> Failure {
        Failure::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified)).with(details(
            &resource.gvk.group,
            &resource.plural,
            name,
        ))
    }

    pub fn already_exists(resource: &Resource, name: &str) -> Failure {
        Failure::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified))
            .with(details(&resource.gvk.group, &resource.plural, name))
    }

    /// What a name that is taken means to who left it to the server to make one up.
    #[must_use]
    pub fn no_unique_name(mut self) -> Failure {
        self.message.push_str(", the server was not able to generate a unique name for the object");
        if let Some(details) = &mut self.details {
            details["retryAfterSeconds"] = 1.into();
        }
        self
    }

    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified);
        Failure::new(409, "Conflict", message).with(details(&resource.gvk.group, &resource.plural, name))
    }

    /// A precondition of a deletion that does not hold; named by kind.
    pub fn precondition(resource: &Resource, name: &str, why: &str) -> Failure {
        let (group, kind) = (&*resource.gvk.group, &*resource.gvk.kind);
        let what = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        Failure::new(409, "Conflict", format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"))
            .with(details(group, kind, name))
    }

    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Failure {
        Failure::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", resource.qualified))
            .with(details(&resource.gvk.group, &resource.plural, name))
    }

    pub fn method_not_allowed() -> Failure {
        Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with(json!({}))
    }

    /// A path below a served version that leads nowhere.
    pub fn no_such_resource() -> Failure {
        Failure::new(404, "NotFound", "the server could not find the requested resource").with(json!({}))
    }

    /// Fields that are wrong in an object of a kind.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Failure {
        let mut shown: Vec<String> = Vec::new();
        for text in errors.iter().map(|e| format!("{}: {}", e.field, e.message)) {
            // An error that was found twice is said once.
            if !shown.contains(&text) {
                shown.push(text);
            }
        }
        let what = match &shown[..] {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"field": e.field, "message": e.message, "reason": e.reason}))
            .collect();
        let mut details = details(group, kind, name);
        details["causes"] = causes.into();
        Failure::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {what}")).with(details)
    }

    pub fn with_causes(mut self, causes: Vec<Value>) -> Failure {
        self.details = Some(json!({ "causes": causes }));
        self
    }

    /// The `Status` object.
    pub fn body(&self) -> Value {
        if let Some(status) = &self.status {
            return (**status).clone();
        }
        let mut status = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        if let Some(token) = &self.token {
            status["metadata"]["continue"] = token.as_str().into();
        }
        status
    }

    /// The whole answer.
    pub fn response(&self) -> Response<Body> {
        let mut response = json_response(self.code, &self.body());
        if matches!(self.code, 429 | 503 | 504) {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// `details` of a Status: what it is about. Empty parts are left out.
pub(crate) fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut details = json!({});
    for (key, value) in [("group", group), ("kind", kind), ("name", name)] {
        if !value.is_empty() {
            details[key] = value.into();
        }
    }
    details
}

/// The answer to a deletion that removed the object.
pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut about = details(&resource.gvk.group, &resource.plural, name);
    about["uid"] = uid.into();
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": about})
}

/// A JSON answer.
pub(crate) fn json_response(code: u16, body: &Value) -> Response<Body> {
    bytes_response(code, serde_json::to_vec(body).unwrap_or_default().into())
}

/// An answer of encoded JSON.
pub(crate) fn bytes_response(code: u16, body: bytes::Bytes) -> Response<Body> {
    respond(code, "application/json", Body::from(body))
}

/// The answer to a path that is none.
pub(crate) fn no_such_page() -> Response<Body> {
    let mut response = text_response(404, "404 page not found\n");
    let name = header::X_CONTENT_TYPE_OPTIONS;
    response.headers_mut().insert(name, header::HeaderValue::from_static("nosniff"));
    response
}

/// An answer in plain text.
pub(crate) fn text_response(code: u16, body: &'static str) -> Response<Body> {
    respond(code, "text/plain; charset=utf-8", Body::from(body))
}

pub(crate) fn respond(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_wrong_fields_stand_in_brackets() {
        let errors = [FieldError::new("a", "Required value"), FieldError::new("b", "Invalid value: 1: no")];
        let failure = Failure::invalid("g", "K", "n", &errors);
        assert_eq!(failure.message, "K.g \"n\" is invalid: [a: Required value, b: Invalid value: 1: no]");
        assert_eq!(failure.body()["details"]["causes"][0]["reason"], "FieldValueRequired");
    }
}
