//! Who may do what on the plane: TLS, tokens, certificates, RBAC, service accounts, the audit log, asked-for faults.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use moin::plane::{AuditLevel, AuditLog, Plane};
use serde_json::{Value, from_value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn client_in(kubeconfig: &str, context: Option<&str>) -> Client {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let file = Kubeconfig::from_yaml(kubeconfig).unwrap();
    Client::try_from(Config::from_custom_kubeconfig(file, &options).await.unwrap()).unwrap()
}

/// A client with a bearer token, or with none.
async fn client_with(kubeconfig: &str, token: Option<&str>) -> Client {
    let mut file = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let user = file.auth_infos[0].auth_info.as_mut().unwrap();
    user.token = token.map(|token| token.to_owned().into());
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

async fn send(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> (u16, Value) {
    use http_body_util::BodyExt as _;
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let response = client.send(request.body(body.into()).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
}

fn role(name: &str, verbs: &[&str], resource: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": [resource], "verbs": verbs}],
    })
}

fn binding(name: &str, role: &str, subject: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}, "subjects": [subject],
    })
}

async fn grant(admin: &Client, namespace: &str, verbs: &[&str], resource: &str, subject: Value) {
    let made = |path: String, body: Value| async move {
        let (code, body) = send(admin, "POST", &path, &[], Some(body)).await;
        assert_eq!(code, 201, "{body}");
    };
    made(format!("{RBAC}/namespaces/{namespace}/roles"), role("r", verbs, resource)).await;
    made(format!("{RBAC}/namespaces/{namespace}/rolebindings"), binding("b", "r", subject)).await;
}

#[tokio::test]
async fn over_tls_who_one_is_is_proven() {
    let plane = Plane::builder().user("alice", &["dev"], "alice-token").build();
    let serving = plane.serve_tls("127.0.0.1:0").await.unwrap();
    let kubeconfig = plane.kubeconfig(serving.url());
    let me = async |client: &Client| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let (code, body) = send(client, "POST", path, &[], Some(body)).await;
        (code, body["status"]["userInfo"].clone())
    };
    let by_token = me(&client_in(&kubeconfig, None).await).await.1;
    assert_eq!(
        (&by_token["username"], &by_token["groups"][0]),
        (&json!("kubernetes-admin"), &json!("system:masters"))
    );
    let by_certificate = me(&client_in(&kubeconfig, Some("moin-certificate")).await).await.1;
    assert_eq!(by_certificate["groups"], json!(["system:masters", "system:authenticated"]));
    assert!(by_certificate["extra"]["authentication.kubernetes.io/credential-id"][0].is_string());
    let alice = client_with(&kubeconfig, Some("alice-token")).await;
    assert_eq!(me(&alice).await.1, json!({"username": "alice", "groups": ["dev", "system:authenticated"]}));
    let (code, body) = send(&alice, "GET", "/api/v1/namespaces/default/configmaps", &[], None).await;
    assert_eq!(code, 403);
    assert_eq!(
        body["message"],
        r#"configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" in the namespace "default""#
    );
    let nobody = client_with(&kubeconfig, None).await;
    assert_eq!(send(&nobody, "GET", "/api/v1/pods", &[], None).await.0, 403);
    assert_eq!(send(&nobody, "GET", "/readyz", &[], None).await, (200, json!("ok")));
    let stranger = client_with(&kubeconfig, Some("nonsense")).await;
    assert_eq!(send(&stranger, "GET", "/readyz", &[], None).await.0, 401);
    plane.stop();
    tokio::time::timeout(Duration::from_secs(10), serving.finished()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (plane, other) = (Plane::new(), Plane::new());
    let serving = plane.serve_tls("127.0.0.1:0").await.unwrap();
    let mut file = Kubeconfig::from_yaml(&plane.kubeconfig(serving.url())).unwrap();
    let (certificate, key) = other.client_certificate("kubernetes-admin", &["system:masters"]).unwrap();
    let encode = |text: String| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let user = file.auth_infos[0].auth_info.as_mut().unwrap();
    user.token = None;
    user.client_certificate_data = Some(encode(certificate));
    user.client_key_data = Some(encode(key).into());
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let (code, body) = send(&client, "GET", "/version", &[], None).await;
    assert_eq!((code, &body["reason"]), (401, &json!("Unauthorized")));
}

