//! What outsiders are told: the only types that are serialised for machines (JSON, the custom resource, events, reports of
//! policies).
//!
//! Input: a [`Report`], made by the daemon on every path (success, refusal, failure). Output: the `Reconciliation`
//! object, events for what changed between two reports, the plan as JSON. Equal reports make equal objects, so that
//! nothing is written while nothing changes.

mod crd;
mod event;
mod plan_report;
mod policy_report;
mod reconciliation;
mod suspension;

pub use crd::reconciliation_crd;
pub use event::{EventNote, events};
pub use plan_report::{PlanReport, PlannedChange, PlannedObject, risk_words};
pub use policy_report::{
    LEFT_OUT, PolicyReports, REPORT_KINDS, REPORTS_OF, ReportKinds, says_the_same, stamped,
};
pub use reconciliation::{last_told, name_of, reconciliation, recorded};
pub use suspension::{ALL_UNITS, Suspension};

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Severity, counted};

/// How a reconciliation stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Owner name.
    pub owner: String,
    /// Where the repository is.
    pub source: SourceRecord,
    /// The revision last seen.
    pub revision: Option<String>,
    /// The revision that was applied as a whole.
    pub applied_revision: Option<String>,
    /// Whether writes are ours.
    pub holds_lease: bool,
    /// Whether everything is applied and healthy.
    pub converged: bool,
    /// Whether nothing can move without a person.
    pub stalled: bool,
    /// Units by name.
    pub units: Vec<UnitStatus>,
    /// How many objects stand how.
    pub objects: ObjectCounts,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// Identity of a source: another one under the same owner name is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceRecord {
    /// URL or folder, without credentials.
    pub url: String,
    /// Folder in the repository.
    pub path: String,
    /// First commit of the repository's history; empty for a folder.
    pub root_commit: String,
}

/// The phase of a unit that somebody suspended.
pub const SUSPENDED: &str = "Suspended";

/// A unit as outsiders see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitStatus {
    /// Its name.
    pub name: String,
    /// `Ready`, `Applying`, `WaitingForHealth` ...
    pub phase: String,
    /// Why.
    pub message: String,
}

/// How many objects stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectCounts {
    /// Rendered from the repository.
    pub rendered: usize,
    /// As the repository says.
    pub in_sync: usize,
    /// Not applied, each with a finding.
    pub blocked: usize,
    /// Still to be written.
    pub pending: usize,
}

/// The beginning of a commit id or of a folder's hash, as people say it.
fn short(revision: &str) -> &str {
    let end = revision.find(':').map_or(0, |colon| colon + 1) + 7;
    revision.get(..end).unwrap_or(revision)
}

impl Report {
    /// The findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// Names of the units that are suspended.
    pub fn suspended(&self) -> impl Iterator<Item = &str> {
        self.units.iter().filter(|unit| unit.phase == SUSPENDED).map(|unit| unit.name.as_str())
    }

    /// Whether nothing but a suspension keeps it from being all that the repository says.
    pub fn is_suspended(&self) -> bool {
        !self.converged && self.stalled && self.suspended().next().is_some() && self.errors().next().is_none()
    }

    /// One sentence on how it stands.
    pub fn summary(&self) -> String {
        match self.suspended().collect::<Vec<_>>()[..] {
            [] => self.counts(),
            [unit] => format!("{}; unit {unit} is suspended", self.counts()),
            ref units => format!("{}; {} units are suspended", self.counts(), units.len()),
        }
    }

    fn counts(&self) -> String {
        let counts = &self.objects;
        let revision = self.revision.as_deref().map_or("nothing read yet", short);
        match self.errors().count() {
            0 if self.converged => format!("{} as in {revision}", counted(counts.in_sync, "object")),
            0 => format!("{} of {} objects as in {revision}", counts.in_sync, counts.rendered),
            errors => format!(
                "{} of {} objects as in {revision}, {} blocked, {}",
                counts.in_sync,
                counts.rendered,
                counts.blocked,
                counted(errors, "error")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suspended_is_neither_ready_nor_blocked() {
        let unit = |name: &str, phase: &str| UnitStatus {
            name: name.into(),
            phase: phase.into(),
            message: String::new(),
        };
        let counts = ObjectCounts { rendered: 2, in_sync: 1, blocked: 0, pending: 1 };
        let mut report = Report {
            revision: Some("3f2c1d9aaaa".into()),
            stalled: true,
            units: vec![unit("a", SUSPENDED), unit("b", "WaitingForDependency")],
            objects: counts,
            ..Report::default()
        };
        assert_eq!(report.summary(), "1 of 2 objects as in 3f2c1d9; unit a is suspended");
        assert!(report.is_suspended());
        let ready = reconciliation(&report, None, "now")["status"]["conditions"][0].clone();
        assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"Suspended".into()));
        report.units.push(unit("c", SUSPENDED));
        assert!(report.summary().ends_with("; 2 units are suspended"));
        report.findings.push(Finding::error(crate::finding::Code::Unhealthy, "x"));
        assert!(!report.is_suspended(), "that is not all that is wrong");
    }
}
