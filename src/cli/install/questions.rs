//! What policies ask the API server for, as rights to read it: as far as the policies' texts tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::rights::{named, rule};
use crate::model::Manifest;

/// Stands for a variable in a path: it may be anything but a slash.
const ANYTHING: char = '\u{1}';

/// What the questions of policies take.
#[derive(Debug, Default, PartialEq)]
pub struct Questions {
    /// Group, resource, and the name if it is always the same one; with the verbs.
    reads: BTreeMap<(String, String, Option<String>), BTreeSet<&'static str>>,
    /// Paths that are no objects.
    paths: BTreeSet<String>,
    /// What cannot be told before it is asked: policy and text.
    pub unknown: BTreeSet<(String, String)>,
}

impl Questions {
    /// Those of these policies; `all` are the objects of the repository, among which are the global entries.
    pub fn of<'a>(
        policies: impl IntoIterator<Item = &'a Manifest>,
        all: impl IntoIterator<Item = &'a Manifest> + Clone,
    ) -> Questions {
        let mut questions = Questions::default();
        for policy in policies {
            let body = &policy.body;
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            questions.look_into(body, name, &all);
        }
        questions
    }

    /// The rules for them; what is `covered` by other rules is left out.
    pub fn rules(&self, covered: impl Fn(&str, &str) -> bool) -> Vec<Value> {
        let reads = self.reads.iter().filter(|((group, resource, _), _)| !covered(group, resource));
        let mut rules: Vec<Value> = reads
            .map(|((group, resource, name), verbs)| {
                let verbs: Vec<&str> = verbs.iter().copied().collect();
                match name {
                    Some(name) => named(group, resource, &[name], &verbs),
                    None => rule(group, [resource.as_str()], &verbs),
                }
            })
            .collect();
        if !self.paths.is_empty() {
            rules.push(json!({"nonResourceURLs": self.paths, "verbs": ["get"]}));
        }
        rules
    }

    /// Whether Secrets are among what is read.
    pub fn read_secrets(&self) -> bool {
        self.reads.keys().any(|(group, resource, _)| group.is_empty() && resource == "secrets")
    }

    fn look_into<'a>(
        &mut self,
        value: &Value,
        policy: &str,
        all: &(impl IntoIterator<Item = &'a Manifest> + Clone),
    ) {
        match value {
            Value::Object(fields) => {
                // A POST is never sent.
                let call = fields.get("apiCall").filter(|call| call["method"] != "POST");
                if let Some(path) = call.and_then(|call| call["urlPath"].as_str()) {
                    self.path(path, policy);
                }
                if let Some(map) = fields.get("configMap").filter(|_| fields.contains_key("name")) {
                    let name = map["name"].as_str().filter(|name| !name.contains("{{"));
                    self.read("", "configmaps", name, "get");
                }
                if let Some(name) = fields.get("globalReference").and_then(|it| it["name"].as_str()) {
                    self.global(name, policy, all);
                }
                fields.values().for_each(|value| self.look_into(value, policy, all));
            }
            Value::Array(items) => items.iter().for_each(|item| self.look_into(item, policy, all)),
            Value::String(text) => self.look_ups(text, policy, all),
            _ => {}
        }
    }

    fn read(&mut self, group: &str, resource: &str, name: Option<&str>, verb: &'static str) {
        let key = (group.to_owned(), resource.to_owned(), name.map(str::to_owned));
        self.reads.entry(key).or_default().insert(verb);
    }

    fn not_told(&mut self, policy: &str, text: &str) {
        self.unknown.insert((policy.to_owned(), text.to_owned()));
    }

    /// `/apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME`, or less of it; any part may be a variable.
    fn path(&mut self, path: &str, policy: &str) {
        let plain = without_variables(path);
        let plain = plain.split('?').next().unwrap_or_default();
        let mut parts = plain.split('/').filter(|part| !part.is_empty());
        let (group, rest): (&str, Vec<&str>) = match parts.next() {
            Some("api") => ("", parts.skip(1).collect()),
            Some("apis") => (parts.next().unwrap_or_default(), parts.skip(1).collect()),
            Some(first) if !first.contains(ANYTHING) && !plain.contains(ANYTHING) => {
                self.paths.insert(plain.trim_end_matches('/').to_owned());
                return;
            }
            _ => return self.not_told(policy, path),
        };
        let of_object = match rest[..] {
            ["namespaces", _, ref object @ ..] if !object.is_empty() => object,
            ref object => object,
        };
        let Some(resource) = of_object.first().filter(|part| !part.contains(ANYTHING)) else {
            return self.not_told(policy, path);
        };
        if group.contains(ANYTHING) {
            return self.not_told(policy, path);
        }
        let resource = match of_object.get(2) {
            Some(part) => format!("{resource}/{part}"),
            None => (*resource).to_owned(),
        };
        let name = of_object.get(1);
        let verb = if name.is_some() { "get" } else { "list" };
        self.read(group, &resource, name.copied().filter(|name| !name.contains(ANYTHING)), verb);
    }

    fn global<'a>(
        &mut self,
        name: &str,
        policy: &str,
        all: &(impl IntoIterator<Item = &'a Manifest> + Clone),
    ) {
        let mut all = all.clone().into_iter();
        let entry = all.find(|it| it.id.kind() == "GlobalContextEntry" && it.id.name() == name);
        let spec = entry.map(|entry| &entry.body["spec"]);
        let kind = spec.map(|spec| &spec["kubernetesResource"]).filter(|kind| kind.is_object());
        match (kind, spec.and_then(|spec| spec["apiCall"]["urlPath"].as_str())) {
            (Some(kind), _) => {
                let text = |field: &str| kind[field].as_str().unwrap_or_default();
                self.read(text("group"), text("resource"), None, "list");
            }
            (None, Some(path)) => self.path(path, policy),
            (None, None) => self.not_told(policy, &format!("the global entry {name}")),
        }
    }

    /// `resource.Get("v1", "pods", ...)` and its like in CEL.
    fn look_ups<'a>(
        &mut self,
        text: &str,
        policy: &str,
        all: &(impl IntoIterator<Item = &'a Manifest> + Clone),
    ) {
        // Both spellings are the language's. A POST is never sent.
        for (call, verb) in [
            ("resource.Get(", "get"),
            ("resource.get(", "get"),
            ("resource.List(", "list"),
            ("resource.list(", "list"),
        ] {
            for (at, _) in text.match_indices(call) {
                let arguments = &text[at + call.len()..];
                let told = literal(arguments).and_then(|(version, rest)| {
                    let (resource, _) = literal(rest.trim_start().strip_prefix(',')?)?;
                    Some((version.split_once('/').map_or("", |(group, _)| group), resource))
                });
                match told {
                    Some((group, resource)) => self.read(group, resource, None, verb),
                    None => {
                        let end = arguments.find(')').map_or(text.len(), |end| at + call.len() + end + 1);
                        self.not_told(policy, &text[at..end]);
                    }
                }
            }
        }
        let entries = ["globalContext.Get(", "globalContext.get("];
        for (at, call) in entries.into_iter().flat_map(|call| text.match_indices(call)) {
            match literal(&text[at + call.len()..]) {
                Some((name, _)) => self.global(name, policy, all),
                None => self.not_told(policy, call),
            }
        }
    }
}

