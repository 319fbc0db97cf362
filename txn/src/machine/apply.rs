//! Apply: one command on its way into a batch.
//!
//! Reads see the family as it was before the command; what bodies of the same command have written is kept beside it, so
//! that a consolidation misses nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::HashMap;
use bytes::Bytes;
use storage::engine::{Batch, Engine, Family};
use storage::mvcc::{self, Unapplied};
use storage::shape::Changes;

use super::records::{self, Record};
use super::staged;
use crate::TxnError;
use crate::command::{
    Body, Decision, DecisionRecord, Outcome, PreparedRecord, Step, TableVersions, Timestamp, TransactionId, Writes,
    encode,
};
use crate::commit::record::{Known, OnDecide, OnFinish, OnPrepare};
use crate::commit::{Attempt, Logged, Parties};
use crate::placement::{META, ShardId};
use crate::shard::Facts;

/// One command being applied.
pub(super) struct Apply<'a> {
    id: ShardId,
    engine: &'a Arc<Engine>,
    facts: &'a Facts,
    family: &'a Family,
    batch: &'a mut Batch,
    /// What this command has written, if a consolidation in it may want to know.
    written: HashMap<Bytes, Vec<Unapplied>>,
    has_company: bool,
    /// The newest registry change before this command, and the one in it.
    registry_before: Timestamp,
    registry: Option<Timestamp>,
    clears: Vec<(u32, Timestamp)>,
    changes: TableVersions,
}

/// What the machine remembers in memory once a command's batch is written.
pub(super) struct Remembered {
    /// Timestamp of a registry change.
    pub(super) registry: Option<Timestamp>,
    /// Tables and indexes emptied.
    pub(super) clears: Vec<(u32, Timestamp)>,
    /// Tables changed.
    pub(super) changes: TableVersions,
}

