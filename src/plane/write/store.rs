//! The last step of a write: what was computed is stored if nobody wrote in between.

use std::sync::Arc;

use serde_json::Value;

use super::set_or_remove;
use crate::merge::json_patch::{DEEPEST, depth};
use crate::plane::admission::Operation;
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::rules;
use crate::plane::status::Failure;
use crate::plane::store::{Empties, Object, Raced};

impl Call<'_> {
    /// Stores a new object, which mutating admission has seen.
    pub(super) async fn insert(&self, body: Value) -> Result<Arc<Object>, Failure> {
        self.insert_as(body, Empties::default()).await
    }

    /// [`Call::insert`] of a body that had these empty parts.
    pub(super) async fn insert_as(&self, mut body: Value, empties: Empties) -> Result<Arc<Object>, Failure> {
        let metadata = &mut body["metadata"];
        metadata["uid"] = uuid::Uuid::new_v4().to_string().into();
        metadata["creationTimestamp"] = self.now.as_str().into();
        if rules::has_generation(&self.resource) {
            metadata["generation"] = 1.into();
        }
        rules::prepare_create(&self.resource, &mut body);
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.check_grant(&body, None)?;
        self.validate(&body, None)?;
        self.check_create()?;
        self.judge(Operation::Create, Some(&body), None).await?;
        if !body["metadata"]["resourceVersion"].is_null() {
            return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
        }
        let key = self.key_of(&name);
        if let Some(there) = self.server.store.get(&key) {
            let mut failure = Failure::already_exists(&self.resource, &name);
            if there.is_deleting() {
                failure.message = format!("object is being deleted: {}", failure.message);
            }
            return Err(failure);
        }
        self.to_storage(&mut body);
        check_depth(&body)?;
        self.forget_link(&mut body);
        if self.options.dry_run {
            return Ok(Object::unsaved(body));
        }
        let object = self
            .server
            .store
            .put_as(&key, None, body, empties)
            .map_err(|Raced::Changed| Failure::already_exists(&self.resource, &name))?;
        self.server.wrote(&self.resource, &key, &object);
        Ok(object)
    }

    /// Stores what an update, patch or apply made of `live`. Of what was `applied` the field managers are known.
    pub(in crate::plane) async fn replace(
        &self,
        live: &Arc<Object>,
        body: Value,
        applied: bool,
    ) -> Result<Result<Answer, Raced>, Failure> {
        self.replace_seen(live, self.as_served(live), body, applied).await
    }

    /// [`Call::replace`], for who has read `live` already.
    pub(super) async fn replace_seen(
        &self,
        live: &Arc<Object>,
        before: Value,
        body: Value,
        applied: bool,
    ) -> Result<Result<Answer, Raced>, Failure> {
        // An apply that changes nothing has nothing to be looked at but by those who may refuse even that.
        if applied
            && body == before
            && live.empties().is_none()
            && !live.is_deleting()
            && !self.is_mutated(Operation::Update)
        {
            let (new, old) = (self.as_admitted(&body), self.as_admitted(&before));
            self.judge(Operation::Update, Some(&new), Some(&old)).await?;
            return Ok(Ok(Answer::object(200, live.clone())));
        }
        let empties = if applied && self.resource.custom { Empties::of(&body) } else { Empties::default() };
        let mut body = self.changed(&before, body, applied).await?;
        rules::prepare_update(&self.resource, self.subresource.as_ref(), &mut body, &before);
        self.check_grant(&body, Some(&before))?;
        self.validate(&body, Some(&before))?;
        let (new, old) = (self.as_admitted(&body), self.as_admitted(&before));
        self.judge(Operation::Update, Some(&new), Some(&old)).await?;
        self.forget_link(&mut body);
        let emptied = live.is_deleting() && rules::finalized(&self.resource, &body);
        if !emptied && empties == live.empties() && is_same_but_for_times(&body, &before) {
            return Ok(Ok(Answer::object(200, live.clone())));
        }
        self.commit(live, body, empties, emptied)
    }

    /// What a write makes of an object: the server's own part kept, defaults, field managers, mutating admission.
    async fn changed(&self, before: &Value, mut body: Value, applied: bool) -> Result<Value, Failure> {
        let scaled = self.subresource == Some(Subresource::Scale);
        // Admission sees what was sent, before the server takes out what is not the client's.
        let sent = (!scaled && self.is_mutated(Operation::Update)).then(|| body.clone());
        if applied {
            self.check_decodes(&body)?;
        }
        self.normalise(&mut body, !applied);
        if !applied {
            body = self.server.registry().types.update(
                &self.resource,
                Some(before),
                &body,
                &self.options.manager,
                self.subresource.as_ref().map(Subresource::name),
                &self.now,
            );
        }
        self.reset(&mut body, Some(before));
        let Some(mut sent) = sent else { return Ok(body) };
        self.normalise(&mut sent, !applied);
        set_or_remove(&mut sent["metadata"], "managedFields", body["metadata"]["managedFields"].clone());
        if !self.mutate(Operation::Update, &mut sent, Some(before)).await? {
            return Ok(body);
        }
        self.reset(&mut sent, Some(before));
        self.normalise(&mut sent, false);
        Ok(sent)
    }

    /// What is stored has no link to itself; what would be stored may.
    fn forget_link(&self, body: &mut Value) {
        if !self.options.dry_run {
            set_or_remove(&mut body["metadata"], "selfLink", Value::Null);
        }
    }

    /// Stores an object that everybody has agreed to.
    fn commit(
        &self,
        live: &Arc<Object>,
        mut body: Value,
        empties: Empties,
        emptied: bool,
    ) -> Result<Result<Answer, Raced>, Failure> {
        let key = self.key_of(self.name());
        self.to_storage(&mut body);
        check_depth(&body)?;
        if self.options.dry_run {
            body["metadata"]["resourceVersion"] = live.revision().into();
            return Ok(Ok(Answer::object(200, Object::unsaved(body))));
        }
        if emptied {
            // Watchers are shown what was stored last; the client what he made of it.
            let Ok(last) = self.server.store.remove(&key, live) else {
                return Ok(Err(Raced::Changed));
            };
            self.server.removed(&self.resource, &key, &last);
            body["metadata"]["resourceVersion"] = live.revision().into();
            return Ok(Ok(Answer::object(200, Object::unsaved(body))));
        }
        let Ok(object) = self.server.store.put_as(&key, Some(live), body, empties) else {
            return Ok(Err(Raced::Changed));
        };
        self.server.wrote(&self.resource, &key, &object);
        Ok(Ok(Answer::object(200, object)))
    }
}

