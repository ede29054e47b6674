//! What a request's body must be before anything is made of it.

use serde_json::{Value, json};

use super::PatchKind;
use crate::plane::call::Call;
use crate::plane::request::FieldValidation;
use crate::plane::status::{Failure, FieldError};
use crate::plane::store::Object;
use crate::plane::{crd, patch, rules};

impl Call<'_> {
    pub(super) fn check_kind(&self, body: &mut Value) -> Result<(), Failure> {
        if !self.resource.custom {
            self.complete_kind(body);
        }
        let (wanted, gvk) = (&self.resource.gvk, |key: &str| body[key].as_str().unwrap_or_default());
        if gvk("kind").is_empty() {
            let text = body.to_string();
            let mut summary: String = text.chars().take(30).collect();
            if summary.len() < text.len() {
                summary.push_str(" ...");
            }
            return Err(Failure::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{text}' ({summary})",
                wanted.kind
            )));
        }
        if gvk("apiVersion") != wanted.api_version() {
            return Err(Failure::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({})",
                gvk("apiVersion"),
                wanted.api_version()
            )));
        }
        // A custom resource is held to its kind when it is validated.
        if !self.resource.custom && gvk("kind") != &*wanted.kind {
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

    /// What is put to `scale` is a scale.
    pub(super) fn check_scale(&self, body: &Value) -> Result<(), Failure> {
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        if text("apiVersion") != "autoscaling/v1" {
            return Err(Failure::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version (autoscaling/v1)",
                text("apiVersion")
            )));
        }
        Ok(())
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
            return Err(Failure::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.name()
            )));
        }
        if name != self.name() {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.name()
            )));
        }
        Ok(())
    }

    /// Whether the kind's struct can hold what was sent.
    pub(super) fn check_fits(&self, body: &Value) -> Result<(), Failure> {
        let Some(why) = self.server.registry().types.undecodable(&self.resource, body) else { return Ok(()) };
        let (kind, version) = (&self.resource.gvk.kind, &self.resource.gvk.version);
        Err(Failure::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
        )))
    }

    /// Whether what a patch made can be read.
    pub(super) fn check_patched(
        &self,
        kind: PatchKind,
        patched: &Value,
        patch: &[u8],
    ) -> Result<(), Failure> {
        if kind != PatchKind::Strategic {
            self.check_patched_kind(patched)?;
        }
        let Some(why) = self.server.registry().types.undecodable(&self.resource, patched) else {
            return Ok(());
        };
        if kind == PatchKind::Strategic {
            return Err(unreadable(&patch::go_text(patch), &patch::conversion_error(&why)));
        }
        Err(unreadable(&patched.to_string(), &why))
    }

    fn check_patched_kind(&self, patched: &Value) -> Result<(), Failure> {
        let wanted = &self.resource.gvk;
        let text = |key: &str| patched[key].as_str().unwrap_or_default();
        let shown = patched.to_string();
        if text("kind").is_empty() {
            return Err(unreadable(&shown, &format!("Object 'Kind' is missing in '{patched}'")));
        }
        if text("apiVersion").is_empty() && self.resource.custom {
            return Err(unreadable(&shown, &format!("Object 'apiVersion' is missing in '{patched}'")));
        }
        if !self.resource.custom
            && (text("kind") != &*wanted.kind || text("apiVersion") != wanted.api_version())
        {
            let why = format!(
                "no kind {:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
                text("kind"),
                text("apiVersion")
            );
            return Err(unreadable(&shown, &why));
        }
        Ok(())
    }

    /// What merges as text and yet is no value of the field: only the kind's own struct can tell.
    pub(super) fn check_decodes(&self, body: &Value) -> Result<(), Failure> {
        let Some(why) = self.server.registry().types.undecodable(&self.resource, body) else { return Ok(()) };
        let gvk = &self.resource.gvk;
        let what = format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind);
        Err(Failure::internal(format!(
            "failed to convert new object ({}/{}; {what}) to proper version: unable to convert unstructured object to {what}: error decoding from json: {why}",
            self.namespace(),
            self.name(),
        )))
    }

    /// Unknown fields: refused, told or ignored, as the client chose.
    pub(super) fn check_strict(&self, body: &Value, noticed: &[String]) -> Result<(), Failure> {
        let Some(why) = self.noticed(body, noticed) else { return Ok(()) };
        let (kind, version) = (&self.resource.gvk.kind, &self.resource.gvk.version);
        Err(Failure::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
        )))
    }

    /// As [`Call::check_strict`], of what a patch made.
    pub(super) fn check_patched_strict(
        &self,
        kind: PatchKind,
        patched: &Value,
        patch: &[u8],
    ) -> Result<(), Failure> {
        let Some(why) = self.noticed(patched, &[]) else { return Ok(()) };
        let shown = if kind == PatchKind::Strategic { patch::go_text(patch) } else { patched.to_string() };
        Err(unreadable(&shown, &why))
    }

    /// Warns of unknown fields and what else was noticed, or says why they are refused.
    fn noticed(&self, body: &Value, noticed: &[String]) -> Option<String> {
        if self.options.validation == FieldValidation::Ignore {
            return None;
        }
        let mut noticed = noticed.to_vec();
        let unknown = self.server.registry().types.unknown_fields(&self.resource, body);
        noticed.extend(unknown.into_iter().map(|path| format!("unknown field \"{path}\"")));
        if self.options.validation == FieldValidation::Strict && !noticed.is_empty() {
            return Some(format!("strict decoding error: {}", noticed.join(", ")));
        }
        noticed.into_iter().for_each(|warning| self.notes.warn(warning));
        None
    }

    /// Whether the version that a request names is a number at all.
    pub(super) fn check_number(&self, body: &Value) -> Result<(), Failure> {
        let named = body["metadata"]["resourceVersion"].as_str().filter(|revision| !revision.is_empty());
        match named.filter(|revision| revision.parse::<u64>().is_err()) {
            Some(revision) => {
                Err(Failure::internal(format!("strconv.ParseUint: parsing {revision:?}: invalid syntax")))
            }
            None => Ok(()),
        }
    }

    /// Whether the request names the version that it builds on; refused when that is not the live one.
    pub(super) fn check_revision(&self, body: &Value, live: Option<&Object>) -> Result<bool, Failure> {
        let named = body["metadata"]["resourceVersion"].as_str().filter(|rv| !rv.is_empty() && *rv != "0");
        self.check_number(body)?;
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

    /// Where the real server stores the object.
    fn storage_path(&self) -> String {
        let (plural, group) = (&*self.resource.plural, &*self.resource.stored.group);
        let folder = match (group, plural) {
            ("", "services") => "services/specs".to_owned(),
            ("", "endpoints") => "services/endpoints".to_owned(),
            ("", "nodes") => "minions".to_owned(),
            ("", "replicationcontrollers") => "controllers".to_owned(),
            ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
            _ if self.resource.custom || self.resource.is(crd::GROUP, crd::KIND) => {
                format!("{group}/{plural}")
            }
            _ => plural.to_owned(),
        };
        let namespace =
            if self.resource.namespaced { format!("{}/", self.namespace()) } else { String::new() };
        format!("/registry/{folder}/{namespace}{}", self.name())
    }

    pub(super) fn check_uid(&self, body: &Value, live: &Object) -> Result<(), Failure> {
        match body["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            Some(uid) if uid != live.uid() => {
                let why = format!(
                    "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    self.storage_path(),
                    live.uid()
                );
                Err(Failure::conflict(&self.resource, self.name(), &why))
            }
            _ => Ok(()),
        }
    }
}

/// A patch whose outcome is no object of the kind.
fn unreadable(shown: &str, why: &str) -> Failure {
    Failure::invalid("", "", "", &[FieldError::new("patch", format!("Invalid value: {shown:?}: {why}"))])
}
