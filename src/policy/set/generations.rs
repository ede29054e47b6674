//! What policies that are all CEL make of an object, and which objects they would delete.

use crate::finding::{Code, Finding};
use crate::model::{ObjectId, PathSegment, RuleOrigin};
use crate::yaml;

use super::super::cel::{Around, Generations};
use super::super::cleanup::Cleanup;
use super::super::images::Images;
use super::super::matching::Subjected;
use super::super::request::Request;
use super::super::rule::{Body, Rule};
use super::super::validate::{Judgement, Verdict};
use super::super::variables;
use super::{Generated, NotGenerated, PolicySet, RuleOutcome};

impl PolicySet {
    /// What each GeneratingPolicy says of an object, and what it makes of it. One whose conditions are not met says nothing.
    pub fn generate_by_policies(&self, request: &Request<'_>) -> Vec<(RuleOutcome, Vec<Generated>)> {
        let object = Subjected::of(request);
        let Ok(trigger) = ObjectId::of(request.object) else { return Vec::new() };
        let mut made = Vec::new();
        for rule in self.matching(request, &object) {
            let Body::Generations(generations) = &rule.body else { continue };
            let allowed = match self.excepted(rule, request, false) {
                Ok(allowed) => allowed,
                Err(outcome) => {
                    made.push((*outcome, Vec::new()));
                    continue;
                }
            };
            let around = Around { exceptions: &allowed, ..self.around(rule) };
            let (judgement, objects) = match generations.evaluate(request, around) {
                Ok(None) => continue,
                Ok(Some(objects)) => {
                    let judgement = Judgement::new(Verdict::Pass, "policy evaluated successfully");
                    let of = |object| self.generated(rule, generations, object, &trigger);
                    (judgement, objects.into_iter().map(of).collect())
                }
                Err(why) => (Judgement::error("failed to evaluate policy", why), Vec::new()),
            };
            made.push((self.outcome(rule, judgement, false), objects));
        }
        made
    }

    fn generated(
        &self,
        rule: &Rule,
        generations: &Generations,
        object: serde_json::Value,
        trigger: &ObjectId,
    ) -> Generated {
        let policy = &self.policies[rule.policy];
        let mut path = rule.path.clone();
        path.0.push(PathSegment::Key("generate".into()));
        Generated {
            object,
            rule: RuleOrigin {
                policy: policy.name.clone(),
                rule: rule.name.clone(),
                trigger: trigger.clone(),
            },
            synchronize: generations.synchronize,
            existing: generations.existing,
            keeps: generations.keeps,
            line: yaml::locate(&policy.source, &path).line.max(policy.line),
            source: policy.source.clone(),
        }
    }

    /// The same as what is made, or why nothing is.
    pub(super) fn generated_by_policies(
        &self,
        request: &Request<'_>,
        trigger: &ObjectId,
    ) -> Vec<Result<Generated, NotGenerated>> {
        let mut made = Vec::new();
        for (outcome, objects) in self.generate_by_policies(request) {
            if outcome.result == Verdict::Error {
                let message = format!("policy {}, for {trigger}: {}", outcome.policy, outcome.message);
                let place = yaml::locate(&outcome.policy_source, &outcome.rule_path);
                let finding = Box::new(Finding::error(Code::GenerateFailed, message).at(place));
                let rule =
                    RuleOrigin { policy: outcome.policy, rule: outcome.rule, trigger: trigger.clone() };
                made.push(Err(NotGenerated { rule, why: outcome.message, lack: outcome.lack, finding }));
            }
            made.extend(objects.into_iter().map(Ok));
        }
        made
    }

    /// Whether any policy selects objects that are to go.
    pub fn deletes(&self) -> bool {
        self.deletes
    }

    /// What each DeletingPolicy and CleanupPolicy that is about an object says of it: a pass if it would delete it.
    /// Nothing is deleted here.
    pub fn deletions(&self, request: &Request<'_>) -> Vec<RuleOutcome> {
        let object = Subjected::of(request);
        let mut outcomes = Vec::new();
        for rule in self.matching(request, &object) {
            match &rule.body {
                Body::Deletions(deletions) => outcomes.push(match self.excepted(rule, request, false) {
                    Err(outcome) => *outcome,
                    Ok(_) => self.outcome(rule, deletions.evaluate(request, self.around(rule)), false),
                }),
                Body::Cleanup(cleanup) => {
                    let judgement = self.clean_up(rule, cleanup, request);
                    outcomes.push(self.outcome(rule, judgement, false));
                }
                _ => {}
            }
        }
        outcomes
    }

    fn clean_up(&self, rule: &Rule, cleanup: &Cleanup, request: &Request<'_>) -> Judgement {
        let images = Images::of(request.object);
        let base = Cleanup::context(&self.environment, request, &images);
        let mut context = base.metered_child();
        let policy = &self.policies[rule.policy].name;
        variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
        cleanup.evaluate(request.object, &context)
    }
}
