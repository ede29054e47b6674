//! Requests with bodies of every kind, and what can be wrong with a body. The fuzz targets share it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt as _;
use moin::plane::Plane;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A request with a valid body.
#[derive(Clone)]
pub struct Endpoint {
    pub name: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// Whom it is sent as; the administrator otherwise.
    pub user: Option<&'static str>,
}

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/m?fieldManager=f";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/d?fieldManager=f";
const WIDGETS: &str = "/apis/moin.test/v1/namespaces/default/widgets";
const WIDGET: &str = "/apis/moin.test/v1/namespaces/default/widgets/w?fieldManager=f";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const APPLIED_MAP: &str = "/api/v1/namespaces/default/configmaps/m?fieldManager=f&force=true";
const APPLIED_DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/d?fieldManager=f&force=true";
const APPLIED_WIDGET: &str = "/apis/moin.test/v1/namespaces/default/widgets/w?fieldManager=f&force=true";

fn named(api_version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if let (Some(object), Some(rest)) = (object.as_object_mut(), rest.as_object()) {
        object.extend(rest.clone());
    }
    object
}

pub fn config_map(name: &str) -> Value {
    named("v1", "ConfigMap", name, json!({"data": {"a": "1", "b": "2"}}))
}

fn deployment(name: &str) -> Value {
    let container = json!({
        "name": "c", "image": "i:1", "args": ["x"], "env": [{"name": "E", "value": "v"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}],
        "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}, "livenessProbe": {"httpGet": {"port": "web"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    });
    let pod = json!({
        "containers": [container], "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
    });
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod});
    let strategy =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}});
    let selector = json!({"matchLabels": {"a": "b"}});
    let spec = json!({"replicas": 2, "selector": selector, "template": template, "strategy": strategy});
    named("apps/v1", "Deployment", name, json!({"spec": spec}))
}

fn widget(name: &str) -> Value {
    let spec = json!({"size": 2, "parts": [{"id": "p", "n": 1}], "tags": ["t"], "when": "5s", "free": {"x": [1, {"y": null}]}});
    named("moin.test/v1", "Widget", name, json!({"spec": spec, "status": {"phase": "New"}}))
}

fn definition(plural: &str, kind: &str) -> Value {
    let spec = json!({
        "type": "object", "x-kubernetes-validations": [{"rule": "self.size >= 0", "message": "negative"}],
        "properties": {
            "size": {"type": "integer", "default": 1, "minimum": 0, "maximum": 9},
            "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]*$"}, "x-kubernetes-list-type": "set", "maxItems": 5},
            "when": {"type": "string", "x-kubernetes-validations": [{"rule": "duration(self) > duration('1s')"}], "maxLength": 9},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"], "items": {
                "type": "object", "required": ["id"], "properties": {
                    "id": {"type": "string"}, "n": {"x-kubernetes-int-or-string": true}}}},
        },
    });
    let status = json!({"type": "object", "properties": {"phase": {"type": "string"}, "replicas": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    let scale = json!({"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"});
    let version = json!({
        "name": "v1", "served": true, "storage": true, "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
        "schema": {"openAPIV3Schema": schema},
    });
    let names = json!({"plural": plural, "kind": kind, "shortNames": [format!("{plural}x")]});
    let spec = json!({"group": "moin.test", "scope": "Namespaced", "names": names, "versions": [version]});
    named(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &format!("{plural}.moin.test"),
        json!({"spec": spec}),
    )
}

/// What webhooks are asked about: ConfigMaps, at a URL that nobody serves.
pub fn webhooks(kind: &str) -> Value {
    let hook = json!({
        "name": "h.moin.test", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
        "failurePolicy": "Fail", "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}],
        "matchConditions": [{"name": "m", "expression": "has(object.metadata)"}],
        "objectSelector": {"matchExpressions": [{"key": "hooked", "operator": "Exists"}]},
    });
    named("admissionregistration.k8s.io/v1", kind, "h", json!({"webhooks": [hook]}))
}

fn policy() -> Value {
    let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["CREATE"]}]);
    let spec = json!({
        "failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules},
        "variables": [{"name": "n", "expression": "object.spec.replicas"}],
        "validations": [{"expression": "variables.n < 100", "messageExpression": "'too many: ' + string(variables.n)"}],
        "auditAnnotations": [{"key": "k", "valueExpression": "string(variables.n)"}],
    });
    named("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "p", json!({"spec": spec}))
}

