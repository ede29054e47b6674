//! Ingresses and network policies.

use serde_json::Value;

use super::report::Report;
use super::{selector, service, text};

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

pub(super) fn ingress(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    if items(&spec["rules"]).next().is_none() && spec["defaultBackend"].is_null() {
        report.invalid("spec", Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    if spec["defaultBackend"].is_object() {
        backend(&spec["defaultBackend"], "spec.defaultBackend", report);
    }
    for (index, rule) in items(&spec["rules"]) {
        let at = format!("spec.rules[{index}]");
        host(text_of(rule, "host"), &format!("{at}.host"), report);
        let http = &rule["http"];
        if !http.is_object() {
            continue;
        }
        if items(&http["paths"]).next().is_none() {
            report.required(&format!("{at}.http.paths"), "");
        }
        for (index, one) in items(&http["paths"]) {
            path(one, &format!("{at}.http.paths[{index}]"), report);
        }
    }
    for (index, tls) in items(&spec["tls"]) {
        for (j, name) in items(&tls["hosts"]) {
            let name = name.as_str().unwrap_or_default();
            let wrong = if name.contains('*') { text::wildcard(name) } else { text::subdomain(name) };
            report.all_invalid(&format!("spec.tls[{index}].hosts[{j}]"), name, wrong);
        }
        let secret = text_of(tls, "secretName");
        if !secret.is_empty() {
            report.all_invalid(&format!("spec.tls[{index}].secretName"), secret, text::subdomain(secret));
        }
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        report.all_invalid("spec.ingressClassName", class, text::subdomain(class));
    }
}

fn host(host: &str, at: &str, report: &mut Report) {
    if host.is_empty() {
        return;
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        report.invalid(at, host, "must be a DNS name, not an IP address");
    }
    report.all_invalid(
        at,
        host,
        if host.contains('*') { text::wildcard(host) } else { text::subdomain(host) },
    );
}

fn path(one: &Value, at: &str, report: &mut Report) {
    let path = text_of(one, "path");
    let below = format!("{at}.path");
    match one["pathType"].as_str() {
        None => return report.required(&format!("{at}.pathType"), "pathType must be specified"),
        Some("Exact" | "Prefix") => {
            if !path.starts_with('/') {
                report.invalid(&below, path, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"] {
                if path.contains(bad) {
                    report.invalid(&below, path, &format!("must not contain '{bad}'"));
                }
            }
            for bad in ["/..", "/."] {
                if path.ends_with(bad) {
                    report.invalid(&below, path, &format!("cannot end with '{bad}'"));
                }
            }
        }
        Some("ImplementationSpecific") => {
            if !path.is_empty() && !path.starts_with('/') {
                report.invalid(&below, path, "must be an absolute path");
            }
        }
        Some(other) => {
            let known = ["Exact", "ImplementationSpecific", "Prefix"];
            report.unsupported(&format!("{at}.pathType"), other, &known);
        }
    }
    backend(&one["backend"], &format!("{at}.backend"), report);
}

fn backend(backend: &Value, at: &str, report: &mut Report) {
    let (resource, target) = (&backend["resource"], &backend["service"]);
    match (resource.is_object(), target.is_object()) {
        (true, true) => report.invalid(at, "", "cannot set both resource and service backends"),
        (true, false) => {
            for field in ["kind", "name"] {
                let at = format!("{at}.resource.{field}");
                match text_of(resource, field) {
                    "" => report.required(&at, ""),
                    name => report.all_invalid(&at, name, text::path_segment(name)),
                }
            }
        }
        (false, true) => {
            match text_of(target, "name") {
                "" => report.required(&format!("{at}.service.name"), ""),
                name => report.all_invalid(&format!("{at}.service.name"), name, text::letter_label(name)),
            }
            let port = &target["port"];
            let (name, number) = (text_of(port, "name"), port["number"].as_i64().unwrap_or(0));
            match (name, number) {
                ("", 0) => report.required(at, "port name or number is required"),
                ("", number) => {
                    report.number_invalid(&format!("{at}.service.port.number"), number, text::port(number));
                }
                (name, 0) => {
                    report.all_invalid(&format!("{at}.service.port.name"), name, text::port_name(name));
                }
                _ => report.invalid(at, "", "cannot set both port name & port number"),
            }
        }
        (false, false) => report.invalid(at, "", "resource or service backend is required"),
    }
}

/// Addresses that a load balancer has.
pub(super) fn balancer_status(body: &Value, report: &mut Report) {
    for (index, one) in items(&body["status"]["loadBalancer"]["ingress"]) {
        let at = format!("status.loadBalancer.ingress[{index}]");
        let (address, name) = (text_of(one, "ip"), text_of(one, "hostname"));
        if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            report.invalid(&format!("{at}.ip"), address, why);
        }
        if !name.is_empty() {
            report.all_invalid(&format!("{at}.hostname"), name, text::subdomain(name));
        }
    }
}

pub(super) fn network_policy(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    selector::label_selector(&spec["podSelector"], "spec.podSelector", report);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[direction]) {
            let at = format!("spec.{direction}[{index}]");
            for (j, port) in items(&rule["ports"]) {
                policy_port(port, &format!("{at}.ports[{j}]"), report);
            }
            for (j, one) in items(&rule[peers]) {
                peer(one, &format!("{at}.{peers}[{j}]"), report);
            }
        }
    }
    let types = &spec["policyTypes"];
    if items(types).count() > 2 {
        return report.invalid(
            "spec.policyTypes",
            types.clone(),
            "may not specify more than two policyTypes",
        );
    }
    for (index, one) in items(types) {
        report.one_of(&format!("spec.policyTypes[{index}]"), one, &["Ingress", "Egress"]);
    }
}

