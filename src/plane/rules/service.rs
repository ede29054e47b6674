//! Services.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::container;
use super::report::{Report, same};
use super::{metadata, text};

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

fn is_headless(spec: &Value) -> bool {
    let addresses = spec["clusterIPs"].as_array();
    addresses.is_some_and(|all| all.len() == 1 && all[0] == "None")
}

/// Whether clients outside the cluster are served.
pub(super) fn is_external(spec: &Value) -> bool {
    let kind = text_of(spec, "type");
    matches!(kind, "LoadBalancer" | "NodePort")
        || (kind == "ClusterIP" && items(&spec["externalIPs"]).next().is_some())
}

/// Whether a load balancer asks where the pods are.
pub(super) fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

pub(super) fn service(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    let kind = text_of(spec, "type");
    if items(&spec["ports"]).next().is_none() && !is_headless(spec) && kind != "ExternalName" {
        report.required("spec.ports", "");
    }
    of_type(spec, kind, report);
    let several = items(&spec["ports"]).count() > 1;
    let mut names = BTreeSet::new();
    for (index, one) in items(&spec["ports"]) {
        port(one, several, &mut names, &format!("spec.ports[{index}]"), report);
    }
    metadata::labels(&spec["selector"], "spec.selector", report);
    affinity(spec, report);
    if kind != "ExternalName" {
        addresses(spec, report);
    }
    for (index, address) in items(&spec["externalIPs"]) {
        external_address(address.as_str().unwrap_or_default(), &format!("spec.externalIPs[{index}]"), report);
    }
    match kind {
        "" => report.required("spec.type", ""),
        "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort" => {}
        other => {
            report.unsupported(
                "spec.type",
                other,
                &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
            );
        }
    }
    port_numbers(spec, kind, report);
    balancer(spec, kind, report);
    traffic(spec, report);
}

fn of_type(spec: &Value, kind: &str, report: &mut Report) {
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let why = format!("may not be set to 'None' for {kind} services");
            report.invalid("spec.clusterIPs[0]", "None", &why);
        }
        "ExternalName" => {
            if items(&spec["clusterIPs"]).next().is_some() {
                report.forbidden("spec.clusterIPs", "may not be set for ExternalName services");
            }
            if items(&spec["ipFamilies"]).next().is_some() {
                report.forbidden("spec.ipFamilies", "may not be set for ExternalName services");
            }
            if !spec["ipFamilyPolicy"].is_null() {
                report.forbidden("spec.ipFamilyPolicy", "may not be set for ExternalName services");
            }
            let name = text_of(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => report.required("spec.externalName", ""),
                name => report.all_invalid("spec.externalName", name, text::subdomain(name)),
            }
        }
        _ => {}
    }
}

fn port<'v>(one: &'v Value, named: bool, names: &mut BTreeSet<&'v str>, at: &str, report: &mut Report) {
    let name = text_of(one, "name");
    if named && name.is_empty() {
        report.required(&format!("{at}.name"), "");
    } else if !name.is_empty() {
        report.all_invalid(&format!("{at}.name"), name, text::label(name));
        if !names.insert(name) {
            report.duplicate(&format!("{at}.name"), name);
        }
    }
    let number = one["port"].as_i64().unwrap_or(0);
    report.number_invalid(&format!("{at}.port"), number, text::port(number));
    container::protocol(&one["protocol"], &format!("{at}.protocol"), report);
    container::port_or_name(&one["targetPort"], &format!("{at}.targetPort"), report);
    if let Some(protocol) = one["appProtocol"].as_str() {
        report.all_invalid(&format!("{at}.appProtocol"), protocol, text::qualified(protocol));
    }
}

fn affinity(spec: &Value, report: &mut Report) {
    let config = &spec["sessionAffinityConfig"];
    match text_of(spec, "sessionAffinity") {
        "" => report.required("spec.sessionAffinity", ""),
        "None" => {
            if config.is_object() {
                let why = "must not be set when session affinity is None";
                report.forbidden("spec.sessionAffinityConfig", why);
            }
        }
        "ClientIP" => {
            let at = "spec.sessionAffinityConfig";
            match config["clientIP"]["timeoutSeconds"].as_i64() {
                None => report.required(at, "when session affinity type is ClientIP"),
                Some(seconds) if seconds <= 0 || seconds > 86400 => {
                    let why = "must be greater than 0 and less than 86400";
                    report.invalid(&format!("{at}.clientIP.timeoutSeconds"), seconds, why);
                }
                Some(_) => {}
            }
        }
        other => report.unsupported("spec.sessionAffinity", other, &["ClientIP", "None"]),
    }
}