fn rule() -> Value {
    json!({"apiGroups": ["", "apps"], "resources": ["pods", "*/scale"], "verbs": ["get", "*"], "resourceNames": ["n"]})
}

fn binding(kind: &str, of: &str, name: &str) -> Value {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": "r"});
    let subjects = json!([
        {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"},
    ]);
    named("rbac.authorization.k8s.io/v1", kind, name, json!({"roleRef": role, "subjects": subjects}))
}

/// A field of protobuf that holds bytes.
fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut number in [number << 3 | 2, bytes.len()] {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    out.extend(bytes);
    out
}

/// The kinds that are tried in protobuf, and where they are created.
pub const PROTOBUF_KINDS: &[(&str, &str, &str)] = &[
    ("v1", "ConfigMap", MAPS),
    ("v1", "Pod", "/api/v1/namespaces/default/pods"),
    ("apps/v1", "Deployment", DEPLOYMENTS),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", DEFINITIONS),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", RBAC_ROLES),
    ("v1", "Service", "/api/v1/namespaces/default/services"),
];

/// A protobuf body of an encoded object.
pub fn protobuf(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &type_meta), field(2, object)].concat()
}

fn protobuf_config_map(name: &[u8]) -> Vec<u8> {
    let created = field(8, &[0x08, 0x80, 0xa3, 0x05]);
    let labels = field(11, &[field(1, b"k"), field(2, b"v")].concat());
    let fields = field(7, &field(1, br#"{"f:data":{"f:a":{}}}"#));
    let managed = field(
        17,
        &[field(1, b"m"), field(2, b"Apply"), field(3, b"v1"), field(6, b"FieldsV1"), fields].concat(),
    );
    let metadata = field(1, &[field(1, name), created, labels, managed].concat());
    [metadata, field(2, &[field(1, b"a"), field(2, b"1")].concat())].concat()
}

fn protobuf_pod(name: &[u8]) -> Vec<u8> {
    let limits = field(1, &[field(1, b"cpu"), field(2, &field(1, b"500m"))].concat());
    let port = [vec![0x18, 80], field(4, b"TCP")].concat();
    let container = [field(1, b"c"), field(2, b"i:1"), field(6, &port), field(8, &limits)].concat();
    let spec = [field(2, &container), field(3, b"Always"), vec![0x20, 30]].concat();
    [field(1, &field(1, name)), field(2, &spec)].concat()
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The requests: every way in which a body comes in.
pub fn endpoints() -> Vec<Endpoint> {
    let end = |name, method, path, content_type, body: Vec<u8>| Endpoint {
        name,
        method,
        path,
        content_type,
        body,
        user: None,
    };
    let post = |name, path, body: Value| end(name, "POST", path, JSON, text(&body));
    let operations = json!([
        {"op": "test", "path": "/data/a", "value": "1"}, {"op": "copy", "from": "/data/a", "path": "/data/c"},
        {"op": "move", "from": "/data/b", "path": "/data/d"}, {"op": "replace", "path": "/data/a", "value": "3"},
        {"op": "add", "path": "/metadata/labels", "value": {"x.y": "z"}}, {"op": "remove", "path": "/data/c"},
    ]);
    let lists = json!([
        {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "y"},
        {"op": "remove", "path": "/spec/template/spec/containers/0/args/-1"},
        {"op": "replace", "path": "/spec/template/spec/containers/0/ports/1", "value": {"containerPort": 1}},
    ]);
    let strategic = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "n"}],
        "containers": [{"name": "c", "$deleteFromPrimitiveList/args": ["x"], "env": [{"name": "E", "$patch": "delete"}]}, {"name": "n", "image": "j"}],
        "volumes": [{"$patch": "replace"}, {"name": "v", "emptyDir": {}, "$retainKeys": ["name", "emptyDir"]}],
    }}, "strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 3}});
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground", "gracePeriodSeconds": 1,
        "preconditions": {"uid": "u", "resourceVersion": "1"}, "dryRun": ["All"]});
    let managed = |mut object: Value| {
        object["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Update", "apiVersion": "v1", "time": "2024-05-23T10:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:a": {}, "k:{\"n\":1}": {"v:\"x\"": {}}}}}]);
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "u", "controller": true}]);
        object["metadata"]["finalizers"] = json!(["moin.test/f"]);
        object
    };
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: &m\n  name: yy\n  labels: {a: \"b\"}\ndata:\n  a: |\n    x\n  b: 'c'\n";
    let review = |kind: &str, group: &str, spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
    let asked = json!({"user": "u", "groups": ["g"], "extra": {"k": ["v"]}, "resourceAttributes": {"namespace": "default", "verb": "get",
        "resource": "pods", "labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b"]}]}}});
    vec![
        post("create", MAPS, managed(config_map("n"))),
        end("create yaml", "POST", MAPS, YAML, yaml.into()),
        end(
            "create protobuf",
            "POST",
            MAPS,
            PROTOBUF,
            protobuf("v1", "ConfigMap", &protobuf_config_map(b"p")),
        ),
        end(
            "create protobuf",
            "POST",
            "/api/v1/namespaces/default/pods",
            PROTOBUF,
            protobuf("v1", "Pod", &protobuf_pod(b"p")),
        ),
        post("create", DEPLOYMENTS, deployment("n")),
        post("create custom", WIDGETS, widget("n")),
        post("create definition", DEFINITIONS, definition("gadgets", "Gadget")),
        post("create namespace", "/api/v1/namespaces", named("v1", "Namespace", "n", json!({}))),
        end("update", "PUT", MAP, JSON, text(&managed(config_map("m")))),
        end("update yaml", "PUT", MAP, YAML, yaml.replace("name: yy", "name: m").into()),
        end("update protobuf", "PUT", MAP, PROTOBUF, protobuf("v1", "ConfigMap", &protobuf_config_map(b"m"))),
        end("update", "PUT", DEPLOYMENT, JSON, text(&deployment("d"))),
        end(
            "update status",
            "PUT",
            "/apis/apps/v1/namespaces/default/deployments/d/status",
            JSON,
            text(&deployment("d")),
        ),
        end(
            "update scale",
            "PUT",
            "/apis/apps/v1/namespaces/default/deployments/d/scale",
            JSON,
            text(&scale),
        ),
        end("update custom", "PUT", WIDGET, JSON, text(&widget("w"))),
        end("json patch", "PATCH", MAP, JSON_PATCH, text(&operations)),
        end("json patch", "PATCH", DEPLOYMENT, JSON_PATCH, text(&lists)),
        end(
            "merge patch",
            "PATCH",
            DEPLOYMENT,
            MERGE,
            text(&json!({"spec": {"replicas": 3, "paused": null, "strategy": null}})),
        ),
        end(
            "merge patch",
            "PATCH",
            WIDGET,
            MERGE,
            text(&json!({"spec": {"size": 3, "free": {"x": null, "z": [{}]}}})),
        ),
        end("strategic patch", "PATCH", DEPLOYMENT, STRATEGIC, text(&strategic)),
        end("apply patch", "PATCH", APPLIED_DEPLOYMENT, APPLY, text(&deployment("d"))),
        end("apply patch", "PATCH", APPLIED_WIDGET, APPLY, text(&widget("w"))),
        end("apply patch", "PATCH", APPLIED_MAP, APPLY, yaml.replace("name: yy", "name: m").into()),
        end(
            "apply scale",
            "PATCH",
            "/apis/apps/v1/namespaces/default/deployments/d/scale?fieldManager=f&force=true",
            APPLY,
            text(&scale),
        ),
        end("delete options", "DELETE", "/api/v1/namespaces/default/configmaps/m", JSON, text(&options)),
        end(
            "delete options",
            "DELETE",
            "/api/v1/namespaces/default/configmaps?labelSelector=a",
            YAML,
            text(&options),
        ),
        post(
            "webhooks",
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            webhooks("MutatingWebhookConfiguration"),
        ),
        post(
            "webhooks",
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            webhooks("ValidatingWebhookConfiguration"),
        ),
        post("policy", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", policy()),
        post(
            "rbac",
            RBAC_ROLES,
            named(
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
                "r",
                json!({"rules": [rule(), {"nonResourceURLs": ["/x/*"], "verbs": ["get"]}],
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}),
            ),
        ),
        post(
            "rbac",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
            named("rbac.authorization.k8s.io/v1", "Role", "r", json!({"rules": [rule()]})),
        ),
        post(
            "rbac",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            binding("ClusterRoleBinding", "ClusterRole", "b"),
        ),
        post(
            "rbac",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            binding("RoleBinding", "Role", "b"),
        ),
        post(
            "review",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            review("SubjectAccessReview", "authorization.k8s.io", asked),
        ),
        post(
            "review",
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            review("SelfSubjectRulesReview", "authorization.k8s.io", json!({"namespace": "default"})),
        ),
        post(
            "token",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            review("TokenReview", "authentication.k8s.io", json!({"token": "a.b.c", "audiences": ["a"]})),
        ),
        post(
            "token",
            "/api/v1/namespaces/default/serviceaccounts/default/token",
            review(
                "TokenRequest",
                "authentication.k8s.io",
                json!({"audiences": ["a"],
            "expirationSeconds": 600, "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "s", "uid": "u"}}),
            ),
        ),
    ]
}

const RBAC_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

/// Puts the objects there that updates, patches and deletions are about.
pub async fn furnish(plane: &Plane) {
    let router = plane.router();
    for (path, body) in [
        (DEFINITIONS, definition("widgets", "Widget")),
        (MAPS, config_map("m")),
        (DEPLOYMENTS, deployment("d")),
        (WIDGETS, widget("w")),
    ] {
        let at = Endpoint {
            name: "furnish",
            method: "POST",
            path,
            content_type: JSON,
            body: Vec::new(),
            user: None,
        };
        let (code, answer) = send(&router, &at, &text(&body)).await;
        assert!(code == 201 || code == 409, "{path}: {code} {}", String::from_utf8_lossy(&answer));
    }
}

/// A plane with the objects that the requests are about, and no tasks of its own.
pub async fn plane() -> Plane {
    let plane = Plane::builder().controllers(false).history(100).build();
    furnish(&plane).await;
    plane
}

/// Sends a body to an endpoint; code and answer.
pub async fn send(router: &Router, endpoint: &Endpoint, body: &[u8]) -> (u16, Vec<u8>) {
    let mut request = http::Request::builder()
        .method(endpoint.method)
        .uri(endpoint.path)
        .header("content-type", endpoint.content_type);
    if let Some(user) = endpoint.user {
        request = request.header("impersonate-user", user);
    }
    let request = request.body(Body::from(body.to_vec())).expect("a request");
    let Ok(answer) = router.clone().oneshot(request).await;
    let code = answer.status().as_u16();
    let body = tokio::time::timeout(Duration::from_secs(10), answer.into_body().collect()).await;
    (code, body.expect("an answer that ends").map(|all| all.to_bytes().to_vec()).unwrap_or_default())
}

/// Whether an answer is one that the server meant: JSON, and a `Status` if it says that something went wrong.
pub fn is_sound(code: u16, answer: &[u8]) -> bool {
    serde_json::from_slice::<Value>(answer).is_ok_and(|answer| code < 400 || answer["kind"] == "Status")
}

/// Choices, first as given bytes say and then at random.
pub struct Choices<'a> {
    given: &'a [u8],
    state: u64,
}

impl<'a> Choices<'a> {
    pub fn new(given: &'a [u8], seed: u64) -> Choices<'a> {
        Choices { given, state: seed | 1 }
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        let mut next = || match self.given.split_first() {
            Some((first, rest)) => {
                self.given = rest;
                usize::from(*first)
            }
            None => {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                (self.state >> 11) as usize & 0xff
            }
        };
        let number = if limit > 256 { next() << 16 | next() << 8 | next() } else { next() };
        number % limit.max(1)
    }

    fn one<'b, T>(&mut self, of: &'b [T]) -> &'b T {
        &of[self.below(of.len())]
    }
}

