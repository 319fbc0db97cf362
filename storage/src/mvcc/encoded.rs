//! Encoded versions: what kind one is, and consolidated ones, which are a whole row together with the delta that led to it.
//!
//! A row's chain is read far more often than any single version is taken apart, so the kind is told by the first byte.

use bytes::Bytes;

use crate::path::StepRef;
use crate::version::{RowSlice, StoredVersion, Version, read_varint, write_varint};
use crate::{Datum, PathOp, Row, StorageError, StorageResult};

/// What a version means for the versions below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole row that somebody put.
    Full,
    /// Changes to what is below.
    Delta,
    /// Nothing from here on.
    Tombstone,
    /// A whole row, folded from what is below and the delta at its own timestamp.
    Consolidated,
}

/// First byte of a consolidated version; the others are [`Version`]'s.
const CONSOLIDATED: u8 = 4;

/// The kind of a row's version.
pub(crate) fn kind(version: &[u8]) -> StorageResult<Kind> {
    match version.first() {
        Some(1) => Ok(Kind::Full),
        Some(2) => Ok(Kind::Delta),
        Some(3) => Ok(Kind::Tombstone),
        Some(&CONSOLIDATED) => Ok(Kind::Consolidated),
        _ => Err(StorageError::corrupted("row version: unknown kind")),
    }
}

/// A row folded from a chain whose newest version is this encoded delta.
pub(crate) fn encode_consolidated(row: &Row, delta: &[u8]) -> Vec<u8> {
    let full = Version::encode_full(row);
    let mut version = Vec::with_capacity(delta.len() + full.len() + 6);
    version.push(CONSOLIDATED);
    write_varint(&mut version, delta.len() as u64);
    version.extend_from_slice(delta);
    version.extend_from_slice(&full);
    version
}

/// The delta and the whole row of a consolidated version, both encoded.
fn split_consolidated(version: &Bytes) -> StorageResult<(Bytes, Bytes)> {
    let (delta, full) = split_slice(version)?;
    Ok((version.slice_ref(delta), version.slice_ref(full)))
}

fn split_slice(version: &[u8]) -> StorageResult<(&[u8], &[u8])> {
    let damaged = || StorageError::corrupted("row version: consolidated");
    let (size, rest) = read_varint(version.get(1..).unwrap_or_default()).ok_or_else(damaged)?;
    let size = usize::try_from(size).map_err(|_| damaged())?;
    rest.split_at_checked(size).ok_or_else(damaged)
}

/// The whole row of a base where it lies; `None` for a tombstone.
pub(crate) fn open_base(version: &[u8]) -> StorageResult<Option<RowSlice<'_>>> {
    match kind(version)? {
        Kind::Consolidated => StoredVersion::open_slice(split_slice(version)?.1),
        Kind::Full | Kind::Tombstone | Kind::Delta => StoredVersion::open_slice(version),
    }
}

/// The whole row of a base; `None` for a tombstone.
pub(crate) fn decode_base(version: &Bytes) -> StorageResult<Option<Row>> {
    let full = match kind(version)? {
        Kind::Consolidated => split_consolidated(version)?.1,
        Kind::Full | Kind::Tombstone | Kind::Delta => version.clone(),
    };
    match StoredVersion::open(&full)? {
        StoredVersion::Full(row) => row.to_row().map(Some),
        StoredVersion::Tombstone => Ok(None),
        StoredVersion::Delta(_) => Err(StorageError::corrupted("row version: a delta where a row was expected")),
    }
}

/// As [`decode_base`], but only these columns (in ascending order) are decoded; the others are NULL.
pub(crate) fn decode_columns(version: &Bytes, columns: &[u16]) -> StorageResult<Option<Row>> {
    let full = match kind(version)? {
        Kind::Consolidated => split_consolidated(version)?.1,
        Kind::Full | Kind::Tombstone | Kind::Delta => version.clone(),
    };
    let StoredVersion::Full(view) = StoredVersion::open(&full)? else {
        return decode_base(version);
    };
    let size = columns.last().map_or(0, |last| usize::from(*last) + 1).min(view.len());
    let mut row = vec![Datum::Null; size];
    for column in columns {
        if let (Some(slot), Some(value)) = (row.get_mut(usize::from(*column)), view.column(usize::from(*column))?) {
            *slot = value;
        }
    }
    Ok(Some(row))
}

/// The operations of a delta, or of the delta in a consolidated version.
pub(crate) fn decode_delta(version: &Bytes) -> StorageResult<Vec<PathOp>> {
    let delta = match kind(version)? {
        Kind::Consolidated => split_consolidated(version)?.0,
        Kind::Full | Kind::Tombstone | Kind::Delta => version.clone(),
    };
    match StoredVersion::open(&delta)? {
        StoredVersion::Delta(operations) => Ok(operations),
        StoredVersion::Full(_) | StoredVersion::Tombstone => {
            Err(StorageError::corrupted("row version: a row where a delta was expected"))
        }
    }
}

/// As [`decode_base`] for a row that is read in parts: only documents share the version's bytes.
pub(crate) fn decode_documents(version: &Bytes) -> StorageResult<Option<Row>> {
    let row = match kind(version)? {
        Kind::Consolidated => StoredVersion::open_row(&split_consolidated(version)?.1)?,
        Kind::Full | Kind::Tombstone | Kind::Delta => StoredVersion::open_row(version)?,
    };
    row.map(|row| row.to_row_of_documents()).transpose()
}

/// Appends the operations of a delta whose column and steps are wanted; the last argument says whether it creates parents.
pub(crate) fn decode_delta_where(
    version: &Bytes,
    is_wanted: &dyn Fn(u16, &[StepRef<'_>], bool) -> bool,
    operations: &mut Vec<PathOp>,
) -> StorageResult<()> {
    match kind(version)? {
        Kind::Consolidated => StoredVersion::open_delta(&split_consolidated(version)?.0, is_wanted, operations),
        Kind::Full | Kind::Tombstone | Kind::Delta => StoredVersion::open_delta(version, is_wanted, operations),
    }
}

/// Checks all of a version.
pub(crate) fn check(version: &Bytes) -> StorageResult<()> {
    match kind(version)? {
        Kind::Delta => decode_delta(version).map(drop),
        Kind::Consolidated => decode_delta(version).and_then(|_| decode_base(version)).map(drop),
        Kind::Full | Kind::Tombstone => decode_base(version).map(drop),
    }
}
