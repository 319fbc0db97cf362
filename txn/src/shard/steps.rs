//! Steps of commits over several shards: messages in, proposals and answers out.
//!
//! What to do is decided by the cores in [`crate::commit`]; here it is done: locks are sealed, writes marked, commands
//! proposed, and what goes to others is collected while the mutex is held and carried out after.

use std::sync::Arc;

use bytes::Bytes;

use super::lock::Wakeups;
use super::{Core, Shard};
use crate::TxnError;
use crate::command::{Body, Decision, Epoch, Outcome, Step, TransactionId, Writes};
use crate::commit::record::{OnDecide, OnPrepare};
use crate::commit::{Action, Logged, Message, Reply};
use crate::locks::TxnId;
use crate::oracle::clock_ms;
use crate::placement::ShardId;

/// What a coordinator sends along with a message.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    /// The transaction's writes on this shard.
    pub(crate) writes: Writes,
    /// Epoch of its locks here, if it has any.
    pub(crate) epoch: Option<Epoch>,
}

/// What follows a message or an applied command, once the mutex is released.
#[derive(Default)]
pub(crate) struct Effects {
    wakeups: Vec<Wakeups>,
    replies: Vec<(TxnId, Reply)>,
    messages: Vec<(ShardId, Message)>,
    refused: Option<TxnError>,
}

impl Effects {
    /// Gives back a transaction's locks; those who get them are woken with the rest.
    pub(super) fn release(&mut self, shard: &Shard, core: &mut Core, id: TransactionId) {
        self.wakeups.push(shard.release_locks(core, id));
    }

    /// Wakes, answers and sends.
    pub(super) fn carry_out(self, shard: &Shard) {
        for wakeups in self.wakeups {
            wakeups.wake(&shard.live);
        }
        for (txn, reply) in self.replies {
            shard.live.reply(txn, reply);
        }
        for (to, message) in self.messages {
            match shard.live.shard(to) {
                // Between shards nothing is refused for want of space: these messages finish what was decided.
                Some(other) => drop(other.deliver(message, Payload::default())),
                None => shard.live.remote.send(to, message),
            }
        }
    }
}

impl Shard {
    /// Takes a message of a coordinator or of another shard.
    ///
    /// # Errors
    /// Why a vote was refused here, if not for lost locks: the coordinator hears of the refusal by its reply.
    pub(crate) fn deliver(self: &Arc<Self>, message: Message, payload: Payload) -> Result<(), TxnError> {
        let mut effects = Effects::default();
        {
            let mut core = self.core();
            // A leader that leads no more answers nothing: what it says might not be what the next one does.
            core.check_epoch(None)?;
            self.on_message(&mut core, message, payload, &mut effects);
        }
        let refused = effects.refused.take();
        effects.carry_out(self);
        refused.map_or(Ok(()), Err)
    }

