//! Why a rule is about an object, or is not.

use serde_json::{Map, Value, json};

use super::{Filter, Filters, Matching, Selection, Subjected};
use crate::expr::explain::Steps;
use crate::expr::wildcard;
use crate::policy::request::UserInfo;

impl Matching {
    /// `match` and `exclude`, each filter with the parts that decide.
    pub(crate) fn explain(&self, object: &Subjected<'_>) -> Steps {
        let mut steps = Steps::default();
        match &self.0 {
            Selection::Constraints(constraints) => steps.append(0, constraints.explain(object)),
            Selection::Filters { include, exclude } => {
                block("match", include, object, Filter::includes, &mut steps);
                // What is not matched need not be excluded.
                let included = include.hold(|filter| filter.includes(object));
                if let Some(exclude) = exclude.as_ref().filter(|_| included) {
                    block("exclude", exclude, object, Filter::excludes, &mut steps);
                }
            }
        }
        steps
    }
}

impl Filters {
    fn hold(&self, holds: impl Fn(&Filter) -> bool) -> bool {
        match self {
            Filters::Any(filters) => filters.iter().any(holds),
            Filters::All(filters) => filters.iter().all(holds),
        }
    }
}

/// A block, its filters, and of each the parts that the object does not have.
fn block(
    name: &str,
    filters: &Filters,
    object: &Subjected<'_>,
    holds: fn(&Filter, &Subjected<'_>) -> bool,
    steps: &mut Steps,
) {
    steps.add(0, name, Ok(filters.hold(|filter| holds(filter, object)).into()));
    let (word, list) = match filters {
        Filters::Any(list) => ("any", list),
        Filters::All(list) => ("all", list),
    };
    for (at, filter) in list.iter().enumerate() {
        steps.add(1, format!("{word}[{at}]"), Ok(holds(filter, object).into()));
        for (text, fits, found) in filter.parts(object) {
            steps.add(2, text, Ok(fits.into()));
            if !fits {
                steps.add(3, found.0, Ok(found.1));
            }
        }
    }
}

/// What is asked, whether it is so, and what was found.
type Part = (String, bool, (&'static str, Value));

impl Filter {
    fn parts(&self, object: &Subjected<'_>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut add = |text: String, fits: bool, found: &'static str, value: Value| {
            parts.push((text, fits, (found, value)));
        };
        if !self.kinds.is_empty() {
            let kinds: Vec<String> = self.kinds.iter().map(|kind| kind.written()).collect();
            let fits = self.kinds.iter().any(|kind| kind.matches(&object.gvk, object.subresource));
            let own = match object.subresource {
                "" => format!("{}/{}", object.gvk.api_version(), object.gvk.kind),
                below => format!("{}/{}/{below}", object.gvk.api_version(), object.gvk.kind),
            };
            add(format!("kinds {}", kinds.join(", ")), fits, "kind", own.into());
        }
        let any = |patterns: &[String], text: &str| patterns.iter().any(|p| wildcard::matches(p, text));
        if let Some(name) = &self.name {
            add(format!("name {name}"), wildcard::matches(name, object.name), "name", object.name.into());
        }
        if !self.names.is_empty() {
            add(
                format!("names {}", self.names.join(", ")),
                any(&self.names, object.name),
                "name",
                object.name.into(),
            );
        }
        if !self.namespaces.is_empty() {
            let fits = any(&self.namespaces, object.namespace);
            let text = format!("namespaces {}", self.namespaces.join(", "));
            add(text, fits, "namespace", object.namespace.into());
        }
        if !self.operations.is_empty() {
            let fits = self.operations.iter().any(|operation| operation == object.operation);
            let text = format!("operations {}", self.operations.join(", "));
            add(text, fits, "operation", object.operation.into());
        }
        for (key, value) in &self.annotations {
            let alone = Filter { annotations: vec![(key.clone(), value.clone())], ..Filter::default() };
            let fits = alone.resources_match(object);
            add(format!("annotation {key}={value}"), fits, "annotations", of(object.annotations));
        }
        if let Some(selector) = &self.selector {
            let text = format!("labels {}", selector.written());
            add(text, selector.matches(object.labels), "labels", of(object.labels));
        }
        if let Some(selector) = &self.namespace_selector {
            let is_namespace = &*object.gvk.kind == "Namespace";
            let fits = !is_namespace && selector.matches(&object.namespace_labels);
            let text = format!("labels of the namespace {}", selector.written());
            add(text, fits, "labels of the namespace", of(&object.namespace_labels));
        }
        if self.names_users() {
            let fits = object.user.is_none_or(|user| self.user_matches(user));
            add(self.users(), fits, "user", object.user.map_or(Value::Null, described));
        }
        if parts.is_empty() {
            parts.push(("the filter is empty".to_owned(), false, ("filter", json!({}))));
        }
        parts
    }

    fn users(&self) -> String {
        let subjects = self.subjects.iter().map(|subject| format!("{} {}", subject.kind, subject.name));
        let roles = self.roles.iter().chain(&self.cluster_roles).cloned();
        format!("asked by one of {}", subjects.chain(roles).collect::<Vec<_>>().join(", "))
    }
}

fn of(map: &Map<String, Value>) -> Value {
    Value::Object(map.clone())
}

fn described(user: &UserInfo) -> Value {
    json!({"username": user.name, "groups": user.groups})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;
    use crate::policy::Request;
    use crate::policy::reader::Reader;

    fn explained(rule: &Value, object: &Value) -> String {
        let matching = Matching::compile(&Reader::new(rule, FieldPath::default())).unwrap();
        matching.explain(&Subjected::of(&Request::create(object))).to_text()
    }

    #[test]
    fn each_filter_tells_what_does_not_fit() {
        let rule = json!({
            "match": {"any": [
                {"resources": {"kinds": ["apps/v1/Deployment", "Pod/exec"]}},
                {"resources": {"kinds": ["Pod"], "namespaces": ["team-*"], "selector": {"matchLabels": {"a": "b"}}}},
            ]},
            "exclude": {"any": [{"resources": {"names": ["x*"]}}]}
        });
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "xy", "namespace": "n"}});
        insta::assert_snapshot!(explained(&rule, &pod), @r#"
        match → false
          any[0] → false
            kinds apps/v1/Deployment, Pod/exec → false
              kind → "v1/Pod"
          any[1] → false
            kinds Pod → true
            namespaces team-* → false
              namespace → "n"
            labels a=b → false
              labels → {}
        "#);
        pod["metadata"]["namespace"] = json!("team-a");
        pod["metadata"]["labels"] = json!({"a": "b"});
        assert!(explained(&rule, &pod).contains("exclude → true\n  any[0] → true\n    names x* → true\n"));
    }
}
