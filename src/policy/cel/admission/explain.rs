//! How an admission policy came to its verdict, binding by binding.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Bound, Lack, NO_PARAMS, UNKNOWN_PARAMS, params};
use crate::expr::admission::{Mutator, Validator};
use crate::expr::explain::Steps;
use crate::policy::cel::inputs::Inputs;
use crate::policy::matching::Subjected;
use crate::policy::objects::Objects;
use crate::policy::request::Request;

impl<P> Bound<P> {
    /// Each binding, whether it is about the object, its parameters, and what the policy says with each. `known` is what
    /// is looked up, and `binds_all` as in [`Bound::bindings`].
    fn explain_bindings(
        &self,
        kind: Option<&crate::model::Gvk>,
        request: &Request<'_>,
        object: &Subjected<'_>,
        (known, binds_all): (Option<&Objects<'static>>, bool),
        mut of_param: impl FnMut(&Json, &mut Steps),
    ) -> Steps {
        let mut steps = Steps::default();
        if self.bindings.is_empty() && !binds_all {
            steps.head(0, "no binding puts the policy to work");
        }
        for binding in &self.bindings {
            let is_about = binding.matches(object);
            steps.add(0, format!("binding {} is about the object", binding.name), Ok(is_about.into()));
            if let (false, Some(constraints)) = (is_about, &binding.constraints) {
                steps.append(1, constraints.explain(object));
            }
        }
        for binding in self.bindings(object, binds_all) {
            let depth = usize::from(self.bindings.len() > 1);
            if depth > 0 {
                steps.head(0, format!("by binding {}", binding.name));
            }
            let found = match params(kind, binding, known, request, object) {
                Ok(found) => found,
                Err(Lack::Denied) => {
                    steps.add(depth, "params", Err(NO_PARAMS.to_owned()));
                    continue;
                }
                Err(Lack::Unknown(why)) => {
                    steps.add(depth, "params", Err(format!("{UNKNOWN_PARAMS}: {why}")));
                    continue;
                }
            };
            if found.is_empty() {
                steps.head(depth, "there are no params, and the policy is not evaluated without");
            }
            for param in &found {
                if !param.is_null() {
                    let from = match param {
                        Cow::Owned(_) => Some(Cow::Borrowed("the cluster")),
                        Cow::Borrowed(_) => known.is_none().then_some(Cow::Borrowed("the repository")),
                    };
                    let is_secret = param["kind"] == "Secret";
                    let shown =
                        if is_secret { param["metadata"].clone() } else { param.clone().into_owned() };
                    steps.add_from(depth, "params", from, Ok(shown));
                }
                let mut inner = Steps::default();
                of_param(param, &mut inner);
                let is_secret = param["kind"] == "Secret";
                let inner = if is_secret { inner.hidden() } else { inner };
                steps.append(depth, inner);
            }
        }
        steps
    }
}

impl Bound<Validator> {
    /// The bindings, the parameters, and how each expression came to its value.
    pub(crate) fn explain(
        &self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        around: (Option<&Objects<'static>>, bool),
    ) -> Steps {
        let taken = self.policy.taken();
        let inputs = Inputs::of(request);
        self.explain_bindings(self.policy.params.as_ref(), request, object, around, |param, steps| {
            steps.append(0, self.policy.explain(&taken, inputs.with_params(param)));
        })
    }
}

impl Bound<Mutator> {
    /// The bindings, the parameters, and what each mutation makes of the object.
    pub(crate) fn explain(
        &self,
        request: &Request<'_>,
        object: &Subjected<'_>,
        around: (Option<&Objects<'static>>, bool),
        schemas: &crate::schema::Schemas,
    ) -> Steps {
        let taken = self.policy.taken();
        let mut current = request.object.clone();
        self.explain_bindings(self.policy.params.as_ref(), request, object, around, |param, steps| {
            let is_meant = {
                let before = Request { object: &current, ..*request };
                let inputs = Inputs::of(&before);
                let (told, is_meant) = self.policy.explain(&taken, inputs.with_params(param));
                steps.append(0, told);
                is_meant
            };
            if !is_meant {
                return;
            }
            for (at, mutation) in self.policy.mutations.iter().enumerate() {
                let change = {
                    let now = Request { object: &current, ..*request };
                    self.policy.change(mutation, Inputs::of(&now).with_params(param))
                };
                let after = change.and_then(|change| super::applied(&current, change, schemas));
                current = crate::policy::cel::mutating::tell(at, &current, after, steps);
            }
        })
    }
}
