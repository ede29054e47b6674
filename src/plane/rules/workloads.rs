//! Deployments, replica sets, daemon sets, stateful sets, replication controllers.

use serde_json::{Value, json};

use super::report::{Report, same};
use super::{pod, selector, text};

const NO_MATCH: &str = "`selector` does not match template `labels`";

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The selector of pods, which must be there and say something.
fn strict_selector(spec: &Value, kind: &str, report: &mut Report) {
    let own = &spec["selector"];
    if own.is_null() {
        return report.required("spec.selector", "");
    }
    selector::label_selector(own, "spec.selector", report);
    if selector::is_empty(own) {
        report.invalid("spec.selector", own.clone(), &format!("empty selector is invalid for {kind}"));
    }
}

fn template_labels(spec: &Value) -> &Value {
    &spec["template"]["metadata"]["labels"]
}

fn no_match(spec: &Value, at: &str, report: &mut Report) {
    report.invalid(&format!("{at}.metadata.labels"), template_labels(spec).clone(), NO_MATCH);
}

/// A pod template whose pods run for ever.
fn template(spec: &Value, what: &str, report: &mut Report) {
    pod::template(&spec["template"], "spec.template", report);
    forever(spec, what, report);
}

fn forever(spec: &Value, what: &str, report: &mut Report) {
    let pod = &spec["template"]["spec"];
    if pod["restartPolicy"] != "Always" {
        let policy = pod["restartPolicy"].as_str().unwrap_or_default();
        report.unsupported("spec.template.spec.restartPolicy", policy, &["Always"]);
    }
    if !pod["activeDeadlineSeconds"].is_null() {
        let why = format!("activeDeadlineSeconds in {what} is not Supported");
        report.forbidden("spec.template.spec.activeDeadlineSeconds", &why);
    }
}

/// The template of a replica set, also where a deployment makes it.
fn replica_template(spec: &Value, report: &mut Report) {
    if !selector::compiles(&spec["selector"]) {
        return report.invalid("spec.selector", spec["selector"].clone(), "invalid label selector");
    }
    let matches = selector::matches(&spec["selector"], template_labels(spec));
    // No selector selects nothing; an empty one is not held against the labels.
    if (spec["selector"].is_null() || !selector::is_empty(&spec["selector"])) && !matches {
        no_match(spec, "spec.template", report);
    }
    template(spec, "ReplicaSet", report);
}

pub(super) fn deployment(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    report.nonnegative("spec.replicas", &spec["replicas"]);
    strict_selector(spec, "deployment", report);
    replica_template(spec, report);
    deployment_strategy(&spec["strategy"], report);
    report.nonnegative("spec.minReadySeconds", &spec["minReadySeconds"]);
    report.nonnegative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
    let deadline = &spec["progressDeadlineSeconds"];
    report.nonnegative("spec.progressDeadlineSeconds", deadline);
    if !deadline.is_null() && number(deadline) <= number(&spec["minReadySeconds"]) {
        let why = "must be greater than minReadySeconds";
        report.invalid("spec.progressDeadlineSeconds", deadline.clone(), why);
    }
}

