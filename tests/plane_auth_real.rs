//! The same requests to the plane and to a real kube-apiserver: who may do what, and what is said to who may not.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::path::Path;

use http_body_util::BodyExt as _;
use kube::Client;
use moin::plane::Plane;
use regex::Regex;
use serde_json::{Value, json};
use support::real_server::RealServer;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";
const AUTHENTICATION: &str = "/apis/authentication.k8s.io/v1";
const ALICE: &[(&str, &str)] = &[("Impersonate-User", "alice"), ("Impersonate-Group", "dev")];
const ADMIN: &[(&str, &str)] = &[];

/// A request: who, what, with which body.
struct Step {
    headers: Vec<(&'static str, &'static str)>,
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Option<Value>,
}

fn step(headers: &[(&'static str, &'static str)], method: &'static str, path: impl Into<String>) -> Step {
    Step {
        headers: headers.to_vec(),
        method,
        path: path.into(),
        content_type: "application/json",
        body: None,
    }
}

fn post(headers: &[(&'static str, &'static str)], path: impl Into<String>, body: Value) -> Step {
    Step { body: Some(body), ..step(headers, "POST", path) }
}

async fn send(client: &Client, step: &Step) -> Value {
    let mut request = http::Request::builder().method(step.method).uri(&step.path);
    for (name, value) in &step.headers {
        request = request.header(*name, *value);
    }
    request = request.header("user-agent", "differential");
    if step.body.is_some() {
        request = request.header("content-type", step.content_type);
    }
    let body = step.body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let response = client.send(request.body(body.into()).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
    json!({"code": code, "body": body})
}

/// The answer without what differs from run to run.
fn normalised(answer: &Value) -> Value {
    let text = answer.to_string();
    let text = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uid>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
        (r#""resourceVersion":"\d+""#, r#""resourceVersion":"<rv>""#),
    ]
    .iter()
    .fold(text, |text, (pattern, name)| Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned());
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    // Rules come in the order of the server's tables, which is another one each time.
    for field in ["resourceRules", "nonResourceRules"] {
        if let Some(rules) =
            answer.pointer_mut(&format!("/body/status/{field}")).and_then(Value::as_array_mut)
        {
            rules.sort_by_key(Value::to_string);
        }
    }
    answer
}

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, subjects: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": subjects,
    })
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn review(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec})
}

fn token_request(spec: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

fn user(name: &str) -> Value {
    json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}])
}

/// What somebody without any right is told.
fn refusals(ns: &str) -> Vec<Step> {
    let in_namespace = |rest: &str| format!("/api/v1/namespaces/{ns}/{rest}");
    let mut steps = vec![
        step(ALICE, "GET", in_namespace("configmaps")),
        step(ALICE, "GET", in_namespace("configmaps/x")),
        step(ALICE, "GET", in_namespace("configmaps?watch=1")),
        step(ALICE, "GET", in_namespace("configmaps?fieldSelector=metadata.name%3Dx")),
        step(ALICE, "DELETE", in_namespace("configmaps")),
        step(ALICE, "GET", in_namespace("pods/x/log")),
        step(ALICE, "GET", format!("/api/v1/namespaces/{ns}")),
        step(ALICE, "PUT", format!("/api/v1/namespaces/{ns}/finalize")),
        step(ALICE, "GET", "/api/v1/nodes"),
        step(ALICE, "GET", "/api/v1/nodes/x/status"),
        step(ALICE, "GET", format!("/apis/apps/v1/namespaces/{ns}/deployments/d/scale")),
        step(ALICE, "GET", "/apis/none.example.com/v1/things"),
        step(ALICE, "GET", "/metrics"),
        step(ALICE, "GET", "/a%3Cb%3E&c"),
        step(ALICE, "GET", "/healthz"),
        step(&[("Impersonate-User", "system:anonymous")], "GET", "/api/v1/pods"),
        step(&[("Impersonate-User", "system:anonymous")], "GET", "/api"),
        step(&[("Impersonate-Group", "g")], "GET", "/api/v1/pods"),
        step(&[("Impersonate-Uid", "u"), ("Impersonate-Extra-Some", "s")], "GET", "/api/v1/pods"),
    ];
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    steps.push(post(ALICE, in_namespace("configmaps"), map.clone()));
    steps.push(Step { body: Some(map), ..step(ALICE, "PUT", in_namespace("configmaps/x")) });
    steps
}

