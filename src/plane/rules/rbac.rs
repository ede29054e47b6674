//! Roles and what binds them.

use serde_json::{Value, json};

use super::report::Report;
use super::selector;
use super::text;

const GROUP: &str = "rbac.authorization.k8s.io";

fn is_empty(value: &Value) -> bool {
    value.as_array().is_none_or(Vec::is_empty)
}

pub(super) fn role(body: &Value, namespaced: bool, report: &mut Report) {
    for (index, rule) in body["rules"].as_array().into_iter().flatten().enumerate() {
        self::rule(rule, namespaced, &format!("rules[{index}]"), report);
    }
    let Some(aggregation) = body.get("aggregationRule").filter(|rule| rule.is_object()) else { return };
    let at = "aggregationRule.clusterRoleSelectors";
    if is_empty(&aggregation["clusterRoleSelectors"]) {
        report.required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (index, one) in aggregation["clusterRoleSelectors"].as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}[{index}]");
        selector::label_selector(one, &at, report);
        if !selector::compiles(one) {
            report.invalid(&at, Value::Null, "invalid label selector.");
        }
    }
}

fn rule(rule: &Value, namespaced: bool, at: &str, report: &mut Report) {
    if is_empty(&rule["verbs"]) {
        report.required(&format!("{at}.verbs"), "verbs must contain at least one value");
    }
    let urls = &rule["nonResourceURLs"];
    if !is_empty(urls) {
        let at = format!("{at}.nonResourceURLs");
        if namespaced {
            report.invalid(&at, urls.clone(), "namespaced rules cannot apply to non-resource URLs");
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|field| !is_empty(&rule[*field])) {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            report.invalid(&at, urls.clone(), why);
        }
        return;
    }
    if is_empty(&rule["apiGroups"]) {
        report.required(&format!("{at}.apiGroups"), "resource rules must supply at least one api group");
    }
    if is_empty(&rule["resources"]) {
        report.required(&format!("{at}.resources"), "resource rules must supply at least one resource");
    }
}

pub(super) fn binding(body: &Value, namespaced: bool, report: &mut Report) {
    let role = |field: &str| body["roleRef"][field].as_str().unwrap_or_default();
    if role("apiGroup") != GROUP {
        report.unsupported("roleRef.apiGroup", role("apiGroup"), &[GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role("kind")) {
        report.unsupported("roleRef.kind", role("kind"), kinds);
    }
    match role("name") {
        "" => report.required("roleRef.name", ""),
        name => report.all_invalid("roleRef.name", name, text::path_segment(name)),
    }
    for (index, subject) in body["subjects"].as_array().into_iter().flatten().enumerate() {
        self::subject(subject, namespaced, &format!("subjects[{index}]"), report);
    }
}

fn subject(subject: &Value, namespaced: bool, at: &str, report: &mut Report) {
    let text = |field: &str| subject[field].as_str().unwrap_or_default();
    let (name, group) = (text("name"), text("apiGroup"));
    if name.is_empty() {
        report.required(&format!("{at}.name"), "");
    }
    match text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                report.all_invalid(&format!("{at}.name"), name, text::subdomain(name));
            }
            if !group.is_empty() {
                report.unsupported(&format!("{at}.apiGroup"), group, &[""]);
            }
            if !namespaced && text("namespace").is_empty() {
                report.required(&format!("{at}.namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                report.unsupported(&format!("{at}.apiGroup"), group, &[GROUP]);
            }
        }
        other => report.unsupported(&format!("{at}.kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

pub(super) fn binding_update(body: &Value, before: &Value, report: &mut Report) {
    if body["roleRef"] != before["roleRef"] {
        let role = &body["roleRef"];
        let shown = json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
        report.invalid("roleRef", shown, "cannot change roleRef");
    }
}
