//! What may be applied: every rendered object, judged by the policies, its schema, and what Cluster API itself demands.
//!
//! Input: [`Manifests`], and the ones of the applied revision, whose policies still judge a change that weakens them.
//! Output: a [`Review`]: [`Admitted`] objects, which only this module can make, the blocked ones, and findings.
//! Reviewing cannot fail; what cannot be judged by an enforced policy is blocked.
//!
//! Guarantees: an object with an error among its findings is never admitted; what is blocked is still described, so
//! that nobody deletes it. Cost: one look-up for each object, and a judgement for each new pair of object and policies.

mod broken;
mod cluster_api;
mod explain;
mod judge;
mod results;
mod weakened;

pub use explain::{Explained, Explainer};
pub use results::{ObjectResults, RuleResult};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::finding::{Finding, Severity};
use crate::model::{LiveObject, Manifest, ObjectId, Unit};
use crate::policy::PolicySet;
use crate::render::{LiveTriggers, Manifests, Memo};

/// What may be applied. Only a review makes it.
#[derive(Debug, Clone)]
pub struct Admitted {
    manifests: Vec<Arc<Manifest>>,
    units: Vec<Unit>,
    described: Arc<HashSet<ObjectId>>,
    complete: bool,
}

/// An object that must not be applied.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// The object.
    pub manifest: Arc<Manifest>,
    /// Why, and what else there is to say about it.
    pub findings: Vec<Finding>,
}

/// A judgement on a rendered repository.
#[derive(Debug, Clone)]
pub struct Review {
    /// What may be applied.
    pub admitted: Admitted,
    /// What may not.
    pub blocked: Vec<Blocked>,
    /// All findings of the review; those of rendering stand beside the manifests.
    pub findings: Vec<Finding>,
    /// What rules say of each object that any is about, if the reviewer keeps that.
    pub results: Vec<ObjectResults>,
}

/// What a review may know beside the manifests.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The applied revision: its policies still judge.
    pub applied: Option<&'a Manifests>,
    /// Namespaces of the cluster, for rules that select by their labels.
    pub live: LiveTriggers<'a>,
    /// Objects of the cluster, as far as they were read: what was there before a change.
    pub objects: Option<&'a HashMap<ObjectId, LiveObject>>,
}

impl Surroundings<'static> {
    /// Nothing is known.
    pub fn none() -> Surroundings<'static> {
        Surroundings { applied: None, live: LiveTriggers::none(), objects: None }
    }
}

impl Admitted {
    /// The objects, by unit and identity.
    pub fn manifests(&self) -> &[Arc<Manifest>] {
        &self.manifests
    }

    /// The units, each behind those it depends on.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Everything that the repository describes, admitted or not. Nothing of it may be deleted.
    pub fn described(&self) -> &HashSet<ObjectId> {
        &self.described
    }

    /// Whether the repository was understood so far that what it does not describe may be deleted.
    pub fn may_delete_the_rest(&self) -> bool {
        self.complete
    }
}

/// What was found about one object, by its address and those of its namespace and policies.
type Verdicts = Memo<(usize, usize, usize, u64), Known>;

/// A verdict, with what it was made of, so that the addresses stay theirs.
#[derive(Debug, Clone)]
struct Known {
    findings: Arc<[Finding]>,
    results: Arc<[RuleResult]>,
    /// It depends on more than the object.
    asked: bool,
    _from: (Arc<Manifest>, Option<Arc<Value>>, Arc<PolicySet>),
}

/// Reviews again and again, at the cost of what changed.
#[derive(Debug, Default)]
pub struct Reviewer {
    verdicts: Verdicts,
    keeps_results: bool,
}

/// Reviews once.
pub fn review(manifests: &Manifests, surroundings: &Surroundings<'_>) -> Review {
    Reviewer::default().review(manifests, surroundings)
}

impl Reviewer {
    /// From now on, what rules say of objects is kept for reports, or not.
    pub fn keep_results(&mut self, keeps: bool) {
        if self.keeps_results != keeps {
            // What was judged before is remembered without them.
            *self = Reviewer { keeps_results: keeps, ..Reviewer::default() };
        }
    }

