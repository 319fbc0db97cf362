//! Pending: writes that are on their way into the shard, and who must wait for them.
//!
//! ```text
//!   marked ──► proposed at ts ──► applied       one phase, and the anchor of two phases
//!   prepared ─► (decided) ─► proposed ─► applied participants
//!
//!   key (table ‖ pk)            writes
//!   orders ‖ 7                  t1 proposed at 90: Delta doc/a      a locked read sees t1's write already (DESIGN T4),
//!                               t2 prepared above 95: Delta doc/b   a snapshot at 96 waits for t2 (T3), at 95 it does not
//! ```
//!
//! Invariants
//!  P1  A transaction is here from before its timestamp is drawn (T2) until its writes can be read from the family.
//!  P2  `above` of an undated transaction is a timestamp drawn before it was marked: its own will be larger.
//!  P3  What a transaction staged is not listed by key: it stands for all its tables and indexes (`wide`). Its locks are held
//!      until it is applied, so no read under a lock need see it before.

use std::collections::BTreeMap;
use std::ops::Bound;

use ahash::HashMap;
use bytes::Bytes;
use smallvec::SmallVec;
use storage::mvcc::{self, Unapplied};
use tokio::sync::oneshot;

use crate::command::{Timestamp, TransactionId, Writes};

/// Writes on their way.
#[derive(Default)]
pub(crate) struct Pending {
    keys: BTreeMap<Bytes, SmallVec<[PendingWrite; 1]>>,
    transactions: HashMap<TransactionId, PendingTransaction>,
    /// Emptied tables and indexes, by their id in keys.
    clears: Vec<(u32, TransactionId)>,
    /// Tables and indexes that transactions with staged writes write to, by their id in keys.
    wide: Vec<(u32, TransactionId)>,
    /// New versions of tables on their way.
    changes: Vec<(u32, u64, TransactionId)>,
}

struct PendingWrite {
    transaction: TransactionId,
    version: Bytes,
}

struct PendingTransaction {
    stage: Stage,
    keys: Vec<Bytes>,
    /// Rows it wants consolidated.
    folds: Vec<Bytes>,
    /// Whether part of its writes was staged.
    is_staged: bool,
    waiters: Vec<oneshot::Sender<()>>,
}

