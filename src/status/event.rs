//! Kubernetes Events: told on edges, when something becomes so, and never again while it stays so.

use std::collections::HashSet;

use super::Report;
use super::reconciliation::{MAX_FINDINGS, cut};
use crate::finding::{Finding, Severity};
use crate::model::ObjectId;

/// An event to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventNote {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// One word in CamelCase.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The object it is about; the Reconciliation if none.
    pub regarding: Option<ObjectId>,
}

/// What became so between two reports.
pub fn events(before: &Report, after: &Report) -> Vec<EventNote> {
    // Cut as the Reconciliation has it, from which `before` may have been read.
    let key = |finding: &Finding| (finding.code, finding.object.clone(), cut(&finding.message));
    let known: HashSet<_> = before.findings.iter().map(key).collect();
    let mut notes: Vec<EventNote> = after
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note)
        .take(MAX_FINDINGS)
        .filter(|finding| !known.contains(&key(finding)))
        .map(|finding| EventNote {
            kind: "Warning",
            reason: format!("{:?}", finding.code),
            message: format!("{} ({})", finding.message, finding.code),
            regarding: finding.object.clone(),
        })
        .collect();
    if after.applied_revision != before.applied_revision
        && let Some(revision) = &after.applied_revision
    {
        notes.push(normal("Applied", format!("revision {revision} is applied")));
    }
    if after.converged && !before.converged {
        notes.push(normal("Converged", after.summary()));
    }
    notes
}

fn normal(reason: &str, message: String) -> EventNote {
    EventNote { kind: "Normal", reason: reason.to_owned(), message, regarding: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Code;

    #[test]
    fn an_event_is_told_once() {
        let quiet = Report::default();
        let loud = Report { findings: vec![Finding::error(Code::Conflict, "x")], ..Report::default() };
        assert_eq!(events(&quiet, &loud).len(), 1);
        assert!(events(&loud, &loud).is_empty());
        let done = Report { converged: true, applied_revision: Some("a".into()), ..Report::default() };
        let reasons: Vec<String> = events(&quiet, &done).into_iter().map(|note| note.reason).collect();
        assert_eq!(reasons, ["Applied", "Converged"]);
    }
}
