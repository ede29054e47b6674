//! Objects as rows, for `kubectl get`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Resource;
use super::read;
use super::request::Query;
use super::store::Object;

pub(crate) const AGE_DESCRIPTION: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// A column of a built-in kind and how its cell is made.
struct Builtin {
    name: &'static str,
    kind: &'static str,
    cell: fn(&Value) -> Value,
}

/// A table of objects.
pub(crate) fn of(
    resource: &Resource,
    objects: &[Arc<Object>],
    metadata: Value,
    query: &Query,
    with_columns: bool,
    now: &str,
) -> Value {
    let include = query.get("includeObject").unwrap_or("Metadata");
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": cells(resource, &object.body(), now)});
            match include {
                "None" => {}
                "Object" => row["object"] = super::write::served(resource, object),
                _ => row["object"] = read::metadata_of(object),
            }
            row
        })
        .collect();
    let columns = if with_columns { Value::Array(columns(resource)) } else { Value::Null };
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn column(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

fn columns(resource: &Resource) -> Vec<Value> {
    let mut columns = vec![column("Name", "string", "name", NAME_DESCRIPTION, 0)];
    if resource.custom {
        columns.extend(
            resource.columns.iter().map(|c| column(&c.name, &c.kind, &c.format, &c.description, c.priority)),
        );
        return columns;
    }
    columns.extend(builtin(resource).iter().map(|c| column(c.name, c.kind, "", "", 0)));
    columns.push(match &*resource.collection {
        "customresourcedefinitions.apiextensions.k8s.io" => {
            column("Created At", "date", "", AGE_DESCRIPTION, 0)
        }
        _ => column("Age", "string", "", AGE_DESCRIPTION, 0),
    });
    columns
}

fn cells(resource: &Resource, body: &Value, now: &str) -> Vec<Value> {
    let mut cells = vec![body["metadata"]["name"].clone()];
    if resource.custom {
        cells.extend(resource.columns.iter().map(|column| {
            let value = json_path(body, &column.path);
            match column.kind.as_str() {
                "date" => age(value, now),
                "integer" | "number" | "boolean" => value.cloned().unwrap_or_default(),
                _ => value.map_or(Value::Null, shown),
            }
        }));
        return cells;
    }
    cells.extend(builtin(resource).iter().map(|column| (column.cell)(body)));
    let created = &body["metadata"]["creationTimestamp"];
    cells.push(match &*resource.collection {
        "customresourcedefinitions.apiextensions.k8s.io" => created.clone(),
        _ => age(Some(created), now),
    });
    cells
}

/// Columns of built-in kinds between name and age.
fn builtin(resource: &Resource) -> &'static [Builtin] {
    macro_rules! columns {
        ($($name:literal $kind:literal $cell:expr),* $(,)?) => {
            &[$(Builtin { name: $name, kind: $kind, cell: $cell }),*]
        };
    }
    match &*resource.collection {
        "namespaces" => columns! { "Status" "string" |o| o["status"]["phase"].clone() },
        "configmaps" => columns! { "Data" "string" |o| (count(&o["data"]) + count(&o["binaryData"])).into() },
        "secrets" => columns! {
            "Type" "string" |o| o["type"].clone(),
            "Data" "string" |o| count(&o["data"]).into(),
        },
        "pods" => columns! {
            "Ready" "string" |o| format!("{}/{}", ready(o), count(&o["spec"]["containers"])).into(),
            "Status" "string" |o| o["status"]["phase"].as_str().unwrap_or("Pending").into(),
            "Restarts" "string" |o| restarts(o).into(),
        },
        "services" => columns! {
            "Type" "string" |o| o["spec"]["type"].as_str().unwrap_or("ClusterIP").into(),
            "Cluster-IP" "string" |o| o["spec"]["clusterIP"].as_str().unwrap_or("<none>").into(),
            "External-IP" "string" |o| o["spec"]["externalName"].as_str().unwrap_or("<none>").into(),
            "Port(s)" "string" |o| ports(o).into(),
        },
        "deployments.apps" => columns! {
            "Ready" "string" |o| format!("{}/{}", number(&o["status"]["readyReplicas"]), replicas(o)).into(),
            "Up-to-date" "string" |o| number(&o["status"]["updatedReplicas"]).into(),
            "Available" "string" |o| number(&o["status"]["availableReplicas"]).into(),
        },
        "statefulsets.apps" => columns! {
            "Ready" "string" |o| format!("{}/{}", number(&o["status"]["readyReplicas"]), replicas(o)).into(),
        },
        "replicasets.apps" | "replicationcontrollers" => columns! {
            "Desired" "integer" |o| replicas(o).into(),
            "Current" "integer" |o| number(&o["status"]["replicas"]).into(),
            "Ready" "integer" |o| number(&o["status"]["readyReplicas"]).into(),
        },
        "daemonsets.apps" => columns! {
            "Desired" "integer" |o| number(&o["status"]["desiredNumberScheduled"]).into(),
            "Current" "integer" |o| number(&o["status"]["currentNumberScheduled"]).into(),
            "Ready" "integer" |o| number(&o["status"]["numberReady"]).into(),
            "Up-to-date" "integer" |o| number(&o["status"]["updatedNumberScheduled"]).into(),
            "Available" "integer" |o| number(&o["status"]["numberAvailable"]).into(),
        },
        "leases.coordination.k8s.io" => columns! {
            "Holder" "string" |o| o["spec"]["holderIdentity"].clone(),
        },
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            columns! {
                "Role" "string" |o| {
                    format!("{}/{}", text(&o["roleRef"]["kind"]), text(&o["roleRef"]["name"])).into()
                },
            }
        }
        "serviceaccounts" => columns! { "Secrets" "string" |o| count(&o["secrets"]).into() },
        "events" | "events.events.k8s.io" => columns! {
            "Type" "string" |o| o["type"].clone(),
            "Reason" "string" |o| o["reason"].clone(),
            "Object" "string" |o| {
                let about = if o["involvedObject"].is_object() { &o["involvedObject"] } else { &o["regarding"] };
                format!("{}/{}", text(&about["kind"]).to_lowercase(), text(&about["name"])).into()
            },
            "Message" "string" |o| {
                if o["message"].is_string() { o["message"].clone() } else { o["note"].clone() }
            },
        },
        _ => &[],
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn count(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    }
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["status"]["containerStatuses"].as_array().into_iter().flatten()
}