    fn on_message(self: &Arc<Self>, core: &mut Core, message: Message, payload: Payload, effects: &mut Effects) {
        let now_ms = clock_ms();
        let is_outdated = self.is_outdated(core, &payload.writes);
        if is_outdated {
            effects.refused = Some(super::commit::table_changed());
        }
        let is_elsewhere = self.live.remote.is_elsewhere(message.attempt().txn.0);
        let has_ended = core.locks.ended.contains(message.attempt().txn.0);
        let stands = core.check_epoch(payload.epoch).is_ok() && !is_outdated && !has_ended;
        match message {
            Message::Prepare(attempt, parties) => {
                let mut sealed = Bytes::new();
                let Core {
                    locks,
                    pending,
                    participant,
                    ..
                } = core;
                let actions = participant.on_prepare(attempt, parties, || {
                    let Some(of_locks) = locks.seal(attempt.txn.0).ok().filter(|_| stands) else {
                        return false;
                    };
                    sealed = of_locks;
                    pending.mark(attempt.txn.0, self.oracle.newest(), &payload.writes);
                    true
                });
                self.perform(core, actions, payload.writes, sealed, effects);
            }
            Message::Mark(attempt, parties) => {
                let Core {
                    locks, pending, anchor, ..
                } = core;
                let actions = anchor.on_mark(attempt, parties, now_ms, || {
                    let is_sealed = stands && locks.seal(attempt.txn.0).is_ok();
                    if is_sealed {
                        pending.mark(attempt.txn.0, self.oracle.newest(), &payload.writes);
                    }
                    is_sealed
                });
                self.perform(core, actions, Writes::default(), Bytes::new(), effects);
            }
            Message::Confirm(attempt) => {
                let confirmed = stands && self.has_lease();
                effects
                    .replies
                    .push((attempt.txn, Reply::Confirmed(self.id, confirmed)));
            }
            Message::Decide(attempt, timestamp, parties) => {
                let actions = core.anchor.on_decide(attempt, timestamp, parties);
                self.perform(core, actions, payload.writes, Bytes::new(), effects);
            }
            Message::Finish(attempt, decision, anchor) => {
                if is_elsewhere {
                    core.locks.ended.insert(attempt.txn.0);
                }
                let actions = core.participant.on_finish(attempt, decision, anchor);
                self.perform(core, actions, Writes::default(), Bytes::new(), effects);
            }
            Message::Ask(attempt, parties, from) => {
                let actions = core.anchor.on_ask(attempt, parties, from);
                self.perform(core, actions, Writes::default(), Bytes::new(), effects);
            }
            Message::Acknowledge(attempt, from) => {
                let actions = core.anchor.on_acknowledge(attempt, from);
                self.perform(core, actions, Writes::default(), Bytes::new(), effects);
            }
            Message::Release(attempt) => {
                if is_elsewhere {
                    core.locks.ended.insert(attempt.txn.0);
                }
                if core.pending.contains(attempt.txn.0) {
                    let actions = core.anchor.on_release(attempt);
                    self.perform(core, actions, Writes::default(), Bytes::new(), effects);
                } else {
                    effects.wakeups.push(self.release_locks(core, attempt.txn.0));
                }
            }
        }
    }

    /// Tells the cores what apply made of a body.
    pub(super) fn on_outcome(self: &Arc<Self>, core: &mut Core, outcome: Outcome, effects: &mut Effects) {
        let actions = match outcome {
            Outcome::Done => return,
            Outcome::Prepared(attempt, verdict) => core.participant.on_prepared(attempt, verdict, clock_ms()),
            Outcome::Decided(attempt, decision, parties, verdict) => {
                core.anchor.on_decided(attempt, decision, parties, verdict, clock_ms())
            }
            Outcome::Finished(attempt) => core.participant.on_finished(attempt),
            Outcome::Horizon(horizon_ms) => core.anchor.on_horizon(horizon_ms),
        };
        self.perform(core, actions, Writes::default(), Bytes::new(), effects);
    }

    fn perform(
        self: &Arc<Self>,
        core: &mut Core,
        actions: Vec<Action>,
        mut writes: Writes,
        locks: Bytes,
        effects: &mut Effects,
    ) {
        for action in actions {
            match action {
                Action::Propose(logged) => {
                    let writes = std::mem::take(&mut writes);
                    self.log(
                        core,
                        Step {
                            logged,
                            writes,
                            locks: locks.clone(),
                            may_fold: false,
                        },
                        effects,
                    );
                }
                Action::Reply(attempt, reply) => effects.replies.push((attempt.txn, reply)),
                Action::Send(to, message) => effects.messages.push((to, message)),
                Action::Release(txn) => {
                    core.pending.remove_unproposed(txn.0);
                    effects.wakeups.push(self.release_locks(core, txn.0));
                }
            }
        }
    }

