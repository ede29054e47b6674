//! The objects that parametrise a policy, as a binding refers to them.

use serde_json::Value;

use crate::model::Gvk;
use crate::plane::select::Selection;
use crate::plane::server::Server;
use crate::plane::store::{Key, Range};
use crate::plane::write::served;

/// The parameters of one binding: `None` stands for no parameter, an empty list for none found and none needed.
pub(super) fn collect(
    server: &Server,
    kind: Option<&Gvk>,
    reference: &Value,
    namespace: &str,
) -> Result<Vec<Option<Value>>, String> {
    let Some(kind) = kind else { return Ok(vec![None]) };
    let registry = server.registry();
    let resource = registry.of_kind(kind).ok_or_else(|| unknown(kind))?;
    if !reference.is_object() {
        return Ok(vec![None]);
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let named = text("namespace");
    let namespace = if resource.namespaced {
        let namespace = if named.is_empty() { namespace } else { named };
        if namespace.is_empty() {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                    .to_owned(),
            );
        }
        namespace
    } else if named.is_empty() {
        ""
    } else {
        return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
    };
    let found: Vec<Option<Value>> = if !text("name").is_empty() {
        let key = Key {
            resource: resource.collection.clone(),
            namespace: namespace.into(),
            name: text("name").into(),
        };
        server.store.get(&key).map(|object| Some(served(resource, &object))).into_iter().collect()
    } else {
        let selection = Selection::of_labels(&reference["selector"]);
        let range = Range { namespace: resource.namespaced.then_some(namespace), ..Range::default() };
        let page = server.store.list(&resource.collection, &range, |object| selection.matches(object));
        let objects = page.map(|page| page.objects).unwrap_or_default();
        objects.iter().map(|object| Some(served(resource, object))).collect()
    };
    if found.is_empty() && text("parameterNotFoundAction") == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}

/// Whether a kind of parameters is served.
pub(super) fn check_kind(server: &Server, kind: Option<&Gvk>) -> Result<(), String> {
    match kind {
        Some(kind) if server.registry().of_kind(kind).is_none() => Err(unknown(kind)),
        _ => Ok(()),
    }
}

fn unknown(kind: &Gvk) -> String {
    let version = if kind.group.is_empty() { format!("/{}", kind.version) } else { kind.api_version() };
    format!("failed to find resource referenced by paramKind: '{version}, Kind={}'", kind.kind)
}
