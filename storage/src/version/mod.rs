//! Versions: what is stored under a row's key.
//!
//! ```text
//!   timestamp  40   Delta   doc.items.3.qty = 4        a reader at 45 folds both deltas over the row
//!              30   Delta   doc.status = "sent"        the deltas stay after a consolidation at 40: they say what changed
//!              10   Full    (7, {…1 MB…})
//! ```
//! Invariants
//!  V1  A version's checksum covers all of it; bytes that fail it are an error and never a wrong value. A row read
//!      in parts is the exception: its checksum would cost more than the read, and RocksDB has its own for every block.
//!  V2  Folding is a pure function of the versions' bytes: every replica and every reader gets the same row.
//!  V3  One column of a row is read without decoding the others.

mod borrowed;
mod fold;
mod row;
mod serial;
mod value;

use bytes::Bytes;

pub use borrowed::{RowSlice, ValueRef};
pub use fold::{CHAIN_DELTAS_MIN, Chain, Consolidation, FOLD_BY_COMMAND_BYTES, consolidation, fold};
pub use row::{RowView, decode_row, encode_row};
pub use value::{decode_datum, encode_datum};

use crate::path::{StepRef, decode_operations, decode_operations_where, encode_operations};
use crate::{PathOp, Row, StorageError, StorageResult};

const KIND_FULL: u8 = 1;
const KIND_DELTA: u8 = 2;
const KIND_TOMBSTONE: u8 = 3;
/// Bytes of the checksum at the end.
const CHECKSUM_SIZE: usize = 4;

/// A version of a row.
#[derive(Clone, Debug)]
pub enum Version {
    /// The whole row.
    Full(Row),
    /// What changed since the version before.
    Delta(Vec<PathOp>),
    /// The row is gone.
    Tombstone,
}

/// A stored version with its row still encoded.
#[derive(Clone, Debug)]
pub enum StoredVersion {
    /// The whole row.
    Full(RowView),
    /// What changed since the version before.
    Delta(Vec<PathOp>),
    /// The row is gone.
    Tombstone,
}

impl Version {
    /// Encodes a version.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Version::Full(row) => Self::encode_full(row),
            Version::Delta(operations) => Self::encode_delta(operations),
            Version::Tombstone => seal(vec![KIND_TOMBSTONE]),
        }
    }

    /// Encodes a whole row without taking it over.
    pub fn encode_full(row: &[crate::Datum]) -> Vec<u8> {
        let mut out = vec![KIND_FULL];
        encode_row(&mut out, row);
        seal(out)
    }

    /// Encodes path operations without taking them over.
    pub fn encode_delta(operations: &[PathOp]) -> Vec<u8> {
        let mut out = vec![KIND_DELTA];
        encode_operations(&mut out, operations);
        seal(out)
    }

    /// Encodes a deletion.
    pub fn encode_tombstone() -> Vec<u8> {
        seal(vec![KIND_TOMBSTONE])
    }

    /// Encodes the deletion of a row that goes on under another key.
    pub fn encode_moved(key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + key.len() + CHECKSUM_SIZE);
        out.push(KIND_TOMBSTONE);
        out.extend_from_slice(key);
        seal(out)
    }

    /// Decodes a version. Documents and byte strings share the memory of `bytes`.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn decode(bytes: &Bytes) -> StorageResult<Version> {
        Ok(match StoredVersion::open(bytes)? {
            StoredVersion::Full(row) => Version::Full(row.to_row()?),
            StoredVersion::Delta(operations) => Version::Delta(operations),
            StoredVersion::Tombstone => Version::Tombstone,
        })
    }
}

impl StoredVersion {
    /// Checks a version's checksum and opens it.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn open(bytes: &Bytes) -> StorageResult<StoredVersion> {
        let (kind, payload) = split(bytes, true)?;
        let payload = bytes.slice_ref(payload);
        match kind {
            Some(KIND_FULL) => Ok(StoredVersion::Full(RowView::open(payload)?)),
            Some(KIND_DELTA) => Ok(StoredVersion::Delta(decode_operations(&payload)?)),
            Some(KIND_TOMBSTONE) => Ok(StoredVersion::Tombstone),
            _ => Err(StorageError::corrupted("row version: unknown kind")),
        }
    }

    /// The row of a version that is read in parts; `None` for a tombstone. The checksum is not looked at: it covers all of the
    /// row, and RocksDB's own checksums have vouched for the block when it came from the disk (V1).
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub(crate) fn open_row(bytes: &Bytes) -> StorageResult<Option<RowView>> {
        match split(bytes, false)? {
            (Some(KIND_FULL), payload) => RowView::open(bytes.slice_ref(payload)).map(Some),
            (Some(KIND_TOMBSTONE), _) => Ok(None),
            _ => Err(StorageError::corrupted("row version: a delta where a row was expected")),
        }
    }

    /// As [`Self::open`] for a version that holds a row or its deletion (`None`), which is left where it lies.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub(crate) fn open_slice(bytes: &[u8]) -> StorageResult<Option<RowSlice<'_>>> {
        match split(bytes, true)? {
            (Some(KIND_FULL), payload) => RowSlice::open(payload).map(Some),
            (Some(KIND_TOMBSTONE), _) => Ok(None),
            _ => Err(StorageError::corrupted("row version: a delta where a row was expected")),
        }
    }

    /// Appends those operations of a delta whose column and steps are wanted (see [`decode_operations_where`]).
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub(crate) fn open_delta(
        bytes: &Bytes,
        is_wanted: &dyn Fn(u16, &[StepRef<'_>], bool) -> bool,
        operations: &mut Vec<PathOp>,
    ) -> StorageResult<()> {
        match split(bytes, true)? {
            (Some(KIND_DELTA), payload) => decode_operations_where(bytes, payload, is_wanted, operations),
            _ => Err(StorageError::corrupted("row version: a row where a delta was expected")),
        }
    }
}

/// Kind and payload of a version.
fn split(bytes: &[u8], is_checked: bool) -> StorageResult<(Option<u8>, &[u8])> {
    let corrupted = |what: &str| StorageError::corrupted(format_args!("row version: {what}"));
    let (body, checksum) = bytes
        .split_last_chunk::<CHECKSUM_SIZE>()
        .ok_or_else(|| corrupted("too short"))?;
    if is_checked && crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(corrupted("checksum does not match"));
    }
    Ok((body.first().copied(), body.get(1..).unwrap_or_default()))
}

/// The key under which a row goes on whose deletion this is, if it does: its primary key was changed.
pub fn moved_to(version: &Bytes) -> Option<Bytes> {
    let key = 1..version.len().checked_sub(CHECKSUM_SIZE)?;
    (version.first() == Some(&KIND_TOMBSTONE) && !key.is_empty()).then(|| version.slice(key))
}

fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Appends an unsigned number in LEB128.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads an unsigned LEB128 number; returns the rest.
pub(crate) fn read_varint(input: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in input.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7F).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &input[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests;
