//! Objects that generate rules make, for namespaces in git and for those that live only in the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::finish::{own, set_text};
use super::layers::address;
use super::memo::Memo;
use super::{LiveTriggers, Withheld};
use crate::finding::{Code, Finding, Location};
use crate::model::{GENERATED_BY, Gvk, LiveObject, Manifest, ObjectId, Origin, UnitName};
use crate::policy::{Generated, Neighbours, PolicySet, Request};

/// Annotation values for an object that its rule makes once and then leaves to others.
const ONCE: [(&str, &str); 2] =
    [("moin.scs.community/prune", "never"), ("moin.scs.community/drift", "report")];

/// What a trigger generates, by policies and trigger, which are kept alive so that their addresses stay theirs.
pub(super) type GenerateMemo = Memo<(usize, usize, UnitName, Arc<str>), Made>;

/// What one trigger brought.
#[derive(Debug, Clone)]
pub(super) struct Made {
    manifests: Arc<[Arc<Manifest>]>,
    findings: Arc<[Finding]>,
    /// It depends on other objects.
    copies: bool,
    _from: (Arc<PolicySet>, Arc<Value>),
}

/// What all triggers brought.
#[derive(Debug, Default)]
pub(super) struct AllMade {
    pub manifests: Vec<Arc<Manifest>>,
    pub findings: Vec<Finding>,
    pub withheld: Vec<Withheld>,
}

/// Decides which unit applies a generated object.
pub(super) struct Units<'a> {
    /// Units of rendered policies, by the policy's name.
    pub of_policies: &'a BTreeMap<String, UnitName>,
    /// Where it goes if that says nothing.
    pub fallback: UnitName,
    /// Whether the trigger's unit comes before the policy's (stages, which follow each other).
    pub by_trigger: bool,
}

impl Units<'_> {
    fn of(&self, policy: &str, trigger: Option<&UnitName>) -> UnitName {
        let of_policy = self.of_policies.get(policy);
        let first = if self.by_trigger { trigger } else { of_policy };
        let second = if self.by_trigger { None } else { trigger };
        first.or(second).unwrap_or(&self.fallback).clone()
    }
}

/// A namespace that may trigger rules.
struct Trigger {
    body: Arc<Value>,
    unit: Option<UnitName>,
    place: Option<Location>,
}

/// Lets every namespace trigger the rules. A namespace that is going triggers nothing, even if git describes it.
pub(super) fn generate(
    policies: &Arc<PolicySet>,
    manifests: &[Arc<Manifest>],
    live: &LiveTriggers<'_>,
    owner: &Arc<str>,
    units: &Units<'_>,
    memo: &mut GenerateMemo,
) -> AllMade {
    let mut all = AllMade::default();
    let around = live.around(manifests);
    for trigger in triggers(manifests, live).into_values() {
        let unit_key = trigger.unit.clone().unwrap_or_else(|| units.fallback.clone());
        let key = (address(policies), address(&trigger.body), unit_key, owner.clone());
        let made = match memo.peek(&key) {
            Some(made) => made.clone(),
            None => make(policies, &trigger, owner, units, &around),
        };
        if !made.copies {
            memo.keep(key, made.clone());
        }
        all.manifests.extend(made.manifests.iter().cloned());
        for finding in made.findings.iter() {
            all.findings.push(finding.clone());
            all.withheld.push(Withheld { id: None, unit: units.fallback.clone() });
        }
    }
    all
}

/// Namespaces by name: those in git as git has them, and the others as they live; none that is going.
fn triggers(manifests: &[Arc<Manifest>], live: &LiveTriggers<'_>) -> BTreeMap<String, Trigger> {
    let mut triggers: BTreeMap<String, Trigger> = live
        .namespaces
        .iter()
        .map(|(name, object)| (name.clone(), Trigger { body: object.body.clone(), unit: None, place: None }))
        .collect();
    for manifest in manifests {
        if manifest.id.group().is_empty() && manifest.id.kind() == "Namespace" {
            let trigger = Trigger {
                body: manifest.body.clone(),
                unit: Some(manifest.unit.clone()),
                place: Some(Location::in_source(&manifest.origin.source, manifest.origin.line, 1)),
            };
            triggers.insert(manifest.id.name().to_owned(), trigger);
        }
    }
    triggers.retain(|name, _| !live.namespaces.get(name).is_some_and(is_going));
    triggers
}

fn is_going(namespace: &LiveObject) -> bool {
    namespace.is_deleting() || namespace.body["status"]["phase"] == "Terminating"
}

fn make(
    policies: &Arc<PolicySet>,
    trigger: &Trigger,
    owner: &str,
    units: &Units<'_>,
    around: &Neighbours<'_>,
) -> Made {
    let mut manifests = Vec::new();
    let mut findings = Vec::new();
    let (asking, values) = (around.of(&trigger.body), around.values_for(&trigger.body));
    let request =
        Request { outside: Some(&asking), values: values.as_ref(), ..Request::create(&trigger.body) };
    for made in policies.generate_from(&request) {
        let made = match made {
            Ok(generated) => manifest_of(generated, trigger, owner, units).map_err(|finding| (finding, None)),
            Err(failed) => Err((failed.finding, failed.lack)),
        };
        match made {
            Ok(manifest) => manifests.push(Arc::new(manifest)),
            Err((mut finding, lack)) => {
                asking.explain(&mut finding, lack);
                finding.related = finding.related.or_else(|| trigger.place.clone());
                findings.push(*finding);
            }
        }
    }
    Made {
        manifests: manifests.into(),
        findings: findings.into(),
        copies: asking.asked(),
        _from: (policies.clone(), trigger.body.clone()),
    }
}

fn manifest_of(
    generated: Generated,
    trigger: &Trigger,
    owner: &str,
    units: &Units<'_>,
) -> Result<Manifest, Box<Finding>> {
    let Generated { object: mut body, rule, synchronize, keeps, source, line, .. } = generated;
    let failed = |error: crate::model::IdError| {
        let message = format!("{rule} made no Kubernetes object: {error}");
        Box::new(Finding::error(Code::GenerateFailed, message).at(Location::in_source(&source, line, 1)))
    };
    let id = ObjectId::of(&body).map_err(failed)?;
    let gvk = Gvk::of(&body).map_err(failed)?;
    own(&mut body, owner);
    set_text(&mut body, "annotations", GENERATED_BY, &rule.to_string());
    if keeps {
        set_text(&mut body, "annotations", ONCE[0].0, ONCE[0].1);
    }
    if !synchronize {
        for (name, value) in ONCE {
            set_text(&mut body, "annotations", name, value);
        }
    }
    let unit = units.of(&rule.policy, trigger.unit.as_ref());
    let origin = Origin { source, line, layer: None, overlays: Vec::new(), rule: Some(rule), tenant: None };
    Ok(Manifest { id, gvk, body: Arc::new(body), origin, unit })
}
