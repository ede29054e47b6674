//! Rules about pods, rewritten for the controllers that make pods.
//!
//! All or nothing for a policy: it gets such rules only if every rule of it can be rewritten. The rewriting itself
//! works on the text of a rule, as upstream does it: wherever `request.object.spec` stands, the pod template's spec
//! is meant.

use serde_json::{Map, Value, json};

/// Kinds that make pods, as upstream selects them.
const CONTROLLERS: &[(&str, &str)] = &[
    ("CronJob", "batch/v1/CronJob"),
    ("DaemonSet", "apps/v1/DaemonSet"),
    ("Deployment", "apps/v1/Deployment"),
    ("Job", "batch/v1/Job"),
    ("ReplicaSet", "apps/v1/ReplicaSet"),
    ("ReplicationController", "v1/ReplicationController"),
    ("StatefulSet", "apps/v1/StatefulSet"),
];

const ANNOTATION: &str = "pod-policies.kyverno.io/autogen-controllers";
const NAME_LIMIT: usize = 63;

/// The rules to add for a policy, each with the index of the rule that it was made from.
pub(crate) fn rules(policy: &Value) -> Vec<(usize, Value)> {
    let Some(rules) = policy["spec"]["rules"].as_array() else { return Vec::new() };
    if !is_supported(rules) {
        return Vec::new();
    }
    let wanted = policy["metadata"]["annotations"][ANNOTATION].as_str();
    let controllers: Vec<&str> = CONTROLLERS
        .iter()
        .map(|(kind, _)| *kind)
        .filter(|kind| wanted.is_none_or(|wanted| wanted == "all" || wanted.split(',').any(|w| w == *kind)))
        .collect();
    let others: Vec<&str> = controllers.iter().copied().filter(|kind| *kind != "CronJob").collect();
    let mut made = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if !others.is_empty() {
            made.extend(for_controllers(rule, &others).map(|r| (index, shift(&r, "template"))));
        }
        if others.len() < controllers.len() {
            made.extend(for_cron_jobs(rule).map(|r| (index, shift(&r, "jobTemplate.spec.template"))));
        }
    }
    made
}

/// Whether every rule can be rewritten, and some rule is about pods or their controllers.
fn is_supported(rules: &[Value]) -> bool {
    let mut needed = false;
    for rule in rules {
        let json6902 = |mutate: &Value| mutate.get("patchesJson6902").is_some_and(|p| p != "");
        let loops = rule["mutate"]["foreach"].as_array();
        if rule.get("generate").is_some_and(|g| !g.is_null())
            || json6902(&rule["mutate"])
            || loops.is_some_and(|loops| loops.iter().any(json6902))
        {
            return false;
        }
        for description in descriptions(rule) {
            let names_objects = ["name", "names", "selector", "annotations"].iter().any(|field| {
                description.get(field).is_some_and(|v| !v.is_null() && *v != json!([]) && v != "")
            });
            let kinds = texts(&description["kinds"]);
            if names_objects || kinds.len() > 1 && has_kind(&kinds, "Pod") {
                return false;
            }
            needed |= kinds.iter().any(|kind| *kind == "Pod" || CONTROLLERS.iter().any(|(c, _)| c == kind));
        }
    }
    needed
}

