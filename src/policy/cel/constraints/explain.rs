//! Why a policy is about an object, or is not.

use serde_json::Value;

use super::{Constraints, ResourceRule};
use crate::expr::explain::Steps;
use crate::policy::matching::{Subjected, resource_name};

impl Constraints {
    /// The rules and selectors, and whether each fits.
    pub(crate) fn explain(&self, object: &Subjected<'_>) -> Steps {
        let mut steps = Steps::default();
        let mut rules = |name: &str, list: &[ResourceRule]| {
            for (at, rule) in list.iter().enumerate() {
                let fits = rule.matches(object);
                steps.add(0, format!("{name}[{at}] {}", rule.written()), Ok(fits.into()));
                if !fits {
                    let below = match object.subresource() {
                        "" => String::new(),
                        below => format!("/{below}"),
                    };
                    let own = format!(
                        "{} {}{below}, {}",
                        object.gvk.api_version(),
                        resource_name(&object.gvk.kind),
                        object.operation()
                    );
                    steps.add(1, "the object", Ok(own.into()));
                }
            }
        };
        rules("resourceRules", &self.rules);
        rules("excludeResourceRules", &self.excluded);
        let mut selector =
            |name: &str, fits: bool, wanted: String, labels: &serde_json::Map<String, Value>| {
                steps.add(0, format!("{name} {wanted}"), Ok(fits.into()));
                if !fits {
                    steps.add(1, "labels", Ok(Value::Object(labels.clone())));
                }
            };
        if let Some(objects) = &self.objects {
            let labels = object.labels();
            selector("objectSelector", objects.matches(labels), objects.written(), labels);
        }
        if let Some(namespaces) = &self.namespaces {
            let is_namespace = &*object.gvk.kind == "Namespace";
            let labels = if is_namespace { object.labels() } else { object.namespace_labels() };
            let is_free = !is_namespace && object.namespace().is_empty();
            let fits = is_free || namespaces.matches(labels);
            selector("namespaceSelector", fits, namespaces.written(), labels);
        }
        steps
    }
}

impl ResourceRule {
    /// `apps/v1 deployments CREATE, UPDATE`.
    fn written(&self) -> String {
        let groups = self.groups.iter().map(|group| if group.is_empty() { "core" } else { group });
        let mut text = format!(
            "{}/{} {}",
            groups.collect::<Vec<_>>().join(","),
            self.versions.join(","),
            self.resources.join(",")
        );
        for (word, list) in [("", &self.operations), ("named ", &self.names)] {
            if !list.is_empty() {
                text += &format!(" {word}{}", list.join(","));
            }
        }
        text + &self.scope.as_ref().map_or(String::new(), |scope| format!(" ({scope})"))
    }
}
