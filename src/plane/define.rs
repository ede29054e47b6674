//! Kinds that a plane has from the start: definitions given to it in this process.

use futures::FutureExt as _;
use serde_json::Value;

use super::body::Decoded;
use super::crd;
use super::server::Server;
use super::status::Failure;
use std::sync::Arc;

/// Why a definition is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// The field that is wrong, as the server names it; empty where none is.
    pub field: String,
    /// The server's words.
    pub message: String,
}

impl std::fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DefinitionError {}

impl From<Failure> for DefinitionError {
    fn from(failure: Failure) -> DefinitionError {
        let field = failure.details.as_ref().and_then(|details| details["causes"][0]["field"].as_str());
        DefinitionError { field: field.unwrap_or_default().to_owned(), message: failure.message }
    }
}

/// Creates a definition, or brings the one of that name up to date. Its kind is served when this returns.
pub(crate) fn define(server: &Arc<Server>, definition: &Value) -> Result<(), DefinitionError> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let is_definition =
        definition["kind"] == crd::KIND && definition["apiVersion"] == "apiextensions.k8s.io/v1";
    if !is_definition {
        let message = "no CustomResourceDefinition of apiextensions.k8s.io/v1".to_owned();
        return Err(DefinitionError { field: "kind".to_owned(), message });
    }
    let registry = server.registry();
    let resource = registry.find(crd::GROUP, "v1", "customresourcedefinitions").cloned();
    let call = server.own_call(resource.expect("definitions are built in"), "", name);
    let mut body = definition.clone();
    let known = call.live();
    if let Some(live) = &known {
        body["metadata"]["resourceVersion"] = live.revision().into();
    }
    let decoded = Decoded { value: body, warnings: Vec::new() };
    let written =
        async { if known.is_some() { call.update(decoded).await } else { call.create(decoded).await } };
    // Nothing is waited for: no webhook is asked about definitions before anybody could have configured one.
    match written.now_or_never() {
        Some(answer) => answer.map(drop).map_err(DefinitionError::from),
        None => Err(DefinitionError {
            field: String::new(),
            message: "a webhook is configured for definitions; create this one through the API".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plane::Plane;

    #[test]
    fn a_plane_begins_with_kinds() {
        let mut definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.a.test"},
            "spec": {"group": "a.test", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]},
        });
        let plane = Plane::new();
        plane.define(&definition).unwrap();
        plane.define(&definition).unwrap();
        assert!(plane.server.registry().find("a.test", "v1", "things").is_some());
        definition["spec"]["names"]["plural"] = "others".into();
        let error = plane.define(&definition).unwrap_err();
        assert_eq!(error.field, "spec.names.plural");
    }
}
