//! One request: its URL, its time-out, its answer.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use serde_json::Value;

use super::{Cluster, ClusterError};
use crate::model::{ObjectId, ServedKind};

/// A path with its query.
#[derive(Debug, Clone)]
pub(super) struct Url {
    path: String,
    separator: char,
}

impl Url {
    pub fn new(path: impl Into<String>) -> Url {
        Url { path: path.into(), separator: '?' }
    }

    /// Of all objects of a kind, in one namespace or everywhere.
    pub fn of_kind(kind: &ServedKind, namespace: Option<&str>) -> Url {
        let mut path = group_version_path(&kind.gvk.group, &kind.gvk.version);
        if let Some(namespace) = namespace.filter(|_| kind.namespaced) {
            path.push_str("/namespaces/");
            path.push_str(&escape(namespace));
        }
        path.push('/');
        path.push_str(&kind.plural);
        Url::new(path)
    }

    /// Of one object.
    pub fn of_object(kind: &ServedKind, id: &ObjectId) -> Url {
        Url::of_kind(kind, id.namespace()).below(id.name())
    }

    pub fn below(mut self, segment: &str) -> Url {
        self.path.push('/');
        self.path.push_str(&escape(segment));
        self
    }

    pub fn query(mut self, name: &str, value: &str) -> Url {
        self.path.push(self.separator);
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&escape(value));
        self.separator = '&';
        self
    }

    pub fn query_if(self, condition: bool, name: &str, value: &str) -> Url {
        if condition { self.query(name, value) } else { self }
    }
}

/// `/api/v1` or `/apis/GROUP/VERSION`.
pub(super) fn group_version_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Cluster {
    pub(super) async fn get_url(&self, url: Url, accept: &str) -> Result<Value, ClusterError> {
        self.send(Method::GET, url, accept, None).await
    }

    /// Sends a request and reads its answer, all within the time-out.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, ClusterError> {
        let mut request = Request::builder().uri(&url.path).header(header::ACCEPT, accept);
        if let Some(acting) = self.acting.as_ref().filter(|_| method != Method::GET) {
            request = acting.sign(request);
        }
        request = request.method(method);
        let bytes = match body {
            Some((content_type, value)) => {
                request = request.header(header::CONTENT_TYPE, content_type);
                serde_json::to_vec(value)
                    .map_err(|e| refused(format!("the object cannot be written: {e}")))?
            }
            None => Vec::new(),
        };
        let request = request.body(Body::from(bytes)).map_err(|e| refused(format!("{}: {e}", url.path)))?;
        match tokio::time::timeout(self.timeout, self.exchange(request, &url)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClusterError::Timeout { after: self.timeout }),
        }
    }

    async fn exchange(&self, request: Request<Body>, url: &Url) -> Result<Value, ClusterError> {
        let response = self.client.send(request).await.map_err(|e| ClusterError::of_client(&e))?;
        let (parts, body) = response.into_parts();
        let bytes = match Limited::new(body, self.most_bytes).collect().await {
            Ok(read) => read.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(refused(format!("the answer has more than {} bytes", self.most_bytes)));
            }
            Err(error) => {
                return Err(ClusterError::Unreachable { reason: format!("the answer broke off: {error}") });
            }
        };
        for warning in parts.headers.get_all(header::WARNING) {
            tracing::debug!(path = url.path, warning = ?warning, "the API server warns");
        }
        if !parts.status.is_success() {
            let retry_after = parts
                .headers
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            let asked = url.path.split('?').next().unwrap_or_default();
            return Err(ClusterError::of_answer(parts.status.as_u16(), retry_after, &bytes, asked));
        }
        serde_json::from_slice(&bytes).map_err(|error| ClusterError::Unreachable {
            reason: format!("the answer to {} is not JSON: {error}", url.path),
        })
    }
}

fn refused(message: String) -> ClusterError {
    ClusterError::Refused { status: 0, reason: "BadRequest".to_owned(), message, causes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gvk;

    #[test]
    fn urls() {
        let kind = |gv: &str, kind: &str, plural: &str, namespaced| ServedKind {
            gvk: Gvk::new(gv, kind),
            plural: plural.to_owned(),
            namespaced,
        };
        let role = kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false);
        let id = ObjectId::new("rbac.authorization.k8s.io", "ClusterRole", None, "a:b/../c");
        let url = Url::of_object(&role, &id).query("dryRun", "All").query("x", "a=b");
        assert_eq!(
            url.path,
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/a:b%2F..%2Fc?dryRun=All&x=a%3Db"
        );
        let pod = kind("v1", "Pod", "pods", true);
        assert_eq!(Url::of_kind(&pod, Some("n")).path, "/api/v1/namespaces/n/pods");
        assert_eq!(Url::of_kind(&pod, None).path, "/api/v1/pods");
    }
}
