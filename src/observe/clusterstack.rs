//! ClusterStacks. Neither kind says which generation its status speaks of, so `Ready` may still be that of the old spec:
//! only a summary that lists every version asked for can be believed.

use serde_json::Value;

use super::object::{Condition, Object, degraded, healthy, progressing};
use crate::model::Health;

pub(super) fn cluster_stack(object: &Object<'_>) -> Health {
    let versions: Vec<&str> = object.list(&["spec", "versions"]).iter().filter_map(Value::as_str).collect();
    let summary = object.list(&["status", "summary"]);
    for version in &versions {
        let Some(entry) = summary.iter().find(|entry| is_release(object, entry, version)) else {
            return waiting(object, format!("release {version} is not in the summary yet"));
        };
        if !is_ready(entry) {
            let phase = entry["phase"].as_str().filter(|phase| !phase.is_empty()).unwrap_or("not ready");
            let message = entry["message"].as_str().filter(|message| !message.is_empty());
            let detail = message.map_or(String::new(), |message| format!(" ({message})"));
            return waiting(object, format!("release {version}: {phase}{detail}"));
        }
    }
    if versions.is_empty() {
        return match summary.iter().any(is_ready) {
            true => healthy("a release is ready"),
            false => waiting(object, "no release is ready yet".to_owned()),
        };
    }
    healthy(format!("ready: {}", versions.join(", ")))
}

pub(super) fn release(object: &Object<'_>) -> Health {
    if object.flag(&["status", "ready"]) {
        return healthy("the release is ready");
    }
    waiting(object, "the release is not ready yet".to_owned())
}

/// On the way, unless a condition says that it failed.
fn waiting(object: &Object<'_>, reason: String) -> Health {
    match object.conditions().find(Condition::is_severe) {
        Some(condition) => degraded(format!("{reason}; {}", condition.sentence())),
        None => progressing(reason),
    }
}

fn is_ready(entry: &Value) -> bool {
    entry["ready"].as_bool().unwrap_or(false)
}

/// Whether an entry of the summary is the release of a version: its name is provider-stack-minor-version, with dashes
/// where the version has dots.
fn is_release(object: &Object<'_>, entry: &Value, version: &str) -> bool {
    let dashed = |text: &str| text.replace('.', "-");
    let name = dashed(entry["name"].as_str().unwrap_or_default());
    let part = |field| object.text(&["spec", field]);
    let (provider, stack, minor) = (part("provider"), part("name"), dashed(part("kubernetesVersion")));
    let version = dashed(version);
    name == version || name == dashed(&format!("{provider}-{stack}-{minor}-{version}"))
}
