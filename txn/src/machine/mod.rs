//! Machine: applies a shard's commands to its column family.
//!
//! A pure function of (family, command): no clock, no settings, nothing of other shards (DESIGN C1). Everything it knows
//! is in the family, written in one batch with the applied index; what it keeps in memory is read back from there.
//!
//! ```text
//!   OnePhase            rows at ts                        Decide ABORT      decision record
//!   Prepare             prepared record                   Decide COMMIT     own rows at ts, decision record
//!   Finish COMMIT       prepared record → rows at ts      Finish ABORT      prepared record → tombstone
//! ```
//!
//! Invariants
//!  T4  A command is refused unless its term is its entry's and its sequence follows the last applied one.
//!  T5  The first decision record of a transaction stands for ever.
//!  T6  After ABORT reached a shard a late Prepare of the transaction is refused (tombstone).

pub(crate) mod records;

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use consensus::CommandEntry;
use parking_lot::Mutex;
use storage::EngineError;
use storage::engine::{Batch, Family};
use storage::mvcc::{self, Unapplied};
use tokio::sync::watch;

use crate::TxnError;
use crate::command::{
    Body, Command, Decision, DecisionRecord, Epoch, Outcome, PreparedRecord, Timestamp, TransactionId, Writes, encode,
};
use crate::placement::{META, ShardId};
use crate::shard::{Facts, Shard};
use records::{Position, Record};

/// State machine of one shard.
pub(crate) struct Machine {
    id: ShardId,
    facts: Arc<Facts>,
    /// Moves when a registry row is committed; of the meta group only.
    registry: watch::Sender<u64>,
    position: Mutex<Position>,
    /// The entry applied last, until its batch is written.
    unwritten: Mutex<Option<Applied>>,
    /// The leader to be told what was applied.
    leader: OnceLock<Weak<Shard>>,
}

impl Machine {
    /// A machine of a family that is loaded by [`Self::load`].
    pub(crate) fn new(id: ShardId, facts: Arc<Facts>) -> Machine {
        let registry = watch::Sender::new(0);
        Machine {
            id,
            facts,
            registry,
            position: Mutex::default(),
            unwritten: Mutex::default(),
            leader: OnceLock::new(),
        }
    }

    /// Tells the leader of this node what is applied from now on.
    pub(crate) fn lead(&self, shard: &Arc<Shard>) {
        // A machine has one leader shell for its whole life.
        let _ = self.leader.set(Arc::downgrade(shard));
    }

    /// Follows the newest registry change.
    pub(crate) fn registry_version(&self) -> watch::Receiver<u64> {
        self.registry.subscribe()
    }

    /// Reads back what is kept in memory, when the family is opened or replaced.
    fn reload(&self, family: &Family) -> Result<(), TxnError> {
        let view = family.newest();
        *self.position.lock() = records::get(&view, &records::single(Record::Position))?.unwrap_or_default();
        for (rest, _) in records::all(&view, Record::Clear)? {
            let (Some(id), Some(timestamp)) = (rest.first_chunk::<4>(), rest.last_chunk::<8>()) else {
                return Err(TxnError::Corrupted(
                    "the record of an emptied table has a short key".into(),
                ));
            };
            self.facts
                .clears
                .add(u32::from_be_bytes(*id), u64::from_be_bytes(*timestamp));
        }
        let safe_point = records::number(&view, Record::SafePoint)?;
        self.facts
            .safe_point
            .store(safe_point, std::sync::atomic::Ordering::Release);
        self.registry.send_replace(records::number(&view, Record::Registry)?);
        Ok(())
    }

    /// Applies one command of an entry of this term into a batch.
    ///
    /// # Errors
    /// The family or the command is damaged, or cannot be read: the replica must stop.
    fn apply_command(
        &self,
        family: &Family,
        batch: &mut Batch,
        term: u64,
        command: Command,
    ) -> Result<Applied, TxnError> {
        let Command { epoch, sequence, body } = command;
        let mut position = self.position.lock();
        if epoch.term != term || !position.is_followed_by(epoch, sequence) {
            tracing::warn!(
                shard = self.id,
                ?epoch,
                sequence,
                ?position,
                "a command that does not follow is refused"
            );
            return Ok(Applied {
                epoch,
                sequence,
                outcome: Outcome::OutOfOrder,
                registry: None,
                clears: Vec::new(),
            });
        }
        *position = Position { epoch, sequence };
        batch.put(family, &records::single(Record::Position), &encode(&*position)?);
        drop(position);
        let mut apply = Apply {
            machine: self,
            family,
            batch,
            registry: None,
            clears: Vec::new(),
        };
        let outcome = apply.body(body)?;
        let Apply { registry, clears, .. } = apply;
        Ok(Applied {
            epoch,
            sequence,
            outcome,
            registry,
            clears,
        })
    }

