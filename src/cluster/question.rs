//! Questions of policies: GETs of paths of the API server.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;

use super::Cluster;
use super::request::Url;

/// Questions under way at once.
const AT_ONCE: usize = 8;

impl Cluster {
    /// What the API server answers to these paths, or why not; what takes longer than the deadline has no answer.
    pub async fn answers(
        &self,
        paths: Vec<String>,
        deadline: Duration,
    ) -> Vec<(String, Result<Value, String>)> {
        let end = tokio::time::Instant::now() + deadline;
        let ask = |path: String| async move {
            let asked = self.get_url(Url::new(path.clone()), "application/json");
            let answer = match tokio::time::timeout_at(end, asked).await {
                _ if !path.starts_with('/') => Err("it does not begin with a slash".to_owned()),
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", deadline.as_secs())),
            };
            (path, answer)
        };
        stream::iter(paths).map(ask).buffer_unordered(AT_ONCE).collect().await
    }
}
