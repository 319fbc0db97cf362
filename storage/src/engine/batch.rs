//! Batch: changes that are made together or not at all.

use rocksdb::WriteBatch;

use super::Family;

/// From this size on memory is asked for at once: to double it on the way takes three times as much at the end.
const LARGE_BYTES: usize = 1 << 20;
/// For keys, and for what goes with the large changes.
const ROOM_BYTES: usize = 64 << 10;

/// Changes that [`Engine::write`](super::Engine::write) makes together or not at all. Later changes win over earlier ones.
#[derive(Default)]
pub struct Batch {
    inner: WriteBatch,
    count: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for large changes of so many bytes; small ones are left to grow by themselves.
    pub fn with_capacity(bytes: usize) -> Self {
        if bytes < LARGE_BYTES {
            return Self::new();
        }
        Self {
            inner: WriteBatch::with_capacity_bytes(bytes + ROOM_BYTES),
            count: 0,
        }
    }

    /// Sets a key.
    pub fn put(&mut self, family: &Family, key: &[u8], value: &[u8]) {
        self.inner.put_cf(family.handle(), key, value);
        self.count += 1;
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, family: &Family, key: &[u8]) {
        self.inner.delete_cf(family.handle(), key);
        self.count += 1;
    }

    /// Removes all keys from `from` up to and without `to`. Costs one entry, but slows reads of the range until it has
    /// been compacted away.
    pub fn delete_range(&mut self, family: &Family, from: &[u8], to: &[u8]) {
        self.inner.delete_range_cf(family.handle(), from, to);
        self.count += 1;
    }

    /// Number of changes.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Encoded size.
    pub fn bytes(&self) -> usize {
        self.inner.size_in_bytes()
    }

    /// The changes as bytes, from which [`from_data`](Self::from_data) makes the same batch: RocksDB takes a batch and does
    /// not give it back when it fails.
    pub fn data(&self) -> Vec<u8> {
        self.inner.data().to_vec()
    }

    /// The batch that [`data`](Self::data) was taken of, in the same process.
    pub fn from_data(data: &[u8]) -> Self {
        let inner = WriteBatch::from_data(data);
        Self {
            count: inner.len(),
            inner,
        }
    }

    pub(crate) fn into_inner(self) -> WriteBatch {
        self.inner
    }
}
