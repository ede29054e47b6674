//! Admission policies: expressions that judge or change a request, put to work by bindings.

mod authorizer;
mod definitions;
mod inputs;
mod mutating;
mod params;
mod validating;

pub(crate) use self::definitions::mutating_kinds;
pub(super) use self::inputs::{Inputs, Shown};
pub(super) use self::mutating::{Policy as MutatingPolicy, change};
pub(super) use self::validating::{Policy as ValidatingPolicy, judge};

use serde_json::Value;

use super::matching::Constraints;

/// What puts a policy to work.
#[derive(Debug)]
pub(super) struct Binding {
    pub name: String,
    pub policy: String,
    /// Narrows what the policy is about.
    constraints: Option<Constraints>,
    params: Value,
    actions: Vec<Action>,
}

/// What becomes of a failed validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Deny,
    Warn,
    Audit,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Deny => "Deny",
            Action::Warn => "Warn",
            Action::Audit => "Audit",
        }
    }
}

impl Binding {
    /// A binding, compiled.
    pub fn of(body: &Value) -> Binding {
        let spec = &body["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let actions = spec["validationActions"].as_array().into_iter().flatten();
        Binding {
            name: text(&body["metadata"]["name"]),
            policy: text(&spec["policyName"]),
            constraints: spec["matchResources"]
                .is_object()
                .then(|| Constraints::of_policy(&spec["matchResources"])),
            params: spec["paramRef"].clone(),
            actions: actions
                .filter_map(|action| match action.as_str()? {
                    "Deny" => Some(Action::Deny),
                    "Warn" => Some(Action::Warn),
                    "Audit" => Some(Action::Audit),
                    _ => None,
                })
                .collect(),
        }
    }
}
