//! Defaults of built-in kinds: what no OpenAPI document says, in one place.
//!
//! An API server holds built-in kinds as structs, so a struct that is no pointer is written even when it is empty;
//! and it fills in what the kinds' own defaulting functions say, for the kinds that people apply.

use serde_json::{Map, Value, json};

use super::types::TypeRef;
use crate::model::Gvk;

/// Fills in the defaults of a built-in kind.
pub(super) fn fill(gvk: &Gvk, ty: &TypeRef, object: &mut Value) {
    structs(ty, object);
    let spec = &mut object["spec"];
    match (&*gvk.group, &*gvk.kind) {
        ("", "Pod") => {
            set(spec, "enableServiceLinks", true);
            pod_spec(spec);
            requests(spec);
        }
        ("", "Service") => service(spec),
        ("", "Secret") => set(object, "type", "Opaque"),
        ("", "PersistentVolumeClaim") => {
            set(spec, "volumeMode", "Filesystem");
            if object["status"].is_object() {
                set(&mut object["status"], "phase", "Pending");
            }
        }
        ("", "PersistentVolume") => {
            set(spec, "persistentVolumeReclaimPolicy", "Retain");
            set(spec, "volumeMode", "Filesystem");
        }
        ("", "PodTemplate") => pod_spec(&mut object["template"]["spec"]),
        ("", "ReplicationController") => {
            set(spec, "replicas", 1);
            pod_spec(&mut spec["template"]["spec"]);
        }
        ("apps", "Deployment") => deployment(spec),
        ("apps", "ReplicaSet") => {
            set(spec, "replicas", 1);
            pod_spec(&mut spec["template"]["spec"]);
        }
        ("apps", "DaemonSet") => daemon_set(spec),
        ("apps", "StatefulSet") => stateful_set(spec),
        ("batch", "Job") => job(spec),
        ("batch", "CronJob") => cron_job(spec),
        ("autoscaling", "HorizontalPodAutoscaler") => set(spec, "minReplicas", 1),
        ("networking.k8s.io", "NetworkPolicy") => network_policy(spec),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => role_binding(object),
        ("storage.k8s.io", "StorageClass") => {
            set(object, "reclaimPolicy", "Delete");
            set(object, "volumeBindingMode", "Immediate");
        }
        ("scheduling.k8s.io", "PriorityClass") => set(object, "preemptionPolicy", "PreemptLowerPriority"),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => {
            webhooks(gvk, object);
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            set(spec, "failurePolicy", "Fail");
            if let Some(constraints) = within(spec, "matchConstraints") {
                match_resources(constraints);
            }
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => {
            if let Some(resources) = within(spec, "matchResources") {
                match_resources(resources);
            }
        }
        _ => {}
    }
    if object["spec"].is_null() {
        // Looking at an absent spec leaves a null behind.
        object.as_object_mut().map(|object| object.remove("spec"));
    }
}

/// Structs that are no pointers: there even when nothing was set.
fn structs(ty: &TypeRef, value: &mut Value) {
    let ty = ty.get();
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.map else { return };
            for (name, field) in &map.fields {
                let is_struct = matches!(&field.default, Some(Value::Object(_)));
                if is_struct && object.get(&**name).is_none_or(Value::is_null) {
                    object.insert(name.to_string(), Value::Object(Map::new()));
                }
            }
            for (key, value) in object.iter_mut() {
                if let Some(ty) = map.value_type(key) {
                    structs(ty, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.list.as_ref().and_then(|list| list.items.as_ref()) {
                items.iter_mut().for_each(|item| structs(ty, item));
            }
        }
        _ => {}
    }
}

/// Sets a field that is absent, `null` or empty text.
fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(|v| v.is_null() || v == "")
    {
        map.insert(field.to_owned(), value.into());
    }
}

fn each(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

/// The value of a field that is an object; absent ones are left absent.
fn within<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.as_object_mut()?.get_mut(field).filter(|value| value.is_object())
}

fn deployment(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = within(spec, "strategy") {
        set(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            set(strategy, "rollingUpdate", json!({}));
            set(&mut strategy["rollingUpdate"], "maxUnavailable", "25%");
            set(&mut strategy["rollingUpdate"], "maxSurge", "25%");
        }
    }
    template(spec);
}

fn daemon_set(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = within(spec, "updateStrategy") {
        set(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            set(strategy, "rollingUpdate", json!({}));
            set(&mut strategy["rollingUpdate"], "maxUnavailable", 1);
            set(&mut strategy["rollingUpdate"], "maxSurge", 0);
        }
    }
    template(spec);
}

fn stateful_set(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "podManagementPolicy", "OrderedReady");
    set(
        spec,
        "persistentVolumeClaimRetentionPolicy",
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    if let Some(strategy) = within(spec, "updateStrategy") {
        set(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            set(strategy, "rollingUpdate", json!({}));
            set(&mut strategy["rollingUpdate"], "partition", 0);
        }
    }
    for claim in each(&mut spec["volumeClaimTemplates"]) {
        set(claim, "apiVersion", "v1");
        set(claim, "kind", "PersistentVolumeClaim");
        set(&mut claim["spec"], "volumeMode", "Filesystem");
        set(&mut claim["status"], "phase", "Pending");
    }
    without_null(spec, "volumeClaimTemplates");
    template(spec);
}

fn job(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    set(spec, "backoffLimit", 6);
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    if spec["manualSelector"] == false {
        spec.as_object_mut().map(|spec| spec.remove("manualSelector"));
    }
    let failed_only = spec.get("podFailurePolicy").is_some_and(Value::is_object);
    set(spec, "podReplacementPolicy", if failed_only { "Failed" } else { "TerminatingOrFailed" });
    template(spec);
}

fn cron_job(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    if let Some(jobs) = within(spec, "jobTemplate").and_then(|template| within(template, "spec")) {
        template(jobs);
    }
}

fn network_policy(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    let types: &[&str] =
        if spec.get("egress").is_some_and(Value::is_array) { &["Ingress", "Egress"] } else { &["Ingress"] };
    set(spec, "policyTypes", json!(types));
    for direction in ["ingress", "egress"] {
        for rule in each(&mut spec[direction]) {
            each(&mut rule["ports"]).for_each(|port| set(port, "protocol", "TCP"));
            without_null(rule, "ports");
        }
        without_null(spec, direction);
    }
}

fn role_binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    if let Some(role) = within(object, "roleRef") {
        set(role, "apiGroup", RBAC);
    }
    for subject in each(&mut object["subjects"]) {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set(subject, "apiGroup", RBAC);
        }
    }
    without_null(object, "subjects");
}

