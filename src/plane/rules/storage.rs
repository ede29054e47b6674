//! Claims, volumes and storage classes.

use serde_json::Value;

use super::report::{Report, same};
use super::{container, pod, selector, text};
use crate::schema::quantity_value;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

fn access_modes(modes: &Value, at: &str, report: &mut Report) {
    let (mut alone, mut other) = (false, false);
    for (_, mode) in items(modes) {
        report.one_of(at, mode, &MODES);
        match mode.as_str() {
            Some("ReadWriteOncePod") => alone = true,
            Some(mode) if MODES.contains(&mode) => other = true,
            _ => {}
        }
    }
    if alone && other {
        report.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

fn class_and_mode(spec: &Value, at: &str, report: &mut Report) {
    let class = text_of(spec, "storageClassName");
    if !class.is_empty() {
        report.all_invalid(&format!("{at}.storageClassName"), class, text::subdomain(class));
    }
    if !spec["volumeMode"].is_null() {
        report.one_of(&format!("{at}.volumeMode"), &spec["volumeMode"], &["Block", "Filesystem"]);
    }
}

fn positive(value: &Value, at: &str, report: &mut Report) {
    if value.as_str().and_then(quantity_value).is_some_and(|number| number <= 0.0) {
        report.invalid(at, value.clone(), "must be greater than zero");
    }
}

/// What a claim asks for.
pub(super) fn claim_spec(spec: &Value, at: &str, report: &mut Report) {
    if items(&spec["accessModes"]).next().is_none() {
        report.required(&format!("{at}.accessModes"), "at least 1 access mode is required");
    }
    selector::label_selector(&spec["selector"], &format!("{at}.selector"), report);
    access_modes(&spec["accessModes"], &format!("{at}.accessModes"), report);
    let size_at = format!("{at}.resources[storage]");
    match &spec["resources"]["requests"]["storage"] {
        Value::Null => report.required(&size_at, ""),
        size => positive(size, &size_at, report),
    }
    class_and_mode(spec, at, report);
}

pub(super) fn claim_update(body: &Value, before: &Value, report: &mut Report) {
    let fixed = |body: &Value| {
        let mut spec = body["spec"].clone();
        if before["spec"]["volumeName"].is_null() {
            spec.as_object_mut().map(|spec| spec.remove("volumeName"));
        }
        if body["status"]["phase"] == "Bound" || before["status"]["phase"] == "Bound" {
            spec["resources"]["requests"]["storage"] = Value::Null;
        }
        if before["spec"]["storageClassName"].is_null() {
            spec.as_object_mut().map(|spec| spec.remove("storageClassName"));
        }
        spec
    };
    if !same(&fixed(body), &fixed(before)) {
        report.forbidden("spec", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims");
    }
    let size = |body: &Value| {
        body["spec"]["resources"]["requests"]["storage"].as_str().and_then(quantity_value).unwrap_or(0.0)
    };
    let has = before["status"]["capacity"]["storage"].as_str().and_then(quantity_value).unwrap_or(0.0);
    if size(body) < size(before) && size(body) <= has {
        report.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
    }
    report.immutable("volumeMode", &body["spec"]["volumeMode"], &before["spec"]["volumeMode"]);
}

pub(super) fn volume(body: &Value, report: &mut Report) {
    let spec = &body["spec"];
    if items(&spec["accessModes"]).next().is_none() {
        report.required("spec.accessModes", "");
    }
    access_modes(&spec["accessModes"], "spec.accessModes", report);
    let capacity = spec["capacity"].as_object();
    if capacity.is_none_or(serde_json::Map::is_empty) {
        report.required("spec.capacity", "");
    }
    if capacity.is_none_or(|capacity| !capacity.contains_key("storage") || capacity.len() > 1) {
        report.unsupported("spec.capacity", spec["capacity"].clone(), &["storage"]);
    }
    for (name, size) in capacity.into_iter().flatten() {
        let at = format!("spec.capacity[{name}]");
        container::resource_name(name, &at, report);
        positive(size, &at, report);
    }
    let policy = text_of(spec, "persistentVolumeReclaimPolicy");
    if !policy.is_empty() && !["Delete", "Recycle", "Retain"].contains(&policy) {
        let known = ["Delete", "Recycle", "Retain"];
        report.unsupported("spec.persistentVolumeReclaimPolicy", policy, &known);
    }
    if spec["nodeAffinity"]["required"].is_object() {
        pod::node_selector(&spec["nodeAffinity"]["required"], "spec.nodeAffinity.required", report);
    }
    source(spec, report);
    class_and_mode(spec, "spec", report);
}

/// Where a volume's data is: exactly one place.
fn source(spec: &Value, report: &mut Report) {
    let mut found = 0;
    for name in
        ["hostPath", "gcePersistentDisk", "awsElasticBlockStore", "nfs", "rbd", "iscsi", "fc", "local", "csi"]
    {
        let Some(body) = spec.get(name).filter(|body| body.is_object()) else { continue };
        let at = format!("spec.{name}");
        found += 1;
        if found > 1 {
            report.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        match name {
            "hostPath" => pod::host_path(body, &at, report),
            "nfs" => {
                for field in ["server", "path"] {
                    if text_of(body, field).is_empty() {
                        report.required(&format!("{at}.{field}"), "");
                    }
                }
            }
            _ => {}
        }
    }
    if found == 0 {
        report.required("spec", "must specify a volume type");
    }
}

pub(super) fn class(body: &Value, report: &mut Report) {
    match text_of(body, "provisioner") {
        "" => report.required("provisioner", ""),
        name => {
            let lower = name.to_lowercase();
            report.all_invalid("provisioner", &lower, text::qualified(&lower));
        }
    }
    for key in body["parameters"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        if key.is_empty() {
            report.invalid("parameters", "", "field can not be empty.");
        }
    }
    report.one_of("reclaimPolicy", &body["reclaimPolicy"], &["Delete", "Retain"]);
    report.one_of("volumeBindingMode", &body["volumeBindingMode"], &["Immediate", "WaitForFirstConsumer"]);
}

pub(super) fn class_update(body: &Value, before: &Value, report: &mut Report) {
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if !same(&body[field], &before[field]) {
            report.forbidden(field, &format!("updates to {field} are forbidden."));
        }
    }
    report.immutable("volumeBindingMode", &body["volumeBindingMode"], &before["volumeBindingMode"]);
}
