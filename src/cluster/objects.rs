//! Reading and writing objects.

use http::Method;
use serde_json::{Value, json};

use super::request::Url;
use super::{Cluster, ClusterError};
use crate::model::{FIELD_MANAGER, LiveObject, ObjectId, ServedKind};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
/// The API server reads it as YAML, of which JSON is a part.
const APPLY: &str = "application/apply-patch+yaml";
/// Objects per page of a list.
pub(super) const PAGE: usize = 250;

/// Which object is meant: a write to any other, or to a later state of it, is refused as stale.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `metadata.uid`.
    pub uid: Option<String>,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
}

/// How to apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplyOptions {
    /// Take fields that belong to other managers.
    pub force: bool,
    /// Ask what would happen.
    pub dry_run: bool,
    /// Which object is meant.
    pub preconditions: Preconditions,
}

/// What happens to the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They go, later.
    #[default]
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    /// What happens to owned objects.
    pub propagation: Propagation,
    /// Ask what would happen.
    pub dry_run: bool,
    /// Which object is meant.
    pub preconditions: Preconditions,
}

/// Which objects to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only with these labels, `a=b,c`.
    pub labels: Option<String>,
    /// Only with these fields, `metadata.name=x`.
    pub fields: Option<String>,
}

impl Preconditions {
    /// Exactly this state of this object.
    pub fn of(object: &LiveObject) -> Preconditions {
        let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        Preconditions { uid: text(object.uid()), resource_version: text(object.resource_version()) }
    }

    /// This object, in whatever state.
    pub fn uid_of(object: &LiveObject) -> Preconditions {
        Preconditions { resource_version: None, ..Preconditions::of(object) }
    }

    fn write_into(&self, body: &mut Value) {
        for (field, value) in [("uid", &self.uid), ("resourceVersion", &self.resource_version)] {
            if let Some(value) = value {
                body["metadata"][field] = value.as_str().into();
            }
        }
    }
}

