//! Buffer: the writes of a running transaction, and what its own reads see of them.
//!
//! ```text
//!   row (orders, 7):  [command 1: Put] [command 3: Change doc/a] [command 3: Change doc/b]
//!                      └ a statement with command 3 sees this ┘    └ and not yet these ┘
//!   journal:          row 7 · entry (qty=5, 7) · row 7 · row 7        savepoint = length of the journal
//! ```
//!
//! Nothing here is durable or visible to others; at COMMIT each row's writes become one version. Whole rows are kept as the
//! bytes they will be stored as: that takes a third of the memory of their values, and COMMIT copies nothing. Past
//! [`SPILL_BYTES`] everything held so far is set aside on disk ([`spill`]); reads look at both.

mod drain;
mod merge;
mod spill;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use ahash::AHashMap;
use bytes::Bytes;
use smallvec::SmallVec;
use storage::engine::Engine;
use storage::version::Version;
use storage::{Action, Datum, Path, PathOp, Row, StorageError};

use crate::command::TransactionId;
use crate::placement::{Placement, ShardId};
use crate::{IndexId, Key, RowWrite, TableId, TxnError};
use merge::Merge;
use spill::{Spill, Spilled, Writes, prefix_end};

/// Bytes of writes held in memory; beyond it they are set aside.
const SPILL_BYTES: usize = 64 << 20;
/// What a write costs in memory beside its key and version.
const WRITE_OVERHEAD: usize = 200;

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
    /// Rows that went to another key, undone or not.
    moves: Vec<(TableId, Key)>,
    /// Bytes held in memory, roughly.
    bytes: usize,
    /// The largest write among them.
    largest: usize,
    /// What was set aside, and how much of the journal went with it.
    spill: Option<Spill>,
    spilled: u64,
    /// Tables it has writes to.
    spilled_tables: BTreeSet<TableId>,
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
    /// Gone to another key.
    Move(Key),
}

impl Stored {
    /// Bytes it takes, roughly.
    fn size(&self) -> usize {
        match self {
            Stored::Put(version) => version.len(),
            Stored::Change(operations) => operations.iter().map(operation_size).sum(),
            Stored::Delete => 0,
            Stored::Move(key) => key.len(),
        }
    }
}

