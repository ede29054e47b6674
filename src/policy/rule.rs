//! A rule, compiled.

use std::sync::Arc;

use serde_json::Value;

use crate::model::FieldPath;

use super::action::Action;
use super::cel::{Authorization, Bound, Deletions, Generations, Mutations, Validations};
use super::cleanup::Cleanup;
use super::condition::Conditions;
use super::generate::Generate;
use super::manifests::Manifests;
use super::matching::Matching;
use super::mutate::Mutate;
use super::pod_security::PodSecurity;
use super::reader::{CompileError, Reader, Result};
use super::strict;
use super::validate::{self, Validate};
use super::variables::{self, Entry};
use super::verify_images::VerifyImages;
use crate::expr::admission::{Mutator, Validator};

/// A rule of a policy.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Which policy it belongs to.
    pub(crate) policy: usize,
    pub(crate) name: String,
    /// Where it stands in its policy.
    pub(crate) path: FieldPath,
    pub(crate) matching: Matching,
    pub(crate) entries: Vec<Entry>,
    pub(crate) preconditions: Option<Conditions>,
    pub(crate) body: Body,
    pub(crate) action: Action,
}

/// What a rule does.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Validate(Box<Validate>),
    /// `validate.podSecurity`.
    PodSecurity(Box<PodSecurity>),
    /// `validate.cel`.
    Cel(Box<Validations>),
    /// `validate.manifests`.
    Manifests(Box<Manifests>),
    /// `verifyImages`.
    VerifyImages(Box<VerifyImages>),
    /// A ValidatingPolicy.
    Policy(Box<Validations>),
    /// A ValidatingPolicy about requests of a proxy.
    Proxy(Box<Authorization>),
    Mutate(Box<Mutate>),
    /// A MutatingPolicy.
    Mutations(Box<Mutations>),
    /// A ValidatingAdmissionPolicy.
    Admission(Arc<Bound<Validator>>),
    /// A MutatingAdmissionPolicy.
    AdmissionMutation(Arc<Bound<Mutator>>),
    Generate(Box<Generate>),
    /// A GeneratingPolicy.
    Generations(Box<Generations>),
    /// A DeletingPolicy.
    Deletions(Box<Deletions>),
    /// A CleanupPolicy.
    Cleanup(Box<Cleanup>),
    /// It uses a part of the language that is not evaluated.
    Unsupported(String),
    /// It does not compile, and so refuses whatever it could be about.
    Broken(String),
}

impl Body {
    /// When it changes an object: the classic rules do before policies in CEL. `None` for what changes nothing.
    pub(crate) fn mutates(&self) -> Option<u8> {
        match self {
            Body::Mutate(mutate) if mutate.targets.is_empty() => Some(0),
            Body::AdmissionMutation(_) => Some(1),
            Body::Mutations(_) => Some(2),
            _ => None,
        }
    }

    /// Whether it says something about an object.
    pub(crate) fn judges(&self) -> bool {
        let makes = matches!(self, Body::Generate(_) | Body::Generations(_));
        !makes && !self.deletes() && self.mutates().is_none()
    }

    /// Whether it selects objects that are to go.
    pub(crate) fn deletes(&self) -> bool {
        matches!(self, Body::Deletions(_) | Body::Cleanup(_))
    }
}

/// What was found while compiling a rule.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) errors: Vec<CompileError>,
    pub(crate) warnings: Vec<CompileError>,
    pub(crate) unsupported: Vec<CompileError>,
}

/// What all rules of a policy share.
pub(crate) struct Shared<'a> {
    pub(crate) policy: usize,
    pub(crate) action: &'a Action,
    pub(crate) generate_existing: bool,
    /// What is wrong outside of the rules, and so with each of them.
    pub(crate) broken: Option<&'a CompileError>,
    /// Whether Kyverno would scan what is there.
    pub(crate) background: bool,
}

impl Rule {
    /// Compiles a rule; one that does not compile becomes a [`Body::Broken`] one.
    pub(crate) fn compile(rule: &Reader<'_>, shared: &Shared<'_>, notes: &mut Notes) -> Rule {
        let name = rule.value["name"].as_str().unwrap_or_default().to_owned();
        let found = strict::of_rule(rule, shared.background);
        notes.warnings.extend(found.warnings);
        let known = shared.broken.or(found.errors.first()).cloned();
        notes.errors.extend(found.errors);
        if let Some(error) = known {
            return Rule::broken(rule, name, shared, &error);
        }
        compile(rule, &name, shared, &mut notes.unsupported).unwrap_or_else(|error| {
            let broken = Rule::broken(rule, name, shared, &error);
            notes.errors.push(error);
            broken
        })
    }

