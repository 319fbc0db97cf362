//! Anchor: what a shard's leader does about transactions it decides.
//!
//! It logs at most one decision, tells it to whoever asks, and sends it to the participants until each has acknowledged. Its
//! record is kept beyond that until the horizon has passed the attempt, so that a late question gets the same answer.

use std::collections::{BTreeMap, BTreeSet};

use super::record::OnDecide;
use super::{
    Action, Attempt, Decision, Logged, MARK_KEPT_MS, Message, Parties, RESEND_AFTER_MS, Reply, ShardId, Timestamp,
};
use crate::locks::TxnId;

/// The transactions one shard decides, as its leader knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Anchor {
    shard: ShardId,
    /// Marked in this epoch and not decided: their locks stand.
    marked: BTreeMap<TxnId, Marked>,
    /// A decision is proposed: who wants to hear it, besides the coordinator.
    proposed: BTreeMap<TxnId, Proposed>,
    decided: BTreeMap<TxnId, Decided>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Marked {
    attempt: Attempt,
    parties: Parties,
    until_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Proposed {
    asked_by: BTreeSet<ShardId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Decided {
    attempt: Attempt,
    decision: Decision,
    unacknowledged: BTreeSet<ShardId>,
    resend_at_ms: u64,
}

impl Anchor {
    /// The core of a new leader: `records` are the decisions of its family. Marks of earlier leaders are gone: what they were
    /// about can only be aborted.
    pub fn new(shard: ShardId, records: impl IntoIterator<Item = (Attempt, Decision, Parties)>, now_ms: u64) -> Anchor {
        let restore = |(attempt, decision, parties): (Attempt, Decision, Parties)| {
            let unacknowledged = parties.participants.into_iter().collect();
            (
                attempt.txn,
                Decided {
                    attempt,
                    decision,
                    unacknowledged,
                    resend_at_ms: now_ms,
                },
            )
        };
        let decided = records.into_iter().map(restore).collect();
        Anchor {
            shard,
            marked: BTreeMap::new(),
            proposed: BTreeMap::new(),
            decided,
        }
    }

    /// What was decided about a transaction, if its record is still here.
    pub fn decision(&self, txn: TxnId) -> Option<Decision> {
        self.decided.get(&txn).map(|decided| decided.decision)
    }

    /// Transactions whose decision is proposed and not applied.
    pub(crate) fn deciding(&self) -> impl Iterator<Item = TxnId> + '_ {
        self.proposed.keys().copied()
    }

    /// A decision could not be proposed, and somebody else may lead by now: nothing is known that was not known before. What
    /// was marked stays marked.
    pub(crate) fn on_refused(&mut self, attempt: Attempt, decision: Decision, parties: Parties, now_ms: u64) {
        self.proposed.remove(&attempt.txn);
        if let Decision::Commit(_) = decision {
            let until_ms = now_ms + MARK_KEPT_MS;
            self.marked.insert(
                attempt.txn,
                Marked {
                    attempt,
                    parties,
                    until_ms,
                },
            );
        }
    }

    /// The coordinator is about to draw the timestamp. `seal` marks the transaction's locks as kept, if all it had here
    /// stand (L9).
    pub fn on_mark(
        &mut self,
        attempt: Attempt,
        parties: Parties,
        now_ms: u64,
        seal: impl FnOnce() -> bool,
    ) -> Vec<Action> {
        let is_open = !self.decided.contains_key(&attempt.txn) && !self.proposed.contains_key(&attempt.txn);
        let marked = self.marked.contains_key(&attempt.txn) || (is_open && seal());
        if marked {
            let until_ms = now_ms + MARK_KEPT_MS;
            self.marked.insert(
                attempt.txn,
                Marked {
                    attempt,
                    parties,
                    until_ms,
                },
            );
        }
        vec![Action::Reply(attempt, Reply::Marked(self.shard, marked))]
    }

    /// The coordinator decides COMMIT. Only what was marked in this epoch may; anything else is aborted, so that the answer
    /// is the same whoever asks next.
    pub fn on_decide(&mut self, attempt: Attempt, timestamp: Timestamp, parties: Parties) -> Vec<Action> {
        if let Some(decided) = self.decided.get(&attempt.txn) {
            return vec![Action::Reply(attempt, Reply::Decided(decided.decision))];
        }
        if self.proposed.contains_key(&attempt.txn) {
            return Vec::new();
        }
        let is_marked = self.marked.remove(&attempt.txn).is_some();
        let decision = if is_marked {
            Decision::Commit(timestamp)
        } else {
            Decision::Abort
        };
        self.propose(attempt, decision, parties, None)
    }

    /// A participant has waited too long. Without a decision it is ABORT now.
    pub fn on_ask(&mut self, attempt: Attempt, parties: Parties, from: ShardId) -> Vec<Action> {
        if let Some(decided) = self.decided.get(&attempt.txn) {
            return vec![Action::Send(
                from,
                Message::Finish(attempt, decided.decision, self.shard),
            )];
        }
        if let Some(proposed) = self.proposed.get_mut(&attempt.txn) {
            proposed.asked_by.insert(from);
            return Vec::new();
        }
        self.marked.remove(&attempt.txn);
        self.propose(attempt, Decision::Abort, parties, Some(from))
    }

    fn propose(
        &mut self,
        attempt: Attempt,
        decision: Decision,
        parties: Parties,
        asked_by: Option<ShardId>,
    ) -> Vec<Action> {
        self.proposed.insert(
            attempt.txn,
            Proposed {
                asked_by: asked_by.into_iter().collect(),
            },
        );
        vec![Action::Propose(Logged::Decide(attempt, decision, parties))]
    }

    /// A decision was applied, or found that another one stands.
    pub fn on_decided(
        &mut self,
        attempt: Attempt,
        decision: Decision,
        parties: Parties,
        verdict: OnDecide,
        now_ms: u64,
    ) -> Vec<Action> {
        let (standing, reply) = match verdict {
            OnDecide::Write => (decision, Reply::Decided(decision)),
            OnDecide::Stands(standing) => (standing, Reply::Decided(standing)),
            OnDecide::TooLate => (Decision::Abort, Reply::TooLate),
        };
        let proposed = self.proposed.remove(&attempt.txn).unwrap_or_default();
        self.marked.remove(&attempt.txn);
        let mut actions = vec![Action::Reply(attempt, reply), Action::Release(attempt.txn)];
        let mut tell: BTreeSet<ShardId> = proposed.asked_by;
        if verdict == OnDecide::Write {
            let unacknowledged: BTreeSet<ShardId> = parties.participants.into_iter().collect();
            tell.extend(&unacknowledged);
            let resend_at_ms = now_ms + RESEND_AFTER_MS;
            self.decided.insert(
                attempt.txn,
                Decided {
                    attempt,
                    decision,
                    unacknowledged,
                    resend_at_ms,
                },
            );
        }
        let finish = |shard| Action::Send(shard, Message::Finish(attempt, standing, self.shard));
        actions.extend(tell.into_iter().map(finish));
        actions
    }

    /// The coordinator gave up before Decide: nobody will decide COMMIT, and whoever asks makes it ABORT.
    pub fn on_release(&mut self, attempt: Attempt) -> Vec<Action> {
        match self.marked.remove(&attempt.txn) {
            Some(_) => vec![Action::Release(attempt.txn)],
            None => Vec::new(),
        }
    }

    /// A participant has finished.
    pub fn on_acknowledge(&mut self, attempt: Attempt, from: ShardId) -> Vec<Action> {
        if let Some(decided) = self.decided.get_mut(&attempt.txn) {
            decided.unacknowledged.remove(&from);
        }
        Vec::new()
    }

    /// Time passes: tells those again who have not acknowledged, and aborts what nobody comes to decide. `is_coming` tells
    /// of coordinators that are known to live, however slow a large commit or a busy machine makes them.
    pub fn on_tick(&mut self, now_ms: u64, is_coming: impl Fn(TxnId) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        let overdue: Vec<Marked> = self
            .marked
            .values()
            .filter(|marked| marked.until_ms <= now_ms && !is_coming(marked.attempt.txn))
            .cloned()
            .collect();
        for Marked { attempt, parties, .. } in overdue {
            self.marked.remove(&attempt.txn);
            actions.extend(self.propose(attempt, Decision::Abort, parties, None));
        }
        for decided in self
            .decided
            .values_mut()
            .filter(|decided| decided.resend_at_ms <= now_ms)
        {
            let (attempt, decision) = (decided.attempt, decided.decision);
            let finish = |&to: &ShardId| Action::Send(to, Message::Finish(attempt, decision, self.shard));
            actions.extend(decided.unacknowledged.iter().map(finish));
            decided.resend_at_ms = now_ms + RESEND_AFTER_MS;
        }
        actions
    }

    /// The logged horizon moved: records all have acknowledged and nobody may ask for any more go.
    pub fn on_horizon(&mut self, horizon_ms: u64) -> Vec<Action> {
        let is_garbage =
            |decided: &Decided| decided.unacknowledged.is_empty() && decided.attempt.started_ms < horizon_ms;
        let garbage: Vec<TxnId> = self
            .decided
            .iter()
            .filter(|(_, decided)| is_garbage(decided))
            .map(|(&txn, _)| txn)
            .collect();
        for txn in &garbage {
            self.decided.remove(txn);
        }
        if garbage.is_empty() {
            Vec::new()
        } else {
            vec![Action::Propose(Logged::Forget(garbage))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locks::Incarnation;

    #[test]
    fn a_slow_coordinator_that_lives_is_waited_for() {
        let attempt = Attempt {
            txn: TxnId(7),
            coordinator: Incarnation { node: 1, start: 1 },
            started_ms: 0,
        };
        let parties = Parties {
            anchor: 1,
            participants: vec![2],
        };
        let mut anchor = Anchor::new(1, [], 0);
        anchor.on_mark(attempt, parties, 0, || true);
        assert!(anchor.on_tick(10 * MARK_KEPT_MS, |txn| txn == attempt.txn).is_empty());
        let aborts = anchor.on_tick(10 * MARK_KEPT_MS, |_| false);
        assert!(matches!(
            aborts.as_slice(),
            [Action::Propose(Logged::Decide(_, Decision::Abort, _))]
        ));
    }
}
