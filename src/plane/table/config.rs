//! ConfigMaps, Secrets, namespaces, service accounts, quotas.

use serde_json::Value;

use super::Cells;
use super::row::{Row, count, list, shown, text};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource {
        "configmaps" => |row| {
            vec![row.name(), (count(&row.body["data"]) + count(&row.body["binaryData"])).into(), row.age()]
        },
        "secrets" => {
            |row| vec![row.name(), text(&row.body["type"]).into(), count(&row.body["data"]).into(), row.age()]
        }
        "namespaces" => |row| vec![row.name(), text(&row.body["status"]["phase"]).into(), row.age()],
        "serviceaccounts" => |row| vec![row.name(), row.age()],
        "resourcequotas" => resource_quota,
        "componentstatuses" => component_status,
        _ => return None,
    })
}

fn resource_quota(row: &Row<'_>) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let status = &row.body["status"];
    for (name, hard) in status["hard"].as_object().into_iter().flatten() {
        let used = &status["used"][name];
        let used = if used.is_null() { "0".to_owned() } else { shown(used) };
        let column = if name.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push(format!("{name}: {used}/{}", shown(hard)));
    }
    vec![row.name(), requests.join(", ").into(), limits.join(", ").into(), row.age()]
}

fn component_status(row: &Row<'_>) -> Vec<Value> {
    let healthy = list(&row.body["conditions"]).iter().find(|condition| condition["type"] == "Healthy");
    let Some(healthy) = healthy else { return vec![row.name(), "Unknown".into(), "".into(), "".into()] };
    let status = if healthy["status"] == "True" { "Healthy" } else { "Unhealthy" };
    vec![row.name(), status.into(), text(&healthy["message"]).into(), text(&healthy["error"]).into()]
}