fn ready(pod: &Value) -> usize {
    statuses(pod).filter(|status| status["ready"] == true).count()
}

fn restarts(pod: &Value) -> i64 {
    statuses(pod).map(|status| number(&status["restartCount"])).sum()
}

fn ports(service: &Value) -> String {
    let ports: Vec<String> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            match port["nodePort"].as_i64() {
                Some(node) => format!("{}:{node}/{protocol}", number(&port["port"])),
                None => format!("{}/{protocol}", number(&port["port"])),
            }
        })
        .collect();
    if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") }
}

/// A value in a cell of text.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        Value::Null => Value::Null,
        other => other.to_string().into(),
    }
}

/// The value at a simple JSON path: `.a.b`, `.a[0]`, `.a['b.c']`, `.a[?(@.type=="Ready")].status`.
fn json_path<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = body;
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']')?;
            at = step(at, inside)?;
            rest = after;
        } else {
            let after = rest.strip_prefix('.').unwrap_or(rest);
            // A dot behind a backslash belongs to the key.
            let mut key = String::new();
            let mut used = 0;
            let mut escaped = false;
            for c in after.chars() {
                if !escaped && (c == '.' || c == '[') {
                    break;
                }
                used += c.len_utf8();
                escaped = !escaped && c == '\\';
                if !escaped {
                    key.push(c);
                }
            }
            if !key.is_empty() {
                at = at.get(&key)?;
            }
            rest = &after[used..];
        }
    }
    Some(at)
}

/// A step in brackets: an index, a quoted key or a filter for equality.
fn step<'a>(at: &'a Value, inside: &str) -> Option<&'a Value> {
    let inside = inside.trim();
    if let Some(filter) = inside.strip_prefix("?(@.").and_then(|filter| filter.strip_suffix(')')) {
        let (key, wanted) = filter.split_once("==")?;
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        return at.as_array()?.iter().find(|item| text(&item[key.trim()]) == wanted);
    }
    if let Ok(index) = inside.parse::<i64>() {
        let list = at.as_array()?;
        let index = if index < 0 { list.len() as i64 + index } else { index };
        return list.get(usize::try_from(index).ok()?);
    }
    if inside == "*" {
        return at.as_array()?.first();
    }
    at.get(inside.trim_matches(['"', '\'']))
}

/// How long ago, as kubectl shows it.
fn age(time: Option<&Value>, now: &str) -> Value {
    let Some(Value::String(time)) = time else { return "<unknown>".into() };
    let (Ok(then), Ok(now)) = (time.parse::<jiff::Timestamp>(), now.parse::<jiff::Timestamp>()) else {
        return "<unknown>".into();
    };
    human(
        (now - then).get_seconds()
            + 60 * ((now - then).get_minutes() + 60 * i64::from((now - then).get_hours())),
    )
    .into()
}

/// A duration in at most two units.
fn human(seconds: i64) -> String {
    let with = |major: i64, unit: &str, minor: i64, minor_unit: &str| {
        if minor == 0 { format!("{major}{unit}") } else { format!("{major}{unit}{minor}{minor_unit}") }
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => with(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => with(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (125, "2m5s"),
            (660, "11m"),
            (3 * 3600 + 60, "3h1m"),
            (30 * 3600, "30h"),
            (50 * 3600, "2d2h"),
            (20 * 86400, "20d"),
        ] {
            assert_eq!(human(seconds), text);
        }
        assert_eq!(age(Some(&json!("2024-01-01T00:00:00Z")), "2024-01-03T02:00:00Z"), json!("2d2h"));
    }

    #[test]
    fn columns_are_found_by_path() {
        let body = json!({"a": {"b.c": [{"type": "Ready", "status": "True"}]}});
        for path in [r#".a.b\.c[?(@.type=="Ready")].status"#, ".a['b.c'][0].status"] {
            // A quoted key may hold a dot; a bracket inside quotes is not supported by kubectl either.
            assert_eq!(json_path(&body, path), Some(&json!("True")), "{path}");
        }
        assert_eq!(json_path(&body, ".a.x.y"), None);
    }
}
