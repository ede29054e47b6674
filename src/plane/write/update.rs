//! PUT: an object, or a part of it, is replaced.

use super::ATTEMPTS;
use crate::plane::body::Decoded;
use crate::plane::call::{Answer, Call, Subresource};
use crate::plane::rules;
use crate::plane::status::Failure;
use crate::plane::store::Raced;

impl Call<'_> {
    /// PUT of an object or of a subresource.
    pub async fn update(&self, decoded: Decoded) -> Result<Answer, Failure> {
        let Decoded { value: mut body, warnings: mut noticed } = decoded;
        if self.subresource == Some(Subresource::Scale) {
            return self.write_scale(|_| Ok(body.clone())).await;
        }
        self.check_kind(&mut body)?;
        self.place(&mut body)?;
        self.check_name(&body)?;
        self.check_strict(&body, &mut noticed)?;
        for _ in 0..ATTEMPTS {
            let Some(live) = self.live() else {
                if self.subresource.is_none() && rules::create_on_update(&self.resource) {
                    self.check_revision(&body, None)?;
                    return self.create(Decoded { value: body, warnings: noticed }).await;
                }
                return Err(Failure::not_found(&self.resource, self.name()));
            };
            let named = self.check_revision(&body, Some(&live))?;
            match self.replace(&live, body.clone(), false).await? {
                Ok(answer) => return Ok(answer.with_warnings(noticed)),
                Err(Raced::Changed) if named => return Err(self.modified()),
                Err(Raced::Changed) => {}
            }
        }
        Err(self.modified())
    }
}
