//! Commit: mark, draw, propose (T2), for one phase and for each role of two.
//!
//! ```text
//!   one phase      [mark · draw · propose OnePhase · pass locks on] ─► applied
//!   participant    [mark · propose Prepare] ─► applied: vote … [propose Finish · pass locks on] ─► applied
//!   anchor         [mark · draw · propose Decide · pass locks on] ─► applied: committed
//! ```
//! What stands in brackets happens under the shard's mutex, so proposals are in the order of their timestamps.

use std::sync::Arc;

use bytes::Bytes;

use super::{Awaited, Core, Shard};
use crate::TxnError;
use crate::command::{Body, Decision, Epoch, PreparedRecord, Timestamp, TransactionId, Writes};
use crate::placement::ShardId;

/// A proposed commit: its timestamp, and when it is applied.
pub(crate) struct Proposed {
    pub(crate) timestamp: Timestamp,
    pub(crate) outcome: Awaited,
}

impl Shard {
    /// Commits a transaction whose writes are all on this shard. `epoch` is that of its locks here, if it has any;
    /// `others_stand` tells whether its locks elsewhere stand, and is asked after the timestamp was drawn.
    pub(crate) fn commit_one_phase(
        self: &Arc<Self>,
        transaction: TransactionId,
        epoch: Option<Epoch>,
        mut writes: Writes,
        others_stand: impl FnOnce() -> Result<(), TxnError>,
    ) -> Result<Proposed, TxnError> {
        let mut core = self.core();
        let timestamp = self.mark_and_draw(&mut core, transaction, epoch, &mut writes)?;
        let body = Body::OnePhase {
            transaction,
            timestamp,
            writes,
        };
        let proposed = others_stand().and_then(|()| self.propose(&mut core, body, Some(transaction)));
        self.hand_over(core, transaction, timestamp, proposed)
    }

    /// Writes the anchor's decision to commit: the commit point of a transaction over several shards.
    pub(crate) fn decide_commit(
        self: &Arc<Self>,
        transaction: TransactionId,
        epoch: Option<Epoch>,
        mut writes: Writes,
        participants: Vec<ShardId>,
        dated: impl FnOnce(Timestamp) -> Result<(), TxnError>,
    ) -> Result<Proposed, TxnError> {
        let mut core = self.core();
        let timestamp = self.mark_and_draw(&mut core, transaction, epoch, &mut writes)?;
        let forget = std::mem::take(&mut core.finished);
        let body = Body::Decide {
            transaction,
            decision: Decision::Commit(timestamp),
            participants,
            writes,
            forget,
        };
        let proposed = dated(timestamp).and_then(|()| self.propose(&mut core, body, Some(transaction)));
        self.hand_over(core, transaction, timestamp, proposed)
    }

    fn mark_and_draw(
        &self,
        core: &mut Core,
        transaction: TransactionId,
        epoch: Option<Epoch>,
        writes: &mut Writes,
    ) -> Result<Timestamp, TxnError> {
        core.check_epoch(epoch)?;
        // Drawn before the mark by somebody, hence below what this transaction will draw (P2).
        let above = self.oracle.newest();
        self.settle_folds(core, transaction, writes);
        core.pending.mark(transaction, above, &writes.versions, &writes.clears);
        self.oracle.draw().ok_or_else(|| {
            core.pending.remove(transaction);
            TxnError::Unavailable
        })
    }

    /// After the proposal: the writes are visible to locked reads, and the locks pass on (T4).
    fn hand_over(
        self: &Arc<Self>,
        mut core: parking_lot::MutexGuard<'_, Core>,
        transaction: TransactionId,
        timestamp: Timestamp,
        proposed: Result<(u64, Awaited), TxnError>,
    ) -> Result<Proposed, TxnError> {
        match proposed {
            Ok((sequence, outcome)) => {
                core.pending.propose(transaction, timestamp, sequence);
                let wakeups = self.release_locks(&mut core, transaction);
                drop(core);
                wakeups.wake(&self.live);
                Ok(Proposed { timestamp, outcome })
            }
            Err(error) => {
                core.pending.remove(transaction);
                Err(error)
            }
        }
    }