impl<'a> Apply<'a> {
    pub(super) fn new(
        id: ShardId,
        (engine, facts): (&'a Arc<Engine>, &'a Facts),
        family: &'a Family,
        batch: &'a mut Batch,
        (body_count, registry_before): (usize, Timestamp),
    ) -> Apply<'a> {
        let (written, clears) = (HashMap::default(), Vec::new());
        let has_company = body_count > 1;
        Apply {
            id,
            engine,
            facts,
            family,
            batch,
            written,
            has_company,
            registry_before,
            registry: None,
            clears,
            changes: TableVersions::new(),
        }
    }

    pub(super) fn finish(self) -> Remembered {
        Remembered {
            registry: self.registry,
            clears: self.clears,
            changes: self.changes,
        }
    }

    pub(super) fn body(&mut self, body: Body) -> Result<Outcome, TxnError> {
        match body {
            Body::OnePhase {
                transaction,
                started_ms,
                timestamp,
                writes,
            } => {
                let committed = records::committed(started_ms, transaction);
                self.batch.put(self.family, &committed, &timestamp.to_be_bytes());
                self.write(timestamp, &writes, true)?;
            }
            Body::Step(step) => return self.step(step),
            Body::Stage {
                transaction,
                started_ms,
                part,
                versions,
            } => {
                let horizon_ms = self.horizon_ms();
                let part = (transaction, part, started_ms);
                staged::put(self.family, self.batch, part, versions, horizon_ms)?;
            }
            Body::Unstage { transaction } => self.unstage(transaction)?,
            Body::Horizon { started_ms } => return self.horizon(started_ms),
            Body::Fold { keys } => keys.iter().try_for_each(|key| self.consolidate(key))?,
            Body::Collect {
                safe_point,
                keys,
                clears,
            } => self.collect(safe_point, &keys, &clears)?,
            Body::Sequence { sequence, state } => self.batch.put(self.family, &records::sequence(sequence), &state),
            Body::Bound { timestamp } => self.put_number(Record::Bound, timestamp),
            Body::Paths { table, column, changes } => self.paths(table, column, &changes),
            Body::Cluster(change) => {
                for (key, value) in change.writes()? {
                    match value {
                        Some(value) => self.batch.put(self.family, &key, &value),
                        None => self.batch.delete(self.family, &key),
                    }
                }
            }
        }
        Ok(Outcome::Done)
    }

    // ---- rows ----

    /// Writes versions at their commit timestamp.
    fn write(&mut self, timestamp: Timestamp, writes: &Writes, may_fold: bool) -> Result<(), TxnError> {
        for id in &writes.clears {
            self.batch.put(self.family, &records::clear(*id, timestamp), &[]);
            self.clears.push((*id, timestamp));
        }
        for (table, version) in &writes.changes {
            let key = records::table_version(*table);
            self.batch.put(self.family, &key, &version.to_be_bytes());
            self.changes.push((*table, *version));
        }
        if let Some(staged) = &writes.staged {
            staged::write((self.engine, self.family), self.facts, self.batch, staged, timestamp)?;
        }
        for write in &writes.versions {
            self.batch
                .put(self.family, &mvcc::version_key(&write.key, timestamp), &write.version);
            self.facts.garbage.push(write.key.clone(), timestamp);
            let folds = write.fold && may_fold;
            if folds || self.has_company {
                let unapplied = Unapplied {
                    timestamp,
                    sequence: 0,
                    version: write.version.clone(),
                };
                self.written.entry(write.key.clone()).or_default().push(unapplied);
            }
            if folds {
                self.consolidate(&write.key)?;
            }
        }
        if self.id == META && !writes.is_empty() {
            let newest = timestamp.max(self.registry.unwrap_or(self.registry_before));
            self.registry = Some(newest);
            self.put_number(Record::Registry, newest);
        }
        Ok(())
    }

    /// Whether a commit's writes can be made: they are for the tables as they are (C8), and all that was staged is there; if
    /// some of that was lost with a leader, or forgotten, nothing may be half there (P1).
    fn may_write(&self, writes: &Writes) -> Result<bool, TxnError> {
        may_write(self.facts, self.family, writes)
    }

    fn consolidate(&mut self, key: &Bytes) -> Result<(), TxnError> {
        let written = self.written.get(key).map_or(&[][..], Vec::as_slice);
        let hidden_below = self.hidden_below(key, u64::MAX);
        if let Some((key, version)) = mvcc::consolidate(&self.family.newest(), key, hidden_below, written)? {
            self.batch.put(self.family, &key, &version);
        }
        Ok(())
    }

    fn collect(&mut self, safe_point: Timestamp, keys: &[Bytes], clears: &[(u32, Timestamp)]) -> Result<(), TxnError> {
        let safe_point = safe_point.max(self.facts.safe_point.load(Ordering::Acquire));
        // Before anything is removed: a read that finds the old safe point looks again after reading.
        self.facts.safe_point.store(safe_point, Ordering::Release);
        self.put_number(Record::SafePoint, safe_point);
        for key in keys {
            let hidden_below = self.hidden_below(key, safe_point);
            for garbage in mvcc::collect_key(&self.family.newest(), key, safe_point, hidden_below)? {
                self.batch.delete(self.family, &garbage);
            }
        }
        for (id, timestamp) in clears {
            self.facts.clears.forget(*id, *timestamp);
            let from = records::clear(*id, 0);
            let to = records::clear(*id, timestamp + 1);
            self.batch.delete_range(self.family, &from, &to);
        }
        Ok(())
    }

    /// Changes the known paths of a column.
    fn paths(&mut self, table: u32, column: u16, changes: &Changes) {
        let key = |path: &[u8]| records::path(table, column, path);
        for (from, to) in &changes.cleared {
            self.batch.delete_range(self.family, &key(from), &key(to));
        }
        for (path, value) in &changes.put {
            self.batch.put(self.family, &key(path), &[*value]);
        }
    }

    /// Versions of this key below are hidden by a clear of its table or index.
    fn hidden_below(&self, key: &[u8], at: Timestamp) -> Timestamp {
        mvcc::id_of(key).map_or(0, |id| self.facts.clears.hidden_below(&[id], at))
    }

    fn put_number(&mut self, record: Record, number: u64) {
        self.batch
            .put(self.family, &records::single(record), &number.to_be_bytes());
    }

    // ---- steps of commits ----

    fn step(&mut self, step: Step) -> Result<Outcome, TxnError> {
        let Step {
            logged,
            writes,
            locks,
            may_fold,
        } = step;
        match logged {
            Logged::Prepare(attempt, parties) => self.prepare(attempt, parties, writes, locks),
            Logged::Decide(attempt, decision, parties) => self.decide(attempt, decision, parties, &writes),
            Logged::Finish(attempt, decision) => self.finish_step(attempt, decision, may_fold),
            Logged::Forget(transactions) => {
                for transaction in transactions {
                    self.delete(Record::Decision, transaction.0);
                }
                Ok(Outcome::Done)
            }
        }
    }

    /// What the family says about a transaction.
    fn known(&self, id: TransactionId) -> Result<(Known, Option<PreparedRecord>), TxnError> {
        let view = self.family.newest();
        let prepared: Option<PreparedRecord> = records::get(&view, &records::by_transaction(Record::Prepared, id))?;
        let decision: Option<DecisionRecord> = records::get(&view, &records::by_transaction(Record::Decision, id))?;
        let tombstone = view.get(&records::by_transaction(Record::Tombstone, id))?.is_some();
        let known = Known {
            prepared: prepared.is_some(),
            decision: decision.map(|record| record.decision),
            tombstone,
        };
        Ok((known, prepared))
    }

    fn prepare(
        &mut self,
        attempt: Attempt,
        parties: Parties,
        writes: Writes,
        locks: Bytes,
    ) -> Result<Outcome, TxnError> {
        let id = attempt.txn.0;
        let mut verdict = self.known(id)?.0.on_prepare(attempt.started_ms, self.horizon_ms());
        if verdict == OnPrepare::Write && !self.may_write(&writes)? {
            verdict = OnPrepare::Refuse;
        }
        if verdict == OnPrepare::Write {
            let record = PreparedRecord {
                attempt,
                parties,
                writes,
                locks,
            };
            self.batch.put(
                self.family,
                &records::by_transaction(Record::Prepared, id),
                &encode(&record)?,
            );
        }
        Ok(Outcome::Prepared(attempt, verdict))
    }

    fn decide(
        &mut self,
        attempt: Attempt,
        decision: Decision,
        parties: Parties,
        writes: &Writes,
    ) -> Result<Outcome, TxnError> {
        let id = attempt.txn.0;
        let decision = match decision {
            Decision::Commit(timestamp) if self.may_write(writes)? => Decision::Commit(timestamp),
            Decision::Commit(_) | Decision::Abort => Decision::Abort,
        };
        let verdict = self
            .known(id)?
            .0
            .on_decide(decision, attempt.started_ms, self.horizon_ms());
        if verdict == OnDecide::Write {
            let record = DecisionRecord {
                attempt,
                decision,
                parties: parties.clone(),
            };
            self.batch.put(
                self.family,
                &records::by_transaction(Record::Decision, id),
                &encode(&record)?,
            );
            match decision {
                Decision::Commit(timestamp) => self.write(timestamp, writes, true)?,
                Decision::Abort => staged::forget(self.family, self.batch, id)?,
            }
        }
        Ok(Outcome::Decided(attempt, decision, parties, verdict))
    }

    fn finish_step(&mut self, attempt: Attempt, decision: Decision, may_fold: bool) -> Result<Outcome, TxnError> {
        let id = attempt.txn.0;
        let (known, prepared) = self.known(id)?;
        match (
            known.on_finish(decision, attempt.started_ms, self.horizon_ms()),
            decision,
            prepared,
        ) {
            (OnFinish::Commit, Decision::Commit(timestamp), Some(record)) => {
                self.delete(Record::Prepared, id);
                self.write(timestamp, &record.writes, may_fold)?;
            }
            (OnFinish::Abort, ..) => {
                self.delete(Record::Prepared, id);
                staged::forget(self.family, self.batch, id)?;
                let tombstone = records::by_transaction(Record::Tombstone, id);
                self.batch
                    .put(self.family, &tombstone, &attempt.started_ms.to_be_bytes());
            }
            (OnFinish::Stands | OnFinish::Commit, ..) => {}
        }
        Ok(Outcome::Finished(attempt))
    }

    /// Attempts that began before are refused from here on, so nothing need be remembered to refuse them.
    fn horizon(&mut self, started_ms: u64) -> Result<Outcome, TxnError> {
        let before_ms = self.horizon_ms();
        let horizon_ms = started_ms.max(before_ms);
        self.facts.horizon_ms.store(horizon_ms, Ordering::Release);
        self.put_number(Record::Horizon, horizon_ms);
        if horizon_ms > before_ms {
            let (from, to) = (records::committed(before_ms, 0), records::committed(horizon_ms, 0));
            self.batch.delete_range(self.family, &from, &to);
        }
        for (rest, started_ms) in records::all(&self.family.newest(), Record::Tombstone)? {
            let started_ms = started_ms.as_ref().try_into().map_or(0, u64::from_be_bytes);
            if started_ms < horizon_ms {
                self.delete(Record::Tombstone, records::transaction(&rest)?);
            }
        }
        for (transaction, started_ms) in staged::all(self.family)? {
            if started_ms < horizon_ms {
                self.unstage(transaction)?;
            }
        }
        Ok(Outcome::Horizon(horizon_ms))
    }

    /// Forgets what a transaction staged. One that voted may still commit, and needs it.
    fn unstage(&mut self, transaction: TransactionId) -> Result<(), TxnError> {
        if self.known(transaction)?.0.prepared {
            return Ok(());
        }
        staged::forget(self.family, self.batch, transaction)
    }

    fn horizon_ms(&self) -> u64 {
        self.facts.horizon_ms.load(Ordering::Acquire)
    }

    fn delete(&mut self, record: Record, transaction: TransactionId) {
        self.batch
            .delete(self.family, &records::by_transaction(record, transaction));
    }
}

/// Whether a commit in one phase can be made: its attempt did not begin before the horizon, it was not made before, and its
/// writes can be made. Otherwise nobody would know any more whether it is a repetition.
pub(super) fn may_commit(
    facts: &Facts,
    family: &Family,
    (transaction, started_ms): (TransactionId, u64),
    writes: &Writes,
) -> Result<bool, TxnError> {
    if started_ms < facts.horizon_ms.load(Ordering::Acquire) {
        return Ok(false);
    }
    let is_repeated = family
        .newest()
        .get(&records::committed(started_ms, transaction))?
        .is_some();
    Ok(!is_repeated && may_write(facts, family, writes)?)
}

/// See [`Apply::may_write`].
pub(super) fn may_write(facts: &Facts, family: &Family, writes: &Writes) -> Result<bool, TxnError> {
    if !writes.expects.is_empty() {
        let versions = facts.table_versions.read();
        let is_newer = |(table, version): &(u32, u64)| versions.get(table).is_some_and(|newest| newest > version);
        if writes.expects.iter().any(is_newer) {
            return Ok(false);
        }
    }
    match &writes.staged {
        Some(staged) => staged::is_complete(family, staged),
        None => Ok(true),
    }
}
