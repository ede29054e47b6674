//! What belongs to the cluster as a whole: nodes, leases, priority and runtime classes, API services.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Cells;
use super::row::{Row, is, list, text, text_or};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource {
        "nodes" => node,
        "leases.coordination.k8s.io" => {
            |row| vec![row.name(), text(&row.body["spec"]["holderIdentity"]).into(), row.age()]
        }
        "priorityclasses.scheduling.k8s.io" => priority_class,
        "runtimeclasses.node.k8s.io" => |row| vec![row.name(), text(&row.body["handler"]).into(), row.age()],
        "apiservices.apiregistration.k8s.io" => api_service,
        "deviceclasses.resource.k8s.io" | "resourceclaimtemplates.resource.k8s.io" => {
            |row| vec![row.name(), row.age()]
        }
        _ => return None,
    })
}

fn node(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let ready = list(&status["conditions"]).iter().rfind(|condition| condition["type"] == "Ready");
    let mut state = match ready {
        Some(ready) if ready["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if is(&spec["unschedulable"]) {
        state.push_str(",SchedulingDisabled");
    }
    let info = &status["nodeInfo"];
    let address = |kind: &str| -> Value {
        let found = list(&status["addresses"]).iter().find(|address| address["type"] == kind);
        found.map_or("<none>", |address| text(&address["address"])).into()
    };
    vec![
        row.name(),
        state.into(),
        roles(&row.body["metadata"]["labels"]).into(),
        row.age(),
        text(&info["kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        text_or(&info["osImage"], "<unknown>").into(),
        text_or(&info["kernelVersion"], "<unknown>").into(),
        text_or(&info["containerRuntimeVersion"], "<unknown>").into(),
    ]
}

fn roles(labels: &Value) -> String {
    let roles: BTreeSet<&str> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

fn priority_class(row: &Row<'_>) -> Vec<Value> {
    let body = row.body;
    vec![
        row.name(),
        row.number(&body["value"]),
        is(&body["globalDefault"]).into(),
        row.age(),
        text(&body["preemptionPolicy"]).into(),
    ]
}

fn api_service(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let service = &spec["service"];
    let service = if service.is_object() {
        format!("{}/{}", text(&service["namespace"]), text(&service["name"]))
    } else {
        "Local".to_owned()
    };
    let available = list(&status["conditions"]).iter().find(|condition| condition["type"] == "Available");
    let available = match available {
        None => "Unknown".to_owned(),
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", text(&condition["status"]), text(&condition["reason"])),
    };
    vec![row.name(), service.into(), available.into(), row.age()]
}
