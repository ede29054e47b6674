//! Pods, alone and as templates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::container;
use super::report::{Report, same};
use super::{metadata, selector, text};

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

/// A pod template.
pub(super) fn template(template: &Value, at: &str, report: &mut Report) {
    metadata::of_template(&template["metadata"], at, report);
    spec(&template["spec"], &format!("{at}.spec"), report);
}

/// What a pod runs.
pub(super) fn spec(spec: &Value, at: &str, report: &mut Report) {
    let under = |field: &str| format!("{at}.{field}");
    let volumes = volumes(&spec["volumes"], &under("volumes"), report);
    containers(spec, &volumes, at, report);
    match text_of(spec, "restartPolicy") {
        "" => report.required(&under("restartPolicy"), ""),
        "Always" | "OnFailure" | "Never" => {}
        other => report.unsupported(&under("restartPolicy"), other, &["Always", "OnFailure", "Never"]),
    }
    match text_of(spec, "dnsPolicy") {
        "" => report.required(&under("dnsPolicy"), ""),
        "ClusterFirstWithHostNet" | "ClusterFirst" | "Default" | "None" => {}
        other => {
            let known = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
            report.unsupported(&under("dnsPolicy"), other, &known);
        }
    }
    metadata::labels(&spec["nodeSelector"], &under("nodeSelector"), report);
    security(&spec["securityContext"], &under("securityContext"), report);
    for (index, secret) in items(&spec["imagePullSecrets"]) {
        if text_of(secret, "name").is_empty() {
            report.required(&under(&format!("imagePullSecrets[{index}].name")), "");
        }
    }
    affinity(&spec["affinity"], &under("affinity"), report);
    if text_of(spec, "dnsPolicy") == "None"
        && spec["dnsConfig"]["nameservers"].as_array().is_none_or(Vec::is_empty)
    {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        let at =
            if spec["dnsConfig"].is_null() { under("dnsConfig") } else { under("dnsConfig.nameservers") };
        report.required(&at, why);
    }
    spread(&spec["topologySpreadConstraints"], &under("topologySpreadConstraints"), report);
    for (field, rule) in
        [("serviceAccountName", text::subdomain as fn(&str) -> Vec<String>), ("nodeName", text::subdomain)]
    {
        let name = text_of(spec, field);
        if !name.is_empty() {
            report.all_invalid(&under(field), name, rule(name));
        }
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        report.number_invalid(
            &under("activeDeadlineSeconds"),
            seconds,
            text::in_range(seconds, 1, i64::from(i32::MAX)),
        );
    }
    for field in ["hostname", "subdomain"] {
        let name = text_of(spec, field);
        if !name.is_empty() {
            report.all_invalid(&under(field), name, text::label(name));
        }
    }
    tolerations(&spec["tolerations"], &under("tolerations"), report);
    let class = text_of(spec, "priorityClassName");
    if !class.is_empty() {
        report.all_invalid(&under("priorityClassName"), class, text::subdomain(class));
    }
}

fn containers<'v>(spec: &'v Value, volumes: &BTreeSet<&'v str>, at: &str, report: &mut Report) {
    let mut names = BTreeSet::new();
    let list = format!("{at}.containers");
    if items(&spec["containers"]).next().is_none() {
        report.required(&list, "");
    }
    let mut host_ports = BTreeSet::new();
    for (index, one) in items(&spec["containers"]) {
        let at = format!("{list}[{index}]");
        container::common(one, volumes, &at, report);
        if !names.insert(text_of(one, "name")) {
            report.duplicate(&format!("{at}.name"), text_of(one, "name"));
        }
        container::running(one, &at, report);
        for (index, port) in items(&one["ports"]) {
            let key =
                (text_of(port, "protocol"), text_of(port, "hostIP"), port["hostPort"].as_i64().unwrap_or(0));
            if key.2 != 0 && !host_ports.insert(key) {
                let shown = format!("{}/{}/{}", key.0, key.1, key.2);
                report.duplicate(&format!("{at}.ports[{index}].hostPort"), shown);
            }
        }
    }
    let list = format!("{at}.initContainers");
    for (index, one) in items(&spec["initContainers"]) {
        let at = format!("{list}[{index}]");
        container::common(one, volumes, &at, report);
        if !names.insert(text_of(one, "name")) {
            report.duplicate(&format!("{at}.name"), text_of(one, "name"));
        }
        if one["restartPolicy"] == "Always" {
            container::running(one, &at, report);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if one[field].is_object() {
                let why = "may not be set for init containers without restartPolicy=Always";
                report.forbidden(&format!("{at}.{field}"), why);
            }
        }
    }
}

