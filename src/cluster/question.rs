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
            // In front of anything else it would become part of the server's address.
            if !path.starts_with('/') {
                return (path, Err("it does not begin with a slash".to_owned()));
            }
            let asked = cluster.get_url(Url::new(path.clone()), "application/json");
            let answer = match tokio::time::timeout_at(end, asked).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", deadline.as_secs())),
            };
            (path, answer)
        };
        stream::iter(paths).map(ask).buffer_unordered(AT_ONCE).collect().await
    }
}
