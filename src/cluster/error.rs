//! Answers of an API server that are no success, told apart by what to do about them.

use std::time::Duration;

use serde_json::Value;

use super::right::MissingRight;
use super::write_fence::POLICY;
use crate::finding::{Code, Finding};

/// A field that somebody else owns, from the answer to an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The other field manager.
    pub manager: String,
    /// The field as the API server writes it, `.spec.containers[name="app"].image`.
    pub field: String,
    /// The whole sentence of the API server.
    pub message: String,
}

/// One of the reasons for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalCause {
    /// The field, if it is about one.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why a request had no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Fields belong to other managers, and the apply did not force.
    #[error("conflict: {}", conflicts(.causes))]
    Conflict {
        /// Each field with its owner.
        causes: Vec<FieldConflict>,
    },
    /// The object is not the one that was meant, or changed since it was read.
    #[error("changed in the meantime: {message}")]
    Stale {
        /// What the API server said.
        message: String,
    },
    /// There is an object of that name already.
    #[error("{message}")]
    AlreadyExists {
        /// What the API server said.
        message: String,
    },
    /// No. Trying again does not help.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The API server's word for it, `Invalid` or `Forbidden`.
        reason: String,
        /// What the API server said.
        message: String,
        /// Field by field, where it says so.
        causes: Vec<RefusalCause>,
    },
    /// The fence in the API server let the write not through: another instance holds the lease.
    #[error("{message}")]
    NotHolder {
        /// What the API server said.
        message: String,
    },
    /// The API server does not know the kind.
    #[error("the API server does not serve {what}")]
    NotServed {
        /// The kind or path that was asked for.
        what: String,
    },
    /// The kind is known; there is no such object.
    #[error("{what}")]
    NotFound {
        /// What the API server said.
        what: String,
    },
    /// Not now.
    #[error("the API server asks to try again: {message}")]
    Retry {
        /// When, if it says so.
        after: Option<Duration>,
        /// What the API server said.
        message: String,
    },
    /// No connection, or one that broke.
    #[error("the API server cannot be reached: {reason}")]
    Unreachable {
        /// What the network said.
        reason: String,
    },
    /// No answer in time. A write may have been carried out.
    #[error("no answer from the API server within {after:?}")]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The kubeconfig does not say how to connect.
    #[error("{reason}")]
    Config {
        /// What is wrong.
        reason: String,
    },
}

impl ClusterError {
    /// Whether the same request may succeed later, with nothing changed in the repository.
    pub fn is_retryable(&self) -> bool {
        match self {
            ClusterError::Stale { .. }
            | ClusterError::Retry { .. }
            | ClusterError::Unreachable { .. }
            | ClusterError::Timeout { .. }
            // The lease comes and goes.
            | ClusterError::NotHolder { .. } => true,
            // Tokens are rotated.
            ClusterError::Refused { status, .. } => *status == 401,
            _ => false,
        }
    }

    /// As a finding; the caller adds object and place.
    pub fn finding(&self) -> Finding {
        let code = match self {
            ClusterError::Conflict { .. } => Code::Conflict,
            ClusterError::NotHolder { .. } => Code::NotHolder,
            ClusterError::NotServed { .. } => Code::KindNotServed,
            ClusterError::Unreachable { .. } | ClusterError::Config { .. } => Code::ClusterUnreachable,
            error if error.is_retryable() => Code::ApplyFailed,
            _ => Code::ApplyRefused,
        };
        let finding = Finding::error(code, self.to_string());
        match (self.missing_right(), self) {
            (Some(right), _) => finding.help(right.help()),
            (None, ClusterError::Refused { status: 401, .. }) => finding.help(
                "the API server does not know who asks: renew the token or the client certificate of the kubeconfig",
            ),
            (None, _) => finding,
        }
    }

    /// Which right its account lacks, if it is about one.
    fn missing_right(&self) -> Option<MissingRight<'_>> {
        match self {
            ClusterError::Refused { status: 403, message, .. } => MissingRight::of(message),
            _ => None,
        }
    }

    /// From an answer that is no success. `asked` is the path, for a server that does not say what it misses.
    pub(super) fn of_answer(
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
        asked: &str,
    ) -> ClusterError {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let is_status = answer["kind"] == "Status";
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let reason = text("reason");
        let message = match text("message") {
            empty if empty.is_empty() => plain_text(status, body),
            message => message,
        };
        let details = &answer["details"];
        let after = retry_after
            .or_else(|| details["retryAfterSeconds"].as_u64().filter(|s| *s > 0).map(Duration::from_secs));
        match status {
            404 if !is_status || details["name"].as_str().unwrap_or_default().is_empty() => {
                ClusterError::NotServed { what: asked.to_owned() }
            }
            404 => ClusterError::NotFound { what: message },
            _ if message.contains(&format!("ValidatingAdmissionPolicy '{POLICY}'")) => {
                ClusterError::NotHolder { message }
            }
            409 if reason == "AlreadyExists" => ClusterError::AlreadyExists { message },
            409 => conflict(details, message),
            // What a precondition on the uid in an applied object comes to, when the object is another one.
            422 if items(details).any(|cause| cause["field"] == "metadata.uid") => {
                ClusterError::Stale { message }
            }
            429 | 502 | 503 | 504 => ClusterError::Retry { after, message },
            // A webhook or an aggregated server that fails answers 500 through the API server; it passes.
            500.. => ClusterError::Retry { after, message },
            _ => ClusterError::Refused { status, reason, message, causes: causes(details) },
        }
    }

    /// From the kube client: whatever fails before there is an answer.
    pub(super) fn of_client(error: &kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => {
                let body = serde_json::to_vec(&**status).unwrap_or_default();
                let answer = with_kind(&body);
                ClusterError::of_answer(status.code, None, &answer, "this kind")
            }
            kube::Error::Auth(_) | kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => {
                ClusterError::Config { reason: chain(error) }
            }
            other => ClusterError::Unreachable { reason: chain(other) },
        }
    }
}

