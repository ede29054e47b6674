//! Events: what `kubectl describe` shows below an object.

use serde_json::json;

use super::{Cluster, ClusterError};
use crate::model::{Gvk, LiveObject, ServedKind};

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Whether it is a warning.
    pub warning: bool,
    /// Why, in one word, `DriftCorrected`.
    pub reason: String,
    /// What was done, in one word, `Apply`.
    pub action: String,
    /// What happened, in a sentence.
    pub note: String,
    /// Which instance tells it.
    pub instance: String,
    /// When, `2026-01-02T03:04:05.000006Z`.
    pub time: String,
}

impl Cluster {
    /// Records an Event about an object.
    ///
    /// # Errors
    /// [`ClusterError`]; an Event that is lost is no harm.
    pub async fn record(&self, about: &LiveObject, event: &EventRecord) -> Result<(), ClusterError> {
        let kind = ServedKind {
            gvk: Gvk::new("events.k8s.io/v1", "Event"),
            plural: "events".to_owned(),
            namespaced: true,
        };
        let metadata = &about.body["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                // Events of cluster-scoped objects lie in `default`, where kubectl looks for them.
                "namespace": metadata["namespace"].as_str().unwrap_or("default"),
                "generateName": format!("{}-", plain_name(name)),
            },
            "eventTime": event.time,
            "type": if event.warning { "Warning" } else { "Normal" },
            "reason": shortened(&event.reason, 128),
            "action": shortened(&event.action, 128),
            "note": shortened(&event.note, 1024),
            "reportingController": "moin.scs.community/moin",
            "reportingInstance": shortened(&event.instance, 128),
            "regarding": {
                "apiVersion": about.body["apiVersion"],
                "kind": about.body["kind"],
                "namespace": metadata["namespace"],
                "name": name,
                "uid": about.uid(),
                "resourceVersion": about.resource_version(),
            },
        });
        self.create(&kind, &body, false).await.map(|_| ())
    }
}

/// The name as one that an Event may have: names of roles, for example, may have a colon.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' { c } else { '-' };
    let name: String = name.chars().take(200).map(plain).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "object".to_owned() } else { name.to_owned() }
}

/// At most so many bytes, cut between characters.
fn shortened(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}