/// A body that is like a valid one and probably is none: as JSON where it is JSON, else as bytes.
pub fn mutate(body: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    if choices.below(4) > 0
        && let Ok(mut value) = serde_json::from_slice::<Value>(body)
    {
        for _ in 0..=choices.below(3) {
            mutate_tree(&mut value, choices);
        }
        return text(&value);
    }
    let mut body = body.to_vec();
    for _ in 0..=choices.below(4) {
        mutate_bytes(&mut body, choices);
    }
    body
}

fn mutate_bytes(body: &mut Vec<u8>, choices: &mut Choices<'_>) {
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"\xff",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"null",
        b"-1",
        b"1e999",
        b":",
        b"\\u0000",
        b"\\ud800",
        b"&a *a",
        b"\n---\n",
        b"<<: *m",
        b"!!binary x",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80",
        b"\x0a\x00",
        b"\t",
        b"99999999999999999999",
        "\u{1F600}".as_bytes(),
    ];
    let at = choices.below(body.len() + 1);
    let until = (at + choices.below(16)).min(body.len());
    match choices.below(6) {
        0 => body.truncate(at),
        1 => drop(body.drain(at..until)),
        2 if at < body.len() => body[at] ^= 1 << choices.below(8),
        3 if at < body.len() => body[at] = choices.below(256) as u8,
        4 => {
            let piece = body[at..until].to_vec();
            body.splice(at..at, piece);
        }
        _ => drop(body.splice(at..at, choices.one(PIECES).iter().copied())),
    }
}