    /// Proposes a step. Once a commit is proposed, locked reads see it and its locks pass on (T4).
    fn log(self: &Arc<Self>, core: &mut Core, mut step: Step, effects: &mut Effects) {
        let logged = step.logged.clone();
        match logged {
            Logged::Prepare(attempt, _) => {
                if let Err(error) = self.propose(core, Body::Step(step), None) {
                    effects.refused = Some(error);
                    self.on_outcome(core, Outcome::Prepared(attempt, OnPrepare::Refuse), effects);
                }
            }
            Logged::Decide(attempt, decision, parties) => {
                core.newest_step_ms = core.newest_step_ms.max(attempt.started_ms);
                let id = attempt.txn.0;
                if let Decision::Commit(_) = decision {
                    core.pending.settle_folds(id, &mut step.writes);
                } else {
                    step.writes = Writes::default();
                }
                match self.propose(core, Body::Step(step), Some(id)) {
                    Ok((sequence, _)) => self.hand_over_step(core, id, decision, sequence, effects),
                    // Somebody else may lead, and know more.
                    Err(error) if !self.has_lease() => {
                        effects.refused = Some(error);
                        core.anchor.on_refused(attempt, decision, parties, clock_ms());
                    }
                    // It is not in the log and nobody else would put it there: whoever asks next is told ABORT.
                    Err(error) => {
                        effects.refused = Some(error);
                        let verdict = OnDecide::Stands(Decision::Abort);
                        self.on_outcome(core, Outcome::Decided(attempt, decision, parties, verdict), effects);
                    }
                }
            }
            Logged::Finish(attempt, decision) => {
                core.newest_step_ms = core.newest_step_ms.max(attempt.started_ms);
                let id = attempt.txn.0;
                step.may_fold = core.pending.may_fold(id);
                // If it cannot be proposed now it waits in the outbox, and is proposed with whatever comes next.
                let sequence = self
                    .propose_later(core, Body::Step(step), Some(id))
                    .unwrap_or_else(|error| {
                        tracing::warn!(shard = self.id, txn = id, %error, "a decision waits to be logged");
                        core.outbox.next_sequence()
                    });
                self.hand_over_step(core, id, decision, sequence, effects);
            }
            Logged::Forget(_) => {
                if let Err(error) = self.propose_later(core, Body::Step(step), None) {
                    tracing::warn!(shard = self.id, %error, "records wait to be forgotten");
                }
            }
        }
    }

    fn hand_over_step(
        &self,
        core: &mut Core,
        id: TransactionId,
        decision: Decision,
        sequence: u64,
        effects: &mut Effects,
    ) {
        match decision {
            Decision::Commit(timestamp) => {
                core.pending.propose(id, timestamp, sequence);
                if core.pending.is_staged(id) {
                    // The cores release them when the step is applied (`pending` P3).
                    return;
                }
            }
            // Nobody may decide otherwise any more: what it wrote is not there.
            Decision::Abort => core.pending.remove(id),
        }
        effects.wakeups.push(self.release_locks(core, id));
    }

    /// Tells readers the timestamp a prepared transaction will have if it commits.
    pub(crate) fn date(&self, id: TransactionId, timestamp: u64) {
        self.core().pending.date(id, timestamp);
    }

    /// Time passes. Coordinators of this node are heard to the end, however slow the disk; only those that are gone are
    /// asked about.
    pub(crate) fn tick(self: &Arc<Self>) {
        let mut effects = Effects::default();
        {
            let mut core = self.core();
            if core.check_epoch(None).is_err() {
                return;
            }
            let now_ms = clock_ms();
            let is_coming = |txn| self.live.is_coordinating(txn) || self.live.remote.is_coming(txn);
            let mut actions = core.anchor.on_tick(now_ms, is_coming);
            if core.participant.undecided().any(|txn| !is_coming(txn)) {
                actions.extend(core.participant.on_tick(now_ms));
            }
            self.perform(&mut core, actions, Writes::default(), Bytes::new(), &mut effects);
            if let Err(error) = self.flush(&mut core) {
                tracing::warn!(shard = self.id, %error, "decisions wait to be logged");
            }
        }
        effects.carry_out(self);
    }

    /// All coordinators of earlier starts are dead: what they left is asked for at once.
    pub(crate) fn ask_for_orphans(self: &Arc<Self>, dead: crate::locks::Incarnation) {
        let mut effects = Effects::default();
        {
            let mut core = self.core();
            let now_ms = clock_ms();
            let mut actions = core.participant.on_coordinator_dead(dead, now_ms);
            actions.extend(core.anchor.on_tick(now_ms, |txn| self.live.is_coordinating(txn)));
            self.perform(&mut core, actions, Writes::default(), Bytes::new(), &mut effects);
        }
        effects.carry_out(self);
    }

    /// Moves the horizon behind attempts that have long ended, if any ended since it was moved last.
    pub(crate) fn move_horizon(self: &Arc<Self>, horizon_ms: u64) -> Result<(), TxnError> {
        let mut core = self.core();
        let last_ms = self.facts.horizon_ms.load(std::sync::atomic::Ordering::Acquire);
        if horizon_ms > last_ms && core.newest_step_ms >= last_ms && core.newest_step_ms > 0 {
            self.propose_later(&mut core, Body::Horizon { started_ms: horizon_ms }, None)?;
        }
        Ok(())
    }
}
