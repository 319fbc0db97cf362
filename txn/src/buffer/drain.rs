//! Drain: what COMMIT writes, row by row, so that a large transaction is never in memory as a whole.

use std::collections::{BTreeMap, btree_map};

use ahash::AHashMap;
use storage::version::Version;

use super::merge::Merge;
use super::spill::{Spill, Writes, prefix_end};
use super::{Buffer, Clear, CommandNumber, EntryKey, FinalEntry, FinalRow, Overlay, Stored, overlay};
use crate::{IndexId, Key, TableId, TxnError};

type Memory<K, W> = btree_map::IntoIter<K, Writes<W>>;

/// Everything COMMIT writes: the newest state of each row and entry.
pub(crate) struct Drain {
    rows: Merge<Stored, Memory<(TableId, Key), Stored>>,
    entries: Merge<bool, Memory<EntryKey, bool>>,
    /// Where rows are that moved and did not stay.
    displaced: AHashMap<(TableId, Key), Option<Key>>,
    /// What is left of the buffer: where indexes are, and what was emptied.
    buffer: Buffer,
    /// Held so that what was set aside stays until it is read.
    _spill: Option<Spill>,
}

impl Buffer {
    /// Takes everything COMMIT writes.
    ///
    /// # Errors
    /// What was set aside cannot be read.
    pub(crate) fn drain(mut self) -> Result<Drain, TxnError> {
        let displaced = self.displaced()?;
        let spill = self.spill.take();
        let pages = |space: u8| {
            let from = spill.as_ref().map(|spill| spill.key(&[space]))?;
            let to = prefix_end(&from);
            Some((from, to))
        };
        let row_pages = pages(b'r').zip(spill.as_ref());
        let entry_pages = pages(b'i').zip(spill.as_ref());
        let (rows, entries): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (std::mem::take(&mut self.rows), std::mem::take(&mut self.entries));
        let rows = Merge::new(
            row_pages.map(|((from, to), spill)| spill.pages(from, to, false)),
            rows.into_iter(),
            false,
        );
        let entries = Merge::new(
            entry_pages.map(|((from, to), spill)| spill.pages(from, to, false)),
            entries.into_iter(),
            false,
        );
        Ok(Drain {
            rows,
            entries,
            displaced,
            buffer: self,
            _spill: spill,
        })
    }
}

impl Drain {
    /// What is emptied before anything is written.
    pub(crate) fn clears(&self) -> impl Iterator<Item = Clear> {
        self.buffer.clears.iter().map(|clear| clear.write)
    }

    /// The next row.
    ///
    /// # Errors
    /// When a path operation cannot be applied to the row this transaction put (the planner checked that it can).
    pub(crate) fn next_row(&mut self) -> Result<Option<FinalRow>, TxnError> {
        let end = CommandNumber::MAX;
        while let Some(((table, key), writes)) = self.rows.next()? {
            let cleared = self.buffer.cleared_rows(end, table);
            let Some(mut overlay) = overlay(&writes, end, cleared) else {
                continue;
            };
            if overlay.moved_to.is_some()
                && let Some(place) = self.displaced.get(&(table, key.clone()))
            {
                overlay.moved_to.clone_from(place);
            }
            let is_delta = !overlay.hides_base;
            let Some(version) = version(overlay, cleared.is_some())? else {
                continue;
            };
            return Ok(Some(FinalRow {
                table,
                key,
                version,
                is_delta,
            }));
        }
        Ok(None)
    }

    /// The next index entry; to be asked for when there are no more rows.
    ///
    /// # Errors
    /// What was set aside cannot be read.
    pub(crate) fn next_entry(&mut self) -> Result<Option<FinalEntry>, TxnError> {
        while let Some(((index, value, row), writes)) = self.entries.next()? {
            let Some(newest) = writes.last() else { continue };
            let (table, global) = self.place(index);
            let cleared = self.buffer.cleared_entries(CommandNumber::MAX, index);
            if cleared.is_some_and(|order| newest.order < order) {
                continue;
            }
            return Ok(Some(FinalEntry {
                table,
                index,
                global,
                value,
                row,
                present: newest.write,
            }));
        }
        Ok(None)
    }

    fn place(&self, index: IndexId) -> (TableId, bool) {
        self.buffer.entry_places[&index]
    }
}

/// The version that a row's writes amount to; `None` if the table was emptied and the row is not there after.
fn version(overlay: Overlay, is_cleared: bool) -> Result<Option<bytes::Bytes>, TxnError> {
    Ok(Some(match (overlay.hides_base, &overlay.put) {
        (true, None) if is_cleared => return Ok(None),
        (true, None) => match &overlay.moved_to {
            Some(key) => Version::encode_moved(key).into(),
            None => Version::encode_tombstone().into(),
        },
        (true, Some(put)) if overlay.operations.is_empty() => put.clone(),
        (true, Some(_)) => match overlay.over(None)? {
            Some(row) => Version::encode_full(&row).into(),
            None => Version::encode_tombstone().into(),
        },
        (false, _) => Version::encode_delta(&overlay.operations).into(),
    }))
}
