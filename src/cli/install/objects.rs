//! What runs in the cluster: the account, its rights, the daemon, and who may talk to it.

use serde_json::{Map, Value, json};

use super::rights::{Rights, named};
use super::{ACCOUNT, Daemon, PORT};
use crate::model::SYSTEM_NAMESPACE;
use crate::status::reconciliation_crd;

const RBAC: &str = "rbac.authorization.k8s.io";
/// The user of the image that `Containerfile` builds.
const USER: u32 = 65532;
/// Where the credentials of the repository are mounted.
const CREDENTIALS: &str = "/credentials";

/// All objects, in an order in which they can be applied.
pub fn objects(rights: &Rights, daemon: &Daemon) -> Vec<Value> {
    let mut objects = vec![namespace(), reconciliation_crd(), account()];
    objects.extend(role(None, rights.cluster.clone()));
    objects.extend(role(Some(SYSTEM_NAMESPACE), rights.home.clone()));
    for (namespace, secret) in &rights.peers {
        // Cluster API puts the kubeconfig of a peer there; the daemon follows it when it is rotated.
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        let reads = named("", "secrets", secret, &["get", "list", "watch"]);
        objects.extend(role(Some(namespace), vec![reads]));
    }
    objects.push(network_policy(daemon));
    objects.push(deployment(daemon));
    objects
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "moin"})
}

fn metadata(namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": ACCOUNT, "labels": labels()});
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

fn account() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(Some(SYSTEM_NAMESPACE)),
        "automountServiceAccountToken": false,
    })
}

/// A role and its binding to the account, in a namespace or in the cluster.
fn role(namespace: Option<&str>, rules: Vec<Value>) -> [Value; 2] {
    let prefix = if namespace.is_some() { "" } else { "Cluster" };
    let version = format!("{RBAC}/v1");
    [
        json!({"apiVersion": version, "kind": format!("{prefix}Role"), "metadata": metadata(namespace), "rules": rules}),
        json!({
            "apiVersion": version, "kind": format!("{prefix}RoleBinding"), "metadata": metadata(namespace),
            "roleRef": {"apiGroup": RBAC, "kind": format!("{prefix}Role"), "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM_NAMESPACE}],
        }),
    ]
}

/// Metrics and probes in; name service, API servers and the repository out.
fn network_policy(daemon: &Daemon) -> Value {
    let port = |protocol: &str, port: u16| json!({"protocol": protocol, "port": port});
    let out: Vec<Value> = daemon.ports.iter().map(|number| port("TCP", *number)).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(Some(SYSTEM_NAMESPACE)),
        "spec": {
            "podSelector": {"matchLabels": labels()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [port("TCP", PORT)]}],
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
        "ports": [{"name": "http", "containerPort": PORT}],
        "livenessProbe": probe("/healthz", json!({"periodSeconds": 10, "failureThreshold": 6})),
        "readinessProbe": probe("/readyz", json!({"periodSeconds": 5})),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(Some(SYSTEM_NAMESPACE)),
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
