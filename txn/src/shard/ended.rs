//! Ended: transactions of other nodes that are over here, so that a message of theirs that comes late does nothing.

use std::collections::VecDeque;

use ahash::HashSet;

use super::Shard;
use crate::TxnError;
use crate::command::{Epoch, TransactionId};
use crate::locks::{AbortReason, Ticket, TxnId};

/// Transactions remembered at most. One that comes back later than so many others finds out at the next look at its
/// coordinator ([`crate::remote`]).
const COUNT_MAX: usize = 1 << 16;

/// Transactions that are over.
#[derive(Default)]
pub(crate) struct Ended {
    set: HashSet<TransactionId>,
    order: VecDeque<TransactionId>,
}

impl Ended {
    pub(super) fn insert(&mut self, id: TransactionId) {
        if self.set.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > COUNT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }

    pub(crate) fn contains(&self, id: TransactionId) -> bool {
        self.set.contains(&id)
    }
}

impl Shard {
    /// Whether a transaction is over here.
    pub(crate) fn has_ended(&self, id: TransactionId) -> bool {
        self.core().locks.ended.contains(id)
    }

    /// A transaction of another node is over here; what it holds stays until it is released.
    pub(crate) fn end_for_good(&self, id: TransactionId) {
        self.core().locks.ended.insert(id);
    }

    /// Gives back everything of a transaction of another node, unless it is on its way to be committed.
    pub(crate) fn release_for_good(&self, id: TransactionId) {
        let mut core = self.core();
        core.locks.ended.insert(id);
        if core.pending.contains(id) {
            return;
        }
        let wakeups = self.release_locks(&mut core, id);
        drop(core);
        wakeups.wake(&self.live);
    }

    /// Whether a transaction's locks of an epoch stand, and this leader still leads (SERIALIZABLE, before its commit).
    pub(crate) async fn confirm(&self, id: TransactionId, epoch: Epoch) -> Result<(), TxnError> {
        {
            let core = self.core();
            core.check_epoch(Some(epoch))?;
            if core.locks.ended.contains(id) {
                return Err(TxnError::locks_lost());
            }
        }
        match self.group.is_lease_open() {
            true => Ok(()),
            false => self
                .group
                .ensure_linearizable()
                .await
                .map_err(|_| TxnError::locks_lost()),
        }
    }

    /// All transactions that hold or wait for something here.
    pub(crate) fn transactions(&self) -> Vec<TransactionId> {
        let core = self.core();
        let mut ids = core.locks.transactions();
        ids.extend(core.participant.undecided().map(|txn| txn.0));
        ids
    }

    /// The coordinators of these are gone: what they hold unprepared falls (L9), and they are refused from now on.
    pub(crate) fn drop_transactions(&self, gone: &HashSet<TransactionId>) {
        let mut core = self.core();
        let (fallen, wakeups) = self.with_table(&mut core, |table, values| {
            table.drop_transactions(|txn| gone.contains(&txn.0), values)
        });
        for txn in &fallen {
            core.locks.ended.insert(txn.0);
        }
        if !fallen.is_empty() {
            core.locks.forget_exclusive(&self.live, |id| gone.contains(&id));
            tracing::info!(
                shard = self.id,
                count = fallen.len(),
                "locks of dead coordinators are freed"
            );
        }
        drop(core);
        wakeups.wake(&self.live);
    }

    /// Ends a wait, if it still stands.
    pub(crate) fn end_wait(&self, id: TransactionId, ticket: Ticket, reason: AbortReason) {
        let mut core = self.core();
        let (_, wakeups) = self.with_table(&mut core, |table, values| {
            let stands = table.waits(ticket).iter().any(|wait| wait.waiter == TxnId(id));
            if stands {
                table.abort_waiting(TxnId(id), reason, values);
            }
        });
        drop(core);
        wakeups.wake(&self.live);
    }
}
