//! Writes through the `scale` subresource.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{ATTEMPTS, set_or_remove};
use crate::merge;
use crate::plane::admission::Operation;
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::kinds::Scale;
use crate::plane::scale;
use crate::plane::status::{Failure, FieldError};
use crate::plane::store::Raced;

/// What a request makes of a scale.
pub(super) enum Change<'c> {
    /// It is the one of the body.
    Put(&'c Value),
    /// It is a patched one.
    Patch(&'c (dyn Fn(&Value) -> Result<Value, Failure> + Sync)),
    /// A configuration is applied to it.
    Apply(&'c Value),
}

impl Call<'_> {
    /// The `scale` subresource: a small object that shows and sets two fields of the real one.
    pub(super) async fn write_scale(&self, change: Change<'_>) -> Result<Answer, Failure> {
        let paths =
            self.resource.scale.clone().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
        for _ in 0..ATTEMPTS {
            let live = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
            let before = self.as_served(&live);
            let shown = scale::of(&before, &paths);
            let mut wanted = self.wanted_scale(&before, &shown, &change, &paths)?;
            self.check_name(&wanted)?;
            self.check_uid(&wanted, &live)?;
            if wanted["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty) {
                set_or_remove(&mut wanted["metadata"], "resourceVersion", live.revision().into());
            }
            let named = self.check_revision(&wanted, Some(&live))?;
            self.mutate(Operation::Update, &mut wanted, Some(&shown)).await?;
            if !self.resource.custom {
                check_replicas(&wanted, self.name())?;
            }
            let mut body = scale::set(&before, &paths, &wanted);
            let managed = merge::from_scale(&before, &paths.spec_replicas, &wanted);
            set_or_remove(&mut body["metadata"], "managedFields", managed);
            match self.replace(&live, body, true).await? {
                Ok(answer) => return Ok(answer.map_body(|body| scale::of(body, &paths))),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }

    /// The scale that a request asks for, with its field managers.
    fn wanted_scale(
        &self,
        before: &Value,
        shown: &Value,
        change: &Change<'_>,
        paths: &Scale,
    ) -> Result<Value, Failure> {
        let mut old = shown.clone();
        let managed = merge::to_scale(before, &paths.spec_replicas);
        set_or_remove(&mut old["metadata"], "managedFields", managed);
        let types = &self.server.registry().types;
        let mut new = match change {
            Change::Apply(config) => {
                let merged = types.apply_scale(&old, config, &self.options, &self.now)?;
                // What changes nothing is never converted.
                if self.resource.custom && !is_same_scale(&old, &merged) {
                    return Err(Failure::internal(format!(
                        "failed to convert new object ({}/{}; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an invalid group/version: autoscaling/v1",
                        self.namespace(),
                        self.name()
                    )));
                }
                return Ok(merged);
            }
            Change::Put(body) => (*body).clone(),
            Change::Patch(patched) => patched(&old)?,
        };
        if !new["metadata"].is_object() {
            new["metadata"] = json!({});
        }
        Ok(types.update_scale(&old, &new, &self.options.manager, &self.now))
    }

    /// An object as admission sees it: through `scale` only its scale.
    pub(super) fn as_admitted<'b>(&self, body: &'b Value) -> Cow<'b, Value> {
        match &self.resource.scale {
            Some(paths) if self.subresource == Some(Subresource::Scale) => Cow::Owned(scale::of(body, paths)),
            _ => Cow::Borrowed(body),
        }
    }
}

/// Whether an apply left the replicas of a scale, and who owns them, as they were.
fn is_same_scale(old: &Value, new: &Value) -> bool {
    let owners = |scale: &Value| -> Vec<[Value; 3]> {
        let entries = scale["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries
            .filter(|entry| !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null())
            .map(|entry| ["manager", "operation", "subresource"].map(|key| entry[key].clone()))
            .collect()
    };
    old["spec"] == new["spec"] && owners(old) == owners(new)
}

fn check_replicas(scale: &Value, name: &str) -> Result<(), Failure> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas >= 0 {
        return Ok(());
    }
    let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
    Err(Failure::invalid("autoscaling", "Scale", name, &[FieldError::new("spec.replicas", message)]))
}
