//! Autoscalers, disruption budgets, leases, priority classes.

use serde_json::Value;

use super::report::Report;
use super::workloads::{at_most_all, positive_or_percent};
use super::{selector, text};

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

pub(super) fn autoscaler(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    let (least, most) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if let Some(least) = least.filter(|least| *least < 1) {
        report.invalid("spec.minReplicas", least, "must be greater than or equal to 1");
    }
    if most < 1 {
        report.invalid("spec.maxReplicas", most, "must be greater than 0");
    }
    if least.is_some_and(|least| most < least) {
        report.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`");
    }
    for field in ["kind", "name"] {
        let at = format!("spec.scaleTargetRef.{field}");
        match text_of(&spec["scaleTargetRef"], field) {
            "" => report.required(&at, ""),
            name => report.all_invalid(&at, name, text::path_segment(name)),
        }
    }
}

pub(super) fn disruption_budget(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !least.is_null() && !most.is_null() {
        let eviction = &spec["unhealthyPodEvictionPolicy"];
        report.invalid_struct(
            "spec",
            &[
                ("MinAvailable", least.clone()),
                ("Selector", spec["selector"].clone()),
                ("MaxUnavailable", most.clone()),
                ("UnhealthyPodEvictionPolicy", eviction.clone()),
            ],
            "minAvailable and maxUnavailable cannot be both set",
        );
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if !spec[field].is_null() {
            let at = format!("spec.{field}");
            positive_or_percent(&spec[field], &at, report);
            at_most_all(&spec[field], &at, report);
        }
    }
    selector::label_selector(&spec["selector"], "spec.selector", report);
    let policy = &spec["unhealthyPodEvictionPolicy"];
    if !policy.is_null() {
        report.one_of("spec.unhealthyPodEvictionPolicy", policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

pub(super) fn lease(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64().filter(|seconds| *seconds <= 0) {
        report.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0");
    }
    report.nonnegative("spec.leaseTransitions", &spec["leaseTransitions"]);
    if let Some(strategy) = spec["strategy"].as_str() {
        report.all_invalid("spec.strategy", strategy, text::qualified(strategy));
    }
    if !text_of(spec, "preferredHolder").is_empty() && text_of(spec, "strategy").is_empty() {
        report.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined");
    }
}

/// The greatest priority that is not the system's.
const HIGHEST: i64 = 1_000_000_000;

pub(super) fn priority_class(body: &Value, report: &mut Report) {
    if body["value"].as_i64().unwrap_or(0) > HIGHEST {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        report.forbidden("value", &why);
    }
    preemption(body, report);
}

fn preemption(body: &Value, report: &mut Report) {
    match body["preemptionPolicy"].as_str() {
        None | Some("PreemptLowerPriority" | "Never") => {}
        Some("") => report.required("preemptionPolicy", ""),
        Some(other) => {
            report.unsupported("preemptionPolicy", other, &["PreemptLowerPriority", "Never"]);
        }
    }
}

pub(super) fn priority_class_update(body: &Value, before: &Value, report: &mut Report) {
    if body["value"] != before["value"] {
        report.forbidden("value", "may not be changed in an update.");
    }
    report.immutable("preemptionPolicy", &body["preemptionPolicy"], &before["preemptionPolicy"]);
}

/// How many pods a disruption budget says that there are.
pub(super) fn disruption_status(body: &Value, report: &mut Report) {
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        report.nonnegative(&format!("status.{field}"), &body["status"][field]);
    }
}

/// How many pods an autoscaler says that there are.
pub(super) fn autoscaler_status(body: &Value, report: &mut Report) {
    for field in ["currentReplicas", "desiredReplicas"] {
        report.nonnegative(&format!("status.{field}"), &body["status"][field]);
    }
}
