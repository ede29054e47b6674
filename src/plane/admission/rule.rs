//! One rule of a policy or a webhook: which requests it is about.

use serde_json::Value;

use super::Operation;

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub operation: Operation,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Of a namespace the namespace itself.
    pub namespace: &'a str,
    /// The name, empty while it is not made up yet.
    pub name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Cluster,
    Namespaced,
}

/// `RuleWithOperations`, with the names that a policy's rule may have.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// Resource and subresource.
    resources: Vec<(String, String)>,
    scope: Scope,
    names: Vec<String>,
}

impl Rule {
    /// The rule that an object says.
    pub fn of(rule: &Value) -> Rule {
        let resource = |text: String| match text.split_once('/') {
            Some((resource, subresource)) => (resource.to_owned(), subresource.to_owned()),
            None => (text, String::new()),
        };
        Rule {
            operations: texts(&rule["operations"]),
            groups: texts(&rule["apiGroups"]),
            versions: texts(&rule["apiVersions"]),
            resources: texts(&rule["resources"]).into_iter().map(resource).collect(),
            scope: match rule["scope"].as_str() {
                Some("Cluster") => Scope::Cluster,
                Some("Namespaced") => Scope::Namespaced,
                _ => Scope::All,
            },
            names: texts(&rule["resourceNames"]),
        }
    }

    /// Whether the rule is about a request.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.in_scope(subject)
            && one_of(&self.operations, subject.operation.name())
            && one_of(&self.groups, subject.group)
            && one_of(&self.versions, subject.version)
            && self.resources.iter().any(|(resource, subresource)| {
                (resource == "*" || resource == subject.resource)
                    && (subresource == "*" || subresource == subject.subresource)
            })
            && (self.names.is_empty() || self.names.iter().any(|name| name == subject.name))
    }

    /// Whether it can be about objects of a resource at all.
    pub fn may_match(&self, group: &str, resource: &str) -> bool {
        one_of(&self.groups, group) && self.resources.iter().any(|(name, _)| name == "*" || name == resource)
    }

    fn in_scope(&self, subject: &Subject<'_>) -> bool {
        // A request about a namespace names it as its namespace, and is about something of the cluster all the same.
        let is_namespace = (subject.group, subject.version, subject.resource) == ("", "v1", "namespaces");
        let cluster = is_namespace || subject.namespace.is_empty();
        match self.scope {
            Scope::All => true,
            Scope::Cluster => cluster,
            Scope::Namespaced => !cluster,
        }
    }
}

fn one_of(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == "*" || item == wanted)
}

/// A list of texts.
pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn subject() -> Subject<'static> {
        Subject {
            operation: Operation::Create,
            group: "apps",
            version: "v1",
            resource: "deployments",
            subresource: "",
            namespace: "ns",
            name: "n",
        }
    }

    fn rule(changes: Value) -> Rule {
        let mut rule =
            json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]});
        json_patch::merge(&mut rule, &changes);
        Rule::of(&rule)
    }

    #[test]
    fn every_part_must_fit() {
        assert!(rule(json!({})).matches(&subject()));
        for (changes, fits) in [
            (json!({"operations": ["CREATE"]}), true),
            (json!({"operations": ["UPDATE", "DELETE"]}), false),
            (json!({"apiGroups": ["apps"]}), true),
            (json!({"apiGroups": [""]}), false),
            (json!({"apiVersions": ["v1beta1", "v1"]}), true),
            (json!({"apiVersions": ["v2"]}), false),
            (json!({"resources": ["deployments"]}), true),
            (json!({"resources": ["deployments/*"]}), true),
            (json!({"resources": ["deployments/scale", "*/status"]}), false),
            (json!({"resources": ["*/*"]}), true),
            (json!({"resourceNames": ["n", "m"]}), true),
            (json!({"resourceNames": ["m"]}), false),
        ] {
            assert_eq!(rule(changes.clone()).matches(&subject()), fits, "{changes}");
        }
    }

    #[test]
    fn subresources_must_be_named() {
        let scale = Subject { subresource: "scale", ..subject() };
        assert!(!rule(json!({})).matches(&scale));
        for resources in [json!(["*/scale"]), json!(["deployments/*"]), json!(["deployments/scale"])] {
            assert!(rule(json!({ "resources": resources })).matches(&scale));
        }
    }

    #[test]
    fn a_namespace_is_of_the_cluster() {
        let namespace = Subject { group: "", resource: "namespaces", ..subject() };
        assert!(rule(json!({"scope": "Cluster"})).matches(&namespace));
        assert!(!rule(json!({"scope": "Namespaced"})).matches(&namespace));
        assert!(rule(json!({"scope": "Namespaced"})).matches(&subject()));
        assert!(!rule(json!({"scope": "Namespaced"})).matches(&Subject { namespace: "", ..subject() }));
    }
}
