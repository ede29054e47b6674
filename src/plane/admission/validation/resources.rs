//! Rules, selectors and names: what policies, bindings and webhooks have in common.

use serde_json::Value;

use super::report::{Report, items, text};

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

/// `MatchResources`.
pub(super) fn constraints(value: &Value, at: &str, report: &mut Report) {
    report.one_of(&format!("{at}.matchPolicy"), &value["matchPolicy"], &["Equivalent", "Exact"]);
    for field in ["namespaceSelector", "objectSelector"] {
        selector(&value[field], &format!("{at}.{field}"), report);
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in items(&value[field]).enumerate() {
            let at = format!("{at}.{field}[{index}]");
            names(&rule["resourceNames"], &format!("{at}.resourceNames"), report);
            self::rule(rule, &at, report);
        }
    }
}

fn names(list: &Value, at: &str, report: &mut Report) {
    let names: Vec<&str> = items(list).map(text).collect();
    for (index, name) in names.iter().enumerate() {
        for wrong in path_segment(name) {
            report.invalid_text(&format!("{at}[{index}]"), name, &wrong);
        }
        if names[..index].contains(name) {
            report.duplicate(&format!("{at}[{index}]"), name);
        }
    }
}

/// What a name that is a part of a path may not be.
pub(super) fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    let found = ["/", "%"].into_iter().filter(|part| name.contains(part));
    found.map(|part| format!("may not contain '{part}'")).collect()
}

/// `RuleWithOperations`.
pub(super) fn rule(rule: &Value, at: &str, report: &mut Report) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    listed(&rule["operations"], &format!("{at}.operations"), "operations", report);
    for (index, operation) in items(&rule["operations"]).enumerate() {
        report.one_of(&format!("{at}.operations[{index}]"), operation, &OPERATIONS);
    }
    listed(&rule["apiGroups"], &format!("{at}.apiGroups"), "API groups", report);
    listed(&rule["apiVersions"], &format!("{at}.apiVersions"), "API versions", report);
    for (index, version) in items(&rule["apiVersions"]).enumerate() {
        if text(version).is_empty() {
            report.required(&format!("{at}.apiVersions[{index}]"), "");
        }
    }
    resources(&rule["resources"], &format!("{at}.resources"), report);
    report.one_of(&format!("{at}.scope"), &rule["scope"], &["*", "Cluster", "Namespaced"]);
}

/// A list that must say something, and nothing beside `*`.
fn listed(list: &Value, at: &str, what: &str, report: &mut Report) {
    let count = items(list).count();
    if count == 0 {
        report.required(at, "");
    } else if count > 1 && items(list).any(|item| item == "*") {
        report.invalid(at, list, &format!("if '*' is present, must not specify other {what}"));
    }
}

fn resources(list: &Value, at: &str, report: &mut Report) {
    let all: Vec<&str> = items(list).map(text).collect();
    if all.is_empty() {
        report.required(at, "");
    }
    let (mut whole, mut everywhere): (Vec<&str>, Vec<&str>) = Default::default();
    let mut plain = false;
    for (index, resource) in all.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if resource.is_empty() {
            report.required(&at, "");
            continue;
        }
        let Some((name, part)) = resource.split_once('/') else {
            plain = *resource != "*";
            continue;
        };
        if whole.contains(&name) {
            let why = format!("if '{name}/*' is present, must not specify {resource}");
            report.invalid_text(&at, resource, &why);
        }
        if everywhere.contains(&part) {
            let why = format!("if '*/{part}' is present, must not specify {resource}");
            report.invalid_text(&at, resource, &why);
        }
        if part == "*" {
            whole.push(name);
        }
        if name == "*" {
            everywhere.push(part);
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        report.invalid(at, list, "if '*/*' is present, must not specify other resources");
    }
    if all.contains(&"*") && plain {
        let why = "if '*' is present, must not specify other resources without subresources";
        report.invalid(at, list, why);
    }
}

/// A label selector.
pub(super) fn selector(selector: &Value, at: &str, report: &mut Report) {
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        let at = format!("{at}.matchLabels");
        label_key(key, &at, report);
        label_value(text(value), &at, report);
    }
    for (index, expression) in items(&selector["matchExpressions"]).enumerate() {
        let at = format!("{at}.matchExpressions[{index}]");
        let count = items(&expression["values"]).count();
        match text(&expression["operator"]) {
            "In" | "NotIn" if count == 0 => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                report.required(&format!("{at}.values"), why);
            }
            "Exists" | "DoesNotExist" if count > 0 => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                report.forbidden(&format!("{at}.values"), why);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => report.invalid_text(&format!("{at}.operator"), other, "not a valid selector operator"),
        }
        label_key(text(&expression["key"]), &format!("{at}.key"), report);
        for (index, value) in items(&expression["values"]).enumerate() {
            label_value(text(value), &format!("{at}.values[{index}]"), report);
        }
    }
}

fn label_key(key: &str, at: &str, report: &mut Report) {
    for wrong in qualified_name(key) {
        report.invalid_text(at, key, &wrong);
    }
}

fn label_value(value: &str, at: &str, report: &mut Report) {
    if value.len() > 63 {
        report.invalid_text(at, value, "must be no more than 63 bytes");
    }
    if !value.is_empty() && !is_key(value) {
        report.invalid_text(at, value, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
    }
}

/// `prefix/name`, or `name`.
pub(super) fn qualified_name(name: &str) -> Vec<String> {
    const WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut wrong = Vec::new();
    let name = match name.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                WORDS
            )];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_key(name) {
        wrong.push(format!("name part {WORDS}"));
    }
    wrong
}

fn is_key(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'))
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-')
}

/// An RFC 1123 subdomain.
pub(super) fn subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push("must be no more than 253 bytes".to_owned());
    }
    if !text.split('.').all(is_label) {
        wrong.push(format!("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{LABEL}(\\.{LABEL})*')"));
    }
    wrong
}

/// An RFC 1035 label.
pub(super) fn label_1035(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push("must be no more than 63 bytes".to_owned());
    }
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        wrong.push("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(rule: Value) -> Vec<String> {
        let mut report = Report::default();
        super::rule(&rule, "r", &mut report);
        report.errors.into_iter().map(|e| format!("{}: {}", e.field, e.message)).collect()
    }

    #[test]
    fn stars_stand_alone() {
        let rule = |resources: Value| json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources});
        assert!(wrong(rule(json!(["*", "*/status"]))).is_empty());
        let all = "r.resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources";
        assert_eq!(wrong(rule(json!(["*", "pods"]))), [all]);
        let part =
            "r.resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log";
        assert_eq!(wrong(rule(json!(["pods/*", "pods/log"]))), [part]);
        assert_eq!(wrong(json!({})).len(), 4);
    }

    #[test]
    fn names_are_qualified() {
        assert!(qualified_name("a.b/c").is_empty());
        assert_eq!(qualified_name("/c"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
    }
}
