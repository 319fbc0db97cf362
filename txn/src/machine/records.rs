//! Records: what a shard keeps in its family beside rows and index entries.
//!
//! Their keys begin with a space of their own, `01`, below those of rows and entries; `storage/FORMAT.md` lists them.

use bytes::Bytes;
use storage::engine::{Cursor, View};

use crate::TxnError;
use crate::command::{Epoch, Timestamp, TransactionId, decode};

/// First byte of every record's key. Below rows and entries: a read of a row places its cursor at or behind the row in every
/// file, and must not land on the megabytes of a prepared transaction that happens to follow there.
const SPACE: u8 = 0x01;

/// Kind of a record, the second byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Epoch and sequence of the last applied command.
    Position = 1,
    /// Writes and locks between a vote and the decision, by transaction.
    Prepared = 2,
    /// A decision of this shard as anchor, by transaction.
    Decision = 3,
    /// A transaction that was aborted here and may not prepare any more, by transaction.
    Tombstone = 4,
    /// A table or index emptied, by id and timestamp.
    Clear = 5,
    /// State of a sequence, by id.
    Sequence = 6,
    /// The oracle's durable bound.
    Bound = 7,
    /// What is below was garbage collected.
    SafePoint = 8,
    /// Commit timestamp of the newest registry change.
    Registry = 9,
    /// Attempts to commit that began before are refused.
    Horizon = 10,
    /// A part of what a transaction staged, by transaction and number.
    Staged = 11,
    /// Version of a table whose definition was changed, by table.
    TableVersion = 12,
    /// A known path of a column's documents, by table, column and path.
    Path = 13,
    /// A commit in one phase, by the start of the attempt and transaction; kept until the horizon.
    Committed = 14,
    /// The cluster: its uuid and settings.
    Cluster = 15,
    /// A node, by its number.
    Node = 16,
    /// Where the replicas of a group should be, by group.
    Wanted = 17,
    /// A move of replicas in progress, by group.
    Move = 18,
}

/// Key of a record that is there once.
pub(crate) fn single(record: Record) -> [u8; 2] {
    [SPACE, record as u8]
}

/// The first key behind all records of a kind.
pub(crate) fn end(record: Record) -> [u8; 2] {
    [SPACE, record as u8 + 1]
}

/// Key of a record by transaction.
pub(crate) fn by_transaction(record: Record, transaction: TransactionId) -> [u8; 10] {
    let mut key = [SPACE; 10];
    key[1] = record as u8;
    key[2..].copy_from_slice(&transaction.to_be_bytes());
    key
}

/// Key of a commit in one phase: by its start, so that the horizon removes them by one range.
pub(crate) fn committed(started_ms: u64, transaction: TransactionId) -> [u8; 18] {
    let mut key = [SPACE; 18];
    key[1] = Record::Committed as u8;
    key[2..10].copy_from_slice(&started_ms.to_be_bytes());
    key[10..].copy_from_slice(&transaction.to_be_bytes());
    key
}

