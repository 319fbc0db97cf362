//! Spill: the writes of a large transaction, set aside in the engine's scratch family until COMMIT or ROLLBACK.
//!
//! ```text
//!   transaction u64 ‖ row or entry, as in shards ‖ order u64   → command u32 ‖ write
//!   transaction u64 ‖ 'j' ‖ order u64                          → row or entry: what to undo
//! ```
//!
//! Writes move here all together and in order, so whatever is set aside is older than what the buffer still holds in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use storage::StorageError;
use storage::engine::{Batch, Durability, Engine, Family};
use storage::mvcc;
use storage::version::Version;

use super::{Buffered, EntryKey, Stored};
use crate::command::TransactionId;
use crate::{Key, TableId, TxnError};

/// Bytes written to the scratch family at once, and read from it at once.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of the order behind a key.
const ORDER_SIZE: usize = 8;
/// Bytes behind value and row of an entry, which say how long the value is.
const VALUE_SIZE_SIZE: usize = 2;
/// Space of the journal, beside those of rows and entries.
const JOURNAL: u8 = b'j';

/// The writes to one key, oldest first.
pub(super) type Writes<W> = SmallVec<[Buffered<W>; 1]>;

/// Something that can be set aside.
pub(super) trait Spilled: Clone {
    /// What it is a write to.
    type Key: Ord + Clone;
    fn encode_key(key: &Self::Key) -> Vec<u8>;
    /// The place of a key that bounds a range; it need not be a whole one.
    fn encode_bound(key: &Self::Key) -> Vec<u8>;
    fn decode_key(bytes: &[u8]) -> Option<Self::Key>;
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(bytes: Bytes) -> Result<Self, TxnError>;
}

impl Spilled for Stored {
    type Key = (TableId, Key);

    fn encode_key((table, key): &(TableId, Key)) -> Vec<u8> {
        mvcc::row_key(*table, key)
    }

    fn encode_bound(key: &(TableId, Key)) -> Vec<u8> {
        Self::encode_key(key)
    }

    fn decode_key(bytes: &[u8]) -> Option<(TableId, Key)> {
        Some((
            mvcc::id_of(bytes)?,
            Bytes::copy_from_slice(bytes.get(mvcc::HEADER_SIZE..)?),
        ))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Stored::Put(version) => out.extend_from_slice(version),
            Stored::Change(operations) => out.extend_from_slice(&Version::encode_delta(operations)),
            Stored::Delete => out.extend_from_slice(&Version::encode_tombstone()),
            Stored::Move(key) => out.extend_from_slice(&Version::encode_moved(key)),
        }
    }

    fn decode(bytes: Bytes) -> Result<Stored, TxnError> {
        use storage::version::StoredVersion;
        Ok(match StoredVersion::open(&bytes)? {
            StoredVersion::Full(_) => Stored::Put(bytes),
            StoredVersion::Delta(operations) => Stored::Change(operations),
            StoredVersion::Tombstone => match storage::version::moved_to(&bytes) {
                Some(key) => Stored::Move(key),
                None => Stored::Delete,
            },
        })
    }
}

impl Spilled for bool {
    type Key = EntryKey;

    fn encode_key((index, value, row): &EntryKey) -> Vec<u8> {
        mvcc::entry_key(*index, value, row)
    }

    fn encode_bound((index, value, row): &EntryKey) -> Vec<u8> {
        let mut place = mvcc::entry_range(*index, Some(value), None).0;
        place.extend_from_slice(row);
        place
    }

