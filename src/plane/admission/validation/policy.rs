//! Admission policies and their bindings.

use serde_json::Value;

use super::expression::{self, check};
use super::report::{Report, items, text};
use super::resources;
use crate::expr::admission::{Place, Result_, Variables};

const ANNOTATIONS: usize = 20;
const ANNOTATION_LENGTH: usize = 5 * 1024;

/// What both kinds of policies begin with; the variables that are known then.
fn common(
    spec: &Value,
    before: Option<&Value>,
    operations: Option<&[&str]>,
    report: &mut Report,
) -> Option<Variables> {
    let params = spec["paramKind"].is_object();
    report.one_of("spec.failurePolicy", &spec["failurePolicy"], &["Fail", "Ignore"]);
    if params {
        param_kind(&spec["paramKind"], "spec.paramKind", report);
    }
    let constraints = &spec["matchConstraints"];
    if constraints.is_object() {
        resources::constraints(constraints, "spec.matchConstraints", report);
        let rules = &constraints["resourceRules"];
        if items(rules).count() == 0 {
            report.required("spec.matchConstraints.resourceRules", "");
        }
        for operation in items(rules).flat_map(|rule| items(&rule["operations"])) {
            if let Some(allowed) = operations {
                let at = "spec.matchConstraints.resourceRules.operations";
                report.one_of(at, operation, allowed);
            }
        }
    } else {
        report.required("spec.matchConstraints", "");
    }
    let kept = before.is_some_and(|before| {
        ["paramKind", "matchConditions"].iter().all(|field| before["spec"][*field] == spec[*field])
    });
    if !kept {
        expression::match_conditions(&spec["matchConditions"], params, "spec.matchConditions", report);
    }
    expression::variables(&spec["variables"], params, "spec.variables", report)
}

/// ValidatingAdmissionPolicy.
pub(super) fn validating(body: &Value, before: Option<&Value>, report: &mut Report) {
    let spec = &body["spec"];
    let variables = common(spec, before, None, report);
    let params = spec["paramKind"].is_object();
    if items(&spec["validations"]).count() == 0 && items(&spec["auditAnnotations"]).count() == 0 {
        let why = "validations or auditAnnotations must contain at least one item";
        report.required("spec.validations", why);
        report.required("spec.auditAnnotations", why);
        return;
    }
    for (index, one) in items(&spec["validations"]).enumerate() {
        validation(one, params, variables.as_ref(), &format!("spec.validations[{index}]"), report);
    }
    let annotations: Vec<&Value> = items(&spec["auditAnnotations"]).collect();
    if annotations.len() > ANNOTATIONS {
        let why = format!("must not have more than {ANNOTATIONS} auditAnnotations");
        report.invalid("spec.auditAnnotations", &spec["auditAnnotations"], &why);
    }
    for (index, one) in annotations.iter().enumerate() {
        let at = format!("spec.auditAnnotations[{index}]");
        annotation(text(&body["metadata"]["name"]), one, params, variables.as_ref(), &at, report);
        let key = text(&one["key"]);
        if annotations[..index].iter().any(|other| text(&other["key"]) == key) {
            report.duplicate(&format!("{at}.key"), key);
        }
    }
}

