//! Webhook configurations.

use serde_json::Value;

use super::expression;
use super::report::{Report, items, text};
use super::resources;

const REVIEWS: [&str; 2] = ["v1", "v1beta1"];
const HARMLESS: [&str; 2] = ["None", "NoneOnDryRun"];

/// What an older object was allowed stays allowed.
struct Allowances {
    side_effects: bool,
    any_review: bool,
    same_names: bool,
}

impl Allowances {
    fn of(before: &Value) -> Allowances {
        let hooks: Vec<&Value> = items(&before["webhooks"]).collect();
        let names: Vec<&str> = hooks.iter().map(|hook| text(&hook["name"])).collect();
        Allowances {
            side_effects: hooks.iter().any(|hook| !HARMLESS.contains(&text(&hook["sideEffects"]))),
            any_review: hooks.iter().any(|hook| {
                let versions = &hook["admissionReviewVersions"];
                items(versions).count() > 0 && !items(versions).any(|v| REVIEWS.contains(&text(v)))
            }),
            same_names: (0..names.len()).any(|index| names[..index].contains(&names[index])),
        }
    }
}

/// A configuration.
pub(super) fn configuration(body: &Value, before: Option<&Value>, mutating: bool, report: &mut Report) {
    let allowances = Allowances::of(before.unwrap_or(&Value::Null));
    let hooks: Vec<&Value> = items(&body["webhooks"]).collect();
    let conditions_kept = before.is_some_and(|before| {
        let old: Vec<&Value> = items(&before["webhooks"]).collect();
        old.len() == hooks.len()
            && old.iter().zip(&hooks).all(|(old, new)| old["matchConditions"] == new["matchConditions"])
    });
    for (index, hook) in hooks.iter().enumerate() {
        let at = format!("webhooks[{index}]");
        webhook(hook, &at, &allowances, mutating, report);
        client(&hook["clientConfig"], &format!("{at}.clientConfig"), report);
        if !conditions_kept {
            let at = format!("{at}.matchConditions");
            expression::match_conditions(&hook["matchConditions"], false, &at, report);
        }
        let versions = &hook["admissionReviewVersions"];
        review_versions(versions, &allowances, &format!("{at}.admissionReviewVersions"), report);
        let name = text(&hook["name"]);
        let seen = hooks[..index].iter().any(|other| text(&other["name"]) == name);
        if seen && !name.is_empty() && !allowances.same_names {
            report.duplicate(&format!("{at}.name"), name);
        }
    }
}

fn webhook(hook: &Value, at: &str, allowances: &Allowances, mutating: bool, report: &mut Report) {
    qualified(text(&hook["name"]), &format!("{at}.name"), report);
    for (index, rule) in items(&hook["rules"]).enumerate() {
        resources::rule(rule, &format!("{at}.rules[{index}]"), report);
    }
    report.one_of(&format!("{at}.failurePolicy"), &hook["failurePolicy"], &["Fail", "Ignore"]);
    report.one_of(&format!("{at}.matchPolicy"), &hook["matchPolicy"], &["Equivalent", "Exact"]);
    let allowed: &[&str] =
        if allowances.side_effects { &["None", "NoneOnDryRun", "Some", "Unknown"] } else { &HARMLESS };
    if hook["sideEffects"].is_null() {
        let why = format!("must specify one of {}", allowed.join(", "));
        report.required(&format!("{at}.sideEffects"), &why);
    }
    report.one_of(&format!("{at}.sideEffects"), &hook["sideEffects"], allowed);
    if hook["timeoutSeconds"].as_i64().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        let why = "the timeout value must be between 1 and 30 seconds";
        report.invalid(&format!("{at}.timeoutSeconds"), &hook["timeoutSeconds"], why);
    }
    for field in ["namespaceSelector", "objectSelector"] {
        resources::selector(&hook[field], &format!("{at}.{field}"), report);
    }
    if mutating {
        let policies = ["IfNeeded", "Never"];
        report.one_of(&format!("{at}.reinvocationPolicy"), &hook["reinvocationPolicy"], &policies);
    }
}

