//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy, with what binds them.

mod explain;

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::expr::Outside;
use crate::expr::admission::{Mutator, Outcome, Validator};
use crate::model::{FieldPath, Gvk};
use crate::schema::Schemas;

use super::super::matching::{Subjected, resource_name};
use super::super::objects::Objects;
use super::super::reader::{Reader, Result};
use super::super::request::Request;
use super::super::selector::Selector;
use super::super::validate::{Judgement, Verdict};
use super::constraints::Constraints;
use super::field;
use super::inputs::Inputs;
use super::mutating::applied;

/// What puts a policy to work everywhere, in tests of policies that nothing binds.
static UNBOUND: [Binding; 1] =
    [Binding { name: String::new(), constraints: None, params: None, enforces: true }];

/// A policy and its bindings.
#[derive(Debug)]
pub(crate) struct Bound<P> {
    policy: P,
    bindings: Vec<Binding>,
    /// The field of the object that each validation is about, as far as it says so.
    fields: Vec<Option<FieldPath>>,
}

/// What puts a policy to work.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    name: String,
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
    /// Of a binding's name and `spec`.
    pub(crate) fn compile(name: &str, spec: &Reader<'_>) -> Result<Binding> {
        spec.only(&["policyName", "paramRef", "matchResources", "validationActions"])?;
        let constraints = spec.field("matchResources").map(|part| Constraints::compile(&part)).transpose()?;
        let params = spec.field("paramRef").map(|part| Params::compile(&part)).transpose()?;
        let actions = spec.list("validationActions")?;
        for action in &actions {
            if !["Deny", "Warn", "Audit"].contains(&action.text()?) {
                return Err(action.error("Deny, Warn or Audit is expected here"));
            }
        }
        let has = |name: &str| actions.iter().any(|action| action.value == name);
        if let (true, true, Some(list)) = (has("Deny"), has("Warn"), spec.field("validationActions")) {
            return Err(list.error("Deny and Warn cannot stand together"));
        }
        let enforces = actions.is_empty() || has("Deny");
        Ok(Binding { name: name.to_owned(), constraints, params, enforces })
    }

    fn matches(&self, object: &Subjected<'_>) -> bool {
        self.constraints.as_ref().is_none_or(|constraints| constraints.matches(object))
    }
}

impl Params {
    fn compile(reference: &Reader<'_>) -> Result<Params> {
        reference.only(&["name", "namespace", "selector", "parameterNotFoundAction"])?;
        if let (Some(_), Some(selector)) = (reference.field("name"), reference.field("selector")) {
            return Err(selector.error("name and selector cannot stand together"));
        }
        if let Some(action) = reference.field("parameterNotFoundAction")
            && !["Allow", "Deny"].contains(&action.text()?)
        {
            return Err(action.error("Allow or Deny is expected here"));
        }
        Ok(Params {
            name: reference.string("name")?.unwrap_or_default(),
            namespace: reference.string("namespace")?.unwrap_or_default(),
            selector: reference.field("selector").map(|s| Selector::compile(&s)).transpose()?,
            needed: reference.string("parameterNotFoundAction")?.as_deref() == Some("Deny"),
        })
    }

    /// Whether an object of the kind is one of them; without a namespace in the reference those of the object's are.
    fn fit(&self, param: &Json, namespace: &str) -> bool {
        let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
        let metadata = &param["metadata"];
        let own = metadata["namespace"].as_str().unwrap_or_default();
        let named = self.name.is_empty() || metadata["name"] == *self.name;
        let labels = metadata["labels"].as_object().cloned().unwrap_or_default();
        let selected = self.selector.as_ref().is_none_or(|selector| selector.matches(&labels));
        (own.is_empty() || own == namespace) && named && selected
    }

    /// Those among objects that are all there is.
    fn among<'k>(&self, kind: &Gvk, known: &'k Objects<'static>, namespace: &str) -> Vec<Cow<'k, Json>> {
        let all = known.list(&kind.api_version(), &resource_name(&kind.kind), "").into_iter();
        all.filter(|param| self.fit(param, namespace)).map(Cow::Borrowed).collect()
    }

