//! Role bindings and certificate signing requests.

use serde_json::Value;

use super::row::{Row, list, text, text_or};
use super::{Cells, time};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource {
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => binding,
        "certificatesigningrequests.certificates.k8s.io" => signing_request,
        _ => return None,
    })
}

fn binding(row: &Row<'_>) -> Vec<Value> {
    let role = &row.body["roleRef"];
    let subjects = |kind: &str| -> Value {
        let of_kind = list(&row.body["subjects"]).iter().filter(|subject| subject["kind"] == kind);
        let names: Vec<String> = of_kind
            .map(|subject| match kind {
                "ServiceAccount" => format!("{}/{}", text(&subject["namespace"]), text(&subject["name"])),
                _ => text(&subject["name"]).to_owned(),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        row.name(),
        format!("{}/{}", text(&role["kind"]), text(&role["name"])).into(),
        row.age(),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn signing_request(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let has = |kind: &str| list(&status["conditions"]).iter().any(|condition| condition["type"] == kind);
    let mut state = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(&status["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    let duration = spec["expirationSeconds"].as_i64().map_or_else(|| "<none>".to_owned(), time::human);
    vec![
        row.name(),
        row.age(),
        text_or(&spec["signerName"], "<none>").into(),
        text(&spec["username"]).into(),
        duration.into(),
        state.into(),
    ]
}