/// What one may grant.
fn grants(ns: &str) -> Vec<Step> {
    let roles = format!("{RBAC}/namespaces/{ns}/roles");
    let bindings = format!("{RBAC}/namespaces/{ns}/rolebindings");
    let group = "rbac.authorization.k8s.io";
    let maker = json!([
        rule(group, &["roles", "rolebindings"], &["create", "update", "patch", "get"]),
        rule("", &["configmaps"], &["get", "patch"]),
        {"apiGroups": [group], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["view"]},
    ]);
    let apply = |name: &str| Step {
        content_type: "application/apply-patch+yaml",
        body: Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})),
        ..step(ALICE, "PATCH", format!("/api/v1/namespaces/{ns}/configmaps/{name}?fieldManager=m"))
    };
    let own = |name: &str, rules: Value| post(ALICE, roles.clone(), role("Role", name, rules));
    let bind = |name: &str, kind: &str, role: &str| {
        post(ALICE, bindings.clone(), binding(name, kind, role, user("bob")))
    };
    vec![
        post(ADMIN, bindings.clone(), binding("lost", "Role", "missing", user("alice"))),
        step(ALICE, "GET", format!("/api/v1/namespaces/{ns}/configmaps")),
        post(ADMIN, bindings.clone(), binding("lost-too", "ClusterRole", "missing", user("alice"))),
        post(ADMIN, roles.clone(), role("Role", "maker", maker)),
        post(ADMIN, bindings.clone(), binding("makers", "Role", "maker", user("alice"))),
        own("while-lost", json!([rule("", &["secrets"], &["get"])])),
        step(ADMIN, "DELETE", format!("{bindings}/lost-too")),
        own("while-one-is-lost", json!([rule("", &["secrets"], &["get"])])),
        step(ALICE, "GET", format!("/api/v1/namespaces/{ns}/secrets")),
        step(ADMIN, "DELETE", format!("{bindings}/lost")),
        apply("new"),
        own("held", json!([rule("", &["configmaps"], &["get"])])),
        own("more", json!([rule("", &["configmaps", "secrets"], &["get", "delete"])])),
        own("sub", json!([rule("", &["configmaps/status"], &["get"]), rule("apps", &["*"], &["*"])])),
        own(
            "named",
            json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a", "b"]}]),
        ),
        own("urls", json!([{"nonResourceURLs": ["/metrics", "/x/*"], "verbs": ["get"]}])),
        bind("to-held", "Role", "held"),
        bind("to-view", "ClusterRole", "view"),
        bind("to-proxier", "ClusterRole", "system:node-proxier"),
        bind("to-none", "ClusterRole", "not-there"),
        bind("to-none-here", "Role", "not-there"),
        Step {
            content_type: "application/merge-patch+json",
            body: Some(json!({"rules": [rule("", &["pods"], &["get"])]})),
            ..step(ALICE, "PATCH", format!("{roles}/held"))
        },
        Step {
            content_type: "application/merge-patch+json",
            body: Some(json!({"metadata": {"finalizers": ["example.com/x"]}})),
            ..step(ALICE, "PATCH", format!("{roles}/maker"))
        },
        post(ALICE, format!("{RBAC}/clusterroles"), role("ClusterRole", "x", json!([]))),
    ]
}