/// The client's own Status type prints without its kind.
fn with_kind(body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("kind".to_owned(), "Status".into());
    }
    serde_json::to_vec(&value).unwrap_or_default()
}

/// An error with all that caused it, said once each.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn plain_text(status: u16, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).trim().chars().take(300).collect();
    if text.is_empty() { format!("HTTP status {status}") } else { text }
}

fn conflict(details: &Value, message: String) -> ClusterError {
    let causes: Vec<FieldConflict> = items(details)
        .filter(|cause| cause["reason"] == "FieldManagerConflict")
        .map(|cause| {
            let message = cause["message"].as_str().unwrap_or_default();
            FieldConflict {
                manager: quoted_manager(message),
                field: cause["field"].as_str().unwrap_or_default().to_owned(),
                message: message.to_owned(),
            }
        })
        .collect();
    if causes.is_empty() { ClusterError::Stale { message } } else { ClusterError::Conflict { causes } }
}

/// The name in `conflict with "NAME" ...`; the API server quotes it as Go and JSON do.
fn quoted_manager(message: &str) -> String {
    let Some(at) = message.find('"') else { return String::new() };
    let mut stream = serde_json::Deserializer::from_str(&message[at..]).into_iter::<String>();
    match stream.next() {
        Some(Ok(name)) => name,
        _ => message[at + 1..].split('"').next().unwrap_or_default().to_owned(),
    }
}

fn causes(details: &Value) -> Vec<RefusalCause> {
    items(details)
        .map(|cause| RefusalCause {
            field: cause["field"].as_str().unwrap_or_default().to_owned(),
            message: cause["message"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

fn items(details: &Value) -> impl Iterator<Item = &Value> {
    details["causes"].as_array().into_iter().flatten()
}

fn conflicts(causes: &[FieldConflict]) -> String {
    causes.iter().map(|c| format!("{} belongs to {:?}", c.field, c.manager)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(status: u16, body: &Value) -> ClusterError {
        ClusterError::of_answer(status, None, &serde_json::to_vec(body).unwrap(), "/apis/x/v1/things")
    }

    #[test]
    fn a_conflict_names_manager_and_field() {
        let answer = of(
            409,
            &json!({"kind": "Status", "reason": "Conflict", "message": "Apply failed with 1 conflict", "details": {
                "name": "web", "causes": [{"reason": "FieldManagerConflict", "field": ".spec.replicas",
                "message": "conflict with \"kube\\\"ctl\" with subresource \"scale\" using apps/v1"}]}}),
        );
        let ClusterError::Conflict { causes } = &answer else { panic!("{answer:?}") };
        assert_eq!((causes[0].manager.as_str(), causes[0].field.as_str()), ("kube\"ctl", ".spec.replicas"));
        assert!(!answer.is_retryable());
    }

    #[test]
    fn answers_are_told_apart() {
        let object = json!({"kind": "Status", "reason": "NotFound", "message": "things \"a\" not found",
            "details": {"name": "a", "kind": "things"}});
        assert!(matches!(of(404, &object), ClusterError::NotFound { .. }));
        let kind = json!({"kind": "Status", "reason": "NotFound", "details": {},
            "message": "the server could not find the requested resource"});
        assert!(matches!(of(404, &kind), ClusterError::NotServed { .. }));
        let plain = ClusterError::of_answer(404, None, b"404 page not found\n", "/apis/x");
        assert!(matches!(plain, ClusterError::NotServed { .. }));
        let stale =
            json!({"kind": "Status", "reason": "Conflict", "message": "the object has been modified"});
        assert!(matches!(of(409, &stale), ClusterError::Stale { .. }));
        let exists = json!({"kind": "Status", "reason": "AlreadyExists", "message": "exists"});
        assert!(matches!(of(409, &exists), ClusterError::AlreadyExists { .. }));
        let invalid = json!({"kind": "Status", "reason": "Invalid", "message": "bad",
            "details": {"causes": [{"field": "spec.x", "message": "must be y"}]}});
        let ClusterError::Refused { status: 422, causes, .. } = of(422, &invalid) else { panic!() };
        assert_eq!(causes[0].field, "spec.x");
        let busy = json!({"kind": "Status", "details": {"retryAfterSeconds": 7}, "message": "slow"});
        let seven = Some(Duration::from_secs(7));
        assert!(matches!(of(429, &busy), ClusterError::Retry { after, .. } if after == seven));
        assert!(of(500, &json!({})).is_retryable());
    }
}
