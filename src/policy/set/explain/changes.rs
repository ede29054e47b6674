//! What rules change in an object.

use serde_json::Value;

use crate::expr::explain::Steps;
use crate::schema::Schemas;

use super::{Does, Explanation, ONE, Wanted, secrets_told};
use crate::policy::cel::Around;
use crate::policy::images::Images;
use crate::policy::matching::Subjected;
use crate::policy::request::Request;
use crate::policy::rule::{Body, Rule};
use crate::policy::set::PolicySet;
use crate::policy::validate::{Judgement, Verdict};

impl PolicySet {
    /// Explains what rules change in an object, each in what the ones before made of it.
    pub fn explain_changes(
        &self,
        request: &Request<'_>,
        schemas: &Schemas,
        wanted: &Wanted<'_>,
    ) -> Vec<Explanation> {
        let mut current: Option<Value> = None;
        let mut outcomes = Vec::new();
        let mut explanations = Vec::new();
        let object = Subjected::of(request);
        let mut rules = self.asked(request, &object, wanted, |body| body.mutates().is_some());
        rules.sort_by_key(|(rule, _)| rule.body.mutates());
        for (rule, is_about) in rules {
            let now = current.as_ref().unwrap_or(request.object);
            let request = Request { object: now, ..*request };
            let object = Subjected::of(&request);
            if !is_about || !self.is_about(rule, &request, &object) {
                explanations.push(self.not_about(rule, &request, &object, Does::Changes));
                continue;
            }
            let told = secrets_told(&request);
            let is_decided = self.is_decided(rule, &outcomes);
            let change = (!is_decided).then(|| self.change(rule, &request, &object, schemas)).flatten();
            let (outcome, changed) = change.unwrap_or_else(|| {
                let why = if is_decided { ONE } else { "the rule has nothing to do with this object" };
                (self.outcome(rule, Judgement::new(Verdict::Skip, why), false), None)
            });
            outcomes.push(outcome.clone());
            if self.is_wanted(rule, wanted) && wanted.has(&outcome) {
                let mut steps = self.change_steps(rule, &request, &object, schemas);
                if steps.as_slice().is_empty() {
                    steps.head(0, &outcome.message);
                }
                let tells_secrets = secrets_told(&request) > told;
                explanations.push(Explanation {
                    outcome,
                    does: Does::Changes,
                    is_about: true,
                    tells_secrets,
                    steps,
                });
            }
            if changed.is_some() {
                current = changed;
            }
        }
        explanations
    }

    fn change_steps(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        schemas: &Schemas,
    ) -> Steps {
        let mut steps = Steps::default();
        match &rule.body {
            Body::Mutate(mutate) => {
                let images = Images::of(request.object);
                let base = self.context(request, &images);
                let ty = schemas.type_of(&object.gvk);
                steps.append(
                    0,
                    self.classic(rule, request, object, &base, |context| {
                        mutate.explain(request.object, ty.as_ref(), context)
                    }),
                );
            }
            Body::Mutations(mutations) => {
                if let Some(allowed) = self.explain_excepted(rule, request, &mut steps) {
                    let around = Around { exceptions: &allowed, ..self.around(rule) };
                    steps.append(0, mutations.explain(request, around, schemas));
                }
            }
            Body::AdmissionMutation(policy) => {
                steps.append(
                    0,
                    policy.explain(request, object, (self.library.known(), self.binds_all), schemas),
                );
            }
            _ => {}
        }
        steps
    }
}
