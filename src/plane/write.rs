//! Create, update, patch and apply: one way from a request's body to a stored object.
//!
//! What is computed is computed from an immutable picture of the object outside any lock and stored only if nobody
//! wrote in between; otherwise the request is tried again, or refused if it named the version that it builds on.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body::Decoded;
use super::call::{Answer, Call, Subresource};
use super::kinds::Resource;
use super::request::FieldValidation;
use super::status::{Failure, FieldError};
use super::store::{Key, Object, Raced};
use super::{convert, crd, names, rules, scale};

/// How often a request that names no version is tried again.
const ATTEMPTS: usize = 16;
const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// How a PATCH changes the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Call<'_> {
    /// POST to a collection.
    pub fn create(&self, decoded: Decoded) -> Result<Answer, Failure> {
        let Decoded { value: mut body, warnings: mut noticed } = decoded;
        self.check_kind(&body)?;
        self.place(&mut body)?;
        self.check_strict(&body, &mut noticed)?;
        let generated = generate_name(&mut body);
        self.reset(&mut body, None);
        self.normalise(&mut body, true);
        let managed = self.server.registry().types.update(
            &self.resource,
            None,
            &body,
            &self.options.manager,
            None,
            &self.now,
        );
        body = managed;
        for attempt in 0.. {
            match self.insert(body.clone()) {
                Err(failure) if failure.reason == "AlreadyExists" && generated && attempt < 8 => {
                    body["metadata"]["name"] = "".into();
                    generate_name(&mut body);
                }
                Err(failure) => return Err(failure),
                Ok(object) => return Ok(Answer::object(201, object).with_warnings(noticed)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// PUT of an object or of a subresource.
    pub fn update(&self, decoded: Decoded) -> Result<Answer, Failure> {
        let Decoded { value: mut body, warnings: mut noticed } = decoded;
        if self.subresource == Some(Subresource::Scale) {
            return self.write_scale(|_| Ok(body.clone()));
        }
        self.check_kind(&body)?;
        self.place(&mut body)?;
        self.check_name(&body)?;
        self.check_strict(&body, &mut noticed)?;
        for _ in 0..ATTEMPTS {
            let Some(live) = self.live() else {
                if self.subresource.is_none() && rules::create_on_update(&self.resource) {
                    self.check_revision(&body, None)?;
                    return self.create(Decoded { value: body, warnings: noticed });
                }
                return Err(Failure::not_found(&self.resource, self.name()));
            };
            let named = self.check_revision(&body, Some(&live))?;
            match self.replace(&live, body.clone(), false)? {
                Ok(answer) => return Ok(answer.with_warnings(noticed)),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }

    /// PATCH of an object or of a subresource.
    pub fn patch(&self, kind: PatchKind, bytes: &[u8]) -> Result<Answer, Failure> {
        if kind == PatchKind::Apply {
            return self.apply(bytes);
        }
        if self.subresource == Some(Subresource::Scale) {
            return self.write_scale(|scale| self.patched(kind, scale, bytes));
        }
        for _ in 0..ATTEMPTS {
            let live = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
            let before = self.as_served(&live);
            let body = self.patched(kind, &before, bytes)?;
            self.check_name(&body)?;
            let mut noticed = Vec::new();
            self.check_strict(&body, &mut noticed)?;
            let named = body["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"];
            self.check_revision(&body, Some(&live))?;
            match self.replace(&live, body, false)? {
                Ok(answer) => return Ok(answer.with_warnings(noticed)),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }

    fn patched(&self, kind: PatchKind, before: &Value, bytes: &[u8]) -> Result<Value, Failure> {
        match kind {
            PatchKind::Json => super::patch::json_patch(before, bytes),
            PatchKind::Merge => super::patch::merge_patch(before, bytes),
            _ => self.server.registry().types.strategic(&self.resource, before, bytes),
        }
    }

    /// Server-side apply; creates the object if it is not there.
    fn apply(&self, bytes: &[u8]) -> Result<Answer, Failure> {
        let mut config = super::body::yaml(bytes)?;
        self.check_config(&mut config)?;
        let mut noticed = Vec::new();
        if self.subresource == Some(Subresource::Scale) {
            return self.write_scale(|_| Ok(config.clone()));
        }
        self.check_duplicates(bytes, &mut noticed)?;
        for _ in 0..ATTEMPTS {
            let live = self.live();
            if live.is_none() {
                if self.subresource.is_some() {
                    return Err(Failure::not_found(&self.resource, self.name()));
                }
                if config["metadata"]["uid"].is_string() {
                    let uid = config["metadata"]["uid"].as_str().unwrap_or_default();
                    let why = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    );
                    return Err(Failure::conflict(&self.resource, self.name(), &why));
                }
            }
            let served = live.as_ref().map(|live| self.as_served(live));
            let revision = config["metadata"]["resourceVersion"].as_str().filter(|rv| !rv.is_empty());
            if let (Some(live), Some(revision)) = (&live, revision)
                && revision != live.revision()
            {
                return Err(self.modified());
            }
            // An apply that means another object of the same name must not touch this one.
            let uid = config["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
            if let (Some(live), Some(uid)) = (&live, uid)
                && uid != live.uid()
            {
                let why = format!("Invalid value: {uid:?}: field is immutable");
                let errors = [FieldError::new("metadata.uid", &why)];
                let (group, kind) = (&self.resource.gvk.group, &self.resource.gvk.kind);
                return Err(Failure::invalid(group, kind, self.name(), &errors));
            }
            let mut owned = config.clone();
            if let Some(metadata) = owned["metadata"].as_object_mut() {
                for server_owned in ["resourceVersion", "uid", "creationTimestamp", "generation"] {
                    metadata.remove(server_owned);
                }
            }
            self.keep_only_own_part(&mut owned);
            let merged = self.server.registry().types.apply(
                &self.resource,
                served.as_ref(),
                &owned,
                &self.options,
                self.subresource.as_ref().map(Subresource::name),
                &self.now,
            )?;
            let Some(live) = live else {
                let mut body = merged;
                self.reset(&mut body, None);
                self.check_decodes(&body)?;
                self.normalise(&mut body, false);
                match self.insert(body) {
                    Ok(object) => return Ok(Answer::object(201, object).with_warnings(noticed)),
                    Err(failure) if failure.reason == "AlreadyExists" => continue,
                    Err(failure) => return Err(failure),
                }
            };
            let mut merged = merged;
            self.note_last_applied(&mut merged, &config);
            if let Ok(answer) = self.replace(&live, merged, true)? {
                return Ok(answer.with_warnings(noticed));
            }
        }
        Err(self.modified())
    }

    /// Stores a new object.
    fn insert(&self, mut body: Value) -> Result<Arc<Object>, Failure> {
        let metadata = &mut body["metadata"];
        metadata["uid"] = uuid::Uuid::new_v4().to_string().into();
        metadata["creationTimestamp"] = self.now.as_str().into();
        if rules::has_generation(&self.resource) {
            metadata["generation"] = 1.into();
        }
        rules::prepare_create(&self.resource, &mut body);
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.admit_namespace(&name)?;
        self.validate(&body, None)?;
        let key = self.key_of(&name);
        if self.server.store.get(&key).is_some() {
            return Err(Failure::already_exists(&self.resource, &name));
        }
        self.to_storage(&mut body);
        if self.options.dry_run {
            return Ok(Object::unsaved(body));
        }
        let object = self
            .server
            .store
            .put(&key, None, body)
            .map_err(|Raced::Changed| Failure::already_exists(&self.resource, &name))?;
        self.server.wrote(&self.resource, &key, &object);
        Ok(object)
    }

    /// Stores what an update, patch or apply made of `live`. Of what was `applied` the field managers are known.
    pub(super) fn replace(
        &self,
        live: &Arc<Object>,
        mut body: Value,
        applied: bool,
    ) -> Result<Result<Answer, Raced>, Failure> {
        let before = self.as_served(live);
        self.check_uid(&body, live)?;
        self.reset(&mut body, Some(&before));
        if applied {
            self.check_decodes(&body)?;
        }
        self.normalise(&mut body, !applied);
        if !applied {
            body = self.server.registry().types.update(
                &self.resource,
                Some(&before),
                &body,
                &self.options.manager,
                self.subresource.as_ref().map(Subresource::name),
                &self.now,
            );
            if self.subresource == Some(Subresource::Scale) {
                forget_time(&mut body, &self.options.manager);
            }
        }
        rules::prepare_update(&self.resource, self.subresource.as_ref(), &mut body, &before);
        let emptied = live.is_deleting() && rules::finalized(&self.resource, &body);
        self.validate(&body, Some(&before))?;
        if without_times(&body) == without_times(&before) && !emptied {
            return Ok(Ok(Answer::object(200, live.clone())));
        }
        let key = self.key_of(self.name());
        self.to_storage(&mut body);
        if self.options.dry_run {
            body["metadata"]["resourceVersion"] = live.revision().into();
            return Ok(Ok(Answer::object(200, Object::unsaved(body))));
        }
        if emptied {
            let Ok(last) = self.server.store.remove_as(&key, live, body) else {
                return Ok(Err(Raced::Changed));
            };
            self.server.removed(&self.resource, &key, &last);
            return Ok(Ok(Answer::object(200, last)));
        }
        let Ok(object) = self.server.store.put(&key, Some(live), body) else {
            return Ok(Err(Raced::Changed));
        };
        self.server.wrote(&self.resource, &key, &object);
        Ok(Ok(Answer::object(200, object)))
    }

    /// The `scale` subresource: a small object that shows and sets two fields of the real one.
    fn write_scale(&self, change: impl Fn(&Value) -> Result<Value, Failure>) -> Result<Answer, Failure> {
        let paths =
            self.resource.scale.clone().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
        for _ in 0..ATTEMPTS {
            let live = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
            let before = self.as_served(&live);
            let wanted = change(&scale::of(&before, &paths))?;
            let named = self.check_revision(&wanted, Some(&live))?;
            let body = scale::set(&before, &paths, &wanted)?;
            match self.replace(&live, body, false)? {
                Ok(answer) => return Ok(answer.map_body(|body| scale::of(body, &paths))),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }

    /// What the server decides and no client: everything in metadata that belongs to it, and the part of the object
    /// that this request is not about.
    fn reset(&self, body: &mut Value, before: Option<&Value>) {
        let status_request = self.subresource == Some(Subresource::Status);
        if let (Some(before), true) = (before, status_request) {
            let (status, managed) = (body["status"].take(), body["metadata"]["managedFields"].take());
            *body = before.clone();
            set_or_remove(body, "status", status);
            set_or_remove(&mut body["metadata"], "managedFields", managed);
            return;
        }
        if self.subresource.is_none() && self.resource.status {
            let status = match before {
                Some(before) => before["status"].clone(),
                None => self.server.registry().types.zero_status(&self.resource),
            };
            set_or_remove(body, "status", status);
        }
        let nothing = Value::Null;
        let old = before.map_or(&nothing, |before| &before["metadata"]);
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "selfLink",
            "generateName",
        ] {
            if field != "generateName" || before.is_some() {
                set_or_remove(&mut body["metadata"], field, old[field].clone());
            }
        }
        set_or_remove(&mut body["metadata"], "resourceVersion", old["resourceVersion"].clone());
    }

    /// Of an applied configuration, the part that this endpoint writes; the rest must not become owned.
    fn keep_only_own_part(&self, config: &mut Value) {
        match &self.subresource {
            Some(Subresource::Status) => {
                let mut kept = json!({
                    "apiVersion": config["apiVersion"], "kind": config["kind"],
                    "metadata": {"name": config["metadata"]["name"]},
                });
                set_or_remove(&mut kept["metadata"], "namespace", config["metadata"]["namespace"].clone());
                set_or_remove(&mut kept, "status", config["status"].clone());
                *config = kept;
            }
            _ if self.resource.status => {
                config.as_object_mut().map(|config| config.remove("status"));
            }
            _ => {}
        }
    }

    /// Prunes what the schema does not know, fills in defaults, writes values in their canonical form.
    fn normalise(&self, body: &mut Value, sent: bool) {
        if self.resource.is(crd::GROUP, crd::KIND) {
            crd::default(body);
        }
        rules::default(&self.resource, body);
        self.server.registry().types.normalise(&self.resource, body, sent);
    }

    fn validate(&self, body: &Value, before: Option<&Value>) -> Result<(), Failure> {
        let mut errors = names::validate(&self.resource, body, before);
        if self.resource.is(crd::GROUP, crd::KIND) {
            errors.extend(crd::validate(body));
        }
        errors.extend(rules::validate(&self.resource, body, before));
        errors.extend(self.server.registry().types.validate(&self.resource, body));
        self.invalid(body, errors)
    }

    fn invalid(&self, body: &Value, errors: Vec<FieldError>) -> Result<(), Failure> {
        if errors.is_empty() {
            return Ok(());
        }
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        Err(Failure::invalid(&self.resource.gvk.group, &self.resource.gvk.kind, name, &errors))
    }

    fn check_kind(&self, body: &Value) -> Result<(), Failure> {
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

    /// Puts the object into the namespace of the URL.
    fn place(&self, body: &mut Value) -> Result<(), Failure> {
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

    fn check_name(&self, body: &Value) -> Result<(), Failure> {
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

    /// Who applies with kubectl's name where client-side apply left its note goes on keeping the note.
    fn note_last_applied(&self, merged: &mut Value, config: &Value) {
        const NOTE: &str = "kubectl.kubernetes.io/last-applied-configuration";
        if self.options.manager != "kubectl" || self.subresource.is_some() {
            return;
        }
        if let Some(note) = merged["metadata"]["annotations"].as_object_mut().and_then(|a| a.get_mut(NOTE)) {
            *note = format!("{config}\n").into();
        }
    }

    /// What merges as text and yet is no value of the field: only the kind's own struct can tell.
    fn check_decodes(&self, body: &Value) -> Result<(), Failure> {
        let Some(why) = rules::undecodable(&self.resource, body) else { return Ok(()) };
        let gvk = &self.resource.gvk;
        let what = format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind);
        Err(Failure::internal(format!(
            "failed to convert new object ({}/{}; {what}) to proper version: unable to convert unstructured object to {what}: error decoding from json: {why}",
            self.namespace(),
            self.name(),
        )))
    }

    /// What an applied configuration must be before it is looked at.
    fn check_config(&self, config: &mut Value) -> Result<(), Failure> {
        let wanted = &self.resource.gvk;
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let scale = self.subresource == Some(Subresource::Scale) && kind == "Scale";
        if !scale && (api_version != wanted.api_version() || kind != *wanted.kind) {
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            return Err(Failure::bad_request(format!("invalid object type: {group}/{version}, Kind={kind}")));
        }
        if !config["metadata"]["managedFields"].is_null() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if !config["metadata"].is_object() {
            config["metadata"] = json!({});
        }
        if config["metadata"]["name"].as_str().unwrap_or_default().is_empty() {
            config["metadata"]["name"] = self.name().into();
        }
        if config["metadata"]["name"] != self.name() {
            return Err(Failure::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                config["metadata"]["name"].as_str().unwrap_or_default(),
                self.name()
            )));
        }
        self.place(config)
    }

    /// Duplicate keys of an applied document, by the chosen field validation.
    fn check_duplicates(&self, bytes: &[u8], noticed: &mut Vec<String>) -> Result<(), Failure> {
        if self.options.validation == FieldValidation::Ignore {
            return Ok(());
        }
        if let Some(duplicate) = super::body::strict_error(bytes) {
            if self.options.validation == FieldValidation::Strict {
                return Err(Failure::bad_request(format!("error strict decoding YAML: {duplicate}")));
            }
            noticed.push(duplicate);
        }
        Ok(())
    }

    /// Unknown fields: refused, told or ignored, as the client chose.
    fn check_strict(&self, body: &Value, noticed: &mut Vec<String>) -> Result<(), Failure> {
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
        Ok(())
    }

    /// Whether the request names the version that it builds on; refused when that is not the live one.
    fn check_revision(&self, body: &Value, live: Option<&Object>) -> Result<bool, Failure> {
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

    fn check_uid(&self, body: &Value, live: &Object) -> Result<(), Failure> {
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

    /// A namespace must be there, and not on its way out, before something is created in it.
    fn admit_namespace(&self, name: &str) -> Result<(), Failure> {
        if !self.resource.namespaced {
            return Ok(());
        }
        let key = Key { resource: "namespaces".into(), namespace: "".into(), name: self.namespace().into() };
        let registry = self.server.registry();
        let namespaces = registry.find("", "v1", "namespaces");
        match (self.server.store.get(&key), namespaces) {
            (None, Some(namespaces)) => Err(Failure::not_found(namespaces, self.namespace())),
            (Some(found), _) if found.is_deleting() => {
                let why = format!(
                    "unable to create new content in namespace {} because it is being terminated",
                    self.namespace()
                );
                let mut failure = Failure::forbidden(&self.resource, name, &why);
                if let Some(details) = &mut failure.details {
                    details["causes"] = json!([{
                        "reason": "NamespaceTerminating", "field": "metadata.namespace",
                        "message": format!("namespace {} is being terminated", self.namespace()),
                    }]);
                }
                Err(failure)
            }
            _ => Ok(()),
        }
    }

    fn modified(&self) -> Failure {
        Failure::conflict(&self.resource, self.name(), MODIFIED)
    }

    fn to_storage(&self, body: &mut Value) {
        convert::to_storage(&self.resource, body);
    }

    /// A stored object in the version of this request.
    pub(super) fn as_served(&self, object: &Object) -> Value {
        served(&self.resource, object)
    }
}

/// A stored object in the version of a resource.
pub(crate) fn served(resource: &Resource, object: &Object) -> Value {
    convert::from_storage(resource, &object.body)
}

/// Sets a field, or removes it when there is nothing to set.
pub(crate) fn set_or_remove(object: &mut Value, field: &str, value: Value) {
    let Some(map) = object.as_object_mut() else { return };
    if value.is_null() {
        map.remove(field);
    } else {
        map.insert(field.to_owned(), value);
    }
}

/// The object without the times of its field managers: what must differ for a write to be one.
fn without_times(body: &Value) -> Value {
    let mut body = body.clone();
    for entry in body["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        entry.as_object_mut().map(|entry| entry.remove("time"));
    }
    set_or_remove(&mut body["metadata"], "resourceVersion", Value::Null);
    body
}

/// What is written through `scale` has no time.
fn forget_time(body: &mut Value, manager: &str) {
    for entry in body["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        if entry["manager"] == manager && entry["subresource"] == "scale" {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
    }
}

/// A name for an object that only says how its name begins. Whether one was made up.
fn generate_name(body: &mut Value) -> bool {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let metadata = &mut body["metadata"];
    if !metadata["name"].as_str().unwrap_or_default().is_empty() {
        return false;
    }
    let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()) else {
        return false;
    };
    let random = uuid::Uuid::new_v4();
    let suffix: String =
        random.as_bytes()[..5].iter().map(|byte| ALPHABET[*byte as usize % ALPHABET.len()] as char).collect();
    let prefix: String = prefix.chars().take(58).collect();
    metadata["name"] = format!("{prefix}{suffix}").into();
    true
}
