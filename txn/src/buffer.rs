//! Buffer: the writes of a running transaction, and what its own reads see of them.
//!
//! ```text
//!   row (orders, 7):  [command 1: Put] [command 3: Change doc/a] [command 3: Change doc/b]
//!                      └ a statement with command 3 sees this ┘    └ and not yet these ┘
//!   journal:          row 7 · entry (qty=5, 7) · row 7 · row 7        savepoint = length of the journal
//! ```
//!
//! Nothing here is durable or visible to others; at COMMIT each row's writes become one version. Whole rows are kept as the
//! bytes they will be stored as: that takes a third of the memory of their values, and COMMIT copies nothing.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use smallvec::SmallVec;
use storage::version::Version;
use storage::{Action, Path, PathOp, Row, StorageError};

use crate::placement::{Placement, ShardId};
use crate::{IndexId, Key, RowWrite, TableId, TxnError};

/// Number of a command in its transaction: a statement sees the writes of smaller ones.
pub(crate) type CommandNumber = u32;

/// The writes of a running transaction.
#[derive(Default)]
pub(crate) struct Buffer {
    rows: BTreeMap<(TableId, Key), SmallVec<[Buffered<Stored>; 1]>>,
    entries: BTreeMap<EntryKey, SmallVec<[Buffered<bool>; 1]>>,
    entry_places: BTreeMap<IndexId, (TableId, bool)>,
    clears: Vec<Buffered<Clear>>,
    journal: Vec<Undo>,
    /// Tables with a number that was added to, undone or not.
    added_to: SmallVec<[TableId; 1]>,
}

/// (index, value, key of the row)
type EntryKey = (IndexId, Key, Key);

#[derive(Clone, Debug)]
struct Buffered<T> {
    command: CommandNumber,
    /// Position in the journal.
    order: u64,
    write: T,
}

/// A write to a row as it is kept.
#[derive(Clone, Debug)]
enum Stored {
    /// An encoded version of the whole row.
    Put(Bytes),
    Change(Vec<PathOp>),
    Delete,
}

enum Undo {
    Row(TableId, Key),
    Entry(EntryKey),
    Clear,
}

/// A table or index emptied at commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clear {
    /// Rows, and entries of all its indexes.
    Table(TableId),
    /// Entries of one index of a table.
    Index(TableId, IndexId),
}

/// What a transaction wrote to one row or did to it by emptying its table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    /// Whether what was committed before is out of sight (a whole row was put, the row deleted, the table emptied).
    pub(crate) hides_base: bool,
    /// What the overlay starts from if the base is out of sight: an encoded version.
    put: Option<Bytes>,
    /// Changes on top, in order.
    operations: Vec<PathOp>,
}

impl Overlay {
    /// The row as its transaction sees it.
    pub(crate) fn over(self, base: Option<Row>) -> Result<Option<Row>, TxnError> {
        let start = match (self.hides_base, self.put) {
            (false, _) => base,
            (true, None) => None,
            (true, Some(put)) => match Version::decode(&put)? {
                Version::Full(row) => Some(row),
                Version::Delta(_) | Version::Tombstone => {
                    return Err(StorageError::corrupted("row of a transaction's own").into());
                }
            },
        };
        let Some(mut row) = start else { return Ok(None) };
        storage::path::apply_all(&mut row, &self.operations)?;
        Ok(Some(row))
    }

    fn push(&mut self, write: &Stored) {
        match write {
            Stored::Put(put) => {
                *self = Overlay {
                    hides_base: true,
                    put: Some(put.clone()),
                    operations: Vec::new(),
                }
            }
            Stored::Change(operations) => self.operations.extend(operations.iter().cloned()),
            Stored::Delete => {
                *self = Overlay {
                    hides_base: true,
                    put: None,
                    operations: Vec::new(),
                }
            }
        }
    }
}

/// A row's writes, squashed to the version that COMMIT sends.
pub(crate) struct FinalRow {
    pub(crate) table: TableId,
    pub(crate) key: Key,
    pub(crate) version: Bytes,
    /// Whether it is a delta, which a consolidation may follow.
    pub(crate) is_delta: bool,
}

