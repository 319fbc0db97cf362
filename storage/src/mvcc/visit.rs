//! Visiting rows where they lie: what [`scan_rows`](super::scan_rows) finds, without a copy of what nobody wants.

use bytes::{Bytes, BytesMut};

use super::encoded::{self, Kind};
use super::scan::{CHUNK_BYTES_MAX, SKIP_COUNT_MAX, after_versions, next_chain, split};
use super::{HEADER_SIZE, version_key};
use crate::engine::{Cursor, View};
use crate::version::{RowSlice, ValueRef};
use crate::{Row, StorageError, StorageResult};

/// A row that is visited.
pub enum RowRef<'a> {
    /// One version, in RocksDB's memory.
    Stored(RowSlice<'a>),
    /// What several versions add up to.
    Folded(&'a Row),
}

impl RowRef<'_> {
    /// Reads one column; `None` if the row is shorter (the column was added later).
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn column(&self, index: usize) -> StorageResult<Option<ValueRef<'_>>> {
        match self {
            RowRef::Stored(row) => row.column(index),
            RowRef::Folded(row) => Ok(row.get(index).map(ValueRef::from)),
        }
    }
}

/// Calls `visit` with each key (behind the table's header) and row between two encoded keys (half-open) as of `at`, for
/// `count_max` rows at most. Versions below `hidden_below` do not exist any more. Returns the bound to go on from; `None` at
/// the end.
///
/// # Errors
/// What reading or `visit` returns.
pub fn visit_rows<E: From<StorageError>>(
    view: &View,
    (from, to): (&[u8], &[u8]),
    (at, hidden_below): (u64, u64),
    count_max: usize,
    visit: &mut dyn FnMut(&[u8], RowRef<'_>) -> Result<(), E>,
) -> Result<Option<Bytes>, E> {
    if from >= to {
        return Ok(None);
    }
    let mut cursor = view.cursor(Some(from), Some(to)).map_err(StorageError::from)?;
    let (mut key, mut block) = (Vec::new(), BytesMut::new());
    let (mut count, mut bytes, mut younger) = (0, 0, 0);
    cursor.seek_to_first();
    while let Some((versioned, version)) = cursor.item() {
        let (found, timestamp) = split(versioned)?;
        if timestamp > at {
            younger += 1;
            if younger > SKIP_COUNT_MAX {
                younger = 0;
                let seen = version_key(found, at);
                cursor.seek(&seen);
            } else {
                cursor.next();
            }
            continue;
        }
        younger = 0;
        key.clear();
        key.extend_from_slice(found);
        if timestamp < hidden_below {
            skip_versions(&mut cursor, &key)?;
            continue;
        }
        bytes += version.len() as u64;
        if encoded::kind(version)? == Kind::Delta {
            let chain = next_chain(&mut cursor, &mut key, &mut block, at, hidden_below)?;
            let row = chain.map(|chain| chain.fold()).transpose()?.flatten();
            if let Some(row) = row {
                visit(key.get(HEADER_SIZE..).unwrap_or_default(), RowRef::Folded(&row))?;
                count += 1;
            }
        } else {
            if let Some(row) = encoded::open_base(version)? {
                visit(key.get(HEADER_SIZE..).unwrap_or_default(), RowRef::Stored(row))?;
                count += 1;
            }
            skip_versions(&mut cursor, &key)?;
        }
        if count >= count_max || bytes >= CHUNK_BYTES_MAX {
            return Ok(Some(after_versions(&key).into()));
        }
    }
    cursor.status().map_err(StorageError::from)?;
    Ok(None)
}

/// Moves behind the versions of a key the cursor stands at.
fn skip_versions(cursor: &mut Cursor, key: &[u8]) -> StorageResult<()> {
    for _ in 0..SKIP_COUNT_MAX {
        cursor.next();
        match cursor.key() {
            Some(versioned) if split(versioned)?.0 == key => {}
            Some(_) | None => return Ok(()),
        }
    }
    cursor.seek(&after_versions(key));
    Ok(())
}
