//! The keys of a suite's files. A misspelt one would be passed over, and what it says never be tested.

use serde_json::Value;

use crate::finding::{Code, Finding, any_of, nearest};
use crate::model::{FieldPath, SourceText};
use crate::yaml::{self, Document};

/// What may stand in a place.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Anything,
    Text,
    Mapping,
    List,
    Texts,
    TextOrTexts,
    /// A mapping with these keys.
    Keys(&'static [Key]),
    /// A list of mappings with these keys.
    Each(&'static [Key]),
}

type Key = (&'static str, Shape);

use Shape::{Anything, Each, Keys, List, Mapping, Text, TextOrTexts, Texts};

/// Of a `kyverno-test.yaml`.
const TEST: &[Key] = &[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", Mapping),
    ("name", Text),
    ("policies", Texts),
    ("resources", Texts),
    ("jsonPayload", Text),
    ("jsonPayloads", Texts),
    ("httpPayloads", Texts),
    ("envoyPayloads", Texts),
    ("targetResources", Texts),
    ("paramResources", Texts),
    ("clusterResources", Texts),
    ("exceptions", Texts),
    ("variables", Text),
    ("userinfo", Text),
    ("context", Text),
    ("values", Keys(VALUES)),
    ("results", Each(RESULT)),
    ("globalContextEntries", Each(ENTRY)),
    ("apiCallResponses", Each(RESPONSE)),
];

const RESULT: &[Key] = &[
    ("policy", Text),
    ("rule", Text),
    ("result", Text),
    ("status", Text),
    ("kind", Text),
    ("resources", Texts),
    ("resource", Text),
    ("namespace", Text),
    ("operation", Text),
    ("patchedResource", TextOrTexts),
    ("patchedResources", TextOrTexts),
    ("generatedResource", TextOrTexts),
    ("cloneSourceResource", Text),
    ("isValidatingPolicy", Anything),
    ("isMutatingPolicy", Anything),
    ("isGeneratingPolicy", Anything),
    ("isDeletingPolicy", Anything),
    ("isImageValidatingPolicy", Anything),
    ("isValidatingAdmissionPolicy", Anything),
    ("isMutatingAdmissionPolicy", Anything),
];

const ENTRY: &[Key] = &[("name", Text), ("data", Anything), ("resources", List), ("resourceFiles", Texts)];

const RESPONSE: &[Key] = &[("url", Text), ("urlPath", Text), ("method", Text), ("response", Mapping)];

/// Of a file of values, and of `values` in the suite itself.
const VALUES: &[Key] = &[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", Mapping),
    ("name", Text),
    ("globalValues", Mapping),
    ("policies", Each(OF_POLICY)),
    ("namespaceSelector", Each(&[("name", Text), ("labels", Mapping)])),
    ("namespaces", List),
    ("subresources", Each(&[("subresource", Mapping), ("parentResource", Mapping)])),
    ("variables", Mapping),
];

/// Of a file of values for a command, which also answers what a cluster would.
const GIVEN: &[Key] = &[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", Mapping),
    ("globalValues", Mapping),
    ("policies", Each(OF_POLICY)),
    ("globalContextEntries", Each(&[("name", Text), ("data", Anything)])),
    ("apiCallResponses", Each(RESPONSE)),
    ("namespaceSelector", List),
    ("namespaces", List),
    ("subresources", List),
    ("variables", Mapping),
];

/// What a command passes over of a file that is made for suites.
const ONLY_SUITES: [&str; 4] = ["namespaceSelector", "namespaces", "subresources", "variables"];

const OF_POLICY: &[Key] = &[
    ("name", Text),
    ("resources", Each(&[("name", Text), ("values", Mapping)])),
    ("rules", Each(&[("name", Text), ("values", Mapping), ("foreachValues", Mapping)])),
];

const USER: &[Key] = &[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", Mapping),
    ("roles", Texts),
    ("clusterRoles", Texts),
    ("userInfo", Keys(&[("username", Text), ("uid", Text), ("groups", Texts), ("extra", Mapping)])),
];

/// What is wrong with the keys of a suite's own file.
pub(super) fn of_test(document: &Document) -> Vec<Finding> {
    let mut found = check(document, TEST);
    if document.value.get("checks").is_some() {
        let message = "`checks` are not evaluated here: what they expect is not tested";
        let place = yaml::locate(&document.source, &FieldPath::of_keys(["checks"]));
        found.retain(|finding| finding.location.as_ref() != Some(&place));
        let help = "write what is expected as entries of `results`";
        found.push(Finding::error(Code::SuiteBroken, message).at(place).help(help));
    }
    found
}

/// What is wrong with the keys of a suite's file of values.
pub(super) fn of_values(document: &Document) -> Vec<Finding> {
    check(document, VALUES)
}

/// What is wrong with the keys of a file that describes a user.
pub(super) fn of_user(document: &Document) -> Vec<Finding> {
    check(document, USER)
}

/// What is wrong with the keys of a file of values that is given to a command. What only suites use of such a file is a
/// warning.
pub fn of_given(document: &Document) -> Vec<Finding> {
    let mut found = check(document, GIVEN);
    for finding in &mut found {
        finding.code = Code::BadSettings;
    }
    for key in ONLY_SUITES.iter().filter(|key| document.value.get(key).is_some()) {
        let message = format!("{key} says nothing here, only in suites");
        let place = yaml::locate(&document.source, &FieldPath::of_keys([*key]));
        let help = "Namespaces are described in the repository, or given with --namespaces FILE";
        found.push(Finding::warning(Code::BadSettings, message).at(place).help(help));
    }
    found
}

fn check(document: &Document, keys: &'static [Key]) -> Vec<Finding> {
    let mut checker = Checker { source: &document.source, found: Vec::new() };
    checker.look(&document.value, Keys(keys), &FieldPath::default());
    checker.demand(&document.value, "apiCallResponses", &["url", "urlPath"]);
    checker.demand(&document.value, "globalContextEntries", &["name"]);
    checker.found
}

struct Checker<'s> {
    source: &'s SourceText,
    found: Vec<Finding>,
}

impl Checker<'_> {
    fn look(&mut self, value: &Value, shape: Shape, path: &FieldPath) {
        match (shape, value) {
            // What is left empty says nothing.
            (_, Value::Null) if !path.0.is_empty() => {}
            (Anything, _)
            | (Text | TextOrTexts, Value::String(_))
            | (Mapping, Value::Object(_))
            | (List, Value::Array(_)) => {}
            (Texts | TextOrTexts, Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.look(item, Text, &path.index(at));
                }
            }
            (Each(keys), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.look(item, Keys(keys), &path.index(at));
                }
            }
            (Keys(keys), Value::Object(map)) => {
                for (key, value) in map {
                    match keys.iter().find(|(known, _)| known == key) {
                        Some((_, shape)) => self.look(value, *shape, &path.key(key)),
                        None => self.unknown(&path.key(key), key, keys),
                    }
                }
            }
            (shape, value) => {
                let name = if path.0.is_empty() { "the document".to_owned() } else { path.to_string() };
                let message = format!("{name} must be {}, not {}", shape.words(), words_of(value));
                self.say(path, message, None);
            }
        }
    }

    /// Each entry of a list has one of these keys: without it, nobody would ever find the entry.
    fn demand(&mut self, value: &Value, list: &str, keys: &[&str]) {
        for (at, entry) in value[list].as_array().into_iter().flatten().enumerate() {
            let has = |key: &&str| entry[*key].as_str().is_some_and(|text| !text.is_empty());
            if entry.is_object() && !keys.iter().any(has) {
                let path = FieldPath::of_keys([list]).index(at);
                self.say(&path, format!("{path} has no {}", any_of(keys)), None);
            }
        }
    }

    fn unknown(&mut self, path: &FieldPath, key: &str, keys: &[Key]) {
        let known: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
        let help = match nearest(key, &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the keys here are {}", any_of(&known).replace(" or ", " and ")),
        };
        self.say(path, format!("unknown key {path}"), Some(help));
    }

    fn say(&mut self, path: &FieldPath, message: String, help: Option<String>) {
        let finding = Finding::error(Code::SuiteBroken, message).at(yaml::locate(self.source, path));
        self.found.push(Finding { help, ..finding });
    }
}