fn qualified(name: &str, at: &str, report: &mut Report) {
    if name.is_empty() {
        report.required(at, "");
        return;
    }
    let wrong = resources::subdomain(name);
    if !wrong.is_empty() {
        report.invalid_text(at, name, &wrong.join(","));
    } else if name.split('.').count() < 3 {
        report.invalid_text(at, name, "should be a domain with at least three segments separated by dots");
    }
}

fn review_versions(versions: &Value, allowances: &Allowances, at: &str, report: &mut Report) {
    let all: Vec<&str> = items(versions).map(text).collect();
    if all.is_empty() {
        report.required(at, "must specify one of v1, v1beta1");
        return;
    }
    for (index, version) in all.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if all[..index].contains(version) {
            report.invalid_text(&at, version, "duplicate version");
            continue;
        }
        for wrong in resources::label_1035(version) {
            report.invalid_text(&at, version, &wrong);
        }
    }
    if !allowances.any_review && !all.iter().any(|version| REVIEWS.contains(version)) {
        report.invalid(at, versions, "must include at least one of v1, v1beta1");
    }
}

fn client(config: &Value, at: &str, report: &mut Report) {
    match (config["url"].as_str(), config["service"].is_object()) {
        (Some(given), false) => url(given, &format!("{at}.url"), report),
        (None, true) => service(&config["service"], &format!("{at}.service"), report),
        _ => report.required(at, "exactly one of url or service is required"),
    }
}

fn url(given: &str, at: &str, report: &mut Report) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = given.split_once("://").unwrap_or(("", given));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme != "https" {
        report.invalid_text(at, scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        report.invalid_text(at, host, &format!("host must be specified{FORM}"));
    }
    for (part, what) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            report.invalid_text(at, part, what);
        }
    }
}

fn service(service: &Value, at: &str, report: &mut Report) {
    for field in ["name", "namespace"] {
        if text(&service[field]).is_empty() {
            report.required(&format!("{at}.{field}"), "");
        }
    }
    if service["port"].as_i64().is_some_and(|port| !(1..=65535).contains(&port)) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        report.invalid(&format!("{at}.port"), &service["port"], why);
    }
    let path = text(&service["path"]);
    let at = format!("{at}.path");
    if path.is_empty() || path == "/" {
        return;
    }
    if path == "//" {
        report.invalid_text(&at, path, "segment[0] may not be empty");
        return;
    }
    if !path.starts_with('/') {
        report.invalid_text(&at, path, "must start with a '/'");
    }
    let inner = path.get(1..).unwrap_or_default();
    for (index, segment) in inner.strip_suffix('/').unwrap_or(inner).split('/').enumerate() {
        if segment.is_empty() {
            report.invalid_text(&at, path, &format!("segment[{index}] may not be empty"));
            continue;
        }
        for wrong in resources::subdomain(segment) {
            report.invalid_text(&at, path, &format!("segment[{index}]: {wrong}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_says_what_it_needs() {
        let mut report = Report::default();
        configuration(&json!({"webhooks": [{"name": "a"}]}), None, false, &mut report);
        let fields: Vec<&str> = report.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "webhooks[0].name",
                "webhooks[0].sideEffects",
                "webhooks[0].clientConfig",
                "webhooks[0].admissionReviewVersions"
            ]
        );
    }

    #[test]
    fn a_url_is_https_and_a_host() {
        let wrong = |url: &str| {
            let mut report = Report::default();
            super::url(url, "u", &mut report);
            report.errors.len()
        };
        assert_eq!((wrong("https://a/b"), wrong("http://a"), wrong("https:///b")), (0, 1, 1));
        assert_eq!(wrong("https://u@a?b#c"), 3);
    }
}
