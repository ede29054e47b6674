//! Kinds that answer a question and are not stored. Whoever got in may do everything, and this says so.

use serde_json::{Value, json};

use super::kinds::Resource;
use super::server::Server;

/// Who a request comes from.
pub(crate) const USER: &str = "kubernetes-admin";
pub(crate) const GROUPS: [&str; 2] = ["system:masters", "system:authenticated"];

/// The answer to a review.
pub(crate) fn answer(server: &Server, resource: &Resource, mut body: Value) -> Value {
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    body["status"] = match &*resource.gvk.kind {
        "SelfSubjectReview" => json!({"userInfo": {"username": USER, "groups": GROUPS}}),
        "TokenReview" => token(server, &body),
        "SelfSubjectRulesReview" => json!({
            "incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }),
        _ => json!({"allowed": true}),
    };
    body
}

fn token(server: &Server, body: &Value) -> Value {
    let given = body["spec"]["token"].as_str();
    match &server.settings.token {
        Some(token) if given == Some(token) => {
            json!({"authenticated": true, "user": {"username": USER, "groups": GROUPS}})
        }
        _ => json!({"user": {}, "error": "the token is not known"}),
    }
}
