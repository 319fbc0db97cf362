//! Participant: what a shard's leader does about transactions that other shards decide.
//!
//! It votes once its Prepare is applied, and from then on waits for the decision: nothing but the anchor's word ends that (P4).
//! If the word does not come it asks; it asks again for ever.

use std::collections::BTreeMap;

use super::record::OnPrepare;
use super::{ASK_AFTER_MS, Action, Attempt, Decision, Logged, Message, Parties, RESEND_AFTER_MS, Reply, ShardId};
use crate::locks::{Incarnation, TxnId};

/// The transactions prepared on one shard, as its leader knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Participant {
    shard: ShardId,
    waiting: BTreeMap<TxnId, Waiting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    attempt: Attempt,
    parties: Option<Parties>,
    phase: Phase,
    /// Whom to acknowledge to besides the anchor.
    acknowledge_to: Option<ShardId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Prepare is proposed.
    Voting,
    /// Prepare is applied; the anchor is asked when this time comes.
    Voted { ask_at_ms: u64 },
    /// Finish is proposed.
    Finishing,
}

impl Participant {
    /// The core of a new leader: `prepared` are the records of its family. Their coordinators may live: they get the time
    /// to tell that they would have had.
    pub fn new(shard: ShardId, prepared: impl IntoIterator<Item = (Attempt, Parties)>, now_ms: u64) -> Participant {
        let phase = Phase::Voted {
            ask_at_ms: now_ms + ASK_AFTER_MS,
        };
        let restore = |(attempt, parties): (Attempt, Parties)| {
            (
                attempt.txn,
                Waiting {
                    attempt,
                    parties: Some(parties),
                    phase,
                    acknowledge_to: None,
                },
            )
        };
        Participant {
            shard,
            waiting: prepared.into_iter().map(restore).collect(),
        }
    }

    /// Transactions whose decision is not known here.
    pub fn undecided(&self) -> impl Iterator<Item = TxnId> + '_ {
        self.waiting
            .iter()
            .filter(|(_, waiting)| waiting.phase != Phase::Finishing)
            .map(|(&txn, _)| txn)
    }

    /// Transactions whose vote is proposed and not applied.
    pub(crate) fn voting(&self) -> impl Iterator<Item = TxnId> + '_ {
        let is_voting = |(_, waiting): &(&TxnId, &Waiting)| waiting.phase == Phase::Voting;
        self.waiting.iter().filter(is_voting).map(|(&txn, _)| txn)
    }

    /// The coordinator wants a vote. `seal` marks the transaction's locks as kept, if all it had here stand (L9).
    pub fn on_prepare(&mut self, attempt: Attempt, parties: Parties, seal: impl FnOnce() -> bool) -> Vec<Action> {
        match self.waiting.get(&attempt.txn).map(|waiting| waiting.phase) {
            Some(Phase::Voting) => Vec::new(),
            Some(Phase::Voted { .. }) => vec![Action::Reply(attempt, Reply::Voted(self.shard, true))],
            Some(Phase::Finishing) => Vec::new(),
            None if !seal() => vec![Action::Reply(attempt, Reply::Voted(self.shard, false))],
            None => {
                let waiting = Waiting {
                    attempt,
                    parties: Some(parties.clone()),
                    phase: Phase::Voting,
                    acknowledge_to: None,
                };
                self.waiting.insert(attempt.txn, waiting);
                vec![Action::Propose(Logged::Prepare(attempt, parties))]
            }
        }
    }

    /// A Prepare was applied.
    pub fn on_prepared(&mut self, attempt: Attempt, verdict: OnPrepare, now_ms: u64) -> Vec<Action> {
        let voted = verdict != OnPrepare::Refuse;
        let mut actions = vec![Action::Reply(attempt, Reply::Voted(self.shard, voted))];
        match self.waiting.get_mut(&attempt.txn) {
            Some(waiting) if waiting.phase == Phase::Voting && voted => {
                waiting.phase = Phase::Voted {
                    ask_at_ms: now_ms + ASK_AFTER_MS,
                };
            }
            Some(waiting) if waiting.phase == Phase::Voting => {
                self.waiting.remove(&attempt.txn);
                actions.push(Action::Release(attempt.txn));
            }
            // ABORT came while the vote was being logged, and is being logged behind it.
            Some(_) | None => {}
        }
        actions
    }

    /// The decision, from the coordinator or the anchor.
    pub fn on_finish(&mut self, attempt: Attempt, decision: Decision, anchor: ShardId) -> Vec<Action> {
        match (self.waiting.get_mut(&attempt.txn), decision) {
            (Some(waiting), _) if waiting.phase == Phase::Finishing => {
                waiting.acknowledge_to = Some(anchor);
                Vec::new()
            }
            (Some(waiting), _) => {
                waiting.phase = Phase::Finishing;
                waiting.acknowledge_to = Some(anchor);
                vec![Action::Propose(Logged::Finish(attempt, decision))]
            }
            // COMMIT needs this shard's vote: it voted, and has finished since.
            (None, Decision::Commit(_)) => {
                vec![Action::Send(anchor, Message::Acknowledge(attempt, self.shard))]
            }
            // Its Prepare may still come: ABORT must be there before (P5).
            (None, Decision::Abort) => {
                let (phase, acknowledge_to) = (Phase::Finishing, Some(anchor));
                self.waiting.insert(
                    attempt.txn,
                    Waiting {
                        attempt,
                        parties: None,
                        phase,
                        acknowledge_to,
                    },
                );
                vec![Action::Propose(Logged::Finish(attempt, decision))]
            }
        }
    }

    /// A Finish was applied.
    pub fn on_finished(&mut self, attempt: Attempt) -> Vec<Action> {
        let waiting = self.waiting.remove(&attempt.txn);
        let mut actions = vec![Action::Release(attempt.txn)];
        if let Some(anchor) = waiting.and_then(|waiting| waiting.acknowledge_to) {
            actions.push(Action::Send(anchor, Message::Acknowledge(attempt, self.shard)));
        }
        actions
    }

    /// Time passes: asks where the decision is overdue.
    pub fn on_tick(&mut self, now_ms: u64) -> Vec<Action> {
        self.ask(now_ms, |_, ask_at_ms| ask_at_ms <= now_ms)
    }

    /// A coordinator is known to be dead: whatever it left is asked for at once.
    pub fn on_coordinator_dead(&mut self, dead: Incarnation, now_ms: u64) -> Vec<Action> {
        self.ask(now_ms, |waiting, _| {
            let of = waiting.attempt.coordinator;
            of.node == dead.node && of.start <= dead.start
        })
    }

    fn ask(&mut self, now_ms: u64, mut is_due: impl FnMut(&Waiting, u64) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        for waiting in self.waiting.values_mut() {
            let Phase::Voted { ask_at_ms } = waiting.phase else {
                continue;
            };
            let Some(parties) = waiting.parties.clone().filter(|_| is_due(waiting, ask_at_ms)) else {
                continue;
            };
            waiting.phase = Phase::Voted {
                ask_at_ms: now_ms + RESEND_AFTER_MS,
            };
            let anchor = parties.anchor;
            actions.push(Action::Send(anchor, Message::Ask(waiting.attempt, parties, self.shard)));
        }
        actions
    }
}
