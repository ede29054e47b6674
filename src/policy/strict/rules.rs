//! What Kyverno refuses in a policy whose fields are all known.

use serde_json::Value;

use super::super::anchor::{self, Anchor};
use super::super::reader::Reader;
use super::Problems;
use crate::expr::operator::Operator;

const DOES: [&str; 4] = ["validate", "mutate", "generate", "verifyImages"];
const NAME_LIMIT: usize = 63;
/// Names that a context cannot give to anything else.
const RESERVED: [&str; 6] =
    ["images", "request", "serviceAccountName", "serviceAccountNamespace", "element", "elementIndex"];

pub(super) fn of_spec(spec: &Reader<'_>, problems: &mut Problems) {
    let says_no = |name: &str| spec.value[name] == Value::Bool(false);
    if says_no("admission") && says_no("background") {
        problems.errors.push(spec.error("with admission and background both false, nothing is ever judged"));
    }
    one_of(spec, "applyRules", &["All", "One"], problems);
    one_of(spec, "failurePolicy", &["Fail", "Ignore"], problems);
    let mut names: Vec<&str> = Vec::new();
    for rule in spec.list("rules").unwrap_or_default() {
        let Some(name) = rule.value["name"].as_str() else { continue };
        if names.contains(&name) {
            problems.errors.push(rule.error(format!("another rule is called {name:?} as well")));
        }
        names.push(name);
    }
}

fn one_of(reader: &Reader<'_>, name: &str, words: &[&str], problems: &mut Problems) {
    if let Some(field) = reader.field(name)
        && !words.iter().any(|word| field.value == word)
    {
        problems.errors.push(field.error(format!("{name} is {}", words.join(" or "))));
    }
}

pub(super) fn of_rule(rule: &Reader<'_>, background: bool, problems: &mut Problems) {
    let does: Vec<Reader<'_>> =
        DOES.iter().filter_map(|name| rule.field(name)).filter(is_something).collect();
    if let [_, second, ..] = &does[..] {
        let names = does.iter().filter_map(|part| Some(part.path.to_string().rsplit('.').next()?.to_owned()));
        let names: Vec<String> = names.collect();
        problems.errors.push(second.error(format!("a rule does one thing, not {}", names.join(" and "))));
    }
    if rule.value["name"].as_str().is_some_and(|name| name.len() > NAME_LIMIT) {
        let message = format!("the name of a rule has at most {NAME_LIMIT} characters");
        problems.errors.push(Reader::new(&rule.value["name"], rule.path.key("name")).error(message));
    }
    for name in ["match", "exclude"] {
        if let Some(block) = rule.field(name) {
            of_block(&block, background, problems);
        }
    }
    contexts(rule, problems);
    conditions(rule, problems);
    if let Some(validate) = rule.field("validate") {
        of_validate(&validate, problems);
    }
}

/// A CleanupPolicy's `spec`: nobody asks for what it does, and it reads neither ConfigMaps nor registries.
pub(super) fn of_cleanup(spec: &Reader<'_>, problems: &mut Problems) {
    let mut known: Vec<&Value> = Vec::new();
    for name in ["match", "exclude"] {
        let Some(block) = spec.field(name) else { continue };
        of_block(&block, false, problems);
        let lists = ["any", "all"].map(|list| block.list(list).unwrap_or_default());
        for filter in lists.iter().flatten() {
            let users = ["roles", "clusterRoles", "subjects"].iter().filter_map(|name| filter.field(name));
            for named in users.filter(is_something) {
                problems.errors.push(named.error("nobody is known who asks for what goes by a schedule"));
            }
        }
        for filter in &lists[0] {
            if name == "exclude" && known.contains(&filter.value) {
                problems
                    .errors
                    .push(filter.error("what is matched is excluded: the policy is about nothing"));
            }
            known.push(filter.value);
        }
    }
    for entry in spec.list("context").unwrap_or_default() {
        for name in ["configMap", "imageRegistry"] {
            if let Some(part) = entry.field(name) {
                problems.errors.push(part.error(format!("{name} is not allowed in a policy that cleans up")));
            }
        }
    }
    contexts(spec, problems);
}