impl Shape {
    fn words(self) -> &'static str {
        match self {
            Anything => "something",
            Text => "a text",
            Mapping | Keys(_) => "a mapping",
            List | Each(_) => "a list",
            Texts => "a list of texts",
            TextOrTexts => "a text or a list of texts",
        }
    }
}

fn words_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, keys: &'static [Key]) -> Vec<String> {
        let document = yaml::read(&"f.yaml".parse().unwrap(), text.as_bytes()).remove(0).unwrap();
        let said = check(&document, keys).into_iter().map(|finding| {
            let at = finding.location.unwrap();
            format!("{}:{} {}; {}", at.line, at.column, finding.message, finding.help.unwrap_or_default())
        });
        said.collect()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        assert_eq!(
            said("kind: Test\nresutls: []\n", TEST),
            ["2:1 unknown key resutls; did you mean results?"]
        );
        let row = "results:\n- policy: p\n  resuorces: [a]\n";
        assert_eq!(said(row, TEST), ["3:3 unknown key results[0].resuorces; did you mean resources?"]);
    }

    #[test]
    fn a_value_of_another_type_is_named() {
        assert_eq!(said("policies: p.yaml\n", TEST), ["1:1 policies must be a list of texts, not a text; "]);
        assert_eq!(
            said("policies:\n- name: p\n  rules: [{name: r, vals: {}}]\n", VALUES),
            ["3:21 unknown key policies[0].rules[0].vals; did you mean values?"]
        );
        assert_eq!(said("policies:\n", TEST), Vec::<String>::new());
    }

    #[test]
    fn an_answer_says_to_what_it_is_one() {
        let text = "apiCallResponses:\n- response: {statusCode: 200}\n- url: a\n  response: {}\n";
        assert_eq!(said(text, GIVEN), ["2:3 apiCallResponses[0] has no url or urlPath; "]);
        assert_eq!(
            said("globalContextEntries: [{data: 1}]\n", GIVEN),
            ["1:24 globalContextEntries[0] has no name; "]
        );
    }
}
