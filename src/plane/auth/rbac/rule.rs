//! A rule of a role: what it allows and what it covers.

use serde_json::{Value, json};

use super::super::authorize::Attributes;

/// `PolicyRule`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub urls: Vec<String>,
}

fn has(set: &[String], wanted: &str) -> bool {
    set.iter().any(|one| one == wanted)
}

fn has_all(set: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|one| has(set, one))
}

/// Whether a URL pattern, which may end in `*`, covers a path or another pattern.
fn url_covers(pattern: &str, path: &str) -> bool {
    pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

impl Rule {
    /// The rules of a role.
    pub fn all(role: &Value) -> Vec<Rule> {
        role["rules"].as_array().into_iter().flatten().map(Rule::of).collect()
    }

    fn of(rule: &Value) -> Rule {
        let texts = |field: &str| {
            let list = rule[field].as_array();
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    /// Everything on every resource, and every path.
    pub fn full_authority() -> [Rule; 2] {
        let any = || vec!["*".to_owned()];
        [
            Rule { verbs: any(), groups: any(), resources: any(), ..Rule::default() },
            Rule { verbs: any(), urls: any(), ..Rule::default() },
        ]
    }

    pub fn allows(&self, wanted: &Attributes<'_>) -> bool {
        if !self.verbs.iter().any(|verb| verb == "*" || verb == wanted.verb) {
            return false;
        }
        if !wanted.is_resource {
            return self.urls.iter().any(|url| url == "*" || url_covers(url, wanted.path));
        }
        self.groups.iter().any(|group| group == "*" || group == wanted.group)
            && self.resources.iter().any(|resource| resource_matches(resource, wanted))
            && (self.names.is_empty() || has(&self.names, wanted.name))
    }

    /// Whether every right of `other`, which has at most one verb, resource and name, is in this one.
    fn covers(&self, other: &Rule) -> bool {
        (has(&self.verbs, "*") || has_all(&self.verbs, &other.verbs))
            && (has(&self.groups, "*") || has_all(&self.groups, &other.groups))
            && self.covers_resources(&other.resources)
            && (self.names.is_empty() || (!other.names.is_empty() && has_all(&self.names, &other.names)))
            && other.urls.iter().all(|path| self.urls.iter().any(|own| url_covers(own, path)))
    }

    fn covers_resources(&self, resources: &[String]) -> bool {
        has(&self.resources, "*")
            || resources.iter().all(|resource| {
                has(&self.resources, resource)
                    || resource
                        .split_once('/')
                        .is_some_and(|(_, subresource)| has(&self.resources, &format!("*/{subresource}")))
            })
    }

    /// The same rights as rules of one verb, resource and name each.
    fn broken_down(&self) -> Vec<Rule> {
        let one = |text: &String| vec![text.clone()];
        let names: Vec<Vec<String>> =
            if self.names.is_empty() { vec![Vec::new()] } else { self.names.iter().map(one).collect() };
        let mut rules = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    rules.extend(names.iter().map(|name| Rule {
                        verbs: one(verb),
                        groups: one(group),
                        resources: one(resource),
                        names: name.clone(),
                        urls: Vec::new(),
                    }));
                }
            }
        }
        for url in &self.urls {
            for verb in &self.verbs {
                rules.push(Rule { verbs: one(verb), urls: one(url), ..Rule::default() });
            }
        }
        rules
    }

    /// The rights among `wanted` that `owned` does not hold.
    pub fn missing(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
        let all = wanted.iter().flat_map(Rule::broken_down);
        all.filter(|right| !owned.iter().any(|rule| rule.covers(right))).collect()
    }

    /// Rules on the same resource in one rule.
    pub fn compact(rules: Vec<Rule>) -> Vec<Rule> {
        let mut compacted: Vec<Rule> = Vec::new();
        for rule in rules {
            let simple = rule.is_simple();
            let same = |other: &&mut Rule| {
                other.is_simple()
                    && (&other.groups, &other.resources, &other.names)
                        == (&rule.groups, &rule.resources, &rule.names)
            };
            match compacted.iter_mut().find(same).filter(|_| simple) {
                Some(other) => other.verbs.extend(rule.verbs),
                None => compacted.push(rule),
            }
        }
        compacted
    }

    fn is_simple(&self) -> bool {
        self.names.len() <= 1 && self.urls.is_empty() && self.groups.len() == 1 && self.resources.len() == 1
    }

    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    pub fn short(&self) -> String {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, texts)| !texts.is_empty())
            .map(|(name, texts)| format!("{name}:{}", quoted(texts)))
            .collect();
        format!("{{{}}}", parts.join(", "))
    }

    /// How a rules review tells it: as a rule on resources, on paths, or both.
    pub fn reviewed(&self) -> (Option<Value>, Option<Value>) {
        let resources = (!self.resources.is_empty()).then(|| {
            let mut rule = json!({"verbs": self.verbs});
            for (field, texts) in
                [("apiGroups", &self.groups), ("resources", &self.resources), ("resourceNames", &self.names)]
            {
                if !texts.is_empty() {
                    rule[field] = texts.clone().into();
                }
            }
            rule
        });
        let paths =
            (!self.urls.is_empty()).then(|| json!({"verbs": self.verbs, "nonResourceURLs": self.urls}));
        (resources, paths)
    }
}

