//! Reading the source: when, and which of what was found may be applied.

use std::time::Duration;

use super::{Backoff, Effect, Engine, Look, Mode, Now, Rule};
use crate::config::ApprovalAction;
use crate::finding::{ApprovalRequest, Code, Finding};
use crate::model::Revision;

/// Where reading the source stands.
#[derive(Debug)]
pub(super) struct Reading {
    under_way: bool,
    backoff: Backoff,
    next: Now,
    /// There was news while it was under way.
    again: bool,
    pub finding: Option<Finding>,
}

impl Reading {
    pub fn new() -> Reading {
        Reading {
            under_way: false,
            backoff: Backoff::default(),
            next: Now::ZERO,
            again: false,
            finding: None,
        }
    }

    /// Look at it now.
    pub fn hurry(&mut self, now: Now) {
        self.next = now;
        self.again = self.under_way;
    }

    fn answered(&mut self, next: Now, now: Now) {
        self.under_way = false;
        self.next = if std::mem::take(&mut self.again) { now } else { next };
    }
}

impl Engine {
    pub(super) fn ask_source(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.reading.under_way && now >= self.reading.next && !self.has_read_enough() {
            self.reading.under_way = true;
            effects.push(Effect::Fetch { after: self.base.clone() });
        }
    }

    /// When the source is looked at next by itself.
    pub(super) fn next_look(&self) -> Option<Now> {
        (!self.reading.under_way && !self.has_read_enough()).then_some(self.reading.next)
    }

    fn has_read_enough(&self) -> bool {
        matches!(self.options.mode, Mode::Once { .. }) && self.revision.is_some()
    }

    /// The source was read. Nothing is taken that does not descend from what the target records, unless approved.
    pub(super) fn take_in_look(&mut self, look: Look, now: Now, effects: &mut Vec<Effect>) {
        if look.after != self.base {
            // Somebody else has applied more since it was asked: whether it descends from that nobody knows yet.
            self.reading.answered(now, now);
            return;
        }
        let is_barred = !look.descends && !look.approved && self.keeps(Rule::Descent);
        if let Some(base) = self.base.as_ref().filter(|_| is_barred) {
            let finding = not_a_descendant(base, &look.revision);
            // It works: a better commit, or an approval, is to be seen as soon as any other.
            self.reading.backoff = Backoff::default();
            return self.not_read(finding, self.options.interval, now, effects);
        }
        self.reading.answered(now + self.options.interval, now);
        self.reading.backoff = Backoff::default();
        self.reading.finding = None;
        if self.revision.as_ref() != Some(&look.revision) {
            self.revision = Some(look.revision);
            self.stale = true;
        }
    }

    /// The source could not be read.
    pub(super) fn take_in_unread(&mut self, finding: Finding, now: Now, effects: &mut Vec<Effect>) {
        let after = self.reading.backoff.next(0).max(self.options.interval.min(Duration::from_secs(1)));
        self.not_read(finding, after, now, effects);
    }

    fn not_read(&mut self, finding: Finding, after: Duration, now: Now, effects: &mut Vec<Effect>) {
        self.reading.answered(now + after, now);
        if self.reading.finding.as_ref() != Some(&finding) {
            self.reading.finding = Some(finding);
            effects.push(Effect::Report);
        }
        let once = matches!(self.options.mode, Mode::Once { .. });
        if once && self.revision.is_none() {
            effects.push(Effect::Finish(2));
        }
    }
}

/// A revision that must not be applied, if it does not descend from the recorded one and nobody approved it.
fn not_a_descendant(recorded: &Revision, revision: &Revision) -> Finding {
    let message = format!(
        "commit {} does not descend from the applied commit {}: the branch was rewritten, or points elsewhere",
        revision.short(),
        recorded.short()
    );
    let help = format!(
        "push on top of {}, or approve it: `moin approve revision {}`",
        recorded.short(),
        revision.short()
    );
    let request = ApprovalRequest::revision(ApprovalAction::Revision.word(), revision.short());
    Finding::error(Code::NotADescendant, message).help(help).asks(request)
}