impl Cluster {
    /// An object; `None` when there is none.
    ///
    /// # Errors
    /// [`ClusterError::NotServed`] when the kind is unknown, and what else keeps the API server from answering.
    pub async fn get(&self, kind: &ServedKind, id: &ObjectId) -> Result<Option<LiveObject>, ClusterError> {
        match self.get_url(Url::of_object(kind, id), JSON).await {
            Ok(body) => Ok(Some(LiveObject::new(body))),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a kind, page by page.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn list(
        &self,
        kind: &ServedKind,
        options: &ListOptions,
    ) -> Result<Vec<LiveObject>, ClusterError> {
        Ok(self.list_pages(kind, options, usize::MAX).await?.0)
    }

    /// The objects on this many pages, and whether that is all: for a server that might never come to an end.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub(super) async fn list_pages(
        &self,
        kind: &ServedKind,
        options: &ListOptions,
        most_pages: usize,
    ) -> Result<(Vec<LiveObject>, bool), ClusterError> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        let mut restarted = false;
        let mut pages = 0;
        loop {
            let url = Url::of_kind(kind, options.namespace.as_deref())
                .query("limit", &PAGE.to_string())
                .query_if(options.labels.is_some(), "labelSelector", options.labels.as_deref().unwrap_or(""))
                .query_if(options.fields.is_some(), "fieldSelector", options.fields.as_deref().unwrap_or(""))
                .query_if(next.is_some(), "continue", next.as_deref().unwrap_or(""));
            let mut page = match self.get_url(url, JSON).await {
                // The pages were too long under way; from the start, once.
                Err(ClusterError::Refused { status: 410, .. }) if !restarted => {
                    (found, next, restarted) = (Vec::new(), None, true);
                    continue;
                }
                answer => answer?,
            };
            if let Value::Array(items) = page["items"].take() {
                found.extend(items.into_iter().map(|item| LiveObject::new(typed(item, kind))));
            }
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(_) if pages + 1 == most_pages => return Ok((found, false)),
                Some(token) => next = Some(token.to_owned()),
                None => return Ok((found, true)),
            }
            pages += 1;
        }
    }

    /// Server-side apply. The preconditions stand in the object itself, so that the API server checks them in the same
    /// step.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] when others own fields and `force` is off, [`ClusterError::Stale`] when the
    /// preconditions do not hold, [`ClusterError::Refused`], and the rest.
    pub async fn apply(
        &self,
        kind: &ServedKind,
        body: &Value,
        options: &ApplyOptions,
    ) -> Result<LiveObject, ClusterError> {
        self.apply_as(FIELD_MANAGER, kind, body, options).await
    }

    /// The same as another field manager: what a person changes through moin is not what the daemon owns.
    ///
    /// # Errors
    /// As [`Cluster::apply`].
    pub async fn apply_as(
        &self,
        manager: &str,
        kind: &ServedKind,
        body: &Value,
        options: &ApplyOptions,
    ) -> Result<LiveObject, ClusterError> {
        let url = Url::of_object(kind, &id_of(body)?);
        self.apply_at(url, manager, body, options).await
    }

    /// Server-side apply of the status alone; fields of other managers are taken.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn patch_status(
        &self,
        kind: &ServedKind,
        body: &Value,
        preconditions: &Preconditions,
    ) -> Result<LiveObject, ClusterError> {
        let url = Url::of_object(kind, &id_of(body)?).below("status");
        let options = ApplyOptions { force: true, dry_run: false, preconditions: preconditions.clone() };
        self.apply_at(url, FIELD_MANAGER, body, &options).await
    }

    async fn apply_at(
        &self,
        url: Url,
        manager: &str,
        body: &Value,
        options: &ApplyOptions,
    ) -> Result<LiveObject, ClusterError> {
        let url = url
            .query("fieldManager", manager)
            .query("force", if options.force { "true" } else { "false" })
            .query_if(options.dry_run, "dryRun", "All");
        let mut body = body.clone();
        // The API server refuses an apply that has them.
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        options.preconditions.write_into(&mut body);
        self.send(Method::PATCH, url, JSON, Some((APPLY, &body))).await.map(LiveObject::new)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`ClusterError::AlreadyExists`], and the rest.
    pub async fn create(
        &self,
        kind: &ServedKind,
        body: &Value,
        dry_run: bool,
    ) -> Result<LiveObject, ClusterError> {
        let url = Url::of_kind(kind, body["metadata"]["namespace"].as_str())
            .query("fieldManager", FIELD_MANAGER)
            .query_if(dry_run, "dryRun", "All");
        self.send(Method::POST, url, JSON, Some((JSON, body))).await.map(LiveObject::new)
    }

    /// Applies an object, by force, unless it is there with everything that is asked for.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn ensure(&self, kind: &ServedKind, wanted: &Value) -> Result<(), ClusterError> {
        let live = self.get(kind, &id_of(wanted)?).await?;
        if live.is_some_and(|live| contains(&live.body, wanted)) {
            return Ok(());
        }
        self.apply(kind, wanted, &ApplyOptions { force: true, ..ApplyOptions::default() }).await.map(drop)
    }

    /// Posts what is asked and not stored, such as a review.
    pub(super) async fn post(&self, url: Url, body: &Value) -> Result<Value, ClusterError> {
        self.send(Method::POST, url, JSON, Some((JSON, body))).await
    }

    /// Changes parts of an object, its managed fields among them, by a merge patch (RFC 7386).
    ///
    /// # Errors
    /// [`ClusterError::Stale`] when the preconditions do not hold, and the rest.
    pub async fn merge_patch(
        &self,
        manager: &str,
        kind: &ServedKind,
        id: &ObjectId,
        patch: &Value,
        preconditions: &Preconditions,
    ) -> Result<LiveObject, ClusterError> {
        let url = Url::of_object(kind, id).query("fieldManager", manager);
        let mut patch = patch.clone();
        preconditions.write_into(&mut patch);
        self.send(Method::PATCH, url, JSON, Some((MERGE, &patch))).await.map(LiveObject::new)
    }

    /// Replaces an object as a whole.
    ///
    /// # Errors
    /// [`ClusterError::Stale`] when the preconditions do not hold, and the rest.
    pub async fn replace(
        &self,
        kind: &ServedKind,
        body: &Value,
        preconditions: &Preconditions,
        dry_run: bool,
    ) -> Result<LiveObject, ClusterError> {
        let url = Url::of_object(kind, &id_of(body)?)
            .query("fieldManager", FIELD_MANAGER)
            .query_if(dry_run, "dryRun", "All");
        let mut body = body.clone();
        preconditions.write_into(&mut body);
        self.send(Method::PUT, url, JSON, Some((JSON, &body))).await.map(LiveObject::new)
    }

    /// Deletes an object. Answers with the object while finalizers hold it up, with `None` when it is gone.
    ///
    /// # Errors
    /// [`ClusterError::Stale`] when the preconditions do not hold, [`ClusterError::NotFound`], and the rest.
    pub async fn delete(
        &self,
        kind: &ServedKind,
        id: &ObjectId,
        options: &DeleteOptions,
    ) -> Result<Option<LiveObject>, ClusterError> {
        let url = Url::of_object(kind, id).query_if(options.dry_run, "dryRun", "All");
        let mut body = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "propagationPolicy": format!("{:?}", options.propagation),
        });
        for (field, value) in [
            ("uid", &options.preconditions.uid),
            ("resourceVersion", &options.preconditions.resource_version),
        ] {
            if let Some(value) = value {
                body["preconditions"][field] = value.as_str().into();
            }
        }
        let answer = self.send(Method::DELETE, url, JSON, Some((JSON, &body))).await?;
        let still_there = answer["kind"] != "Status" && answer["metadata"]["deletionTimestamp"].is_string();
        Ok(still_there.then(|| LiveObject::new(answer)))
    }
}

/// Whether `have` says all that `wanted` says; lists must be equal in length, their items contained in order.
pub fn contains(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| have.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(have), Value::Array(wanted)) => {
            have.len() == wanted.len() && have.iter().zip(wanted).all(|(have, wanted)| contains(have, wanted))
        }
        (have, wanted) => have == wanted,
    }
}

/// An item of a list with apiVersion and kind, which lists of built-in kinds leave out.
fn typed(mut item: Value, kind: &ServedKind) -> Value {
    if let Some(map) = item.as_object_mut() {
        map.entry("apiVersion").or_insert_with(|| kind.gvk.api_version().into());
        map.entry("kind").or_insert_with(|| kind.gvk.kind.to_string().into());
    }
    item
}

fn id_of(body: &Value) -> Result<ObjectId, ClusterError> {
    ObjectId::of(body).map_err(|error| ClusterError::Refused {
        status: 0,
        reason: "BadRequest".to_owned(),
        message: error.to_string(),
        causes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let wanted = json!({"spec": {"a": [{"x": 1}]}});
        assert!(contains(&json!({"spec": {"a": [{"x": 1, "y": 2}], "b": 1}, "status": {}}), &wanted));
        assert!(!contains(&json!({"spec": {"a": []}}), &wanted));
        assert!(!contains(&json!({"spec": {"a": [{"x": 2}]}}), &wanted));
    }
}