#[tokio::test]
async fn roles_allow_what_they_say_and_no_more() {
    let plane = Plane::new();
    let (admin, bob) = (plane.client(), plane.client_as("bob", &[]));
    grant(&admin, "default", &["get", "patch"], "configmaps", json!({"kind": "User", "name": "bob"})).await;
    let maps: Api<ConfigMap> = Api::namespaced(bob.clone(), "default");
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}});
    let apply = PatchParams::apply("bob");
    let refused = maps.patch("x", &apply, &Patch::Apply(&body)).await.unwrap_err();
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            403,
            r#"configmaps "x" is forbidden: User "bob" cannot create resource "configmaps" in API group "" in the namespace "default""#
        ),
        "it would create"
    );
    let own: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    own.patch("x", &PatchParams::apply("admin"), &Patch::Apply(&body)).await.unwrap();
    maps.patch("x", &apply, &Patch::Apply(&body)).await.unwrap();
    assert!(maps.delete("x", &DeleteParams::default()).await.is_err());
    assert!(maps.list(&ListParams::default()).await.is_err());
    // What is taken away no longer holds.
    send(&admin, "DELETE", &format!("{RBAC}/namespaces/default/rolebindings/b"), &[], None).await;
    assert!(maps.get("x").await.is_err());
}

#[tokio::test]
async fn aggregated_roles_gather_what_is_labelled() {
    let plane = Plane::new();
    let (admin, viewer) = (plane.client(), plane.client_as("viewer", &[]));
    let view = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "v"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "viewer"}],
    });
    send(&admin, "POST", &format!("{RBAC}/clusterrolebindings"), &[], Some(view)).await;
    assert_eq!(send(&viewer, "GET", "/api/v1/pods", &[], None).await.0, 200);
    assert_eq!(send(&viewer, "GET", "/api/v1/secrets", &[], None).await.0, 403);
    let more = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}],
    });
    send(&admin, "POST", &format!("{RBAC}/clusterroles"), &[], Some(more)).await;
    for _ in 0..200 {
        if send(&viewer, "GET", "/api/v1/secrets", &[], None).await.0 == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the role was not gathered");
}

#[tokio::test]
async fn a_service_account_gets_in_with_its_token_as_long_as_it_lives() {
    let plane = Plane::builder().root_ca(true).build();
    let serving = plane.serve_tls("127.0.0.1:0").await.unwrap();
    let kubeconfig = plane.kubeconfig(serving.url());
    let admin = client_in(&kubeconfig, None).await;
    let namespace = from_value(json!({"metadata": {"name": "team"}})).unwrap();
    Api::<Namespace>::all(admin.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "team");
    accounts.get("default").await.unwrap();
    let root = Api::<ConfigMap>::namespaced(admin.clone(), "team").get("kube-root-ca.crt").await.unwrap();
    assert_eq!(root.data.unwrap()["ca.crt"], plane.certificate_authority().unwrap());
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/team/serviceaccounts/default/token";
    let (code, answer) = send(&admin, "POST", path, &[], Some(request)).await;
    assert_eq!(code, 201, "{answer}");
    let bot = client_with(&kubeconfig, answer["status"]["token"].as_str()).await;
    assert_eq!(send(&bot, "GET", "/api/v1/namespaces/team/secrets", &[], None).await.0, 403);
    let subject = json!({"kind": "ServiceAccount", "name": "default", "namespace": "team"});
    grant(&admin, "team", &["list"], "secrets", subject).await;
    assert_eq!(send(&bot, "GET", "/api/v1/namespaces/team/secrets", &[], None).await.0, 200);
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    assert_eq!(send(&bot, "GET", "/api/v1/namespaces/team/secrets", &[], None).await.0, 401);
    accounts.get("default").await.expect("it is made anew, with another uid");
}

