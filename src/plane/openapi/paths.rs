//! `paths`: what can be asked of each resource.

use serde_json::{Map, Value, json};

use super::schemas::{long, reference};
use super::table;
use crate::plane::kinds::Resource;

const LIST: [&str; 10] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
const WRITE: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];
const PATCH: [&str; 4] = ["dryRun", "fieldManager:patch", "fieldValidation", "force"];
const DELETE: [&str; 5] = [
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
/// Built-in kinds whose deletion is answered by the object.
const DELETED_OBJECT: [&str; 16] = [
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "volumeattributesclasses.storage.k8s.io",
    "clustertrustbundles.certificates.k8s.io",
    "deviceclasses.resource.k8s.io",
    "resourceclaims.resource.k8s.io",
    "podsecuritypolicies.policy",
];

/// A resource whose paths are described, and the names of its schemas.
pub(super) struct Described<'a> {
    pub resource: &'a Resource,
    pub verbs: Vec<&'a str>,
    pub object: String,
    pub list: String,
}

/// The paths of a version.
pub(super) fn of_version(root: &str, group: &str, version: &str, resources: &[Described<'_>]) -> Value {
    let mut paths = Map::new();
    if resources.iter().any(|described| !described.resource.custom) {
        paths.insert(format!("{root}/"), json!({"get": resource_list(group, version)}));
    }
    for described in resources {
        described.add_paths(root, &mut paths);
    }
    Value::Object(paths)
}

/// The operation that lists a version's resources.
fn resource_list(group: &str, version: &str) -> Value {
    let (tag, id) = group_words(group);
    let content = contents(
        &["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"],
        &long("meta.v1.APIResourceList"),
    );
    json!({
        "tags": [format!("{tag}_{version}")], "description": "get available resources",
        "operationId": format!("get{id}{}APIResources", capital(version)),
        "responses": {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}},
    })
}

/// What an operation does; the rest follows from the resource.
struct Operation<'a> {
    /// `get`, `post` ... in the document.
    method: &'a str,
    /// `x-kubernetes-action`.
    action: &'a str,
    /// First word of the operation's id and of its description.
    verb: &'a str,
    parameters: &'a [&'a str],
}

