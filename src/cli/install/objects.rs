//! What runs in the cluster: the account, its rights, the daemon, and who may talk to it.

use serde_json::{Map, Value, json};

use super::rights::{Rights, named};
use super::{ACCOUNT, Daemon, PEER_ACCOUNT, PORT, WEBHOOK, WEBHOOK_PORT};
use crate::model::SYSTEM_NAMESPACE;
use crate::status::reconciliation_crd;

const RBAC: &str = "rbac.authorization.k8s.io";
/// The user of the image that `Containerfile` builds.
const USER: u32 = 65532;
/// Where the credentials of the repository are mounted.
const CREDENTIALS: &str = "/credentials";

/// All objects, in an order in which they can be applied.
pub fn objects(rights: &Rights, daemon: &Daemon) -> Vec<Value> {
    let mut accounts = vec![ACCOUNT];
    if daemon.peer_account {
        accounts.push(PEER_ACCOUNT);
    }
    let mut objects = vec![namespace(), reconciliation_crd()];
    objects.extend(accounts.iter().map(|name| account(name)));
    objects.extend(role(ACCOUNT, None, rights.cluster.clone(), &accounts));
    for name in accounts {
        // Its writes bear the holder's mark, for which it impersonates itself.
        let mark = named("", "serviceaccounts", &[name], &["impersonate"]);
        let rules = rights.home.iter().cloned().chain([mark]).collect();
        objects.extend(role(name, Some(SYSTEM_NAMESPACE), rules, &[name]));
    }
    for (namespace, secret) in &rights.peers {
        // Cluster API puts the kubeconfig of a peer there; the daemon follows it when it is rotated.
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        let reads = named("", "secrets", &[secret], &["get", "list", "watch"]);
        objects.extend(role(ACCOUNT, Some(namespace), vec![reads], &[ACCOUNT]));
    }
    objects.push(network_policy(daemon));
    if daemon.webhook {
        objects.push(service());
    }
    objects.push(deployment(daemon));
    objects
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "moin"})
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name, "labels": labels()});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn namespace() -> Value {
    let mut labels = labels();
    for mode in ["enforce", "warn", "audit"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = "restricted".into();
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE, "labels": labels}})
}

fn account(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, Some(SYSTEM_NAMESPACE)),
        "automountServiceAccountToken": false,
    })
}

/// A role and its binding to accounts, in a namespace or in the cluster.
fn role(name: &str, namespace: Option<&str>, rules: Vec<Value>, accounts: &[&str]) -> [Value; 2] {
    let prefix = if namespace.is_some() { "" } else { "Cluster" };
    let version = format!("{RBAC}/v1");
    let subject =
        |name: &&str| json!({"kind": "ServiceAccount", "name": name, "namespace": SYSTEM_NAMESPACE});
    let subjects: Vec<Value> = accounts.iter().map(subject).collect();
    [
        json!({"apiVersion": version, "kind": format!("{prefix}Role"), "metadata": metadata(name, namespace), "rules": rules}),
        json!({
            "apiVersion": version, "kind": format!("{prefix}RoleBinding"), "metadata": metadata(name, namespace),
            "roleRef": {"apiGroup": RBAC, "kind": format!("{prefix}Role"), "name": name},
            "subjects": subjects,
        }),
    ]
}

/// By which the API server reaches the webhook.
fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(WEBHOOK, Some(SYSTEM_NAMESPACE)),
        "spec": {"selector": labels(), "ports": [{"name": "webhook", "port": 443, "targetPort": "webhook"}]},
    })
}

/// Metrics, probes and what the webhook judges in; name service, API servers and the repository out.
fn network_policy(daemon: &Daemon) -> Value {
    let port = |protocol: &str, port: u16| json!({"protocol": protocol, "port": port});
    let mut ingress = vec![json!({"from": [{"namespaceSelector": {}}], "ports": [port("TCP", PORT)]})];
    if daemon.webhook {
        // API servers are no pods: they come from anywhere.
        ingress.push(json!({"ports": [port("TCP", WEBHOOK_PORT)]}));
    }
    let out: Vec<Value> = daemon.ports.iter().map(|number| port("TCP", *number)).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(ACCOUNT, Some(SYSTEM_NAMESPACE)),
        "spec": {
            "podSelector": {"matchLabels": labels()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": [
                {"ports": [port("UDP", 53), port("TCP", 53)]},
                {"ports": out},
            ],
        },
    })
}

fn deployment(daemon: &Daemon) -> Value {
    let mut environment: Vec<(String, String)> = daemon.settings.clone();
    environment.push(("MOIN_LISTEN".to_owned(), format!("0.0.0.0:{PORT}")));
    let mut ports = vec![json!({"name": "http", "containerPort": PORT})];
    if daemon.webhook {
        environment.push(("MOIN_WEBHOOK".to_owned(), format!("0.0.0.0:{WEBHOOK_PORT}")));
        ports.push(json!({"name": "webhook", "containerPort": WEBHOOK_PORT}));
    }
    let mut mounts = vec![json!({"name": "cache", "mountPath": "/cache"})];
    let mut volumes = vec![json!({"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}})];
    if let Some(secret) = &daemon.credentials {
        let file = |name: &str| format!("{CREDENTIALS}/{name}");
        environment.extend(match daemon.over_ssh {
            true => vec![
                ("MOIN_SSH_KEY".to_owned(), file("ssh-privatekey")),
                ("MOIN_KNOWN_HOSTS".to_owned(), file("known_hosts")),
            ],
            false => vec![("MOIN_TOKEN_FILE".to_owned(), file("token"))],
        });
        mounts.push(json!({"name": "credentials", "mountPath": CREDENTIALS, "readOnly": true}));
        volumes.push(json!({"name": "credentials", "secret": {"secretName": secret, "defaultMode": 0o440}}));
    }
    environment.sort();
    let environment: Vec<Value> =
        environment.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let probe = |path: &str, more: Value| {
        let mut probe = json!({"httpGet": {"path": path, "port": "http"}});
        if let (Some(probe), Value::Object(more)) = (probe.as_object_mut(), more) {
            probe.extend::<Map<String, Value>>(more);
        }
        probe
    };
    let container = json!({
        "name": "moin",
        "image": daemon.image,
        "args": ["run"],
        "env": environment,
        "ports": ports,
        "livenessProbe": probe("/healthz", json!({"periodSeconds": 10, "failureThreshold": 6})),
        "readinessProbe": probe("/readyz", json!({"periodSeconds": 5})),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(ACCOUNT, Some(SYSTEM_NAMESPACE)),
        "spec": {
            "replicas": daemon.replicas,
            "selector": {"matchLabels": labels()},
            "template": {
                "metadata": {"labels": labels()},
                "spec": {
                    "serviceAccountName": ACCOUNT,
                    "automountServiceAccountToken": true,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    })
}
