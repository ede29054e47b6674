//! Delete and delete-collection: preconditions, propagation, finalizers, grace.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Answer, Call, Content};
use super::list_options::ListOptions;
use super::status::{self, Failure, FieldError};
use super::store::{Object, Raced};
use super::{crd, rules};

const JOB_WARNING: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

/// What becomes of the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The options of a deletion, from its body or its query.
struct Options {
    uid: Option<String>,
    revision: Option<String>,
    propagation: Option<Propagation>,
    grace: Option<i64>,
    dry_run: bool,
    /// As they were given.
    given: Value,
}

/// What a deletion did.
enum Outcome {
    Removed(Arc<Object>),
    /// It stays until its finalizers are gone or its grace is over.
    Marked(Arc<Object>),
}

impl Call<'_> {
    /// DELETE of an object.
    pub async fn delete(&self, body: &Value) -> Result<Answer, Failure> {
        let options = self.delete_options(body)?;
        self.admit_end_of_namespace()?;
        loop {
            let live = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
            match self.delete_one(&live, &options).await? {
                Ok(Outcome::Removed(last)) if !rules::returns_deleted(&self.resource) => {
                    return Ok(Answer {
                        code: 200,
                        content: Content::Value(status::deleted(&self.resource, self.name(), last.uid())),
                        warnings: Vec::new(),
                    });
                }
                Ok(Outcome::Removed(object) | Outcome::Marked(object)) => {
                    return Ok(Answer::object(200, object));
                }
                Err(Raced::Changed) if self.server.store.failure().is_some() => {
                    return Err(Failure::internal("the deletion could not be stored"));
                }
                Err(Raced::Changed) => {}
            }
        }
    }

    /// DELETE of a collection; answers what was there.
    pub async fn delete_collection(&self, body: &Value) -> Result<Answer, Failure> {
        let options = self.delete_options(body)?;
        let list = ListOptions::of(&self.query, &self.resource)?;
        let page = self.page(&list)?;
        for object in &page.objects {
            let one = Call {
                user: self.user.clone(),
                server: self.server,
                resource: self.resource.clone(),
                namespace: Some(object.namespace().into_owned()).filter(|namespace| !namespace.is_empty()),
                name: Some(object.name().into_owned()),
                subresource: None,
                query: self.query.clone(),
                options: self.options.clone(),
                form: self.form,
                now: self.now.clone(),
                notes: self.notes.clone(),
            };
            while let Some(live) = one.live() {
                if one.delete_one(&live, &options).await?.is_ok() {
                    break;
                }
            }
        }
        let metadata = self.page_metadata(&page, list.selection.is_everything());
        Ok(self.list_of(&page.objects, metadata))
    }

    async fn delete_one(
        &self,
        live: &Arc<Object>,
        options: &Options,
    ) -> Result<Result<Outcome, Raced>, Failure> {
        let name = live.name();
        self.check_preconditions(live, options)?;
        self.admit_deletion(live, &options.given).await?;
        let before = live.body();
        let mut body = before.clone();
        let propagation = options.propagation.or_else(|| self.usual_propagation(&body, options));
        add_finalizers(&mut body, propagation);
        let graceful = self.resource.is("", "Pod");
        if !live.is_deleting() {
            self.mark(&mut body, options);
        } else if graceful {
            shorten(&mut body, options.grace);
        }
        let key = self.key_of(&name);
        if rules::finalized(&self.resource, &body) {
            if options.dry_run {
                let last = if graceful { Object::unsaved(body) } else { live.clone() };
                return Ok(Ok(Outcome::Removed(last)));
            }
            // What can be given time is marked even when it gets none.
            let marked = match graceful && !live.is_deleting() || body != before && live.is_deleting() {
                true => self.server.store.put(&key, Some(live), body),
                false => Ok(live.clone()),
            };
            let Ok(last) = marked.and_then(|marked| self.server.store.remove(&key, &marked)) else {
                return Ok(Err(Raced::Changed));
            };
            self.server.removed(&self.resource, &key, &last);
            return Ok(Ok(Outcome::Removed(last)));
        }
        if options.dry_run {
            return Ok(Ok(Outcome::Marked(Object::unsaved(body))));
        }
        if body == before && live.empties().is_none() {
            return Ok(Ok(Outcome::Marked(live.clone())));
        }
        let Ok(object) = self.server.store.put(&key, Some(live), body) else {
            return Ok(Err(Raced::Changed));
        };
        self.server.wrote(&self.resource, &key, &object);
        Ok(Ok(Outcome::Marked(object)))
    }

    /// Marks an object as being deleted.
    fn mark(&self, body: &mut Value, options: &Options) {
        let namespace = self.resource.is("", "Namespace");
        let definition = self.resource.is(crd::GROUP, crd::KIND);
        let grace = rules::grace_seconds(&self.resource, body, options.grace);
        body["metadata"]["deletionTimestamp"] = later(&self.now, grace).into();
        // These two have a way of their own.
        if namespace {
            body["status"]["phase"] = "Terminating".into();
        } else if definition {
            push_finalizer(body, crd::FINALIZER);
            let message =
                "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
            crd::set_terminating(body, "True", "InstanceDeletionPending", message, &self.now);
        } else {
            body["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            if let Some(generation) = body["metadata"]["generation"].as_i64() {
                body["metadata"]["generation"] = (generation + 1).into();
            }
        }
    }

    /// What becomes of dependents when nobody says: some old kinds keep them.
    fn usual_propagation(&self, body: &Value, options: &Options) -> Option<Propagation> {
        let job = self.resource.is("batch", "Job");
        if !job && !self.resource.is("", "ReplicationController") {
            return None;
        }
        if job && options.propagation.is_none() {
            self.notes.warn(JOB_WARNING.to_owned());
        }
        let has = |name: &str| {
            body["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|f| f == name))
        };
        (!has("orphan") && !has("foregroundDeletion")).then_some(Propagation::Orphan)
    }

    fn check_preconditions(&self, live: &Object, options: &Options) -> Result<(), Failure> {
        let name = &live.name();
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != live.uid()) {
            if self.resource.is("", "Namespace") {
                let why = format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    live.uid()
                );
                return Err(Failure::conflict(&self.resource, name, &why));
            }
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                live.uid()
            );
            return Err(Failure::precondition(&self.resource, name, &why));
        }
        if let Some(revision) = options.revision.as_deref().filter(|revision| *revision != live.revision()) {
            let why = format!(
                "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record ({}). The object might have been modified",
                live.revision()
            );
            return Err(Failure::precondition(&self.resource, name, &why));
        }
        Ok(())
    }

    /// The options of a deletion: its body or, when there is none, its query.
    fn delete_options(&self, body: &Value) -> Result<Options, Failure> {
        let given = if body.is_object() { body.clone() } else { self.options_of_query()? };
        let kind = given["kind"].as_str().unwrap_or("DeleteOptions");
        if kind != "DeleteOptions" {
            let version = given["apiVersion"].as_str().unwrap_or_default();
            return Err(Failure::bad_request(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
            )));
        }
        check_options(&given)?;
        let propagation = match given["propagationPolicy"].as_str() {
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(_) => Some(Propagation::Background),
            None => given["orphanDependents"]
                .as_bool()
                .map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        };
        Ok(Options {
            uid: given["preconditions"]["uid"].as_str().map(str::to_owned),
            revision: given["preconditions"]["resourceVersion"].as_str().map(str::to_owned),
            propagation,
            // Less than nothing is as little as can be.
            grace: given["gracePeriodSeconds"].as_i64().map(|seconds| if seconds < 0 { 1 } else { seconds }),
            dry_run: self.options.dry_run
                || given["dryRun"].as_array().is_some_and(|all| all.iter().any(|one| one == "All")),
            given,
        })
    }

    fn options_of_query(&self) -> Result<Value, Failure> {
        let mut given = json!({});
        if let Some(seconds) = self.query.integer("gracePeriodSeconds")? {
            given["gracePeriodSeconds"] = seconds.into();
        }
        if self.query.raw("orphanDependents").is_some() {
            given["orphanDependents"] = self.query.flag("orphanDependents").into();
        }
        if let Some(policy) = self.query.get("propagationPolicy") {
            given["propagationPolicy"] = policy.into();
        }
        if let Some(dry_run) = self.query.get("dryRun") {
            given["dryRun"] = json!([dry_run]);
        }
        Ok(given)
    }
}

