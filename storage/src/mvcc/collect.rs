//! Collecting garbage, and consolidating chains.

use bytes::Bytes;

use super::chain::{Chain, Unapplied};
use super::encoded::{self, Kind};
use super::entry::{decode_entry, is_entry};
use super::{id_of, split_version_key, version_key};
use crate::StorageError;
use crate::engine::View;

/// Keys of the versions of a row or entry that no read at or above `safe_point` needs: all below its newest base at or below the
/// safe point, the base itself if it is a tombstone, and everything below `hidden_below` (the newest clear at or below the
/// safe point).
pub fn collect_key(view: &View, key: &[u8], safe_point: u64, hidden_below: u64) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut garbage = Vec::new();
    let mut is_past_base = false;
    let mut cursor = view.cursor(None, None)?;
    cursor.seek(&version_key(key, safe_point));
    while let Some((versioned, encoded)) = cursor.item() {
        let Some((found, timestamp)) = split_version_key(versioned) else {
            break;
        };
        if found != key {
            break;
        }
        if is_past_base || timestamp < hidden_below {
            garbage.push(versioned.to_vec());
        } else {
            let (is_base, is_absent) = kind_of(encoded)?;
            is_past_base = is_base;
            if is_absent {
                garbage.push(versioned.to_vec());
            }
        }
        cursor.next();
    }
    cursor.status()?;
    Ok(garbage)
}

/// Key and bytes of a version to be written.
pub type NewVersion = (Vec<u8>, Vec<u8>);

/// The consolidated version of a row, `written` being versions that are not in the family yet: its version key and bytes.
/// `None` if there is nothing to consolidate.
pub fn consolidate(
    view: &View,
    key: &[u8],
    hidden_below: u64,
    written: &[Unapplied],
) -> Result<Option<NewVersion>, StorageError> {
    let mut chain = Chain::read(view.cursor(None, None)?, key, u64::MAX, hidden_below)?;
    chain.merge(written)?;
    let Some((timestamp, delta)) = chain.links().next() else {
        return Ok(None);
    };
    if encoded::kind(delta)? != Kind::Delta {
        return Ok(None);
    }
    let Some(row) = chain.fold()? else { return Ok(None) };
    Ok(Some((
        version_key(key, timestamp),
        encoded::encode_consolidated(&row, delta),
    )))
}

/// Keys of a range with a version below a timestamp, at most `count_max`.
pub fn keys_below(
    view: &View,
    (from, to): (&[u8], &[u8]),
    timestamp: u64,
    count_max: usize,
) -> Result<Vec<Bytes>, StorageError> {
    let mut keys: Vec<Bytes> = Vec::new();
    let mut cursor = view.bulk_cursor(Some(from), Some(to))?;
    cursor.seek_to_first();
    while let Some((key, written)) = cursor.key().and_then(split_version_key) {
        if written < timestamp && keys.last().is_none_or(|last| last != key) {
            keys.push(Bytes::copy_from_slice(key));
            if keys.len() == count_max {
                break;
            }
        }
        cursor.next();
    }
    cursor.status()?;
    Ok(keys)
}

/// Looks at `count_max` versions from a key on for keys with garbage below `safe_point`: the keys, and where to go on
/// (`None` at the end of the family).
pub fn keys_with_garbage(
    view: &View,
    from: &[u8],
    safe_point: u64,
    count_max: usize,
) -> Result<(Vec<Bytes>, Option<Bytes>), StorageError> {
    let mut keys: Vec<Bytes> = Vec::new();
    let mut current: Vec<u8> = Vec::new();
    let mut is_past_base = false;
    let mut cursor = view.bulk_cursor(Some(from), None)?;
    cursor.seek_to_first();
    let mut count = 0;
    while let Some((versioned, encoded)) = cursor.item() {
        count += 1;
        // Records of the state machine lie between rows and entries or behind them.
        let version = id_of(versioned).and_then(|_| split_version_key(versioned));
        let is_new_key = version.is_none_or(|(key, _)| key != current.as_slice());
        if count > count_max && is_new_key {
            return Ok((keys, Some(Bytes::copy_from_slice(versioned))));
        }
        if let Some((key, timestamp)) = version {
            if is_new_key {
                current.clear();
                current.extend_from_slice(key);
                is_past_base = false;
            }
            if timestamp <= safe_point {
                let (is_base, is_absent) = kind_of(encoded)?;
                if (is_past_base || is_absent) && keys.last().is_none_or(|last| last != key) {
                    keys.push(Bytes::copy_from_slice(key));
                }
                is_past_base |= is_base;
            }
        }
        cursor.next();
    }
    cursor.status()?;
    Ok((keys, None))
}

/// Checks that every version of a family can be decoded and that chains have bases, at rest.
///
/// # Errors
/// A description of the first violation.
pub fn check_family(view: &View, safe_point: u64) -> Result<(), String> {
    let mut cursor = view.bulk_cursor(None, None).map_err(|error| error.to_string())?;
    let mut current: Vec<u8> = Vec::new();
    let mut is_waiting_for_base = false;
    let mut newest = 0;
    cursor.seek_to_first();
    while let Some((versioned, encoded)) = cursor.item() {
        if id_of(versioned).is_some() {
            let Some((key, timestamp)) = split_version_key(versioned) else {
                return Err("a key is shorter than its timestamp".into());
            };
            if key != current.as_slice() {
                if is_waiting_for_base && newest > safe_point {
                    return Err(format!("deltas of key {current:02x?} have no base"));
                }
                current = key.to_vec();
                newest = timestamp;
            }
            let (is_base, _) = kind_of(encoded).map_err(|error| format!("key {key:02x?}: {error}"))?;
            is_waiting_for_base = !is_base;
            if !is_entry(encoded) {
                encoded::check(&Bytes::copy_from_slice(encoded))
                    .map_err(|error| format!("key {key:02x?} at {timestamp}: {error}"))?;
            }
        }
        cursor.next();
    }
    cursor.status().map_err(|error| error.to_string())
}

/// Whether a version is a base, and whether it says that there is nothing.
fn kind_of(encoded: &[u8]) -> Result<(bool, bool), StorageError> {
    if is_entry(encoded) {
        return Ok((true, !decode_entry(encoded)?));
    }
    let kind = encoded::kind(encoded)?;
    Ok((kind != Kind::Delta, kind == Kind::Tombstone))
}
