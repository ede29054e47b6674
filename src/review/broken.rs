//! What a policy that does not compile costs. Why it does not is said of the policy; here is said once which objects it
//! leaves unjudged, and not of each of them again.

use std::collections::BTreeMap;

use crate::finding::{Code, Finding, Severity, counted};
use crate::policy::NOT_COMPILED;

/// How many objects are named.
const NAMED: usize = 3;

/// Findings about objects, those about each policy that does not compile taken together. `said` is known already.
pub(super) fn taken_together(found: Vec<Finding>, said: &[Finding]) -> Vec<Finding> {
    let mut left = Vec::with_capacity(found.len());
    let mut of_policies: BTreeMap<(String, Severity), Vec<Finding>> = BTreeMap::new();
    for finding in found {
        match policy_of(&finding).filter(|policy| is_said(policy, said)) {
            Some(policy) => {
                of_policies.entry((policy.to_owned(), finding.severity)).or_default().push(finding);
            }
            None => left.push(finding),
        }
    }
    left.extend(of_policies.into_iter().map(|((policy, severity), of)| together(&policy, severity, of)));
    left
}

fn together(policy: &str, severity: Severity, mut of: Vec<Finding>) -> Finding {
    of.sort_by(|a, b| a.object.cmp(&b.object));
    of.dedup_by(|a, b| a.object == b.object);
    let names: Vec<String> = of
        .iter()
        .filter_map(|finding| finding.object.as_ref())
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let rest = of.len().saturating_sub(names.len());
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    let (is, what) = (if of.len() == 1 { "is" } else { "are" }, counted(of.len(), "object"));
    let fate = if severity == Severity::Error { "refused" } else { "not judged" };
    let message =
        format!("policy {policy} does not compile, so {what} {is} {fate}: {}{more}", names.join(", "));
    let first = of.swap_remove(0);
    let finding = Finding::warning(Code::PolicyInvalid, message).help("correct the policy");
    Finding { location: first.location, related: first.related, ..finding }
}

/// The policy whose fault a finding about an object is.
fn policy_of(finding: &Finding) -> Option<&str> {
    let is_about_one = finding.code == Code::PolicyInvalid && finding.object.is_some();
    let (policy, why) = finding.message.split_once(": ").filter(|_| is_about_one)?;
    why.starts_with(NOT_COMPILED).then_some(policy)
}

/// Whether it was said why the policy does not compile.
fn is_said(policy: &str, said: &[Finding]) -> bool {
    let begins = format!("policy {policy}: ");
    said.iter().any(|finding| finding.code == Code::PolicyInvalid && finding.message.starts_with(&begins))
}

#[cfg(test)]
mod tests {
    use super::super::{Surroundings, review};
    use super::*;
    use crate::render::testing::repo;

    #[test]
    fn why_a_policy_does_not_compile_is_said_once() {
        let policy = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  \
                      - name: r\n    match: {any: [{resources: {kinds: [ConfigMap]}}]}\n    validate: {message: m, deny: {conditions: {all: \
                      [{key: '{{ length( }}', operator: Equals, value: 1}]}}}\n";
        let map = |name: &str| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: a}}\n")
        };
        let all = ["a", "b", "c", "d", "e"]
            .iter()
            .fold(repo().file("p.yaml", policy), |repo, name| repo.file(&format!("{name}.yaml"), &map(name)));
        let rendered = all.render();
        let reviewed = review(&rendered, &Surroundings::none());
        assert_eq!(reviewed.blocked.len(), 5);
        let why = rendered.findings.iter().find(|finding| finding.code == Code::PolicyInvalid).unwrap();
        assert!(why.message.starts_with("policy p: "), "{why}");
        let said: Vec<&str> = reviewed.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "policy p does not compile, so 5 objects are refused: ConfigMap/a/a, ConfigMap/a/b, ConfigMap/a/c and 2 more"
            ]
        );
    }
}