impl Described<'_> {
    fn add_paths(&self, root: &str, paths: &mut Map<String, Value>) {
        let resource = self.resource;
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{scope}/{}", resource.plural);
        if resource.namespaced && self.can("list") {
            let operations = vec![("get", self.operation(&operation("list"), "", "ForAllNamespaces"))];
            paths.insert(format!("{root}/{}", resource.plural), self.item(operations, false, None));
        }
        let of_collection: Vec<(&str, Value)> = ["list", "create", "deletecollection"]
            .into_iter()
            .filter(|verb| self.can(verb))
            .map(|verb| (operation(verb).method, self.operation(&operation(verb), "", "")))
            .collect();
        if !of_collection.is_empty() {
            paths.insert(collection.clone(), self.item(of_collection, resource.namespaced, None));
        }
        let of_object: Vec<(&str, Value)> = ["get", "update", "delete", "patch"]
            .into_iter()
            .filter(|verb| self.can(verb))
            .map(|verb| (operation(verb).method, self.operation(&operation(verb), "", "")))
            .collect();
        if of_object.is_empty() {
            return;
        }
        paths.insert(
            format!("{collection}/{{name}}"),
            self.item(of_object, resource.namespaced, Some(&resource.gvk.kind)),
        );
        let parts = [
            ("status", resource.status, &["get", "update", "patch"][..]),
            ("scale", resource.scale.is_some(), &["get", "update", "patch"]),
            ("finalize", resource.is("", "Namespace"), &["update"]),
        ];
        for (part, _, verbs) in parts.into_iter().filter(|(_, is_there, _)| *is_there) {
            let operations: Vec<(&str, Value)> = verbs
                .iter()
                .map(|verb| (operation(verb).method, self.operation(&operation(verb), part, "")))
                .collect();
            let path = format!("{collection}/{{name}}/{part}");
            let subject = if part == "scale" && !resource.custom { "Scale" } else { &*resource.gvk.kind };
            paths.insert(path, self.item(operations, resource.namespaced, Some(subject)));
        }
    }

    fn can(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// A path's operations, with the parameters that all of them have beside them.
    fn item(&self, operations: Vec<(&str, Value)>, namespaced: bool, named: Option<&str>) -> Value {
        let mut common: Vec<Value> = table::parameter("pretty").cloned().into_iter().collect();
        if namespaced {
            common.extend(table::parameter("namespace").cloned());
        }
        if let Some(subject) = named {
            common.push(json!({
                "name": "name", "in": "path", "description": format!("name of the {subject}"),
                "required": true, "schema": {"type": "string", "uniqueItems": true},
            }));
        }
        let mut item = Map::new();
        let alone = operations.len() == 1;
        for (method, mut operation) in operations {
            if alone
                && let Some(Value::Array(own)) =
                    operation.as_object_mut().and_then(|o| o.remove("parameters"))
            {
                common.extend(own);
            }
            item.insert(method.to_owned(), operation);
        }
        common.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        item.insert("parameters".to_owned(), common.into());
        Value::Object(item)
    }

    fn operation(&self, operation: &Operation<'_>, part: &str, suffix: &str) -> Value {
        let resource = self.resource;
        let gvk = &resource.gvk;
        let (tag, group) = group_words(&gvk.group);
        let scope = if resource.namespaced && suffix.is_empty() { "Namespaced" } else { "" };
        let collection = if operation.action == "deletecollection" { "Collection" } else { "" };
        let parameters = self.parameters(operation);
        let mut out = json!({
            "tags": [format!("{tag}_{}", gvk.version)],
            "description": self.description(operation, part),
            "operationId": format!(
                "{}{group}{}{collection}{scope}{}{}{suffix}",
                operation.verb, capital(&gvk.version), gvk.kind, capital(part)
            ),
            "responses": self.responses(operation, part),
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": &*gvk.group, "version": &*gvk.version, "kind": &*gvk.kind},
        });
        if part == "scale" && !resource.custom {
            out["x-kubernetes-group-version-kind"] =
                json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        }
        if !parameters.is_empty() {
            out["parameters"] = parameters.into();
        }
        if let Some(body) = self.request_body(operation, part) {
            out["requestBody"] = body;
        }
        out
    }

    fn parameters(&self, operation: &Operation<'_>) -> Vec<Value> {
        let names: Vec<&str> = match (operation.action, self.resource.custom) {
            ("get", true) => vec!["resourceVersion"],
            ("deletecollection", false) => {
                // Those of a list that have a sense here, and those of a deletion.
                let list = LIST.iter().filter(|name| !matches!(**name, "allowWatchBookmarks" | "watch"));
                let mut names: Vec<&str> = list.chain(&DELETE).copied().collect();
                names.sort_unstable();
                names
            }
            _ => operation.parameters.to_vec(),
        };
        names.into_iter().filter_map(|name| table::parameter(name).cloned()).collect()
    }

    fn description(&self, operation: &Operation<'_>, part: &str) -> String {
        let kind = &self.resource.gvk.kind;
        let of = if part.is_empty() { String::new() } else { format!(" {part} of") };
        let article = if kind.ends_with('s') && !kind.ends_with("ss") {
            ""
        } else if kind.starts_with(['A', 'E', 'I', 'O', 'U']) {
            "an "
        } else {
            "a "
        };
        match operation.action {
            "list" if self.resource.custom => format!("list objects of kind {kind}"),
            "list" => format!("list or watch objects of kind {kind}"),
            "get" => format!("read{of} the specified {kind}"),
            "put" => format!("replace{of} the specified {kind}"),
            "patch" => format!("partially update{of} the specified {kind}"),
            "deletecollection" => format!("delete collection of {kind}"),
            "post" => format!("create {article}{kind}"),
            _ => format!("delete {article}{kind}"),
        }
    }

    /// The schema of what is read and written there.
    fn subject(&self, part: &str) -> String {
        if part == "scale" { long("autoscaling.v1.Scale") } else { self.object.clone() }
    }

    fn request_body(&self, operation: &Operation<'_>, part: &str) -> Option<Value> {
        let written: &[&str] =
            if self.resource.custom { &["application/json", "application/yaml"] } else { &["*/*"] };
        Some(match operation.action {
            "post" | "put" => json!({"content": contents(written, &self.subject(part)), "required": true}),
            "patch" => {
                let mut types = vec![
                    "application/apply-patch+yaml",
                    "application/json-patch+json",
                    "application/merge-patch+json",
                ];
                if !self.resource.custom {
                    types.push("application/strategic-merge-patch+json");
                }
                json!({"content": contents(&types, &long("meta.v1.Patch")), "required": true})
            }
            "deletecollection" if self.resource.custom => return None,
            "delete" | "deletecollection" => {
                json!({"content": contents(written, &long("meta.v1.DeleteOptions"))})
            }
            _ => return None,
        })
    }

    fn responses(&self, operation: &Operation<'_>, part: &str) -> Value {
        let custom = self.resource.custom;
        let types: &[&str] = match (custom, operation.action) {
            (true, _) => &["application/json", "application/yaml"],
            (false, "list") => &[
                "application/json",
                "application/json;stream=watch",
                "application/vnd.kubernetes.protobuf",
                "application/vnd.kubernetes.protobuf;stream=watch",
                "application/yaml",
            ],
            (false, _) => &["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"],
        };
        let name = match operation.action {
            "list" => self.list.clone(),
            "delete" if DELETED_OBJECT.contains(&&*self.resource.qualified) => self.object.clone(),
            "delete" | "deletecollection" => long("meta.v1.Status"),
            _ => self.subject(part),
        };
        let codes: &[(&str, &str)] = match operation.action {
            "post" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
            "patch" if custom => &[("200", "OK")],
            "put" | "patch" => &[("200", "OK"), ("201", "Created")],
            "delete" => &[("200", "OK"), ("202", "Accepted")],
            _ => &[("200", "OK")],
        };
        let mut responses = Map::new();
        for (code, description) in codes {
            let response = json!({"description": description, "content": contents(types, &name)});
            responses.insert((*code).to_owned(), response);
        }
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        Value::Object(responses)
    }
}

