//! PATCH: a change to what is there.

use serde_json::Value;

use super::scale::Change;
use super::{ATTEMPTS, PatchKind};
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::patch;
use crate::plane::status::Failure;
use crate::plane::store::Raced;

impl Call<'_> {
    /// PATCH of an object or of a subresource.
    pub async fn patch(&self, kind: PatchKind, bytes: &[u8]) -> Result<Answer, Failure> {
        if kind == PatchKind::Apply {
            return self.apply(bytes).await;
        }
        if self.subresource == Some(Subresource::Scale) {
            return self.write_scale(Change::Patch(&|scale| self.patched(kind, scale, bytes))).await;
        }
        for _ in 0..ATTEMPTS {
            let live = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
            let before = self.as_served(&live);
            let mut body = self.patched(kind, &before, bytes)?;
            self.check_patched(kind, &body, bytes)?;
            self.check_patched_strict(kind, &body, bytes)?;
            self.place(&mut body)?;
            self.check_name(&body)?;
            let named = body["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"];
            self.check_revision(&body, Some(&live))?;
            match self.replace(&live, body, false).await? {
                Ok(answer) => return Ok(answer),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }

    fn patched(&self, kind: PatchKind, before: &Value, bytes: &[u8]) -> Result<Value, Failure> {
        match kind {
            PatchKind::Json => patch::json_patch(before, bytes),
            PatchKind::Merge => patch::merge_patch(before, bytes),
            _ => self.server.registry().types.strategic(&self.resource, before, bytes),
        }
    }
}
