//! Webhook configurations and admission policies.

use serde_json::Value;

use super::row::{Row, list, text};
use super::{Cells, selectors};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource.strip_suffix(".admissionregistration.k8s.io")? {
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => {
            |row| vec![row.name(), list(&row.body["webhooks"]).len().into(), row.age()]
        }
        "validatingadmissionpolicies" => |row| policy(row, "validations"),
        "mutatingadmissionpolicies" => |row| policy(row, "mutations"),
        "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings" => binding,
        _ => return None,
    })
}

fn policy(row: &Row<'_>, rules: &str) -> Vec<Value> {
    let spec = &row.body["spec"];
    let kind = &spec["paramKind"];
    let kind = if kind.is_object() {
        format!("{}/{}", text(&kind["apiVersion"]), text(&kind["kind"]))
    } else {
        "<unset>".to_owned()
    };
    vec![row.name(), list(&spec[rules]).len().into(), kind.into(), row.age()]
}

fn binding(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    let parameter = &spec["paramRef"];
    let shown = match (text(&parameter["name"]), text(&parameter["namespace"])) {
        ("", _) if parameter["selector"].is_object() => selectors::go_struct(&parameter["selector"]),
        ("", _) => "<unset>".to_owned(),
        (name, "") => format!("*/{name}"),
        (name, namespace) => format!("{namespace}/{name}"),
    };
    vec![row.name(), text(&spec["policyName"]).into(), shown.into(), row.age()]
}
