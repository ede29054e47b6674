//! Questions of policies: GETs of paths of the API server.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;

use super::request::Url;
use super::{Cluster, ClusterError};

/// Questions under way at once.
const AT_ONCE: usize = 8;
/// The longest answer that is read: whoever writes a policy chooses the path.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What the API server says of a path, that there is no such thing included; or why it says nothing.
pub type Reply = Result<Result<Value, String>, String>;

/// What passes by itself is no answer.
fn reply(answer: Result<Value, ClusterError>) -> Reply {
    match answer {
        Ok(answer) => Ok(Ok(lasting(answer))),
        Err(error) if error.is_retryable() => Err(error.to_string()),
        Err(error @ ClusterError::Config { .. }) => Err(error.to_string()),
        Err(error) => Ok(Err(error.to_string())),
    }
}

impl Cluster {
    /// What the API server answers to these paths: each may take as long as the deadline, and all together as long as three.
    pub async fn answers(&self, paths: Vec<String>, deadline: Duration) -> Vec<(String, Reply)> {
        let end = tokio::time::Instant::now() + 3 * deadline;
        let cluster = &self.clone().with_most_bytes(MOST_BYTES);
        let ask = |path: String| async move {
            if !path.starts_with('/') {
                return (path, Ok(Err("it does not begin with a slash".to_owned())));
            }
            let asked = cluster.get_url(Url::new(path.clone()), "application/json");
            let reply =
                match tokio::time::timeout_at(end.min(tokio::time::Instant::now() + deadline), asked).await {
                    Ok(answer) => reply(answer),
                    Err(_) => Err(format!("no answer within {} s", deadline.as_secs())),
                };
            (path, reply)
        };
        stream::iter(paths).map(ask).buffer_unordered(AT_ONCE).collect().await
    }
}

/// An answer without what differs each time, or with each heartbeat: who compares two sees a change only where there is one.
fn lasting(mut answer: Value) -> Value {
    let drop_from = |object: &mut Value, fields: &[&str]| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            fields.iter().for_each(|field| drop(metadata.remove(*field)));
        }
    };
    drop_from(&mut answer, &["resourceVersion", "managedFields", "continue", "remainingItemCount"]);
    for item in answer.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        drop_from(item, &["resourceVersion", "managedFields"]);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_answers_differ_only_by_what_they_say() {
        let list = |version: &str, data: &str| {
            let metadata = json!({"name": "a", "resourceVersion": version, "managedFields": [version]});
            let list = json!({"resourceVersion": version, "continue": version, "remainingItemCount": 1});
            lasting(json!({"metadata": list, "items": [{"metadata": metadata, "data": data}]}))
        };
        assert_eq!(list("1", "x"), list("2", "x"));
        assert_ne!(list("1", "x"), list("1", "y"));
        assert_eq!(lasting(json!("ok")), "ok");
    }

    #[test]
    fn only_what_the_server_says_of_the_path_is_an_answer() {
        let of = |status: u16| {
            reply(Err(ClusterError::of_answer(status, None, br#"{"kind": "Status", "message": "m"}"#, "/a")))
        };
        for status in [403, 404, 400] {
            assert!(matches!(of(status), Ok(Err(_))), "{status}");
        }
        for status in [401, 429, 500, 502, 503, 504] {
            assert!(of(status).is_err(), "{status}");
        }
        let after = Duration::from_secs(1);
        assert!(reply(Err(ClusterError::Timeout { after })).is_err());
        assert!(reply(Err(ClusterError::Unreachable { reason: "refused".into() })).is_err());
    }
}