fn resource_matches(resource: &str, wanted: &Attributes<'_>) -> bool {
    if resource == "*" {
        return true;
    }
    if wanted.subresource.is_empty() {
        return resource == wanted.resource;
    }
    resource.split_once('/').is_some_and(|(resource, subresource)| {
        subresource == wanted.subresource && (resource == "*" || resource == wanted.resource)
    })
}

/// `["a" "b"]`.
pub(crate) fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::auth::User;

    fn rule(value: Value) -> Rule {
        Rule::of(&value)
    }

    #[test]
    fn a_rule_allows_what_it_names() {
        let user = User::new("x", &[]);
        let get = Attributes::resource(&user, "get", "", "pods");
        let pods = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}));
        assert!(pods.allows(&get));
        assert!(!pods.allows(&Attributes { subresource: "log", ..get }));
        assert!(!pods.allows(&Attributes { group: "apps", ..get }));
        let logs = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/log"]}));
        assert!(!logs.allows(&get));
        assert!(logs.allows(&Attributes { subresource: "log", ..get }));
        let one =
            rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}));
        assert!(one.allows(&Attributes { name: "a", ..get }));
        assert!(!one.allows(&get), "a list is about no name");
    }

    #[test]
    fn a_rule_allows_paths() {
        let user = User::new("x", &[]);
        let path =
            |path| Attributes { is_resource: false, path, ..Attributes::resource(&user, "get", "", "") };
        let health = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz/*", "/version"]}));
        assert!(health.allows(&path("/healthz/etcd")));
        assert!(!health.allows(&path("/healthz")));
        assert!(health.allows(&path("/version")));
    }

    #[test]
    fn missing_rights_are_told_compactly() {
        let owned = [rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/status"]}))];
        let wanted = rule(json!({
            "verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "nodes/status"],
        }));
        let missing = Rule::compact(Rule::missing(&owned, &[wanted]));
        let texts: Vec<String> = missing.iter().map(Rule::short).collect();
        assert_eq!(
            texts,
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
                r#"{APIGroups:[""], Resources:["nodes/status"], Verbs:["list" "watch"]}"#
            ]
        );
    }

    #[test]
    fn a_named_right_does_not_cover_an_unnamed_one() {
        let named = rule(
            json!({"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]}),
        );
        let all = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}));
        assert_eq!(Rule::missing(std::slice::from_ref(&named), std::slice::from_ref(&all)).len(), 1);
        assert!(Rule::missing(&Rule::full_authority(), &[named, all]).is_empty());
    }
}
