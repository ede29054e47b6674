//! What a request is about, as authorization and the audit log see it.

use http::Method;

use crate::plane::request::{Query, decode};

/// A request taken apart by its method, path and query alone; whether there is such a resource is not asked here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RequestInfo {
    /// `get`, `list`, `watch` ... for resources, the method in lower case for other paths.
    pub verb: String,
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// The path, decoded.
    pub path: String,
}

impl RequestInfo {
    pub fn of(method: &Method, path: &str, query: Option<&str>) -> RequestInfo {
        let path = decode(path, false).unwrap_or_else(|| path.to_owned());
        let mut info = RequestInfo { verb: method.as_str().to_ascii_lowercase(), ..RequestInfo::default() };
        info.read(method, &path, query);
        info.path = path;
        info
    }

    fn read(&mut self, method: &Method, path: &str, query: Option<&str>) {
        let trimmed = path.trim_matches('/');
        let parts: Vec<&str> = trimmed.split('/').collect();
        let mut parts = match parts[..] {
            ["api", version, _, ..] => {
                version.clone_into(&mut self.version);
                &parts[2..]
            }
            ["apis", group, version, _, ..] => {
                group.clone_into(&mut self.group);
                version.clone_into(&mut self.version);
                &parts[3..]
            }
            _ => return,
        };
        self.is_resource = true;
        let by_path = matches!(parts[0], "watch" | "proxy") && parts.len() > 1;
        if by_path {
            parts[0].clone_into(&mut self.verb);
            parts = &parts[1..];
        } else {
            verb_of(method).clone_into(&mut self.verb);
        }
        if parts[0] == "namespaces" && parts.len() > 1 {
            parts[1].clone_into(&mut self.namespace);
            // `namespaces/a/status` is about the namespace itself.
            if parts.len() > 2 && !matches!(parts[2], "status" | "finalize") {
                parts = &parts[2..];
            }
        }
        parts[0].clone_into(&mut self.resource);
        if let Some(name) = parts.get(1) {
            (*name).clone_into(&mut self.name);
        }
        if let Some(subresource) = parts.get(2)
            && self.verb != "proxy"
        {
            (*subresource).clone_into(&mut self.subresource);
        }
        if self.name.is_empty() {
            self.whole_collection(query);
        }
    }

    /// A request that names no object is about many, or about the one that its field selector names.
    fn whole_collection(&mut self, query: Option<&str>) {
        match &*self.verb {
            "get" => {
                let query = Query::parse(query);
                let watch = query.get("watch").is_some_and(|value| !matches!(value, "false" | "0"));
                self.verb = if watch { "watch" } else { "list" }.to_owned();
                if let Some(name) = query.get("fieldSelector").and_then(named) {
                    name.clone_into(&mut self.name);
                }
            }
            "delete" => self.verb = "deletecollection".to_owned(),
            _ => {}
        }
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// The name that a field selector demands.
fn named(selector: &str) -> Option<&str> {
    selector
        .split(',')
        .find_map(|part| {
            let (field, value) = part.split_once('=')?;
            (field.trim() == "metadata.name").then(|| value.trim_start_matches('=').trim())
        })
        .filter(|name| !name.is_empty() && !matches!(*name, "." | "..") && !name.contains(['/', '%']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, uri: &str) -> [String; 6] {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let i = RequestInfo::of(method, path, query);
        [i.verb, i.group, i.namespace, i.resource, i.name, i.subresource]
    }

    #[test]
    fn requests_are_taken_apart_as_the_server_does() {
        let status = "/apis/apps/v1/namespaces/a/deployments/b/status";
        assert_eq!(of(&Method::PATCH, status), ["patch", "apps", "a", "deployments", "b", "status"]);
        assert_eq!(of(&Method::GET, "/api/v1/pods"), ["list", "", "", "pods", "", ""]);
        assert_eq!(of(&Method::GET, "/api/v1/pods?watch=1"), ["watch", "", "", "pods", "", ""]);
        let one = "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Db";
        assert_eq!(of(&Method::GET, one), ["list", "", "a", "pods", "b", ""]);
        assert_eq!(of(&Method::DELETE, "/api/v1/pods"), ["deletecollection", "", "", "pods", "", ""]);
        assert_eq!(of(&Method::PUT, "/api/v1/namespaces/a"), ["update", "", "a", "namespaces", "a", ""]);
        let finalize = "/api/v1/namespaces/a/finalize";
        assert_eq!(of(&Method::PUT, finalize), ["update", "", "a", "namespaces", "a", "finalize"]);
        assert_eq!(of(&Method::GET, "/api/v1/watch/namespaces/a/pods")[..4], ["watch", "", "a", "pods"]);
    }

    #[test]
    fn other_paths_keep_the_method() {
        let info = RequestInfo::of(&Method::GET, "/apis/apps/v1", None);
        assert!(!info.is_resource);
        assert_eq!((info.verb.as_str(), info.path.as_str()), ("get", "/apis/apps/v1"));
    }
}
