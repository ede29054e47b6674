//! Containers of pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::report::Report;
use super::text;
use crate::schema::quantity_value;

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

/// What is asked of every container.
pub(super) fn common(one: &Value, volumes: &BTreeSet<&str>, at: &str, report: &mut Report) {
    match text_of(one, "name") {
        "" => report.required(&format!("{at}.name"), ""),
        name => report.all_invalid(&format!("{at}.name"), name, text::label(name)),
    }
    if text_of(one, "image").is_empty() {
        report.required(&format!("{at}.image"), "");
    }
    let policies = ["File", "FallbackToLogsOnError"];
    report.one_of(&format!("{at}.terminationMessagePolicy"), &one["terminationMessagePolicy"], &policies);
    ports(&one["ports"], &format!("{at}.ports"), report);
    variables(&one["env"], &format!("{at}.env"), report);
    mounts(&one["volumeMounts"], volumes, &format!("{at}.volumeMounts"), report);
    report.one_of(
        &format!("{at}.imagePullPolicy"),
        &one["imagePullPolicy"],
        &["Always", "IfNotPresent", "Never"],
    );
    resources(&one["resources"], &format!("{at}.resources"), report);
    for field in ["runAsUser", "runAsGroup"] {
        if let Some(id) = one["securityContext"][field].as_i64() {
            let at = format!("{at}.securityContext.{field}");
            report.number_invalid(&at, id, text::in_range(id, 0, i64::from(i32::MAX)));
        }
    }
}

/// What is asked of a container that goes on running.
pub(super) fn running(one: &Value, at: &str, report: &mut Report) {
    for moment in ["postStart", "preStop"] {
        let action = &one["lifecycle"][moment];
        if action.is_object() {
            handler(action, &format!("{at}.lifecycle.{moment}"), report);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &one[name];
        if !probe.is_object() {
            continue;
        }
        let at = format!("{at}.{name}");
        handler(probe, &at, report);
        for field in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            report.nonnegative(&format!("{at}.{field}"), &probe[field]);
        }
        if let Some(grace) = probe["terminationGracePeriodSeconds"].as_i64().filter(|grace| *grace <= 0) {
            report.invalid(&format!("{at}.terminationGracePeriodSeconds"), grace, "must be greater than 0");
        }
        let threshold = probe["successThreshold"].as_i64().unwrap_or(0);
        if name != "readinessProbe" && threshold != 1 {
            report.invalid(&format!("{at}.successThreshold"), threshold, "must be 1");
        }
    }
}

fn handler(action: &Value, at: &str, report: &mut Report) {
    let mut found = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(body) = action.get(kind).filter(|body| body.is_object()) else { continue };
        let at = format!("{at}.{kind}");
        found += 1;
        if found > 1 {
            report.forbidden(&at, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" if items(&body["command"]).next().is_none() => {
                report.required(&format!("{at}.command"), "")
            }
            "httpGet" => {
                if text_of(body, "path").is_empty() {
                    report.required(&format!("{at}.path"), "");
                }
                port_or_name(&body["port"], &format!("{at}.port"), report);
                report.one_of(&format!("{at}.scheme"), &body["scheme"], &["HTTP", "HTTPS"]);
            }
            "tcpSocket" => port_or_name(&body["port"], &format!("{at}.port"), report),
            "grpc" => {
                let port = body["port"].as_i64().unwrap_or(0);
                report.number_invalid(&format!("{at}.port"), port, text::port(port));
            }
            _ => {}
        }
    }
    if found == 0 {
        report.required(at, "must specify a handler type");
    }
}

/// A port by its number or its name.
pub(super) fn port_or_name(port: &Value, at: &str, report: &mut Report) {
    match port {
        Value::String(name) => report.all_invalid(at, name, text::port_name(name)),
        other => {
            let number = other.as_i64().unwrap_or(0);
            report.number_invalid(at, number, text::port(number));
        }
    }
}

fn ports(list: &Value, at: &str, report: &mut Report) {
    let mut names = BTreeSet::new();
    for (index, port) in items(list) {
        let at = format!("{at}[{index}]");
        let name = text_of(port, "name");
        if !name.is_empty() {
            let wrong = text::port_name(name);
            if wrong.is_empty() && !names.insert(name) {
                report.duplicate(&format!("{at}.name"), name);
            }
            report.all_invalid(&format!("{at}.name"), name, wrong);
        }
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => report.required(&format!("{at}.containerPort"), ""),
            number => report.number_invalid(&format!("{at}.containerPort"), number, text::port(number)),
        }
        if let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) {
            report.number_invalid(&format!("{at}.hostPort"), number, text::port(number));
        }
        protocol(&port["protocol"], &format!("{at}.protocol"), report);
    }
}

/// A transport.
pub(super) fn protocol(protocol: &Value, at: &str, report: &mut Report) {
    match protocol.as_str().unwrap_or_default() {
        "" => report.required(at, ""),
        "SCTP" | "TCP" | "UDP" => {}
        other => report.unsupported(at, other, &["SCTP", "TCP", "UDP"]),
    }
}

