//! The managed fields of an object: who owns what.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::set::FieldSet;

/// The manager of what was there before anybody applied.
pub(super) const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager that the oldest updates are put together under.
const ANCIENT: &str = "ancient-changes";
/// So many managers of updates are told apart.
const MAX_UPDATERS: usize = 10;

/// Who wrote: what makes two entries of managed fields one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// Empty for `Apply`, whose entry moves to the version it applies in.
    pub api_version: String,
    pub subresource: String,
}

/// What somebody owns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub api_version: String,
    pub time: Option<String>,
    pub set: FieldSet,
}

/// All entries.
pub(super) type Managers = BTreeMap<Identity, Entry>;

impl Identity {
    pub fn apply(manager: &str, subresource: Option<&str>) -> Identity {
        Identity::new(manager, "Apply", "", subresource)
    }

    pub fn update(manager: &str, api_version: &str, subresource: Option<&str>) -> Identity {
        Identity::new(manager, "Update", api_version, subresource)
    }

    fn new(manager: &str, operation: &str, api_version: &str, subresource: Option<&str>) -> Identity {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        Identity {
            manager: manager.to_owned(),
            operation: operation.to_owned(),
            api_version: api_version.to_owned(),
            subresource: subresource.unwrap_or_default().to_owned(),
        }
    }

    pub fn applies(&self) -> bool {
        self.operation == "Apply"
    }

    /// The text that the API server sorts managers by.
    pub fn sort_key(&self) -> String {
        let mut text = format!("{{\"manager\":{}", json!(self.manager));
        for (key, value) in [
            ("operation", &self.operation),
            ("apiVersion", &self.api_version),
            ("subresource", &self.subresource),
        ] {
            if !value.is_empty() {
                text.push_str(&format!(",\"{key}\":{}", json!(value)));
            }
        }
        text.push('}');
        text
    }
}

/// The entries of `metadata.managedFields`.
pub(super) fn decode(object: &Value) -> Managers {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().filter_map(decode_entry).collect()
}

fn decode_entry(entry: &Value) -> Option<(Identity, Entry)> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let api_version = text("apiVersion");
    let applies = match entry["operation"].as_str()? {
        "Apply" => true,
        "Update" => false,
        _ => return None,
    };
    let identity = Identity {
        manager: text("manager"),
        operation: text("operation"),
        api_version: if applies { String::new() } else { api_version.clone() },
        subresource: text("subresource"),
    };
    let set = FieldSet::from_fields_v1(&entry["fieldsV1"]);
    Some((identity, Entry { api_version, time: entry["time"].as_str().map(str::to_owned), set }))
}

/// As `metadata.managedFields`, in the API server's order.
fn encode(managers: &Managers) -> Value {
    let mut entries: Vec<(&Identity, &Entry)> = managers.iter().collect();
    entries.sort_by_cached_key(|(id, entry)| {
        let api_version = entry.api_version.clone();
        let time = entry.time.clone().unwrap_or_default();
        (id.operation.clone(), time, id.manager.clone(), api_version, id.subresource.clone())
    });
    let entries = entries.into_iter().map(|(identity, entry)| {
        let mut out = json!({
            "apiVersion": entry.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": entry.set.to_fields_v1(),
            "manager": identity.manager,
            "operation": identity.operation,
        });
        if let Some(time) = &entry.time {
            out["time"] = Value::String(time.clone());
        }
        if !identity.subresource.is_empty() {
            out["subresource"] = Value::String(identity.subresource.clone());
        }
        out
    });
    Value::Array(entries.collect())
}

/// Takes the managed fields out of an object.
pub(super) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// A copy of an object without its managed fields, which are often most of it.
pub(super) fn stripped(object: &Value) -> Value {
    let Some(map) = object.as_object() else { return object.clone() };
    let part = |(key, value): (&String, &Value)| match value.as_object().filter(|_| key == "metadata") {
        Some(metadata) => {
            let kept = metadata.iter().filter(|(field, _)| *field != "managedFields");
            (key.clone(), Value::Object(kept.map(|(field, value)| (field.clone(), value.clone())).collect()))
        }
        None => (key.clone(), value.clone()),
    };
    Value::Object(map.iter().map(part).collect())
}

/// Writes the managed fields of an object.
pub(super) fn write(object: &mut Value, managers: &Managers) {
    strip(object);
    if managers.is_empty() {
        return;
    }
    if let Some(object) = object.as_object_mut() {
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("managedFields".to_owned(), encode(managers));
        }
    }
}

/// Puts the oldest updates together until there are not more than the API server keeps apart.
pub(super) fn cap_updaters(managers: &mut Managers) {
    let mut updaters: Vec<Identity> = managers.keys().filter(|id| !id.applies()).cloned().collect();
    if updaters.len() <= MAX_UPDATERS {
        return;
    }
    updaters.sort_by_cached_key(|id| (managers[id].time.clone().unwrap_or_default(), id.sort_key()));
    let mut left = updaters.len();
    let mut first_of_version: BTreeMap<String, Identity> = BTreeMap::new();
    for id in updaters {
        if left <= MAX_UPDATERS {
            return;
        }
        let version = managers[&id].api_version.clone();
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, id);
            continue;
        };
        let bucket = Identity::update(ANCIENT, &version, None);
        if !managers.contains_key(&bucket)
            && let Some(entry) = managers.remove(first)
        {
            managers.insert(bucket.clone(), entry);
        }
        if id != bucket
            && let Some(entry) = managers.remove(&id)
            && let Some(ancient) = managers.get_mut(&bucket)
        {
            ancient.set = std::mem::take(&mut ancient.set).union(entry.set);
            ancient.time = entry.time;
            left -= 1;
        }
    }
}