/// Everything COMMIT writes.
pub(crate) struct FinalWrites {
    pub(crate) rows: Vec<FinalRow>,
    pub(crate) entries: Vec<FinalEntry>,
    pub(crate) clears: Vec<Clear>,
}

/// An index entry's last state, as COMMIT sends it.
pub(crate) struct FinalEntry {
    pub(crate) table: TableId,
    pub(crate) index: IndexId,
    pub(crate) global: bool,
    pub(crate) value: Key,
    pub(crate) row: Key,
    pub(crate) present: bool,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    /// Position to roll back to.
    pub(crate) fn mark(&self) -> u64 {
        self.journal.len() as u64
    }

    pub(crate) fn write_row(&mut self, command: CommandNumber, table: TableId, key: &Key, write: RowWrite) {
        let order = self.mark();
        let write = match write {
            RowWrite::Put(row) => Stored::Put(Version::encode_full(&row).into()),
            RowWrite::Change(operations) => {
                if operations.iter().any(is_addition) && !self.added_to.contains(&table) {
                    self.added_to.push(table);
                }
                Stored::Change(operations)
            }
            RowWrite::Delete => Stored::Delete,
        };
        let writes = self.rows.entry((table, key.clone())).or_default();
        writes.push(Buffered { command, order, write });
        self.journal.push(Undo::Row(table, key.clone()));
    }

    pub(crate) fn write_entry(&mut self, command: CommandNumber, entry: FinalEntry) {
        let order = self.mark();
        let key = (entry.index, entry.value, entry.row);
        self.entry_places.insert(entry.index, (entry.table, entry.global));
        self.entries.entry(key.clone()).or_default().push(Buffered {
            command,
            order,
            write: entry.present,
        });
        self.journal.push(Undo::Entry(key));
    }

    pub(crate) fn clear(&mut self, command: CommandNumber, clear: Clear) {
        let order = self.mark();
        self.clears.push(Buffered {
            command,
            order,
            write: clear,
        });
        self.journal.push(Undo::Clear);
    }

    /// Undoes everything since the mark.
    pub(crate) fn roll_back_to(&mut self, mark: u64) {
        while self.mark() > mark {
            match self.journal.pop().expect("longer than the mark: checked by the loop") {
                Undo::Row(table, key) => pop_last(&mut self.rows, (table, key)),
                Undo::Entry(key) => pop_last(&mut self.entries, key),
                Undo::Clear => drop(self.clears.pop()),
            }
        }
    }

    /// What a statement of this command sees of the transaction's own writes to a row; `None` if there are none.
    pub(crate) fn row(&self, command: CommandNumber, table: TableId, key: &Key) -> Option<Overlay> {
        if self.journal.is_empty() {
            return None;
        }
        let cleared = self.cleared_rows(command, table);
        match self.rows.get(&(table, key.clone())) {
            Some(writes) => overlay(writes, command, cleared),
            None => cleared.map(|_| Overlay {
                hides_base: true,
                ..Overlay::default()
            }),
        }
    }

    /// Overlays of a range of rows, in key order (reversed if asked), at most `count_max`.
    pub(crate) fn rows_between(
        &self,
        command: CommandNumber,
        table: TableId,
        from: Bound<&Key>,
        to: Bound<&Key>,
        reverse: bool,
        count_max: usize,
    ) -> Vec<(Key, Overlay)> {
        let cleared = self.cleared_rows(command, table);
        let from = from.map(|key| (table, key.clone()));
        let to = to.map(|key| (table, key.clone()));
        let from = if from == Bound::Unbounded {
            Bound::Included((table, Key::new()))
        } else {
            from
        };
        let to = if to == Bound::Unbounded {
            Bound::Excluded((table + 1, Key::new()))
        } else {
            to
        };
        if is_empty_range(&from, &to) {
            return Vec::new();
        }
        let visible = |((_, key), writes): (&(TableId, Key), &SmallVec<[Buffered<Stored>; 1]>)| {
            overlay(writes, command, cleared).map(|overlay| (key.clone(), overlay))
        };
        let range = self.rows.range((from, to));
        if reverse {
            range.rev().filter_map(visible).take(count_max).collect()
        } else {
            range.filter_map(visible).take(count_max).collect()
        }
    }

