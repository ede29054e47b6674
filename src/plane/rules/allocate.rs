//! What the server allocates for a service out of its pools: addresses and ports of nodes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::report::same;
use super::service::{is_external, needs_health_check};
use crate::plane::write::set_or_remove;

/// The fields that belong to a service with an address.
const ADDRESS: [&str; 4] = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];

/// A new service.
pub(super) fn new_service(body: &mut Value) {
    let Some(spec) = body.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    families(spec);
    addresses(spec);
    node_ports(spec);
}

/// A service that was another before: it keeps what was allocated while it needs it, and gives back what it does not.
pub(super) fn changed_service(body: &mut Value, before: &Value) {
    let old = &before["spec"];
    let Some(spec) = body.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    keep(spec, old);
    give_back(spec, old);
    families(spec);
    addresses(spec);
    node_ports(spec);
    if spec["type"] != "LoadBalancer"
        && let Some(status) = body.get_mut("status").filter(|status| status.is_object())
    {
        status["loadBalancer"] = json!({});
    }
}

fn keep(spec: &mut Value, old: &Value) {
    let lacks =
        |spec: &Value, field: &str| same(&spec[field], &Value::Null) || spec[field] == "" || spec[field] == 0;
    if has_address(spec) && has_address(old) {
        for field in ADDRESS {
            if lacks(spec, field) {
                set_or_remove(spec, field, old[field].clone());
            }
        }
    }
    if has_node_ports(spec) && has_node_ports(old) {
        let used: BTreeSet<i64> = numbers(spec).intersection(&numbers(old)).copied().collect();
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
            let was = old["ports"].as_array().into_iter().flatten().rfind(|was| name(was) == name(port));
            let was = was.and_then(|was| was["nodePort"].as_i64()).filter(|number| !used.contains(number));
            if let (Some(was), true) = (was, lacks(port, "nodePort")) {
                port["nodePort"] = was.into();
            }
        }
    }
    if needs_health_check(spec) && needs_health_check(old) && lacks(spec, "healthCheckNodePort") {
        set_or_remove(spec, "healthCheckNodePort", old["healthCheckNodePort"].clone());
    }
}

/// What a service of another type needs no more goes, unless the writer changed it too: then it is an error.
fn give_back(spec: &mut Value, old: &Value) {
    let drop = |spec: &mut Value, fields: &[&str]| {
        if fields.iter().all(|field| same(&spec[*field], &old[*field])) {
            fields.iter().for_each(|field| set_or_remove(spec, field, Value::Null));
        }
    };
    if has_address(old) && !has_address(spec) {
        drop(spec, &["clusterIP", "clusterIPs"]);
        drop(spec, &["ipFamilies"]);
        drop(spec, &["ipFamilyPolicy"]);
    }
    if needs_health_check(old) && !needs_health_check(spec) {
        drop(spec, &["healthCheckNodePort"]);
    }
    if old["type"] == "LoadBalancer" && spec["type"] != "LoadBalancer" {
        drop(spec, &["allocateLoadBalancerNodePorts"]);
        drop(spec, &["loadBalancerClass"]);
    }
    if is_external(old) && !is_external(spec) {
        drop(spec, &["externalTrafficPolicy"]);
    }
    if has_node_ports(old) && !has_node_ports(spec) && numbers(old) == numbers(spec) {
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            set_or_remove(port, "nodePort", Value::Null);
        }
    }
}

fn has_address(spec: &Value) -> bool {
    spec["type"] != "ExternalName"
}

fn has_node_ports(spec: &Value) -> bool {
    spec["type"] == "NodePort"
        || (spec["type"] == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false)
}

/// The ports of nodes that a service has.
fn numbers(spec: &Value) -> BTreeSet<i64> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["nodePort"].as_i64()).filter(|number| *number != 0).collect()
}

/// One family, as the address says or IPv4.
fn families(spec: &mut Value) {
    if !has_address(spec) {
        return;
    }
    let address = spec["clusterIPs"][0].as_str().or(spec["clusterIP"].as_str()).unwrap_or_default();
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    if same(&spec["ipFamilies"], &Value::Null) {
        spec["ipFamilies"] = json!([family]);
    }
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
}

fn addresses(spec: &mut Value) {
    if !has_address(spec) {
        return;
    }
    if spec["clusterIP"].as_str().unwrap_or_default().is_empty() {
        // One that is sent without the other is an error that validation tells.
        if !same(&spec["clusterIPs"], &Value::Null) {
            return;
        }
        spec["clusterIP"] = address().into();
    }
    if same(&spec["clusterIPs"], &Value::Null) {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
}

/// An address of 10.96.0.0/12.
fn address() -> String {
    let random = uuid::Uuid::new_v4();
    let bytes = random.as_bytes();
    format!("10.{}.{}.{}", 96 + bytes[0] % 16, bytes[1], 1 + bytes[2] % 254)
}

/// Ports between 30000 and 32767; ports of one number, for two protocols, share one.
fn node_ports(spec: &mut Value) {
    if needs_health_check(spec) && spec["healthCheckNodePort"].as_i64().unwrap_or(0) == 0 {
        spec["healthCheckNodePort"] = node_port(&numbers(spec)).into();
    }
    if !has_node_ports(spec) {
        return;
    }
    let mut used = numbers(spec);
    let mut given: Vec<(Value, Value, i64)> = Vec::new();
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        let (number, protocol) = (port["port"].clone(), port["protocol"].clone());
        if let Some(there) = port["nodePort"].as_i64().filter(|there| *there != 0) {
            given.push((number, protocol, there));
            continue;
        }
        let shared = given.iter().find(|(port, other, _)| *port == number && *other != protocol);
        let chosen = shared.map_or_else(|| node_port(&used), |(_, _, chosen)| *chosen);
        used.insert(chosen);
        port["nodePort"] = chosen.into();
        given.push((number, protocol, chosen));
    }
}

fn node_port(used: &BTreeSet<i64>) -> i64 {
    let random = uuid::Uuid::new_v4();
    let bytes = random.as_bytes();
    let start = i64::from(u16::from_be_bytes([bytes[0], bytes[1]])) % 2768;
    let mut numbers = (0..2768).map(|offset| 30000 + (start + offset) % 2768);
    numbers.find(|number| !used.contains(number)).unwrap_or(30000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_what_it_needs_and_gives_back_the_rest() {
        let mut service = json!({"spec": {"type": "NodePort", "ports": [
            {"port": 53, "protocol": "TCP", "name": "a"}, {"port": 53, "protocol": "UDP", "name": "b"},
        ]}});
        new_service(&mut service);
        let ports = &service["spec"]["ports"];
        assert_eq!(ports[0]["nodePort"], ports[1]["nodePort"]);
        assert!((30000..32768).contains(&ports[0]["nodePort"].as_i64().unwrap()));

        let mut changed =
            json!({"spec": {"type": "NodePort", "ports": [{"port": 53, "protocol": "TCP", "name": "a"}]}});
        changed_service(&mut changed, &service);
        assert_eq!(changed["spec"]["ports"][0]["nodePort"], ports[0]["nodePort"]);
        assert_eq!(changed["spec"]["clusterIP"], service["spec"]["clusterIP"]);

        let mut changed = service.clone();
        changed["spec"]["type"] = "ExternalName".into();
        changed_service(&mut changed, &service);
        assert!(changed["spec"].get("clusterIP").is_none());
        assert!(changed["spec"]["ports"][0].get("nodePort").is_none());
    }
}
