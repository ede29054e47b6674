//! What mutate rules with targets make of other objects than the one that triggers them.

use serde_json::Value;

use crate::expr::Context;
use crate::model::Gvk;
use crate::schema::Schemas;

use super::super::cel::{Around, Mutations};
use super::super::images::Images;
use super::super::matching::Subjected;
use super::super::mutate::{Mutate, Target};
use super::super::request::Request;
use super::super::rule::{Body, Rule};
use super::super::validate::Judgement;
use super::super::variables;
use super::evaluate::held;
use super::{PolicySet, RuleOutcome};

/// What a rule does to one of its targets.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetOutcome {
    /// The target as it was; the trigger itself where no target could be told.
    pub target: Value,
    /// What became of it, if it changed.
    pub changed: Option<Value>,
    /// The rule's verdict on it.
    pub outcome: RuleOutcome,
}

impl PolicySet {
    /// Whether any rule changes other objects than its trigger.
    pub fn mutates_existing(&self) -> bool {
        self.rules.iter().any(|rule| match &rule.body {
            Body::Mutate(mutate) => !mutate.targets.is_empty(),
            Body::Mutations(mutations) => mutations.targets.is_some(),
            _ => false,
        })
    }

    /// What the rules with targets that a request triggers make of these, among the objects that `request.outside`
    /// knows.
    pub fn mutate_existing(&self, request: &Request<'_>, schemas: &Schemas) -> Vec<TargetOutcome> {
        let object = Subjected::of(request);
        let images = Images::of(request.object);
        let mut outcomes = Vec::new();
        for rule in self.matching(request, &object) {
            if let Body::Mutations(mutations) = &rule.body {
                outcomes.extend(self.mutate_by_policy(rule, mutations, request, schemas));
                continue;
            }
            let Body::Mutate(mutate) = &rule.body else { continue };
            if mutate.targets.is_empty() {
                continue;
            }
            let base = self.context(request, &images);
            let mut context = base.child();
            let policy = &self.policies[rule.policy].name;
            variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
            let of = |target: &Value, judgement: Judgement, changed: Option<Value>| {
                let outcome = self.outcome(rule, judgement, rule.action.enforces(&object));
                TargetOutcome { target: target.clone(), changed, outcome }
            };
            if let Some(judgement) = self.spared(rule, request, &object, &context) {
                outcomes.push(of(request.object, judgement, None));
                continue;
            }
            match self.targets(rule, mutate, &context) {
                Err(error) => {
                    let judgement = Judgement::error("failed to load targets", error);
                    outcomes.push(of(request.object, judgement, None));
                }
                Ok(targets) => outcomes.extend(targets.into_iter().map(|(from, target)| {
                    let (judgement, changed) = change(mutate, from, target, &context, schemas);
                    of(target, judgement, changed)
                })),
            }
        }
        outcomes
    }

    /// What a MutatingPolicy makes of its targets.
    fn mutate_by_policy(
        &self,
        rule: &Rule,
        mutations: &Mutations,
        request: &Request<'_>,
        schemas: &Schemas,
    ) -> Vec<TargetOutcome> {
        let around = self.around(rule);
        if mutations.targets.is_none() {
            return Vec::new();
        }
        let enforces = rule.action.enforces(&Subjected::of(request));
        let targets = match mutations.is_triggered(request, around) {
            Ok(false) => return Vec::new(),
            Ok(true) => mutations.targets_of(request, around),
            Err(why) => Err(why),
        };
        let failed = |why| {
            let outcome = self.outcome(rule, Judgement::error("failed to load targets", why), enforces);
            vec![TargetOutcome { target: request.object.clone(), changed: None, outcome }]
        };
        let change = |target: Value| {
            let of_target = Request { outside: request.outside, ..Request::create(&target) };
            let (outcome, changed) = match self.excepted(rule, &of_target, enforces) {
                Err(outcome) => (*outcome, None),
                Ok(allowed) => {
                    let around = Around { exceptions: &allowed, ..around };
                    let (judgement, changed) = mutations.evaluate(&of_target, around, schemas);
                    (self.outcome(rule, judgement, enforces), changed)
                }
            };
            TargetOutcome { target, changed, outcome }
        };
        targets.map_or_else(failed, |targets| targets.into_iter().map(change).collect())
    }

    fn targets<'r, 'o>(
        &self,
        rule: &Rule,
        mutate: &'r Mutate,
        context: &Context<'o>,
    ) -> Result<Vec<(&'r Target, &'o Value)>, String> {
        let outside = context.outside().ok_or("other objects are not known here")?;
        let namespace = self.policies[rule.policy].id.namespace();
        let mut found = Vec::new();
        for target in &mutate.targets {
            let objects = target.select(context, outside, namespace)?;
            found.extend(objects.into_iter().map(|object| (target, object)));
        }
        Ok(found)
    }
}

fn change(
    mutate: &Mutate,
    from: &Target,
    target: &Value,
    context: &Context<'_>,
    schemas: &Schemas,
) -> (Judgement, Option<Value>) {
    let mut inner = context.child();
    inner.bind("target", target);
    variables::bind(&mut inner, &from.entries);
    if let Some(conditions) = &from.preconditions {
        match held(conditions, &inner) {
            Ok(None) => {}
            Ok(Some(skip)) => return (skip, None),
            Err(error) => return (Judgement::error("failed to evaluate preconditions", error), None),
        }
    }
    let ty = Gvk::of(target).ok().and_then(|gvk| schemas.type_of(&gvk));
    mutate.evaluate(target, ty.as_ref(), &inner)
}