    /// Those that are described, and beside them those that live in a cluster.
    fn ask<'k>(
        &self,
        kind: &Gvk,
        outside: &'k dyn Outside,
        namespace: &str,
    ) -> std::result::Result<Vec<Cow<'k, Json>>, String> {
        let described = outside.objects(&kind.api_version(), &kind.kind).into_iter();
        let described: Vec<&Json> = described.filter(|param| self.fit(param, namespace)).collect();
        let mut found: Vec<_> = described.iter().copied().map(Cow::Borrowed).collect();
        if self.name.is_empty() || found.is_empty() {
            let same = |a: &Json, b: &Json| {
                ["namespace", "name"].iter().all(|field| a["metadata"][field] == b["metadata"][field])
            };
            let living = outside.living(&self.path(kind), !found.is_empty())?.into_iter();
            let others = living.filter(|param| !described.iter().any(|known| same(known, param)));
            found.extend(others.filter(|param| self.fit(param, namespace)).map(Cow::Owned));
        }
        Ok(found)
    }

    /// Where they are listed: whether the kind has namespaces is not known, so only one that is named is in the path.
    fn path(&self, kind: &Gvk) -> String {
        let version = kind.api_version();
        let mut path =
            if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        if !self.namespace.is_empty() {
            path += &format!("/namespaces/{}", self.namespace);
        }
        path += &format!("/{}", resource_name(&kind.kind));
        if !self.name.is_empty() {
            path += &format!("?fieldSelector=metadata.name={}", self.name);
        }
        path
    }
}

static NOTHING: Json = Json::Null;

/// Why there are no parameters.
enum Lack {
    /// There is none, and the policy is to deny for want of one.
    Denied,
    /// Nobody knows whether there are any.
    Unknown(String),
}

/// The parameters for an object by a binding: of what is known if that is all there is, else of whom the request may ask.
/// With neither there are none.
fn params<'k>(
    kind: Option<&Gvk>,
    binding: &Binding,
    known: Option<&'k Objects<'static>>,
    request: &Request<'k>,
    object: &Subjected<'_>,
) -> std::result::Result<Vec<Cow<'k, Json>>, Lack> {
    let (Some(kind), Some(params)) = (kind, &binding.params) else {
        return Ok(vec![Cow::Borrowed(&NOTHING)]);
    };
    let found = match (known, request.outside) {
        (Some(known), _) => params.among(kind, known, object.namespace()),
        (None, Some(outside)) => params.ask(kind, outside, object.namespace()).map_err(Lack::Unknown)?,
        (None, None) => return Ok(Vec::new()),
    };
    if found.is_empty() && params.needed { Err(Lack::Denied) } else { Ok(found) }
}

const UNKNOWN_PARAMS: &str = "failed to look up params";

const NO_PARAMS: &str = "no params found for policy binding with `Deny` parameterNotFoundAction";
const NOT_MEANT: &str = "match conditions aren't met";

