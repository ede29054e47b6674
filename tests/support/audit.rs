//! The API server's audit log: who asked for what. It is how a test counts requests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// One answered request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// `ResponseStarted` (a watch) or `ResponseComplete`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who asked.
    pub user: User,
    /// The client's own name.
    #[serde(default)]
    pub user_agent: String,
    /// What it was about; absent for discovery.
    pub object_ref: Option<ObjectRef>,
    /// When the request came in, in RFC 3339.
    pub request_received_timestamp: String,
    /// When it was answered.
    pub stage_timestamp: String,
    /// The answer.
    pub response_status: Option<ResponseStatus>,
}

/// Who asked.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Name of the user.
    pub username: String,
}

/// What a request was about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Plural of the kind.
    pub resource: String,
    /// Group, empty for the core group.
    pub api_group: String,
    /// Namespace, if any.
    pub namespace: String,
    /// Name; empty for a list.
    pub name: String,
    /// `status`, or empty.
    pub subresource: String,
}

/// How a request was answered.
#[derive(Debug, Clone, Deserialize)]
pub struct ResponseStatus {
    /// HTTP code.
    pub code: Option<u16>,
}

impl AuditEvent {
    /// When the request came in.
    pub fn received(&self) -> jiff::Timestamp {
        self.request_received_timestamp.parse().expect("the API server writes RFC 3339")
    }

    /// When it was answered.
    pub fn answered(&self) -> jiff::Timestamp {
        self.stage_timestamp.parse().expect("the API server writes RFC 3339")
    }

    /// Whether it asked to change something that is stored; a dry run did not.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
            && !self.uri.contains("dryRun=All")
    }

    /// `patch leases/moin-system/moin-root`.
    pub fn short(&self) -> String {
        let Some(object) = &self.object_ref else { return format!("{} {}", self.verb, self.uri) };
        let mut text = format!("{} {}", self.verb, object.resource);
        for part in [&object.namespace, &object.name, &object.subresource] {
            if !part.is_empty() {
                text.push('/');
                text.push_str(part);
            }
        }
        text
    }
}

/// The log so far; a watch counts once, when it began.
pub fn read(log: &Path) -> Vec<AuditEvent> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The last line may still be in the making.
    text.lines()
        .filter_map(|line| serde_json::from_str::<AuditEvent>(line).ok())
        .filter(|event| event.verb != "watch" || event.stage == "ResponseStarted")
        .collect()
}

/// How often each request was made by a user, by [`AuditEvent::short`].
pub fn count_by_request<'a>(events: impl IntoIterator<Item = &'a AuditEvent>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.short()).or_default() += 1;
    }
    counts
}