fn deployment_strategy(strategy: &Value, report: &mut Report) {
    let at = "spec.strategy.rollingUpdate";
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str().unwrap_or_default() {
        "Recreate" => {
            if rolling.is_object() {
                report.forbidden(at, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => {
            let (surge, unavailable) = (&rolling["maxSurge"], &rolling["maxUnavailable"]);
            positive_or_percent(unavailable, &format!("{at}.maxUnavailable"), report);
            positive_or_percent(surge, &format!("{at}.maxSurge"), report);
            if amount(unavailable) == 0 && amount(surge) == 0 {
                let why = "may not be 0 when `maxSurge` is 0";
                report.invalid(&format!("{at}.maxUnavailable"), unavailable.clone(), why);
            }
            at_most_all(unavailable, &format!("{at}.maxUnavailable"), report);
        }
        other => {
            let rolling = if rolling.is_null() { Value::Null } else { rolling.clone() };
            report.unsupported_struct(
                "spec.strategy",
                &[("Type", json!(other)), ("RollingUpdate", rolling)],
                &["Recreate", "RollingUpdate"],
            );
        }
    }
}

/// A number that is not negative, or a percentage.
pub(super) fn positive_or_percent(value: &Value, at: &str, report: &mut Report) {
    match value {
        Value::String(text) => report.all_invalid(at, text, text::percent(text)),
        value => report.nonnegative(at, value),
    }
}

/// A percentage's number, or the number.
pub(super) fn amount(value: &Value) -> i64 {
    match value {
        Value::String(text) if text::percent(text).is_empty() => {
            text.trim_end_matches('%').parse().unwrap_or(0)
        }
        value => number(value),
    }
}

/// A percentage that is not more than a hundred.
pub(super) fn at_most_all(value: &Value, at: &str, report: &mut Report) {
    if value.is_string() && amount(value) > 100 {
        report.invalid(at, value.clone(), "must not be greater than 100%");
    }
}

pub(super) fn selector_update(body: &Value, before: &Value, report: &mut Report) {
    report.immutable("spec.selector", &body["spec"]["selector"], &before["spec"]["selector"]);
}

pub(super) fn replica_set(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    report.nonnegative("spec.replicas", &spec["replicas"]);
    report.nonnegative("spec.minReadySeconds", &spec["minReadySeconds"]);
    strict_selector(spec, "deployment", report);
    replica_template(spec, report);
}

pub(super) fn replication_controller(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    report.nonnegative("spec.minReadySeconds", &spec["minReadySeconds"]);
    let empty = |value: &Value| value.as_object().is_none_or(serde_json::Map::is_empty);
    if empty(&spec["selector"]) {
        report.required("spec.selector", "");
    }
    if spec["replicas"].is_null() {
        report.required("spec.replicas", "");
    }
    report.nonnegative("spec.replicas", &spec["replicas"]);
    if spec["template"].is_null() {
        return report.required("spec.template", "");
    }
    if !empty(&spec["selector"])
        && !selector::matches(&json!({"matchLabels": spec["selector"]}), template_labels(spec))
    {
        no_match(spec, "spec.template", report);
    }
    template(spec, "ReplicationController", report);
}

pub(super) fn daemon_set(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    let own = &spec["selector"];
    selector::label_selector(own, "spec.selector", report);
    if selector::compiles(own) && !selector::matches(own, template_labels(spec)) {
        no_match(spec, "spec.template", report);
    }
    if !own.is_null() && selector::is_empty(own) {
        report.invalid("spec.selector", own.clone(), "empty selector is invalid for daemonset");
    }
    template(spec, "DaemonSet", report);
    report.nonnegative("spec.minReadySeconds", &spec["minReadySeconds"]);
    daemon_strategy(&spec["updateStrategy"], report);
    report.nonnegative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
}

fn daemon_strategy(strategy: &Value, report: &mut Report) {
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str().unwrap_or_default() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let (surge, unavailable) = (&rolling["maxSurge"], &rolling["maxUnavailable"]);
            let at = |field: &str| format!("spec.updateStrategy.rollingUpdate.{field}");
            positive_or_percent(unavailable, &at("maxUnavailable"), report);
            positive_or_percent(surge, &at("maxSurge"), report);
            at_most_all(unavailable, &at("maxUnavailable"), report);
            at_most_all(surge, &at("maxSurge"), report);
            match (amount(unavailable) != 0, amount(surge) != 0) {
                (true, true) => {
                    let why = "may not be set when maxUnavailable is non-zero";
                    report.invalid(&at("maxSurge"), surge.clone(), why);
                }
                (false, false) => report.required(&at("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        other => {
            let rolling = if rolling.is_null() { Value::Null } else { rolling.clone() };
            report.unsupported_struct(
                "spec.updateStrategy",
                &[("Type", json!(other)), ("RollingUpdate", rolling)],
                &["RollingUpdate", "OnDelete"],
            );
        }
    }
}

pub(super) fn stateful_set(body: &Value, before: Option<&Value>, report: &mut Report) {
    let spec = &body["spec"];
    match spec["podManagementPolicy"].as_str().unwrap_or_default() {
        "" => report.required("spec.podManagementPolicy", ""),
        "OrderedReady" | "Parallel" => {}
        other => report.invalid("spec.podManagementPolicy", other, "must be 'OrderedReady' or 'Parallel'"),
    }
    stateful_strategy(&spec["updateStrategy"], report);
    for field in ["whenDeleted", "whenScaled"] {
        let policy = &spec["persistentVolumeClaimRetentionPolicy"];
        if policy.is_object() {
            let at = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
            report.one_of(&at, &policy[field], &["Retain", "Delete"]);
        }
    }
    if before.is_none() {
        for (index, claim) in spec["volumeClaimTemplates"].as_array().into_iter().flatten().enumerate() {
            super::storage::claim_spec(
                &claim["spec"],
                &format!("spec.volumeClaimTemplates[{index}].spec"),
                report,
            );
        }
    }
    report.nonnegative("spec.replicas", &spec["replicas"]);
    report.nonnegative("spec.minReadySeconds", &spec["minReadySeconds"]);
    report.nonnegative("spec.ordinals.start", &spec["ordinals"]["start"]);
    let service = spec["serviceName"].as_str().unwrap_or_default();
    if before.is_none() && !service.is_empty() {
        report.all_invalid("spec.serviceName", service, text::label(service));
    }
    strict_selector(spec, "statefulset", report);
    if !selector::compiles(&spec["selector"]) {
        report.invalid("spec.selector", spec["selector"].clone(), "");
    } else {
        let matches = selector::matches(&spec["selector"], template_labels(spec));
        if (spec["selector"].is_null() || !selector::is_empty(&spec["selector"])) && !matches {
            no_match(spec, "spec.template", report);
        }
        pod::template(&spec["template"], "spec.template", report);
    }
    forever(spec, "StatefulSet", report);
    if let Some(before) = before {
        let frozen = |body: &Value| {
            let mut spec = body["spec"].clone();
            for field in [
                "replicas",
                "template",
                "updateStrategy",
                "minReadySeconds",
                "ordinals",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
            ] {
                spec.as_object_mut().map(|spec| spec.remove(field));
            }
            spec
        };
        if !same(&frozen(body), &frozen(before)) {
            report.forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
        }
    }
}

fn stateful_strategy(strategy: &Value, report: &mut Report) {
    let at = "spec.updateStrategy";
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str().unwrap_or_default() {
        "" => report.required(at, ""),
        "OnDelete" => {
            if rolling.is_object() {
                let shown = [
                    ("Partition", rolling["partition"].clone()),
                    ("MaxUnavailable", rolling["maxUnavailable"].clone()),
                ];
                let why = "only allowed for updateStrategy 'RollingUpdate'";
                report.invalid_struct(&format!("{at}.rollingUpdate"), &shown, why);
            }
        }
        "RollingUpdate" => {
            report.nonnegative(&format!("{at}.rollingUpdate.partition"), &rolling["partition"]);
        }
        other => {
            let rolling = if rolling.is_null() { Value::Null } else { rolling.clone() };
            report.invalid_struct(
                at,
                &[("Type", json!(other)), ("RollingUpdate", rolling)],
                "must be 'RollingUpdate' or 'OnDelete'",
            );
        }
    }
}

/// How many pods a controller says that it has.
pub(super) fn replica_status(body: &Value, of_deployment: bool, report: &mut Report) {
    let status = &body["status"];
    let at = |field: &str| format!("status.{field}");
    let fields: &[&str] = if of_deployment {
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
        ]
    } else {
        &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"]
    };
    for field in fields {
        report.nonnegative(&at(field), &status[*field]);
    }
    let all = number(&status["replicas"]);
    let parts: &[&str] = if of_deployment {
        &["updatedReplicas", "readyReplicas", "availableReplicas"]
    } else {
        &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]
    };
    for field in parts {
        if number(&status[*field]) > all {
            report.invalid(&at(field), number(&status[*field]), "cannot be greater than status.replicas");
        }
    }
    if number(&status["availableReplicas"]) > number(&status["readyReplicas"]) {
        let why = "cannot be greater than readyReplicas";
        report.invalid(&at("availableReplicas"), number(&status["availableReplicas"]), why);
    }
}

/// How many pods a stateful set says that it has.
pub(super) fn stateful_status(body: &Value, report: &mut Report) {
    let status = &body["status"];
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas"];
    for field in ["replicas"].into_iter().chain(parts).chain(["observedGeneration", "collisionCount"]) {
        report.nonnegative(&format!("status.{field}"), &status[field]);
    }
    report.nonnegative("status.availableReplicas", &status["availableReplicas"]);
    let more = |field: &str, than: &str| number(&status[field]) > number(&status[than]);
    for field in parts.into_iter().chain(["availableReplicas"]) {
        if more(field, "replicas") {
            let why = "cannot be greater than status.replicas";
            report.invalid(&format!("status.{field}"), number(&status[field]), why);
        }
    }
    if more("availableReplicas", "readyReplicas") {
        let why = "cannot be greater than status.readyReplicas";
        report.invalid("status.availableReplicas", number(&status["availableReplicas"]), why);
    }
}

/// On how many nodes a daemon set says that it runs.
pub(super) fn daemon_status(body: &Value, report: &mut Report) {
    for field in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        report.nonnegative(&format!("status.{field}"), &body["status"][field]);
    }
}
