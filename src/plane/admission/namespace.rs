//! The life cycle of namespaces: nothing is created where no namespace is, or where one is on its way out.

use serde_json::json;

use crate::plane::call::Call;
use crate::plane::status::Failure;
use crate::plane::store::Key;

impl Call<'_> {
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