fn webhooks(gvk: &Gvk, object: &mut Value) {
    for hook in each(&mut object["webhooks"]) {
        set(hook, "failurePolicy", "Fail");
        set(hook, "matchPolicy", "Equivalent");
        set(hook, "timeoutSeconds", 10);
        set(hook, "namespaceSelector", json!({}));
        set(hook, "objectSelector", json!({}));
        if &*gvk.kind == "MutatingWebhookConfiguration" {
            set(hook, "reinvocationPolicy", "Never");
        }
        if let Some(service) = within(hook, "clientConfig").and_then(|config| within(config, "service")) {
            set(service, "port", 443);
        }
        each(&mut hook["rules"]).for_each(|rule| set(rule, "scope", "*"));
        without_null(hook, "rules");
    }
    without_null(object, "webhooks");
}

fn match_resources(constraints: &mut Value) {
    set(constraints, "matchPolicy", "Equivalent");
    set(constraints, "namespaceSelector", json!({}));
    set(constraints, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        each(&mut constraints[rules]).for_each(|rule| set(rule, "scope", "*"));
        without_null(constraints, rules);
    }
}

fn service(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "ClientIP" {
        set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    set(spec, "type", "ClusterIP");
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    for port in each(&mut spec["ports"]) {
        set(port, "protocol", "TCP");
        let number = port["port"].clone();
        set(port, "targetPort", number);
    }
    without_null(spec, "ports");
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn template(spec: &mut Value) {
    if let Some(pod) = within(spec, "template").and_then(|template| within(template, "spec")) {
        pod_spec(pod);
    }
}

/// Indexing an absent field leaves a `null`; it is taken out again.
fn without_null(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_some_and(Value::is_null)
    {
        map.remove(field);
    }
}

fn pod_spec(spec: &mut Value) {
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
    let host_network = spec["hostNetwork"] == true;
    without_null(spec, "hostNetwork");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(&mut spec[list]).for_each(|one| container(one, host_network));
        without_null(spec, list);
    }
    each(&mut spec["volumes"]).for_each(volume);
    without_null(spec, "volumes");
}

fn container(container: &mut Value, host_network: bool) {
    let pull = match container["image"].as_str().unwrap_or_default() {
        image if is_latest(image) => "Always",
        _ => "IfNotPresent",
    };
    without_null(container, "image");
    set(container, "imagePullPolicy", pull);
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    for port in each(&mut container["ports"]) {
        set(port, "protocol", "TCP");
        if host_network {
            let number = port["containerPort"].clone();
            set(port, "hostPort", number);
        }
    }
    without_null(container, "ports");
    for variable in each(&mut container["env"]) {
        if let Some(field) = within(variable, "valueFrom").and_then(|from| within(from, "fieldRef")) {
            set(field, "apiVersion", "v1");
        }
    }
    without_null(container, "env");
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = within(container, name) {
            set(probe, "timeoutSeconds", 1);
            set(probe, "periodSeconds", 10);
            set(probe, "successThreshold", 1);
            set(probe, "failureThreshold", 3);
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
    if let Some(path) = within(volume, "hostPath")
        && path.get("type").is_none()
    {
        path["type"] = "".into();
    }
    if let Some(projected) = within(volume, "projected") {
        for source in each(&mut projected["sources"]) {
            if let Some(token) = within(source, "serviceAccountToken") {
                set(token, "expirationSeconds", 3600);
            }
        }
        without_null(projected, "sources");
    }
}

/// A pod that only says its limits requests as much.
fn requests(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in each(&mut spec[list]) {
            let Some(limits) = container["resources"]["limits"].as_object().cloned() else { continue };
            let resources = &mut container["resources"];
            set(resources, "requests", json!({}));
            for (name, limit) in limits {
                set(&mut resources["requests"], &name, limit);
            }
        }
        without_null(spec, list);
    }
    for container in each(&mut spec["containers"]) {
        if let Some(resources) = within(container, "resources") {
            without_null(resources, "limits");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Gvk;
    use crate::schema::Schemas;
    use serde_json::json;

    #[test]
    fn a_deployment_is_filled_in() {
        let mut object = json!({
            "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a"}]}}},
        });
        Schemas::builtin().fill_defaults(&Gvk::new("apps/v1", "Deployment"), &mut object);
        let spec = &object["spec"];
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
        assert_eq!(spec["template"]["spec"]["containers"][0]["resources"], json!({}));
        assert_eq!(object["status"], json!({}));
        assert!(!serde_json::to_string(&object).unwrap().contains("null"));
    }

    #[test]
    fn what_is_absent_stays_absent() {
        let mut object = json!({"metadata": {"name": "a"}, "data": {"a": "b"}});
        let before = object.clone();
        Schemas::builtin().fill_defaults(&Gvk::new("v1", "ConfigMap"), &mut object);
        assert_eq!(object, before);
    }
}
