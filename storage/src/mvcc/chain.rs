//! Chain: the versions of one key that a read needs, newest first down to their base.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::encoded::{self, Kind};
use super::scan::copy;
use super::{TIMESTAMP_SIZE, split_version_key};
use crate::engine::Cursor;
use crate::jsonb::BYTES_MAX;
use crate::path::{Parts, StepRef, take_parts};
use crate::version;
use crate::{Datum, PathOp, Row, StorageError};

/// A base of this size is not copied out of the cache.
const PINNED_BYTES_MIN: usize = 8 * 1024;
/// Smaller rows are always put together whole, which costs less than finding out what may be left out.
const PARTS_BYTES_MIN: u64 = 8 * 1024;
/// Larger rows are always put together whole: whether a change makes them too large only the whole tells.
const PARTS_BYTES_MAX: u64 = BYTES_MAX as u64 / 2;

/// A committed write that is not in the family yet; a read under a lock must see it.
#[derive(Clone, Debug)]
pub struct Unapplied {
    /// Its commit timestamp.
    pub timestamp: u64,
    /// Position of its proposal, for the caller; reading does not look at it.
    pub sequence: u64,
    /// Encoded version.
    pub version: Bytes,
}

/// Versions of one key, newest first; the last may be its base.
#[derive(Default)]
pub(crate) struct Chain {
    links: SmallVec<[Link; 4]>,
    has_base: bool,
    /// Whether a link's bytes lie where a cursor found them.
    is_pinned: bool,
}

/// A version where a cursor stands.
struct Pinned(Cursor);

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        self.0.value().unwrap_or_default()
    }
}

struct Link {
    timestamp: u64,
    version: Bytes,
}

impl Chain {
    /// Reads the versions of `key` at or below `at`, down to a base. Versions below `hidden_below` do not exist.
    /// A large base is not copied: it stays where the cursor found it, which keeps the cursor as long as the chain.
    pub(crate) fn read(mut cursor: Cursor, key: &[u8], at: u64, hidden_below: u64) -> Result<Chain, StorageError> {
        let mut chain = Chain::default();
        let mut block = BytesMut::new();
        let mut target = SmallVec::<[u8; 64]>::from_slice(key);
        target.extend_from_slice(&(!at).to_be_bytes());
        cursor.seek(&target);
        while let Some((versioned, value)) = cursor.item() {
            let same_key = versioned.len() == key.len() + TIMESTAMP_SIZE && versioned.starts_with(key);
            let Some((_, timestamp)) = split_version_key(versioned).filter(|_| same_key) else {
                break;
            };
            if timestamp < hidden_below {
                return Ok(chain);
            }
            if value.len() >= PINNED_BYTES_MIN && is_base(value)? {
                chain.push(timestamp, Bytes::from_owner(Pinned(cursor)))?;
                chain.is_pinned = true;
                return Ok(chain);
            }
            // Most rows have one version; of many, each is too small for memory of its own.
            let version = match chain.is_empty() {
                true => Bytes::copy_from_slice(value),
                false => copy(&mut block, value),
            };
            if chain.push(timestamp, version)? {
                return Ok(chain);
            }
            cursor.next();
        }
        cursor.status()?;
        Ok(chain)
    }

    /// Adds an older version; says whether the chain is complete.
    pub(crate) fn push(&mut self, timestamp: u64, version: Bytes) -> Result<bool, StorageError> {
        self.has_base = is_base(&version)?;
        self.links.push(Link { timestamp, version });
        Ok(self.has_base)
    }

    /// Adds a version newer than all before; what a base covers is dropped.
    pub(crate) fn push_newer(&mut self, timestamp: u64, version: Bytes) -> Result<(), StorageError> {
        if is_base(&version)? {
            self.links.clear();
            self.has_base = true;
        }
        self.links.insert(0, Link { timestamp, version });
        Ok(())
    }