/// A text in quotes at the beginning, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    text[1..].split_once(quote)
}

/// The path with each `{{ ... }}` made one character.
fn without_variables(path: &str) -> String {
    let mut plain = String::new();
    let mut rest = path;
    while let Some((before, variable)) = rest.split_once("{{") {
        plain.push_str(before);
        plain.push(ANYTHING);
        let mut depth = 1;
        let mut end = variable.len();
        for (at, _) in variable.char_indices() {
            depth = match &variable[at..] {
                text if text.starts_with("{{") => depth + 1,
                text if text.starts_with("}}") => depth - 1,
                _ => depth,
            };
            if depth == 0 {
                end = at + 2;
                break;
            }
        }
        rest = &variable[end..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::repo;

    fn questions(spec: &Value) -> Questions {
        let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"}, "spec": spec});
        let entry = json!({"apiVersion": "kyverno.io/v2alpha1", "kind": "GlobalContextEntry", "metadata": {"name": "g"},
            "spec": {"kubernetesResource": {"group": "apps", "version": "v1", "resource": "deployments"}}});
        let repo = repo().file("p.yaml", &policy.to_string()).file("g.yaml", &entry.to_string());
        let manifests = repo.render().manifests;
        let of = |kind: &'static str| manifests.iter().map(|it| &**it).filter(move |it| it.id.kind() == kind);
        Questions::of(of("ClusterPolicy"), of("GlobalContextEntry"))
    }

    fn of_path(path: &str) -> Vec<Value> {
        let spec = json!({"rules": [{"context": [{"name": "x", "apiCall": {"urlPath": path}}]}]});
        questions(&spec).rules(|_, _| false)
    }

    #[test]
    fn a_path_is_a_right_whatever_its_variables_hold() {
        for (path, right) in [
            ("/api/v1/namespaces/{{request.namespace}}/pods", rule("", ["pods"], &["list"])),
            ("/api/v1/namespaces/{{ a || 'x/y' }}/pods/{{ b }}?x=/", rule("", ["pods"], &["get"])),
            ("/apis/apps/v1/deployments?labelSelector=a/b", rule("apps", ["deployments"], &["list"])),
            ("/api/v1/namespaces/kube-system", named("", "namespaces", &["kube-system"], &["get"])),
            ("/api/v1/namespaces", rule("", ["namespaces"], &["list"])),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                named("apps", "deployments/scale", &["d"], &["get"]),
            ),
            ("/version", json!({"nonResourceURLs": ["/version"], "verbs": ["get"]})),
        ] {
            assert_eq!(of_path(path), [right], "{path}");
        }
    }

    #[test]
    fn what_nobody_can_tell_is_named() {
        for path in ["/apis/{{ g }}/v1/things", "/api/v1/{{ kind }}", "{{ path }}"] {
            let spec = json!({"rules": [{"context": [{"name": "x", "apiCall": {"urlPath": path}}]}]});
            let found = questions(&spec);
            assert!(found.rules(|_, _| false).is_empty(), "{path}");
            assert_eq!(found.unknown, [("p".to_owned(), path.to_owned())].into(), "{path}");
        }
    }

    #[test]
    fn look_ups_are_found_in_both_spellings() {
        for (expression, right) in [
            ("resource.get('v1', 'pods', 'a', 'b') == null", rule("", ["pods"], &["get"])),
            (
                "resource.list('apps/v1', 'deployments', 'a') == null",
                rule("apps", ["deployments"], &["list"]),
            ),
            ("globalContext.get('g') == null", rule("apps", ["deployments"], &["list"])),
        ] {
            let found = questions(&json!({"validations": [{"expression": expression}]}));
            assert_eq!(found.rules(|_, _| false), [right], "{expression}");
        }
    }

    #[test]
    fn what_is_never_sent_needs_no_right() {
        let call = json!({"urlPath": "/apis/a.test/v1/things", "method": "POST", "data": [{"key": "a", "value": "b"}]});
        let found = questions(&json!({"rules": [{"context": [{"name": "x", "apiCall": call}]}],
            "validations": [{"expression": "resource.Post('v1', 'pods', {}) == resource.post('v1', 'pods', {})"}]}));
        assert_eq!(found, Questions::default());
    }

    #[test]
    fn maps_global_entries_and_look_ups_are_questions_too() {
        let spec = json!({"rules": [{"context": [
            {"name": "m", "configMap": {"name": "settings", "namespace": "default"}},
            {"name": "n", "configMap": {"name": "{{ x }}", "namespace": "default"}},
            {"name": "g", "globalReference": {"name": "g"}},
            {"name": "h", "globalReference": {"name": "nowhere"}},
        ]}], "validations": [{"expression":
            "resource.List('v1', \"secrets\", 'a').items.size() > 0 && resource.Get(v, 'pods', 'a', 'b') == null"}]});
        let found = questions(&spec);
        let rights = [
            rule("", ["configmaps"], &["get"]),
            named("", "configmaps", &["settings"], &["get"]),
            rule("", ["secrets"], &["list"]),
            rule("apps", ["deployments"], &["list"]),
        ];
        assert_eq!(found.rules(|_, _| false), rights);
        assert_eq!(found.rules(|group, _| group.is_empty()), rights[3..]);
        assert!(found.read_secrets());
        let unknown: Vec<&str> = found.unknown.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(unknown, ["resource.Get(v, 'pods', 'a', 'b')", "the global entry nowhere"]);
    }
}
