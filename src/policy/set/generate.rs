//! What generate rules make of the objects that make them act.

use std::cell::OnceCell;

use serde_json::Value;

use crate::expr::Context;
use crate::finding::{Code, Finding};
use crate::model::{ObjectId, PathSegment, RuleOrigin};
use crate::yaml;

use super::super::generate::{CloneSource, Generate};
use super::super::images::Images;
use super::super::matching::Subjected;
use super::super::request::Request;
use super::super::rule::{Body, Rule};
use super::super::variables;
use super::evaluate::preconditions;
use super::{Generated, PolicySet};

impl PolicySet {
    /// What the `generate` rules that match an object make of it. Objects to copy are not known here; see
    /// [`PolicySet::generate_from`].
    pub fn generate(&self, trigger: &Value) -> Vec<Result<Generated, Finding>> {
        self.generate_from(&Request::create(trigger), &|_| None)
    }

    /// What the `generate` rules that match a request make of it, with a way to look up objects to copy.
    pub fn generate_from(
        &self,
        request: &Request<'_>,
        sources: CloneSource<'_>,
    ) -> Vec<Result<Generated, Finding>> {
        let object = Subjected::of(request);
        let Ok(trigger) = ObjectId::of(request.object) else { return Vec::new() };
        let images = Images::of(request.object);
        let base = OnceCell::new();
        let mut made = Vec::new();
        for rule in self.matching(request, &object) {
            let Body::Generate(generate) = &rule.body else { continue };
            let base = base.get_or_init(|| self.context(request, &images));
            let origin = RuleOrigin {
                policy: self.policies[rule.policy].name.clone(),
                rule: rule.name.clone(),
                trigger: trigger.clone(),
            };
            made.extend(self.make(rule, generate, request, base, origin, sources));
        }
        made
    }

    /// `None` when the rule's preconditions do not hold.
    fn make(
        &self,
        rule: &Rule,
        generate: &Generate,
        request: &Request<'_>,
        base: &Context<'_>,
        origin: RuleOrigin,
        sources: CloneSource<'_>,
    ) -> Option<Result<Generated, Finding>> {
        let policy = &self.policies[rule.policy];
        let mut context = base.child();
        variables::bind_rule(&mut context, request, &policy.name, &rule.name, &rule.entries);
        let made = match preconditions(rule, &context) {
            Ok(Some(_)) => return None,
            Ok(None) => generate.evaluate(&context, sources),
            Err(error) => Err(error),
        };
        let mut path = rule.path.clone();
        path.0.push(PathSegment::Key("generate".into()));
        let place = || yaml::locate(&policy.source, &path);
        Some(match made {
            Ok(object) => Ok(Generated {
                object,
                rule: origin,
                synchronize: generate.synchronize,
                existing: generate.existing,
                line: place().line.max(policy.line),
                source: policy.source.clone(),
            }),
            Err(error) => {
                let message =
                    format!("policy {}, rule {}, for {}: {error}", policy.name, rule.name, origin.trigger);
                Err(Finding::error(Code::GenerateFailed, message).about(&policy.id).at(place()))
            }
        })
    }
}