    /// Consolidation was asked for by what the coordinator saw under its locks; here is known whether somebody else has a
    /// write to the row on its way (storage M2).
    fn settle_folds(&self, core: &Core, transaction: TransactionId, writes: &mut Writes) {
        for write in writes.versions.iter_mut().filter(|write| write.fold) {
            write.fold = !core.pending.is_undecided(&write.key, transaction);
        }
    }

    /// Logs a participant's writes and locks. The vote is the outcome.
    pub(crate) fn prepare(
        self: &Arc<Self>,
        transaction: TransactionId,
        epoch: Option<Epoch>,
        anchor: ShardId,
        writes: Writes,
    ) -> Result<Awaited, TxnError> {
        let mut core = self.core();
        core.check_epoch(epoch)?;
        let above = self.oracle.newest();
        let locks = core.locks.seal(transaction)?;
        core.pending.mark(transaction, above, &writes.versions, &writes.clears);
        let record = PreparedRecord { anchor, writes, locks };
        match self.propose(&mut core, Body::Prepare { transaction, record }, None) {
            Ok((_, outcome)) => Ok(outcome),
            Err(error) => {
                core.pending.remove(transaction);
                Err(error)
            }
        }
    }

    /// All participants of a transaction anchored here have finished; its record goes with the next decision.
    pub(crate) fn note_finished(&self, transaction: TransactionId) {
        self.core().finished.push(transaction);
    }

    /// Tells readers the timestamp a prepared transaction will have if it commits.
    pub(crate) fn date(&self, transaction: TransactionId, timestamp: Timestamp) {
        self.core().pending.date(transaction, timestamp);
    }

    /// Tells a participant what was decided.
    pub(crate) fn finish(
        self: &Arc<Self>,
        transaction: TransactionId,
        decision: Decision,
    ) -> Result<Awaited, TxnError> {
        let mut core = self.core();
        let may_fold = core.pending.may_fold(transaction);
        let body = Body::Finish {
            transaction,
            decision,
            may_fold,
        };
        let (sequence, outcome) = self.propose(&mut core, body, Some(transaction))?;
        match decision {
            Decision::Commit(timestamp) => core.pending.propose(transaction, timestamp, sequence),
            Decision::Abort => core.pending.remove(transaction),
        }
        let wakeups = self.release_locks(&mut core, transaction);
        drop(core);
        wakeups.wake(&self.live);
        Ok(outcome)
    }

    /// Writes ABORT on the anchor, unless a decision stands already.
    pub(crate) fn decide_abort(self: &Arc<Self>, transaction: TransactionId) -> Result<Awaited, TxnError> {
        let body = Body::Decide {
            transaction,
            decision: Decision::Abort,
            participants: Vec::new(),
            writes: Writes::default(),
            forget: Vec::new(),
        };
        Ok(self.propose(&mut self.core(), body, None)?.1)
    }

    /// Consolidates a row, unless somebody has a write to it on its way.
    pub(crate) async fn fold(self: &Arc<Self>, key: Bytes) -> Result<(), TxnError> {
        let receiver = {
            let mut core = self.core();
            if core.pending.is_undecided(&key, 0) {
                return Ok(());
            }
            self.propose(&mut core, Body::Fold { keys: vec![key] }, None)?.1
        };
        receiver.outcome().await.map(drop)
    }

    /// Proposes a command that belongs to no transaction.
    pub(crate) fn keep_house(self: &Arc<Self>, body: Body) -> Result<Awaited, TxnError> {
        Ok(self.propose(&mut self.core(), body, None)?.1)
    }

    /// Gives back all locks of a transaction that wrote nothing here, or was rolled back.
    pub(crate) fn release(&self, transaction: TransactionId) {
        let wakeups = self.release_locks(&mut self.core(), transaction);
        wakeups.wake(&self.live);
    }
}

impl Core {
    pub(crate) fn check_epoch(&self, epoch: Option<Epoch>) -> Result<(), TxnError> {
        match epoch {
            Some(epoch) if epoch != self.epoch => Err(TxnError::locks_lost()),
            Some(_) | None => Ok(()),
        }
    }
}
