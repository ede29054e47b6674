//! Volumes, claims, storage classes and drivers.

use serde_json::Value;

use super::Cells;
use super::row::{Row, is, joined, list, text, text_or};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource {
        "persistentvolumes" => volume,
        "persistentvolumeclaims" => claim,
        "storageclasses.storage.k8s.io" => storage_class,
        "volumeattributesclasses.storage.k8s.io" => {
            |row| vec![row.name(), text(&row.body["driverName"]).into(), row.age()]
        }
        "csidrivers.storage.k8s.io" => driver,
        "csinodes.storage.k8s.io" => {
            |row| vec![row.name(), list(&row.body["spec"]["drivers"]).len().into(), row.age()]
        }
        "volumeattachments.storage.k8s.io" => attachment,
        _ => return None,
    })
}

/// Access modes in short, in their usual order.
fn access_modes(modes: &Value) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| list(modes).iter().any(|given| given == mode);
    known.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The class of a volume or claim; an old annotation goes before the field.
fn class(body: &Value) -> &str {
    let annotation = &body["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    annotation.as_str().unwrap_or_else(|| text(&body["spec"]["storageClassName"]))
}

fn phase<'a>(row: &'a Row<'_>) -> &'a str {
    if row.is_deleting() { "Terminating" } else { text(&row.body["status"]["phase"]) }
}

fn or_unset(value: &Value) -> Value {
    value.as_str().unwrap_or("<unset>").into()
}

fn volume(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    let claim = &spec["claimRef"];
    let claim = if claim.is_object() {
        format!("{}/{}", text(&claim["namespace"]), text(&claim["name"]))
    } else {
        String::new()
    };
    vec![
        row.name(),
        text_or(&spec["capacity"]["storage"], "0").into(),
        access_modes(&spec["accessModes"]).into(),
        text(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase(row).into(),
        claim.into(),
        class(row.body).into(),
        or_unset(&spec["volumeAttributesClassName"]),
        text(&row.body["status"]["reason"]).into(),
        row.age(),
        or_unset(&spec["volumeMode"]),
    ]
}

fn claim(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let bound = !text(&spec["volumeName"]).is_empty();
    vec![
        row.name(),
        phase(row).into(),
        text(&spec["volumeName"]).into(),
        if bound { text_or(&status["capacity"]["storage"], "0").into() } else { "".into() },
        if bound { access_modes(&status["accessModes"]).into() } else { "".into() },
        class(row.body).into(),
        or_unset(&spec["volumeAttributesClassName"]),
        row.age(),
        or_unset(&spec["volumeMode"]),
    ]
}

fn storage_class(row: &Row<'_>) -> Vec<Value> {
    let body = row.body;
    let annotations = &body["metadata"]["annotations"];
    let marks =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let default = marks.iter().any(|mark| annotations[*mark] == "true");
    let name = text(&body["metadata"]["name"]);
    vec![
        if default { format!("{name} (default)").into() } else { name.into() },
        text(&body["provisioner"]).into(),
        body["reclaimPolicy"].as_str().unwrap_or("Delete").into(),
        body["volumeBindingMode"].as_str().unwrap_or("Immediate").into(),
        is(&body["allowVolumeExpansion"]).into(),
        row.age(),
    ]
}

fn driver(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    let requests = match spec["tokenRequests"].as_array() {
        Some(requests) => requests.iter().map(|r| text(&r["audience"])).collect::<Vec<_>>().join(","),
        None => "<unset>".to_owned(),
    };
    let modes = joined(&spec["volumeLifecycleModes"]);
    vec![
        row.name(),
        (spec["attachRequired"] != false).into(),
        is(&spec["podInfoOnMount"]).into(),
        is(&spec["storageCapacity"]).into(),
        requests.into(),
        is(&spec["requiresRepublish"]).into(),
        if modes.is_empty() { "<none>".into() } else { modes.into() },
        row.age(),
    ]
}

fn attachment(row: &Row<'_>) -> Vec<Value> {
    let spec = &row.body["spec"];
    vec![
        row.name(),
        text(&spec["attacher"]).into(),
        text(&spec["source"]["persistentVolumeName"]).into(),
        text(&spec["nodeName"]).into(),
        is(&row.body["status"]["attached"]).into(),
        row.age(),
    ]
}