fn volumes<'v>(list: &'v Value, at: &str, report: &mut Report) -> BTreeSet<&'v str> {
    let mut names = BTreeSet::new();
    for (index, volume) in items(list) {
        let at = format!("{at}[{index}]");
        let before = report.errors.len();
        volume_source(volume, &at, report);
        let name = text_of(volume, "name");
        if name.is_empty() {
            report.required(&format!("{at}.name"), "");
        } else {
            report.all_invalid(&format!("{at}.name"), name, text::label(name));
        }
        if names.contains(name) {
            report.duplicate(&format!("{at}.name"), name);
        }
        if report.errors.len() == before {
            names.insert(name);
        }
    }
    names
}

/// The sources of volumes in the order in which the server looks at them.
const SOURCES: [&str; 7] =
    ["emptyDir", "hostPath", "secret", "persistentVolumeClaim", "configMap", "projected", "downwardAPI"];

fn volume_source(volume: &Value, at: &str, report: &mut Report) {
    let mut found = 0;
    for source in SOURCES {
        let Some(body) = volume.get(source).filter(|body| body.is_object()) else { continue };
        let at = format!("{at}.{source}");
        found += 1;
        if found > 1 {
            report.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        match source {
            "hostPath" => host_path(body, &at, report),
            "secret" if text_of(body, "secretName").is_empty() => {
                report.required(&format!("{at}.secretName"), "");
            }
            "configMap" if text_of(body, "name").is_empty() => report.required(&format!("{at}.name"), ""),
            "persistentVolumeClaim" if text_of(body, "claimName").is_empty() => {
                report.required(&format!("{at}.claimName"), "");
            }
            _ => {}
        }
        if let Some(mode) = body["defaultMode"].as_i64().filter(|mode| !(0..=0o777).contains(mode)) {
            let why = "must be a number between 0 and 0777 (octal), both inclusive";
            report.invalid(&format!("{at}.defaultMode"), mode, why);
        }
    }
    let known = volume.as_object().is_some_and(|map| map.iter().any(|(k, v)| k != "name" && v.is_object()));
    if !known {
        report.required(at, "must specify a volume type");
    }
}

pub(super) fn host_path(body: &Value, at: &str, report: &mut Report) {
    let path = text_of(body, "path");
    if path.is_empty() {
        return report.required(&format!("{at}.path"), "");
    }
    if path.split('/').any(|part| part == "..") {
        report.invalid(&format!("{at}.path"), path, "must not contain '..'");
    }
    let kinds =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    report.one_of(&format!("{at}.type"), &body["type"], &kinds);
}

fn security(context: &Value, at: &str, report: &mut Report) {
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        if let Some(id) = context[field].as_i64() {
            report.number_invalid(&format!("{at}.{field}"), id, text::in_range(id, 0, i64::from(i32::MAX)));
        }
    }
    let policy = &context["fsGroupChangePolicy"];
    if !policy.is_null() {
        report.one_of(&format!("{at}.fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
}

fn affinity(affinity: &Value, at: &str, report: &mut Report) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let node = &affinity["nodeAffinity"][required];
    if node.is_object() {
        node_selector(node, &format!("{at}.nodeAffinity.{required}"), report);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (index, term) in items(&affinity[kind][required]) {
            let at = format!("{at}.{kind}.{required}[{index}]");
            selector::label_selector(&term["labelSelector"], &format!("{at}.labelSelector"), report);
            let key = text_of(term, "topologyKey");
            if key.is_empty() {
                report.required(&format!("{at}.topologyKey"), "can not be empty");
            }
            report.all_invalid(&format!("{at}.topologyKey"), key, text::qualified(key));
        }
    }
}

/// Terms that select nodes.
pub(super) fn node_selector(node: &Value, at: &str, report: &mut Report) {
    let at = format!("{at}.nodeSelectorTerms");
    if items(&node["nodeSelectorTerms"]).next().is_none() {
        return report.required(&at, "must have at least one node selector term");
    }
    for (index, term) in items(&node["nodeSelectorTerms"]) {
        for (j, one) in items(&term["matchExpressions"]) {
            let at = format!("{at}[{index}].matchExpressions[{j}]");
            let values = items(&one["values"]).count();
            match text_of(one, "operator") {
                "In" | "NotIn" => {
                    if values == 0 {
                        let why = "must be specified when `operator` is 'In' or 'NotIn'";
                        report.required(&format!("{at}.values"), why);
                    }
                }
                "Exists" | "DoesNotExist" => {
                    if values > 0 {
                        let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                        report.forbidden(&format!("{at}.values"), why);
                    }
                }
                "Gt" | "Lt" => {
                    if values != 1 {
                        let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                        report.required(&format!("{at}.values"), why);
                    }
                }
                other => report.invalid(&format!("{at}.operator"), other, "not a valid selector operator"),
            }
            let key = text_of(one, "key");
            report.all_invalid(&format!("{at}.key"), key, text::qualified(key));
        }
    }
}

fn spread(constraints: &Value, at: &str, report: &mut Report) {
    for (index, one) in items(constraints) {
        let at = format!("{at}[{index}]");
        let skew = one["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            report.invalid(&format!("{at}.maxSkew"), skew, "must be greater than zero");
        }
        let key = text_of(one, "topologyKey");
        if key.is_empty() {
            report.required(&format!("{at}.topologyKey"), "can not be empty");
        } else {
            report.all_invalid(&format!("{at}.topologyKey"), key, text::qualified(key));
        }
        let known = ["DoNotSchedule", "ScheduleAnyway"];
        report.one_of(&format!("{at}.whenUnsatisfiable"), &one["whenUnsatisfiable"], &known);
        selector::label_selector(&one["labelSelector"], &format!("{at}.labelSelector"), report);
    }
}

fn tolerations(list: &Value, at: &str, report: &mut Report) {
    for (index, one) in items(list) {
        let at = format!("{at}[{index}]");
        let (key, operator, value, effect) =
            (text_of(one, "key"), text_of(one, "operator"), text_of(one, "value"), text_of(one, "effect"));
        if !key.is_empty() {
            report.all_invalid(&format!("{at}.key"), key, text::qualified(key));
        }
        if key.is_empty() && operator != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            report.invalid(&format!("{at}.operator"), operator, why);
        }
        if !one["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            report.invalid(&format!("{at}.effect"), effect, why);
        }
        match operator {
            "Equal" | "" => {
                let wrong = text::label_value(value);
                if !wrong.is_empty() {
                    report.invalid(&format!("{at}.operator"), value, &wrong.join(";"));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let why = "value must be empty when `operator` is 'Exists'";
                    report.invalid(&format!("{at}.operator"), value, why);
                }
            }
            other => report.unsupported(&format!("{at}.operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            report.one_of(&format!("{at}.effect"), &one["effect"], &known);
        }
    }
}

/// What may change in a pod that is there: hardly anything.
pub(super) fn update(body: &Value, before: &Value, report: &mut Report) {
    for list in ["containers", "initContainers"] {
        let (now, then) = (&body["spec"][list], &before["spec"][list]);
        if items(now).count() != items(then).count() {
            report.forbidden(&format!("spec.{list}"), "pod updates may not add or remove containers");
            return;
        }
    }
    let fixed = |body: &Value| {
        let mut spec = body["spec"].clone();
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container.as_object_mut().map(|container| container.remove("image"));
            }
        }
        for field in
            ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"]
        {
            spec.as_object_mut().map(|spec| spec.remove(field));
        }
        spec
    };
    if !same(&fixed(body), &fixed(before)) {
        // The difference that the server prints is its structs' own.
        report.forbidden("spec", "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
    }
}
