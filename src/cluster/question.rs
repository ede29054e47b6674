//! Questions of policies: GETs of paths of the API server.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;

use super::Cluster;
use super::request::Url;

/// Questions under way at once.
const AT_ONCE: usize = 8;
/// The longest answer that is read: whoever writes a policy chooses the path.
const MOST_BYTES: usize = 16 * 1024 * 1024;

impl Cluster {
    /// What the API server answers to these paths, or why not; what takes longer than the deadline has no answer.
    pub async fn answers(
        &self,
        paths: Vec<String>,
        deadline: Duration,
    ) -> Vec<(String, Result<Value, String>)> {
        let end = tokio::time::Instant::now() + deadline;
        let cluster = &self.clone().with_most_bytes(MOST_BYTES);
        let ask = |path: String| async move {
            if !path.starts_with('/') {
                return (path, Err("it does not begin with a slash".to_owned()));
            }
            let asked = cluster.get_url(Url::new(path.clone()), "application/json");
            let answer = match tokio::time::timeout_at(end, asked).await {
                Ok(answer) => answer.map(lasting).map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", deadline.as_secs())),
            };
            (path, answer)
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
}
