//! `matchConstraints` of CEL policies: which objects they are about.

mod explain;

use crate::model::Gvk;

use super::super::matching::{Subjected, resource_name};
use super::super::reader::{Reader, Result};
use super::super::selector::Selector;

/// Which objects a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Constraints {
    rules: Vec<ResourceRule>,
    excluded: Vec<ResourceRule>,
    objects: Option<Selector>,
    namespaces: Option<Selector>,
}

/// An entry of `resourceRules`; `*` stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ResourceRule {
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
    names: Vec<String>,
    scope: Option<String>,
}

impl Constraints {
    pub(crate) fn compile(reader: &Reader<'_>) -> Result<Constraints> {
        reader.only(&[
            "resourceRules",
            "excludeResourceRules",
            "objectSelector",
            "namespaceSelector",
            "matchPolicy",
        ])?;
        let rules =
            |name: &str| reader.list(name)?.iter().map(ResourceRule::compile).collect::<Result<Vec<_>>>();
        let selector = |name: &str| reader.field(name).map(|s| Selector::compile(&s)).transpose();
        Ok(Constraints {
            rules: rules("resourceRules")?,
            excluded: rules("excludeResourceRules")?,
            objects: selector("objectSelector")?,
            namespaces: selector("namespaceSelector")?,
        })
    }

    /// The names of the resources that it can be about; `None` if they are not all named.
    pub(crate) fn resources(&self) -> Option<Vec<&str>> {
        if self.rules.is_empty() {
            return None;
        }
        let names = self.rules.iter().flat_map(|rule| &rule.resources);
        names.map(|name| name.split('/').next().filter(|name| *name != "*")).collect()
    }

    pub(crate) fn matches(&self, object: &Subjected<'_>) -> bool {
        let any = |rules: &[ResourceRule]| rules.iter().any(|rule| rule.matches(object));
        // A Namespace is selected by its own labels; what has no namespace is not narrowed.
        let namespace_fits = || {
            let Some(selector) = &self.namespaces else { return true };
            match &*object.gvk.kind {
                "Namespace" => selector.matches(object.labels()),
                _ if object.namespace().is_empty() => true,
                _ => selector.matches(object.namespace_labels()),
            }
        };
        // Without rules it narrows nothing.
        (self.rules.is_empty() || any(&self.rules))
            && !any(&self.excluded)
            && self.objects.as_ref().is_none_or(|selector| selector.matches(object.labels()))
            && namespace_fits()
    }
}

impl ResourceRule {
    fn compile(reader: &Reader<'_>) -> Result<ResourceRule> {
        reader.only(&["apiGroups", "apiVersions", "resources", "operations", "resourceNames", "scope"])?;
        Ok(ResourceRule {
            groups: reader.strings("apiGroups")?,
            versions: reader.strings("apiVersions")?,
            resources: reader.strings("resources")?,
            operations: reader.strings("operations")?,
            names: reader.strings("resourceNames")?,
            scope: reader.string("scope")?,
        })
    }

    fn matches(&self, object: &Subjected<'_>) -> bool {
        let has = |list: &[String], text: &str| list.iter().any(|item| item == "*" || item == text);
        let is_namespace = &*object.gvk.kind == "Namespace";
        let namespaced = !object.namespace().is_empty() && !is_namespace;
        has(&self.groups, &object.gvk.group)
            && has(&self.versions, &object.gvk.version)
            && self.resources.iter().any(|resource| names(resource, &object.gvk, object.subresource()))
            && (self.operations.is_empty() || has(&self.operations, object.operation()))
            && (self.names.is_empty() || self.names.iter().any(|name| name == object.name()))
            && match self.scope.as_deref() {
                Some("Namespaced") => namespaced,
                Some("Cluster") => !namespaced,
                _ => true,
            }
    }
}

/// Whether `pods`, `pods/exec`, `*`, `*/*`, `pods/*` or `*/scale` names the resource of a kind.
fn names(wanted: &str, gvk: &Gvk, subresource: &str) -> bool {
    let (resource, sub) = wanted.split_once('/').unwrap_or((wanted, ""));
    let sub_fits = sub == subresource || sub == "*";
    sub_fits && (resource == "*" || resource == resource_name(&gvk.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;
    use crate::policy::{Operation, Request};
    use serde_json::{Value, json};

    fn matches(constraints: &Value, object: &Value, operation: Operation) -> bool {
        let compiled = Constraints::compile(&Reader::new(constraints, FieldPath::default())).unwrap();
        compiled.matches(&Subjected::of(&Request { operation, ..Request::create(object) }))
    }

    #[test]
    fn constraints_name_resources() {
        for (kind, resource) in
            [("NetworkPolicy", "networkpolicies"), ("Ingress", "ingresses"), ("Gateway", "gateways")]
        {
            assert_eq!(resource_name(kind), resource);
        }
        let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]});
        let mut constraints = json!({"resourceRules": [rule]});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "n", "labels": {"tier": "web"}}});
        assert!(matches(&constraints, &object, Operation::Create));
        assert!(!matches(&constraints, &object, Operation::Delete));
        for (field, value, expected) in [
            ("objectSelector", json!({"matchLabels": {"tier": "web"}}), true),
            ("objectSelector", json!({"matchLabels": {"tier": "db"}}), false),
            ("namespaceSelector", json!({"matchLabels": {"a": "b"}}), false),
            ("namespaceSelector", json!({}), true),
        ] {
            let mut narrowed = constraints.clone();
            narrowed[field] = value;
            assert_eq!(matches(&narrowed, &object, Operation::Create), expected, "{narrowed}");
        }
        constraints["excludeResourceRules"] =
            json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]);
        assert!(!matches(&constraints, &object, Operation::Create));
    }
}