const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

fn addresses(spec: &Value, report: &mut Report) {
    let (first, all) = (text_of(spec, "clusterIP"), &spec["clusterIPs"]);
    let count = items(all).count();
    if !first.is_empty() {
        if count == 0 {
            report.required("spec.clusterIPs", "");
        } else if all[0] != first {
            report.invalid("spec.clusterIPs", all.clone(), "first value must match `clusterIP`");
        }
    } else if count != 0 {
        report.invalid("spec.clusterIPs", all.clone(), "must be empty when `clusterIP` is not specified");
    }
    let mut seen = BTreeSet::new();
    for (index, family) in items(&spec["ipFamilies"]) {
        let at = format!("spec.ipFamilies[{index}]");
        let name = family.as_str().unwrap_or_default();
        report.one_of(&at, family, &["IPv4", "IPv6"]);
        if !seen.insert(name) {
            report.duplicate(&at, name);
        }
    }
    let policy = &spec["ipFamilyPolicy"];
    if !policy.is_null() {
        report.one_of("spec.ipFamilyPolicy", policy, &["PreferDualStack", "RequireDualStack", "SingleStack"]);
    }
    let mut wrong = false;
    for (index, address) in items(all) {
        let address = address.as_str().unwrap_or_default();
        if index == 0 && address == "None" {
            if count > 1 {
                wrong = true;
                report.invalid("spec.clusterIPs", all.clone(), "'None' must be the first and only value");
            }
            continue;
        }
        if address.parse::<IpAddr>().is_err() {
            wrong = true;
            report.invalid(&format!("spec.clusterIPs[{index}]"), address, NO_ADDRESS);
        }
    }
    if count > 2 {
        report.invalid("spec.clusterIPs", all.clone(), "may only hold up to 2 values");
    }
    if wrong {
        return;
    }
    let is_six = |address: &Value| address.as_str().is_some_and(|address| address.contains(':'));
    if count == 2 && is_six(&all[0]) == is_six(&all[1]) {
        let why = "may specify no more than one IP for each IP family";
        report.invalid("spec.clusterIPs", all.clone(), why);
    }
    if is_headless(spec) {
        return;
    }
    for (index, address) in items(all) {
        let wanted = match text_of(&spec["ipFamilies"], "").is_empty() {
            true => spec["ipFamilies"][index].as_str().unwrap_or_default(),
            false => "",
        };
        if (wanted == "IPv4" && is_six(address)) || (wanted == "IPv6" && !is_six(address)) {
            let why = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            report.invalid(&format!("spec.clusterIPs[{index}]"), address.clone(), &why);
        }
    }
}

