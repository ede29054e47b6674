//! What an operator has suspended, in the Reconciliation's `spec.suspensions`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::{Code, Finding};
use crate::model::Unit;

/// The unit's name that means all units.
pub const ALL_UNITS: &str = "*";

/// Units that are neither applied nor pruned until somebody resumes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Suspension {
    /// Name of the unit, or [`ALL_UNITS`].
    pub unit: String,
    /// Who did it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Suspension {
    /// Those of a Reconciliation. An entry that is not understood suspends everything: it was meant to stop something.
    pub fn all_of(reconciliation: &Value) -> Vec<Suspension> {
        let entries = reconciliation["spec"]["suspensions"].as_array().into_iter().flatten();
        let parsed = entries.map(|entry| serde_json::from_value(entry.clone()).unwrap_or_default());
        parsed
            .map(|suspension: Suspension| match suspension.unit.as_str() {
                "" => Suspension { unit: ALL_UNITS.to_owned(), ..suspension },
                _ => suspension,
            })
            .collect()
    }

    /// Whether it is about this unit.
    pub fn covers(&self, unit: &str) -> bool {
        self.unit == ALL_UNITS || self.unit == unit
    }

    /// `suspended by jane since 2026-01-01T00:00:00Z: the cloud is being repaired`.
    pub fn words(&self) -> String {
        let mut words = "suspended".to_owned();
        for (link, part) in [(" by ", &self.by), (" since ", &self.since), (": ", &self.reason)] {
            if !part.is_empty() {
                words += &format!("{link}{part}");
            }
        }
        words
    }

    /// What a person should know of it; `units` are those that there are.
    pub fn finding<'a>(&self, units: impl IntoIterator<Item = &'a Unit>) -> Finding {
        let what = match self.unit.as_str() {
            ALL_UNITS => "everything is".to_owned(),
            unit if units.into_iter().any(|known| known.name.as_str() == unit) => format!("unit {unit} is"),
            unit => format!("unit {unit}, which the repository does not have, is"),
        };
        let resume = if self.unit == ALL_UNITS { "--all" } else { self.unit.as_str() };
        let message = format!("{what} {}", self.words());
        Finding::warning(Code::SuspendedByOperator, message).help(format!("`moin resume {resume}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_understood_suspends_everything() {
        let spec = json!({"spec": {"suspensions": [{"unit": "stage/a", "by": "jane"}, {"unit": 7}, {}]}});
        let all = Suspension::all_of(&spec);
        let units: Vec<&str> = all.iter().map(|suspension| suspension.unit.as_str()).collect();
        assert_eq!(units, ["stage/a", "*", "*"]);
        assert!(all[0].covers("stage/a") && !all[0].covers("stage/b") && all[1].covers("stage/b"));
        assert_eq!(
            all[0].finding([]).message,
            "unit stage/a, which the repository does not have, is suspended by jane"
        );
        assert!(Suspension::all_of(&json!({})).is_empty());
    }
}
