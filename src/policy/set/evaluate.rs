//! Judging and changing objects by the rules that match them.

use std::cell::OnceCell;

use serde_json::Value;

use crate::expr::Context;
use crate::schema::Schemas;

use super::super::cel::{self, Around, ProxyRequest, Validations};
use super::super::condition::Conditions;
use super::super::exception::Exception;
use super::super::images::Images;
use super::super::matching::{Subjected, resource_name};
use super::super::request::{Operation, Request};
use super::super::rule::{Body, Rule};
use super::super::validate::{Judgement, Verdict};
use super::super::variables;
use super::{Before, NOT_COMPILED, PolicySet, RuleOutcome};

impl PolicySet {
    /// Judges an object by all `validate` rules that match it, in the order of policies and rules.
    pub fn evaluate(&self, request: &Request<'_>) -> Vec<RuleOutcome> {
        let object = Subjected::of(request);
        let images = Images::of(request.object);
        let base = OnceCell::new();
        let mut outcomes = Vec::new();
        for rule in self.matching(request, &object) {
            if !rule.body.judges() {
                continue;
            }
            if self.is_decided(rule, &outcomes) {
                continue;
            }
            let base = || base.get_or_init(|| self.context(request, &images));
            outcomes.extend(self.judge_one(rule, request, &object, base));
        }
        outcomes
    }

