//! Saying how it stands.

use super::Turning;
use crate::daemon::notes::Scribe;
use crate::daemon::peers::Peers;
use crate::engine::{Engine, Event, UnitPhase};
use crate::finding::Finding;
use crate::model::Revision;
use crate::status::{ObjectCounts, PlanReport, Report, SUSPENDED, Suspension, UnitStatus};

impl Turning {
    /// Say how it stands.
    pub(in crate::daemon) fn report(&mut self, engine: &Engine) {
        // Before the first plan there is nothing to tell but what stands in its way.
        if self.turn.is_none() && engine.findings().is_empty() {
            return;
        }
        let report = self.make_report(engine);
        self.probes.metrics.report(&report);
        if engine.may_tell() {
            self.reporter.report(&report);
            self.policy_reports.tell();
        }
    }

    pub(super) fn record(&mut self, revision: Revision, engine: &Engine) -> Option<Event> {
        if self.reporter.has_recorded(&revision) {
            return Some(Event::Recorded(revision));
        }
        // The report is of this revision; that it is written is told by the reporter.
        let report = self.make_report(engine);
        self.reporter.insist(&report);
        None
    }

    /// Tell the home what is wrong with the peer that it stands in for.
    pub(in crate::daemon) fn tell_home(&self, engine: &Engine) {
        if let Some(stand_in) = &self.stand_in {
            let mut findings = engine.own_findings();
            findings.extend(self.unfenced());
            findings.extend(self.forgetful());
            if findings.is_empty() {
                // One of many watches that fail for one reason says enough.
                findings.extend(self.target.findings().into_iter().take(1));
            }
            stand_in.board.set(&stand_in.name, findings);
        }
    }

    /// What cannot be remembered, or recalled.
    fn forgetful(&self) -> impl Iterator<Item = Finding> {
        let of_peer = self.peer_scribe.as_ref().and_then(Scribe::trouble);
        self.own_unread.clone().into_iter().chain(self.own_scribe.trouble()).chain(of_peer)
    }

    /// What the last plan would still do.
    pub(in crate::daemon) fn planned(&self) -> Option<PlanReport> {
        let turn = self.turn.as_ref()?;
        let suspensions = self.target.suspensions();
        let suspended = turn.manifests.units.iter().filter(|unit| unit.suspended).map(|unit| {
            let by_hand = suspensions.iter().find(|it| it.covers(unit.name.as_str()));
            (
                unit.name.clone(),
                by_hand.map_or_else(|| "suspended in the repository".to_owned(), Suspension::words),
            )
        });
        Some(PlanReport::of(&turn.plan, turn.findings.clone(), &suspended.collect()))
    }

    pub(super) fn make_report(&mut self, engine: &Engine) -> Report {
        let mut findings = self.left_out.clone();
        findings.extend(self.target.findings());
        findings.extend(self.turn.iter().flat_map(|turn| turn.findings.iter().cloned()));
        findings.extend(engine.findings());
        findings.extend(self.unfenced());
        findings.extend(self.policy_reports.findings());
        findings.extend(self.forgetful());
        findings.extend(self.peers.iter().flat_map(Peers::findings));
        let converged = engine.is_converged();
        let revision = engine.revision().cloned();
        // After a restart the target may record as applied what could not be read any more.
        let is_known = self.pipeline.applied_revision() == revision.as_ref();
        if engine.has_applied_everything() && (self.applied != revision || !is_known) {
            self.applied.clone_from(&revision);
            if let Some(turn) = &self.turn {
                self.pipeline.record_turn(turn);
                self.publish_policies(&self.target.live());
            }
        }
        let suspensions = self.target.suspensions();
        let units = engine.units().map(|unit| {
            let by_hand = suspensions.iter().find(|suspension| suspension.covers(unit.name.as_str()));
            let by_hand = by_hand.filter(|_| unit.phase == UnitPhase::Suspended);
            UnitStatus {
                name: unit.name.to_string(),
                phase: phase_name(&unit.phase).to_owned(),
                message: by_hand.map_or_else(|| unit.message.clone(), Suspension::words),
            }
        });
        let objects = self.turn.as_ref().map_or(ObjectCounts::default(), |turn| ObjectCounts {
            rendered: turn.manifests.manifests.len(),
            in_sync: turn.in_sync,
            blocked: turn.blocked,
            pending: turn.manifests.manifests.len().saturating_sub(turn.in_sync + turn.blocked),
        });
        Report {
            owner: self.target.owner().to_owned(),
            source: self.source.clone(),
            // One that was refused leaves no trace: what was attempted before is what the next must descend from.
            revision: revision.or_else(|| engine.recorded().cloned()).map(|revision| revision.to_string()),
            applied_revision: self.applied.as_ref().map(ToString::to_string),
            holds_lease: engine.holds_lease(),
            converged,
            stalled: engine.is_stalled(),
            units: units.collect(),
            objects,
            findings,
        }
    }
}

fn phase_name(phase: &UnitPhase) -> &'static str {
    match phase {
        UnitPhase::Refused => "Refused",
        UnitPhase::Suspended => SUSPENDED,
        UnitPhase::WaitingFor(_) => "WaitingForDependency",
        UnitPhase::Applying => "Applying",
        UnitPhase::WaitingForHealth => "WaitingForHealth",
        UnitPhase::Failed => "Failed",
        UnitPhase::TimedOut => "TimedOut",
        UnitPhase::Ready => "Ready",
    }
}
