//! Server-side apply.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ATTEMPTS;
use super::scale::Change;
use crate::plane::admission::Operation;
use crate::plane::body;
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::request::FieldValidation;
use crate::plane::status::Failure;
use crate::plane::store::{Empties, Object};

impl Call<'_> {
    /// Server-side apply; creates the object if it is not there.
    pub(super) async fn apply(&self, bytes: &[u8]) -> Result<Answer, Failure> {
        if self.subresource.is_some() && self.live().is_none() {
            return Err(Failure::not_found(&self.resource, self.name()));
        }
        let sent = body::yaml(bytes)?;
        let mut config = sent.clone();
        self.check_config(&mut config)?;
        if self.subresource == Some(Subresource::Scale) {
            return self.write_scale(Change::Apply(&config)).await;
        }
        for attempt in 0..ATTEMPTS {
            let live = self.live();
            let before = live.as_ref().map(|live| self.as_served(live));
            let mut merged = self.merged(&config, &sent, before.as_ref())?;
            if attempt == 0 {
                self.check_duplicates(bytes)?;
            }
            self.check_meant(&config, &mut merged, live.as_deref())?;
            let (Some(live), Some(before)) = (live, before) else {
                match self.apply_new(merged).await {
                    Err(failure) if failure.reason == "AlreadyExists" => continue,
                    made => return Ok(Answer::object(201, made?)),
                }
            };
            if let Ok(answer) = self.replace_seen(&live, before, merged, true).await? {
                return Ok(answer);
            }
        }
        Err(self.modified())
    }

    /// Whether a configuration, and what was made of it, is about the object that is there.
    fn check_meant(&self, config: &Value, merged: &mut Value, live: Option<&Object>) -> Result<(), Failure> {
        let named = |field: &str| config["metadata"][field].as_str();
        if live.is_none()
            && let Some(uid) = named("uid").filter(|uid| !uid.is_empty())
        {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Failure::conflict(&self.resource, self.name(), &why));
        }
        self.place(merged)?;
        self.check_name(merged)?;
        match live {
            Some(_) if named("resourceVersion").is_some() => self.check_revision(config, live).map(drop),
            Some(_) => Ok(()),
            None => self.check_number(config),
        }
    }

    /// The live object with the configuration merged into it, field managers and all.
    fn merged(&self, config: &Value, sent: &Value, live: Option<&Value>) -> Result<Value, Failure> {
        let mut owned = config.clone();
        if let Some(metadata) = owned["metadata"].as_object_mut() {
            for server_owned in ["resourceVersion", "uid", "creationTimestamp", "generation"] {
                metadata.remove(server_owned);
            }
        }
        let mut merged = self.server.registry().types.apply(
            &self.resource,
            live,
            &owned,
            &self.options,
            self.subresource.as_ref().map(Subresource::name),
            &self.now,
        )?;
        if live.is_some() {
            self.note_last_applied(&mut merged, sent);
        }
        // An apply that means another object of the same name must not touch this one.
        if let Some(uid) = config["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            merged["metadata"]["uid"] = uid.into();
        }
        Ok(merged)
    }

    /// Stores what an apply made of nothing.
    async fn apply_new(&self, mut body: Value) -> Result<Arc<Object>, Failure> {
        let sent = self.is_mutated(Operation::Create).then(|| body.clone());
        let empties = if self.resource.custom { Empties::of(&body) } else { Empties::default() };
        self.reset(&mut body, None);
        self.check_decodes(&body)?;
        self.normalise(&mut body, false);
        self.admit_namespace(self.name())?;
        if let Some(sent) = sent {
            body = self.mutated_new(sent, body).await?;
        }
        self.insert_as(body, empties).await
    }

    /// Who applies with kubectl's name where client-side apply left its note goes on keeping the note.
    fn note_last_applied(&self, merged: &mut Value, config: &Value) {
        const NOTE: &str = "kubectl.kubernetes.io/last-applied-configuration";
        if self.options.manager != "kubectl" || self.subresource.is_some() {
            return;
        }
        if let Some(note) = merged["metadata"]["annotations"].as_object_mut().and_then(|a| a.get_mut(NOTE)) {
            let mut config = config.clone();
            if let Some(annotations) =
                config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            {
                annotations.remove(NOTE);
            }
            *note = format!("{config}\n").into();
        }
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
        Ok(())
    }

    /// Duplicate keys of an applied document, by the chosen field validation.
    fn check_duplicates(&self, bytes: &[u8]) -> Result<(), Failure> {
        if self.options.validation == FieldValidation::Ignore {
            return Ok(());
        }
        if let Some(duplicate) = body::strict_error(bytes) {
            if self.options.validation == FieldValidation::Strict {
                return Err(Failure::bad_request(format!("error strict decoding YAML: {duplicate}")));
            }
            self.notes.warn(duplicate);
        }
        Ok(())
    }
}
