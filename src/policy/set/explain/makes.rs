//! What rules make because of an object.

use serde_json::Value;

use crate::expr::explain::Steps;
use crate::finding::masked;
use crate::model::{ObjectId, RuleOrigin};

use super::{Does, Explanation, Wanted, secrets_told};
use crate::policy::cel::Around;
use crate::policy::images::Images;
use crate::policy::matching::Subjected;
use crate::policy::request::Request;
use crate::policy::rule::{Body, Rule};
use crate::policy::set::{Generated, NotGenerated, PolicySet, RuleOutcome};
use crate::policy::validate::{Judgement, Verdict};

impl PolicySet {
    /// Explains what rules make because of an object.
    pub fn explain_makes(&self, request: &Request<'_>, wanted: &Wanted<'_>) -> Vec<Explanation> {
        let object = Subjected::of(request);
        let Ok(trigger) = ObjectId::of(request.object) else { return Vec::new() };
        let makes = |body: &Body| matches!(body, Body::Generate(_) | Body::Generations(_));
        let mut explanations = Vec::new();
        for (rule, is_about) in self.asked(request, &object, wanted, makes) {
            if !is_about {
                explanations.push(self.not_about(rule, request, &object, Does::Makes));
                continue;
            }
            if !self.is_wanted(rule, wanted) {
                continue;
            }
            let told = secrets_told(request);
            let (outcome, mut steps) = match &rule.body {
                Body::Generate(_) => self.makes(rule, request, &object, &trigger),
                _ => self.makes_by_policy(rule, request),
            };
            if wanted.has(&outcome) {
                if steps.as_slice().is_empty() {
                    steps.head(0, &outcome.message);
                }
                let tells_secrets = secrets_told(request) > told;
                explanations.push(Explanation {
                    outcome,
                    does: Does::Makes,
                    is_about: true,
                    tells_secrets,
                    steps,
                });
            }
        }
        explanations
    }

    fn makes(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        trigger: &ObjectId,
    ) -> (RuleOutcome, Steps) {
        let Body::Generate(generate) = &rule.body else {
            return (self.outcome(rule, Judgement::new(Verdict::Skip, NOTHING), false), Steps::default());
        };
        let images = Images::of(request.object);
        let base = self.context(request, &images);
        let policy = self.policies[rule.policy].name.clone();
        let origin = RuleOrigin { policy, rule: rule.name.clone(), trigger: trigger.clone() };
        let made = self.make(rule, generate, request, &base, origin);
        let mut steps = self.classic(rule, request, object, &base, |context| generate.explain(context));
        let judgement = tell(&made, &mut steps);
        let lack = made.iter().find_map(|made| made.as_ref().err()?.lack);
        (RuleOutcome { lack, ..self.outcome(rule, judgement, false) }, steps)
    }

    fn makes_by_policy(&self, rule: &Rule, request: &Request<'_>) -> (RuleOutcome, Steps) {
        let mut steps = Steps::default();
        if let (Some(allowed), Body::Generations(generations)) =
            (self.explain_excepted(rule, request, &mut steps), &rule.body)
        {
            let around = Around { exceptions: &allowed, ..self.around(rule) };
            steps.append(0, generations.explain(request, around));
        }
        let policy = &self.policies[rule.policy].name;
        let all = self.generate_by_policies(request);
        let Some((outcome, made)) = all.into_iter().find(|(outcome, _)| outcome.policy == *policy) else {
            return (
                self.outcome(rule, Judgement::new(Verdict::Skip, "matchConditions not met"), false),
                steps,
            );
        };
        if outcome.result == Verdict::Pass {
            let made: Vec<_> = made.into_iter().map(Ok).collect();
            tell(&made, &mut steps);
        }
        (outcome, steps)
    }
}

const NOTHING: &str = "the rule makes nothing of this object";

/// What was made, and what that means.
fn tell(made: &[Result<Generated, NotGenerated>], steps: &mut Steps) -> Judgement {
    if let Some(failed) = made.iter().find_map(|made| made.as_ref().err()) {
        return Judgement::new(Verdict::Error, failed.why.clone());
    }
    let made: Vec<&Value> = made.iter().flatten().map(|made| &made.object).collect();
    // What stands in a Secret that is made may stand in what it is made from.
    if made.iter().any(|object| object["kind"] == "Secret") {
        *steps = std::mem::take(steps).hidden();
    }
    for object in &made {
        let name = ObjectId::of(object).map_or_else(|_| "an object".to_owned(), |id| id.to_string());
        steps.add(0, format!("makes {name}"), Ok(masked((*object).clone())));
    }
    match made.len() {
        0 => Judgement::new(Verdict::Skip, NOTHING),
        1 => Judgement::new(Verdict::Pass, "the rule makes one object"),
        n => Judgement::new(Verdict::Pass, format!("the rule makes {n} objects")),
    }
}
