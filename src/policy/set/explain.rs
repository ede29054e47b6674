//! How rules came to refuse an object, or to fail.

use crate::expr::explain::Steps;
use crate::model::{FieldPath, SourceText};

use super::super::images::Images;
use super::super::matching::Subjected;
use super::super::request::{Operation, Request};
use super::super::rule::{Body, Rule};
use super::super::validate::Verdict;
use super::super::variables;
use super::PolicySet;

/// How a rule came to its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Name of the policy, with the namespace before it if it has one.
    pub policy: String,
    /// Name of the rule; empty for a policy that is all CEL.
    pub rule: String,
    /// The verdict.
    pub result: Verdict,
    /// The policy's document.
    pub policy_source: SourceText,
    /// The place of the rule in the policy.
    pub rule_path: FieldPath,
    /// The parts of the rule and what they came to.
    pub steps: Steps,
}

impl PolicySet {
    /// Explains the verdicts of all rules that neither pass nor skip an object, in the order of policies and rules.
    pub fn explain(&self, request: &Request<'_>) -> Vec<Explanation> {
        let object = Subjected::of(request);
        let mut explanations = Vec::new();
        for outcome in self.evaluate(request) {
            if matches!(outcome.result, Verdict::Pass | Verdict::Skip) {
                continue;
            }
            let is_meant =
                |rule: &&Rule| self.policies[rule.policy].name == outcome.policy && rule.name == outcome.rule;
            let Some(rule) = self.matching(request, &object).find(is_meant) else { continue };
            let mut steps = self.steps(rule, request);
            if steps.as_slice().is_empty() {
                steps.head(0, &outcome.message);
            }
            explanations.push(Explanation {
                policy: outcome.policy,
                rule: outcome.rule,
                result: outcome.result,
                policy_source: outcome.policy_source,
                rule_path: outcome.rule_path,
                steps,
            });
        }
        explanations
    }

    fn steps(&self, rule: &Rule, request: &Request<'_>) -> Steps {
        if let Body::Policy(validations) | Body::Cel(validations) = &rule.body {
            return validations.explain(request, self.around(rule));
        }
        let mut steps = Steps::default();
        let Body::Validate(validate) = &rule.body else { return steps };
        let images = Images::of(request.object);
        let base = self.context(request, &images);
        let mut context = base.metered_child();
        let policy = &self.policies[rule.policy].name;
        variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
        steps.append(0, variables::explain(&context, &rule.entries));
        if let Some(conditions) = &rule.preconditions {
            steps.head(0, "preconditions");
            steps.append(1, conditions.explain(&context));
        }
        let deleting = request.operation == Operation::Delete;
        steps.append(0, validate.explain(request.object, &context, deleting));
        steps
    }
}