    /// After the batch was written: readers and the leader learn of it.
    fn publish(&self, applied: Applied) {
        for (id, timestamp) in applied.clears {
            self.facts.clears.add(id, timestamp);
        }
        if let Some(timestamp) = applied.registry {
            self.registry.send_if_modified(|version| {
                let is_newer = timestamp > *version;
                *version = timestamp.max(*version);
                is_newer
            });
        }
        if let Some(leader) = self.leader.get().and_then(Weak::upgrade) {
            leader.on_applied(applied.epoch, applied.sequence);
        }
    }
}

impl consensus::Machine for Machine {
    fn load(&self, family: &Family) -> Result<(), EngineError> {
        self.reload(family).map_err(stop)
    }

    fn apply(&self, family: &Family, entry: &CommandEntry, batch: &mut Batch) -> Result<Bytes, EngineError> {
        let command = Command::decode(&entry.command).map_err(stop)?;
        let applied = self.apply_command(family, batch, entry.term, command).map_err(stop)?;
        let reply = encode(&applied.outcome).map_err(stop)?;
        *self.unwritten.lock() = Some(applied);
        Ok(reply)
    }

    fn applied(&self, _: &CommandEntry) {
        let applied = self.unwritten.lock().take();
        self.publish(applied.expect("apply came before"));
    }
}

/// An error that other replicas may not have: this one stops.
fn stop(error: TxnError) -> EngineError {
    match error {
        TxnError::Corrupted(text) => EngineError::Corrupted(text),
        TxnError::DiskFull => EngineError::NoSpace("while a command was applied".into()),
        other => EngineError::Io(other.to_string()),
    }
}

/// What applying a command came to.
struct Applied {
    epoch: Epoch,
    sequence: u64,
    outcome: Outcome,
    /// Timestamp of a registry change.
    registry: Option<Timestamp>,
    /// Tables and indexes emptied.
    clears: Vec<(u32, Timestamp)>,
}

/// One command being applied.
struct Apply<'a> {
    machine: &'a Machine,
    family: &'a Family,
    batch: &'a mut Batch,
    registry: Option<Timestamp>,
    clears: Vec<(u32, Timestamp)>,
}

