//! What expressions are evaluated on.

use serde_json::Value as Json;

use super::super::attributes::Attributes;
use super::authorizer;
use crate::expr::cel::{Bindings, Value};
use crate::plane::kinds::Resource;

/// The objects of a request in the form that a policy or webhook wants to see.
pub(in crate::plane::admission) struct Shown {
    pub request: Json,
    pub object: Json,
    pub old: Json,
}

impl Shown {
    /// The objects in a form.
    pub fn of(
        attributes: &Attributes<'_>,
        form: &Resource,
        object: Option<&Json>,
        old: Option<&Json>,
    ) -> Shown {
        let shown = |body: Option<&Json>| body.map_or(Json::Null, |body| attributes.in_form(form, body));
        Shown { request: attributes.request(form), object: shown(object), old: shown(old) }
    }
}

/// Everything that an expression may look at.
#[derive(Clone, Copy)]
pub(in crate::plane::admission) struct Inputs<'a> {
    pub shown: &'a Shown,
    pub namespace: &'a Json,
    pub params: &'a Json,
    pub attributes: &'a Attributes<'a>,
}

impl<'a> Inputs<'a> {
    /// What expressions see, but for a policy's own variables.
    pub fn bindings(&self) -> Bindings<'a> {
        let mut bindings = Bindings::new()
            .with("object", Value::of_json(&self.shown.object))
            .with("oldObject", Value::of_json(&self.shown.old))
            .with("request", Value::of_json(&self.shown.request))
            .with("params", Value::of_json(self.params))
            .with("namespaceObject", Value::of_json(self.namespace));
        let (authorizer, resource) = authorizer::values(self.attributes);
        bindings.set("authorizer", authorizer);
        bindings.set("authorizer.requestResource", resource);
        bindings
    }
}

/// A namespace as expressions see it.
pub(in crate::plane::admission) fn namespace(attributes: &Attributes<'_>) -> Json {
    const SHOWN: [&str; 12] = [
        "name",
        "generateName",
        "namespace",
        "labels",
        "annotations",
        "uid",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "resourceVersion",
        "finalizers",
    ];
    let Some(object) = attributes.namespace_object() else { return Json::Null };
    let mut body = object.body();
    if let Some(metadata) = body["metadata"].as_object_mut() {
        metadata.retain(|field, _| SHOWN.contains(&field.as_str()));
    }
    body.as_object_mut().map(|body| {
        body.remove("apiVersion");
        body.remove("kind")
    });
    body
}
