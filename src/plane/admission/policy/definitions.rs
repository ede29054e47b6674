//! The kinds of MutatingAdmissionPolicy, which a server serves only when it is told to: v1.35 has them as
//! `v1beta1`, and beta kinds are off unless they are switched on.

use serde_json::{Value, json};

/// Definitions of both kinds, in the form of CustomResourceDefinitions.
pub(crate) fn mutating_kinds() -> [Value; 2] {
    let conditions = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": text(), "expression": text()}},
    });
    let variables = list(json!({"type": "object", "properties": {"name": text(), "expression": text()}}));
    let expression = || json!({"type": "object", "properties": {"expression": text()}});
    let mutations = list(json!({"type": "object", "properties": {
        "patchType": text(), "applyConfiguration": expression(), "jsonPatch": expression()}}));
    let policy = json!({"type": "object", "properties": {
        "paramKind": {"type": "object", "x-kubernetes-map-type": "atomic",
            "properties": {"apiVersion": text(), "kind": text()}},
        "matchConstraints": match_resources(), "variables": variables, "mutations": mutations,
        "failurePolicy": {"type": "string", "default": "Fail"},
        "matchConditions": conditions, "reinvocationPolicy": text(),
    }});
    let binding = json!({"type": "object", "properties": {
        "policyName": text(), "matchResources": match_resources(),
        "paramRef": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
            "name": text(), "namespace": text(), "selector": selector(None), "parameterNotFoundAction": text()}},
    }});
    [
        definition("MutatingAdmissionPolicy", "mutatingadmissionpolicies", policy),
        definition("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", binding),
    ]
}

fn definition(kind: &str, plural: &str, spec: Value) -> Value {
    let names = json!({
        "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List"),
        "categories": ["api-extensions"],
    });
    let schema = json!({"type": "object", "properties": {
        "apiVersion": text(), "kind": text(), "metadata": {"type": "object"}, "spec": spec}});
    json!({
        "metadata": {"name": format!("{plural}.admissionregistration.k8s.io")},
        "spec": {
            "group": "admissionregistration.k8s.io", "scope": "Cluster", "names": names,
            "versions": [{"name": "v1beta1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}],
        },
        "status": {"acceptedNames": names, "conditions": [
            {"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]},
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "x-kubernetes-list-type": "atomic", "items": items})
}

fn selector(default: Option<Value>) -> Value {
    let expression = json!({"type": "object", "properties": {
        "key": text(), "operator": text(), "values": list(text())}});
    let mut selector = json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
        "matchLabels": {"type": "object", "additionalProperties": text()},
        "matchExpressions": list(expression),
    }});
    if let Some(default) = default {
        selector["default"] = default;
    }
    selector
}

fn match_resources() -> Value {
    let rules = list(json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
        "operations": list(text()), "apiGroups": list(text()), "apiVersions": list(text()),
        "resources": list(text()), "resourceNames": list(text()),
        "scope": {"type": "string", "default": "*"},
    }}));
    json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
        "namespaceSelector": selector(Some(json!({}))), "objectSelector": selector(Some(json!({}))),
        "matchPolicy": {"type": "string", "default": "Equivalent"},
        "resourceRules": rules, "excludeResourceRules": rules,
    }})
}