    /// Adds what is not in the family yet; a version that arrived meanwhile is in both and counts once.
    pub(crate) fn merge(&mut self, unapplied: &[Unapplied]) -> Result<(), StorageError> {
        for write in unapplied {
            let place = self.links.partition_point(|link| link.timestamp > write.timestamp);
            if self
                .links
                .get(place)
                .is_some_and(|link| link.timestamp == write.timestamp)
            {
                continue;
            }
            if place == self.links.len() && self.has_base {
                continue;
            }
            self.links.insert(
                place,
                Link {
                    timestamp: write.timestamp,
                    version: write.version.clone(),
                },
            );
            if is_base(&write.version)? {
                self.links.truncate(place + 1);
                self.has_base = true;
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Timestamp of the newest version, 0 if there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.links.first().map_or(0, |link| link.timestamp)
    }

    /// The version that no read looks below, and its timestamp.
    pub(crate) fn base(&self) -> Option<(u64, &Bytes)> {
        let last = self.links.last().filter(|_| self.has_base)?;
        Some((last.timestamp, &last.version))
    }

    /// How the row is kept, for the decision to consolidate it.
    pub(crate) fn size(&self) -> version::Chain {
        let deltas = if self.has_base {
            &self.links[..self.links.len() - 1]
        } else {
            &self.links[..]
        };
        version::Chain {
            full_bytes: if self.has_base {
                self.links.last().map_or(0, |link| link.version.len() as u64)
            } else {
                0
            },
            deltas: deltas.len() as u64,
            delta_bytes: deltas.iter().map(|link| link.version.len() as u64).sum(),
        }
    }

    /// As [`Self::fold`], but columns that are not wanted may be NULL.
    pub(crate) fn fold_columns(&self, columns: Option<&[u16]>) -> Result<Option<Row>, StorageError> {
        match (columns, self.links.as_slice()) {
            (Some(columns), [base]) if self.has_base => encoded::decode_columns(&base.version, columns),
            _ => self.fold(),
        }
    }

    /// What a read wants of the row the versions add up to, with operations of its transaction's own on top.
    pub(crate) fn row(&self, parts: Option<&Parts>, own: &[PathOp]) -> Result<Option<Row>, StorageError> {
        let size = self.size();
        let bytes = size.full_bytes + size.delta_bytes;
        match parts {
            Some(parts) if size.full_bytes >= PARTS_BYTES_MIN && bytes <= PARTS_BYTES_MAX => {
                self.fold_parts(parts, own)
            }
            _ => {
                let mut row = self.fold()?;
                if let (Some(row), false) = (&mut row, own.is_empty()) {
                    crate::path::apply_all(row, own)?;
                }
                Ok(row)
            }
        }
    }

    /// As [`Self::fold`], but of documents only these parts are put together.
    pub(crate) fn fold_parts(&self, parts: &Parts, own: &[PathOp]) -> Result<Option<Row>, StorageError> {
        let Some((base, deltas)) = self.links.split_last().filter(|_| self.has_base) else {
            return Ok(None);
        };
        let Some(mut row) = encoded::decode_documents(&base.version)? else {
            return Ok(None);
        };
        let is_document = |column: u16| matches!(row.get(usize::from(column)), Some(Datum::Jsonb(_)));
        // Only of a document that stays one can be said which operations make no difference.
        let may_differ = |column: u16, steps: &[StepRef<'_>], creates_parents: bool| {
            let part = parts.of_column(column);
            !is_document(column) || steps.is_empty() || part.may_meet(steps.iter().copied(), creates_parents)
        };
        let mut operations = Vec::new();
        for delta in deltas.iter().rev() {
            encoded::decode_delta_where(&delta.version, &may_differ, &mut operations)?;
        }
        let replaces = |operation: &PathOp| operation.path.steps.is_empty() && is_document(operation.path.column);
        if operations.iter().chain(own).any(replaces) {
            operations.clear();
            for delta in deltas.iter().rev() {
                operations.extend(encoded::decode_delta(&delta.version)?);
            }
        }
        take_parts(&mut row, operations.iter().chain(own), parts)?;
        Ok(Some(row))
    }

    /// The row the versions add up to.
    pub(crate) fn fold(&self) -> Result<Option<Row>, StorageError> {
        let Some(last) = self.links.last().filter(|_| self.has_base) else {
            return Ok(None);
        };
        // What becomes of the row may live long, and must not keep the cursor.
        let copied = self.is_pinned.then(|| Bytes::copy_from_slice(&last.version));
        let Some(row) = encoded::decode_base(copied.as_ref().unwrap_or(&last.version))? else {
            return Ok(None);
        };
        let deltas = &self.links[..self.links.len() - 1];
        if deltas.is_empty() {
            return Ok(Some(row));
        }
        let deltas = deltas.iter().rev().map(|link| encoded::decode_delta(&link.version));
        let deltas = deltas.collect::<Result<Vec<_>, _>>()?;
        version::fold(row, deltas.iter().map(Vec::as_slice)).map(Some)
    }

    /// Timestamps and versions, newest first.
    pub(crate) fn links(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        self.links.iter().map(|link| (link.timestamp, &link.version))
    }
}

fn is_base(version: &[u8]) -> Result<bool, StorageError> {
    Ok(encoded::kind(version)? != Kind::Delta)
}