    fn broken(rule: &Reader<'_>, name: String, shared: &Shared<'_>, error: &CompileError) -> Rule {
        Rule {
            policy: shared.policy,
            path: rule.path.clone(),
            matching: Matching::compile(rule).unwrap_or_else(|_| Matching::widest(rule.value)),
            entries: Vec::new(),
            preconditions: None,
            body: Body::Broken(format!("{}: {}", error.path, error.message)),
            action: Action::enforced(),
            name,
        }
    }
}

fn compile(
    rule: &Reader<'_>,
    name: &str,
    shared: &Shared<'_>,
    unsupported: &mut Vec<CompileError>,
) -> Result<Rule> {
    if name.is_empty() {
        return Err(rule.error("name is missing"));
    }
    let matching = Matching::compile(rule)?;
    let action = match rule.field("validate") {
        Some(validate) => shared.action.of_rule(&validate)?,
        None => of_images(rule, shared.action)?,
    };
    let entries = variables::entries(rule)?;
    let preconditions = rule.field("preconditions").map(|c| Conditions::compile(&c)).transpose()?;
    let body = match unsupported_part(rule) {
        Some(part) => {
            let body = Body::Unsupported(part.message.clone());
            unsupported.push(part);
            body
        }
        None => compile_body(rule, shared)?,
    };
    match &body {
        Body::Manifests(manifests) => {
            let part = rule.field("validate").and_then(|validate| validate.field("manifests"));
            unsupported.extend(part.and_then(|part| manifests.unsupported(&part)));
        }
        Body::VerifyImages(_) => {
            let part = rule.field("verifyImages");
            unsupported.extend(part.map(|part| part.error("verifyImages verifies nothing offline")));
        }
        _ => {}
    }
    Ok(Rule {
        policy: shared.policy,
        name: name.to_owned(),
        path: rule.path.clone(),
        matching,
        entries,
        preconditions,
        body,
        action,
    })
}

/// What violations of a rule about images mean: of several entries the strictest counts.
fn of_images(rule: &Reader<'_>, of_policy: &Action) -> Result<Action> {
    let entries = rule.list("verifyImages")?;
    let mut actions = entries.iter().map(|entry| of_policy.of_rule(entry)).collect::<Result<Vec<_>>>()?;
    let strictest = actions.iter().position(Action::enforces_by_default).unwrap_or(0);
    Ok(if actions.is_empty() { of_policy.clone() } else { actions.swap_remove(strictest) })
}

fn compile_body(rule: &Reader<'_>, shared: &Shared<'_>) -> Result<Body> {
    if rule.field("verifyImages").is_some_and(|list| *list.value != Value::Array(Vec::new())) {
        return Ok(Body::VerifyImages(Box::new(VerifyImages::compile(rule)?)));
    }
    if let Some(validate) = rule.field("validate") {
        if let Some(cel) = validate.field("cel") {
            let validations = Validations::of_rule(rule, &validate, &cel)?;
            return Ok(Body::Cel(Box::new(validations)));
        }
        if let Some(part) = validate.field("podSecurity") {
            return Ok(Body::PodSecurity(Box::new(PodSecurity::compile(&validate, &part)?)));
        }
        if let Some(part) = validate.field("manifests") {
            return Ok(Body::Manifests(Box::new(Manifests::compile(&part)?)));
        }
        return Ok(Body::Validate(Box::new(Validate::of_rule(rule, &validate)?)));
    }
    if let Some(mutate) = rule.field("mutate") {
        return Ok(Body::Mutate(Box::new(Mutate::compile(&mutate)?)));
    }
    let generate = rule
        .field("generate")
        .ok_or_else(|| rule.error("one of validate, mutate, generate, verifyImages is missing"))?;
    Generate::compile(&generate, shared.generate_existing).map(|g| Body::Generate(Box::new(g)))
}

/// The first part of a rule that is not evaluated.
fn unsupported_part(rule: &Reader<'_>) -> Option<CompileError> {
    rule.field("validate").and_then(|validate| validate::unsupported(&validate))
}
