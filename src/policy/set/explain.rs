//! How rules came to what they say of an object, make of it, or make because of it; and why they are not about it.

mod changes;
mod makes;

use std::cell::OnceCell;
use std::collections::HashSet;

use crate::expr::Context;
use crate::expr::explain::Steps;

use super::super::cel::{self, Around};
use super::super::images::Images;
use super::super::matching::{Subjected, resource_name};
use super::super::request::{Operation, Request};
use super::super::rule::{Body, Rule};
use super::super::validate::{Judgement, Verdict};
use super::super::variables;
use super::{PolicySet, RuleOutcome};

/// How a rule came to its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What came of it; of a rule that is not about the object, a skip.
    pub outcome: RuleOutcome,
    /// What it does.
    pub does: Does,
    /// Whether it is about the object at all.
    pub is_about: bool,
    /// Whether a Secret was looked up for it: what it came to may hold what the Secret holds.
    pub tells_secrets: bool,
    /// The parts of the rule and what they came to.
    pub steps: Steps,
}

/// What a rule does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It says whether the object may be.
    Judges,
    /// It changes the object.
    Changes,
    /// It makes other objects.
    Makes,
}

/// How much is explained, from less to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// What neither passes nor is skipped.
    Failures,
    /// What every rule says that is about the object.
    Verdicts,
    /// And why the others are not about it that name its kind.
    Near,
    /// And why all others are not.
    All,
}

/// What is to be explained.
pub struct Wanted<'w> {
    /// How much.
    pub extent: Extent,
    /// Of which rules, by policy and rule.
    pub rules: &'w dyn Fn(&str, &str) -> bool,
}

impl Wanted<'static> {
    /// All that neither passes nor is skipped.
    pub fn failures() -> Wanted<'static> {
        Wanted { extent: Extent::Failures, rules: &|_, _| true }
    }
}

impl Wanted<'_> {
    fn has(&self, outcome: &RuleOutcome) -> bool {
        let fails = !matches!(outcome.result, Verdict::Pass | Verdict::Skip);
        fails || self.extent > Extent::Failures
    }
}

const NOT_ABOUT: &str = "the rule is not about this object";

