//! What a request's body must be before anything is made of it.

use serde_json::{Value, json};

use crate::plane::call::Call;
use crate::plane::request::FieldValidation;
use crate::plane::rules;
use crate::plane::status::{Failure, FieldError};
use crate::plane::store::Object;

impl Call<'_> {
    pub(super) fn check_kind(&self, body: &mut Value) -> Result<(), Failure> {
        if !self.resource.custom {
            self.complete_kind(body);
        }
        let (wanted, gvk) = (&self.resource.gvk, |key: &str| body[key].as_str().unwrap_or_default());
        if gvk("kind").is_empty() {
            return Err(Failure::bad_request(format!("Object 'Kind' is missing in '{body}'")));
        }
        if gvk("apiVersion") != wanted.api_version() {
            return Err(Failure::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({})",
                gvk("apiVersion"),
                wanted.api_version()
            )));
        }
        if gvk("kind") != &*wanted.kind {
            return Err(Failure::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: no kind {:?} is registered for version {:?}",
                gvk("kind"),
                wanted.version,
                wanted.kind,
                gvk("kind"),
                wanted.api_version()
            )));
        }
        Ok(())
    }

    /// Who leaves out the type of a built-in kind means the one of the endpoint.
    fn complete_kind(&self, body: &mut Value) {
        let missing = |value: &Value| value.is_null() || value == "";
        if missing(&body["kind"]) {
            body["kind"] = (&*self.resource.gvk.kind).into();
        }
        if missing(&body["apiVersion"]) {
            body["apiVersion"] = self.resource.gvk.api_version().into();
        }
    }

    /// Puts the object into the namespace of the URL.
    pub(super) fn place(&self, body: &mut Value) -> Result<(), Failure> {
        if !body["metadata"].is_object() {
            body["metadata"] = json!({});
        }
        let given = body["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        if !self.resource.namespaced {
            if !given.is_empty() {
                return Err(Failure::bad_request("namespace is not allowed on this type"));
            }
            return Ok(());
        }
        if given.is_empty() {
            body["metadata"]["namespace"] = self.namespace().into();
        } else if given != self.namespace() {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }

    pub(super) fn check_name(&self, body: &Value) -> Result<(), Failure> {
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            let errors = [FieldError::new("metadata.name", "Required value: name is required")];
            return Err(Failure::invalid(&self.resource.gvk.group, &self.resource.gvk.kind, name, &errors));
        }
        if name != self.name() {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.name()
            )));
        }
        Ok(())
    }

    /// What merges as text and yet is no value of the field: only the kind's own struct can tell.
    pub(super) fn check_decodes(&self, body: &Value) -> Result<(), Failure> {
        let Some(why) = rules::undecodable(&self.resource, body) else { return Ok(()) };
        let gvk = &self.resource.gvk;
        let what = format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind);
        Err(Failure::internal(format!(
            "failed to convert new object ({}/{}; {what}) to proper version: unable to convert unstructured object to {what}: error decoding from json: {why}",
            self.namespace(),
            self.name(),
        )))
    }

    /// Unknown fields: refused, told or ignored, as the client chose.
    pub(super) fn check_strict(&self, body: &Value, noticed: &mut Vec<String>) -> Result<(), Failure> {
        if self.options.validation == FieldValidation::Ignore {
            noticed.clear();
            return Ok(());
        }
        let unknown = self.server.registry().types.unknown_fields(&self.resource, body);
        noticed.extend(unknown.into_iter().map(|path| format!("unknown field \"{path}\"")));
        if self.options.validation == FieldValidation::Strict && !noticed.is_empty() {
            return Err(Failure::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                self.resource.gvk.kind,
                self.resource.gvk.version,
                self.resource.gvk.kind,
                noticed.join(", ")
            )));
        }
        // Whatever becomes of the request, this is told.
        noticed.drain(..).for_each(|warning| self.notes.warn(warning));
        Ok(())
    }

    /// Whether the request names the version that it builds on; refused when that is not the live one.
    pub(super) fn check_revision(&self, body: &Value, live: Option<&Object>) -> Result<bool, Failure> {
        let named = body["metadata"]["resourceVersion"].as_str().filter(|rv| !rv.is_empty() && *rv != "0");
        match (named, live) {
            (Some(revision), Some(live)) if revision != live.revision() => Err(self.modified()),
            (Some(_), Some(_)) => Ok(true),
            (Some(_), None) => Err(Failure::not_found(&self.resource, self.name())),
            (None, Some(_)) if !rules::unconditional_update(&self.resource) => {
                let errors = [FieldError::new(
                    "metadata.resourceVersion",
                    "Invalid value: 0: must be specified for an update",
                )];
                Err(Failure::invalid(&self.resource.gvk.group, &self.resource.plural, self.name(), &errors))
            }
            (None, _) => Ok(false),
        }
    }

    pub(super) fn check_uid(&self, body: &Value, live: &Object) -> Result<(), Failure> {
        match body["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            Some(uid) if uid != live.uid() => {
                let why = format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    live.uid()
                );
                Err(Failure::conflict(&self.resource, self.name(), &why))
            }
            _ => Ok(()),
        }
    }
}
