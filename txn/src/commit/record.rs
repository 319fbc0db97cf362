//! Record: what a replica does with a logged command of a transaction, given what it logged before. Pure, so that every
//! replica does the same (DESIGN C1), and idempotent, because leaders change between a proposal and its answer.

use super::Decision;

/// What a shard has logged about a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// It voted, and has not heard the decision.
    pub prepared: bool,
    /// It is the anchor and has decided, or it committed the transaction in one phase.
    pub decision: Option<Decision>,
    /// It heard ABORT.
    pub tombstone: bool,
}

/// What to do with a Prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPrepare {
    /// Write the prepared record: a vote for it.
    Write,
    /// It is there: the same vote again.
    Stands,
    /// A vote against it.
    Refuse,
}

/// What to do with a decision, or with a commit in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDecide {
    /// Write the record, and for COMMIT the writes.
    Write,
    /// Write nothing: this stands.
    Stands(Decision),
    /// Write nothing: it began before the horizon. If it committed, every participant has finished and the record is
    /// forgotten; so a participant that still waits may take it for ABORT, a coordinator may not.
    TooLate,
}

/// What to do with what the anchor decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFinish {
    /// Turn the prepared writes into versions at the timestamp; drop the prepared record.
    Commit,
    /// Drop the prepared record, and remember the ABORT.
    Abort,
    /// Nothing: it was told before.
    Stands,
}

impl Known {
    /// A vote. What began before the horizon is refused, because what would refuse it otherwise may be forgotten (P5).
    pub fn on_prepare(self, started_ms: u64, horizon_ms: u64) -> OnPrepare {
        if self.prepared {
            OnPrepare::Stands
        } else if self.tombstone || self.decision.is_some() || started_ms < horizon_ms {
            OnPrepare::Refuse
        } else {
            OnPrepare::Write
        }
    }

    /// A decision, or a commit in one phase: the first record stands (P3).
    pub fn on_decide(self, decision: Decision, started_ms: u64, horizon_ms: u64) -> OnDecide {
        match (self.decision, decision) {
            (Some(standing), _) => OnDecide::Stands(standing),
            (None, _) if started_ms < horizon_ms => OnDecide::TooLate,
            (None, Decision::Commit(_)) if self.tombstone => OnDecide::Stands(Decision::Abort),
            (None, _) => OnDecide::Write,
        }
    }

    /// The anchor's decision at a participant.
    pub fn on_finish(self, decision: Decision, started_ms: u64, horizon_ms: u64) -> OnFinish {
        match (decision, self.prepared) {
            (Decision::Commit(_), true) => OnFinish::Commit,
            (Decision::Commit(_), false) => OnFinish::Stands,
            (Decision::Abort, false) if self.tombstone || started_ms < horizon_ms => OnFinish::Stands,
            // Not prepared either: its Prepare may still be on its way.
            (Decision::Abort, _) => OnFinish::Abort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Decision = Decision::Commit(7);

    #[test]
    fn a_prepare_after_abort_does_nothing() {
        let aborted = Known {
            tombstone: true,
            ..Known::default()
        };
        assert_eq!(aborted.on_prepare(5, 0), OnPrepare::Refuse);
        assert_eq!(Known::default().on_prepare(5, 0), OnPrepare::Write);
    }

    #[test]
    fn a_prepare_that_began_before_the_horizon_does_nothing() {
        assert_eq!(Known::default().on_prepare(5, 6), OnPrepare::Refuse);
        assert_eq!(Known::default().on_prepare(6, 6), OnPrepare::Write);
        let voted = Known {
            prepared: true,
            ..Known::default()
        };
        assert_eq!(voted.on_prepare(5, 6), OnPrepare::Stands, "what was voted stays voted");
    }

    #[test]
    fn the_first_decision_stands() {
        for first in [COMMIT, Decision::Abort] {
            let decided = Known {
                decision: Some(first),
                ..Known::default()
            };
            for second in [COMMIT, Decision::Commit(8), Decision::Abort] {
                assert_eq!(decided.on_decide(second, 5, 0), OnDecide::Stands(first));
                assert_eq!(
                    decided.on_decide(second, 5, 6),
                    OnDecide::Stands(first),
                    "before the horizon too"
                );
            }
        }
    }

    #[test]
    fn a_decision_that_began_before_the_horizon_is_too_late() {
        assert_eq!(Known::default().on_decide(COMMIT, 5, 6), OnDecide::TooLate);
        assert_eq!(Known::default().on_decide(Decision::Abort, 5, 6), OnDecide::TooLate);
    }

    #[test]
    fn a_participant_finishes_once() {
        let voted = Known {
            prepared: true,
            ..Known::default()
        };
        assert_eq!(voted.on_finish(COMMIT, 5, 0), OnFinish::Commit);
        assert_eq!(voted.on_finish(Decision::Abort, 5, 0), OnFinish::Abort);
        assert_eq!(
            voted.on_finish(COMMIT, 5, 6),
            OnFinish::Commit,
            "a vote is kept beyond the horizon"
        );
        assert_eq!(Known::default().on_finish(COMMIT, 5, 0), OnFinish::Stands);
        assert_eq!(
            Known::default().on_finish(Decision::Abort, 5, 0),
            OnFinish::Abort,
            "before its Prepare"
        );
        assert_eq!(
            Known::default().on_finish(Decision::Abort, 5, 6),
            OnFinish::Stands,
            "which is refused by then"
        );
    }
}