/// One place in the tree becomes something else.
fn mutate_tree(value: &mut Value, choices: &mut Choices<'_>) {
    let stay = choices.below(5) == 0;
    match value {
        Value::Object(map) if !stay && !map.is_empty() => {
            let keys: Vec<String> = map.keys().cloned().collect();
            mutate_tree(&mut map[choices.one(&keys).as_str()], choices);
        }
        Value::Array(items) if !stay && !items.is_empty() => {
            let at = choices.below(items.len());
            mutate_tree(&mut items[at], choices);
        }
        other => replace(other, choices),
    }
}

fn replace(value: &mut Value, choices: &mut Choices<'_>) {
    const TEXTS: &[&str] = &[
        "",
        "-",
        "/",
        "~",
        "~2",
        "$patch",
        "\0",
        "\u{1F600}",
        "a/b/c",
        "..",
        "%2e",
        "2024-13-01T00:00:00Z",
        "-9999-01-01T00:00:00Z",
        "1e99Gi",
        "Infinity",
        "-1",
        "99999999999999999999999",
        "[0-9",
        "(?=x)",
        "self.x.y",
        "{{",
        "*",
        ",",
        "=",
        "é\u{301}",
        "\u{202e}",
        "f:",
        "k:{",
        "0",
        "999999999h",
        "a\nb",
        "/metadata",
        "/metadata/name",
        "/spec",
        "/data/a/b/c",
        "/0",
        "/-",
        "delete",
        "Foreground",
        "v1",
        "kind",
    ];
    *value = match (choices.below(16), value.take()) {
        (0, _) => Value::Null,
        (1, _) => json!({}),
        (2, _) => json!([]),
        (3, _) => choices.below(2).eq(&0).into(),
        (4, _) => (*choices.one(&[0, -1, 1, i64::MAX, i64::MIN, i64::from(i32::MAX) + 1, 65536])).into(),
        (5, _) => u64::MAX.into(),
        (6, _) => (*choices.one(&[1.5, 1e308, -1e-308, -0.0, 1e19])).into(),
        (7, _) => "x".repeat(choices.below(70_000)).into(),
        (8, before) => json!([before.clone(), before]),
        (9, before) => json!({(*choices.one(TEXTS)): before}),
        (10, mut before) => {
            let depth = choices.below(140);
            (0..depth).for_each(|n| {
                before = if n % 2 == 0 { json!({"a": before.take()}) } else { json!([before.take()]) }
            });
            before
        }
        (11, Value::Object(mut map)) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            if !keys.is_empty() {
                let moved = map.remove(choices.one(&keys).as_str());
                if choices.below(2) == 0 {
                    map.insert((*choices.one(TEXTS)).to_owned(), moved.unwrap_or_default());
                }
            }
            Value::Object(map)
        }
        (12, Value::Array(mut items)) => {
            let item = items.first().cloned().unwrap_or_default();
            items.extend(std::iter::repeat_n(item, choices.below(40)));
            Value::Array(items)
        }
        (13, Value::String(text)) => format!("{text}{}", choices.one(TEXTS)).into(),
        _ => (*choices.one(TEXTS)).into(),
    };
}
