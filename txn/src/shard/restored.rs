//! Restored: what a leader knows of transactions that began before it, read back from its family.
//!
//! Prepared transactions keep their locks and marks until they are decided; decisions are kept until all have acknowledged.
//! Everything else of an epoch (unprepared locks, marks of anchors, what was on its way) is gone with it.

use storage::engine::View;

use super::Core;
use super::lock::Locks;
use super::outbox::Outbox;
use super::pending::Pending;
use crate::TxnError;
use crate::command::{DecisionRecord, Epoch, PreparedRecord, decode};
use crate::commit::{Anchor, Participant};
use crate::live::Live;
use crate::locks::LockConfig;
use crate::machine::records::{self, Record};
use crate::oracle::clock_ms;
use crate::placement::ShardId;

/// Makes the guarded part of a shard at the beginning of an epoch. Everything of earlier epochs must be applied, or lost.
pub(super) fn core(
    id: ShardId,
    view: &View,
    (config, epoch): (LockConfig, Epoch),
    live: &Live,
) -> Result<Core, TxnError> {
    let (now_ms, mut prepared, mut decisions) = (clock_ms(), Vec::new(), Vec::new());
    for (_, record) in records::all(view, Record::Prepared)? {
        prepared.push(decode::<PreparedRecord>(&record)?);
    }
    for (_, record) in records::all(view, Record::Decision)? {
        let DecisionRecord {
            attempt,
            decision,
            parties,
        } = decode(&record)?;
        decisions.push((attempt, decision, parties));
    }
    let mut locks = Locks::new(config, epoch);
    let mut pending = Pending::default();
    for record in &prepared {
        // Its timestamp may be any: every snapshot waits for it.
        pending.mark(record.attempt.txn.0, 0, &record.writes);
        locks.restore(record.attempt, &record.locks, live)?;
    }
    let parties = prepared.into_iter().map(|record| (record.attempt, record.parties));
    Ok(Core {
        locks,
        pending,
        epoch,
        over: None,
        outbox: Outbox::default(),
        participant: Participant::new(id, parties, now_ms),
        anchor: Anchor::new(id, decisions, now_ms),
        // Whatever was left by earlier leaders, it began before now.
        newest_step_ms: now_ms,
    })
}

impl Core {
    /// The guarded part of a shard that leads no more.
    pub(super) fn empty(id: ShardId, (config, epoch): (LockConfig, Epoch)) -> Core {
        Core {
            locks: Locks::new(config, epoch),
            pending: Pending::default(),
            epoch,
            over: None,
            outbox: Outbox::default(),
            participant: Participant::new(id, [], 0),
            anchor: Anchor::new(id, [], 0),
            newest_step_ms: 0,
        }
    }
}
