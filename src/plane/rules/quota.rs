//! Resource quotas and limit ranges.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::report::Report;
use super::{container, text};
use crate::schema::quantity_value;

/// Resources of which a quota can be set without a prefix.
const COUNTED: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_counted(name: &str) -> bool {
    COUNTED.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

pub(super) fn quota(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    for (name, amount) in spec["hard"].as_object().into_iter().flatten() {
        let at = format!("spec.hard[{name}]");
        container::resource_name(name, &at, report);
        if !name.contains('/') && !is_counted(name) {
            report.invalid(&at, name.as_str(), "must be a standard resource for quota");
        }
        container::amount(name, amount, &at, report);
    }
    scopes(spec, report);
}

fn scopes(spec: &Value, report: &mut Report) {
    let at = "spec.scopes";
    let all: Vec<&str> = spec["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for scope in &all {
        if !SCOPES.contains(scope) {
            report.invalid(at, spec["scopes"].clone(), "unsupported scope");
        }
        for name in spec["hard"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if is_counted(name) && !counts_in(scope, name) {
                report.invalid(at, spec["scopes"].clone(), "unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| all.contains(scope)) {
            report.invalid(at, spec["scopes"].clone(), "conflicting scopes");
        }
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Whether a resource is counted within a scope.
fn counts_in(scope: &str, name: &str) -> bool {
    let computed =
        ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"].contains(&name);
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        scope if SCOPES.contains(&scope) => name == "pods" || computed,
        _ => true,
    }
}

pub(super) fn quota_update(body: &Value, before: &Value, report: &mut Report) {
    let scopes = |body: &Value| -> BTreeSet<String> {
        body["spec"]["scopes"].as_array().into_iter().flatten().map(Value::to_string).collect()
    };
    if scopes(body) != scopes(before) {
        report.invalid("spec.scopes", body["spec"]["scopes"].clone(), "field is immutable");
    }
}

pub(super) fn limit_range(body: &Value, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, limit) in body["spec"]["limits"].as_array().into_iter().flatten().enumerate() {
        let at = format!("spec.limits[{index}]");
        let kind = limit["type"].as_str().unwrap_or_default();
        limit_type(kind, &format!("{at}.type"), report);
        if !seen.insert(kind) {
            report.duplicate(&format!("{at}.type"), kind);
        }
        limit_item(limit, kind, &at, report);
    }
}

fn limit_type(kind: &str, at: &str, report: &mut Report) {
    let wrong = text::qualified(kind);
    if wrong.is_empty()
        && !kind.contains('/')
        && !["Pod", "Container", "PersistentVolumeClaim"].contains(&kind)
    {
        report.invalid(at, kind, "must be a standard limit type or fully qualified");
    }
    report.all_invalid(at, kind, wrong);
}

/// The amounts of one item, by field and resource.
type Amounts<'a> = BTreeMap<&'a str, &'a serde_json::Map<String, Value>>;

fn limit_item(limit: &Value, kind: &str, at: &str, report: &mut Report) {
    let mut amounts = Amounts::new();
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let Some(map) = limit[field].as_object() else { continue };
        if kind == "Pod" && field.starts_with("default") {
            if !map.is_empty() {
                report.forbidden(&format!("{at}.{field}"), "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for name in map.keys() {
            let at = format!("{at}.{field}[{name}]");
            container::resource_name(name, &at, report);
            if matches!(kind, "Pod" | "Container")
                && !name.contains('/')
                && !container::is_container_resource(name)
            {
                report.invalid(&at, name.as_str(), "must be a standard resource for containers");
            }
        }
        amounts.insert(field, map);
    }
    let has_storage = |field: &str| amounts.get(field).is_some_and(|map| map.contains_key("storage"));
    if kind == "PersistentVolumeClaim" && !has_storage("min") && !has_storage("max") {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        report.required(&format!("{at}.limits"), why);
    }
    let names: BTreeSet<&String> = amounts.values().flat_map(|map| map.keys()).collect();
    for name in names {
        compare(&amounts, name, at, report);
    }
}

/// Minimum, request, limit and maximum of a resource, in this order.
fn compare(amounts: &Amounts<'_>, name: &str, at: &str, report: &mut Report) {
    let text = |field: &str| amounts.get(field).and_then(|map| map.get(name)).and_then(Value::as_str);
    let number = |field: &str| text(field).and_then(quantity_value);
    // What must not be more than what, the field that is told of, the value that is quoted, and the words.
    let rules = [
        ("min", "max", "min", "min", "min value {} is greater than max value {}"),
        (
            "min",
            "defaultRequest",
            "defaultRequest",
            "defaultRequest",
            "min value {} is greater than default request value {}",
        ),
        (
            "defaultRequest",
            "max",
            "defaultRequest",
            "defaultRequest",
            "default request value {} is greater than max value {}",
        ),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "defaultRequest",
            "default request value {} is greater than default limit value {}",
        ),
        ("min", "default", "default", "min", "min value {} is greater than default value {}"),
        ("default", "max", "default", "max", "default value {} is greater than max value {}"),
    ];
    for (low, high, field, quoted, words) in rules {
        let (Some(less), Some(more)) = (number(low), number(high)) else { continue };
        if less > more {
            let [low, high] = [low, high].map(|field| text(field).unwrap_or_default());
            let why = words.replacen("{}", low, 1).replacen("{}", high, 1);
            report.invalid(&format!("{at}.{field}[{name}]"), text(quoted).unwrap_or_default(), &why);
        }
    }
    let ratio_at = format!("{at}.maxLimitRequestRatio[{name}]");
    if let (Some(ratio), Some(shown)) = (number("maxLimitRequestRatio"), text("maxLimitRequestRatio")) {
        if ratio < 1.0 {
            report.invalid(&ratio_at, shown, &format!("ratio {shown} is less than 1"));
        }
        if let (Some(min), Some(max)) = (number("min"), number("max"))
            && ratio > max / min
        {
            let why = format!("ratio {shown} is greater than max/min = {:.6}", max / min);
            report.invalid(&ratio_at, shown, &why);
        }
    }
    let over = !name.contains('/') && !name.starts_with("hugepages-");
    if let (false, Some(limit), Some(request)) = (over, text("default"), text("defaultRequest"))
        && quantity_value(limit) != quantity_value(request)
    {
        let why = format!("default value {limit} must equal to defaultRequest value {request} in {name}");
        report.invalid(&format!("{at}.defaultRequest[{name}]"), request, &why);
    }
}
