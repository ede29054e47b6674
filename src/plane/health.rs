//! `/healthz`, `/livez` and `/readyz`, with a path for each check.

use axum::body::Body;
use http::{Response, header};

use super::request::Query;
use super::status::respond;

/// What is checked; a server that answers at all passes.
const CHECKS: [&str; 3] = ["ping", "log", "etcd"];

/// The answer to a health path; `None` when it is none.
pub(crate) fn answer(path: &str, query: &Query) -> Option<Response<Body>> {
    let (kind, check) = match path.strip_prefix('/')?.split_once('/') {
        None => (path.strip_prefix('/')?, None),
        Some((kind, check)) => (kind, Some(check)),
    };
    if !matches!(kind, "healthz" | "livez" | "readyz") || check.is_some_and(|check| !CHECKS.contains(&check))
    {
        return None;
    }
    let text = if check.is_none() && query.raw("verbose").is_some() {
        let lines: String = CHECKS.iter().map(|check| format!("[+]{check} ok\n")).collect();
        format!("{lines}{kind} check passed\n")
    } else {
        "ok".to_owned()
    };
    let mut response = respond(200, "text/plain; charset=utf-8", Body::from(text));
    if check.is_none() {
        let name = header::X_CONTENT_TYPE_OPTIONS;
        response.headers_mut().insert(name, header::HeaderValue::from_static("nosniff"));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_have_paths() {
        let answered = |path: &str| answer(path, &Query::default()).is_some();
        assert!(answered("/livez") && answered("/readyz/ping") && answered("/healthz/etcd"));
        assert!(!answered("/healthz/nope") && !answered("/health") && !answered("/livez/ping/x"));
    }
}
