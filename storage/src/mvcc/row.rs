//! Reading one row.

use super::chain::{Chain, Unapplied};
use super::encoded::{self, Kind};
use crate::StorageError;
use crate::engine::View;
use crate::path::Parts;
use crate::version;
use crate::{Action, Path, PathOp, Row};
use bytes::Bytes;

/// A row as a read found it.
#[derive(Clone, Debug, Default)]
pub struct RowState {
    /// The row, if it exists.
    pub row: Option<Row>,
    /// Timestamp of the newest version read, 0 if there is none.
    pub newest: u64,
    /// Where it went on at `newest`, if its key was changed.
    pub moved_to: Option<Bytes>,
    /// When it was put as a whole, 0 if that is not known: a row that moved here was put at the very time it left its old place.
    pub put_at: u64,
    /// How it is kept.
    pub chain: version::Chain,
}

/// Which paths of a row changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// None.
    Nothing,
    /// Only these.
    Paths(Vec<Path>),
    /// The row was put as a whole, or deleted.
    Everything,
}

/// The row at a timestamp. Versions below `hidden_below` do not exist (see [`Clears`](super::Clears)).
pub fn row_at(
    view: &View,
    key: &[u8],
    at: u64,
    hidden_below: u64,
    wanted: Wanted<'_>,
) -> Result<RowState, StorageError> {
    state(&Chain::read(view.cursor(None, None)?, key, at, hidden_below)?, wanted)
}

/// What a read wants of a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Parts of its documents; all of them if `None`. More may come, and of a small row it will.
    pub parts: Option<&'a Parts>,
    /// What the reader's own transaction has done to it.
    pub own: &'a [PathOp],
}

/// The newest state of a row, with commits that are not in the family yet.
pub fn newest_row(
    view: &View,
    key: &[u8],
    hidden_below: u64,
    unapplied: &[Unapplied],
    wanted: Wanted<'_>,
) -> Result<RowState, StorageError> {
    let mut chain = Chain::read(view.cursor(None, None)?, key, u64::MAX, hidden_below)?;
    chain.merge(unapplied)?;
    state(&chain, wanted)
}

fn state(chain: &Chain, wanted: Wanted<'_>) -> Result<RowState, StorageError> {
    let base = chain.base();
    let put_at = match base {
        Some((timestamp, version)) if encoded::kind(version)? == Kind::Full => timestamp,
        _ => 0,
    };
    Ok(RowState {
        row: chain.row(wanted.parts, wanted.own)?,
        newest: chain.newest(),
        moved_to: base.and_then(|(_, version)| version::moved_to(version)),
        put_at,
        chain: chain.size(),
    })
}

/// Which changes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All.
    All,
    /// All but additions: who adds to a number does not mind other additions.
    ButAdditions,
}

/// Which paths of a row changed after `since`, commits that are not in the family yet included.
pub fn changes_since(
    view: &View,
    key: &[u8],
    since: u64,
    hidden_below: u64,
    unapplied: &[Unapplied],
    asked: Asked,
) -> Result<Changes, StorageError> {
    if hidden_below > since {
        return Ok(Changes::Everything);
    }
    // A consolidated version ends a chain but stands for a delta, so the walk goes on below it.
    let mut paths = Vec::new();
    let mut seen = Vec::new();
    let mut cursor = view.cursor(None, None)?;
    cursor.seek(&super::version_key(key, u64::MAX));
    while let Some((versioned, version)) = cursor.item() {
        let Some((found, timestamp)) = super::split_version_key(versioned) else {
            break;
        };
        if found != key || timestamp <= since {
            break;
        }
        if !add_paths(&Bytes::copy_from_slice(version), asked, &mut paths)? {
            return Ok(Changes::Everything);
        }
        seen.push(timestamp);
        cursor.next();
    }
    cursor.status()?;
    for write in unapplied {
        if write.timestamp <= since || seen.contains(&write.timestamp) {
            continue;
        }
        if !add_paths(&write.version, asked, &mut paths)? {
            return Ok(Changes::Everything);
        }
        seen.push(write.timestamp);
    }
    Ok(if seen.is_empty() {
        Changes::Nothing
    } else {
        Changes::Paths(paths)
    })
}

/// Which paths one version changed.
pub fn changes_of(version: &Bytes, asked: Asked) -> Result<Changes, StorageError> {
    let mut paths = Vec::new();
    Ok(if add_paths(version, asked, &mut paths)? {
        Changes::Paths(paths)
    } else {
        Changes::Everything
    })
}

/// Adds the paths a version changed; `false` if it changed everything.
fn add_paths(version: &Bytes, asked: Asked, paths: &mut Vec<Path>) -> Result<bool, StorageError> {
    let is_whole = match encoded::kind(version)? {
        Kind::Full | Kind::Tombstone => true,
        Kind::Delta | Kind::Consolidated => false,
    };
    if !is_whole {
        let operations = encoded::decode_delta(version)?;
        let is_asked = |operation: &&PathOp| asked == Asked::All || !matches!(operation.action, Action::Add(_));
        paths.extend(operations.iter().filter(is_asked).map(PathOp::footprint));
    }
    Ok(!is_whole)
}
