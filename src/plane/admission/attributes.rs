//! What admission is told of a request.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Operation;
use super::rule::Subject;
use crate::model::Gvk;
use crate::plane::call::{Call, Subresource};
use crate::plane::convert;
use crate::plane::kinds::Resource;
use crate::plane::status::Failure;
use crate::plane::store::{Key, Object};

/// A request as admission sees it, without its objects.
pub(super) struct Attributes<'a> {
    pub call: &'a Call<'a>,
    pub operation: Operation,
    /// Empty while the server has yet to make it up.
    pub name: String,
    /// Of a namespace the namespace itself.
    pub namespace: String,
    /// `CreateOptions`, `UpdateOptions` or `DeleteOptions`.
    pub options: Value,
}

impl<'a> Attributes<'a> {
    /// Of a request with these objects; `deletion` is what a deletion's own options are.
    pub fn of(
        call: &'a Call<'a>,
        operation: Operation,
        object: Option<&Value>,
        old: Option<&Value>,
        deletion: &Value,
    ) -> Attributes<'a> {
        let of_object = || object.or(old).and_then(|body| body["metadata"]["name"].as_str());
        let name = call.name.as_deref().or_else(of_object).unwrap_or_default().to_owned();
        let namespace = if call.resource.is("", "Namespace") { &*name } else { call.namespace() };
        Attributes {
            call,
            operation,
            namespace: namespace.to_owned(),
            name,
            options: options(call, operation, deletion),
        }
    }

    pub fn is_dry_run(&self) -> bool {
        self.options["dryRun"].as_array().is_some_and(|all| all.iter().any(|one| one == "All"))
    }

    pub fn subresource(&self) -> &'static str {
        self.call.subresource.as_ref().map_or("", Subresource::name)
    }

    /// What rules look at, in the terms of one form of the resource.
    pub fn subject<'b>(&'b self, resource: &'b Resource) -> Subject<'b> {
        Subject {
            operation: self.operation,
            group: &resource.gvk.group,
            version: &resource.gvk.version,
            resource: &resource.plural,
            subresource: self.subresource(),
            namespace: &self.namespace,
            name: &self.name,
        }
    }

    /// The kind of the objects that are shown: through `scale` that is another one.
    pub fn kind(&self, resource: &Resource) -> Gvk {
        if self.call.subresource == Some(Subresource::Scale) {
            return Gvk::new("autoscaling/v1", "Scale");
        }
        resource.gvk.clone()
    }

    /// The other forms in which the objects of this request are served.
    pub fn equivalents(&self) -> Vec<Arc<Resource>> {
        let registry = self.call.server.registry();
        let forms = registry.forms_of(&self.call.resource.collection);
        forms.into_iter().filter(|form| form.gvk != self.call.resource.gvk).cloned().collect()
    }

    /// An object of this request in another form.
    pub fn in_form(&self, form: &Resource, body: &Value) -> Value {
        let mut body = body.clone();
        if form.gvk != self.call.resource.gvk && self.call.subresource != Some(Subresource::Scale) {
            convert::to_storage(&self.call.resource, &mut body);
            body = convert::from_storage(form, body);
        }
        body
    }

    /// An object in another form, back in the form of this request.
    pub fn in_own_form(&self, form: &Resource, body: Value) -> Value {
        if form.gvk == self.call.resource.gvk || self.call.subresource == Some(Subresource::Scale) {
            return body;
        }
        let mut body = body;
        convert::to_storage(form, &mut body);
        convert::from_storage(&self.call.resource, body)
    }

    /// The namespace of the objects; a namespace is in none.
    pub fn namespace_object(&self) -> Option<Arc<Object>> {
        if self.namespace.is_empty() || self.call.resource.is("", "Namespace") {
            return None;
        }
        find_namespace(self.call, &self.namespace)
    }

    /// The labels that a namespace selector looks at; `None` where it does not apply.
    pub fn namespace_labels(&self, object: Option<&Value>) -> Result<Option<Value>, Failure> {
        let resource = &self.call.resource;
        if self.namespace.is_empty() && resource.plural != "namespaces" {
            return Ok(None);
        }
        let written = matches!(self.operation, Operation::Create | Operation::Update);
        if resource.plural == "namespaces" && self.call.subresource.is_none() && written {
            return Ok(Some(object.map_or(Value::Null, |object| object["metadata"]["labels"].clone())));
        }
        match find_namespace(self.call, &self.namespace) {
            Some(namespace) => Ok(Some(namespace.labels())),
            None => {
                let registry = self.call.server.registry();
                let namespaces = registry.find("", "v1", "namespaces");
                Err(namespaces.map_or_else(
                    || Failure::internal("namespaces are not served"),
                    |namespaces| Failure::not_found(namespaces, &self.namespace),
                ))
            }
        }
    }

    /// How refusals name the object.
    pub fn shown_name(&self, object: Option<&Value>) -> String {
        let named = |field: &str| object.and_then(|body| body["metadata"][field].as_str());
        let known = Some(&*self.name).filter(|name| !name.is_empty());
        known
            .or_else(|| named("name").filter(|name| !name.is_empty()))
            .or_else(|| named("generateName").filter(|name| !name.is_empty()))
            .unwrap_or("Unknown")
            .to_owned()
    }

    /// `AdmissionRequest` as CEL and webhooks are shown it, without its objects.
    pub fn request(&self, form: &Resource) -> Value {
        let own = &self.call.resource;
        let kind = |gvk: &Gvk| json!({"group": &*gvk.group, "version": &*gvk.version, "kind": &*gvk.kind});
        let resource =
            |r: &Resource| json!({"group": &*r.gvk.group, "version": &*r.gvk.version, "resource": r.plural});
        let mut request = json!({
            "kind": kind(&self.kind(form)),
            "resource": resource(form),
            "requestKind": kind(&self.kind(own)),
            "requestResource": resource(own),
            "operation": self.operation.name(),
            "userInfo": super::user_info(self.call),
            "dryRun": self.is_dry_run(),
            "options": self.options,
        });
        for (field, text) in [
            ("subResource", self.subresource()),
            ("requestSubResource", self.subresource()),
            ("name", &*self.name),
            ("namespace", &*self.namespace),
        ] {
            if !text.is_empty() {
                request[field] = text.into();
            }
        }
        request
    }
}

fn find_namespace(call: &Call<'_>, name: &str) -> Option<Arc<Object>> {
    let key = Key { resource: "namespaces".into(), namespace: "".into(), name: name.into() };
    call.server.store.get(&key)
}

/// The options of the request as an object.
fn options(call: &Call<'_>, operation: Operation, deletion: &Value) -> Value {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if operation == Operation::Delete {
        for (field, value) in deletion.as_object().into_iter().flatten() {
            if field != "kind" && field != "apiVersion" {
                options[field] = value.clone();
            }
        }
        return options;
    }
    if call.options.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    for field in ["fieldManager", "fieldValidation"] {
        if let Some(text) = call.query.get(field) {
            options[field] = text.into();
        }
    }
    options
}
