//! Commit in one phase: mark, draw, propose (T2); and commands that belong to no transaction.
//!
//! ```text
//!   [mark · draw the timestamp · propose · pass locks on] ─► applied: committed
//! ```
//! What stands in brackets happens under the shard's mutex, so these proposals are in the order of their timestamps.

use std::sync::Arc;

use bytes::Bytes;

use super::{Awaited, Core, Shard};
use crate::TxnError;
use crate::command::{Body, Epoch, Timestamp, TransactionId, Write, Writes};
use crate::oracle::clock_ms;
use crate::outcome::began_ms;

/// A proposed commit: its timestamp, and when it is applied.
pub(crate) struct Proposed {
    pub(crate) timestamp: Timestamp,
    pub(crate) awaited: Awaited,
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
        core.check_epoch(epoch)?;
        if core.locks.ended.contains(transaction) {
            return Err(TxnError::locks_lost());
        }
        let started_ms = clock_ms().max(began_ms(transaction));
        core.newest_step_ms = core.newest_step_ms.max(started_ms);
        if self.is_outdated(&core, &writes) {
            return Err(table_changed());
        }
        // Drawn before the mark by somebody, hence below what this transaction will draw (P2 of `pending`).
        let above = self.oracle.newest();
        core.pending.mark(transaction, above, &writes);
        core.pending.settle_folds(transaction, &mut writes);
        let drawn = self.draw_marked(&core, transaction);
        let proposed = drawn.and_then(|timestamp| {
            others_stand()?;
            let body = Body::OnePhase {
                transaction,
                started_ms,
                timestamp,
                writes,
            };
            let (sequence, awaited) = self.propose(&mut core, body, Some(transaction))?;
            Ok((timestamp, sequence, awaited))
        });
        match proposed {
            Ok((timestamp, sequence, awaited)) => {
                // From here on locked reads see the writes, and the locks pass on (T4).
                core.pending.propose(transaction, timestamp, sequence);
                if core.pending.is_staged(transaction) {
                    // Locked reads could not see what was staged: its locks stay until it is applied (`pending` P3).
                    return Ok(Proposed { timestamp, awaited });
                }
                let wakeups = self.release_locks(&mut core, transaction);
                drop(core);
                wakeups.wake(&self.live);
                Ok(Proposed { timestamp, awaited })
            }
            Err(error) => {
                core.pending.remove(transaction);
                Err(error)
            }
        }
    }

    /// Draws the commit timestamp of a transaction that is marked (T2). Who holds the mutex for both would not notice the other
    /// order, and a reader that draws in between would.
    fn draw_marked(&self, core: &Core, transaction: TransactionId) -> Result<Timestamp, TxnError> {
        assert!(
            core.pending.contains(transaction),
            "T2: a transaction is marked before its timestamp is drawn"
        );
        self.oracle.draw().ok_or(TxnError::Unavailable)
    }

    /// Consolidates a row, unless somebody has a write to it on its way.
    pub(crate) async fn fold(self: &Arc<Self>, key: Bytes) -> Result<(), TxnError> {
        let awaited = {
            let mut core = self.core();
            if core.pending.is_undecided(&key, 0) {
                return Ok(());
            }
            self.propose(&mut core, Body::Fold { keys: vec![key] }, None)?.1
        };
        awaited.applied().await
    }

    /// Proposes a part of a transaction's writes ahead of its commit, if its locks here stand.
    pub(crate) fn stage(
        self: &Arc<Self>,
        (transaction, started_ms, part): (TransactionId, u64, u32),
        epoch: Option<Epoch>,
        versions: Vec<Write>,
    ) -> Result<Awaited, TxnError> {
        let mut core = self.core();
        core.check_epoch(epoch)?;
        let body = Body::Stage {
            transaction,
            started_ms,
            part,
            versions,
        };
        Ok(self.propose(&mut core, body, None)?.1)
    }

    /// What a transaction staged here is not going to be committed.
    pub(crate) fn unstage(self: &Arc<Self>, transaction: TransactionId) {
        let mut core = self.core();
        if let Err(error) = self.propose_later(&mut core, Body::Unstage { transaction }, None) {
            tracing::warn!(shard = self.id, transaction, %error, "staged writes wait to be forgotten");
        }
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

/// The writes are for a table as it was (C8).
pub(crate) fn table_changed() -> TxnError {
    TxnError::serialization("a table of a statement was changed after the statement was planned")
}

impl Shard {
    /// Whether writes are for an older version of a table than the one here, or one on its way here (C8). Votes are given
    /// before apply could refuse them.
    pub(crate) fn is_outdated(&self, core: &Core, writes: &Writes) -> bool {
        !writes.expects.is_empty() && self.has_newer(core, &writes.expects)
    }

    /// Whether one of these tables has a newer version here, or gets one that is on its way here.
    pub(crate) fn has_newer(&self, core: &Core, tables: &[(u32, u64)]) -> bool {
        // On its way first: what is applied meanwhile is known by its version before it is forgotten here.
        if core.pending.outdates(tables) {
            return true;
        }
        let versions = self.facts.table_versions.read();
        let is_newer = |(table, version): &(u32, u64)| versions.get(table).is_some_and(|newest| newest > version);
        tables.iter().any(is_newer)
    }
}

impl Core {
    pub(crate) fn check_epoch(&self, epoch: Option<Epoch>) -> Result<(), TxnError> {
        match (&self.over, epoch) {
            (Some(over), _) => Err(over.clone()),
            (None, Some(epoch)) if epoch != self.epoch => Err(TxnError::locks_lost()),
            (None, Some(_) | None) => Ok(()),
        }
    }
}