    /// Judges what was rendered.
    pub fn review(&mut self, rendered: &Manifests, surroundings: &Surroundings<'_>) -> Review {
        self.verdicts.begin();
        let judged = self.judge(rendered, &rendered.policy_set, surroundings, true);
        let results = rendered.manifests.iter().zip(&judged).filter(|(_, known)| !known.results.is_empty());
        let results = results
            .map(|(manifest, known)| ObjectResults {
                manifest: manifest.clone(),
                results: known.results.clone(),
            })
            .collect();
        let mut found: Vec<Arc<[Finding]>> = judged.into_iter().map(|known| known.findings).collect();
        for (index, finding) in cluster_api::across(rendered, surroundings) {
            add_missing(&mut found[index], &[finding]);
        }
        let (mut findings, mut of_objects) = (Vec::new(), Vec::new());
        if let Some(applied) = surroundings.applied {
            findings.extend(weakened::weakened(applied, rendered));
            if !Arc::ptr_eq(&applied.policy_set, &rendered.policy_set) {
                let before = self.judge(rendered, &applied.policy_set, surroundings, false);
                for (findings, before) in found.iter_mut().zip(before) {
                    add_missing(findings, &before.findings);
                }
            }
        }
        let mut admitted = Vec::with_capacity(rendered.manifests.len());
        let mut blocked = Vec::new();
        for (manifest, found) in rendered.manifests.iter().zip(found) {
            if found.iter().any(|finding| finding.severity == Severity::Error) {
                blocked.push(Blocked { manifest: manifest.clone(), findings: found.to_vec() });
            } else {
                admitted.push(manifest.clone());
            }
            of_objects.extend(found.iter().cloned());
        }
        findings.extend(broken::taken_together(of_objects, &rendered.findings));
        let admitted = Admitted {
            manifests: admitted,
            units: rendered.units.clone(),
            described: Arc::new(rendered.described()),
            complete: rendered.is_complete(),
        };
        Review { admitted, blocked, findings, results }
    }

    /// What one set of policies says of each object; with `built_in`, what moin itself knows as well.
    fn judge(
        &mut self,
        rendered: &Manifests,
        policies: &Arc<PolicySet>,
        surroundings: &Surroundings<'_>,
        built_in: bool,
    ) -> Vec<Known> {
        let namespaces = Namespaces::of(rendered, surroundings);
        let generation = if built_in { rendered.schemas_generation } else { 0 };
        let address = |body: &Arc<Value>| Arc::as_ptr(body) as usize;
        let keys = rendered.manifests.iter().map(|manifest| {
            let namespace = namespaces.body(manifest).map_or(0, address);
            (Arc::as_ptr(manifest) as usize, namespace, Arc::as_ptr(policies) as usize, generation)
        });
        let keys: Vec<_> = keys.collect();
        let around = surroundings.live.around(&rendered.manifests);
        let judged = self.verdicts.get_all(keys.clone(), |index| {
            let manifest = &rendered.manifests[index];
            let asking = around.of(&manifest.body);
            let values = around.values_for(&manifest.body);
            let known = judge::Known { namespaces: &namespaces, asking: &asking, values: values.as_ref() };
            let mut results = Vec::new();
            let kept = (built_in && self.keeps_results).then_some(&mut results);
            let findings = judge::judge(rendered, manifest, policies, &known, built_in, kept).into();
            let namespace = namespaces.body(manifest).cloned();
            let _from = (manifest.clone(), namespace, policies.clone());
            Known { findings, results: results.into(), asked: asking.asked(), _from }
        });
        let changing = keys.iter().zip(&judged).filter(|(_, known)| known.asked);
        changing.for_each(|(key, _)| self.verdicts.forget(key));
        judged
    }
}

/// Adds what was not found yet.
fn add_missing(findings: &mut Arc<[Finding]>, before: &[Finding]) {
    let missing: Vec<Finding> =
        before.iter().filter(|finding| !findings.contains(finding)).cloned().collect();
    if !missing.is_empty() {
        *findings = findings.iter().cloned().chain(missing).collect();
    }
}

/// Bodies and labels of namespaces by name: as git has them, and of the others as they live.
struct Namespaces<'a>(FxHashMap<&'a str, (&'a Arc<Value>, BTreeMap<String, String>)>);

impl<'a> Namespaces<'a> {
    fn of(rendered: &'a Manifests, surroundings: &Surroundings<'a>) -> Namespaces<'a> {
        let lives = surroundings.live.namespaces.iter().map(|(name, object)| (name.as_str(), &object.body));
        let in_git = rendered
            .manifests
            .iter()
            .filter(|manifest| manifest.id.kind() == "Namespace" && manifest.id.group().is_empty())
            .map(|manifest| (manifest.id.name(), &manifest.body));
        let bodies: FxHashMap<&str, &Arc<Value>> = lives.chain(in_git).collect();
        Namespaces(bodies.into_iter().map(|(name, body)| (name, (body, labels_of(body)))).collect())
    }

    /// The namespace of an object, if known.
    fn body(&self, manifest: &Manifest) -> Option<&'a Arc<Value>> {
        self.0.get(manifest.id.namespace()?).map(|(body, _)| *body)
    }

    /// Labels of an object's namespace, if known.
    fn labels(&self, manifest: &Manifest) -> Option<&BTreeMap<String, String>> {
        self.0.get(manifest.id.namespace()?).map(|(_, labels)| labels)
    }
}

fn labels_of(namespace: &Value) -> BTreeMap<String, String> {
    let labels = namespace["metadata"]["labels"].as_object();
    labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests;
