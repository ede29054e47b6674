//! Secrets that lead to a peer, and some that do not.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::cluster::testing::Server;

const PATH: &str = "/api/v1/namespaces/mgmt/secrets/mgmt2-kubeconfig";

fn kubeconfig(server: &str, user: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": user}]})
    .to_string()
}

fn secret(key: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "mgmt", "name": "mgmt2-kubeconfig"},
        "data": {key: STANDARD.encode(text)}})
}

fn place() -> KubeconfigSecret {
    let (namespace, name) = ("mgmt".to_owned(), "mgmt2-kubeconfig".to_owned());
    KubeconfigSecret { namespace, name, key: KUBECONFIG_KEY.to_owned() }
}

fn home() -> Server {
    let server = Server::new();
    server.kinds.lock().push(("", "Secret", "secrets", true));
    server
}

async fn next(link: &mut PeerLink) -> PeerAccess {
    tokio::time::timeout(Duration::from_secs(20), link.changed()).await.expect("it changes")
}

async fn closed(link: &mut PeerLink) -> Finding {
    match next(link).await {
        PeerAccess::Closed(finding) => (*finding).clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_renewed_kubeconfig_is_a_new_client() {
    let home = home();
    let mut link = PeerLink::follow(&home.cluster(), "mgmt2", place());
    let missing = closed(&mut link).await;
    assert_eq!(missing.code, Code::PeerKubeconfig);
    assert!(
        missing.message.contains("Secret/mgmt/mgmt2-kubeconfig")
            && missing.message.contains("the cluster mgmt2")
    );
    let token = json!({"token": "very-secret"});
    home.put(PATH, secret("value", &kubeconfig("https://one:6443", &token)));
    assert!(matches!(next(&mut link).await, PeerAccess::Open(peer) if peer.url().contains("one")));
    // The same content again is no change; the next is.
    home.put(PATH, secret("value", &kubeconfig("https://one:6443", &token)));
    home.put(PATH, secret("value", &kubeconfig("https://two:6443", &token)));
    assert!(matches!(next(&mut link).await, PeerAccess::Open(peer) if peer.url().contains("two")));
    home.remove(PATH);
    assert!(closed(&mut link).await.message.ends_with("is not there"));
}

#[tokio::test]
async fn what_cannot_be_used_is_named_without_its_text() {
    let home = home();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let old = STANDARD.encode(params.self_signed(&key).unwrap().pem());
    let key = STANDARD.encode(key.serialize_pem());
    let with = |user: Value| secret("value", &kubeconfig("https://one:6443", &user));
    let mut link = PeerLink::follow(&home.cluster(), "mgmt2", place());
    closed(&mut link).await;
    for (secret, code, says) in [
        (
            secret("kubeconfig", "very-secret"),
            Code::PeerKubeconfig,
            "no key \"value\" (its keys: kubeconfig)",
        ),
        (secret("value", "very-secret: {"), Code::PeerKubeconfig, "no valid kubeconfig"),
        (secret("value", "very-secret"), Code::PeerKubeconfig, "no valid kubeconfig"),
        (secret("value", ""), Code::PeerKubeconfig, "Secret/mgmt/mgmt2-kubeconfig"),
        (with(json!({"exec": {"command": "very-secret"}})), Code::PeerKubeconfig, "a program"),
        (
            with(json!({"auth-provider": {"name": "very-secret", "config": {}}})),
            Code::PeerKubeconfig,
            "a program",
        ),
        (with(json!({"tokenFile": "/etc/very-secret"})), Code::PeerKubeconfig, "a file"),
        (with(json!({"client-key": "/etc/very-secret"})), Code::PeerKubeconfig, "a file"),
        (
            with(json!({"client-certificate-data": old, "client-key-data": key})),
            Code::PeerCredentials,
            "ended at 2020-01-01",
        ),
    ] {
        home.put(PATH, secret);
        let finding = closed(&mut link).await;
        assert_eq!(finding.code, code, "{finding:?}");
        assert!(finding.message.contains(says), "{}", finding.message);
        assert!(!finding.message.contains("very-secret"), "{}", finding.message);
    }
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_said() {
    let home = home();
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": "no", "details": {}});
    home.answer("GET /api/v1/namespaces/mgmt/secrets", 403, status);
    let mut link = PeerLink::follow(&home.cluster(), "mgmt2", place());
    assert!(closed(&mut link).await.message.contains("may not be read"));
}

#[tokio::test]
async fn refused_credentials_are_told_apart_from_a_cluster_that_is_away() {
    let server = Server::new();
    server.answer(
        "GET /api/v1/namespaces/kube-system",
        401,
        json!({"kind": "Status", "reason": "Unauthorized"}),
    );
    let refused = server.cluster().uid().await.unwrap_err();
    assert_eq!(peer_finding("mgmt2", &refused).code, Code::PeerCredentials);
    let expired = "invalid peer certificate: Expired".to_owned();
    assert_eq!(peer_finding("b", &ClusterError::Unreachable { reason: expired }).code, Code::PeerCredentials);
    let away = ClusterError::Unreachable { reason: "connection refused".to_owned() };
    assert_eq!(peer_finding("mgmt2", &away).code, Code::ClusterUnreachable);
}

#[tokio::test]
async fn a_cluster_is_known_by_its_kube_system() {
    let server = Server::new();
    assert!(server.cluster().uid().await.unwrap_err().is_retryable(), "it may still be coming up");
    let made = server.put(
        "/api/v1/namespaces/kube-system",
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}),
    );
    assert_eq!(server.cluster().uid().await.unwrap().as_str(), made["metadata"]["uid"].as_str().unwrap());
}

#[test]
fn what_a_library_says_of_certificates_is_said_in_words() {
    let told = |reason: &str| peer_finding("mgmt2", &ClusterError::Unreachable { reason: reason.into() });
    for reason in ["invalid peer certificate: BadSignature", "invalid peer certificate: UnknownIssuer"] {
        let finding = told(reason);
        assert_eq!(finding.code, Code::PeerCredentials);
        assert!(finding.message.contains("another authority") && !finding.message.contains("BadSignature"));
    }
    assert!(told("received fatal alert: CertificateExpired").message.contains("has ended"));
    assert!(told("certificate: something else").message.ends_with(": certificate: something else"));
}
