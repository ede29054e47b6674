//! What policies may look up beside the object they judge.

use std::collections::HashMap;

use serde_json::Value;

use super::matching::resource_name;

/// Objects of a cluster, or what stands in for them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    objects: Vec<Value>,
    /// Places in `objects` by the name of the resource.
    by_resource: HashMap<String, Vec<u32>>,
}

impl Known {
    /// Adds an object; one of the same kind, namespace and name takes the place of what was there.
    pub fn add(&mut self, object: Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = |object: &Value| {
            let metadata = &object["metadata"];
            [&object["apiVersion"], &metadata["namespace"], &metadata["name"]].map(text)
        };
        let resource = resource_name(object["kind"].as_str().unwrap_or_default());
        let places = self.by_resource.entry(resource).or_default();
        let wanted = key(&object);
        match places.iter().find(|at| key(&self.objects[**at as usize]) == wanted) {
            Some(at) => self.objects[*at as usize] = object,
            None => {
                places.push(self.objects.len() as u32);
                self.objects.push(object);
            }
        }
    }

    /// The objects of a resource (`configmaps`) in an API version, of all namespaces for an empty one.
    pub(crate) fn list<'a>(&'a self, api_version: &str, resource: &str, namespace: &str) -> Vec<&'a Value> {
        let places = self.by_resource.get(resource).into_iter().flatten();
        let fits = |object: &&Value| {
            object["apiVersion"] == *api_version
                && (namespace.is_empty() || object["metadata"]["namespace"] == *namespace)
        };
        places.map(|at| &self.objects[*at as usize]).filter(fits).collect()
    }
}
