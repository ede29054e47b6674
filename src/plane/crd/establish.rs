//! Definitions take effect: names are given, resources are served, and no longer when the definition goes.

use std::sync::Arc;

use serde_json::Value;

use super::{COLLECTION, GROUP, KIND, Taken};
use crate::plane::clock;
use crate::plane::server::{OWN_MANAGER, Server};
use crate::plane::store::{Key, Object};

impl Server {
    /// Looks at a definition that was written or removed. When this returns its resources are served.
    pub fn establish(&self, name: &str) {
        let _one_at_a_time = self.defining();
        let mut due = vec![Arc::<str>::from(name)];
        // A name that becomes free may be what another definition of the group waits for.
        while let Some(name) = due.pop() {
            if let Some(group) = self.take_in(&name) {
                let registry = self.registry();
                let waiting = registry.definitions_of(&group).filter(|(_, one)| !one.names_accepted);
                due.extend(waiting.filter(|(other, _)| **other != name).map(|(other, _)| other.clone()));
            }
        }
    }

    /// Takes one definition in; the group in which names became free thereby.
    fn take_in(&self, name: &Arc<str>) -> Option<Arc<str>> {
        let key = Key { resource: COLLECTION.into(), namespace: "".into(), name: name.clone() };
        let registry = self.registry();
        let known = registry.definition(name);
        let Some(object) = self.store.get(&key) else {
            self.redefine(|registry| registry.withdraw(name));
            return known.map(|known| known.group().clone());
        };
        let body = self.with_status(&key, object)?;
        let freed = known.filter(|known| known.accepted_names != body["status"]["acceptedNames"]);
        freed.map(|known| known.group().clone())
    }

    /// The definition with the status that it deserves, which is stored; `None` when it went meanwhile. Its resources are
    /// served before anybody can read in the status that they are.
    fn with_status(&self, key: &Key, mut object: Arc<Object>) -> Option<Value> {
        loop {
            let mut body = object.body();
            if object.is_deleting() {
                self.serve(&key.name, &body);
                return Some(body);
            }
            let (registry, now) = (self.registry(), clock::now());
            let group = body["spec"]["group"].as_str().unwrap_or_default();
            let mut taken = Taken::default();
            for (_, other) in registry.definitions_of(group).filter(|(name, _)| **name != key.name) {
                taken.add(&other.accepted_names);
            }
            let status = super::status(&body, &taken, &now);
            if status == body["status"] {
                self.serve(&key.name, &body);
                return Some(body);
            }
            // The spec stays what it is, so it need not be compared.
            let spec = body["spec"].take();
            let before = body.clone();
            body["status"] = status;
            if let Some(resource) = registry.find(GROUP, "v1", "customresourcedefinitions") {
                debug_assert!(resource.is(GROUP, KIND));
                body =
                    registry.types.update(resource, Some(&before), &body, OWN_MANAGER, Some("status"), &now);
            }
            body["spec"] = spec;
            self.serve(&key.name, &body);
            if let Ok(stored) = self.store.put(key, Some(&object), body) {
                return Some(stored.body());
            }
            object = self.store.get(key)?;
        }
    }

    /// Takes a definition into the registry, unless it is there as it is.
    fn serve(&self, name: &Arc<str>, body: &Value) {
        if self.registry().definition(name).is_none_or(|known| !known.is_of(body)) {
            self.redefine(|registry| registry.define(name, body));
        }
    }
}
