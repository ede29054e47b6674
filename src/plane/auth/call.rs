//! What a write asks of its user beyond the verb of the request.

use serde_json::Value;

use super::authorize::{Attributes, authorize};
use super::rbac::{self, escalation};
use crate::plane::call::Call;
use crate::plane::status::Failure;

impl Call<'_> {
    /// An update or apply, which names its object in the path, needs leave to create, too, when it creates.
    pub(crate) fn check_create(&self) -> Result<(), Failure> {
        if self.name.is_none() {
            return Ok(());
        }
        let (group, plural) = (&*self.resource.gvk.group, &*self.resource.plural);
        let create = Attributes {
            namespace: self.namespace(),
            name: self.name(),
            ..Attributes::resource(&self.user, "create", group, plural)
        };
        let decision = authorize(&self.server.rbac, &create);
        if decision.allowed { Ok(()) } else { Err(create.forbidden(&decision.reason)) }
    }

    /// A role or binding must not grant what its writer does not hold.
    pub(crate) fn check_grant(&self, after: &Value, before: Option<&Value>) -> Result<(), Failure> {
        if &*self.resource.gvk.group != rbac::GROUP {
            return Ok(());
        }
        let grant = escalation::Grant {
            user: &self.user,
            resource: &self.resource.plural,
            namespace: self.namespace(),
            path_name: self.name(),
            before,
            after,
        };
        escalation::check(&self.server.rbac, &grant)
    }
}