/// Fields of a pod that a variable may be taken from.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn variables(list: &Value, at: &str, report: &mut Report) {
    for (index, one) in items(list) {
        let at = format!("{at}[{index}]");
        match text_of(one, "name") {
            "" => report.required(&format!("{at}.name"), ""),
            name => report.all_invalid(&format!("{at}.name"), name, text::variable(name)),
        }
        let Some(from) = one.get("valueFrom").filter(|from| from.is_object()) else { continue };
        let at = format!("{at}.valueFrom");
        let field = &from["fieldRef"];
        if field.is_object() {
            field_reference(field, &format!("{at}.fieldRef"), report);
        }
        for source in ["configMapKeyRef", "secretKeyRef"] {
            let Some(reference) = from.get(source).filter(|reference| reference.is_object()) else {
                continue;
            };
            match text_of(reference, "key") {
                "" => report.required(&format!("{at}.{source}.key"), ""),
                key => report.all_invalid(&format!("{at}.{source}.key"), key, text::config_key(key)),
            }
        }
        let sources = from.as_object().map_or(0, |from| from.values().filter(|v| v.is_object()).count());
        if sources == 0 {
            report.invalid(&at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
        } else if !text_of(one, "value").is_empty() {
            report.invalid(&at, "", "may not be specified when `value` is not empty");
        } else if sources > 1 {
            report.invalid(&at, "", "may not have more than one field specified at a time");
        }
    }
}

fn field_reference(field: &Value, at: &str, report: &mut Report) {
    let path = text_of(field, "fieldPath");
    if text_of(field, "apiVersion").is_empty() {
        return report.required(&format!("{at}.apiVersion"), "");
    }
    if path.is_empty() {
        return report.required(&format!("{at}.fieldPath"), "");
    }
    let plain = path.split('[').next().unwrap_or(path);
    let known = FIELDS.contains(&path) || matches!(plain, "metadata.annotations" | "metadata.labels");
    if !known {
        report.invalid(
            &format!("{at}.fieldPath"),
            path,
            &format!("error converting fieldPath: field label not supported: {path}"),
        );
    }
}

fn mounts(list: &Value, volumes: &BTreeSet<&str>, at: &str, report: &mut Report) {
    let mut paths = BTreeSet::new();
    for (index, mount) in items(list) {
        let at = format!("{at}[{index}]");
        let (name, path) = (text_of(mount, "name"), text_of(mount, "mountPath"));
        if name.is_empty() {
            report.required(&format!("{at}.name"), "");
        }
        if !volumes.contains(name) {
            report.not_found(&format!("{at}.name"), name);
        }
        if path.is_empty() {
            report.required(&format!("{at}.mountPath"), "");
        }
        if !paths.insert(path) {
            report.invalid(&format!("{at}.mountPath"), path, "must be unique");
        }
    }
}

/// Resources that containers have without a domain in their name.
pub(super) fn is_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn is_standard_resource(name: &str) -> bool {
    is_container_resource(name)
        || name.starts_with("requests.hugepages-")
        || matches!(
            name,
            "requests.cpu"
                | "requests.memory"
                | "requests.ephemeral-storage"
                | "limits.cpu"
                | "limits.memory"
                | "limits.ephemeral-storage"
                | "pods"
                | "resourcequotas"
                | "services"
                | "replicationcontrollers"
                | "secrets"
                | "configmaps"
                | "persistentvolumeclaims"
                | "storage"
                | "requests.storage"
                | "services.nodeports"
                | "services.loadbalancers"
        )
}

/// The name of a resource.
pub(super) fn resource_name(name: &str, at: &str, report: &mut Report) -> bool {
    let wrong = text::qualified(name);
    if !wrong.is_empty() {
        report.all_invalid(at, name, wrong);
        return false;
    }
    if !name.contains('/') && !is_standard_resource(name) {
        report.invalid(at, name, "must be a standard resource type or fully qualified");
        return false;
    }
    true
}

/// An amount of a resource.
pub(super) fn amount(name: &str, value: &Value, at: &str, report: &mut Report) {
    let Some(number) = value.as_str().and_then(quantity_value) else { return };
    if number < 0.0 {
        report.invalid(at, value.clone(), "must be greater than or equal to 0");
    }
    let whole = name.contains('/')
        || matches!(
            name,
            "pods"
                | "resourcequotas"
                | "services"
                | "replicationcontrollers"
                | "secrets"
                | "configmaps"
                | "persistentvolumeclaims"
                | "services.nodeports"
                | "services.loadbalancers"
        );
    if whole && number.fract() != 0.0 {
        report.invalid(at, value.clone(), "must be an integer");
    }
}

fn resources(resources: &Value, at: &str, report: &mut Report) {
    let entries = |field: &str| resources[field].as_object().into_iter().flatten().collect::<Vec<_>>();
    let named = |name: &str, at: &str, report: &mut Report| {
        resource_name(name, at, report);
        if !name.contains('/') && !is_container_resource(name) {
            report.invalid(at, name, "must be a standard resource for containers");
        }
    };
    for (name, limit) in entries("limits") {
        let at = format!("{at}.limits[{name}]");
        named(name, &at, report);
        amount(name, limit, &at, report);
    }
    for (name, request) in entries("requests") {
        let field = format!("{at}.requests");
        let at = format!("{field}[{name}]");
        named(name, &at, report);
        amount(name, request, &at, report);
        let limit = &resources["limits"][name.as_str()];
        let of = |value: &Value| value.as_str().and_then(quantity_value);
        match (of(request), of(limit)) {
            (Some(asked), Some(most)) if name.contains('/') && asked != most => {
                let why = format!("must be equal to {name} limit of {}", limit.as_str().unwrap_or_default());
                report.invalid(&field, request.clone(), &why);
            }
            (Some(asked), Some(most)) if asked > most => {
                let limit = limit.as_str().unwrap_or_default();
                report.invalid(
                    &field,
                    request.clone(),
                    &format!("must be less than or equal to {name} limit of {limit}"),
                );
            }
            (Some(_), None) if name.contains('/') => {
                report.required(
                    &format!("{}[{name}]", field.replace("requests", "limits")),
                    "Limit must be set for non overcommitable resources",
                );
            }
            _ => {}
        }
    }
}