    fn decode_key(bytes: &[u8]) -> Option<EntryKey> {
        let index = mvcc::id_of(bytes)?;
        let (entry, size) = bytes.split_last_chunk::<VALUE_SIZE_SIZE>()?;
        let entry = entry.get(mvcc::HEADER_SIZE..)?;
        let (value, row) = entry.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        Some((index, Bytes::copy_from_slice(value), Bytes::copy_from_slice(row)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(bytes: Bytes) -> Result<bool, TxnError> {
        Ok(bytes.first() == Some(&1))
    }
}

/// The writes a transaction has set aside. Removed when it is dropped.
pub(super) struct Spill {
    engine: Arc<Engine>,
    family: Family,
    transaction: TransactionId,
    batch: Batch,
}

impl Spill {
    pub(super) fn new(engine: &Arc<Engine>, transaction: TransactionId) -> Result<Spill, TxnError> {
        let (engine, family) = (engine.clone(), engine.scratch()?);
        Ok(Spill {
            engine,
            family,
            transaction,
            batch: Batch::new(),
        })
    }

    /// A key of this transaction's.
    pub(super) fn key(&self, rest: &[u8]) -> Vec<u8> {
        let mut key = self.transaction.to_be_bytes().to_vec();
        key.extend_from_slice(rest);
        key
    }

    fn ordered(&self, rest: &[u8], order: u64) -> Vec<u8> {
        let mut key = self.key(rest);
        key.extend_from_slice(&order.to_be_bytes());
        key
    }

    /// Sets a write aside. Durable nowhere and readable only after [`Self::flush`].
    pub(super) fn put<W: Spilled>(&mut self, key: &W::Key, write: &Buffered<W>) -> Result<(), TxnError> {
        let encoded = W::encode_key(key);
        let mut value = write.command.to_le_bytes().to_vec();
        write.write.encode(&mut value);
        self.batch
            .put(&self.family, &self.ordered(&encoded, write.order), &value);
        self.batch
            .put(&self.family, &self.ordered(&[JOURNAL], write.order), &encoded);
        if self.batch.bytes() >= PAGE_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Makes everything set aside readable.
    pub(super) fn flush(&mut self) -> Result<(), TxnError> {
        let batch = std::mem::take(&mut self.batch);
        Ok(self.engine.write(batch, Durability::Replayed)?)
    }

    /// Removes the writes of these orders.
    pub(super) fn undo(&mut self, from: u64, to: u64) -> Result<(), TxnError> {
        let (from, to) = (self.ordered(&[JOURNAL], from), self.ordered(&[JOURNAL], to));
        let mut cursor = self.family.newest().cursor(Some(&from), Some(&to))?;
        cursor.seek_to_first();
        while let Some((journal, encoded)) = cursor.item() {
            let mut key = self.key(encoded);
            key.extend_from_slice(&journal[journal.len() - ORDER_SIZE..]);
            self.batch.delete(&self.family, &key);
            self.batch.delete(&self.family, journal);
            cursor.next();
        }
        cursor.status()?;
        self.flush()
    }

    /// The writes to one key.
    pub(super) fn get<W: Spilled>(&self, key: &W::Key) -> Result<Writes<W>, TxnError> {
        let from = self.key(&W::encode_key(key));
        let to = prefix_end(&from);
        let mut cursor = self.family.newest().cursor(Some(&from), Some(&to))?;
        cursor.seek_to_first();
        let mut writes = Writes::new();
        while let Some((found, value)) = cursor.item() {
            writes.push(decode(found, value)?);
            cursor.next();
        }
        cursor.status()?;
        Ok(writes)
    }

    /// Keys and their writes between two keys of this transaction's (as [`Self::key`] makes them).
    pub(super) fn pages<W: Spilled>(&self, from: Vec<u8>, to: Vec<u8>, reverse: bool) -> Pages<W> {
        Pages {
            family: self.family.clone(),
            is_done: from >= to,
            from,
            to,
            reverse,
            page: VecDeque::new(),
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        let mut batch = Batch::new();
        let from = self.transaction.to_be_bytes();
        batch.delete_range(&self.family, &from, &prefix_end(&from));
        if let Err(error) = self.engine.write(batch, Durability::Replayed) {
            // The next start drops the whole family.
            tracing::warn!(%error, "what a transaction set aside stays until the next start");
        }
    }
}

/// Keys and their writes in order, read page by page.
pub(super) struct Pages<W: Spilled> {
    family: Family,
    from: Vec<u8>,
    to: Vec<u8>,
    reverse: bool,
    page: VecDeque<(W::Key, Writes<W>)>,
    is_done: bool,
}

impl<W: Spilled> Pages<W> {
    pub(super) fn next(&mut self) -> Result<Option<(W::Key, Writes<W>)>, TxnError> {
        if self.page.is_empty() && !self.is_done {
            self.read()?;
        }
        Ok(self.page.pop_front())
    }

    /// Reads whole keys until a page is full.
    fn read(&mut self) -> Result<(), TxnError> {
        let mut cursor = self.family.newest().cursor(Some(&self.from), Some(&self.to))?;
        if self.reverse {
            cursor.seek_to_last();
        } else {
            cursor.seek_to_first();
        }
        let (mut size, mut last): (usize, Vec<u8>) = (0, Vec::new());
        let mut is_cut = false;
        while let Some((found, value)) = cursor.item() {
            let key = &found[..found.len().saturating_sub(ORDER_SIZE)];
            if key != last.as_slice() {
                if size >= PAGE_BYTES {
                    is_cut = true;
                    break;
                }
                last = key.to_vec();
                let decoded = W::decode_key(key.get(ORDER_SIZE..).unwrap_or_default());
                self.page.push_back((decoded.ok_or_else(damaged)?, Writes::new()));
            }
            size += found.len() + value.len();
            if let Some((_, writes)) = self.page.back_mut() {
                let at = if self.reverse { 0 } else { writes.len() };
                writes.insert(at, decode(found, value)?);
            }
            if self.reverse {
                cursor.prev();
            } else {
                cursor.next();
            }
        }
        cursor.status()?;
        self.is_done = !is_cut;
        if self.reverse {
            self.to = last;
        } else if !last.is_empty() {
            self.from = prefix_end(&last);
        }
        Ok(())
    }
}

fn decode<W: Spilled>(key: &[u8], value: &[u8]) -> Result<Buffered<W>, TxnError> {
    let order = key.last_chunk::<ORDER_SIZE>().ok_or_else(damaged)?;
    let (command, write) = value.split_first_chunk::<4>().ok_or_else(damaged)?;
    Ok(Buffered {
        command: u32::from_le_bytes(*command),
        order: u64::from_be_bytes(*order),
        write: W::decode(Bytes::copy_from_slice(write))?,
    })
}

fn damaged() -> TxnError {
    StorageError::corrupted("what a transaction set aside").into()
}

/// The smallest key above all that begin so. A transaction's number never is all ones.
pub(super) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
