//! The life cycle of namespaces: nothing is created where no namespace is, or where one is on its way out.

use serde_json::json;

use crate::plane::call::Call;
use crate::plane::status::Failure;
use crate::plane::store::Key;

/// Namespaces that nobody can delete.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

impl Call<'_> {
    /// Some namespaces stay.
    pub(in crate::plane) fn admit_end_of_namespace(&self) -> Result<(), Failure> {
        if self.resource.is("", "Namespace") && IMMORTAL.contains(&self.name()) {
            return Err(Failure::forbidden(&self.resource, self.name(), "this namespace may not be deleted"));
        }
        Ok(())
    }

    /// Nothing is created of a kind whose definition is on its way out.
    fn admit_instance(&self, name: &str) -> Result<(), Failure> {
        if !self.resource.custom {
            return Ok(());
        }
        let key = Key {
            resource: "customresourcedefinitions.apiextensions.k8s.io".into(),
            namespace: "".into(),
            name: self.resource.collection.clone(),
        };
        if self.server.store.get(&key).is_some_and(|definition| definition.is_deleting()) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Failure::forbidden(&self.resource, name, why));
        }
        Ok(())
    }

    /// A namespace must be there, and not on its way out, before something is created in it.
    pub(in crate::plane) fn admit_namespace(&self, name: &str) -> Result<(), Failure> {
        self.admit_instance(name)?;
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