fn operation(verb: &str) -> Operation<'static> {
    let operation = |method, action, verb, parameters| Operation { method, action, verb, parameters };
    match verb {
        "list" => operation("get", "list", "list", &LIST),
        "create" => operation("post", "post", "create", &WRITE),
        "deletecollection" => operation("delete", "deletecollection", "delete", &LIST),
        "update" => operation("put", "put", "replace", &WRITE),
        "patch" => operation("patch", "patch", "patch", &PATCH),
        "delete" => operation("delete", "delete", "delete", &DELETE),
        _ => operation("get", "get", "read", &[]),
    }
}

fn contents(types: &[&str], schema: &str) -> Value {
    types.iter().map(|ty| ((*ty).to_owned(), json!({"schema": reference(schema)}))).collect()
}

/// A group in tags and in operation ids: `rbacAuthorization` and `RbacAuthorization`.
fn group_words(group: &str) -> (String, String) {
    let group = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
    let id: String = group.split('.').map(capital).collect();
    let mut letters = id.chars();
    let tag = letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect();
    (tag, id)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_words_in_ids() {
        for (group, tag, id) in [
            ("", "core", "Core"),
            ("rbac.authorization.k8s.io", "rbacAuthorization", "RbacAuthorization"),
            ("shop.example.org", "shopExampleOrg", "ShopExampleOrg"),
        ] {
            assert_eq!(group_words(group), (tag.to_owned(), id.to_owned()));
        }
    }
}
