//! Delete and delete-collection: preconditions, propagation, finalizers, grace.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Answer, Call, Content};
use super::list_options::ListOptions;
use super::status::{self, Failure, FieldError};
use super::store::{Object, Raced, Range};
use super::{crd, rules};

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
        let page = self.page(&ListOptions::of(&self.query, &self.resource)?)?;
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
        let metadata = json!({"resourceVersion": page.revision.to_string()});
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
        add_finalizers(&mut body, options.propagation);
        if self.resource.is(crd::GROUP, crd::KIND) {
            self.add_instances_finalizer(&mut body);
        }
        let grace = rules::grace_seconds(&self.resource, &body, options.grace);
        if !live.is_deleting() {
            body["metadata"]["deletionTimestamp"] = later(&self.now, grace).into();
            body["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            if let Some(generation) = body["metadata"]["generation"].as_i64() {
                body["metadata"]["generation"] = (generation + 1).into();
            }
            if self.resource.is("", "Namespace") {
                body["status"]["phase"] = "Terminating".into();
            }
        } else if grace < body["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) {
            body["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            body["metadata"]["deletionTimestamp"] = later(&self.now, grace).into();
        }
        let key = self.key_of(&name);
        if rules::finalized(&self.resource, &body) {
            if options.dry_run {
                return Ok(Ok(Outcome::Removed(live.clone())));
            }
            let Ok(last) = self.server.store.remove(&key, live) else { return Ok(Err(Raced::Changed)) };
            self.server.removed(&self.resource, &key, &last);
            return Ok(Ok(Outcome::Removed(last)));
        }
        if options.dry_run {
            return Ok(Ok(Outcome::Marked(Object::unsaved(body))));
        }
        if body == before {
            return Ok(Ok(Outcome::Marked(live.clone())));
        }
        let Ok(object) = self.server.store.put(&key, Some(live), body) else {
            return Ok(Err(Raced::Changed));
        };
        self.server.wrote(&self.resource, &key, &object);
        Ok(Ok(Outcome::Marked(object)))
    }

    /// A definition goes only after the objects of its kind.
    fn add_instances_finalizer(&self, body: &mut Value) {
        let instances = crd::resources(body).first().is_some_and(|resource| {
            let one = Range { limit: Some(1), ..Range::default() };
            let found = self.server.store.list(&resource.collection, &one, |_| true);
            found.is_ok_and(|page| !page.objects.is_empty())
        });
        if instances {
            push_finalizer(body, crd::FINALIZER);
        }
    }

    fn check_preconditions(&self, live: &Object, options: &Options) -> Result<(), Failure> {
        let name = &live.name();
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != live.uid()) {
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

    /// The options as admission is shown them: the body, or else the query.
    fn given_options(&self, body: &Value) -> Value {
        if body.is_object() {
            return body.clone();
        }
        let mut given = json!({});
        if let Some(seconds) = self.query.number("gracePeriodSeconds") {
            given["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(policy) = self.query.get("propagationPolicy") {
            given["propagationPolicy"] = policy.into();
        }
        if self.options.dry_run {
            given["dryRun"] = json!(["All"]);
        }
        given
    }

    fn delete_options(&self, body: &Value) -> Result<Options, Failure> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let given = text(&body["propagationPolicy"])
            .or_else(|| self.query.get("propagationPolicy").map(str::to_owned));
        let orphan =
            body["orphanDependents"].as_bool().or_else(|| match self.query.get("orphanDependents") {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            });
        let propagation = match given.as_deref() {
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            None => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
            Some(other) => {
                let message = format!(
                    "Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
                );
                let errors = [FieldError::new("propagationPolicy", message)];
                return Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
            }
        };
        let dry_run = body["dryRun"].as_array().is_some_and(|all| all.iter().any(|v| v == "All"));
        Ok(Options {
            uid: body["preconditions"]["uid"].as_str().map(str::to_owned),
            revision: body["preconditions"]["resourceVersion"].as_str().map(str::to_owned),
            propagation,
            grace: body["gracePeriodSeconds"]
                .as_i64()
                .or_else(|| self.query.number("gracePeriodSeconds").map(|seconds| seconds as i64)),
            dry_run: dry_run || self.options.dry_run,
            given: self.given_options(body),
        })
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
