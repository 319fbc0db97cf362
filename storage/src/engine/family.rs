//! Family: a column family that can be read and named in batches without asking the engine.

use std::sync::Arc;

use rocksdb::BoundColumnFamily;

use super::directory::DirectoryLock;
use super::{Db, EngineError, Snapshot, View};

/// Prefix of the keys in local metadata that say which generation of a shard's family is current.
pub(crate) const LOCAL_PREFIX: &[u8] = b"family/";

/// Key in local metadata of a shard's current generation.
pub(crate) fn local_key(shard: u64) -> Vec<u8> {
    let mut key = LOCAL_PREFIX.to_vec();
    key.extend_from_slice(&shard.to_be_bytes());
    key
}

/// Shard of a key written by [`local_key`].
pub(crate) fn parse_local_key(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(LOCAL_PREFIX)?.try_into().ok()?))
}

/// Name of a shard's family.
pub(crate) fn name(shard: u64, generation: u32) -> String {
    format!("shard-{shard}.{generation:04}")
}

/// Shard and generation of a name written by [`name`].
pub(crate) fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (shard, generation) = name.strip_prefix("shard-")?.split_once('.')?;
    Some((shard.parse().ok()?, generation.parse().ok()?))
}

/// A column family. Clones share it; it stays readable after the engine has dropped or replaced it.
#[derive(Clone)]
pub struct Family {
    inner: Arc<Inner>,
}

/// Fields are dropped in order: the handle before the database, and the database before the directory's lock.
struct Inner {
    handle: Arc<BoundColumnFamily<'static>>,
    db: Arc<Db>,
    shard: Option<(u64, u32)>,
    _lock: Arc<DirectoryLock>,
}

impl Family {
    pub(crate) fn bind(
        db: &Arc<Db>,
        lock: &Arc<DirectoryLock>,
        name: &str,
        shard: Option<(u64, u32)>,
    ) -> Result<Self, EngineError> {
        let handle = db
            .cf_handle(name)
            .ok_or_else(|| EngineError::Corrupted(format!("column family {name} is missing")))?;
        // SAFETY: the lifetime only keeps the handle from outliving its database. `Inner` owns both and drops the handle
        // first; no function hands the handle out by value.
        let handle =
            unsafe { std::mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle) };
        let inner = Inner {
            handle,
            db: db.clone(),
            shard,
            _lock: lock.clone(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn handle(&self) -> &Arc<BoundColumnFamily<'static>> {
        &self.inner.handle
    }

    pub(crate) fn db(&self) -> &Arc<Db> {
        &self.inner.db
    }

    /// Shard and generation, if this is a shard's family.
    pub fn shard(&self) -> Option<(u64, u32)> {
        self.inner.shard
    }

    /// The newest state: each read sees what has been written by then.
    pub fn newest(&self) -> View {
        View::new(self.clone(), None)
    }

    /// The state at a snapshot.
    pub fn at(&self, snapshot: &Snapshot) -> View {
        View::new(self.clone(), Some(snapshot.clone()))
    }

    /// Bytes this family takes on disk and in memory, roughly.
    pub fn size_bytes(&self) -> u64 {
        let property = |name: &str| {
            self.db()
                .property_int_value_cf(self.handle(), name)
                .ok()
                .flatten()
                .unwrap_or(0)
        };
        property("rocksdb.total-sst-files-size") + property("rocksdb.cur-size-all-mem-tables")
    }

    /// Keys in this family, as RocksDB estimates them.
    pub fn key_count_estimate(&self) -> u64 {
        self.db()
            .property_int_value_cf(self.handle(), "rocksdb.estimate-num-keys")
            .ok()
            .flatten()
            .unwrap_or(0)
    }

    /// Bytes between two keys on disk, roughly; unflushed writes are not counted.
    pub fn range_bytes_estimate(&self, from: &[u8], to: &[u8]) -> u64 {
        let range = rocksdb::Range::new(from, to);
        self.db()
            .get_approximate_sizes_cf(self.handle(), &[range])
            .first()
            .copied()
            .unwrap_or(0)
    }
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.inner.shard {
            Some((shard, generation)) => f.write_str(&name(shard, generation)),
            None => f.write_str("local"),
        }
    }
}