/// Whether a part is more than an empty mapping or list.
fn is_something(part: &Reader<'_>) -> bool {
    match part.value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

/// `match` or `exclude`.
fn of_block(block: &Reader<'_>, background: bool, problems: &mut Problems) {
    let lists = ["any", "all"].map(|name| block.field(name).filter(is_something));
    if let [Some(_), Some(all)] = &lists {
        problems.errors.push(all.error("any and all cannot stand together"));
    }
    if let (Some(_), Some(resources)) =
        (lists.iter().flatten().next(), block.field("resources").filter(is_something))
    {
        problems.errors.push(resources.error("resources cannot stand beside any or all"));
    }
    let mut filters = vec![block.clone()];
    filters.extend(lists.iter().flatten().flat_map(|list| list.items().unwrap_or_default()));
    for filter in filters {
        if let Some(kinds) = filter.field("resources").and_then(|resources| resources.field("kinds")) {
            every_kind(&kinds, background, problems);
        }
        let users = ["roles", "clusterRoles", "subjects"].iter().filter_map(|name| filter.field(name));
        for named in users.filter(is_something).filter(|_| background) {
            problems.warnings.push(named.error(
                "nobody is known by name when what is there is scanned: Kyverno wants spec.background: false",
            ));
        }
    }
}

fn every_kind(kinds: &Reader<'_>, background: bool, problems: &mut Problems) {
    let list = kinds.value.as_array().map_or(&[][..], Vec::as_slice);
    if !list.iter().any(|kind| kind == "*") {
        return;
    }
    if list.len() > 1 {
        problems.errors.push(kinds.error("beside * no other kind can stand"));
    }
    if background {
        problems.warnings.push(kinds.error("Kyverno takes * as a kind only with spec.background: false"));
    }
}

/// All contexts of a rule, wherever they stand.
fn contexts(reader: &Reader<'_>, problems: &mut Problems) {
    each(reader, &mut |name, part| {
        if name != "context" {
            return;
        }
        for entry in part.items().unwrap_or_default() {
            let called = entry.value["name"].as_str().unwrap_or_default();
            if RESERVED.iter().any(|name| called == *name || called.starts_with(&format!("{name}."))) {
                problems
                    .errors
                    .push(entry.error(format!("the name {called:?} is taken by what is known anyway")));
            }
            let kinds = ["variable", "configMap", "apiCall", "globalReference", "imageRegistry"];
            let found: Vec<&str> = kinds.into_iter().filter(|kind| entry.field(kind).is_some()).collect();
            if found.len() > 1 {
                problems.errors.push(entry.error(format!("an entry is one of {}", found.join(", "))));
            }
            let Some(variable) = entry.field("variable") else { continue };
            let has = |name: &str| variable.field(name).is_some_and(|field| field.value != "");
            if !has("value") && !has("jmesPath") {
                problems.errors.push(variable.error("a variable has a value or a jmesPath"));
            } else if has("default") && !has("jmesPath") {
                problems.errors.push(variable.error("a default stands only beside a jmesPath"));
            }
        }
    });
}

/// What a condition compares the operation with.
fn conditions(reader: &Reader<'_>, problems: &mut Problems) {
    const OPERATIONS: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];
    each(reader, &mut |name, part| {
        let is_condition =
            part.value["operator"].as_str().is_some_and(|word| Operator::parse(word).is_some());
        let key = part.value["key"].as_str().unwrap_or_default().replace(' ', "");
        if name == "pattern" || !is_condition || key != "{{request.operation}}" {
            return;
        }
        let value = &part.value["value"];
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let wrong = list.iter().find(|word| match word.as_str() {
            Some(word) => !word.contains("{{") && !OPERATIONS.contains(&word),
            None => true,
        });
        if let Some(wrong) = wrong {
            let message = format!("{wrong} is no operation; these are {}", OPERATIONS.join(", "));
            problems.errors.push(Reader::new(value, part.path.key("value")).error(message));
        }
    });
}

fn of_validate(validate: &Reader<'_>, problems: &mut Problems) {
    for name in ["pattern", "anyPattern"] {
        if let Some(pattern) = validate.field(name) {
            anchors(&pattern, problems);
        }
    }
    for step in validate.list("foreach").unwrap_or_default() {
        of_validate(&step, problems);
    }
}

/// Anchors that mean nothing in a pattern that validates.
fn anchors(pattern: &Reader<'_>, problems: &mut Problems) {
    match pattern.value {
        Value::Array(_) => {
            pattern.items().unwrap_or_default().iter().for_each(|item| anchors(item, problems));
        }
        Value::Object(map) => {
            for (key, value) in map {
                let inner = Reader::new(value, pattern.path.key(key));
                match anchor::parse(key) {
                    Some((Anchor::AddIfAbsent, _)) => {
                        problems
                            .errors
                            .push(inner.error("+() adds; it means nothing in a pattern that validates"));
                    }
                    Some((Anchor::Existence, _)) if !value.is_array() => {
                        problems
                            .errors
                            .push(inner.error("^() is about the elements of a list: its value is a list"));
                    }
                    _ => {}
                }
                anchors(&inner, problems);
            }
        }
        _ => {}
    }
}

/// Visits all mappings and lists below a node, each with the name of its field. What a rule makes is data, not rule.
fn each(reader: &Reader<'_>, visit: &mut impl FnMut(&str, &Reader<'_>)) {
    const DATA: [&str; 4] = ["data", "patchStrategicMerge", "pattern", "anyPattern"];
    match reader.value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !DATA.contains(&key.as_str())) {
                let inner = Reader::new(value, reader.path.key(key));
                visit(key, &inner);
                each(&inner, visit);
            }
        }
        Value::Array(_) => {
            for inner in reader.items().unwrap_or_default() {
                visit("", &inner);
                each(&inner, visit);
            }
        }
        _ => {}
    }
}
