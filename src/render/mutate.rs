//! What mutate rules make of rendered objects, before anybody judges them.

use std::sync::Arc;

use super::LiveTriggers;
use super::finish::LeftOut;
use super::layers::address;
use super::memo::Memo;
use crate::finding::{Code, Finding};
use crate::model::{Gvk, Manifest, ObjectId};
use crate::policy::{Neighbours, PolicySet, Request, RuleOutcome, Verdict};
use crate::schema::Schemas;

/// Mutated objects by the object, the policies and the schemas, which are kept alive so that addresses stay theirs.
pub(super) type MutateMemo = Memo<(usize, usize, u64), Mutated>;

/// What became of an object.
#[derive(Debug, Clone)]
pub(super) struct Mutated {
    manifest: Arc<Manifest>,
    findings: Arc<[Finding]>,
    /// An enforced rule failed: nobody knows what the object should be.
    refused: bool,
    /// It depends on others than the object.
    asked: bool,
    _from: (Arc<Manifest>, Arc<PolicySet>),
}

/// Whether any policy has a mutate rule, or is all mutations.
pub(super) fn mutates(policies: &[Arc<Manifest>]) -> bool {
    policies.iter().any(|policy| {
        let rules = policy.body["spec"]["rules"].as_array();
        rules.is_some_and(|rules| rules.iter().any(|rule| rule.get("mutate").is_some()))
            || policy.body["spec"]["mutations"].is_array()
    })
}

/// Applies mutate rules. Whom an enforced rule fails on is left out.
pub(super) fn mutate(
    manifests: Vec<Arc<Manifest>>,
    policies: &Arc<PolicySet>,
    (schemas, generation): (&Schemas, u64),
    live: &LiveTriggers<'_>,
    memo: &mut MutateMemo,
    out: &mut LeftOut,
) -> Vec<Arc<Manifest>> {
    let keys = manifests.iter().map(|manifest| (address(manifest), address(policies), generation));
    let keys: Vec<_> = keys.collect();
    let around = live.around(&manifests);
    let mutated =
        memo.get_all(keys.clone(), |index| mutate_one(&manifests[index], policies, schemas, &around));
    keys.iter().zip(&mutated).filter(|(_, mutated)| mutated.asked).for_each(|(key, _)| memo.forget(key));
    let mut kept = Vec::with_capacity(manifests.len());
    for (manifest, mutated) in manifests.iter().zip(mutated) {
        out.findings.extend(mutated.findings.iter().cloned());
        if mutated.refused || !Arc::ptr_eq(&mutated.manifest, manifest) {
            out.originals.push(manifest.clone());
        }
        if mutated.refused {
            out.withheld.push(super::Withheld { id: Some(manifest.id.clone()), unit: manifest.unit.clone() });
        } else {
            kept.push(mutated.manifest);
        }
    }
    kept
}

fn mutate_one(
    manifest: &Arc<Manifest>,
    policies: &Arc<PolicySet>,
    schemas: &Schemas,
    around: &Neighbours<'_>,
) -> Mutated {
    let (asking, values) = (around.of(&manifest.body), around.values_for(&manifest.body));
    let request =
        Request { outside: Some(&asking), values: values.as_ref(), ..Request::create(&manifest.body) };
    let (body, outcomes) = policies.mutate(&request, schemas);
    let explained = |outcome: &RuleOutcome| {
        let mut finding = failure(manifest, outcome)?;
        asking.explain(&mut finding, outcome.lack);
        Some(finding)
    };
    let mut findings: Vec<Finding> = outcomes.iter().filter_map(explained).collect();
    let mut refused = outcomes.iter().any(RuleOutcome::refuses);
    let mut result = manifest.clone();
    if let Some(body) = body {
        if ObjectId::of(&body).as_ref() == Ok(&manifest.id)
            && let Ok(gvk) = Gvk::of(&body)
        {
            result = Arc::new(Manifest { body: Arc::new(body), gvk, ..(**manifest).clone() });
        } else {
            let message = "a mutate rule changes what the object is: its kind, namespace or name";
            let place = super::place(manifest, &crate::model::FieldPath::default());
            findings.push(Finding::error(Code::PolicyError, message).about(&manifest.id).at(place));
            refused = true;
        }
    }
    Mutated {
        manifest: result,
        findings: findings.into(),
        refused,
        asked: asking.asked(),
        _from: (manifest.clone(), policies.clone()),
    }
}

fn failure(manifest: &Manifest, outcome: &RuleOutcome) -> Option<Finding> {
    if !matches!(outcome.result, Verdict::Fail | Verdict::Error) {
        return None;
    }
    let message = format!("{}/{}: {}", outcome.policy, outcome.rule, outcome.message);
    let finding = if outcome.refuses() {
        Finding::error(Code::PolicyError, message)
    } else {
        Finding::warning(Code::PolicyError, message)
    };
    let path = outcome.path.clone().unwrap_or_default();
    let rule = super::place_in_document(&outcome.policy_source, &outcome.rule_path);
    Some(finding.about(&manifest.id).at(super::place(manifest, &path)).related(rule))
}
