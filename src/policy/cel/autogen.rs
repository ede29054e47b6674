//! Policies about pods, rewritten for the controllers that make pods.
//!
//! Unlike classic rules, only a policy about exactly `v1` `pods` is, and names and namespaces stay those of the
//! controller.

use serde_json::{Value, json};

/// Resources of controllers, with their groups and the place of the pod template.
const CONTROLLERS: [(&str, &str, &str); 6] = [
    ("cronjobs", "batch", "spec.jobTemplate.spec.template"),
    ("daemonsets", "apps", "spec.template"),
    ("deployments", "apps", "spec.template"),
    ("jobs", "batch", "spec.template"),
    ("replicasets", "apps", "spec.template"),
    ("statefulsets", "apps", "spec.template"),
];

/// Where a controller holds the template of its pods.
pub(crate) type Place = &'static str;

/// The specs to add for a policy's `spec`, one for each place of a pod template.
pub(crate) fn rules(spec: &Value) -> Vec<Value> {
    let rewritten = controllers(spec).into_iter().map(|(place, constraints)| {
        let mut rewritten = shift(spec, place);
        rewritten["matchConstraints"] = constraints;
        rewritten
    });
    rewritten.collect()
}

/// The constraints that a policy about pods has for their controllers, one for each place of a pod template.
pub(crate) fn controllers(spec: &Value) -> Vec<(Place, Value)> {
    if !is_about_pods(&spec["matchConstraints"]) {
        return Vec::new();
    }
    let wanted = spec["autogen"]["podControllers"]["controllers"].as_array();
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|one| one == name));
    let operations = &spec["matchConstraints"]["resourceRules"][0]["operations"];
    let mut made = Vec::new();
    for template in ["spec.template", "spec.jobTemplate.spec.template"] {
        let rules: Vec<Value> = CONTROLLERS
            .iter()
            .filter(|(name, _, place)| *place == template && is_wanted(name))
            .map(|(name, group, _)| {
                json!({"apiGroups": [group], "apiVersions": ["v1"], "resources": [name], "operations": operations})
            })
            .collect();
        if !rules.is_empty() {
            made.push((template, json!({"resourceRules": rules})));
        }
    }
    made
}

/// Whether the constraints select pods, all pods and nothing but pods.
fn is_about_pods(constraints: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(|value| {
            value.is_null()
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(|map| map.is_empty())
        }),
        _ => false,
    };
    let Some([rule]) = constraints["resourceRules"].as_array().map(Vec::as_slice) else { return false };
    empty(&constraints["namespaceSelector"])
        && empty(&constraints["objectSelector"])
        && empty(&constraints["excludeResourceRules"])
        && empty(&rule["resourceNames"])
        && rule["apiGroups"] == json!([""])
        && rule["apiVersions"] == json!(["v1"])
        && rule["resources"] == json!(["pods"])
}

/// Rewrites the paths into the object in all texts.
fn shift(value: &Value, template: &str) -> Value {
    match value {
        Value::String(text) => shift_text(text, template).into(),
        Value::Array(list) => list.iter().map(|value| shift(value, template)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shift(value, template))).collect(),
        other => other.clone(),
    }
}

/// `object.spec` becomes `object.spec.template.spec`, and `object.metadata` likewise, but for the controller's own name
/// and namespace. `oldObject` ends in `Object`, so that it is spelt out.
fn shift_text(text: &str, template: &str) -> String {
    let mut text = text.to_owned();
    for part in ["spec", "metadata"] {
        for object in ["object", "oldObject"] {
            let (from, to) = (format!("{object}.{part}"), format!("{object}.{template}.{part}"));
            text = replace(&text, &from, &to);
        }
    }
    text
}

fn replace(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let behind = &rest[at + from.len()..];
        out.push_str(&rest[..at]);
        out.push_str(if is_own(behind) { from } else { to });
        rest = behind;
    }
    out + rest
}

/// Whether `.name` or `.namespace` follows, as a whole word.
fn is_own(behind: &str) -> bool {
    [".namespace", ".name"].iter().any(|suffix| {
        behind
            .strip_prefix(suffix)
            .is_some_and(|rest| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_about_pods_is_rewritten_for_their_controllers() {
        let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]});
        let mut spec = json!({
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.spec.x == oldObject.spec.x && object.metadata.name != ''"}],
        });
        let made = rules(&spec);
        assert_eq!(made.len(), 2);
        let text = |at: usize| made[at]["validations"][0]["expression"].as_str().unwrap();
        assert_eq!(
            text(0),
            "object.spec.template.spec.x == oldObject.spec.template.spec.x && object.metadata.name != ''"
        );
        assert!(text(1).starts_with("object.spec.jobTemplate.spec.template.spec.x"));
        spec["autogen"] = json!({"podControllers": {"controllers": ["deployments"]}});
        assert_eq!(rules(&spec)[0]["matchConstraints"]["resourceRules"].as_array().unwrap().len(), 1);
        assert_eq!(rules(&spec).len(), 1);
        spec["matchConstraints"]["objectSelector"] = json!({"matchLabels": {"a": "b"}});
        assert_eq!(rules(&spec).len(), 0);
    }
}