/// All `resources` blocks of `match` and `exclude`.
fn descriptions(rule: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    for block in [&rule["match"], &rule["exclude"]] {
        let filters = ["any", "all"].iter().filter_map(|name| block[name].as_array()).flatten();
        found.extend(std::iter::once(block).chain(filters).map(|filter| &filter["resources"]));
    }
    found
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether a kind selector of the list is about this kind, whatever its version and subresource.
fn has_kind(selectors: &[&str], kind: &str) -> bool {
    selectors.iter().any(|selector| {
        super::kinds::KindSelector::parse(selector).is_some_and(|selector| selector.kind == kind)
    })
}

fn kinds_of(block: &Value) -> Vec<&str> {
    let filters = ["any", "all"].iter().filter_map(|name| block[name].as_array()).flatten();
    std::iter::once(block).chain(filters).flat_map(|filter| texts(&filter["resources"]["kinds"])).collect()
}

fn for_controllers(rule: &Value, controllers: &[&str]) -> Option<Value> {
    let name = rule["name"].as_str()?;
    let excluded = kinds_of(&rule["exclude"]);
    if name.starts_with("autogen-")
        || !has_kind(&kinds_of(&rule["match"]), "Pod")
        || !excluded.is_empty() && !has_kind(&excluded, "Pod")
    {
        return None;
    }
    rewrite(rule, &format!("autogen-{name}"), "template", controllers, |kinds| has_kind(kinds, "Pod"))
}

fn for_cron_jobs(rule: &Value) -> Option<Value> {
    let name = rule["name"].as_str()?;
    let inner = for_controllers(rule, &["CronJob"])?;
    rewrite(&inner, &format!("autogen-cronjob-{name}"), "jobTemplate", &["CronJob"], |_| true)
}

/// A rule for other kinds, its patterns moved below `spec` and a key. The kinds of a filter are replaced where
/// `is_about` says so.
fn rewrite(
    rule: &Value,
    name: &str,
    key: &str,
    controllers: &[&str],
    is_about: impl Fn(&[&str]) -> bool,
) -> Option<Value> {
    let body = rewrite_body(rule, key)?;
    let selectors: Vec<&str> = CONTROLLERS
        .iter()
        .filter(|(kind, _)| controllers.contains(kind))
        .map(|(_, selector)| *selector)
        .collect();
    let mut rewritten = rule.as_object()?.clone();
    rewritten.insert("name".into(), name.chars().take(NAME_LIMIT).collect::<String>().into());
    for block in ["match", "exclude"] {
        let Some(block) = rewritten.get_mut(block).filter(|block| block.is_object()) else { continue };
        replace_kinds(block, &selectors, &is_about);
    }
    for (field, value) in body {
        rewritten.insert(field, value);
    }
    Some(Value::Object(rewritten))
}

fn replace_kinds(block: &mut Value, selectors: &[&str], is_about: impl Fn(&[&str]) -> bool) {
    for list in ["any", "all"] {
        let Some(filters) = block.get_mut(list).and_then(Value::as_array_mut) else { continue };
        if filters.is_empty() {
            continue;
        }
        for filter in filters {
            if is_about(&texts(&filter["resources"]["kinds"]))
                && let Some(resources) = filter.get_mut("resources").and_then(Value::as_object_mut)
            {
                resources.insert("kinds".to_owned(), json!(selectors));
            }
        }
        return;
    }
    if !texts(&block["resources"]["kinds"]).is_empty() {
        block["resources"]["kinds"] = json!(selectors);
    }
}

/// The rewritten `validate`, `mutate` or `verifyImages`; `None` for a rule that cannot be rewritten.
fn rewrite_body(rule: &Value, key: &str) -> Option<Map<String, Value>> {
    let wrap = |inner: &Value| json!({"spec": {key: inner}});
    let present = |value: &Value| !value.is_null();
    if let Some(mutate) = rule.get("mutate").filter(|m| present(m)) {
        let mut mutate = mutate.clone();
        if present(&mutate["patchStrategicMerge"]) {
            mutate = json!({"patchStrategicMerge": wrap(&mutate["patchStrategicMerge"])});
        } else {
            for step in mutate["foreach"].as_array_mut().filter(|list| !list.is_empty())? {
                step["patchStrategicMerge"] = wrap(&step["patchStrategicMerge"]);
            }
        }
        return Some(Map::from_iter([("mutate".to_owned(), mutate)]));
    }
    if let Some(validate) = rule.get("validate").filter(|v| present(v)) {
        let mut validate = validate.as_object()?.clone();
        let parts = ["pattern", "deny", "podSecurity", "anyPattern", "foreach", "cel"];
        let part = *parts.iter().find(|part| validate.get(**part).is_some_and(present))?;
        // The first part that is there is the one that counts.
        validate.retain(|field, _| field == part || !parts.contains(&field.as_str()));
        match part {
            "pattern" => {
                validate.insert(part.into(), wrap(&validate[part]));
            }
            "anyPattern" => {
                let patterns: Vec<Value> = validate[part].as_array()?.iter().map(wrap).collect();
                validate.insert(part.into(), patterns.into());
            }
            _ => {}
        }
        return Some(Map::from_iter([("validate".to_owned(), Value::Object(validate))]));
    }
    rule.get("verifyImages").filter(|v| present(v)).map(|_| Map::new())
}

/// Rewrites the paths into the object in all texts of a rule. A rule in CEL calls it `object`, all others
/// `request.object`.
fn shift(rule: &Value, to: &str) -> Value {
    let objects = match &rule["validate"]["cel"] {
        Value::Null => ["request.object", "request.oldObject"],
        _ => ["object", "oldObject"],
    };
    shift_texts(rule, objects, to)
}

fn shift_texts(value: &Value, objects: [&str; 2], to: &str) -> Value {
    match value {
        Value::String(text) => shift_text(text, objects, to).into(),
        Value::Array(list) => list.iter().map(|v| shift_texts(v, objects, to)).collect(),
        Value::Object(map) => {
            let entry = |(k, v): (&String, &Value)| (shift_text(k, objects, to), shift_texts(v, objects, to));
            Value::Object(map.iter().map(entry).collect())
        }
        other => other.clone(),
    }
}

fn shift_text(text: &str, objects: [&str; 2], to: &str) -> String {
    let mut text = text.to_owned();
    for part in ["spec", "metadata"] {
        for object in objects {
            text = text.replace(&format!("{object}.{part}"), &format!("{object}.spec.{to}.{part}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rule: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"rules": [rule]}})
    }

    fn pattern_rule() -> Value {
        json!({
            "name": "r",
            "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
            "preconditions": [{"key": "{{ request.object.metadata.name }}", "operator": "Equals", "value": "x"}],
            "validate": {"message": "m", "pattern": {"spec": {"hostNetwork": "false"}}}
        })
    }

    #[test]
    fn a_pod_rule_is_rewritten_for_controllers_and_cron_jobs() {
        let made = rules(&policy(pattern_rule()));
        let names: Vec<_> = made.iter().map(|(_, rule)| rule["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["autogen-r", "autogen-cronjob-r"]);
        let (plain, cron) = (&made[0].1, &made[1].1);
        assert_eq!(
            plain["validate"]["pattern"],
            json!({"spec": {"template": {"spec": {"hostNetwork": "false"}}}})
        );
        assert_eq!(
            cron["validate"]["pattern"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostNetwork"],
            "false"
        );
        assert_eq!(
            cron["preconditions"][0]["key"],
            "{{ request.object.spec.jobTemplate.spec.template.metadata.name }}"
        );
        assert_eq!(plain["match"]["any"][0]["resources"]["kinds"].as_array().unwrap().len(), 6);
        assert_eq!(cron["match"]["any"][0]["resources"]["kinds"], json!(["batch/v1/CronJob"]));
    }

    #[test]
    fn one_rule_that_cannot_be_rewritten_spares_all() {
        for (pointer, value) in [
            ("/match/any/0/resources/names", json!(["a"])),
            ("/match/any/0/resources/selector", json!({"matchLabels": {"a": "b"}})),
            ("/match/any/0/resources/kinds", json!(["Pod", "Service"])),
            ("/match/any/0/resources/kinds", json!(["Service"])),
            ("/generate", json!({"kind": "A"})),
        ] {
            let mut rule = pattern_rule();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            rule.pointer_mut(parent).unwrap()[field] = value;
            assert_eq!(rules(&policy(rule)).len(), 0, "{pointer}");
        }
    }

    #[test]
    fn the_annotation_chooses_controllers() {
        let mut policy = policy(pattern_rule());
        policy["metadata"]["annotations"] = json!({ANNOTATION: "Deployment,CronJob"});
        assert_eq!(
            rules(&policy)[0].1["match"]["any"][0]["resources"]["kinds"],
            json!(["apps/v1/Deployment"])
        );
        policy["metadata"]["annotations"] = json!({ANNOTATION: "none"});
        assert_eq!(rules(&policy).len(), 0);
    }
}