impl PolicySet {
    /// The names of all rules with those of their policies, in order.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().map(|rule| (self.policies[rule.policy].name.as_str(), rule.name.as_str()))
    }

    /// Explains what rules say of an object, in the order of policies and rules.
    pub fn explain(&self, request: &Request<'_>, wanted: &Wanted<'_>) -> Vec<Explanation> {
        let object = Subjected::of(request);
        let images = Images::of(request.object);
        let base = OnceCell::new();
        let mut outcomes: Vec<RuleOutcome> = Vec::new();
        let mut explanations = Vec::new();
        for (rule, is_about) in self.asked(request, &object, wanted, Body::judges) {
            if !is_about {
                explanations.push(self.not_about(rule, request, &object, Does::Judges));
                continue;
            }
            let told = secrets_told(request);
            let base = base.get_or_init(|| self.context(request, &images));
            let is_decided = self.is_decided(rule, &outcomes);
            let judged = (!is_decided).then(|| self.judge_one(rule, request, &object, || base)).flatten();
            let nothing = || {
                let why = if is_decided { ONE } else { "the rule has nothing to say of this object" };
                self.outcome(rule, Judgement::new(Verdict::Skip, why), false)
            };
            let outcome = judged.unwrap_or_else(nothing);
            outcomes.push(outcome.clone());
            if !self.is_wanted(rule, wanted) || !wanted.has(&outcome) {
                continue;
            }
            let mut steps =
                if is_decided { Steps::default() } else { self.steps(rule, request, &object, base) };
            if steps.as_slice().is_empty() {
                steps.head(0, &outcome.message);
            }
            let tells_secrets = secrets_told(request) > told;
            explanations.push(Explanation {
                outcome,
                does: Does::Judges,
                is_about: true,
                tells_secrets,
                steps,
            });
        }
        explanations
    }

    /// The rules of a kind that are about an object, and of those that are wanted, as far as that goes, the ones that are
    /// not. What is made of a rule for other kinds than the object's is not told of beside the rule.
    fn asked<'s>(
        &'s self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        wanted: &Wanted<'_>,
        is_kind: impl Fn(&Body) -> bool,
    ) -> Vec<(&'s Rule, bool)> {
        let namespace = request.object["metadata"]["namespace"].as_str();
        let near = self.index.candidates(&resource_name(&object.gvk.kind), namespace);
        let near: HashSet<usize> = near.into_iter().map(|at| at as usize).collect();
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| is_kind(&rule.body));
        let all: Vec<(usize, &Rule, bool)> = rules
            .map(|(at, rule)| (at, rule, near.contains(&at) && self.is_about(rule, request, object)))
            .collect();
        let same = |a: &Rule, b: &Rule| a.policy == b.policy && written(&a.name) == written(&b.name);
        let is_told = |at: usize, rule: &Rule| {
            let of_rule: Vec<&(usize, &Rule, bool)> =
                all.iter().filter(|(_, other, _)| same(other, rule)).collect();
            let any_near = of_rule.iter().any(|(at, ..)| near.contains(at));
            let first = of_rule.first().is_some_and(|(first, ..)| *first == at);
            let fits = if any_near { near.contains(&at) } else { first && wanted.extent == Extent::All };
            fits && wanted.extent >= Extent::Near
                && self.is_wanted(rule, wanted)
                && !of_rule.iter().any(|(.., is_about)| *is_about)
        };
        all.iter()
            .filter(|(at, rule, is_about)| *is_about || is_told(*at, rule))
            .map(|(_, rule, is_about)| (*rule, *is_about))
            .collect()
    }

    fn is_about(&self, rule: &Rule, request: &Request<'_>, object: &Subjected<'_>) -> bool {
        rule.matching.matches(object) && !matches!(self.looks_at(rule, request), Ok(false))
    }

    fn is_wanted(&self, rule: &Rule, wanted: &Wanted<'_>) -> bool {
        let policy = &self.policies[rule.policy].name;
        (wanted.rules)(policy, &rule.name) || (wanted.rules)(policy, written(&rule.name))
    }

    fn not_about(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        does: Does,
    ) -> Explanation {
        let mut steps = Steps::default();
        if let Some(namespace) = self.policies[rule.policy].id.namespace()
            && namespace != object.namespace()
        {
            steps.add(0, format!("the policy is for namespace {namespace}"), Ok(false.into()));
            steps.add(1, "namespace", Ok(object.namespace().into()));
        } else if rule.matching.matches(object)
            && let Some(conditions) = &self.policies[rule.policy].conditions
        {
            conditions.explain(request, &mut steps);
        } else {
            steps.append(0, rule.matching.explain(object));
        }
        let outcome = self.outcome(rule, Judgement::new(Verdict::Skip, NOT_ABOUT), false);
        Explanation { outcome, does, is_about: false, tells_secrets: false, steps }
    }

    fn steps(&self, rule: &Rule, request: &Request<'_>, object: &Subjected<'_>, base: &Context<'_>) -> Steps {
        let mut steps = Steps::default();
        match &rule.body {
            Body::Policy(validations) => {
                if let Some(allowed) = self.explain_excepted(rule, request, &mut steps) {
                    let around = Around { exceptions: &allowed, ..self.around(rule) };
                    steps.append(0, validations.explain(request, around));
                }
            }
            Body::Admission(policy) => {
                steps.append(0, policy.explain(request, object, (self.library.known(), self.binds_all)));
            }
            Body::Cel(_) | Body::Validate(_) | Body::PodSecurity(_) => {
                let body = |context: &Context<'_>| self.body_steps(rule, request, object, context);
                steps.append(0, self.classic(rule, request, object, base, body));
            }
            Body::Broken(why) | Body::Unsupported(why) => steps.head(0, why),
            _ => {}
        }
        steps
    }

    /// What a classic rule looks at before it comes to its point, and what it says there if it comes to it.
    fn classic(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        base: &Context<'_>,
        body: impl FnOnce(&Context<'_>) -> Steps,
    ) -> Steps {
        let mut context = base.metered_child();
        let policy = &self.policies[rule.policy].name;
        variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
        let mut inner = Steps::default();
        let conditions = self.policies[rule.policy].conditions.as_ref();
        if conditions.is_none_or(|conditions| conditions.explain(request, &mut inner))
            && variables::explain_preconditions(rule.preconditions.as_ref(), &context, &mut inner)
        {
            for exception in &self.exceptions {
                inner.append(0, exception.explain(policy, &rule.name, object, &context));
            }
            if self.spared(rule, request, object, &context).is_none() {
                inner.append(0, body(&context));
            }
        }
        // Only now it is known which entries were read.
        let mut steps = variables::explain(&context, &rule.entries);
        steps.append(0, inner);
        steps
    }

    fn body_steps(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        context: &Context<'_>,
    ) -> Steps {
        match &rule.body {
            Body::Cel(validations) => validations.explain(request, self.around(rule)),
            Body::PodSecurity(standard) => {
                let exceptions = self.exceptions_for(rule, object, context);
                let exceptions: Vec<_> =
                    exceptions.iter().map(|e| (e.name.as_str(), e.pod_security.as_slice())).collect();
                standard.explain(request.object, &exceptions)
            }
            Body::Validate(validate) => {
                validate.explain(request.object, context, request.operation == Operation::Delete)
            }
            _ => Steps::default(),
        }
    }

    /// The exceptions that name a policy in CEL; what they allow, unless one exempts the object wholly.
    fn explain_excepted(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        steps: &mut Steps,
    ) -> Option<serde_json::Value> {
        let policy = &self.policies[rule.policy];
        let around = self.around(rule);
        let (kind, name) = (policy.id.kind(), &policy.name);
        steps.append(0, cel::Exception::explain(&self.cel_exceptions, kind, name, request, around));
        self.excepted(rule, request, false).ok()
    }
}

/// How many Secrets were looked up so far.
fn secrets_told(request: &Request<'_>) -> usize {
    request.outside.map_or(0, |outside| outside.secrets_told())
}

const ONE: &str = "another rule of the policy has decided (applyRules: One)";

/// The name of the rule that a rule for the controllers of pods was made of; its own for any other.
fn written(rule: &str) -> &str {
    let Some(rest) = rule.strip_prefix("autogen-") else { return rule };
    rest.strip_prefix("cronjob-").unwrap_or(rest)
}
