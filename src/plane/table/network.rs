//! Services, endpoints, ingresses, network policies, addresses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::row::{Row, first_of, joined, list, number, shown, text, text_or};
use super::{Cells, selectors};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource {
        "services" => service,
        "endpoints" => |row| vec![row.name(), endpoints(list(&row.body["subsets"])).into(), row.age()],
        "endpointslices.discovery.k8s.io" => endpoint_slice,
        "ingresses.networking.k8s.io" => ingress,
        "ingressclasses.networking.k8s.io" => ingress_class,
        "networkpolicies.networking.k8s.io" => {
            |row| vec![row.name(), selectors::selector(&row.body["spec"]["podSelector"]).into(), row.age()]
        }
        "servicecidrs.networking.k8s.io" => {
            |row| vec![row.name(), joined(&row.body["spec"]["cidrs"]).into(), row.age()]
        }
        "ipaddresses.networking.k8s.io" => ip_address,
        _ => return None,
    })
}

fn service(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    let ports: Vec<String> = list(&spec["ports"]).iter().map(port).collect();
    let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
    vec![
        row.name(),
        text(&spec["type"]).into(),
        text_or(&spec["clusterIPs"][0], "<none>").into(),
        external_ip(row.body).into(),
        ports.into(),
        row.age(),
        selectors::labels(&spec["selector"]).into(),
    ]
}

fn port(port: &Value) -> String {
    let (number_of, protocol) = (number(&port["port"]), text(&port["protocol"]));
    match number(&port["nodePort"]) {
        node if node > 0 => format!("{number_of}:{node}/{protocol}"),
        _ => format!("{number_of}/{protocol}"),
    }
}

fn external_ip(service: &Value) -> String {
    let spec = &service["spec"];
    let own = joined(&spec["externalIPs"]);
    match text(&spec["type"]) {
        "ClusterIP" | "NodePort" if own.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => own,
        "LoadBalancer" => {
            let balancer = load_balancer(&service["status"]);
            match (balancer.is_empty(), own.is_empty()) {
                (true, true) => "<pending>".to_owned(),
                (false, true) => balancer,
                (true, false) => own,
                (false, false) => format!("{balancer},{own}"),
            }
        }
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// Addresses or names of a load balancer, each once.
fn load_balancer(status: &Value) -> String {
    let ingress = list(&status["loadBalancer"]["ingress"]).iter();
    let names: BTreeSet<&str> = ingress
        .map(|entry| text_or(&entry["ip"], text(&entry["hostname"])))
        .filter(|name| !name.is_empty())
        .collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

fn endpoints(subsets: &[Value]) -> String {
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let (addresses, ports) = (list(&subset["addresses"]), list(&subset["ports"]));
        if ports.is_empty() {
            all.extend(addresses.iter().map(|address| text(&address["ip"]).to_owned()));
        }
        for port in ports {
            all.extend(addresses.iter().map(|address| {
                let ip = text(&address["ip"]);
                let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
                format!("{ip}:{}", number(&port["port"]))
            }));
        }
    }
    first_of(&all, 3)
}

fn endpoint_slice(row: &Row<'_>) -> Vec<Value> {
    let ports: Vec<String> = list(&row.body["ports"])
        .iter()
        .map(|port| match (&port["port"], port["name"].as_str()) {
            (Value::Null, name) => name.unwrap_or("*").to_owned(),
            (port, _) => shown(port),
        })
        .collect();
    let addresses = list(&row.body["endpoints"]).iter().flat_map(|endpoint| list(&endpoint["addresses"]));
    let addresses: Vec<String> = addresses.map(|address| text(address).to_owned()).collect();
    let or_unset = |text: String| if text.is_empty() { "<unset>".to_owned() } else { text };
    vec![
        row.name(),
        text(&row.body["addressType"]).into(),
        or_unset(first_of(&ports, 3)).into(),
        or_unset(first_of(&addresses, 3)).into(),
        row.age(),
    ]
}

fn ingress(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    vec![
        row.name(),
        spec["ingressClassName"].as_str().unwrap_or("<none>").into(),
        hosts(list(&spec["rules"])).into(),
        load_balancer(&row.body["status"]).into(),
        if list(&spec["tls"]).is_empty() { "80".into() } else { "80, 443".into() },
        row.age(),
    ]
}

/// The first three hosts; rules without a host are not shown, and are counted.
fn hosts(rules: &[Value]) -> String {
    let mut shown = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == 3;
        let host = text(&rule["host"]);
        if !more && !host.is_empty() {
            shown.push(host);
        }
    }
    match (shown.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, false) => shown.join(","),
        (false, true) => format!("{} + {} more...", shown.join(","), rules.len() - 3),
    }
}

fn ingress_class(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    let parameters = &spec["parameters"];
    let shown = match (parameters.is_object(), parameters["apiGroup"].as_str()) {
        (false, _) => "<none>".to_owned(),
        (true, Some(group)) => format!("{}.{group}/{}", text(&parameters["kind"]), text(&parameters["name"])),
        (true, None) => format!("{}/{}", text(&parameters["kind"]), text(&parameters["name"])),
    };
    vec![row.name(), text(&spec["controller"]).into(), shown.into(), row.age()]
}

/// The age is there although no column is declared for it.
fn ip_address(row: &Row<'_>) -> Vec<Value> {
    let parent = &row.body["spec"]["parentRef"];
    let shown = if parent.is_object() {
        let resource = match text(&parent["group"]) {
            "" => text(&parent["resource"]).to_lowercase(),
            group => format!("{}.{group}", text(&parent["resource"])).to_lowercase(),
        };
        match text(&parent["namespace"]) {
            "" => format!("{resource}/{}", text(&parent["name"])),
            namespace => format!("{resource}/{namespace}/{}", text(&parent["name"])),
        }
    } else {
        "<none>".to_owned()
    };
    vec![row.name(), shown.into(), row.age()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_lists_are_cut() {
        let rules = json!([{"host": "a"}, {"host": "b"}, {}, {"host": "c"}, {"host": "d"}]);
        assert_eq!(hosts(list(&rules)), "a,b,c + 2 more...");
        let subsets =
            json!([{"addresses": [{"ip": "1.1.1.1"}, {"ip": "::1"}], "ports": [{"port": 80}, {"port": 81}]}]);
        assert_eq!(endpoints(list(&subsets)), "1.1.1.1:80,[::1]:80,1.1.1.1:81 + 1 more...");
    }
}
