//! MVCC: rows and index entries as of a timestamp, over the versions in a shard's family.
//!
//! ```text
//!   key ‖ !90   Delta doc/a = 1        read at 95: fold(Full@40, [Delta@70, Delta@90])
//!   key ‖ !70   Delta doc/b = 2        read at 80: fold(Full@40, [Delta@70])
//!   key ‖ !40   Full (…)               read at 30: nothing
//!   key ‖ !20   Full (…)      ◄─ garbage once the safe point is at 40 or above
//! ```
//!
//! A later version sorts first (the timestamp is inverted), so one seek finds the newest version at or below a
//! timestamp, and reading on finds what it is based on. A consolidated version is a `Full` that also keeps the delta it
//! stands for, because deltas say which paths a commit changed.
//!
//! Invariants
//!  M1  At or below the safe point each key has at most its newest base (`Full`) and what is above it.
//!  M2  Nothing is consolidated while a delta with a lower timestamp may still arrive (the caller's promise).
//!
//! Everything here is synchronous and reads one [`View`](crate::engine::View). The caller has made sure that everything
//! at or below its timestamp is in the family (DESIGN T3).

mod chain;
mod clear;
mod collect;
mod encoded;
mod entry;
mod layout;
mod row;
mod scan;
mod visit;

#[cfg(test)]
mod parts_law;
#[cfg(test)]
mod tests;

pub use chain::Unapplied;
pub use clear::Clears;
pub use collect::{NewVersion, check_family, collect_key, consolidate, keys_below, keys_with_garbage};
pub use entry::{decode_entry, encode_entry, newest_entries, scan_entries};
pub use layout::{HEADER_SIZE, entry_key, entry_range, id_of, row_key, row_range, value_range};
pub use row::{Asked, Changes, RowState, Wanted, changes_of, changes_since, newest_row, row_at};
pub use scan::{Chunk, Direction, Snapshot, scan_rows};
pub use visit::{RowRef, visit_rows};

/// Bytes of the inverted timestamp at the end of a key.
pub const TIMESTAMP_SIZE: usize = 8;

/// The key of a version.
pub fn version_key(key: &[u8], timestamp: u64) -> Vec<u8> {
    let mut versioned = Vec::with_capacity(key.len() + TIMESTAMP_SIZE);
    versioned.extend_from_slice(key);
    versioned.extend_from_slice(&(!timestamp).to_be_bytes());
    versioned
}

/// Key and timestamp of a version's key; `None` if it is too short to be one.
pub fn split_version_key(versioned: &[u8]) -> Option<(&[u8], u64)> {
    let (key, timestamp) = versioned.split_last_chunk::<TIMESTAMP_SIZE>()?;
    Some((key, !u64::from_be_bytes(*timestamp)))
}
