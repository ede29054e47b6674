//! What may stand in `metadata`: names, labels, annotations, finalizers, owners.

use serde_json::Value;

use super::report::Report;
use super::text;
use crate::plane::kinds::Resource;
use crate::plane::status::FieldError;

/// All annotations of an object together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;
const IMMUTABLE: [&str; 5] = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"];

/// Errors in an object's metadata; `before` is the stored object when this is an update.
///
/// An update's metadata is looked at by the storage, by the kind's own strategy for updates, and (`again`) by the
/// kind's validation of whole objects, and each says what it finds.
pub(crate) fn validate(
    resource: &Resource,
    body: &Value,
    before: Option<&Value>,
    again: bool,
) -> Vec<FieldError> {
    let metadata = &body["metadata"];
    let named = |text: &str| name_errors(resource, text);
    let mut report = Report::default();
    match before.map(|before| &before["metadata"]) {
        None => {
            whole(metadata, "metadata", &named, &mut report);
            if !resource.custom {
                known_finalizers(metadata, &mut report);
            }
        }
        Some(before) => {
            whole(metadata, "metadata", &text::path_segment, &mut report);
            update(metadata, before, &mut report);
            update(metadata, before, &mut report);
            if !resource.custom {
                known_finalizers(metadata, &mut report);
            }
            if again {
                whole(metadata, "metadata", &named, &mut report);
                known_finalizers(metadata, &mut report);
            }
        }
    }
    report.errors
}

/// Errors in the metadata of an object that is part of another: its name may be any part of a path.
pub(crate) fn embedded(object: &Value) -> Vec<FieldError> {
    let mut report = Report::default();
    if object["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty()) {
        whole(&object["metadata"], "metadata", &text::path_segment, &mut report);
    } else {
        let mut metadata = object["metadata"].clone();
        metadata["name"] = "none".into();
        whole(&metadata, "metadata", &text::path_segment, &mut report);
    }
    report.errors
}

/// Metadata of a whole object at some path.
pub(super) fn whole(metadata: &Value, at: &str, named: &dyn Fn(&str) -> Vec<String>, report: &mut Report) {
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    if !text("generateName").is_empty() {
        // A prefix may end with what a name may not end with.
        let prefix = text("generateName");
        let masked = prefix.strip_suffix('-').map_or(prefix.to_owned(), |prefix| format!("{prefix}a"));
        report.all_invalid(&format!("{at}.generateName"), prefix, named(&masked));
    }
    match text("name") {
        "" => report.required(&format!("{at}.name"), "name or generateName is required"),
        name => report.all_invalid(&format!("{at}.name"), name, named(name)),
    }
    labels(&metadata["labels"], &format!("{at}.labels"), report);
    annotations(&metadata["annotations"], &format!("{at}.annotations"), report);
    owners(&metadata["ownerReferences"], &format!("{at}.ownerReferences"), report);
    finalizers(&metadata["finalizers"], &format!("{at}.finalizers"), report);
    managed_fields(&metadata["managedFields"], &format!("{at}.managedFields"), report);
}

fn update(metadata: &Value, before: &Value, report: &mut Report) {
    if before["deletionTimestamp"].is_string() {
        let old: Vec<&str> = texts(&before["finalizers"]);
        let mut added: Vec<&str> =
            texts(&metadata["finalizers"]).into_iter().filter(|f| !old.contains(f)).collect();
        if !added.is_empty() {
            added.sort_unstable();
            added.dedup();
            let added: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            report.forbidden("metadata.finalizers", &why);
        }
    }
    for field in IMMUTABLE {
        report.immutable(&format!("metadata.{field}"), &metadata[field], &before[field]);
    }
    let grace = "deletionGracePeriodSeconds";
    report.immutable(&format!("metadata.{grace}"), &metadata[grace], &before[grace]);
    labels(&metadata["labels"], "metadata.labels", report);
    annotations(&metadata["annotations"], "metadata.annotations", report);
    owners(&metadata["ownerReferences"], "metadata.ownerReferences", report);
    managed_fields(&metadata["managedFields"], "metadata.managedFields", report);
}

fn name_errors(resource: &Resource, name: &str) -> Vec<String> {
    match (&*resource.gvk.group, &*resource.gvk.kind) {
        ("", "Namespace") => text::label(name),
        ("", "Service") => text::letter_label(name),
        ("rbac.authorization.k8s.io", _) => text::path_segment(name),
        _ => text::subdomain(name),
    }
}

/// Labels and annotations of a pod template.
pub(super) fn of_template(metadata: &Value, at: &str, report: &mut Report) {
    labels(&metadata["labels"], &format!("{at}.labels"), report);
    annotations(&metadata["annotations"], &format!("{at}.annotations"), report);
}

/// Labels, or what must look like labels.
pub(super) fn labels(labels: &Value, at: &str, report: &mut Report) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        report.all_invalid(at, key, text::qualified(key));
        let value = value.as_str().unwrap_or_default();
        report.all_invalid(at, value, text::label_value(value));
    }
}

fn annotations(annotations: &Value, at: &str, report: &mut Report) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        report.all_invalid(at, key, text::qualified(&key.to_lowercase()));
    }
    if size > ANNOTATIONS_LIMIT {
        report.too_long(at, ANNOTATIONS_LIMIT);
    }
}

fn finalizers(finalizers: &Value, at: &str, report: &mut Report) {
    let finalizers_texts = texts(finalizers);
    for finalizer in &finalizers_texts {
        report.all_invalid(at, finalizer, text::qualified(finalizer));
    }
    if finalizers_texts.contains(&"orphan") && finalizers_texts.contains(&"foregroundDeletion") {
        report.invalid(at, finalizers.clone(), "finalizer orphan and foregroundDeletion cannot be both set");
    }
}

fn owners(owners: &Value, at: &str, report: &mut Report) {
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        // Of `group/` the version is empty.
        if text("apiVersion").rsplit('/').next().is_none_or(str::is_empty) {
            report.invalid(&format!("{at}.apiVersion"), text("apiVersion"), "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                report.invalid(&format!("{at}.{field}"), "", "must not be empty");
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            report.invalid(at, owner.clone(), "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => {
                    let why = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    );
                    report.invalid(at, owners.clone(), &why);
                }
                None => controller = Some(this),
            }
        }
    }
}

fn managed_fields(entries: &Value, at: &str, report: &mut Report) {
    for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            let why = "must be `Apply` or `Update`";
            report.invalid(&format!("{at}[{index}].operation"), text("operation"), why);
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            let why = "must be `FieldsV1`";
            report.invalid(&format!("{at}[{index}].fieldsType"), text("fieldsType"), why);
        }
    }
}

/// A finalizer without a domain must be one that the server knows.
pub(super) fn known_finalizer(at: &str, finalizer: &str, report: &mut Report) {
    if !finalizer.contains('/') && !matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes") {
        report.invalid(at, finalizer, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/// What built-in kinds ask of finalizers beyond that.
fn known_finalizers(metadata: &Value, report: &mut Report) {
    for (index, finalizer) in texts(&metadata["finalizers"]).into_iter().enumerate() {
        known_finalizer(&format!("metadata.finalizers[{index}]"), finalizer, report);
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
