//! Outcome: what became of a transaction, for a client whose COMMIT was not answered (DESIGN §4 Recovery).
//!
//! Shards remember commits and aborts until their horizon has passed the attempt. A transaction's number says when it began,
//! and it did not try to commit before: so what no shard remembers, though none has a horizon behind its beginning, did not
//! commit.

use std::sync::atomic::Ordering;

use crate::TxnError;
use crate::command::{Decision, DecisionRecord, TransactionId};
use crate::locks::TxnId;
use crate::machine::records::{self, Record};
use crate::node::Node;
use crate::oracle::COUNTER_BITS;
use crate::shard::Shard;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the states of their names")]
pub enum TransactionOutcome {
    InProgress,
    Committed,
    /// Or it wrote nothing.
    Aborted,
}

/// When a transaction began, in milliseconds: before any attempt to commit it.
pub(crate) fn began_ms(id: TransactionId) -> u64 {
    id >> COUNTER_BITS
}

impl Node {
    /// What became of a transaction; `None` if that may be forgotten.
    ///
    /// # Errors
    /// What reading the records raises.
    pub fn outcome(&self, id: TransactionId) -> Result<Option<TransactionOutcome>, TxnError> {
        let inner = &self.inner;
        if inner.live.get(id).is_some() || inner.live.is_coordinating(TxnId(id)) {
            return Ok(Some(TransactionOutcome::InProgress));
        }
        let (mut is_remembered, mut is_pending) = (true, false);
        for shard in inner.local_leaders() {
            // Before the records: what the horizon takes away meanwhile is not missed.
            let found = shard.outcome(id)?;
            match found {
                // The anchor may know already what others wait to hear.
                Some(TransactionOutcome::InProgress) => is_pending = true,
                Some(TransactionOutcome::Committed | TransactionOutcome::Aborted) => return Ok(found),
                None => {}
            }
            is_remembered &= shard.facts.horizon_ms.load(Ordering::Acquire) <= began_ms(id);
        }
        Ok(match (is_pending, is_remembered) {
            (true, _) => Some(TransactionOutcome::InProgress),
            (false, true) => Some(TransactionOutcome::Aborted),
            (false, false) => None,
        })
    }
}

impl Shard {
    /// What this shard remembers of a transaction.
    pub(crate) fn outcome(&self, id: TransactionId) -> Result<Option<TransactionOutcome>, TxnError> {
        if self.core().pending.contains(id) {
            return Ok(Some(TransactionOutcome::InProgress));
        }
        let view = self.view();
        let decided: Option<DecisionRecord> = records::get(&view, &records::by_transaction(Record::Decision, id))?;
        if let Some(record) = decided {
            return Ok(Some(match record.decision {
                Decision::Commit(_) => TransactionOutcome::Committed,
                Decision::Abort => TransactionOutcome::Aborted,
            }));
        }
        if view.get(&records::by_transaction(Record::Tombstone, id))?.is_some() {
            return Ok(Some(TransactionOutcome::Aborted));
        }
        let mut cursor = view.cursor(
            Some(&records::committed(began_ms(id), 0)),
            Some(&records::end(Record::Committed)),
        )?;
        cursor.seek_to_first();
        while let Some((key, _)) = cursor.item() {
            if key.ends_with(&id.to_be_bytes()) {
                return Ok(Some(TransactionOutcome::Committed));
            }
            cursor.next();
        }
        cursor.status()?;
        Ok(None)
    }
}
