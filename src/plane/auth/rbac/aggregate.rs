//! Aggregated cluster roles: a controller gathers their rules from the roles that their selectors find.

use std::sync::Arc;

use serde_json::{Value, json};

use super::GROUP;
use crate::plane::request::WriteOptions;
use crate::plane::server::Server;
use crate::plane::store::Range;

/// The field manager of gathered rules.
pub(super) const MANAGER: &str = "clusterrole-aggregation-controller";

/// Brings the rules of every aggregated cluster role up to date, until nothing changes any more.
pub(crate) async fn run(server: &Arc<Server>) {
    while gather(server).await {}
}

/// Whether anything changed.
async fn gather(server: &Arc<Server>) -> bool {
    let collection = format!("clusterroles.{GROUP}");
    let Ok(page) = server.store.list(&collection, &Range::default(), |_| true) else { return false };
    let bodies: Vec<Value> = page.objects.iter().map(|role| role.body()).collect();
    let bodies: Vec<&Value> = bodies.iter().collect();
    let changes: Vec<(&Value, Vec<Value>)> = changes(&bodies).collect();
    let mut changed = false;
    for (role, rules) in changes {
        changed |= write(server, role, rules).await;
    }
    changed
}

/// The roles whose rules are not what they gather, with what they should be.
pub(super) fn changes<'a>(roles: &'a [&Value]) -> impl Iterator<Item = (&'a Value, Vec<Value>)> {
    let aggregates = |role: &&&Value| {
        role["aggregationRule"].is_object() && !role["metadata"]["deletionTimestamp"].is_string()
    };
    roles.iter().filter(aggregates).filter_map(|role| {
        let rules = gathered(role, roles);
        let same = role["rules"].as_array().map_or(rules.is_empty(), |live| *live == rules);
        (!same).then_some((*role, rules))
    })
}

/// The rules of the roles that are selected, each once, by selector and name.
fn gathered(role: &Value, roles: &[&Value]) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
    for selector in selectors.into_iter().flatten() {
        let others = roles.iter().filter(|other| {
            other["metadata"]["name"] != role["metadata"]["name"]
                && selects(selector, &other["metadata"]["labels"])
        });
        let mut others: Vec<_> = others.collect();
        others.sort_by_key(|other| other["metadata"]["name"].as_str());
        for rule in others.iter().flat_map(|other| other["rules"].as_array().into_iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}

/// Whether a `LabelSelector` selects an object with these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.into_iter().all(|(key, value)| labels[key] == *value)
        && expressions.all(|expression| {
            let label = &labels[expression["key"].as_str().unwrap_or_default()];
            let named = expression["values"].as_array().is_some_and(|values| values.contains(label));
            match expression["operator"].as_str() {
                Some("In") => named,
                Some("NotIn") => !named,
                Some("Exists") => label.is_string(),
                Some("DoesNotExist") => !label.is_string(),
                _ => false,
            }
        })
}

async fn write(server: &Arc<Server>, role: &Value, rules: Vec<Value>) -> bool {
    let registry = server.registry();
    let Some(resource) = registry.find(GROUP, "v1", "clusterroles") else { return false };
    let name = role["metadata"]["name"].as_str().unwrap_or_default();
    let mut call = server.own_call(resource.clone(), "", name);
    call.options = WriteOptions { manager: MANAGER.to_owned(), force: true, ..WriteOptions::default() };
    let applied = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    });
    // Whoever wrote in between wakes this controller again.
    call.patch(crate::plane::write::PatchKind::Apply, applied.to_string().as_bytes()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_gathered_once_and_by_name() {
        let role = |name: &str, label: &str, verb: &str| json!({"metadata": {"name": name, "labels": {"to": label}}, "rules": [{"verbs": [verb]}]});
        let gathers = json!({
            "metadata": {"name": "all"}, "rules": null,
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]},
        });
        let roles = [&role("b", "all", "get"), &role("a", "all", "list"), &role("c", "x", "put"), &gathers];
        let (_, rules) = changes(&roles).next().unwrap();
        assert_eq!(rules, [json!({"verbs": ["list"]}), json!({"verbs": ["get"]})]);
    }

    #[test]
    fn expressions_select() {
        let labels = json!({"c": "d"});
        let selector = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "c", "operator": operator, "values": values}]});
        assert!(selects(&selector("In", json!(["d"])), &labels));
        assert!(!selects(&selector("NotIn", json!(["d"])), &labels));
        assert!(selects(&selector("Exists", json!(null)), &labels));
        assert!(!selects(&selector("DoesNotExist", json!(null)), &labels));
    }
}
