//! Scanning rows in key order, a chunk at a time.
//!
//! A chunk opens a cursor of its own, so that nothing in RocksDB is held while the rows of the last one are used. What
//! lies at or below the timestamp does not change between chunks, so no RocksDB snapshot is needed either.

use bytes::{Bytes, BytesMut};

use super::chain::Chain;
use super::{HEADER_SIZE, TIMESTAMP_SIZE, split_version_key, version_key};
use crate::Row;
use crate::StorageError;
use crate::engine::{Cursor, View};

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Reverse,
}

/// Part of a scan.
#[derive(Clone, Debug)]
pub struct Chunk<T> {
    /// What was found, in scan order.
    pub items: Vec<T>,
    /// The bound the next chunk starts from (`from` of a forward scan, `to` of a reverse one); `None` at the end.
    pub next: Option<Bytes>,
}

/// Versions skipped one by one before the cursor seeks instead.
pub(super) const SKIP_COUNT_MAX: usize = 8;

/// Keys and versions of a chunk are copied out of RocksDB into blocks of this size, not one by one. A value that is kept
/// keeps its block.
const BLOCK_BYTES: usize = 32 << 10;

/// Bytes of versions after which a chunk ends, however few its rows: a thousand documents may be a gigabyte.
pub(super) const CHUNK_BYTES_MAX: u64 = 4 << 20;

/// What a scan reads of each row.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Versions above do not exist yet.
    pub at: u64,
    /// Versions below do not exist any more (see [`Clears`](super::Clears)).
    pub hidden_below: u64,
    /// Positions of the columns wanted, ascending; others may come as NULL. `None` is all.
    pub columns: Option<&'a [u16]>,
}

/// Rows between two encoded keys (half-open) as of a snapshot, at most `count_max`. Keys are those behind the table's header.
pub fn scan_rows(
    view: &View,
    range: (&[u8], &[u8]),
    direction: Direction,
    snapshot: Snapshot<'_>,
    count_max: usize,
) -> Result<Chunk<(Bytes, Row)>, StorageError> {
    let mut items = Vec::with_capacity(count_max.min(1024));
    let mut bytes = 0;
    let next = walk(view, range, direction, snapshot, |key, chain| {
        let size = chain.size();
        bytes += size.full_bytes + size.delta_bytes;
        if let Some(row) = chain.fold_columns(snapshot.columns)? {
            items.push((key, row));
        }
        Ok(items.len() < count_max && bytes < CHUNK_BYTES_MAX)
    })?;
    Ok(Chunk { items, next })
}

/// Calls `visit` with each key of the range that has a version at or below `at`, until it returns `false`. Returns the
/// bound to go on from.
fn walk(
    view: &View,
    (from, to): (&[u8], &[u8]),
    direction: Direction,
    Snapshot { at, hidden_below, .. }: Snapshot<'_>,
    mut visit: impl FnMut(Bytes, Chain) -> Result<bool, StorageError>,
) -> Result<Option<Bytes>, StorageError> {
    if from >= to {
        return Ok(None);
    }
    let mut cursor = view.cursor(Some(from), Some(to))?;
    let mut key = Vec::new();
    let mut block = BytesMut::new();
    match direction {
        Direction::Forward => cursor.seek_to_first(),
        Direction::Reverse => cursor.seek_to_last(),
    }
    loop {
        let found = match direction {
            Direction::Forward => next_chain(&mut cursor, &mut key, &mut block, at, hidden_below)?,
            Direction::Reverse => previous_chain(&mut cursor, &mut key, &mut block, at, hidden_below)?,
        };
        let Some(chain) = found else {
            cursor.status()?;
            return Ok(None);
        };
        let behind_header = key.get(HEADER_SIZE..).unwrap_or_default();
        if !chain.is_empty() && !visit(copy(&mut block, behind_header), chain)? {
            return Ok(Some(match direction {
                Direction::Forward => after_versions(&key).into(),
                Direction::Reverse => Bytes::copy_from_slice(&key),
            }));
        }
    }
}

/// Copies bytes into the current block, or a new one.
pub(super) fn copy(block: &mut BytesMut, bytes: &[u8]) -> Bytes {
    if block.capacity() < bytes.len() {
        if bytes.len() > BLOCK_BYTES / 4 {
            return Bytes::copy_from_slice(bytes);
        }
        *block = BytesMut::with_capacity(BLOCK_BYTES);
    }
    block.extend_from_slice(bytes);
    block.split().freeze()
}

/// The smallest key above all versions of `key`.
pub(super) fn after_versions(key: &[u8]) -> Vec<u8> {
    let mut after = version_key(key, 0);
    after.push(0);
    after
}

/// The chain of the key the cursor stands at the start of, and moves behind it; `None` at the end of the range.
pub(super) fn next_chain(
    cursor: &mut Cursor,
    key: &mut Vec<u8>,
    block: &mut BytesMut,
    at: u64,
    hidden_below: u64,
) -> Result<Option<Chain>, StorageError> {
    let Some((found, _)) = cursor.key().map(split).transpose()? else {
        return Ok(None);
    };
    key.clear();
    key.extend_from_slice(found);
    let mut chain = Chain::default();
    let mut is_complete = false;
    let mut skipped = 0;
    loop {
        let Some((versioned, version)) = cursor.item() else {
            return Ok(Some(chain));
        };
        let (found, timestamp) = split(versioned)?;
        if found != key.as_slice() {
            return Ok(Some(chain));
        }
        if timestamp > at || is_complete || timestamp < hidden_below {
            is_complete |= timestamp < hidden_below;
            skipped += 1;
            if skipped > SKIP_COUNT_MAX {
                skipped = 0;
                match timestamp > at {
                    true => cursor.seek(&version_key(key, at)),
                    false => cursor.seek(&after_versions(key)),
                }
                continue;
            }
        } else {
            is_complete = chain.push(timestamp, copy(block, version))?;
        }
        cursor.next();
    }
}

/// As [`next_chain`], from the end of a key's versions backwards: the oldest comes first.
fn previous_chain(
    cursor: &mut Cursor,
    key: &mut Vec<u8>,
    block: &mut BytesMut,
    at: u64,
    hidden_below: u64,
) -> Result<Option<Chain>, StorageError> {
    let Some((found, _)) = cursor.key().map(split).transpose()? else {
        return Ok(None);
    };
    key.clear();
    key.extend_from_slice(found);
    let mut chain = Chain::default();
    while let Some((versioned, version)) = cursor.item() {
        let (found, timestamp) = split(versioned)?;
        if found != key.as_slice() {
            break;
        }
        if timestamp <= at && timestamp >= hidden_below {
            chain.push_newer(timestamp, copy(block, version))?;
        }
        cursor.prev();
    }
    Ok(Some(chain))
}

pub(super) fn split(versioned: &[u8]) -> Result<(&[u8], u64), StorageError> {
    split_version_key(versioned).ok_or_else(|| {
        StorageError::Corrupted(format!(
            "a key of {} bytes is shorter than its timestamp ({TIMESTAMP_SIZE})",
            versioned.len()
        ))
    })
}
