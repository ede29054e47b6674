//! Services, what is behind them, and who may reach what.

use serde_json::{Value, json};

use super::{items, set, within};

pub(super) fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    affinity(spec);
    set(spec, "type", "ClusterIP");
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    for port in items(spec, "ports") {
        set(port, "protocol", "TCP");
        if port.get("targetPort").is_some_and(|target| *target == 0 || *target == "") {
            port["targetPort"] = Value::Null;
        }
        let number = port.get("port").cloned().unwrap_or_default();
        set(port, "targetPort", number);
    }
    let reachable = items(spec, "externalIPs").next().is_some();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && reachable) {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        let balancer = within(object, "status").and_then(|status| within(status, "loadBalancer"));
        for ingress in balancer.into_iter().flat_map(|balancer| items(balancer, "ingress")) {
            if ingress.get("ip").is_some_and(|address| address != "") {
                set(ingress, "ipMode", "VIP");
            }
        }
    }
}

fn affinity(spec: &mut Value) {
    set(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        spec.as_object_mut().map(|spec| spec.remove("sessionAffinityConfig"));
    }
    if spec["sessionAffinity"] == "ClientIP"
        && spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").is_none_or(Value::is_null)
    {
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
    }
}

pub(super) fn endpoints(object: &mut Value) {
    for subset in items(object, "subsets") {
        items(subset, "ports").for_each(|port| set(port, "protocol", "TCP"));
    }
}

pub(super) fn endpoint_slice(object: &mut Value) {
    if object.get("endpoints").is_none() {
        object["endpoints"] = Value::Null;
    }
    for port in items(object, "ports") {
        if port.get("name").is_none_or(Value::is_null) {
            port["name"] = "".into();
        }
        set(port, "protocol", "TCP");
    }
}

pub(super) fn network_policy(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    if items(spec, "policyTypes").next().is_none() {
        let outgoing = items(spec, "egress").next().is_some();
        let types: &[&str] = if outgoing { &["Ingress", "Egress"] } else { &["Ingress"] };
        spec["policyTypes"] = json!(types);
    }
    for direction in ["ingress", "egress"] {
        for rule in items(spec, direction) {
            items(rule, "ports").for_each(|port| set(port, "protocol", "TCP"));
        }
    }
}

pub(super) fn ingress_class(spec: &mut Value) {
    if let Some(parameters) = within(spec, "parameters") {
        set(parameters, "scope", "Cluster");
    }
}
