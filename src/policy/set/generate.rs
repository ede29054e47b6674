//! What generate rules make of the objects that make them act.

use std::cell::OnceCell;

use serde_json::Value;

use crate::expr::Context;
use crate::finding::{Code, Finding};
use crate::model::{ObjectId, PathSegment, RuleOrigin};
use crate::yaml;

use super::super::generate::Generate;
use super::super::images::Images;
use super::super::matching::Subjected;
use super::super::request::Request;
use super::super::rule::{Body, Rule};
use super::super::variables;
use super::{Before, Generated, NotGenerated, PolicySet};

impl PolicySet {
    /// What the `generate` rules that match an object make of it. Objects to copy are not known here; see
    /// [`PolicySet::generate_from`].
    pub fn generate(&self, trigger: &Value) -> Vec<Result<Generated, NotGenerated>> {
        self.generate_from(&Request::create(trigger))
    }

    /// What the `generate` rules that match a request make of it. Objects to copy are those that `request.outside`
    /// knows.
    pub fn generate_from(&self, request: &Request<'_>) -> Vec<Result<Generated, NotGenerated>> {
        let object = Subjected::of(request);
        let Ok(trigger) = ObjectId::of(request.object) else { return Vec::new() };
        let images = Images::of(request.object);
        let base = OnceCell::new();
        let mut made = Vec::new();
        for rule in self.matching(request, &object) {
            let Body::Generate(generate) = &rule.body else { continue };
            let policy = &self.policies[rule.policy];
            let by_the_same = |made: &Result<Generated, NotGenerated>| {
                made.as_ref().is_ok_and(|made| made.rule.policy == policy.name)
            };
            if policy.applies_one && made.iter().any(by_the_same) {
                continue;
            }
            let base = base.get_or_init(|| self.context(request, &images));
            let origin =
                RuleOrigin { policy: policy.name.clone(), rule: rule.name.clone(), trigger: trigger.clone() };
            made.extend(self.make(rule, generate, request, base, origin));
        }
        made.extend(self.generated_by_policies(request, &trigger));
        made
    }

    /// Nothing when the rule's preconditions do not hold.
    pub(super) fn make(
        &self,
        rule: &Rule,
        generate: &Generate,
        request: &Request<'_>,
        base: &Context<'_>,
        origin: RuleOrigin,
    ) -> Vec<Result<Generated, NotGenerated>> {
        let policy = &self.policies[rule.policy];
        let before = Before::of(request);
        let mut context = base.child();
        variables::bind_rule(&mut context, request, &policy.name, &rule.name, &rule.entries);
        let made = match self.preconditions(rule, request, &context) {
            Ok(Some(_)) => return Vec::new(),
            Ok(None) => generate.evaluate(&context),
            Err(error) => Err(error),
        };
        let mut path = rule.path.clone();
        path.0.push(PathSegment::Key("generate".into()));
        let place = || yaml::locate(&policy.source, &path);
        match made {
            Ok(objects) => {
                let line = place().line.max(policy.line);
                let of = |object| Generated {
                    object,
                    rule: origin.clone(),
                    synchronize: generate.synchronize,
                    existing: generate.existing,
                    keeps: generate.keeps,
                    line,
                    source: policy.source.clone(),
                };
                objects.into_iter().map(|object| Ok(of(object))).collect()
            }
            Err(error) => {
                let message =
                    format!("policy {}, rule {}, for {}: {error}", policy.name, rule.name, origin.trigger);
                let finding = Finding::error(Code::GenerateFailed, message).about(&policy.id).at(place());
                let (lack, finding) = (before.lack(), Box::new(finding));
                vec![Err(NotGenerated { rule: origin, why: error, lack, finding })]
            }
        }
    }
}
