//! Writes through the `scale` subresource.

use std::borrow::Cow;

use serde_json::Value;

use super::ATTEMPTS;
use crate::plane::admission::Operation;
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::scale;
use crate::plane::status::Failure;
use crate::plane::store::Raced;

impl Call<'_> {
    /// The `scale` subresource: a small object that shows and sets two fields of the real one.
    pub(super) async fn write_scale(
        &self,
        change: impl Fn(&Value) -> Result<Value, Failure>,
    ) -> Result<Answer, Failure> {
        let paths =
            self.resource.scale.clone().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
        for _ in 0..ATTEMPTS {
            let live = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
            let before = self.as_served(&live);
            let shown = scale::of(&before, &paths);
            let mut wanted = change(&shown)?;
            let named = self.check_revision(&wanted, Some(&live))?;
            self.mutate(Operation::Update, &mut wanted, Some(&shown)).await?;
            let body = scale::set(&before, &paths, &wanted, self.resource.custom)?;
            match self.replace(&live, body, false).await? {
                Ok(answer) => return Ok(answer.map_body(|body| scale::of(body, &paths))),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }

    /// An object as admission sees it: through `scale` only its scale.
    pub(super) fn as_admitted<'b>(&self, body: &'b Value) -> Cow<'b, Value> {
        match &self.resource.scale {
            Some(paths) if self.subresource == Some(Subresource::Scale) => Cow::Owned(scale::of(body, paths)),
            _ => Cow::Borrowed(body),
        }
    }
}

/// What is written through `scale` has no time.
pub(super) fn forget_time(body: &mut Value, manager: &str) {
    for entry in body["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        if entry["manager"] == manager && entry["subresource"] == "scale" {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
    }
}
