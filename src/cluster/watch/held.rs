//! An object of a watch: its body once, and the little that the watch itself needs.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::ServedKind;

/// Decoded without a second copy of labels, annotations and managed fields.
#[derive(Debug, Clone)]
pub(super) struct Held {
    meta: ObjectMeta,
    pub body: Arc<Value>,
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Held, D::Error> {
        let body = Value::deserialize(deserializer)?;
        let text = |field: &str| body["metadata"][field].as_str().map(str::to_owned);
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Held { meta, body: Arc::new(body) })
    }
}

impl Held {
    /// The body with apiVersion and kind, which lists of built-in kinds leave out.
    pub fn into_body(self, kind: &ServedKind) -> Arc<Value> {
        let mut body = self.body;
        if body["kind"].is_null() || body["apiVersion"].is_null() {
            // What is no object has no identity either, and is dropped for that.
            if let Some(map) = Arc::make_mut(&mut body).as_object_mut() {
                map.insert("apiVersion".to_owned(), kind.gvk.api_version().into());
                map.insert("kind".to_owned(), kind.gvk.kind.to_string().into());
            }
        }
        body
    }
}

impl Resource for Held {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn api_version(of: &ApiResource) -> Cow<'_, str> {
        of.api_version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// How the kube client names a kind.
pub(super) fn api_resource(kind: &ServedKind) -> ApiResource {
    ApiResource {
        group: kind.gvk.group.to_string(),
        version: kind.gvk.version.to_string(),
        api_version: kind.gvk.api_version(),
        kind: kind.gvk.kind.to_string(),
        plural: kind.plural.clone(),
    }
}