#[tokio::test]
async fn a_secret_that_asks_for_a_token_gets_one() {
    let plane = Plane::new();
    let admin = plane.client();
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), "default");
    let secret = from_value(json!({
        "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token",
    }));
    secrets.create(&PostParams::default(), &secret.unwrap()).await.unwrap();
    let filled = async {
        loop {
            let token = secrets.get("t").await.unwrap().data.and_then(|mut data| data.remove("token"));
            if let Some(token) = token {
                return String::from_utf8(token.0).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let token = tokio::time::timeout(Duration::from_secs(10), filled).await.unwrap();
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, answer) = send(&admin, "POST", path, &[], Some(review)).await;
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:default:default");
}

#[tokio::test]
async fn the_audit_log_reads_like_the_real_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let plane = Plane::builder().audit(AuditLog::file(&path).unwrap()).build();
    let bob = plane.client_as("bob", &["dev"]);
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), "default");
    let object = from_value(json!({"metadata": {"name": "x"}})).unwrap();
    maps.create(&PostParams::default(), &object).await.unwrap();
    assert!(Api::<ConfigMap>::namespaced(bob, "default").get("x").await.is_err());
    let watching = maps.watch(&WatchParams::default(), "0").await.unwrap();
    let mut watching = std::pin::pin!(watching);
    watching.try_next().await.unwrap();
    plane.stop();
    while watching.try_next().await.unwrap().is_some() {}
    plane.close();
    let text = std::fs::read_to_string(&path).unwrap();
    let events = support::audit::read(&path);
    let told: Vec<String> = events.iter().map(|e| format!("{} {}", e.user.username, e.short())).collect();
    assert_eq!(
        told,
        [
            "kubernetes-admin create configmaps/default/x",
            "bob get configmaps/default/x",
            "kubernetes-admin watch configmaps/default"
        ],
        "{text}"
    );
    assert_eq!(events[1].response_status.as_ref().unwrap().code, Some(403));
    assert!(events.iter().all(|event| event.answered() >= event.received()));
    assert_eq!(text.matches("\"verb\":\"watch\"").count(), 2, "it began and it ended");
    assert!(text.contains("\"authorization.k8s.io/decision\":\"forbid\""));
}

#[tokio::test]
async fn the_audit_log_shows_objects_but_no_secrets() {
    let audit = AuditLog::memory().level(AuditLevel::RequestResponse);
    let plane = Plane::builder().audit(audit.clone()).build();
    let made = async |plural: &str, kind: &str| {
        let body =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, "data": {"k": "aGlkZGVu"}});
        send(&plane.client(), "POST", &format!("/api/v1/namespaces/default/{plural}"), &[], Some(body)).await;
    };
    made("configmaps", "ConfigMap").await;
    made("secrets", "Secret").await;
    let events = audit.events();
    assert_eq!(events[0]["responseObject"]["data"]["k"], "aGlkZGVu");
    assert!(!events[1].to_string().contains("aGlkZGVu"), "{}", events[1]);
}

#[tokio::test]
async fn a_request_asks_for_its_own_fault() {
    let plane = Plane::builder().fault_header().build();
    let client = plane.client();
    let get = async |fault: &str| {
        send(&client, "GET", "/api/v1/namespaces/default", &[("Moin-Fault", fault)], None).await.0
    };
    let twice = "status=503; times=2";
    assert_eq!([get(twice).await, get(twice).await, get(twice).await], [503, 503, 200]);
    assert_eq!(get("nonsense").await, 400);
    let request = http::Request::post("/api/v1/namespaces/default/configmaps")
        .header("Moin-Fault", "lose-answer")
        .header("content-type", "application/json")
        .body(br#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}"#.to_vec())
        .unwrap();
    assert!(client.request_text(request).await.is_err());
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    maps.get("x").await.expect("it was carried out");
    let ordinary = Plane::new().client();
    let heeded = send(&ordinary, "GET", "/api/v1/namespaces/default", &[("Moin-Fault", twice)], None).await;
    assert_eq!(heeded.0, 200, "only a plane that was told to heeds it");
}
