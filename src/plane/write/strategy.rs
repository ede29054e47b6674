//! What the server makes of an object before it is stored, and what it holds against it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::set_or_remove;
use crate::plane::call::{Call, Subresource};
use crate::plane::status::{Failure, FieldError};
use crate::plane::{admission, crd, rules};

impl Call<'_> {
    /// What the server decides and no client: everything in metadata that belongs to it, and the part of the object
    /// that this request is not about.
    pub(super) fn reset(&self, body: &mut Value, before: Option<&Value>) {
        let status_request = self.subresource == Some(Subresource::Status);
        if let (Some(before), true) = (before, status_request) {
            if self.resource.custom {
                let (status, managed) = (body["status"].take(), body["metadata"]["managedFields"].take());
                *body = before.clone();
                set_or_remove(body, "status", status);
                set_or_remove(&mut body["metadata"], "managedFields", managed);
                return;
            }
            // Of a built-in kind the metadata can be written along with the status.
            set_or_remove(body, "spec", before["spec"].clone());
            if self.resource.is("apps", "Deployment") {
                set_or_remove(&mut body["metadata"], "labels", before["metadata"]["labels"].clone());
            }
            if self.resource.is("", "Pod") {
                let owners = before["metadata"]["ownerReferences"].clone();
                set_or_remove(&mut body["metadata"], "ownerReferences", owners);
            }
        }
        let finalize = self.subresource == Some(Subresource::Finalize);
        if (self.subresource.is_none() || finalize) && self.resource.status {
            let status = match before {
                Some(before) => before["status"].clone(),
                None => self.server.registry().types.zero_status(&self.resource),
            };
            set_or_remove(body, "status", status);
        }
        let nothing = Value::Null;
        let old = before.map_or(&nothing, |before| &before["metadata"]);
        for field in ["creationTimestamp", "generation", "resourceVersion"] {
            set_or_remove(&mut body["metadata"], field, old[field].clone());
        }
        // What an update says of these is held against it, where it is not what they are.
        for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            let given = &body["metadata"][field];
            let kept = field == "deletionTimestamp" && !old[field].is_null();
            if kept || given.is_null() || given == "" {
                set_or_remove(&mut body["metadata"], field, old[field].clone());
            }
        }
    }

    /// Prunes what the schema does not know, fills in defaults, writes values in their canonical form.
    pub(in crate::plane) fn normalise(&self, body: &mut Value, sent: bool) {
        if self.resource.is(crd::GROUP, crd::KIND) {
            crd::default(body);
        }
        rules::default(&self.resource, body, sent);
        self.server.registry().types.normalise(&self.resource, body, sent);
    }

    pub(super) fn validate(&self, body: &Value, before: Option<&Value>) -> Result<(), Failure> {
        let mut errors = rules::validate(&self.resource, self.subresource.as_ref(), body, before);
        if self.resource.is(crd::GROUP, crd::KIND) {
            errors.extend(match self.subresource {
                Some(_) => crd::validate_status(body),
                None => crd::validate(body, before),
            });
            crd::warnings(body, before).into_iter().for_each(|warning| self.notes.warn(warning));
        } else if self.resource.custom {
            if let Some(failure) = self.wrong_type(body) {
                return Err(failure);
            }
            let status = self.subresource == Some(Subresource::Status);
            let found = errors.clone();
            errors.extend(self.server.registry().types.validate_custom(
                &self.resource,
                body,
                before,
                status,
                &self.notes,
                &found,
            ));
        } else {
            errors.extend(admission::validate(&self.resource, body, before));
            if !rules::has_rules(&self.resource) && !admission::is_configuration(&self.resource) {
                errors.extend(self.server.registry().types.validate(&self.resource, body));
            }
        }
        self.invalid(body, errors)?;
        rules::warnings(&self.resource, body).into_iter().for_each(|warning| self.notes.warn(warning));
        if self.resource.custom {
            self.warn_of_finalizers(body, before);
        }
        Ok(())
    }

    /// A custom resource that says of itself to be of another type.
    fn wrong_type(&self, body: &Value) -> Option<Failure> {
        let wanted = &self.resource.gvk;
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let mut errors = Vec::new();
        if kind != &*wanted.kind {
            errors.push(FieldError::new("kind", format!("Invalid value: {kind:?}: must be {}", wanted.kind)));
        }
        if api_version != wanted.api_version() {
            let message = format!("Invalid value: {api_version:?}: must be {}", wanted.api_version());
            errors.push(FieldError::new("apiVersion", message));
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        (!errors.is_empty()).then(|| Failure::invalid(group, kind, name, &errors))
    }

    /// New finalizers of custom resources should tell whose they are.
    fn warn_of_finalizers(&self, body: &Value, before: Option<&Value>) {
        let list = |body: &Value| -> BTreeSet<String> {
            let list = body["metadata"]["finalizers"].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let old = before.map(list).unwrap_or_default();
        for finalizer in list(body).difference(&old) {
            if finalizer.contains('/')
                || matches!(finalizer.as_str(), "orphan" | "foregroundDeletion" | "kubernetes")
            {
                continue;
            }
            let how = if finalizer.contains('.') { " including a path (/)" } else { "" };
            self.notes.warn(format!(
                "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name{how} to avoid accidental conflicts with other finalizer writers"
            ));
        }
    }

    pub(super) fn invalid(&self, body: &Value, errors: Vec<FieldError>) -> Result<(), Failure> {
        if errors.is_empty() {
            return Ok(());
        }
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        Err(Failure::invalid(&self.resource.gvk.group, &self.resource.gvk.kind, name, &errors))
    }
}