fn validation(one: &Value, params: bool, variables: Option<&Variables>, at: &str, report: &mut Report) {
    let expression = text(&one["expression"]);
    if expression.trim().is_empty() {
        report.required(&format!("{at}.expression"), "expression is not specified");
    } else {
        let place = Place::condition(params);
        check(expression, Result_::Bool, place, variables, &format!("{at}.expression"), report);
    }
    let message = text(&one["messageExpression"]);
    if !message.is_empty() {
        let at = format!("{at}.messageExpression");
        if message.trim().is_empty() {
            report.invalid_text(&at, message, "must be non-empty if specified");
        } else {
            check(message, Result_::Text, Place::message(params), variables, &at, report);
        }
    }
    let message = text(&one["message"]);
    if !message.is_empty() && message.trim().is_empty() {
        report.invalid_text(&format!("{at}.message"), message, "must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        report.invalid_text(&format!("{at}.message"), message, "must not contain line breaks");
    }
    let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    report.one_of(&format!("{at}.reason"), &one["reason"], &reasons);
}

fn annotation(
    policy: &str,
    one: &Value,
    params: bool,
    variables: Option<&Variables>,
    at: &str,
    report: &mut Report,
) {
    let key = text(&one["key"]);
    let qualified = format!("{policy}/{key}");
    for wrong in resources::qualified_name(&qualified) {
        report.invalid_text(&format!("{at}.key"), &qualified, &wrong);
    }
    let at = format!("{at}.valueExpression");
    let expression = text(&one["valueExpression"]);
    let trimmed = expression.trim();
    if trimmed.is_empty() {
        report.required(&at, "valueExpression is not specified");
    } else if trimmed.len() > ANNOTATION_LENGTH {
        report.required(&at, &format!("must not exceed {ANNOTATION_LENGTH} bytes in length"));
    } else {
        check(trimmed, Result_::TextOrNull, Place::condition(params), variables, &at, report);
    }
}

/// MutatingAdmissionPolicy.
pub(super) fn mutating(body: &Value, before: Option<&Value>, report: &mut Report) {
    let spec = &body["spec"];
    let variables = common(spec, before, Some(&["*", "CONNECT", "CREATE", "UPDATE"]), report);
    let place = Place::mutation(spec["paramKind"].is_object());
    if items(&spec["mutations"]).count() == 0 {
        report.required("spec.mutations", "mutations must contain at least one item");
    }
    for (index, one) in items(&spec["mutations"]).enumerate() {
        let at = format!("spec.mutations[{index}]");
        let (field, other, result) = match text(&one["patchType"]) {
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", Result_::Object),
            "JSONPatch" => ("jsonPatch", "applyConfiguration", Result_::Patch),
            "" => {
                report.required(&format!("{at}.patchType"), "");
                continue;
            }
            unknown => {
                report.unsupported(&format!("{at}.patchType"), unknown, &["ApplyConfiguration", "JSONPatch"]);
                continue;
            }
        };
        let kind = text(&one["patchType"]);
        let at_field = format!("{at}.{field}");
        let expression = text(&one[field]["expression"]).trim();
        if one[field].is_null() {
            report.required(&at_field, &format!("must be specified when patchType is {kind}"));
        } else if expression.is_empty() {
            report.required(&format!("{at_field}.expression"), "");
        } else {
            let at = format!("{at_field}.expression");
            check(expression, result, place, variables.as_ref(), &at, report);
        }
        if !one[other].is_null() {
            let why = format!("must not be specified when patchType is {kind}");
            report.invalid_text(&format!("{at}.{other}"), &format!("{{{other}}}"), &why);
        }
    }
    if spec["reinvocationPolicy"].is_null() {
        report.required("spec.reinvocationPolicy", "");
    }
    report.one_of("spec.reinvocationPolicy", &spec["reinvocationPolicy"], &["IfNeeded", "Never"]);
}

/// A binding of either kind of policy; one that validates says what to do.
pub(super) fn binding(body: &Value, validating: bool, report: &mut Report) {
    let spec = &body["spec"];
    let policy = text(&spec["policyName"]);
    if policy.is_empty() {
        report.required("spec.policyName", "");
    } else {
        for wrong in resources::subdomain(policy) {
            report.invalid_text("spec.policyName", policy, &wrong);
        }
    }
    if spec["paramRef"].is_object() {
        param_ref(&spec["paramRef"], "spec.paramRef", report);
    }
    if spec["matchResources"].is_object() {
        resources::constraints(&spec["matchResources"], "spec.matchResources", report);
    }
    if validating {
        actions(&spec["validationActions"], "spec.validationActions", report);
    }
}

fn actions(list: &Value, at: &str, report: &mut Report) {
    let all: Vec<&str> = items(list).map(text).collect();
    for (index, action) in all.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if !["Audit", "Deny", "Warn"].contains(action) {
            report.unsupported(&at, action, &["Audit", "Deny", "Warn"]);
        }
        if all[..index].contains(action) {
            report.duplicate(&at, action);
        }
    }
    if all.contains(&"Deny") && all.contains(&"Warn") {
        report.invalid(at, list, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)");
    }
    if all.is_empty() {
        report.required(at, "at least one validation action is required");
    }
}

fn param_ref(reference: &Value, at: &str, report: &mut Report) {
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    let (name, selected) = (text(&reference["name"]), reference["selector"].is_object());
    if !name.is_empty() {
        for wrong in resources::path_segment(name) {
            report.invalid_text(&format!("{at}.name"), name, &wrong);
        }
        if selected {
            report.forbidden(&format!("{at}.name"), EXCLUSIVE);
        }
    }
    if selected {
        resources::selector(&reference["selector"], &format!("{at}.selector"), report);
        if !name.is_empty() {
            report.forbidden(&format!("{at}.selector"), EXCLUSIVE);
        }
    }
    if name.is_empty() && !selected {
        report.required(at, "one of name or selector must be specified");
    }
    let at = format!("{at}.parameterNotFoundAction");
    match text(&reference["parameterNotFoundAction"]) {
        "" => report.required(&at, ""),
        "Deny" | "Allow" => {}
        other => report.unsupported(&at, other, &["Deny", "Allow"]),
    }
}

fn param_kind(kind: &Value, at: &str, report: &mut Report) {
    let version = text(&kind["apiVersion"]);
    let at_version = format!("{at}.apiVersion");
    match version.split('/').collect::<Vec<_>>()[..] {
        [""] => report.required(&at_version, ""),
        [one] => version_label(one, &at_version, report),
        [group, one] => {
            let wrong = if group.is_empty() { Vec::new() } else { resources::subdomain(group) };
            if !wrong.is_empty() {
                report.invalid_text(&at_version, group, &wrong.join(","));
            }
            if one.is_empty() {
                report.invalid_text(&at_version, version, "version must be specified");
            } else {
                version_label(one, &at_version, report);
            }
        }
        _ => {
            let why = format!("unexpected GroupVersion string: {version}");
            report.invalid_text(&at_version, version, &why);
        }
    }
    let name = text(&kind["kind"]);
    let at = format!("{at}.kind");
    if name.is_empty() {
        report.required(&at, "");
        return;
    }
    let wrong = resources::label_1035(&name.to_lowercase());
    if !wrong.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        report.invalid_text(&at, name, &why);
    }
}

fn version_label(version: &str, at: &str, report: &mut Report) {
    let wrong = resources::label_1035(version);
    if !wrong.is_empty() {
        report.invalid_text(at, version, &wrong.join(","));
    }
}
