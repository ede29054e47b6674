//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy, with what binds them.

use serde_json::Value as Json;

use crate::expr::admission::{Mutator, Outcome, Validator};
use crate::model::Gvk;
use crate::schema::Schemas;

use super::super::matching::{Subjected, resource_name};
use super::super::objects::Objects;
use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::super::selector::Selector;
use super::super::validate::{Judgement, Verdict};
use super::constraints::Constraints;
use super::inputs::Inputs;
use super::mutating::applied;

/// What a policy is that no binding puts to work: here it is judged by as if one did everywhere.
static UNBOUND: [Binding; 1] = [Binding { constraints: None, params: None, enforces: true }];

/// A policy and its bindings.
#[derive(Debug)]
pub(crate) struct Bound<P> {
    policy: P,
    bindings: Vec<Binding>,
}

/// What puts a policy to work.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    constraints: Option<Constraints>,
    params: Option<Params>,
    enforces: bool,
}

/// The objects that parametrise a policy.
#[derive(Debug, Clone)]
struct Params {
    name: String,
    namespace: String,
    selector: Option<Selector>,
    /// Whether a policy without one denies.
    needed: bool,
}

impl Binding {
    /// Of a binding's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>) -> Result<Binding> {
        let constraints = spec.field("matchResources").map(|part| Constraints::compile(&part)).transpose()?;
        let params = spec.field("paramRef").map(|part| Params::compile(&part)).transpose()?;
        let actions = spec.strings("validationActions")?;
        let enforces = actions.is_empty() || actions.iter().any(|action| action == "Deny");
        Ok(Binding { constraints, params, enforces })
    }

    fn matches(&self, object: &Subjected<'_>) -> bool {
        self.constraints.as_ref().is_none_or(|constraints| constraints.matches(object))
    }
}

impl Params {
    fn compile(reference: &Reader<'_>) -> Result<Params> {
        Ok(Params {
            name: reference.string("name")?.unwrap_or_default(),
            namespace: reference.string("namespace")?.unwrap_or_default(),
            selector: reference.field("selector").map(|s| Selector::compile(&s)).transpose()?,
            needed: reference.string("parameterNotFoundAction")?.as_deref() == Some("Deny"),
        })
    }

    /// The parameters of a kind; without a namespace in the reference those of the object's.
    fn find<'k>(&self, kind: &Gvk, known: &'k Objects<'static>, namespace: &str) -> Vec<&'k Json> {
        let version = kind.api_version();
        let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
        let fits = |param: &&Json| {
            let metadata = &param["metadata"];
            let own = metadata["namespace"].as_str().unwrap_or_default();
            let named = self.name.is_empty() || metadata["name"] == *self.name;
            let labels = metadata["labels"].as_object().cloned().unwrap_or_default();
            let selected = self.selector.as_ref().is_none_or(|selector| selector.matches(&labels));
            (own.is_empty() || own == namespace) && named && selected
        };
        known.list(&version, &resource_name(&kind.kind), "").into_iter().filter(fits).collect()
    }
}

static NOTHING: Json = Json::Null;

/// The parameters for an object by a binding; `None` stands for a policy that is to deny for want of one.
fn params<'k>(
    kind: Option<&Gvk>,
    binding: &Binding,
    known: &'k Objects<'static>,
    object: &Subjected<'_>,
) -> Option<Vec<&'k Json>> {
    let (Some(kind), Some(params)) = (kind, &binding.params) else { return Some(vec![&NOTHING]) };
    let found = params.find(kind, known, object.namespace());
    (!found.is_empty() || !params.needed).then_some(found)
}

const NO_PARAMS: &str = "no params found for policy binding with `Deny` parameterNotFoundAction";
const NOT_MEANT: &str = "match conditions aren't met";

impl<P> Bound<P> {
    /// The bindings that are about an object.
    fn bindings<'b>(&'b self, object: &'b Subjected<'_>) -> impl Iterator<Item = &'b Binding> {
        let all = if self.bindings.is_empty() { &UNBOUND[..] } else { &self.bindings };
        all.iter().filter(|binding| binding.matches(object))
    }
}

