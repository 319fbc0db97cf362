//! Staged: writes of large transactions that reached the log ahead of their commit.
//!
//! ```text
//!   Stage 0 ─► record     Stage 1 ─► record     …      OnePhase / Finish / Decide COMMIT ─► rows at ts, records go
//!                                                      Unstage, ABORT, the horizon ──────► records go
//! ```
//!
//! The commit turns part after part into rows, each in a batch of its own that is written ahead of the entry's batch: a
//! transaction of any size is applied in bounded memory. That is safe because nobody reads the rows before the entry is
//! applied (the leader keeps the tables marked and the locks held until then), because writing them again is the same, and
//! because the records stay until the entry's own batch: after a crash in the middle the entry is replayed whole.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use storage::engine::{Batch, Durability, Engine, Family};
use storage::mvcc;

use super::records::{self, Record};
use crate::TxnError;
use crate::command::{Staged, Timestamp, TransactionId, Write, encode};
use crate::shard::Facts;

/// A part as it is kept.
#[derive(Serialize, Deserialize)]
struct Part {
    started_ms: u64,
    versions: Vec<Write>,
}

/// Keeps a part, unless whoever staged it can commit no more.
pub(super) fn put(
    family: &Family,
    batch: &mut Batch,
    (transaction, part, started_ms): (TransactionId, u32, u64),
    versions: Vec<Write>,
    horizon_ms: u64,
) -> Result<(), TxnError> {
    if started_ms >= horizon_ms {
        let part_key = records::staged(transaction, part);
        batch.put(family, &part_key, &encode(&Part { started_ms, versions })?);
    }
    Ok(())
}

/// Whether all that a commit counts on is there.
pub(crate) fn is_complete(family: &Family, staged: &Staged) -> Result<bool, TxnError> {
    let view = family.newest();
    for part in 0..staged.parts {
        if view.get(&records::staged(staged.transaction, part))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes the rows of all parts, and forgets the parts with `batch`.
pub(super) fn write(
    (engine, family): (&Arc<Engine>, &Family),
    facts: &Facts,
    batch: &mut Batch,
    staged: &Staged,
    timestamp: Timestamp,
) -> Result<(), TxnError> {
    let view = family.newest();
    for part in 0..staged.parts {
        let key = records::staged(staged.transaction, part);
        let Some(Part { versions, .. }) = records::get(&view, &key)? else {
            // Its presence was checked before the vote, and only a decision takes it away.
            let text = format!("part {part} of what transaction {} staged is gone", staged.transaction);
            return Err(TxnError::Corrupted(text));
        };
        let mut rows = Batch::new();
        for write in versions {
            rows.put(family, &mvcc::version_key(&write.key, timestamp), &write.version);
            facts.garbage.push(write.key, timestamp);
        }
        write_out(engine, rows)?;
        batch.delete(family, &key);
    }
    Ok(())
}

/// Writes a batch; a full device is waited for, because what waits here is promised already.
fn write_out(engine: &Engine, rows: Batch) -> Result<(), TxnError> {
    let data = rows.data();
    let mut result = engine.write(rows, Durability::Replayed);
    let mut is_reported = false;
    while let Err(error) = &result {
        if !error.is_retryable() {
            return Err(error.clone().into());
        }
        if !std::mem::replace(&mut is_reported, true) {
            tracing::error!(%error, "applying waits for space on the device");
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        result = engine.write(Batch::from_data(&data), Durability::Replayed);
    }
    Ok(())
}

/// Forgets whatever a transaction has staged.
pub(super) fn forget(family: &Family, batch: &mut Batch, transaction: TransactionId) -> Result<(), TxnError> {
    let (from, to) = (records::staged(transaction, 0), records::staged(transaction, u32::MAX));
    let mut cursor = family.newest().cursor(Some(&from), Some(&to))?;
    cursor.seek_to_first();
    while let Some((key, _)) = cursor.item() {
        batch.delete(family, key);
        cursor.next();
    }
    Ok(cursor.status()?)
}

/// Transactions that have something staged, and when they began to.
pub(crate) fn all(family: &Family) -> Result<Vec<(TransactionId, u64)>, TxnError> {
    #[derive(Deserialize)]
    struct Start {
        started_ms: u64,
    }
    let mut found: Vec<(TransactionId, u64)> = Vec::new();
    let (mut from, to) = (records::single(Record::Staged).to_vec(), records::end(Record::Staged));
    loop {
        let mut cursor = family.newest().cursor(Some(&from), Some(&to))?;
        cursor.seek_to_first();
        let Some((key, value)) = cursor.item() else {
            cursor.status()?;
            return Ok(found);
        };
        let transaction = records::transaction(key.get(2..10).unwrap_or_default())?;
        let start: (Start, &[u8]) = postcard::take_from_bytes(value)
            .map_err(|error| TxnError::Corrupted(format!("a staged part is damaged: {error}")))?;
        found.push((transaction, start.0.started_ms));
        // On to the next transaction: parts are large.
        from = records::by_transaction(Record::Staged, transaction.saturating_add(1)).to_vec();
    }
}

/// Bytes of a write in a part, roughly.
pub(crate) fn size_of(key: &Bytes, version: &Bytes) -> usize {
    key.len() + version.len() + 8
}