/// Bytes an operation takes, roughly.
fn operation_size(operation: &PathOp) -> usize {
    let argument = match &operation.action {
        Action::SetColumn(Datum::Jsonb(value)) | Action::Set { value, .. } | Action::Insert(value) => {
            value.as_bytes().len()
        }
        Action::SetColumn(Datum::Text(text) | Datum::Json(text)) => text.len(),
        Action::SetColumn(Datum::Bytea(bytes)) => bytes.len(),
        Action::SetColumn(_) | Action::Remove | Action::Add(_) => 32,
    };
    argument + 32 * (1 + operation.path.steps.len())
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
    /// Where the row went on, if it did.
    moved_to: Option<Key>,
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

    /// What was done to the committed row.
    pub(crate) fn into_operations(self) -> Vec<PathOp> {
        self.operations
    }

    fn push(&mut self, write: &Stored) {
        match write {
            Stored::Put(put) => {
                *self = Overlay {
                    hides_base: true,
                    put: Some(put.clone()),
                    ..Overlay::default()
                }
            }
            Stored::Change(operations) => self.operations.extend(operations.iter().cloned()),
            Stored::Delete => {
                *self = Overlay {
                    hides_base: true,
                    ..Overlay::default()
                }
            }
            Stored::Move(key) => {
                *self = Overlay {
                    hides_base: true,
                    moved_to: Some(key.clone()),
                    ..Overlay::default()
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
        self.journal.is_empty() && self.spilled == 0
    }

    /// Position to roll back to.
    pub(crate) fn mark(&self) -> u64 {
        self.spilled + self.journal.len() as u64
    }

    /// Whether so much is held in memory that it should be set aside.
    /// One large row alone is not: on its way to the disk and back it would take several times its size.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes - self.largest > SPILL_BYTES
    }

    /// Sets everything held in memory aside.
    ///
    /// # Errors
    /// The disk is full or broken; nothing is lost.
    pub(crate) fn set_aside(&mut self, engine: &Arc<Engine>, transaction: TransactionId) -> Result<(), TxnError> {
        let mut spill = match self.spill.take() {
            Some(spill) => spill,
            None => Spill::new(engine, transaction)?,
        };
        let written = self.write_out(&mut spill);
        self.spill = Some(spill);
        written?;
        self.spilled_tables.extend(self.rows.keys().map(|(table, _)| *table));
        self.spilled = self.mark();
        self.journal = Vec::new();
        (self.rows, self.entries, self.bytes, self.largest) = Default::default();
        Ok(())
    }

    fn write_out(&self, spill: &mut Spill) -> Result<(), TxnError> {
        for (key, writes) in &self.rows {
            writes.iter().try_for_each(|write| spill.put(key, write))?;
        }
        for (key, writes) in &self.entries {
            writes.iter().try_for_each(|write| spill.put(key, write))?;
        }
        spill.flush()
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
            RowWrite::Move(to) => {
                self.moves.push((table, key.clone()));
                Stored::Move(to)
            }
        };
        let bytes = WRITE_OVERHEAD + key.len() + write.size();
        self.bytes += bytes;
        self.largest = self.largest.max(bytes);
        let writes = self.rows.entry((table, key.clone())).or_default();
        writes.push(Buffered { command, order, write });
        self.journal.push(Undo::Row(table, key.clone()));
    }

    pub(crate) fn write_entry(&mut self, command: CommandNumber, entry: FinalEntry) {
        let order = self.mark();
        let key = (entry.index, entry.value, entry.row);
        self.bytes += WRITE_OVERHEAD + 2 * (key.1.len() + key.2.len());
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
    pub(crate) fn roll_back_to(&mut self, mark: u64) -> Result<(), TxnError> {
        while self.mark() > mark {
            match self.journal.pop() {
                Some(Undo::Row(table, key)) => pop_last(&mut self.rows, (table, key)),
                Some(Undo::Entry(key)) => pop_last(&mut self.entries, key),
                Some(Undo::Clear) => drop(self.clears.pop()),
                None => break,
            }
        }
        if self.spilled > mark {
            if let Some(spill) = &mut self.spill {
                spill.undo(mark, self.spilled)?;
            }
            self.clears.retain(|clear| clear.order < mark);
            self.spilled = mark;
        }
        Ok(())
    }

    /// What a statement of this command sees of the transaction's own writes to a row; `None` if there are none.
    pub(crate) fn row(&self, command: CommandNumber, table: TableId, key: &Key) -> Result<Option<Overlay>, TxnError> {
        if self.is_empty() {
            return Ok(None);
        }
        let cleared = self.cleared_rows(command, table);
        let key = (table, key.clone());
        let in_memory = self.rows.get(&key).map(SmallVec::as_slice).unwrap_or_default();
        match &self.spill {
            None => Ok(overlay(in_memory, command, cleared)),
            Some(spill) => {
                let mut writes: Writes<Stored> = spill.get(&key)?;
                writes.extend(in_memory.iter().cloned());
                Ok(overlay(&writes, command, cleared))
            }
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
    ) -> Result<Vec<(Key, Overlay)>, TxnError> {
        let cleared = self.cleared_rows(command, table);
        let from = match from {
            Bound::Unbounded => Bound::Included((table, Key::new())),
            other => other.map(|key| (table, key.clone())),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded((table + 1, Key::new())),
            other => other.map(|key| (table, key.clone())),
        };
        self.between(&self.rows, (from, to), reverse, count_max, |(_, key), writes| {
            overlay(writes, command, cleared).map(|overlay| (key.clone(), overlay))
        })
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
    ) -> Result<Vec<(Key, Key, bool)>, TxnError> {
        let cleared = self.cleared_entries(command, index);
        let from = match from {
            Bound::Unbounded => Bound::Included((index, Key::new(), Key::new())),
            other => other.map(|(value, row)| (index, value.clone(), row.clone())),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded((index + 1, Key::new(), Key::new())),
            other => other.map(|(value, row)| (index, value.clone(), row.clone())),
        };
        self.between(
            &self.entries,
            (from, to),
            reverse,
            count_max,
            |(_, value, row), writes| {
                let newest = writes.iter().rev().find(|buffered| buffered.command < command)?;
                let present = newest.write && cleared.is_none_or(|order| newest.order > order);
                Some((value.clone(), row.clone(), present))
            },
        )
    }

    /// Index entries of one value written by this transaction: (row, present).
    pub(crate) fn entries_of(
        &self,
        command: CommandNumber,
        index: IndexId,
        value: &Key,
    ) -> Result<Vec<(Key, bool)>, TxnError> {
        // Values are encoded so that none is the beginning of another: the next one differs within its length.
        let (from, to) = ((value.clone(), Key::new()), (Key::from(prefix_end(value)), Key::new()));
        let to = if to.0.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(&to)
        };
        let found = self.entries_between(command, index, Bound::Included(&from), to, false, usize::MAX)?;
        Ok(found.into_iter().map(|(_, row, present)| (row, present)).collect())
    }

    /// What `visible` makes of the writes to the keys of a range, in order.
    fn between<W: Spilled, T>(
        &self,
        map: &BTreeMap<W::Key, Writes<W>>,
        (from, to): (Bound<W::Key>, Bound<W::Key>),
        reverse: bool,
        count_max: usize,
        visible: impl Fn(&W::Key, &[Buffered<W>]) -> Option<T>,
    ) -> Result<Vec<T>, TxnError> {
        if is_empty_range(&from, &to) || (map.is_empty() && self.spill.is_none()) {
            return Ok(Vec::new());
        }
        let pages = self.spill.as_ref().map(|spill| {
            let edge = |bound: &Bound<W::Key>, is_start: bool| match bound {
                Bound::Included(key) if is_start => spill.key(&W::encode_bound(key)),
                Bound::Included(key) => prefix_end(&spill.key(&W::encode_key(key))),
                Bound::Excluded(key) if is_start => prefix_end(&spill.key(&W::encode_key(key))),
                Bound::Excluded(key) => spill.key(&W::encode_bound(key)),
                Bound::Unbounded => spill.key(if is_start { &[] } else { &[u8::MAX] }),
            };
            spill.pages(edge(&from, true), edge(&to, false), reverse)
        });
        let range = map.range((from, to)).map(|(key, writes)| (key.clone(), writes.clone()));
        let mut found = Vec::new();
        let mut take = |(key, writes): (W::Key, Writes<W>)| {
            found.extend(visible(&key, &writes));
            found.len() < count_max
        };
        if reverse {
            let mut merge = Merge::new(pages, range.rev(), true);
            while merge.next()?.is_some_and(&mut take) {}
        } else {
            let mut merge = Merge::new(pages, range, false);
            while merge.next()?.is_some_and(&mut take) {}
        }
        Ok(found)
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
    pub(crate) fn additions(&self, table: TableId) -> Result<Vec<(Key, Path)>, TxnError> {
        let range = (
            Bound::Included((table, Key::new())),
            Bound::Excluded((table + 1, Key::new())),
        );
        let of_rows = self.between(&self.rows, range, false, usize::MAX, |(_, key), writes| {
            let open = open_additions(writes);
            (!open.is_empty()).then(|| (key.clone(), open))
        })?;
        let flat = of_rows
            .into_iter()
            .flat_map(|(key, open)| open.into_iter().map(move |path| (key.clone(), path)));
        Ok(flat.collect())
    }

    /// Shards with something to write, in no order, repeated.
    pub(crate) fn shards(&self, placement: &Placement) -> Vec<ShardId> {
        // What was set aside is so much that it is everywhere.
        let spilled = self.spilled_tables.iter().flat_map(|table| placement.table(*table));
        let mut shards: Vec<ShardId> = spilled.collect();
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
    pub(crate) fn has_row(&self, table: TableId, key: &Key) -> Result<bool, TxnError> {
        let key = (table, key.clone());
        Ok(self.rows.contains_key(&key)
            || match &self.spill {
                Some(spill) => !spill.get::<Stored>(&key)?.is_empty(),
                None => false,
            })
    }

    /// All writes to a row, oldest first.
    fn writes(&self, key: &(TableId, Key)) -> Result<Writes<Stored>, TxnError> {
        let mut writes: Writes<Stored> = match &self.spill {
            Some(spill) => spill.get(key)?,
            None => Writes::new(),
        };
        writes.extend(self.rows.get(key).into_iter().flatten().cloned());
        Ok(writes)
    }

    /// Where rows that moved are in the end, if that is not where their last move took them: at another key, or nowhere. Who
    /// waits for such a row follows it there, and would take another row for it that was put in its place.
    fn displaced(&self) -> Result<AHashMap<(TableId, Key), Option<Key>>, TxnError> {
        let mut displaced = AHashMap::new();
        for from in &self.moves {
            let writes = self.writes(from)?;
            let Some(Buffered {
                order,
                write: Stored::Move(first),
                ..
            }) = writes.last()
            else {
                continue;
            };
            let (mut at, mut order) = (Some(first.clone()), *order);
            while let Some(key) = &at {
                let later = self.writes(&(from.0, key.clone()))?;
                let left = later.iter().find_map(|later| match &later.write {
                    _ if later.order <= order => None,
                    Stored::Delete => Some((None, later.order)),
                    Stored::Move(next) => Some((Some(next.clone()), later.order)),
                    Stored::Put(_) | Stored::Change(_) => None,
                });
                let Some(next) = left else { break };
                (at, order) = next;
            }
            if at.as_ref() != Some(first) {
                displaced.insert(from.clone(), at);
            }
        }
        Ok(displaced)
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

/// Paths of a row that were added to and not written otherwise since.
fn open_additions(writes: &[Buffered<Stored>]) -> Vec<Path> {
    let mut open: Vec<Path> = Vec::new();
    for write in writes {
        match &write.write {
            Stored::Put(_) | Stored::Delete | Stored::Move(_) => open.clear(),
            Stored::Change(operations) => {
                for operation in operations {
                    open.retain(|path| !operation.path.covers(path));
                    if is_addition(operation) {
                        open.push(operation.path.clone());
                    }
                }
            }
        }
    }
    open
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