/// How far a pending transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Marked or prepared: its timestamp is not known, but above this one.
    Undated { above: Timestamp },
    /// Its timestamp was drawn, and whether it commits is being decided.
    Dated { timestamp: Timestamp },
    /// Proposed for commit; applied once this sequence is.
    Proposed { timestamp: Timestamp, sequence: u64 },
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Marks a transaction committing (T2). `above` is a timestamp drawn before.
    pub(crate) fn mark(&mut self, transaction: TransactionId, above: Timestamp, writes: &Writes) {
        let Writes {
            versions,
            clears,
            staged,
            changes,
            expects: _,
        } = writes;
        let mut keys = Vec::with_capacity(versions.len());
        let mut folds = Vec::new();
        for write in versions {
            if write.fold {
                folds.push(write.key.clone());
            }
            keys.push(write.key.clone());
            let pending = PendingWrite {
                transaction,
                version: write.version.clone(),
            };
            self.keys.entry(write.key.clone()).or_default().push(pending);
        }
        self.clears.extend(clears.iter().map(|id| (*id, transaction)));
        self.changes
            .extend(changes.iter().map(|(table, version)| (*table, *version, transaction)));
        if let Some(staged) = staged {
            self.wide.extend(staged.ids.iter().map(|id| (*id, transaction)));
        }
        let entry = PendingTransaction {
            stage: Stage::Undated { above },
            keys,
            folds,
            is_staged: staged.is_some(),
            waiters: Vec::new(),
        };
        let before = self.transactions.insert(transaction, entry);
        assert!(
            before.is_none(),
            "transaction {transaction} is marked twice on one shard"
        );
    }

    /// Its timestamp was drawn; readers below need not wait for the decision.
    pub(crate) fn date(&mut self, transaction: TransactionId, timestamp: Timestamp) {
        if let Some(entry) = self.transactions.get_mut(&transaction)
            && matches!(entry.stage, Stage::Undated { .. })
        {
            entry.stage = Stage::Dated { timestamp };
            // Those that may read now are among the waiters; the others wait again.
            for waiter in entry.waiters.drain(..) {
                let _ = waiter.send(());
            }
        }
    }

    /// Some transaction that is on its way.
    pub(crate) fn any(&self) -> Option<TransactionId> {
        self.transactions.keys().next().copied()
    }

    /// Whether a transaction is on its way here.
    pub(crate) fn contains(&self, transaction: TransactionId) -> bool {
        self.transactions.contains_key(&transaction)
    }

    /// Whether part of a transaction's writes was staged: then its locks are held until it is applied (P3).
    pub(crate) fn is_staged(&self, transaction: TransactionId) -> bool {
        self.transactions.get(&transaction).is_some_and(|entry| entry.is_staged)
    }

    /// Whether a newer version of one of these tables is on its way (C8).
    pub(crate) fn outdates(&self, expects: &[(u32, u64)]) -> bool {
        let is_older = |(table, version): &(u32, u64)| {
            let newer = |(changed, newest, _): &(u32, u64, TransactionId)| changed == table && newest > version;
            self.changes.iter().any(newer)
        };
        !self.changes.is_empty() && expects.iter().any(is_older)
    }

    /// Consolidation was asked for by what the coordinator saw under its locks; only here is known whether somebody else has
    /// a write to the row on its way.
    pub(crate) fn settle_folds(&self, transaction: TransactionId, writes: &mut Writes) {
        for write in writes.versions.iter_mut().filter(|write| write.fold) {
            write.fold = !self.is_undecided(&write.key, transaction);
        }
    }

    /// It will not commit, unless it was proposed already.
    pub(crate) fn remove_unproposed(&mut self, transaction: TransactionId) {
        let stage = self.transactions.get(&transaction).map(|entry| entry.stage);
        if matches!(stage, Some(Stage::Undated { .. } | Stage::Dated { .. })) {
            self.remove(transaction);
        }
    }

    /// Its commit was proposed.
    pub(crate) fn propose(&mut self, transaction: TransactionId, timestamp: Timestamp, sequence: u64) {
        let entry = self
            .transactions
            .get_mut(&transaction)
            .expect("a transaction is marked before it is proposed: T2");
        entry.stage = Stage::Proposed { timestamp, sequence };
    }

    /// Its writes can be read from the family, or will never be.
    pub(crate) fn remove(&mut self, transaction: TransactionId) {
        let Some(entry) = self.transactions.remove(&transaction) else {
            return;
        };
        for key in entry.keys {
            if let Some(writes) = self.keys.get_mut(&key) {
                writes.retain(|write| write.transaction != transaction);
                if writes.is_empty() {
                    self.keys.remove(&key);
                }
            }
        }
        self.clears.retain(|(_, other)| *other != transaction);
        if !self.changes.is_empty() {
            self.changes.retain(|(.., other)| *other != transaction);
        }
        if entry.is_staged {
            self.wide.retain(|(_, other)| *other != transaction);
        }
        for waiter in entry.waiters {
            // A reader that went away needs no answer.
            let _ = waiter.send(());
        }
    }

    /// Whether somebody else than `transaction` has a write to this key on its way that may still get a lower timestamp than
    /// what is proposed now: then nothing may be consolidated (storage M2).
    pub(crate) fn is_undecided(&self, key: &[u8], transaction: TransactionId) -> bool {
        let undecided = |other: TransactionId| {
            other != transaction && !matches!(self.transactions[&other].stage, Stage::Proposed { .. })
        };
        let of_key = self.keys.get(key).into_iter().flatten().map(|write| write.transaction);
        let of_table = self.staging(mvcc::id_of(key).as_slice()).collect::<SmallVec<[_; 1]>>();
        of_key.chain(of_table).any(undecided)
    }

    /// Whether the consolidations a prepared transaction wants may be made now.
    pub(crate) fn may_fold(&self, transaction: TransactionId) -> bool {
        let Some(entry) = self.transactions.get(&transaction) else {
            return false;
        };
        !entry.folds.iter().any(|key| self.is_undecided(key, transaction))
    }

    /// Commits on their way that a read under a lock of this key must see, oldest first (T4).
    pub(crate) fn unapplied(&self, key: &[u8]) -> SmallVec<[Unapplied; 2]> {
        let Some(writes) = self.keys.get(key) else {
            return SmallVec::new();
        };
        self.proposed(writes)
    }

    /// As [`Self::unapplied`] for all keys of a range.
    pub(crate) fn unapplied_between(&self, from: &[u8], to: &[u8]) -> Vec<(Bytes, SmallVec<[Unapplied; 2]>)> {
        let range = (Bound::Included(from), Bound::Excluded(to));
        let keys = self.keys.range::<[u8], _>(range);
        keys.map(|(key, writes)| (key.clone(), self.proposed(writes)))
            .filter(|(_, found)| !found.is_empty())
            .collect()
    }

    fn proposed(&self, writes: &[PendingWrite]) -> SmallVec<[Unapplied; 2]> {
        let mut found = SmallVec::new();
        for write in writes {
            if let Stage::Proposed { timestamp, sequence } = self.transactions[&write.transaction].stage {
                found.push(Unapplied {
                    timestamp,
                    sequence,
                    version: write.version.clone(),
                });
            }
        }
        // Non-overlapping writes may have been prepared in another order than they were decided.
        found.sort_by_key(|write: &Unapplied| write.timestamp);
        found
    }

    /// A transaction that a snapshot read of this key at `timestamp` has to wait for (T3).
    pub(crate) fn blocks(&self, ids: &[u32], key: &[u8], timestamp: Timestamp) -> Option<TransactionId> {
        if self.transactions.is_empty() {
            return None;
        }
        let of_key = self.keys.get(key).into_iter().flatten().map(|write| write.transaction);
        of_key
            .chain(self.clearing(ids))
            .chain(self.staging(ids))
            .find(|transaction| self.is_not_above(*transaction, timestamp))
    }

    /// As [`Self::blocks`] for a range of keys. `ids` are those of the table, and of the index if one is read.
    pub(crate) fn blocks_between(
        &self,
        ids: &[u32],
        from: &[u8],
        to: &[u8],
        timestamp: Timestamp,
    ) -> Option<TransactionId> {
        if self.transactions.is_empty() || from >= to {
            return None;
        }
        let range = self.keys.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let of_keys = range.flat_map(|(_, writes)| writes.iter().map(|write| write.transaction));
        of_keys
            .chain(self.clearing(ids))
            .chain(self.staging(ids))
            .find(|transaction| self.is_not_above(*transaction, timestamp))
    }

    /// Transactions with a clear of one of these on its way.
    fn clearing(&self, ids: &[u32]) -> impl Iterator<Item = TransactionId> {
        self.clears
            .iter()
            .filter(move |(cleared, _)| ids.contains(cleared))
            .map(|(_, transaction)| *transaction)
    }

    /// Transactions with staged writes to one of these on their way.
    fn staging(&self, ids: &[u32]) -> impl Iterator<Item = TransactionId> {
        self.wide
            .iter()
            .filter(move |(wide, _)| ids.contains(wide))
            .map(|(_, transaction)| *transaction)
    }

    /// The newest proposed commit that empties one of these: (timestamp, sequence).
    pub(crate) fn unapplied_clear(&self, ids: &[u32]) -> Option<(Timestamp, u64)> {
        let stages = self
            .clearing(ids)
            .map(|transaction| self.transactions[&transaction].stage);
        stages
            .filter_map(|stage| match stage {
                Stage::Proposed { timestamp, sequence } => Some((timestamp, sequence)),
                Stage::Undated { .. } | Stage::Dated { .. } => None,
            })
            .max()
    }

    fn is_not_above(&self, transaction: TransactionId, timestamp: Timestamp) -> bool {
        match self.transactions[&transaction].stage {
            Stage::Undated { above } => above < timestamp,
            Stage::Dated { timestamp: commit } | Stage::Proposed { timestamp: commit, .. } => commit <= timestamp,
        }
    }

    /// A signal for when the transaction is no longer pending.
    pub(crate) fn wait_for(&mut self, transaction: TransactionId) -> Option<oneshot::Receiver<()>> {
        let entry = self.transactions.get_mut(&transaction)?;
        let (sender, receiver) = oneshot::channel();
        entry.waiters.retain(|waiter| !waiter.is_closed());
        entry.waiters.push(sender);
        Some(receiver)
    }

    /// Checks that keys and transactions name each other.
    pub(crate) fn check_invariants(&self) -> Result<(), String> {
        for (key, writes) in &self.keys {
            for write in writes {
                match self.transactions.get(&write.transaction) {
                    Some(entry) if entry.keys.contains(key) => {}
                    Some(_) => return Err(format!("transaction {} does not know a pending key", write.transaction)),
                    None => {
                        return Err(format!(
                            "a pending key names transaction {}, which is gone",
                            write.transaction
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Write;

    fn write(key: &'static str, version: &'static str) -> Writes {
        let write = Write {
            key: Bytes::from(key),
            version: Bytes::from(version),
            fold: false,
        };
        Writes {
            versions: vec![write],
            ..Writes::default()
        }
    }

    #[test]
    fn a_snapshot_waits_for_a_mark_unless_its_timestamp_is_known_to_be_above() {
        let mut pending = Pending::default();
        pending.mark(1, 95, &write("k", "v"));
        assert_eq!(pending.blocks(&[], b"k", 95), None);
        assert_eq!(pending.blocks(&[], b"k", 96), Some(1));
        assert_eq!(pending.blocks(&[], b"l", 96), None);
        assert_eq!(pending.blocks_between(&[], b"a", b"z", 96), Some(1));
        assert_eq!(pending.blocks_between(&[], b"z", b"a", 96), None);
        pending.propose(1, 100, 1);
        assert_eq!(pending.blocks(&[], b"k", 99), None);
        assert_eq!(pending.blocks(&[], b"k", 100), Some(1));
        let mut signal = pending.wait_for(1).unwrap();
        pending.remove(1);
        assert!(signal.try_recv().is_ok());
        assert_eq!(pending.blocks(&[], b"k", 100), None);
    }

    #[test]
    fn a_locked_read_sees_proposed_writes_in_timestamp_order_and_no_prepared_ones() {
        let mut pending = Pending::default();
        pending.mark(1, 10, &write("k", "a"));
        pending.mark(2, 10, &write("k", "b"));
        pending.mark(3, 10, &write("k", "c"));
        pending.propose(3, 20, 1);
        pending.propose(1, 15, 2);
        let versions: Vec<_> = pending.unapplied(b"k").into_iter().map(|write| write.version).collect();
        assert_eq!(versions, ["a", "c"]);
        assert!(pending.is_undecided(b"k", 1), "2 may be decided below");
        pending.remove(2);
        assert!(!pending.is_undecided(b"k", 1), "3 is ordered already");
        pending.check_invariants().unwrap();
    }

    #[test]
    fn a_table_being_emptied_blocks_reads_of_any_of_its_keys() {
        let mut pending = Pending::default();
        let clears = Writes {
            clears: vec![7],
            ..Writes::default()
        };
        pending.mark(1, 10, &clears);
        assert_eq!(pending.blocks(&[7], b"k", 11), Some(1));
        assert_eq!(pending.blocks(&[8], b"k", 11), None);
        pending.propose(1, 12, 3);
        assert_eq!(pending.unapplied_clear(&[7]), Some((12, 3)));
    }

    #[test]
    fn staged_writes_stand_for_their_tables_until_they_are_applied() {
        let mut pending = Pending::default();
        let staged = Writes {
            staged: Some(crate::command::Staged {
                transaction: 1,
                started_ms: 0,
                parts: 3,
                ids: vec![7],
            }),
            ..Writes::default()
        };
        let key = mvcc::row_key(7, b"k");
        pending.mark(1, 10, &staged);
        assert_eq!(pending.blocks(&[7], &key, 11), Some(1));
        assert_eq!(pending.blocks(&[7], &key, 10), None);
        assert_eq!(pending.blocks(&[8], &key, 11), None);
        assert!(pending.is_undecided(&key, 2), "a delta of it may lie below");
        assert!(!pending.is_undecided(&mvcc::row_key(8, b"k"), 2));
        pending.propose(1, 12, 1);
        assert!(pending.unapplied(&key).is_empty(), "its locks keep others from asking");
        assert_eq!(pending.blocks(&[7], &key, 12), Some(1));
        pending.remove(1);
        assert_eq!(pending.blocks(&[7], &key, 12), None);
        pending.check_invariants().unwrap();
    }
}