    /// What one rule that matches says; `None` if it has nothing to say after all.
    pub(super) fn judge_one<'c, 'a: 'c>(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        base: impl FnOnce() -> &'c Context<'a>,
    ) -> Option<RuleOutcome> {
        let before = Before::of(request);
        let outcome = match &rule.body {
            Body::Policy(validations) => Some(self.judge_by_policy(rule, validations, request, object)),
            Body::Admission(_) if request.at_server => None,
            Body::Admission(policy) => {
                let judged = policy.judge(request, object, self.library.known(), self.binds_all);
                judged.map(|(judgement, enforces)| self.outcome(rule, judgement, enforces))
            }
            _ => {
                let judgement = self.judge(rule, request, object, base())?;
                Some(self.outcome(rule, judgement, rule.action.enforces(object)))
            }
        };
        outcome.map(|outcome| outcome.since(&before))
    }

    /// Judges JSON that is no object of Kubernetes by the policies that are about such.
    pub fn judge_payload(&self, payload: &Value) -> Vec<RuleOutcome> {
        let request = Request::create(payload);
        let object = Subjected::of(&request);
        let judge = |rule: &Rule| match &rule.body {
            Body::Policy(validations) => Some(self.judge_by_policy(rule, validations, &request, &object)),
            _ => None,
        };
        self.payload_rules.iter().filter_map(judge).collect()
    }

    /// Judges a request of a proxy by the policies that are about such.
    pub fn judge_request(&self, request: &ProxyRequest) -> Vec<RuleOutcome> {
        let judge = |rule: &Rule| {
            let Body::Proxy(policy) = &rule.body else { return None };
            let namespace = self.policies[rule.policy].id.namespace();
            let judgement = policy.judge(request, &self.library, namespace)?;
            Some(self.outcome(rule, judgement, rule.action.enforces_by_default()))
        };
        self.payload_rules.iter().filter_map(judge).collect()
    }

    /// Applies all rules that change an object, each to what the ones before made of it: those of classic policies, then
    /// those of policies in CEL.
    pub fn mutate(&self, request: &Request<'_>, schemas: &Schemas) -> (Option<Value>, Vec<RuleOutcome>) {
        let mut current: Option<Value> = None;
        let mut outcomes = Vec::new();
        let object = Subjected::of(request);
        let matching = self.matching(request, &object);
        let mut rules: Vec<(u8, &Rule)> =
            matching.filter_map(|rule| Some((rule.body.mutates()?, rule))).collect();
        rules.sort_by_key(|(phase, _)| *phase);
        for (_, rule) in rules {
            let now = current.as_ref().unwrap_or(request.object);
            let request = Request { object: now, ..*request };
            let object = Subjected::of(&request);
            if !rule.matching.matches(&object) || self.is_decided(rule, &outcomes) {
                continue;
            }
            let Some((outcome, changed)) = self.change(rule, &request, &object, schemas) else { continue };
            outcomes.push(outcome);
            if changed.is_some() {
                current = changed;
            }
        }
        (current, outcomes)
    }

    /// Whether another rule of a policy that applies only one has said what there is to say.
    pub(super) fn is_decided(&self, rule: &Rule, outcomes: &[RuleOutcome]) -> bool {
        let policy = &self.policies[rule.policy];
        let decides = |outcome: &RuleOutcome| {
            outcome.policy == policy.name && matches!(outcome.result, Verdict::Pass | Verdict::Fail)
        };
        policy.applies_one && outcomes.iter().any(decides)
    }

    /// What one rule makes of an object; `None` if it has nothing to do with it after all.
    pub(super) fn change(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        schemas: &Schemas,
    ) -> Option<(RuleOutcome, Option<Value>)> {
        let before = Before::of(request);
        let (outcome, changed) = self.change_by(rule, request, object, schemas)?;
        Some((outcome.since(&before), changed))
    }

    fn change_by(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        schemas: &Schemas,
    ) -> Option<(RuleOutcome, Option<Value>)> {
        let enforces = rule.action.enforces(object);
        let mutate = match &rule.body {
            Body::Mutations(mutations) => {
                if mutations.targets.is_some() {
                    return None;
                }
                let allowed = match self.excepted(rule, request, enforces) {
                    Err(outcome) => return Some((*outcome, None)),
                    Ok(allowed) => allowed,
                };
                let around = Around { exceptions: &allowed, ..self.around(rule) };
                let (judgement, changed) = mutations.evaluate(request, around, schemas);
                let failed = judgement.verdict == Verdict::Error;
                let outcome = self.outcome(rule, judgement, enforces);
                return Some((if failed { outcome.of_rule("evaluation") } else { outcome }, changed));
            }
            Body::Mutate(mutate) => mutate,
            Body::AdmissionMutation(_) if request.at_server => return None,
            Body::AdmissionMutation(policy) => {
                let (judgement, changed) =
                    policy.change(request, object, self.library.known(), schemas, self.binds_all)?;
                return Some((self.outcome(rule, judgement, enforces), changed));
            }
            _ => return None,
        };
        let images = Images::of(request.object);
        let base = self.context(request, &images);
        let mut context = base.child();
        let policy = &self.policies[rule.policy].name;
        variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
        let (judgement, changed) = match self.spared(rule, request, object, &context) {
            Some(judgement) => (judgement, None),
            None => mutate.evaluate(request.object, schemas.type_of(&object.gvk).as_ref(), &context),
        };
        Some((self.outcome(rule, judgement, enforces), changed))
    }

    pub(super) fn context<'a>(&self, request: &Request<'a>, images: &'a Images<'a>) -> Context<'a> {
        let mut context = request.context(&self.environment);
        context.bind_lazy("images", images);
        context
    }

    /// The rules that match, found by the index.
    pub(super) fn matching<'s>(
        &'s self,
        request: &'s Request<'_>,
        object: &'s Subjected<'_>,
    ) -> impl Iterator<Item = &'s Rule> {
        let namespace = request.object["metadata"]["namespace"].as_str();
        let candidates = self.index.candidates(&resource_name(&object.gvk.kind), namespace);
        let rules = candidates.into_iter().map(|at| &self.rules[at as usize]);
        rules
            .filter(|rule| rule.matching.matches(object))
            .filter(|rule| !matches!(self.looks_at(rule, request), Ok(false)))
    }

    /// Whether the policy of a rule looks at a request at all.
    pub(super) fn looks_at(&self, rule: &Rule, request: &Request<'_>) -> Result<bool, String> {
        self.policies[rule.policy].conditions.as_ref().map_or(Ok(true), |conditions| conditions.met(request))
    }

    /// Judges by a policy that is all CEL.
    fn judge_by_policy(
        &self,
        rule: &Rule,
        validations: &Validations,
        request: &Request<'_>,
        object: &Subjected<'_>,
    ) -> RuleOutcome {
        let enforces = rule.action.enforces(object);
        match self.excepted(rule, request, enforces) {
            Err(outcome) => *outcome,
            Ok(allowed) => {
                let around = Around { exceptions: &allowed, ..self.around(rule) };
                self.outcome(rule, validations.evaluate("", request, around), enforces)
            }
        }
    }

    /// What a policy that is all CEL has beside the request.
    pub(super) fn around(&self, rule: &Rule) -> Around<'_> {
        let policy = &self.policies[rule.policy];
        Around {
            library: &self.library,
            namespace: policy.id.namespace(),
            exceptions: &cel::NOTHING_ALLOWED,
            looks_up: policy.looks_up || !self.cel_exceptions.is_empty(),
        }
    }

    /// The outcome if an exception from a policy in CEL exempts the object, or what exceptions allow.
    pub(super) fn excepted(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        enforces: bool,
    ) -> Result<Value, Box<RuleOutcome>> {
        let policy = &self.policies[rule.policy];
        let around = self.around(rule);
        cel::Exception::among(&self.cel_exceptions, policy.id.kind(), &policy.name, request, around)
            .map_err(|judgement| Box::new(self.outcome(rule, judgement, enforces).of_rule("exception")))
    }

    fn judge(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        base: &Context<'_>,
    ) -> Option<Judgement> {
        match &rule.body {
            Body::Broken(why) => return Some(Judgement::error(NOT_COMPILED, why)),
            Body::Unsupported(why) => {
                return Some(Judgement::error("the rule cannot be evaluated", why));
            }
            Body::VerifyImages(images) => {
                images.evaluate(request.object, &self.environment.default_registry)?;
            }
            Body::Validate(_) | Body::PodSecurity(_) | Body::Cel(_) | Body::Manifests(_) => {}
            _ => return None,
        }
        let mut context = base.metered_child();
        let policy = &self.policies[rule.policy].name;
        variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
        if let Some(judgement) = self.spared(rule, request, object, &context) {
            return Some(judgement);
        }
        let judgement = self.judge_body(rule, request, object, &context)?;
        if judgement.verdict == Verdict::Fail && self.was_wrong_before(rule, request) {
            let message = "skipping the rule evaluation as pre-existing violations are allowed";
            return Some(Judgement::new(Verdict::Skip, message));
        }
        Some(judgement)
    }

    /// What the rule itself says, once it applies.
    fn judge_body(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        context: &Context<'_>,
    ) -> Option<Judgement> {
        let deleting = request.operation == Operation::Delete;
        match &rule.body {
            Body::Validate(validate) => validate.evaluate(&rule.name, request.object, context, deleting),
            Body::Cel(validations) => Some(validations.evaluate(&rule.name, request, self.around(rule))),
            Body::PodSecurity(_) | Body::Manifests(_) | Body::VerifyImages(_) if deleting => None,
            Body::Manifests(manifests) => Some(manifests.evaluate(request.object)),
            Body::VerifyImages(images) => images.evaluate(request.object, &self.environment.default_registry),
            Body::PodSecurity(standard) => {
                let exceptions = self.exceptions_for(rule, object, context);
                let exceptions: Vec<_> =
                    exceptions.iter().map(|e| (e.name.as_str(), e.pod_security.as_slice())).collect();
                Some(standard.evaluate(&rule.name, request.object, &exceptions))
            }
            _ => None,
        }
    }

    /// Whether an enforced rule lets a change pass because the object broke it before, too.
    fn was_wrong_before(&self, rule: &Rule, request: &Request<'_>) -> bool {
        let (Operation::Update, Some(old)) = (request.operation, request.old_object) else { return false };
        let allow_existing = match &rule.body {
            Body::Validate(validate) => validate.allow_existing,
            Body::PodSecurity(standard) => standard.allow_existing,
            _ => false,
        };
        if !allow_existing || !rule.action.enforces_by_default() {
            return false;
        }
        let before = Request { object: old, old_object: None, operation: Operation::Create, ..*request };
        let object = Subjected::of(&before);
        if !rule.matching.matches(&object) {
            return false;
        }
        let images = Images::of(old);
        let base = self.context(&before, &images);
        let mut context = base.child();
        let policy = &self.policies[rule.policy].name;
        // Values given for the request are about the change.
        let unnamed = Request { values: None, ..before };
        variables::bind_rule(&mut context, &unnamed, policy, &rule.name, &rule.entries);
        self.spared(rule, &before, &object, &context).is_none()
            && self
                .judge_body(rule, &before, &object, &context)
                .is_some_and(|judgement| judgement.verdict == Verdict::Fail)
    }

    /// The judgement to skip when a rule's preconditions do not hold.
    pub(super) fn preconditions(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        context: &Context<'_>,
    ) -> Result<Option<Judgement>, String> {
        self.looks_at(rule, request).map_err(|why| format!("in matchConditions: {why}"))?;
        rule.preconditions.as_ref().map_or(Ok(None), |conditions| held(conditions, context))
    }

    /// The judgement when preconditions do not hold, or an exception is about the object.
    pub(super) fn spared(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        context: &Context<'_>,
    ) -> Option<Judgement> {
        match self.preconditions(rule, request, context) {
            Ok(None) => {}
            Ok(Some(skip)) => return Some(skip),
            Err(error) => return Some(Judgement::error("failed to evaluate preconditions", error)),
        }
        let exceptions = self.exceptions_for(rule, object, context);
        if matches!(rule.body, Body::PodSecurity(_)) {
            // An exception that names controls is asked for them later.
            let whole = exceptions.iter().find(|exception| exception.pod_security.is_empty())?;
            let message = format!("rule is skipped due to policy exception {}", whole.name);
            return Some(Judgement::new(Verdict::Skip, message));
        }
        let names: Vec<&str> = exceptions.iter().map(|e| e.name.as_str()).collect();
        let message = format!("rule is skipped due to policy exceptions{}", names.join(", "));
        (!names.is_empty()).then(|| Judgement::new(Verdict::Skip, message))
    }

    pub(super) fn exceptions_for(
        &self,
        rule: &Rule,
        object: &Subjected<'_>,
        context: &Context<'_>,
    ) -> Vec<&Exception> {
        let policy = &self.policies[rule.policy].name;
        self.exceptions.iter().filter(|e| e.exempts(policy, &rule.name, object, context)).collect()
    }

    pub(super) fn outcome(&self, rule: &Rule, judgement: Judgement, enforce: bool) -> RuleOutcome {
        let policy = &self.policies[rule.policy];
        RuleOutcome {
            policy: policy.name.clone(),
            rule: rule.name.clone(),
            result: judgement.verdict,
            scored: !policy.unscored,
            message: judgement.message,
            path: judgement.path,
            annotations: judgement.annotations,
            enforce,
            lack: None,
            notes: policy.notes.clone(),
            policy_source: policy.source.clone(),
            rule_path: rule.path.clone(),
        }
    }
}

/// The judgement to skip when conditions do not hold.
pub(super) fn held(conditions: &Conditions, context: &Context<'_>) -> Result<Option<Judgement>, String> {
    let held = conditions.evaluate(context)?;
    if held.holds {
        return Ok(None);
    }
    let mut message = vec!["preconditions not met"];
    message.extend(held.messages);
    Ok(Some(Judgement::new(Verdict::Skip, message.join("; "))))
}
