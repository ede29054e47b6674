//! What a suite says of the world around its objects: what policies look up, change and copy.

use std::path::Path;

use serde_json::Value;

use super::inputs::{documents, objects, texts, with_namespace};
use super::row::Row;
use crate::finding::Finding;
use crate::policy::Objects;
use crate::schema::Schemas;

/// Reads `context`, `clusterResources`, `paramResources`, `targetResources`, `globalContextEntries`, `apiCallResponses`
/// and the `cloneSourceResource` of what is expected; and which objects these are.
pub(super) fn known(
    folder: &Path,
    test: &Value,
    schemas: &Schemas,
    problems: &mut Vec<Finding>,
) -> (Objects<'static>, Vec<Row>) {
    let (mut known, mut named) = (Objects::default(), Vec::new());
    for document in files(test).iter().flat_map(|file| documents(folder, file, problems)) {
        for image in list(&document.value["spec"]["images"]) {
            known.add_image(image["image"].as_str().unwrap_or_default(), image.clone());
        }
        for object in objects(vec![document]) {
            let object = with_namespace(object, schemas);
            named.push(Row::about(&object));
            known.add(object);
        }
    }
    for entry in list(&test["globalContextEntries"]) {
        let data = match entry.get("data").filter(|data| !data.is_null()) {
            Some(data) => data.clone(),
            None => entry_of_objects(folder, entry, problems),
        };
        known.set_global(entry["name"].as_str().unwrap_or_default(), data);
    }
    for answer in list(&test["apiCallResponses"]) {
        let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
        let Some(url) = text("url").or_else(|| text("urlPath")) else { continue };
        known.add_response(text("method").unwrap_or_default(), url, answer["response"].clone());
    }
    (known, named)
}

fn files(test: &Value) -> Vec<String> {
    let mut files = Vec::new();
    for field in ["clusterResources", "paramResources", "targetResources"] {
        files.extend(texts(&test[field]));
    }
    files.extend(test["context"].as_str().map(str::to_owned));
    let sources = list(&test["results"]).iter().map(|result| &result["cloneSourceResource"]);
    files.extend(sources.filter_map(|file| file.as_str().map(str::to_owned)));
    files.sort();
    files.dedup();
    files
}

/// An entry of the global context that holds objects, in files or written out.
fn entry_of_objects(folder: &Path, entry: &Value, problems: &mut Vec<Finding>) -> Value {
    let mut all = list(&entry["resources"]).to_vec();
    for file in texts(&entry["resourceFiles"]) {
        all.extend(objects(documents(folder, &file, problems)));
    }
    Value::Array(all)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
