//! Index entries: put and removed with timestamps like rows, but without contents.
//!
//! Everything else is in an entry's key, which also says where the value ends and the row's key begins.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::chain::Unapplied;
use super::layout::split_entry;
use super::scan::{Chunk, Direction, copy};
use super::split_version_key;
use crate::StorageError;
use crate::engine::View;

/// Entries between two encoded keys (half-open) at a timestamp: (value, key of the row), at most `count_max`.
pub fn scan_entries(
    view: &View,
    (from, to): (&[u8], &[u8]),
    direction: Direction,
    at: u64,
    hidden_below: u64,
    count_max: usize,
) -> Result<Chunk<(Bytes, Bytes)>, StorageError> {
    let mut items = Vec::new();
    if from >= to {
        return Ok(Chunk { items, next: None });
    }
    let mut cursor = view.cursor(Some(from), Some(to))?;
    match direction {
        Direction::Forward => cursor.seek_to_first(),
        Direction::Reverse => cursor.seek_to_last(),
    }
    let mut block = BytesMut::new();
    let mut current: Option<Found> = None;
    while let Some((versioned, version)) = cursor.item() {
        let Some((entry, timestamp)) = split_version_key(versioned) else {
            break;
        };
        if current.as_ref().is_none_or(|found| found.key != entry) {
            if let Some(found) = current.take() {
                found.emit(&mut items, &mut block)?;
                if items.len() >= count_max {
                    let next = match direction {
                        Direction::Forward => Bytes::copy_from_slice(entry),
                        Direction::Reverse => Bytes::from(found.key),
                    };
                    return Ok(Chunk {
                        items,
                        next: Some(next),
                    });
                }
            }
            current = Some(Found {
                key: entry.to_vec(),
                newest: None,
            });
        }
        if timestamp <= at && timestamp >= hidden_below {
            let found = current.as_mut().expect("set above");
            // Forward the first one seen is the newest, backward the last one.
            if direction == Direction::Reverse || found.newest.is_none() {
                found.newest = Some(decode_entry(version)?);
            }
        }
        match direction {
            Direction::Forward => cursor.next(),
            Direction::Reverse => cursor.prev(),
        }
    }
    cursor.status()?;
    if let Some(found) = current {
        found.emit(&mut items, &mut block)?;
    }
    Ok(Chunk { items, next: None })
}

struct Found {
    key: Vec<u8>,
    /// Whether it is there, as of the newest version seen.
    newest: Option<bool>,
}

impl Found {
    fn emit(&self, items: &mut Vec<(Bytes, Bytes)>, block: &mut BytesMut) -> Result<(), StorageError> {
        if self.newest == Some(true) {
            let (value, row) = split(&self.key)?;
            items.push((copy(block, value), copy(block, row)));
        }
        Ok(())
    }
}

fn split(entry: &[u8]) -> Result<(&[u8], &[u8]), StorageError> {
    split_entry(entry).ok_or_else(|| StorageError::Corrupted("an index entry is shorter than its value".into()))
}

/// Row keys of one index value in the newest state, with commits that are not in the family yet.
///
/// `range` holds the encoded keys of the value's entries.
pub fn newest_entries(
    view: &View,
    range: (&[u8], &[u8]),
    hidden_below: u64,
    unapplied: &[(Bytes, Vec<Unapplied>)],
) -> Result<Vec<Bytes>, StorageError> {
    let mut found = BTreeMap::new();
    let mut cursor = view.cursor(Some(range.0), Some(range.1))?;
    cursor.seek_to_first();
    while let Some((versioned, version)) = cursor.item() {
        let Some((entry, timestamp)) = split_version_key(versioned) else {
            break;
        };
        if timestamp >= hidden_below && !found.contains_key(entry) {
            found.insert(entry.to_vec(), (timestamp, decode_entry(version)?));
        }
        cursor.next();
    }
    cursor.status()?;
    for (entry, writes) in unapplied {
        for write in writes {
            let known = found.get(entry.as_ref()).map_or(0, |(timestamp, _)| *timestamp);
            if write.timestamp > known {
                found.insert(entry.to_vec(), (write.timestamp, decode_entry(&write.version)?));
            }
        }
    }
    let present = found.iter().filter(|(_, (_, present))| *present);
    present
        .map(|(entry, _)| Ok(Bytes::copy_from_slice(split(entry)?.1)))
        .collect()
}

/// The version of an entry that is there. Rows' versions begin with other bytes, so that garbage collection can tell them
/// apart.
const PRESENT: u8 = b'+';
/// The version of an entry that was removed.
const ABSENT: u8 = b'-';

/// The version of an entry: whether it is there.
pub fn encode_entry(present: bool) -> &'static [u8] {
    if present { &[PRESENT] } else { &[ABSENT] }
}

/// Whether an entry is there.
///
/// # Errors
/// [`StorageError::Corrupted`] if these are not the bytes of an entry's version.
pub fn decode_entry(version: &[u8]) -> Result<bool, StorageError> {
    match version {
        [PRESENT] => Ok(true),
        [ABSENT] => Ok(false),
        _ => Err(StorageError::Corrupted(
            "the version of an index entry is damaged".into(),
        )),
    }
}

/// Whether a version is that of an entry.
pub(crate) fn is_entry(version: &[u8]) -> bool {
    matches!(version, [PRESENT | ABSENT])
}