/// What is wrong with the options of a deletion.
fn check_options(given: &Value) -> Result<(), Failure> {
    let mut errors = Vec::new();
    if let Some(policy) = given["propagationPolicy"].as_str() {
        if given["orphanDependents"].is_boolean() {
            let message = format!(
                "Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set"
            );
            errors.push(FieldError::new("propagationPolicy", message));
        }
        if !matches!(policy, "Foreground" | "Background" | "Orphan") {
            let message = format!(
                "Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            );
            errors.push(FieldError::new("propagationPolicy", message));
        }
    }
    let dry_run = given["dryRun"].as_array().cloned().unwrap_or_default();
    if dry_run.iter().any(|one| one != "All") {
        let message = format!("Unsupported value: {}: supported values: \"All\"", given["dryRun"]);
        errors.push(FieldError::new("dryRun", message));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &errors))
    }
}

/// Gives an object that is being deleted less time, if less is asked for.
fn shorten(body: &mut Value, asked: Option<i64>) {
    let metadata = &mut body["metadata"];
    let (Some(asked), Some(given)) = (asked, metadata["deletionGracePeriodSeconds"].as_i64()) else { return };
    if asked < given {
        let until = metadata["deletionTimestamp"].as_str().unwrap_or_default();
        metadata["deletionTimestamp"] = later(until, asked - given).into();
        metadata["deletionGracePeriodSeconds"] = asked.into();
    }
}

/// Marks for the garbage collector, by the way of propagation.
fn add_finalizers(body: &mut Value, propagation: Option<Propagation>) {
    match propagation {
        None => {}
        Some(Propagation::Background) => {
            remove_finalizer(body, "orphan");
            remove_finalizer(body, "foregroundDeletion");
        }
        Some(Propagation::Foreground) => {
            remove_finalizer(body, "orphan");
            push_finalizer(body, "foregroundDeletion");
        }
        Some(Propagation::Orphan) => {
            remove_finalizer(body, "foregroundDeletion");
            push_finalizer(body, "orphan");
        }
    }
}

pub(crate) fn push_finalizer(body: &mut Value, finalizer: &str) {
    let list = &mut body["metadata"]["finalizers"];
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(finalizer.into());
    }
}

/// Removes a finalizer and, if it was the last one, the list.
pub(crate) fn remove_finalizer(body: &mut Value, finalizer: &str) {
    let Some(metadata) = body["metadata"].as_object_mut() else { return };
    if let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        list.retain(|f| f != finalizer);
        if list.is_empty() {
            metadata.remove("finalizers");
        }
    }
}

/// A time some seconds after another.
fn later(now: &str, seconds: i64) -> String {
    match now.parse::<jiff::Timestamp>() {
        Ok(now) => super::clock::text(now + jiff::SignedDuration::from_secs(seconds)),
        Err(_) => now.to_owned(),
    }
}