/// An address that is not the node's own.
pub(super) fn external_address(text: &str, at: &str, report: &mut Report) {
    let Ok(address) = text.parse::<IpAddr>() else { return report.invalid(at, text, NO_ADDRESS) };
    if address.is_unspecified() {
        report.invalid(at, text, &format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        report.invalid(at, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let link_local = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    if link_local {
        report.invalid(at, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
}

fn port_numbers(spec: &Value, kind: &str, report: &mut Report) {
    let node_port = |one: &Value| one["nodePort"].as_i64().filter(|number| *number != 0);
    if kind == "ClusterIP" {
        for (index, one) in items(&spec["ports"]) {
            if node_port(one).is_some() {
                let why = "may not be used when `type` is 'ClusterIP'";
                report.forbidden(&format!("spec.ports[{index}].nodePort"), why);
            }
        }
    }
    let mut seen = BTreeSet::new();
    for (index, one) in items(&spec["ports"]) {
        let Some(number) = node_port(one) else { continue };
        if !seen.insert((text_of(one, "protocol"), number)) {
            report.duplicate(&format!("spec.ports[{index}].nodePort"), number);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, one) in items(&spec["ports"]) {
        let number = one["port"].as_i64().unwrap_or(0);
        if !seen.insert((text_of(one, "protocol"), number)) {
            report.duplicate_struct(
                &format!("spec.ports[{index}]"),
                &[
                    ("Name", json!("")),
                    ("Protocol", one["protocol"].clone()),
                    ("AppProtocol", Value::Null),
                    ("Port", number.into()),
                    ("TargetPort", 0.into()),
                    ("NodePort", 0.into()),
                ],
            );
        }
    }
}

fn balancer(spec: &Value, kind: &str, report: &mut Report) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    if items(&spec["loadBalancerSourceRanges"]).next().is_some() {
        let at = "spec.LoadBalancerSourceRanges";
        if kind != "LoadBalancer" {
            report.forbidden(at, ONLY);
        }
        for (index, range) in items(&spec["loadBalancerSourceRanges"]) {
            let range = range.as_str().unwrap_or_default().trim();
            cidr(range, &format!("{at}[{index}]"), report);
        }
    }
    if !spec["allocateLoadBalancerNodePorts"].is_null() && kind != "LoadBalancer" {
        report.forbidden("spec.allocateLoadBalancerNodePorts", ONLY);
    }
    if let Some(class) = spec["loadBalancerClass"].as_str() {
        if kind == "LoadBalancer" {
            report.all_invalid("spec.loadBalancerClass", class, text::qualified(class));
        } else {
            report.forbidden("spec.loadBalancerClass", ONLY);
        }
    }
}

/// A network.
pub(super) fn cidr(range: &str, at: &str, report: &mut Report) -> bool {
    let valid = range.split_once('/').is_some_and(|(address, bits)| {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    });
    if !valid {
        report.invalid(at, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
    valid
}

fn traffic(spec: &Value, report: &mut Report) {
    let external = text_of(spec, "externalTrafficPolicy");
    if is_external(spec) {
        match external {
            "" => report.required("spec.externalTrafficPolicy", ""),
            "Cluster" | "Local" => {}
            other => report.unsupported("spec.externalTrafficPolicy", other, &["Cluster", "Local"]),
        }
    } else if !external.is_empty() {
        let why = "may only be set for externally-accessible services";
        report.invalid("spec.externalTrafficPolicy", external, why);
    }
    let health = spec["healthCheckNodePort"].as_i64().unwrap_or(0);
    if !needs_health_check(spec) && health != 0 {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        report.invalid("spec.healthCheckNodePort", health, why);
    }
    match &spec["internalTrafficPolicy"] {
        Value::Null if spec["type"] != "ExternalName" && !text_of(spec, "type").is_empty() => {
            if matches!(text_of(spec, "type"), "NodePort" | "LoadBalancer" | "ClusterIP") {
                report.required("spec.internalTrafficPolicy", "");
            }
        }
        Value::Null => {}
        policy => report.one_of("spec.internalTrafficPolicy", policy, &["Cluster", "Local"]),
    }
    let distribution = &spec["trafficDistribution"];
    if !distribution.is_null() {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        report.one_of("spec.trafficDistribution", distribution, &known);
    }
}

pub(super) fn update(body: &Value, before: &Value, report: &mut Report) {
    let (new, old) = (&body["spec"], &before["spec"]);
    if new["type"] != "ExternalName" && old["type"] != "ExternalName" {
        cluster_addresses(new, old, report);
        families(new, old, report);
    }
    if new["type"] == "LoadBalancer"
        && old["type"] == "LoadBalancer"
        && !same(&new["loadBalancerClass"], &old["loadBalancerClass"])
    {
        report.invalid("spec.loadBalancerClass", new["loadBalancerClass"].clone(), "may not change once set");
    }
    if let (Some(class), true) = (new["loadBalancerClass"].as_str(), new["type"] == "LoadBalancer") {
        report.all_invalid("spec.loadBalancerClass", class, text::qualified(class));
    } else if !new["loadBalancerClass"].is_null() {
        report.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'");
    }
    if needs_health_check(new)
        && needs_health_check(old)
        && new["healthCheckNodePort"] != old["healthCheckNodePort"]
    {
        report.forbidden("spec.healthCheckNodePort", "field is immutable");
    }
}

fn cluster_addresses(new: &Value, old: &Value, report: &mut Report) {
    if is_headless(new) && is_headless(old) {
        return;
    }
    let all = &new["clusterIPs"];
    let (now, then) = (items(all).count(), items(&old["clusterIPs"]).count());
    if now == then {
        for (index, address) in items(&old["clusterIPs"]) {
            if all[index] != *address {
                report.invalid(&format!("spec.clusterIPs[{index}]"), all.clone(), "may not change once set");
            }
        }
    } else if now < then {
        if now == 0 {
            report.invalid("spec.clusterIPs[0]", json!(null), "primary clusterIP can not be unset");
        }
    } else if then > 0 && all[0] != old["clusterIPs"][0] {
        report.invalid("spec.clusterIPs[0]", all.clone(), "may not change once set");
    }
}

fn families(new: &Value, old: &Value, report: &mut Report) {
    if is_headless(new) || is_headless(old) {
        return;
    }
    let all = &new["ipFamilies"];
    if items(all).count() == items(&old["ipFamilies"]).count() {
        for (index, family) in items(&old["ipFamilies"]) {
            if all[index] != *family {
                report.invalid("spec.ipFamilies[0]", all.clone(), "may not change once set");
            }
        }
    }
}
