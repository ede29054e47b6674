//! Conditions, in both shapes of Cluster API.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{array, generation, is_modern};

/// One condition of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    /// The message says who speaks.
    pub fn new(kind: &'static str, holds: bool, reason: &'static str, message: impl AsRef<str>) -> Condition {
        Condition { kind, holds, reason, message: format!("simulated: {}", message.as_ref()) }
    }

    fn status(&self) -> &'static str {
        if self.holds { "True" } else { "False" }
    }
}

/// A status with conditions: of objects that are served in the newer shape `modern` ones, with the old ones where that
/// shape keeps them, and the other way round.
pub(super) fn both(object: &Value, mut status: Value, modern: &[Condition], old: &[Condition]) -> Value {
    let said = &object["status"];
    if is_modern(object) {
        status["conditions"] = with_generation(object, &said["conditions"], modern);
        status["deprecated"]["v1beta1"]["conditions"] =
            with_severity(&said["deprecated"]["v1beta1"]["conditions"], old);
    } else {
        status["conditions"] = with_severity(&said["conditions"], old);
        status["v1beta2"]["conditions"] = with_generation(object, &said["v1beta2"]["conditions"], modern);
    }
    status
}

/// Conditions that say of which generation they speak.
pub(super) fn with_generation(object: &Value, said: &Value, conditions: &[Condition]) -> Value {
    let write = |condition: &Condition| {
        json!({"type": condition.kind, "status": condition.status(), "reason": condition.reason,
            "message": condition.message, "observedGeneration": generation(object),
            "lastTransitionTime": since(said, condition)})
    };
    conditions.iter().map(write).collect()
}

/// Conditions as until v1beta1: what does not hold has a severity.
pub(super) fn with_severity(said: &Value, conditions: &[Condition]) -> Value {
    let write = |condition: &Condition| {
        let mut written = json!({"type": condition.kind, "status": condition.status(), "reason": condition.reason,
            "message": condition.message, "lastTransitionTime": since(said, condition)});
        if !condition.holds {
            written["severity"] = "Info".into();
        }
        written
    };
    conditions.iter().map(write).collect()
}

/// Since when it is so.
fn since(said: &Value, condition: &Condition) -> Value {
    let same = array(said).find(|old| old["type"] == condition.kind && old["status"] == condition.status());
    same.map(|old| &old["lastTransitionTime"])
        .filter(|time| time.is_string())
        .cloned()
        .unwrap_or_else(|| format!("{:.0}", Timestamp::now()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let said = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]);
        let at = |holds| {
            with_severity(&said, &[Condition::new("Ready", holds, "A", "b")])[0]["lastTransitionTime"].clone()
        };
        assert_eq!(at(true), "2020-01-01T00:00:00Z");
        assert_ne!(at(false), "2020-01-01T00:00:00Z");
    }

    #[test]
    fn each_version_has_its_shape() {
        let ready = [Condition::new("Ready", false, "No", "not yet")];
        let available = [Condition::new("Available", true, "Yes", "it is")];
        let shape = |version: &str| {
            let object =
                json!({"apiVersion": format!("cluster.x-k8s.io/{version}"), "metadata": {"generation": 3}});
            both(&object, json!({}), &available, &ready)
        };
        let modern = shape("v1beta2");
        assert_eq!(modern["conditions"][0]["observedGeneration"], 3);
        assert_eq!(modern["conditions"][0]["message"], "simulated: it is");
        assert_eq!(modern["deprecated"]["v1beta1"]["conditions"][0]["severity"], "Info");
        let old = shape("v1beta1");
        assert_eq!(old["conditions"][0]["type"], "Ready");
        assert_eq!(old["v1beta2"]["conditions"][0]["type"], "Available");
    }
}
