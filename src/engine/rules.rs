//! The rules that keep two instances from undoing each other, by name: tests leave them out one by one, to see that the
//! model finds what comes of it.

use super::Engine;

/// A rule of who writes what, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Only the holder of the lease writes.
    LeaseBeforeWrites,
    /// Who has won the lease reads what the target records before the first write.
    RecordBeforeWrites,
    /// Only what descends from the recorded revision is applied.
    Descent,
    /// Nothing is deleted before everything of the commit is applied.
    PruneLast,
}

impl Engine {
    /// Whether a rule is kept: always, but in the tests that show what it is there for.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests ask which rule is left out"))]
    pub(super) fn keeps(&self, rule: Rule) -> bool {
        #[cfg(test)]
        let is_left_out = self.left_out == Some(rule);
        #[cfg(not(test))]
        let is_left_out = {
            let _ = rule;
            false
        };
        !is_left_out
    }

    /// Act as if there were no such rule.
    #[cfg(test)]
    pub(super) fn leave_out(&mut self, rule: Rule) {
        self.left_out = Some(rule);
    }
}
