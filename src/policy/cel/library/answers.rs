//! What policies in CEL look up outside of suites: it is asked where what the `context` of a classic rule names is asked.
//!
//! Expressions hold nothing that is borrowed and so cannot ask by themselves. An evaluation notes what it would know; that is
//! asked, and it is evaluated again, until it asks for nothing new.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::expr::Outside;
use crate::expr::cel::EvalError;
use crate::policy::lookup::is_part;

/// More different questions than this are not asked in one judgement by a policy: each may mean one more evaluation.
const MOST: usize = 50;

/// What is to be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// A GET of a path of the API server.
    Get(String),
    /// A POST to a path, and its body.
    Post(String, String),
    /// An entry of the global context, and which projection of it, if not the whole.
    Global(String, String),
    /// A request to a service: its method and URL.
    Call(String, String),
    /// What a registry knows of an image.
    Image(String),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
struct Failure {
    why: String,
    /// Nobody answered, which no policy passes over; else it is an answer that something is not to be had.
    is_open: bool,
}

/// What was asked in one judgement by a policy, and what was answered to it.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<BTreeMap<Question, Option<Result<Json, Failure>>>>);

impl Answers {
    /// What is made of the answer to a question. One that is new is noted, and this evaluation is for nothing.
    pub(super) fn to<T>(
        &self,
        question: Question,
        failed: &str,
        make: impl FnOnce(&Json) -> T,
    ) -> Result<T, EvalError> {
        let mut all = self.0.lock();
        match all.get(&question) {
            Some(Some(Ok(answer))) => Ok(make(answer)),
            Some(Some(Err(Failure { why, is_open: true }))) => {
                Err(EvalError::not_looked_up(format!("{failed}: {why}")))
            }
            Some(Some(Err(Failure { why, .. }))) => Err(EvalError::new(format!("{failed}: {why}"))),
            Some(None) => Err(EvalError::not_looked_up(failed.to_owned())),
            None if all.len() >= MOST => {
                let why = format!("{failed}: a policy looks up at most {MOST} things for an object");
                Err(EvalError::not_looked_up(why))
            }
            None => {
                all.insert(question, None);
                Err(EvalError::not_looked_up(failed.to_owned()))
            }
        }
    }

    /// Asks what was noted since the last time. Whether there was anything.
    pub(crate) fn ask(&self, outside: &dyn Outside) -> bool {
        let mut all = self.0.lock();
        let mut asked = false;
        for (question, answer) in all.iter_mut().filter(|(_, answer)| answer.is_none()) {
            *answer = Some(question.ask(outside));
            asked = true;
        }
        asked
    }
}

impl Question {
    fn ask(&self, outside: &dyn Outside) -> Result<Json, Failure> {
        let open = |why| Failure { why, is_open: true };
        match self {
            Question::Get(path) => {
                let failed = |why| Failure { why, is_open: !outside.has_answered("GET", path) };
                outside.get(path).map_err(failed)
            }
            Question::Post(path, body) => {
                let failed = |why| Failure { why, is_open: !outside.has_answered("POST", path) };
                let body = serde_json::from_str(body).unwrap_or_default();
                outside.post(path, &body).map_err(failed)
            }
            Question::Global(name, projection) if projection.is_empty() => {
                outside.global(name).ok_or_else(|| open(format!("nothing is known of {name}")))
            }
            Question::Global(name, projection) => {
                let whole = format!("{name}.{projection}");
                let found = outside.global(&whole);
                // Data that is given as it is has its projections as fields.
                let found = found.or_else(|| outside.global(name)?.get(projection).cloned());
                found.ok_or_else(|| open(format!("nothing is known of {whole}")))
            }
            Question::Call(method, url) => match outside.response(method, url) {
                Some(response) => Ok(response),
                None => outside
                    .call(method, url, None)
                    .map(|body| json!({"statusCode": 200, "body": body}))
                    .map_err(open),
            },
            Question::Image(reference) => outside.image(reference).map_err(open),
        }
    }
}

/// The path of an object of a resource (`configmaps`), or of a list of them; only what can be part of a path.
pub(super) fn path(
    version: &str,
    resource: &str,
    namespace: &str,
    name: Option<&str>,
) -> Result<String, EvalError> {
    let parts =
        version.split('/').chain([resource]).chain(name).chain(Some(namespace).filter(|n| !n.is_empty()));
    for part in parts {
        if !is_part(part) {
            return Err(EvalError::new(format!("{part:?} cannot be looked up")));
        }
    }
    let mut path = match version.split_once('/') {
        Some(_) => format!("/apis/{version}"),
        None => format!("/api/{version}"),
    };
    if !namespace.is_empty() {
        path += &format!("/namespaces/{namespace}");
    }
    path += &format!("/{resource}");
    if let Some(name) = name {
        path += &format!("/{name}");
    }
    Ok(path)
}

/// The path of a list with only what bears all these labels.
pub(super) fn selected(path: String, labels: &Json) -> Result<String, EvalError> {
    let mut terms = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        let fits =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
        match value.as_str() {
            Some(value) if fits(key) && fits(value) => terms.push(format!("{key}={value}")),
            _ => return Err(EvalError::new(format!("{key:?} is no label to look up by"))),
        }
    }
    Ok(if terms.is_empty() { path } else { format!("{path}?labelSelector={}", terms.join(",")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_holds_nothing_but_names() {
        assert_eq!(path("v1", "configmaps", "a", Some("b")).unwrap(), "/api/v1/namespaces/a/configmaps/b");
        assert_eq!(path("apps/v1", "deployments", "", None).unwrap(), "/apis/apps/v1/deployments");
        for (version, resource, namespace, name) in [
            ("v1", "configmaps", "..", "b"),
            ("v1", "pods", "a", "b/log"),
            ("v1", "pods", "a", "b?watch=true"),
            ("v1", "", "a", "b"),
            ("", "pods", "a", "b"),
        ] {
            assert!(path(version, resource, namespace, Some(name)).is_err(), "{namespace} {name}");
        }
        let labels = json!({"app.kubernetes.io/name": "x", "a": ""});
        let list = selected("/api/v1/pods".into(), &labels).unwrap();
        assert!(
            list == "/api/v1/pods?labelSelector=a=,app.kubernetes.io/name=x"
                || list == "/api/v1/pods?labelSelector=app.kubernetes.io/name=x,a=",
            "{list}"
        );
        assert!(selected("/p".into(), &json!({"a": "b&limit=1"})).is_err());
        assert!(selected("/p".into(), &json!({"a": 1})).is_err());
    }
}