impl Bound<Validator> {
    /// Of a policy's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>, bindings: Vec<Binding>) -> Result<Bound<Validator>> {
        let policy = Validator::of(spec.value, false);
        if let Some(mistake) = policy.mistakes().next() {
            return Err(spec.error(mistake));
        }
        Ok(Bound { policy, bindings })
    }

    /// The judgement, and whether it is enforced; `None` if no binding is about the object.
    pub(crate) fn judge(
        &self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        known: &Objects<'static>,
    ) -> Option<(Judgement, bool)> {
        let inputs = Inputs::of(request);
        let mut told = None;
        for binding in self.bindings(object) {
            let Some(params) = params(self.policy.params.as_ref(), binding, known, object) else {
                return Some((Judgement::new(Verdict::Fail, NO_PARAMS), binding.enforces));
            };
            for param in params {
                let outcome = self.policy.evaluate(|| inputs.with_params(param));
                let judgement = judgement(outcome);
                if matches!(judgement.verdict, Verdict::Fail | Verdict::Error) {
                    return Some((judgement, binding.enforces));
                }
                // One pass among skips is a pass.
                if told.is_none() || judgement.verdict == Verdict::Pass {
                    told = Some((judgement, binding.enforces));
                }
            }
        }
        told
    }
}

fn judgement(outcome: Outcome) -> Judgement {
    if !outcome.meant {
        return Judgement::new(Verdict::Skip, NOT_MEANT);
    }
    match (outcome.failed.into_iter().next(), outcome.errors.into_iter().next()) {
        (Some(decision), _) => {
            let verdict = if decision.is_error { Verdict::Error } else { Verdict::Fail };
            Judgement::new(verdict, decision.message)
        }
        (None, Some(why)) => Judgement::new(Verdict::Error, why),
        (None, None) => Judgement::new(Verdict::Pass, ""),
    }
}

impl Bound<Mutator> {
    /// Of a policy's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>, bindings: Vec<Binding>) -> Result<Bound<Mutator>> {
        let policy = Mutator::of(spec.value, false);
        if let Some(mistake) = policy.mistakes().next() {
            return Err(spec.error(mistake));
        }
        Ok(Bound { policy, bindings })
    }

    /// The judgement and the object if it was changed; `None` if no binding is about the object.
    pub(crate) fn change(
        &self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        known: &Objects<'static>,
        schemas: &Schemas,
    ) -> Option<(Judgement, Option<Json>)> {
        let mut current = request.object.clone();
        let mut told = None;
        for binding in self.bindings(object) {
            let Some(params) = params(self.policy.params.as_ref(), binding, known, object) else {
                return Some((Judgement::new(Verdict::Error, NO_PARAMS), None));
            };
            for param in params {
                match self.change_by(request, &mut current, param, schemas) {
                    Ok(true) => {
                        told = Some(Judgement::new(Verdict::Pass, "mutation is successfully applied"))
                    }
                    Ok(false) => {
                        told.get_or_insert_with(|| Judgement::new(Verdict::Skip, NOT_MEANT));
                    }
                    Err(why) if self.policy.ignores_failures() => {
                        told.get_or_insert_with(|| Judgement::new(Verdict::Skip, why));
                    }
                    Err(why) => return Some((Judgement::new(Verdict::Error, why), None)),
                }
            }
        }
        let changed = (current != *request.object).then_some(current);
        told.map(|judgement| (judgement, changed))
    }

    /// Whether its match conditions hold; changes the object if so.
    fn change_by(
        &self,
        request: &Request<'_>,
        current: &mut Json,
        param: &Json,
        schemas: &Schemas,
    ) -> std::result::Result<bool, String> {
        let before = Request { object: current, ..*request };
        if !self.policy.is_meant(Inputs::of(&before).with_params(param))? {
            return Ok(false);
        }
        for mutation in &self.policy.mutations {
            let change = {
                let now = Request { object: current, ..*request };
                self.policy.change(mutation, Inputs::of(&now).with_params(param))?
            };
            *current = applied(current, change, schemas)?;
        }
        Ok(true)
    }
}