/// An object that is nested too deeply could be stored and not be read again.
fn check_depth(body: &Value) -> Result<(), Failure> {
    if depth(body) > DEEPEST {
        return Err(Failure::bad_request(format!("the object is nested more than {DEEPEST} levels deep")));
    }
    Ok(())
}

/// Whether two states of an object differ in nothing but the times of its field managers: then nothing is written.
fn is_same_but_for_times(a: &Value, b: &Value) -> bool {
    agree(a, b, |field, a, b| match field {
        "metadata" => agree(a, b, |field, a, b| match field {
            "resourceVersion" => true,
            "managedFields" => {
                let (a, b) = (list(a), list(b));
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| agree(a, b, |field, a, b| field == "time" || a == b))
            }
            _ => a == b,
        }),
        _ => a == b,
    })
}

/// Whether `same` holds for each field of two objects; an absent field is `null` to it.
fn agree(a: &Value, b: &Value, same: impl Fn(&str, &Value, &Value) -> bool) -> bool {
    let (Some(first), Some(second)) = (a.as_object(), b.as_object()) else { return a == b };
    first.iter().all(|(field, value)| same(field, value, b.get(field).unwrap_or(&Value::Null)))
        && second
            .keys()
            .filter(|field| !first.contains_key(*field))
            .all(|field| same(field, &Value::Null, &b[field]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_managers_are_no_difference() {
        let object = |time: &str, owner: &str, data: Value| json!({"metadata": {"resourceVersion": time, "managedFields": [{"manager": owner, "time": time}]}, "data": data});
        let same = |a: &Value, b: &Value| is_same_but_for_times(a, b) && is_same_but_for_times(b, a);
        let one = object("1", "x", json!({"a": 1}));
        assert!(same(&one, &object("2", "x", json!({"a": 1}))));
        assert!(!same(&one, &object("1", "y", json!({"a": 1}))));
        assert!(!same(&one, &object("1", "x", json!({"a": 1, "b": null}))));
        assert!(!same(&one, &object("1", "x", json!({}))));
        let mut bare = one.clone();
        bare["metadata"]["managedFields"] = json!([]);
        assert!(!same(&one, &bare));
        bare["metadata"] = json!({"resourceVersion": "3"});
        assert!(!same(&one, &bare));
    }
}
