//! Webhooks and admission policies.

use serde_json::{Value, json};

use super::{items, set, within};
use crate::model::Gvk;

pub(super) fn webhooks(gvk: &Gvk, object: &mut Value) {
    for hook in items(object, "webhooks") {
        set(hook, "failurePolicy", "Fail");
        set(hook, "matchPolicy", "Equivalent");
        set(hook, "timeoutSeconds", 10);
        set(hook, "namespaceSelector", json!({}));
        set(hook, "objectSelector", json!({}));
        if &*gvk.kind == "MutatingWebhookConfiguration" {
            set(hook, "reinvocationPolicy", "Never");
        }
        if let Some(service) = within(hook, "clientConfig").and_then(|config| within(config, "service")) {
            set(service, "port", 443);
        }
        items(hook, "rules").for_each(|rule| set(rule, "scope", "*"));
    }
}

/// A policy (`matchConstraints`) or a binding (`matchResources`).
pub(super) fn matching(spec: &mut Value, field: &str) {
    let Some(constraints) = within(spec, field) else { return };
    set(constraints, "matchPolicy", "Equivalent");
    set(constraints, "namespaceSelector", json!({}));
    set(constraints, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        items(constraints, rules).for_each(|rule| set(rule, "scope", "*"));
    }
}