impl Apply<'_> {
    fn body(&mut self, body: Body) -> Result<Outcome, TxnError> {
        match body {
            Body::OnePhase { timestamp, writes, .. } => self.write(timestamp, &writes, true)?,
            Body::Prepare { transaction, record } => return self.prepare(transaction, &record),
            Body::Decide {
                transaction,
                decision,
                participants,
                writes,
                forget,
            } => {
                for transaction in forget {
                    self.delete(Record::Decision, transaction);
                }
                return self.decide(transaction, decision, participants, &writes);
            }
            Body::Finish {
                transaction,
                decision,
                may_fold,
            } => self.finish(transaction, decision, may_fold)?,
            Body::Forget { transactions } => {
                for transaction in transactions {
                    self.delete(Record::Decision, transaction);
                }
            }
            Body::Fold { keys } => {
                for key in keys {
                    let hidden_below = self.hidden_below(&key, u64::MAX);
                    if let Some((key, version)) = mvcc::consolidate(&self.family.newest(), &key, hidden_below, None)? {
                        self.batch.put(self.family, &key, &version);
                    }
                }
            }
            Body::Collect {
                safe_point,
                keys,
                clears,
            } => self.collect(safe_point, &keys, &clears)?,
            Body::Sequence { sequence, state } => self.batch.put(self.family, &records::sequence(sequence), &state),
            Body::Bound { timestamp } => self.put_number(Record::Bound, timestamp),
        }
        Ok(Outcome::Applied)
    }

    /// Writes versions at their commit timestamp.
    fn write(&mut self, timestamp: Timestamp, writes: &Writes, may_fold: bool) -> Result<(), TxnError> {
        for id in &writes.clears {
            self.batch.put(self.family, &records::clear(*id, timestamp), &[]);
            self.clears.push((*id, timestamp));
        }
        for write in &writes.versions {
            self.batch
                .put(self.family, &mvcc::version_key(&write.key, timestamp), &write.version);
            self.machine.facts.garbage.push(write.key.clone(), timestamp);
            if write.fold && may_fold {
                let newest = Unapplied {
                    timestamp,
                    sequence: 0,
                    version: write.version.clone(),
                };
                let hidden_below = self.hidden_below(&write.key, u64::MAX);
                let view = self.family.newest();
                if let Some((key, version)) = mvcc::consolidate(&view, &write.key, hidden_below, Some(&newest))? {
                    self.batch.put(self.family, &key, &version);
                }
            }
        }
        if self.machine.id == META && !writes.is_empty() {
            self.registry = Some(timestamp);
            let known = *self.machine.registry.borrow();
            self.put_number(Record::Registry, timestamp.max(known));
        }
        Ok(())
    }

    fn prepare(&mut self, transaction: TransactionId, record: &PreparedRecord) -> Result<Outcome, TxnError> {
        let tombstone = records::by_transaction(Record::Tombstone, transaction);
        if self.family.newest().get(&tombstone)?.is_some() {
            return Ok(Outcome::Decided(Decision::Abort));
        }
        let key = records::by_transaction(Record::Prepared, transaction);
        self.batch.put(self.family, &key, &encode(record)?);
        Ok(Outcome::Applied)
    }

    fn decide(
        &mut self,
        transaction: TransactionId,
        decision: Decision,
        participants: Vec<ShardId>,
        writes: &Writes,
    ) -> Result<Outcome, TxnError> {
        let key = records::by_transaction(Record::Decision, transaction);
        if let Some(standing) = records::get::<DecisionRecord>(&self.family.newest(), &key)? {
            return Ok(Outcome::Decided(standing.decision));
        }
        self.batch
            .put(self.family, &key, &encode(&DecisionRecord { decision, participants })?);
        if let Decision::Commit(timestamp) = decision {
            self.write(timestamp, writes, true)?;
        }
        Ok(Outcome::Applied)
    }

    fn finish(&mut self, transaction: TransactionId, decision: Decision, may_fold: bool) -> Result<(), TxnError> {
        let key = records::by_transaction(Record::Prepared, transaction);
        let prepared: Option<PreparedRecord> = records::get(&self.family.newest(), &key)?;
        self.batch.delete(self.family, &key);
        match (decision, prepared) {
            (Decision::Commit(timestamp), Some(record)) => self.write(timestamp, &record.writes, may_fold),
            // Told twice.
            (Decision::Commit(_), None) => Ok(()),
            (Decision::Abort, _) => {
                self.batch.put(
                    self.family,
                    &records::by_transaction(Record::Tombstone, transaction),
                    &[],
                );
                Ok(())
            }
        }
    }

    fn collect(&mut self, safe_point: Timestamp, keys: &[Bytes], clears: &[(u32, Timestamp)]) -> Result<(), TxnError> {
        let facts = &self.machine.facts;
        let safe_point = safe_point.max(facts.safe_point.load(std::sync::atomic::Ordering::Acquire));
        // Before anything is removed: a read that finds the old safe point looks again after reading.
        facts.safe_point.store(safe_point, std::sync::atomic::Ordering::Release);
        self.put_number(Record::SafePoint, safe_point);
        for key in keys {
            let hidden_below = self.hidden_below(key, safe_point);
            for garbage in mvcc::collect_key(&self.family.newest(), key, safe_point, hidden_below)? {
                self.batch.delete(self.family, &garbage);
            }
        }
        for (id, timestamp) in clears {
            facts.clears.forget(*id, *timestamp);
            let from = records::clear(*id, 0);
            let to = records::clear(*id, timestamp + 1);
            self.batch.delete_range(self.family, &from, &to);
        }
        Ok(())
    }

    /// Versions of this key below are hidden by a clear of its table or index.
    fn hidden_below(&self, key: &[u8], at: Timestamp) -> Timestamp {
        mvcc::id_of(key).map_or(0, |id| self.machine.facts.clears.hidden_below(&[id], at))
    }

    fn put_number(&mut self, record: Record, number: u64) {
        self.batch
            .put(self.family, &records::single(record), &number.to_be_bytes());
    }

    fn delete(&mut self, record: Record, transaction: TransactionId) {
        self.batch
            .delete(self.family, &records::by_transaction(record, transaction));
    }
}