/// Key of a part of what a transaction staged.
pub(crate) fn staged(transaction: TransactionId, part: u32) -> [u8; 14] {
    let mut key = [SPACE; 14];
    key[..10].copy_from_slice(&by_transaction(Record::Staged, transaction));
    key[10..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Key of a table's version.
pub(crate) fn table_version(table: u32) -> [u8; 6] {
    let mut key = sequence(table);
    key[1] = Record::TableVersion as u8;
    key
}

/// Key of a sequence's state.
pub(crate) fn sequence(id: u32) -> [u8; 6] {
    let mut key = [SPACE; 6];
    key[1] = Record::Sequence as u8;
    key[2..].copy_from_slice(&id.to_be_bytes());
    key
}

/// Key of a known path of a column.
pub(crate) fn path(table: u32, column: u16, path: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + path.len());
    key.extend_from_slice(&[SPACE, Record::Path as u8]);
    key.extend_from_slice(&table.to_be_bytes());
    key.extend_from_slice(&column.to_be_bytes());
    key.extend_from_slice(path);
    key
}

/// Table, column and path of the rest of such a key, as [`all`] gives it.
pub(crate) fn split_path(rest: Bytes) -> Option<(u32, u16, Bytes)> {
    let table = rest.get(..4)?.try_into().map(u32::from_be_bytes).ok()?;
    let column = rest.get(4..6)?.try_into().map(u16::from_be_bytes).ok()?;
    Some((table, column, rest.slice(6..)))
}

/// Key of a clear.
pub(crate) fn clear(id: u32, timestamp: Timestamp) -> [u8; 14] {
    let mut key = [SPACE; 14];
    key[1] = Record::Clear as u8;
    key[2..6].copy_from_slice(&id.to_be_bytes());
    key[6..].copy_from_slice(&timestamp.to_be_bytes());
    key
}

/// Epoch and sequence of the last applied command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Of the leader that proposed it.
    pub epoch: Epoch,
    /// Its number in the epoch.
    pub sequence: u64,
}

impl Position {
    /// Whether a command may follow (DESIGN T4).
    pub fn is_followed_by(&self, epoch: Epoch, sequence: u64) -> bool {
        (epoch == self.epoch && sequence == self.sequence + 1) || (epoch > self.epoch && sequence == 1)
    }
}

/// A number kept as a record, 0 if it is not there.
pub(crate) fn number(view: &View, record: Record) -> Result<u64, TxnError> {
    match view.get(&single(record))? {
        None => Ok(0),
        Some(bytes) => match <[u8; 8]>::try_from(&*bytes) {
            Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
            Err(_) => Err(TxnError::Corrupted(format!(
                "record {record:?} has {} bytes",
                bytes.len()
            ))),
        },
    }
}

/// The decoded record of a key.
pub(crate) fn get<T: serde::de::DeserializeOwned>(view: &View, key: &[u8]) -> Result<Option<T>, TxnError> {
    match view.get(key)? {
        None => Ok(None),
        Some(bytes) => decode(&bytes).map(Some),
    }
}

/// All records of a kind: the rest of their key, and their value.
pub(crate) fn all(view: &View, record: Record) -> Result<Vec<(Bytes, Bytes)>, TxnError> {
    let from = single(record);
    let mut to = from;
    to[1] += 1;
    let mut cursor: Cursor = view.cursor(Some(&from), Some(&to))?;
    let mut found = Vec::new();
    cursor.seek_to_first();
    while let Some((key, value)) = cursor.item() {
        found.push((
            Bytes::copy_from_slice(&key[from.len()..]),
            Bytes::copy_from_slice(value),
        ));
        cursor.next();
    }
    cursor.status()?;
    Ok(found)
}

/// The transaction of a record's key, as [`all`] gives it.
pub(crate) fn transaction(rest: &[u8]) -> Result<TransactionId, TxnError> {
    match <[u8; 8]>::try_from(rest) {
        Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
        Err(_) => Err(TxnError::Corrupted(
            "a transaction record's key has the wrong length".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_follows_without_a_gap_or_begins_a_newer_epoch() {
        let epoch = |term, generation| Epoch { term, generation };
        let position = Position {
            epoch: epoch(3, 1),
            sequence: 7,
        };
        assert!(position.is_followed_by(epoch(3, 1), 8));
        assert!(position.is_followed_by(epoch(3, 2), 1));
        assert!(position.is_followed_by(epoch(4, 0), 1));
        assert!(!position.is_followed_by(epoch(3, 1), 9), "a gap");
        assert!(!position.is_followed_by(epoch(3, 1), 7), "a repetition");
        assert!(!position.is_followed_by(epoch(3, 0), 1), "an older epoch");
        assert!(
            !position.is_followed_by(epoch(4, 0), 2),
            "the first of the new epoch was lost"
        );
    }
}
