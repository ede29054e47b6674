//! The life cycle of namespaces: nothing is created where no namespace is, or where one is on its way out.

use serde_json::json;

use crate::plane::call::Call;
use crate::plane::status::Failure;
use crate::plane::store::{Key, Object};

/// Namespaces that nobody can delete.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

impl Call<'_> {
    /// Some namespaces stay.
    pub(super) fn admit_namespace_deletion(&self, live: &Object) -> Result<(), Failure> {
        if self.resource.is("", "Namespace") && IMMORTAL.contains(&&*live.name()) {
            let why = "this namespace may not be deleted";
            return Err(Failure::forbidden(&self.resource, &live.name(), why));
        }
        Ok(())
    }

    /// A namespace must be there, and not on its way out, before something is created in it.
    pub(in crate::plane) fn admit_namespace(&self, name: &str) -> Result<(), Failure> {
        if !self.resource.namespaced {
            return Ok(());
        }
        let key = Key { resource: "namespaces".into(), namespace: "".into(), name: self.namespace().into() };
        let registry = self.server.registry();
        let namespaces = registry.find("", "v1", "namespaces");
        match (self.server.store.get(&key), namespaces) {
            (None, Some(namespaces)) => Err(Failure::not_found(namespaces, self.namespace())),
            (Some(found), _) if found.is_deleting() => {
                let why = format!(
                    "unable to create new content in namespace {} because it is being terminated",
                    self.namespace()
                );
                let mut failure = Failure::forbidden(&self.resource, name, &why);
                if let Some(details) = &mut failure.details {
                    details["causes"] = json!([{
                        "reason": "NamespaceTerminating", "field": "metadata.namespace",
                        "message": format!("namespace {} is being terminated", self.namespace()),
                    }]);
                }
                Err(failure)
            }
            _ => Ok(()),
        }
    }
}