fn policy_port(port: &Value, at: &str, report: &mut Report) {
    if !port["protocol"].is_null() {
        report.one_of(&format!("{at}.protocol"), &port["protocol"], &["TCP", "UDP", "SCTP"]);
    }
    let end = port["endPort"].as_i64();
    let end_at = format!("{at}.endPort");
    match &port["port"] {
        Value::Null => {
            if let Some(end) = end {
                report.invalid(&end_at, end, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if let Some(end) = end {
                report.invalid(&end_at, end, "may not be specified when `port` is non-numeric");
            }
            report.all_invalid(&format!("{at}.port"), name, text::port_name(name));
        }
        number => {
            let number = number.as_i64().unwrap_or(0);
            report.number_invalid(&format!("{at}.port"), number, text::port(number));
            if let Some(end) = end {
                if end < number {
                    report.invalid(&end_at, number, "must be greater than or equal to `port`");
                }
                report.number_invalid(&end_at, end, text::port(end));
            }
        }
    }
}

fn peer(peer: &Value, at: &str, report: &mut Report) {
    let mut found = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer[field].is_object() {
            found += 1;
            selector::label_selector(&peer[field], &format!("{at}.{field}"), report);
        }
    }
    let block = &peer["ipBlock"];
    if block.is_object() {
        found += 1;
        ip_block(block, &format!("{at}.ipBlock"), report);
    }
    if found == 0 {
        report.required(at, "must specify a peer");
    } else if found > 1 && block.is_object() {
        report.forbidden(at, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &Value, at: &str, report: &mut Report) {
    let range = text_of(block, "cidr");
    if range.is_empty() {
        return report.required(&format!("{at}.cidr"), "");
    }
    if !service::cidr(range, &format!("{at}.cidr"), report) {
        return;
    }
    for (index, except) in items(&block["except"]) {
        let except = except.as_str().unwrap_or_default();
        let at = format!("{at}.except[{index}]");
        if service::cidr(except, &at, report) && !is_within(except, range) {
            report.invalid(&at, except, &format!("must be a strict subset of `cidr`: {range:?}"));
        }
    }
}

/// Whether a network is a part of another.
fn is_within(inner: &str, outer: &str) -> bool {
    let parse = |text: &str| -> Option<(u128, u32, u32)> {
        let (address, bits) = text.split_once('/')?;
        let bits: u32 = bits.parse().ok()?;
        Some(match address.parse::<std::net::IpAddr>().ok()? {
            std::net::IpAddr::V4(four) => (u128::from(u32::from(four)), bits, 32),
            std::net::IpAddr::V6(six) => (u128::from(six), bits, 128),
        })
    };
    match (parse(inner), parse(outer)) {
        (Some((inner, inner_bits, width)), Some((outer, outer_bits, outer_width))) => {
            let shift = width - outer_bits.min(width);
            let masked = |address: u128| address.checked_shr(shift).unwrap_or(0);
            width == outer_width && inner_bits > outer_bits && masked(inner) == masked(outer)
        }
        _ => false,
    }
}
