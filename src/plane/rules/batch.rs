//! Jobs and cron jobs.

use serde_json::{Value, json};

use super::report::{Report, same};
use super::{cron, pod, selector};

pub(super) fn job(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    job_spec(spec, "spec", report);
    let own = &spec["selector"];
    if own.is_null() {
        report.required("spec.selector", "");
    } else {
        selector::label_selector(own, "spec.selector", report);
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if selector::compiles(own) && !selector::matches(own, labels) {
        let why = "`selector` does not match template `labels`";
        report.invalid("spec.template.metadata.labels", labels.clone(), why);
    }
}

/// What a job's pods are selected by, where the server does not make it up.
pub(super) fn job_new(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    if spec["manualSelector"] == true {
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let uid = body["metadata"]["uid"].clone();
    let expected = json!({"batch.kubernetes.io/controller-uid": uid});
    if labels["batch.kubernetes.io/controller-uid"] != expected["batch.kubernetes.io/controller-uid"] {
        let key = "batch.kubernetes.io/controller-uid";
        let why = format!("must be {:?}", uid.as_str().unwrap_or_default());
        report.invalid(&format!("spec.template.metadata.labels.{key}"), labels[key].clone(), &why);
    }
    if spec["selector"] != json!({"matchLabels": expected}) {
        report.invalid("spec.selector", spec["selector"].clone(), "`selector` not auto-generated");
    }
}

fn job_spec(spec: &Value, at: &str, report: &mut Report) {
    let under = |field: &str| format!("{at}.{field}");
    for field in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        report.nonnegative(&under(field), &spec[field]);
    }
    if let Some(mode) = spec["completionMode"].as_str() {
        report.one_of(&under("completionMode"), &spec["completionMode"], &["NonIndexed", "Indexed"]);
        if mode == "Indexed" && spec["completions"].is_null() {
            report.required(&under("completions"), "when completion mode is Indexed");
        }
    }
    let replaced = &spec["podReplacementPolicy"];
    if let Some(policy) = replaced.as_str() {
        let known: &[&str] = if spec["podFailurePolicy"].is_object() {
            &["Failed"]
        } else {
            &["Failed", "TerminatingOrFailed"]
        };
        if !known.contains(&policy) {
            report.unsupported(&under("podReplacementPolicy"), policy, known);
        }
    }
    pod::template(&spec["template"], &under("template"), report);
    let at = under("template.spec.restartPolicy");
    match spec["template"]["spec"]["restartPolicy"].as_str().unwrap_or_default() {
        "" | "Always" => report.required(&at, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" => {
            if spec["podFailurePolicy"].is_object() {
                let why = "only \"Never\" is supported when podFailurePolicy is specified";
                report.invalid(&at, "OnFailure", why);
            }
        }
        other => report.unsupported(&at, other, &["OnFailure", "Never"]),
    }
}

pub(super) fn job_update(body: &Value, before: &Value, report: &mut Report) {
    let (new, old) = (&body["spec"], &before["spec"]);
    if new["completionMode"] != "Indexed" || new["completions"] != new["parallelism"] {
        report.immutable("spec.completions", &new["completions"], &old["completions"]);
    }
    report.immutable("spec.selector", &new["selector"], &old["selector"]);
    if !same(&new["template"], &old["template"]) {
        report.immutable("spec.template", &new["template"], &old["template"]);
    }
    report.immutable("spec.completionMode", &new["completionMode"], &old["completionMode"]);
    report.immutable("spec.podFailurePolicy", &new["podFailurePolicy"], &old["podFailurePolicy"]);
    for field in ["backoffLimitPerIndex", "managedBy", "successPolicy"] {
        report.immutable(&format!("spec.{field}"), &new[field], &old[field]);
    }
}

pub(super) fn cron_job(body: &Value, before: Option<&Value>, report: &mut Report) {
    let spec = &body["spec"];
    match spec["schedule"].as_str().unwrap_or_default() {
        "" => report.required("spec.schedule", ""),
        schedule => {
            if let Some(why) = cron::error(schedule) {
                report.invalid("spec.schedule", schedule, &why);
            }
            let allowed =
                before.is_some_and(|b| b["spec"]["schedule"].as_str().is_some_and(|s| s.contains("TZ")));
            if schedule.contains("TZ") && !allowed {
                let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                report.invalid("spec.schedule", schedule, why);
            }
        }
    }
    report.nonnegative("spec.startingDeadlineSeconds", &spec["startingDeadlineSeconds"]);
    if before.is_none_or(|before| before["spec"]["timeZone"] != spec["timeZone"])
        && let Some(zone) = spec["timeZone"].as_str()
    {
        time_zone(zone, report);
    }
    match spec["concurrencyPolicy"].as_str().unwrap_or_default() {
        "" => report.required("spec.concurrencyPolicy", ""),
        "Allow" | "Forbid" | "Replace" => {}
        other => report.unsupported("spec.concurrencyPolicy", other, &["Allow", "Forbid", "Replace"]),
    }
    let job = &spec["jobTemplate"]["spec"];
    job_spec(job, "spec.jobTemplate.spec", report);
    if !job["selector"].is_null() {
        let why = "`selector` will be auto-generated";
        report.invalid("spec.jobTemplate.spec.selector", job["selector"].clone(), why);
    }
    if job["manualSelector"] == true {
        report.unsupported("spec.jobTemplate.spec.manualSelector", true, &["nil", "false"]);
    }
    report.nonnegative("spec.successfulJobsHistoryLimit", &spec["successfulJobsHistoryLimit"]);
    report.nonnegative("spec.failedJobsHistoryLimit", &spec["failedJobsHistoryLimit"]);
}

fn time_zone(zone: &str, report: &mut Report) {
    let at = "spec.timeZone";
    if zone.is_empty() {
        return report.invalid(at, "", "timeZone must be nil or non-empty string");
    }
    if zone.eq_ignore_ascii_case("Local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        report.invalid(at, zone, why);
    } else if zone != "UTC" && jiff::tz::TimeZone::get(zone).is_err() {
        report.invalid(at, zone, &format!("unknown time zone {zone}"));
    }
}
