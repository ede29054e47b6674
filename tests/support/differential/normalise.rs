//! What no two servers have in common, replaced by words.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::{Captures, Regex};
use serde_json::Value;

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("a regex")
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)").expect("a regex"));
static REVISION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)(resource ?version:? |current: |\(|at revision |precondition \(|record \(|resourceVersion: ")\d+"#,
    )
    .expect("a regex")
});

/// What was replaced so far: the first uid that is seen is `uid-1`, and so on.
#[derive(Default)]
pub struct Names {
    uids: HashMap<String, usize>,
}

impl Names {
    /// A JSON value with its server's own parts replaced.
    pub fn json(&mut self, value: &mut Value) {
        self.walk("", value);
    }

    fn walk(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, mut value) in std::mem::take(map) {
                    self.walk(&key, &mut value);
                    map.insert(self.text(&key), value);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(key, item)),
            Value::String(text) => {
                let opaque = !text.is_empty() && text != "0";
                *text = match key {
                    "resourceVersion" if opaque => "RV".to_owned(),
                    "continue" if opaque => token(text),
                    _ => self.text(text),
                };
            }
            _ => {}
        }
    }

    /// A text with its server's own parts replaced.
    pub fn text(&mut self, text: &str) -> String {
        let text = UID.replace_all(text, |found: &Captures<'_>| {
            let next = self.uids.len() + 1;
            format!("uid-{}", self.uids.entry(found[0].to_owned()).or_insert(next))
        });
        let text = TIME.replace_all(&text, "TIME");
        REVISION.replace_all(&text, "${1}RV").into_owned()
    }
}

/// What a continue token says.
fn token(text: &str) -> String {
    let read = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    match read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) {
        Some(mut value) => {
            if value["rv"].as_i64().is_some_and(|rv| rv > 0) {
                value["rv"] = "RV".into();
            }
            value.to_string()
        }
        None => format!("not read: {text}"),
    }
}

/// What an entry of a discovery document is about.
fn entry(item: &Value) -> Option<&str> {
    ["name", "resource", "version", "subresource"]
        .into_iter()
        .find_map(|key| item[key].as_str())
        .or_else(|| item["metadata"]["name"].as_str())
}

/// The entries of a discovery document, each with where it stands.
pub fn served(value: &Value, place: &str, names: &mut BTreeSet<String>) {
    for key in ["groups", "items", "versions", "resources", "subresources"] {
        for item in value[key].as_array().into_iter().flatten() {
            let here = format!("{place}/{}", entry(item).unwrap_or_default());
            served(item, &here, names);
            names.insert(here);
        }
    }
}

/// Leaves out of a discovery document what is not among these entries.
pub fn keep_served(value: &mut Value, place: &str, names: &BTreeSet<String>) {
    for key in ["groups", "items", "versions", "resources", "subresources"] {
        if let Some(items) = value.get_mut(key).and_then(Value::as_array_mut) {
            let here = |item: &Value| format!("{place}/{}", entry(item).unwrap_or_default());
            items.retain(|item| names.contains(&here(item)));
            for item in items.iter_mut() {
                let place = here(item);
                keep_served(item, &place, names);
            }
            if items.is_empty() && key == "subresources" {
                remove(value, key);
            }
        }
    }
}

/// Removes what a path such as `.items[].status.podIP` leads to.
pub fn remove(value: &mut Value, path: &str) {
    let (head, rest) = match path.trim_start_matches('.').split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path.trim_start_matches('.'), None),
    };
    let (key, every) = head.strip_suffix("[]").map_or((head, false), |key| (key, true));
    match (every, rest) {
        (true, Some(rest)) => {
            let items = if key.is_empty() { value.as_array_mut() } else { value[key].as_array_mut() };
            items.into_iter().flatten().for_each(|item| remove(item, rest));
        }
        (_, Some(rest)) if value.get(key).is_some() => remove(&mut value[key], rest),
        (_, None) => {
            value.as_object_mut().map(|map| map.remove(key));
        }
        _ => {}
    }
}

/// What a path such as `.items.0.metadata.name` leads to.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').filter(|part| !part.is_empty()).fold(value, |value, part| match part.parse::<usize>() {
        Ok(index) if value.is_array() => &value[index],
        _ => &value[part],
    })
}
