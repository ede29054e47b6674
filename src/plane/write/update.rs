//! PUT: an object, or a part of it, is replaced.

use super::ATTEMPTS;
use super::scale::Change;
use crate::plane::body::Decoded;
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::rules;
use crate::plane::status::Failure;
use crate::plane::store::Raced;

impl Call<'_> {
    /// PUT of an object or of a subresource.
    pub async fn update(&self, decoded: Decoded) -> Result<Answer, Failure> {
        let Decoded { value: mut body, warnings } = decoded;
        if self.subresource == Some(Subresource::Scale) {
            self.check_scale(&body)?;
            self.place(&mut body)?;
            return self.write_scale(Change::Put(&body)).await;
        }
        self.check_kind(&mut body)?;
        self.check_fits(&body)?;
        self.check_strict(&body, &warnings)?;
        self.place(&mut body)?;
        self.check_name(&body)?;
        for _ in 0..ATTEMPTS {
            let Some(live) = self.live() else {
                if self.subresource.is_none() && rules::create_on_update(&self.resource) {
                    self.check_revision(&body, None)?;
                    return self.create(Decoded { value: body, warnings }).await;
                }
                return Err(Failure::not_found(&self.resource, self.name()));
            };
            self.check_uid(&body, &live)?;
            let named = self.check_revision(&body, Some(&live))?;
            match self.replace(&live, body.clone(), false).await? {
                Ok(answer) => return Ok(answer),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }
}
