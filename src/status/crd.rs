//! The definition of the `Reconciliation` kind.

use serde_json::{Value, json};

use crate::model::API_GROUP;

/// The CustomResourceDefinition of `Reconciliation`, as it is applied.
pub fn reconciliation_crd() -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer"});
    let condition = json!({
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": text, "status": text, "reason": text, "message": text,
            "observedGeneration": {"type": "integer", "format": "int64"},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
        },
    });
    let request = json!({
        "type": "object",
        "properties": {"action": text, "object": text, "revision": text, "cluster": text},
    });
    let finding = json!({
        "type": "object",
        "properties": {"code": text, "severity": text, "object": text, "location": text, "message": text, "help": text,
            "approval": request},
    });
    let unit = json!({
        "type": "object",
        "required": ["name"],
        "properties": {"name": text, "phase": text, "message": text},
    });
    let approval = json!({
        "type": "object",
        "required": ["action"],
        "properties": {"action": text, "object": text, "revision": text, "cluster": text, "reason": text},
    });
    // `unit` is the name of a unit, or `*` for all that there is.
    let suspension = json!({
        "type": "object",
        "required": ["unit"],
        "properties": {"unit": text, "by": text, "since": text, "reason": text},
    });
    let status = json!({
        "type": "object",
        "properties": {
            "source": {"type": "object", "properties": {"url": text, "path": text, "rootCommit": text}},
            "revision": text,
            "appliedRevision": text,
            "objects": {"type": "object", "properties":
                {"rendered": count, "inSync": count, "blocked": count, "pending": count}},
            "units": {"type": "array", "items": unit,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            "findings": {"type": "array", "items": finding, "x-kubernetes-list-type": "atomic"},
            "findingsLeftOut": count,
            "conditions": {"type": "array", "items": condition,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        },
    });
    let spec = json!({
        "type": "object",
        "properties": {
            "approvals": {"type": "array", "items": approval, "x-kubernetes-list-type": "atomic"},
            "suspensions": {"type": "array", "items": suspension, "x-kubernetes-list-type": "atomic"},
        },
    });
    let column = |name: &str, path: &str| json!({"name": name, "type": "string", "jsonPath": path});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("reconciliations.{API_GROUP}")},
        "spec": {
            "group": API_GROUP,
            "names": {"kind": "Reconciliation", "listKind": "ReconciliationList",
                "plural": "reconciliations", "singular": "reconciliation"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Ready", ".status.conditions[?(@.type==\"Ready\")].status"),
                    column("Message", ".status.conditions[?(@.type==\"Ready\")].message"),
                    column("Revision", ".status.appliedRevision"),
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": spec, "status": status},
                }},
            }],
        },
    })
}
