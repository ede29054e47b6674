//! Which guards a change removes or loosens.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, Manifest, ObjectId};
use crate::render::{Manifests, place};

/// What of the guards of the applied revision the new one removes, loosens or rewrites.
pub(super) fn weakened(applied: &Manifests, rendered: &Manifests) -> Vec<Finding> {
    let by_id = |policies: &[Arc<Manifest>]| -> BTreeMap<ObjectId, Arc<Manifest>> {
        policies.iter().map(|policy| (policy.id.clone(), policy.clone())).collect()
    };
    let old = by_id(&applied.policies);
    let new = by_id(&rendered.policies);
    let mut findings = Vec::new();
    for (id, before) in old.iter().filter(|(id, _)| !is_exception(id)) {
        match new.get(id) {
            None => {
                let message = "the policy is removed; it still judges this change";
                let place = Location::in_source(&before.origin.source, before.origin.line, 1);
                findings.push(Finding::warning(Code::PolicyWeakened, message).about(id).at(place));
            }
            Some(after) if Arc::ptr_eq(before, after) => {}
            Some(after) => findings.extend(changed(before, after)),
        }
    }
    for (id, exception) in new.iter().filter(|(id, _)| is_exception(id)) {
        if old.get(id).is_none_or(|before| before.body != exception.body) {
            let message = "an exception from policies is added or changed";
            let place = Location::in_source(&exception.origin.source, exception.origin.line, 1);
            findings.push(Finding::warning(Code::PolicyWeakened, message).about(id).at(place));
        }
    }
    findings.extend(rendered.repository.loosened_since(&applied.repository).into_iter().map(|change| {
        let finding = Finding::warning(Code::PolicyWeakened, change);
        match &rendered.repository.source {
            Some(source) => finding.at(Location::in_source(source, source.line, 1)),
            None => finding,
        }
    }));
    findings
}

fn is_exception(id: &ObjectId) -> bool {
    id.kind() == "PolicyException"
}

/// What a changed policy no longer demands, or demands in other words.
fn changed(before: &Manifest, after: &Manifest) -> Vec<Finding> {
    let weaker = |message: String, path: FieldPath| {
        Finding::warning(Code::PolicyWeakened, message).about(&after.id).at(place(after, &path))
    };
    let spec = FieldPath::of_keys(["spec"]);
    let mut findings = Vec::new();
    let field = action_field(&before.id);
    if enforces(before, field) && !enforces(after, field) {
        let message = "the policy only reports from now on; its enforced form still judges this change";
        findings.push(weaker(message.to_owned(), spec.key(field)));
    }
    let ignores = |policy: &Manifest| policy.body["spec"]["failurePolicy"] == "Ignore";
    if !ignores(before) && ignores(after) {
        let message = "the policy lets pass from now on what it cannot evaluate; its strict form still judges this change";
        findings.push(weaker(message.to_owned(), spec.key("failurePolicy")));
    }
    let old = rules(&before.body);
    let new = rules(&after.body);
    for (name, (_, rule)) in &old {
        match new.get(name) {
            None => findings.push(weaker(
                format!("the rule {name} is removed; it still judges this change"),
                spec.key("rules"),
            )),
            Some((index, now)) if now != rule => findings.push(weaker(
                format!("the rule {name} is changed; its former wording still judges this change"),
                spec.key("rules").index(*index),
            )),
            Some(_) => {}
        }
    }
    if findings.is_empty() && rest(&before.body) != rest(&after.body) {
        let message = "the policy is changed; its former wording still judges this change";
        findings.push(weaker(message.to_owned(), spec));
    }
    findings
}

/// Where a policy, or what binds one, says whether it refuses.
fn action_field(id: &ObjectId) -> &'static str {
    if id.group() == "kyverno.io" { "validationFailureAction" } else { "validationActions" }
}

/// Whether a policy refuses what breaks it. Of those in CEL, one that says nothing does; what binds an admission policy
/// says so.
fn enforces(policy: &Manifest, field: &str) -> bool {
    let says = |action: &Value, word: &str| action.as_str().is_some_and(|a| a.eq_ignore_ascii_case(word));
    match &policy.body["spec"][field] {
        Value::Array(actions) if !actions.is_empty() => actions.iter().any(|action| says(action, "deny")),
        Value::Null | Value::Array(_) => {
            policy.id.group() == "policies.kyverno.io" && policy.id.kind().ends_with("ValidatingPolicy")
        }
        action => says(action, "enforce"),
    }
}

fn rules(policy: &Value) -> BTreeMap<&str, (usize, &Value)> {
    let rules = policy["spec"]["rules"].as_array();
    rules
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, rule)| (rule["name"].as_str().unwrap_or_default(), (index, rule)))
        .collect()
}

/// What a policy demands beside its rules.
fn rest(policy: &Value) -> Value {
    let mut spec = policy["spec"].clone();
    if let Some(map) = spec.as_object_mut() {
        map.remove("rules");
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn policy(version: &str, kind: &str, spec: &str) -> Manifest {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: p}}\nspec: {spec}\n");
        let document = yaml::read(&"p.yaml".parse().unwrap(), text.as_bytes()).remove(0).unwrap();
        document.into_manifest().unwrap()
    }

    #[test]
    fn a_policy_that_only_reports_from_now_on_is_looser_whatever_its_kind() {
        const CEL: (&str, &str) = ("policies.kyverno.io/v1", "ValidatingPolicy");
        const BINDING: (&str, &str) = ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding");
        const CLASSIC: (&str, &str) = ("kyverno.io/v1", "ClusterPolicy");
        let report = "only reports from now on";
        for ((version, kind), before, after, wanted) in [
            (CLASSIC, "{validationFailureAction: Enforce}", "{validationFailureAction: Audit}", report),
            (CEL, "{validationActions: [Deny]}", "{validationActions: [Audit]}", report),
            (CEL, "{}", "{validationActions: [Warn, Audit]}", report),
            (BINDING, "{validationActions: [Deny]}", "{validationActions: [Warn]}", report),
            (CEL, "{failurePolicy: Fail}", "{failurePolicy: Ignore}", "lets pass"),
            (CEL, "{validationActions: [Audit]}", "{validationActions: [Deny]}", "the policy is changed"),
            (
                CEL,
                "{validationActions: [Deny]}",
                "{validationActions: [Deny, Audit]}",
                "the policy is changed",
            ),
        ] {
            let found = changed(&policy(version, kind, before), &policy(version, kind, after));
            assert_eq!(found.len(), 1, "{kind} {before} {after}");
            assert!(found[0].message.contains(wanted), "{kind} {before}: {}", found[0].message);
        }
    }
}