/// Questions about rights.
fn reviews(ns: &str) -> Vec<Step> {
    let access = |spec: Value| {
        post(ADMIN, format!("{AUTHORIZATION}/subjectaccessreviews"), review("SubjectAccessReview", spec))
    };
    let of_self = |spec: Value| {
        post(
            ALICE,
            format!("{AUTHORIZATION}/selfsubjectaccessreviews"),
            review("SelfSubjectAccessReview", spec),
        )
    };
    let local = |metadata: Value, spec: Value| {
        let mut body = review("LocalSubjectAccessReview", spec);
        body["metadata"] = metadata;
        post(ADMIN, format!("{AUTHORIZATION}/namespaces/{ns}/localsubjectaccessreviews"), body)
    };
    let pods = json!({"verb": "get", "resource": "pods", "namespace": ns});
    let maps = json!({"verb": "get", "resource": "configmaps", "namespace": ns, "name": "x"});
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    let mut named = review("SubjectAccessReview", json!({}));
    named["metadata"] = json!({"name": "x", "labels": {"a": "b"}});
    vec![
        access(json!({"user": "alice", "resourceAttributes": maps})),
        access(json!({"user": "alice", "groups": ["system:masters"], "resourceAttributes": pods})),
        access(json!({"user": "bob", "resourceAttributes": pods})),
        access(
            json!({"user": collector, "resourceAttributes": {"verb": "delete", "group": "*", "resource": "*"}}),
        ),
        access(
            json!({"groups": ["system:authenticated"], "nonResourceAttributes": {"verb": "get", "path": "/api/v1"}}),
        ),
        access(
            json!({"groups": ["system:unauthenticated"], "nonResourceAttributes": {"verb": "get", "path": "/api/v1"}}),
        ),
        access(
            json!({"user": "alice", "resourceAttributes": {"verb": "impersonate", "resource": "users", "name": "x"}}),
        ),
        access(
            json!({"user": "a", "resourceAttributes": pods, "nonResourceAttributes": {"verb": "get", "path": "/x"}}),
        ),
        access(json!({"user": "", "resourceAttributes": pods})),
        access(json!({})),
        post(ADMIN, format!("{AUTHORIZATION}/subjectaccessreviews"), named),
        of_self(json!({"resourceAttributes": maps})),
        of_self(json!({"resourceAttributes": pods})),
        // A path that one role alone allows: where several do, the server names whichever its tables hold first.
        of_self(json!({"nonResourceAttributes": {"verb": "get", "path": "/apis/apps"}})),
        of_self(json!({})),
        local(json!({"namespace": ns}), json!({"user": "alice", "resourceAttributes": maps})),
        local(json!({}), json!({"user": "alice", "resourceAttributes": {"verb": "get", "resource": "pods"}})),
        local(json!({"namespace": "other"}), json!({"user": "alice", "resourceAttributes": maps})),
        local(
            json!({"namespace": ns}),
            json!({"user": "alice", "nonResourceAttributes": {"verb": "get", "path": "/x"}}),
        ),
        post(
            ALICE,
            format!("{AUTHORIZATION}/selfsubjectrulesreviews"),
            review("SelfSubjectRulesReview", json!({"namespace": ns})),
        ),
        post(
            ALICE,
            format!("{AUTHORIZATION}/selfsubjectrulesreviews"),
            review("SelfSubjectRulesReview", json!({})),
        ),
        post(
            &[("Impersonate-User", "m"), ("Impersonate-Group", "system:masters")],
            format!("{AUTHORIZATION}/selfsubjectrulesreviews"),
            review("SelfSubjectRulesReview", json!({"namespace": ns})),
        ),
        post(
            ALICE,
            format!("{AUTHORIZATION}/subjectaccessreviews"),
            review("SubjectAccessReview", json!({"user": "x"})),
        ),
        step(ADMIN, "GET", format!("{AUTHORIZATION}/subjectaccessreviews")),
        step(ADMIN, "GET", format!("{AUTHORIZATION}/subjectaccessreviews/x")),
    ]
}

