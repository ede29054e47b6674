//! Pods and the templates of pods.

use serde_json::{Value, json};

use super::{items, set, within};

/// What a pod is given, and of that some that a template of pods is not.
pub(super) fn pod(spec: &mut Value) {
    set(spec, "enableServiceLinks", true);
    pod_spec(spec);
    let on_host = spec.get("hostNetwork").is_some_and(|shared| shared == true);
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            requests(container);
            if on_host {
                items(container, "ports").for_each(host_port);
            }
        }
    }
}

/// A container that only says its limits requests as much.
fn requests(container: &mut Value) {
    let Some(resources) = within(container, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    set(resources, "requests", json!({}));
    for (name, limit) in limits {
        set(&mut resources["requests"], &name, limit);
    }
}

/// On the network of its node a container's port is the node's.
fn host_port(port: &mut Value) {
    if port.get("hostPort").is_some_and(|number| number == 0) {
        port["hostPort"] = Value::Null;
    }
    let number = port.get("containerPort").cloned().unwrap_or_default();
    set(port, "hostPort", number);
}

/// What every pod is given, and every template of one.
pub(super) fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "restartPolicy", "Always");
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    let account = spec.get("serviceAccountName").or(spec.get("serviceAccount")).cloned();
    if let Some(account) = account.filter(Value::is_string) {
        set(spec, "serviceAccountName", account.clone());
        set(spec, "serviceAccount", account);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        items(spec, list).for_each(container);
    }
    items(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    let pull = pull_policy(container.get("image"));
    set(container, "imagePullPolicy", pull);
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    for variable in items(container, "env") {
        let Some(from) = within(variable, "valueFrom") else { continue };
        if let Some(field) = within(from, "fieldRef") {
            set(field, "apiVersion", "v1");
        }
        if let Some(key) = within(from, "fileKeyRef") {
            set(key, "optional", false);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = within(container, name) {
            set_zero(probe, "timeoutSeconds", 1);
            set_zero(probe, "periodSeconds", 10);
            set_zero(probe, "successThreshold", 1);
            set_zero(probe, "failureThreshold", 3);
            handler(probe);
        }
    }
    if let Some(lifecycle) = within(container, "lifecycle") {
        for moment in ["postStart", "preStop"] {
            if let Some(action) = within(lifecycle, moment) {
                handler(action);
            }
        }
    }
}

/// Sets a number that is absent or zero: the two are one in a field that is no pointer.
fn set_zero(object: &mut Value, field: &str, value: i64) {
    if object.get(field).is_none_or(|there| there.is_null() || *there == 0) {
        object[field] = value.into();
    }
}

fn handler(action: &mut Value) {
    if let Some(get) = within(action, "httpGet") {
        set(get, "path", "/");
        set(get, "scheme", "HTTP");
    }
    if let Some(grpc) = within(action, "grpc")
        && grpc.get("service").is_none()
    {
        grpc["service"] = "".into();
    }
}

/// When an image is pulled, if nobody says: one that may change behind its name, always.
fn pull_policy(image: Option<&Value>) -> &'static str {
    if is_latest(image.and_then(Value::as_str).unwrap_or_default()) { "Always" } else { "IfNotPresent" }
}

/// Whether an image has the tag `latest`, or neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, |map| map.keys().filter(|key| *key != "name").count());
    if sources == 0 {
        set(volume, "emptyDir", json!({}));
    }
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = within(volume, source) {
            set(source, "defaultMode", 0o644);
        }
    }
    host_path(volume);
    if let Some(disk) = within(volume, "azureDisk") {
        set(disk, "readOnly", false);
    }
    if let Some(image) = within(volume, "image") {
        let pull = pull_policy(image.get("reference"));
        set(image, "pullPolicy", pull);
    }
    if let Some(downward) = within(volume, "downwardAPI") {
        items(downward, "items").for_each(downward_item);
    }
    if let Some(projected) = within(volume, "projected") {
        for source in items(projected, "sources") {
            if let Some(token) = within(source, "serviceAccountToken") {
                set(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = within(source, "downwardAPI") {
                items(downward, "items").for_each(downward_item);
            }
        }
    }
    if let Some(ephemeral) = within(volume, "ephemeral")
        && let Some(claim) = within(ephemeral, "volumeClaimTemplate").and_then(|claim| within(claim, "spec"))
    {
        set(claim, "volumeMode", "Filesystem");
    }
}

/// A folder of the node, in a pod or a volume of the cluster.
pub(super) fn host_path(volume: &mut Value) {
    if let Some(path) = within(volume, "hostPath")
        && path.get("type").is_none()
    {
        path["type"] = "".into();
    }
}

fn downward_item(item: &mut Value) {
    if let Some(field) = within(item, "fieldRef") {
        set(field, "apiVersion", "v1");
    }
}