impl<P> Bound<P> {
    /// The bindings that are about an object. `binds_all`: without any, it is as if one were about everything.
    fn bindings<'b>(
        &'b self,
        object: &'b Subjected<'_>,
        binds_all: bool,
    ) -> impl Iterator<Item = &'b Binding> {
        let all = if binds_all && self.bindings.is_empty() { &UNBOUND[..] } else { &self.bindings };
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
        Ok(Bound { policy, bindings, fields: field::of_list(spec.value, "validations") })
    }

    /// The judgement, and whether it is enforced; `None` if no binding is about the object. That nobody knows its
    /// parameters is not, if the policy ignores failures.
    pub(crate) fn judge(
        &self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        known: Option<&Objects<'static>>,
        binds_all: bool,
    ) -> Option<(Judgement, bool)> {
        let inputs = Inputs::of(request);
        let mut told: Option<(Judgement, bool)> = None;
        let mut annotations = Vec::new();
        for binding in self.bindings(object, binds_all) {
            let mut enforces = binding.enforces;
            let judged: Vec<Judgement> =
                match params(self.policy.params.as_ref(), binding, known, request, object) {
                    Ok(params) => {
                        let of = |param| {
                            judgement(self.policy.evaluate(|| inputs.with_params(param)), &self.fields)
                        };
                        params.iter().map(|param| of(&**param)).collect()
                    }
                    Err(Lack::Denied) if self.policy.ignores_failures() => Vec::new(),
                    Err(Lack::Denied) => vec![Judgement::new(Verdict::Fail, NO_PARAMS)],
                    Err(Lack::Unknown(why)) => {
                        enforces &= !self.policy.ignores_failures();
                        vec![Judgement::error(UNKNOWN_PARAMS, why)]
                    }
                };
            for mut judgement in judged {
                annotations.append(&mut judgement.annotations);
                let rank = weight(&judgement, enforces);
                if told.as_ref().is_none_or(|(told, enforces)| rank > weight(told, *enforces)) {
                    told = Some((judgement, enforces));
                }
            }
        }
        annotations.dedup();
        told.map(|(judgement, enforces)| (Judgement { annotations, ..judgement }, enforces))
    }
}

/// Which of two judgements counts: what is refused goes before what is only told, and one pass among skips is a pass. Of
/// the same weight the first counts.
fn weight(judgement: &Judgement, enforces: bool) -> u8 {
    match (judgement.verdict, enforces) {
        (Verdict::Fail | Verdict::Warn | Verdict::Error, true) => 3,
        (Verdict::Fail | Verdict::Warn | Verdict::Error, false) => 2,
        (Verdict::Pass, _) => 1,
        (Verdict::Skip, _) => 0,
    }
}

fn judgement(outcome: Outcome, fields: &[Option<FieldPath>]) -> Judgement {
    if !outcome.meant {
        return Judgement::new(Verdict::Skip, NOT_MEANT);
    }
    let judgement = match (outcome.failed.into_iter().next(), outcome.errors.into_iter().next()) {
        (Some(decision), _) => {
            let verdict = if decision.is_error { Verdict::Error } else { Verdict::Fail };
            let path = fields.get(decision.index).cloned().flatten();
            Judgement { path, ..Judgement::new(verdict, decision.message) }
        }
        (None, Some(why)) => Judgement::new(Verdict::Error, why),
        (None, None) => Judgement::new(Verdict::Pass, ""),
    };
    Judgement { annotations: outcome.annotations, ..judgement }
}

impl Bound<Mutator> {
    /// Of a policy's `spec`.
    pub(crate) fn compile(spec: &Reader<'_>, bindings: Vec<Binding>) -> Result<Bound<Mutator>> {
        let policy = Mutator::of(spec.value, false);
        if let Some(mistake) = policy.mistakes().next() {
            return Err(spec.error(mistake));
        }
        Ok(Bound { policy, bindings, fields: Vec::new() })
    }

    /// The judgement and the object if it was changed; `None` if no binding is about the object.
    pub(crate) fn change(
        &self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        known: Option<&Objects<'static>>,
        schemas: &Schemas,
        binds_all: bool,
    ) -> Option<(Judgement, Option<Json>)> {
        let mut current = request.object.clone();
        let mut told = None;
        for binding in self.bindings(object, binds_all) {
            let params = match params(self.policy.params.as_ref(), binding, known, request, object) {
                Ok(params) => params,
                Err(Lack::Denied) if self.policy.ignores_failures() => continue,
                Err(Lack::Denied) => return Some((Judgement::new(Verdict::Error, NO_PARAMS), None)),
                Err(Lack::Unknown(why)) => return Some((Judgement::error(UNKNOWN_PARAMS, why), None)),
            };
            for param in &params {
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