/// Who somebody is, and tokens.
fn identities(ns: &str) -> Vec<Step> {
    let me = |headers: &[(&'static str, &'static str)]| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        post(headers, format!("{AUTHENTICATION}/selfsubjectreviews"), body)
    };
    let token = |spec: Value| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        post(ADMIN, format!("{AUTHENTICATION}/tokenreviews"), body)
    };
    let accounts = format!("/api/v1/namespaces/{ns}/serviceaccounts");
    let ask = |name: &str, body: Value| post(ADMIN, format!("{accounts}/{name}/token"), body);
    let mut elsewhere = token_request(json!({"audiences": ["a"]}));
    elsewhere["metadata"] = json!({"name": "other"});
    let bound = |kind: &str| json!({"audiences": ["a"], "boundObjectRef": {"kind": kind, "apiVersion": "v1", "name": "p"}});
    vec![
        me(ALICE),
        me(&[("Impersonate-User", "system:serviceaccount:a:b")]),
        me(&[("Impersonate-User", "system:serviceaccount:a:b"), ("Impersonate-Group", "g")]),
        me(&[("Impersonate-User", "x"), ("Impersonate-Uid", "u"), ("Impersonate-Extra-Acme%2fTeam", "t")]),
        me(&[("Impersonate-User", "x"), ("Impersonate-Group", "system:unauthenticated")]),
        token(json!({"token": "nonsense"})),
        token(json!({})),
        post(
            ADMIN,
            accounts.clone(),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}),
        ),
        ask("bot", token_request(json!({}))),
        ask("bot", token_request(json!({"audiences": ["a", "b"], "expirationSeconds": 700}))),
        ask("bot", token_request(json!({"expirationSeconds": 60}))),
        ask("bot", token_request(json!({"expirationSeconds": 4_294_967_297_i64}))),
        ask("bot", elsewhere),
        ask("none", token_request(json!({}))),
        ask("bot", token_request(bound("Pod"))),
        ask("bot", token_request(bound("Secret"))),
        ask("bot", token_request(bound("ConfigMap"))),
        step(ADMIN, "GET", format!("{accounts}/bot/token")),
        post(ALICE, format!("{accounts}/bot/token"), token_request(json!({}))),
    ]
}

#[tokio::test]
async fn both_say_the_same_of_rights() {
    let Some(server) = RealServer::shared() else { return };
    let real = server.client("admin").await;
    let plane = Plane::builder().controllers(false).build();
    let own = plane.client();
    let ns = "auth-both";
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}});
    let mut steps = vec![post(ADMIN, "/api/v1/namespaces", namespace)];
    steps.extend(refusals(ns));
    steps.extend(grants(ns));
    steps.extend(reviews(ns));
    steps.extend(identities(ns));
    let mut wrong = Vec::new();
    for step in &steps {
        let (want, got) = (normalised(&send(&real, step).await), normalised(&send(&own, step).await));
        if want != got {
            let who = step.headers.first().map_or("admin", |(_, name)| name);
            wrong.push(format!("{who} {} {}\n  want {want}\n  got  {got}", step.method, step.path));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), steps.len(), wrong.join("\n"));
}

/// The entries of the table, out of the roles and bindings that a server has from the start.
async fn bootstrapped(client: &Client) -> Vec<Value> {
    let mut found = Vec::new();
    for resource in ["clusterroles", "clusterrolebindings", "roles", "rolebindings"] {
        let list = send(client, &step(ADMIN, "GET", format!("{RBAC}/{resource}"))).await;
        for item in list["body"]["items"].as_array().unwrap() {
            let metadata = &item["metadata"];
            let mut labels = metadata["labels"].clone();
            if labels.as_object_mut().and_then(|l| l.remove("kubernetes.io/bootstrapping")).is_none() {
                continue; // not there from the start
            }
            let mut entry = item.clone();
            for field in ["metadata", "kind", "apiVersion"] {
                entry.as_object_mut().unwrap().remove(field);
            }
            entry["resource"] = resource.into();
            entry["name"] = metadata["name"].clone();
            if metadata["namespace"].is_string() {
                entry["namespace"] = metadata["namespace"].clone();
            }
            if labels != json!({}) {
                entry["labels"] = labels;
            }
            let revision: u64 = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
            found.push((revision, entry));
        }
    }
    found.sort_by_key(|(revision, _)| *revision);
    found.into_iter().map(|(_, entry)| entry).collect()
}

#[tokio::test]
async fn bootstrap_roles_are_those_of_the_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let want = bootstrapped(&server.client("admin").await).await;
    if std::env::var_os("MOIN_WRITE_BOOTSTRAP").is_some() {
        let lines: Vec<String> = want.iter().map(Value::to_string).collect();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plane/auth/rbac/bootstrap.json");
        std::fs::write(file, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        return;
    }
    let got = bootstrapped(&Plane::builder().controllers(false).build().client()).await;
    let by_name = |mut all: Vec<Value>| {
        all.sort_by_key(|e| (e["resource"].to_string(), e["namespace"].to_string(), e["name"].to_string()));
        all
    };
    for (want, got) in by_name(want.clone()).iter().zip(by_name(got.clone())) {
        assert_eq!(*want, got);
    }
    assert_eq!(want.len(), got.len());
}