    /// Index entries of a range of values written by this transaction: (value, row, present), in order.
    pub(crate) fn entries_between(
        &self,
        command: CommandNumber,
        index: IndexId,
        from: Bound<&(Key, Key)>,
        to: Bound<&(Key, Key)>,
        reverse: bool,
        count_max: usize,
    ) -> Vec<(Key, Key, bool)> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let cleared = self.cleared_entries(command, index);
        let from = match from {
            Bound::Unbounded => Bound::Included((index, Key::new(), Key::new())),
            other => other.map(|(value, row)| (index, value.clone(), row.clone())),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded((index + 1, Key::new(), Key::new())),
            other => other.map(|(value, row)| (index, value.clone(), row.clone())),
        };
        if is_empty_range(&from, &to) {
            return Vec::new();
        }
        let visible = |((_, value, row), writes): (&EntryKey, &SmallVec<[Buffered<bool>; 1]>)| {
            let newest = writes.iter().rev().find(|buffered| buffered.command < command)?;
            let present = newest.write && cleared.is_none_or(|order| newest.order > order);
            Some((value.clone(), row.clone(), present))
        };
        let range = self.entries.range((from, to));
        if reverse {
            range.rev().filter_map(visible).take(count_max).collect()
        } else {
            range.filter_map(visible).take(count_max).collect()
        }
    }

    /// Whether this statement sees the table's committed rows at all, or its own transaction emptied it.
    pub(crate) fn hides_rows(&self, command: CommandNumber, table: TableId) -> bool {
        self.cleared_rows(command, table).is_some()
    }

    /// As [`Self::hides_rows`], for the entries of an index.
    pub(crate) fn hides_entries(&self, command: CommandNumber, table: TableId, index: IndexId) -> bool {
        self.clears.iter().any(|clear| {
            clear.command < command
                && match clear.write {
                    Clear::Table(cleared) => cleared == table,
                    Clear::Index(_, cleared) => cleared == index,
                }
        })
    }

    /// Whether there may be [`additions`](Self::additions).
    pub(crate) fn has_additions(&self, table: TableId) -> bool {
        self.added_to.contains(&table)
    }

    /// Numbers of a table that were added to and not written otherwise since.
    pub(crate) fn additions(&self, table: TableId) -> Vec<(Key, Path)> {
        let mut found = Vec::new();
        for ((_, key), writes) in self.rows.range((table, Key::new())..(table + 1, Key::new())) {
            let mut open: Vec<&Path> = Vec::new();
            for write in writes {
                match &write.write {
                    Stored::Put(_) | Stored::Delete => open.clear(),
                    Stored::Change(operations) => {
                        for operation in operations {
                            open.retain(|path| !operation.path.covers(path));
                            if is_addition(operation) {
                                open.push(&operation.path);
                            }
                        }
                    }
                }
            }
            found.extend(open.into_iter().map(|path| (key.clone(), path.clone())));
        }
        found
    }

    /// Shards with something to write, in no order, repeated.
    pub(crate) fn shards(&self, placement: &Placement) -> Vec<ShardId> {
        let mut shards: Vec<ShardId> = Vec::new();
        shards.extend(self.rows.keys().map(|(table, key)| placement.row(*table, key)));
        for (index, value, row) in self.entries.keys() {
            let (table, global) = self.entry_places[index];
            shards.push(placement.entry(table, *index, global, value, row));
        }
        for clear in &self.clears {
            let (Clear::Table(table) | Clear::Index(table, _)) = clear.write;
            shards.extend(placement.table(table));
        }
        shards
    }

    /// Whether it wrote anything to the row, visible or not.
    pub(crate) fn has_row(&self, table: TableId, key: &Key) -> bool {
        self.rows.contains_key(&(table, key.clone()))
    }

    /// Takes everything COMMIT writes: the newest state of each row and entry, and what is emptied.
    ///
    /// # Errors
    /// When a path operation cannot be applied to the row this transaction put (the planner checked that it can).
    pub(crate) fn finish(&mut self) -> Result<FinalWrites, TxnError> {
        let end = CommandNumber::MAX;
        self.journal = Vec::new();
        let mut rows = Vec::with_capacity(self.rows.len());
        for ((table, key), writes) in std::mem::take(&mut self.rows) {
            let cleared = self.cleared_rows(end, table);
            let Some(overlay) = overlay(&writes, end, cleared) else {
                continue;
            };
            let is_delta = !overlay.hides_base;
            let version = match (overlay.hides_base, &overlay.put) {
                (true, None) if cleared.is_some() => continue,
                (true, None) => Version::encode_tombstone().into(),
                (true, Some(put)) if overlay.operations.is_empty() => put.clone(),
                (true, Some(_)) => match overlay.over(None)? {
                    Some(row) => Version::encode_full(&row).into(),
                    None => Version::encode_tombstone().into(),
                },
                (false, _) => Version::encode_delta(&overlay.operations).into(),
            };
            rows.push(FinalRow {
                table,
                key,
                version,
                is_delta,
            });
        }
        let mut entries = Vec::with_capacity(self.entries.len());
        for ((index, value, row), writes) in std::mem::take(&mut self.entries) {
            let Some(newest) = writes.last() else { continue };
            let (table, global) = self.entry_places[&index];
            if self
                .cleared_entries(end, index)
                .is_some_and(|order| newest.order < order)
            {
                continue;
            }
            entries.push(FinalEntry {
                table,
                index,
                global,
                value,
                row,
                present: newest.write,
            });
        }
        let clears = self.clears.drain(..).map(|clear| clear.write).collect();
        Ok(FinalWrites { rows, entries, clears })
    }

    /// Order of the newest visible emptying of the table's rows.
    fn cleared_rows(&self, command: CommandNumber, table: TableId) -> Option<u64> {
        let of_table = |clear: &&Buffered<Clear>| clear.command < command && clear.write == Clear::Table(table);
        self.clears.iter().rev().find(of_table).map(|clear| clear.order)
    }

    fn cleared_entries(&self, command: CommandNumber, index: IndexId) -> Option<u64> {
        let table = self.entry_places.get(&index).map(|(table, _)| *table);
        let of_index = |clear: &&Buffered<Clear>| {
            clear.command < command
                && match clear.write {
                    Clear::Table(cleared) => Some(cleared) == table,
                    Clear::Index(_, cleared) => cleared == index,
                }
        };
        self.clears.iter().rev().find(of_index).map(|clear| clear.order)
    }
}

fn is_addition(operation: &PathOp) -> bool {
    matches!(operation.action, Action::Add(_))
}

fn overlay(writes: &[Buffered<Stored>], command: CommandNumber, cleared: Option<u64>) -> Option<Overlay> {
    let seen = |write: &&Buffered<Stored>| write.command < command && cleared.is_none_or(|order| write.order > order);
    let mut overlay = Overlay {
        hides_base: cleared.is_some(),
        ..Overlay::default()
    };
    let mut any = cleared.is_some();
    for write in writes.iter().filter(seen) {
        overlay.push(&write.write);
        any = true;
    }
    any.then_some(overlay)
}

fn pop_last<K: Ord, T>(map: &mut BTreeMap<K, SmallVec<[T; 1]>>, key: K) {
    if let Some(writes) = map.get_mut(&key) {
        writes.pop();
        if writes.is_empty() {
            map.remove(&key);
        }
    }
}

/// `BTreeMap::range` panics on a range that ends before it starts; a planner may well ask for one (`BETWEEN 5 AND 3`).
fn is_empty_range<K: Ord>(from: &Bound<K>, to: &Bound<K>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
