//! The `Reconciliation` object: how it stands, readable by kubectl, and what a restart must know.

use serde_json::{Value, json};

use super::{Report, SUSPENDED, SourceRecord};
use crate::finding::{Finding, Severity};
use crate::model::{API_VERSION, SYSTEM_NAMESPACE};

/// More findings than this are counted, not listed: one object must stay far below what etcd takes.
pub(super) const MAX_FINDINGS: usize = 100;
/// Longer texts are cut.
const MAX_TEXT: usize = 1024;

/// Name of the Reconciliation of an owner name.
pub fn name_of(owner: &str) -> String {
    owner.to_owned()
}

/// The object with its status. `before` is the object as it lives: what did not change keeps its transition times.
pub fn reconciliation(report: &Report, before: Option<&Value>, now: &str) -> Value {
    let none = Value::Null;
    let old = before.map_or(&none, |before| &before["status"]["conditions"]);
    let generation = before.map_or(&none, |before| &before["metadata"]["generation"]);
    let listed = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
    let findings: Vec<Value> = listed.clone().take(MAX_FINDINGS).map(finding_entry).collect();
    let mut status = json!({
        "source": report.source,
        "objects": report.objects,
        "units": report.units.iter().map(|unit| json!({
            "name": unit.name, "phase": unit.phase, "message": cut(&unit.message),
        })).collect::<Vec<_>>(),
        "findings": findings,
        "conditions": conditions(report, old, generation, now),
    });
    if let Some(left_out) = listed.count().checked_sub(MAX_FINDINGS).filter(|n| *n > 0) {
        status["findingsLeftOut"] = left_out.into();
    }
    if let Some(revision) = &report.revision {
        status["revision"] = revision.as_str().into();
    }
    if let Some(revision) = &report.applied_revision {
        status["appliedRevision"] = revision.as_str().into();
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": "Reconciliation",
        "metadata": {"name": name_of(&report.owner), "namespace": SYSTEM_NAMESPACE},
        "status": status,
    })
}

/// Source and applied revision that a Reconciliation records.
pub fn recorded(object: &Value) -> (Option<SourceRecord>, Option<String>) {
    let status = &object["status"];
    let source = serde_json::from_value(status["source"].clone()).ok();
    (source, status["appliedRevision"].as_str().map(str::to_owned))
}

/// The report that a Reconciliation was made of, as far as events need it: what was told before is not told again.
pub fn last_told(object: &Value) -> Report {
    let status = &object["status"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let findings = list(&status["findings"]).into_iter().filter_map(|entry| {
        let code = entry["code"].as_str()?.parse().ok()?;
        let mut finding = Finding::warning(code, entry["message"].as_str()?);
        finding.object = entry["object"].as_str().and_then(|id| id.parse().ok());
        Some(finding)
    });
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    Report {
        revision: status["revision"].as_str().map(str::to_owned),
        applied_revision: status["appliedRevision"].as_str().map(str::to_owned),
        converged: list(&status["conditions"]).iter().any(ready),
        findings: findings.collect(),
        ..Report::default()
    }
}

fn conditions(report: &Report, old: &Value, generation: &Value, now: &str) -> Vec<Value> {
    let summary = report.summary();
    let ready = match (report.converged, report.stalled) {
        (true, _) => ("True", "Converged", summary.clone()),
        (false, true) if report.is_suspended() => ("False", SUSPENDED, summary.clone()),
        (false, true) => ("False", "Blocked", summary.clone()),
        (false, false) => ("False", "Progressing", summary.clone()),
    };
    let moving = !report.converged && !report.stalled;
    let reconciling =
        if moving { ("True", "Progressing", summary) } else { ("False", "Settled", "nothing to do".into()) };
    let first_error = report.errors().next().map(|finding| finding.message.clone());
    let stalled = match first_error.filter(|_| report.stalled) {
        Some(message) => ("True", "Blocked", message),
        None => ("False", "NotBlocked", "nothing is blocked".to_owned()),
    };
    [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)]
        .into_iter()
        .map(|(kind, (status, reason, message))| {
            let before = old.as_array().and_then(|all| all.iter().find(|c| c["type"] == kind));
            let since = before
                .filter(|before| before["status"] == status)
                .and_then(|before| before["lastTransitionTime"].as_str())
                .unwrap_or(now);
            let mut condition = json!({"type": kind, "status": status, "reason": reason,
                "message": cut(&message), "lastTransitionTime": since});
            if generation.is_i64() {
                condition["observedGeneration"] = generation.clone();
            }
            condition
        })
        .collect()
}

fn finding_entry(finding: &Finding) -> Value {
    let mut entry = json!({
        "code": finding.code,
        "severity": finding.severity,
        "message": cut(&finding.message),
    });
    if let Some(object) = &finding.object {
        entry["object"] = object.full().into();
    }
    if let Some(location) = &finding.location {
        entry["location"] = format!("{}:{}", location.file, location.line).into();
    }
    if let Some(help) = &finding.help {
        entry["help"] = cut(help).into();
    }
    if let Some(approval) = &finding.approval {
        entry["approval"] = json!(approval);
        // As `moin approve` and `spec.approvals` take it.
        if let Some(object) = &approval.object {
            entry["approval"]["object"] = object.full().into();
        }
    }
    entry
}

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Code;

    fn report() -> Report {
        Report { owner: "moin".into(), revision: Some("3f2c1d9aaaa".into()), ..Report::default() }
    }

    #[test]
    fn an_unchanged_report_makes_the_same_object_later() {
        let first = reconciliation(&report(), None, "2026-01-01T00:00:00Z");
        let second = reconciliation(&report(), Some(&first), "2026-01-02T00:00:00Z");
        assert_eq!(first, second);
        let converged = Report { converged: true, ..report() };
        let third = reconciliation(&converged, Some(&second), "2026-01-03T00:00:00Z");
        let ready = &third["status"]["conditions"][0];
        assert_eq!(
            (&ready["status"], &ready["lastTransitionTime"]),
            (&"True".into(), &"2026-01-03T00:00:00Z".into())
        );
    }

    #[test]
    fn many_and_long_findings_are_bounded() {
        let findings = vec![Finding::error(Code::ApplyRefused, "x".repeat(5000)); 150];
        let object = reconciliation(&Report { findings, ..report() }, None, "now");
        assert_eq!(object["status"]["findings"].as_array().unwrap().len(), 100);
        assert_eq!(object["status"]["findingsLeftOut"], 50);
        assert!(object.to_string().len() < 200_000);
    }

    #[test]
    fn what_was_told_before_a_restart_is_not_told_again() {
        let about = crate::model::ObjectId::new("cert-manager.io", "Issuer", Some("a"), "b");
        let long = Finding::error(Code::KindNotServed, "x".repeat(5000)).about(&about);
        let findings = vec![long, Finding::warning(Code::Drift, "short")];
        let report =
            Report { findings, converged: true, applied_revision: Some("3f2c1d9aaaa".into()), ..report() };
        let told = last_told(&reconciliation(&report, None, "now"));
        assert_eq!(super::super::events(&told, &report), []);
        assert_eq!(super::super::events(&last_told(&Value::Null), &report).len(), 4);
    }

    #[test]
    fn what_is_recorded_can_be_read_back() {
        let source = SourceRecord { url: "https://a/b".into(), path: "x".into(), root_commit: "1".into() };
        let report = Report { source: source.clone(), applied_revision: Some("abc".into()), ..report() };
        assert_eq!(recorded(&reconciliation(&report, None, "now")), (Some(source), Some("abc".into())));
    }
}
