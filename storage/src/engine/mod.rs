//! Engine: one RocksDB per data directory, which every layer above ends in.
//!
//! ```text
//!   DIR/VERSION   format of the directory, checked before RocksDB is opened
//!   DIR/LOCK      held (flock) while a process has the directory open
//!   DIR/db        RocksDB:
//!        default         local metadata: identity, current family names      WAL, synced
//!        raft-log        log, votes and committed ids of all groups          WAL, synced by one writer
//!        shard-7.0003    state machine of group 7, third generation          no WAL: replayed from the log
//!   DIR/tmp       snapshot files on their way in or out; emptied on open
//! ```
//!
//! The engine moves bytes; what they mean is said in `storage/FORMAT.md`.
//!
//! # Invariants
//!
//! - **E1** A family is current exactly when local metadata says so. A snapshot is installed into a family of the next
//!   generation, made durable, and becomes current by one synced write ([`Engine::switch_family`]); a family that is not
//!   current when the directory is opened was abandoned and is dropped.
//! - **E2** Writes to one family become durable in the order they were made: a memtable holds whole batches, and memtables
//!   of a family are flushed in order. So a state machine written without WAL is, after a crash, some prefix of its
//!   batches, and says itself which one (consensus C1, C2). Families are independent of each other, hence no atomic flush.
//! - **E3** [`Engine::sync_log`] makes every earlier [`Durability::Logged`] write durable. It does not hold RocksDB's write
//!   queue while the device works, so state machines go on applying during a sync; a write with RocksDB's own `sync`
//!   option would make each of them wait for it.
//!
//! # Why one RocksDB
//!
//! One WAL means one flush for the proposals of all groups. A RocksDB per shard would cost a flush per shard and commit,
//! and its own memory budget each.

mod batch;
mod directory;
mod error;
mod family;
mod options;
mod sst;
mod stats;
mod view;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rocksdb::{ColumnFamilyDescriptor, DBWithThreadMode, FlushOptions, MultiThreaded, WriteOptions};

pub use batch::Batch;
pub use error::EngineError;
pub use family::Family;
pub use options::EngineOptions;
pub use stats::EngineStats;
pub use view::{Cursor, Pinned, Snapshot, View};

/// RocksDB with families that may be created and dropped while others are in use.
pub(crate) type Db = DBWithThreadMode<MultiThreaded>;

/// Column family of the Raft log of all groups.
const LOG_FAMILY: &str = "raft-log";
/// Column family of what running transactions set aside; abandoned by definition when the directory is opened.
const SCRATCH_FAMILY: &str = "scratch";
/// Column family of local metadata; RocksDB creates it in any case.
const LOCAL_FAMILY: &str = "default";

/// How long a free-space measurement is good for: `statvfs` is cheap, but not per proposal cheap.
const FREE_SPACE_CHECK_MS: u64 = 500;

/// What a write survives once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: for state machines, whose log is replayed. Durable after [`Engine::flush`] of its family.
    Replayed,
    /// The process's death; the machine's after the next [`Engine::sync_log`].
    Logged,
    /// The machine's death.
    Synced,
}

/// An open data directory. Cheap to share; closes when the last clone, family, view and cursor is gone.
pub struct Engine {
    db: Arc<Db>,
    options: EngineOptions,
    resources: options::Resources,
    path: PathBuf,
    log: Family,
    local: Family,
    /// Serialises creation, switch and removal of families.
    families: Mutex<HashMap<u64, Family>>,
    scratch: Mutex<Option<Family>>,
    stats: stats::Counters,
    free_space: directory::FreeSpace,
    /// Dropped last: the directory is ours until RocksDB has closed.
    _lock: Arc<directory::DirectoryLock>,
}

impl Engine {
    /// Opens or creates a data directory.
    ///
    /// # Errors
    /// [`EngineError::InUse`], [`EngineError::NewerFormat`], [`EngineError::NotADataDirectory`], or what RocksDB says.
    pub fn open(path: impl AsRef<Path>, options: EngineOptions) -> Result<Arc<Engine>, EngineError> {
        let path = path.as_ref().to_path_buf();
        let lock = Arc::new(directory::prepare(&path)?);
        let db_path = path.join("db");
        let resources = options::Resources::new(&options);
        let db_options = options::database(&options, &resources);
        let existing = match Db::list_cf(&db_options, &db_path) {
            Ok(names) => names,
            Err(_) if !db_path.join("CURRENT").exists() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut descriptors = vec![
            ColumnFamilyDescriptor::new(LOCAL_FAMILY, options::local_family(&resources)),
            ColumnFamilyDescriptor::new(LOG_FAMILY, options::log_family(&options, &resources)),
        ];
        for name in existing
            .iter()
            .filter(|name| *name != LOCAL_FAMILY && *name != LOG_FAMILY)
        {
            descriptors.push(ColumnFamilyDescriptor::new(
                name,
                options::shard_family(&options, &resources),
            ));
        }
        let db = Arc::new(Db::open_cf_descriptors(&db_options, &db_path, descriptors)?);
        let log = Family::bind(&db, &lock, LOG_FAMILY, None)?;
        let local = Family::bind(&db, &lock, LOCAL_FAMILY, None)?;
        let engine = Engine {
            db,
            options,
            resources,
            free_space: directory::FreeSpace::new(&path),
            path,
            log,
            local,
            families: Mutex::new(HashMap::new()),
            scratch: Mutex::new(None),
            stats: stats::Counters::default(),
            _lock: lock,
        };
        engine.drop_abandoned(&existing)?;
        Ok(Arc::new(engine))
    }

    /// Drops families that are not current (E1): a crash came between their creation and their switch, or between a
    /// switch and the removal of what it replaced.
    fn drop_abandoned(&self, existing: &[String]) -> Result<(), EngineError> {
        for name in existing
            .iter()
            .filter(|name| *name != LOCAL_FAMILY && *name != LOG_FAMILY)
        {
            let current = match family::parse_name(name) {
                Some((shard, generation)) => self.current_generation(shard)? == Some(generation),
                None => false,
            };
            if !current {
                tracing::info!(family = %name, "dropping an abandoned column family");
                self.db.drop_cf(name)?;
            }
        }
        Ok(())
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The family of the Raft log of all groups.
    pub fn log(&self) -> &Family {
        &self.log
    }

    // ---- local metadata ----

    /// Reads a value of local metadata. Keys that begin with `family/` are the engine's own.
    pub fn local_get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.local.newest().get(key)?.map(|value| value.to_vec()))
    }

    /// Writes a value of local metadata; on return it is durable.
    pub fn local_put(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        batch.put(&self.local, key, value);
        self.write(batch, Durability::Synced)
    }

    // ---- families ----

    fn current_generation(&self, shard: u64) -> Result<Option<u32>, EngineError> {
        let key = family::local_key(shard);
        match self.local_get(&key)? {
            None => Ok(None),
            Some(bytes) => match <[u8; 4]>::try_from(bytes.as_slice()) {
                Ok(bytes) => Ok(Some(u32::from_be_bytes(bytes))),
                Err(_) => Err(EngineError::Corrupted(format!(
                    "generation of shard {shard} has {} bytes",
                    bytes.len()
                ))),
            },
        }
    }

    /// The current family of a shard, created if there is none.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn family(&self, shard: u64) -> Result<Family, EngineError> {
        let mut families = self.families.lock();
        if let Some(family) = families.get(&shard) {
            return Ok(family.clone());
        }
        let family = match self.current_generation(shard)? {
            Some(generation) => {
                let name = family::name(shard, generation);
                Family::bind(&self.db, &self._lock, &name, Some((shard, generation)))?
            }
            None => {
                let family = self.create_family(shard, 1)?;
                self.local_put(&family::local_key(shard), &1u32.to_be_bytes())?;
                family
            }
        };
        families.insert(shard, family.clone());
        Ok(family)
    }

    /// Shards that have a current family here.
    pub fn shards(&self) -> Result<Vec<u64>, EngineError> {
        let mut cursor = self.local.newest().cursor(Some(family::LOCAL_PREFIX), None)?;
        let mut shards = Vec::new();
        cursor.seek(family::LOCAL_PREFIX);
        while let Some((key, _)) = cursor.item() {
            let Some(shard) = family::parse_local_key(key) else {
                break;
            };
            shards.push(shard);
            cursor.next();
        }
        cursor.status()?;
        Ok(shards)
    }

    fn create_family(&self, shard: u64, generation: u32) -> Result<Family, EngineError> {
        let name = family::name(shard, generation);
        if self.db.cf_handle(&name).is_some() {
            // Left by an attempt that failed after creation; what is in it is unknown.
            self.db.drop_cf(&name)?;
        }
        self.db
            .create_cf(&name, &options::shard_family(&self.options, &self.resources))?;
        Family::bind(&self.db, &self._lock, &name, Some((shard, generation)))
    }

    /// Creates an empty family of the next generation, to be filled and then made current by
    /// [`switch_family`](Self::switch_family).
    pub fn stage_family(&self, shard: u64) -> Result<Family, EngineError> {
        let _families = self.families.lock();
        let generation = self.current_generation(shard)?.unwrap_or(0) + 1;
        self.create_family(shard, generation)
    }

    /// Makes a staged family the shard's current one, and drops the one it replaces (E1). What was written to it is made
    /// durable first. Handles to the old family go on reading the old state until they are dropped.
    pub fn switch_family(&self, staged: &Family) -> Result<(), EngineError> {
        let Some((shard, generation)) = staged.shard() else {
            return Err(EngineError::Corrupted("only a shard's family can be switched".into()));
        };
        let mut families = self.families.lock();
        self.flush(staged)?;
        let old = self.current_generation(shard)?;
        self.local_put(&family::local_key(shard), &generation.to_be_bytes())?;
        families.insert(shard, staged.clone());
        if let Some(old) = old.filter(|old| *old != generation) {
            self.db.drop_cf(&family::name(shard, old))?;
        }
        Ok(())
    }

    /// Removes a shard's family and all that is in it.
    pub fn drop_family(&self, shard: u64) -> Result<(), EngineError> {
        let mut families = self.families.lock();
        families.remove(&shard);
        if let Some(generation) = self.current_generation(shard)? {
            let mut batch = Batch::new();
            batch.delete(&self.local, &family::local_key(shard));
            self.write(batch, Durability::Synced)?;
            self.db.drop_cf(&family::name(shard, generation))?;
        }
        Ok(())
    }

    /// A family for what need not survive the process: what running transactions set aside. Made when it is first asked
    /// for; write to it as [`Durability::Replayed`]. It is dropped when the directory is opened again.
    pub fn scratch(&self) -> Result<Family, EngineError> {
        let mut scratch = self.scratch.lock();
        if let Some(family) = scratch.as_ref() {
            return Ok(family.clone());
        }
        self.db
            .create_cf(SCRATCH_FAMILY, &options::shard_family(&self.options, &self.resources))?;
        let family = Family::bind(&self.db, &self._lock, SCRATCH_FAMILY, None)?;
        *scratch = Some(family.clone());
        Ok(family)
    }

    // ---- writing ----

    /// Writes a batch atomically; readers see all of it or nothing. A batch belongs to families of one durability.
    pub fn write(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        let bytes = batch.bytes();
        let mut options = WriteOptions::default();
        match durability {
            Durability::Replayed => options.disable_wal(true),
            Durability::Logged => {}
            Durability::Synced => options.set_sync(true),
        }
        self.db.write_opt(batch.into_inner(), &options)?;
        self.stats.wrote(durability, bytes);
        Ok(())
    }

    /// Makes every earlier [`Durability::Logged`] write durable (E3).
    pub fn sync_log(&self) -> Result<(), EngineError> {
        let started = Instant::now();
        self.db.flush_wal(true)?;
        self.stats.synced(started.elapsed());
        Ok(())
    }

    /// Makes everything written to one family durable, and waits for it.
    pub fn flush(&self, family: &Family) -> Result<(), EngineError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cf_opt(family.handle(), &options)?;
        Ok(())
    }

    /// Makes everything durable: the next start has nothing to replay.
    pub fn flush_all(&self) -> Result<(), EngineError> {
        let families: Vec<Family> = self.families.lock().values().cloned().collect();
        for family in &families {
            self.flush(family)?;
        }
        self.sync_log()
    }

    /// Reclaims the space of deleted and overwritten keys of a family in a range; slow.
    pub fn compact(&self, family: &Family, from: Option<&[u8]>, to: Option<&[u8]>) {
        self.db.compact_range_cf(family.handle(), from, to);
    }

    // ---- reading ----

    /// A consistent state of all families at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.db)
    }

    /// Bytes free on the device of the data directory, at most half a second old.
    pub fn free_bytes(&self) -> Result<u64, EngineError> {
        self.free_space.bytes(FREE_SPACE_CHECK_MS)
    }

    /// Whether less than the reserve is free: proposals and bulk statements are refused then (53100), so that what is
    /// already promised can still be written.
    pub fn below_reserve(&self) -> bool {
        // If the device cannot be asked, the write itself will say what is wrong.
        self.free_bytes()
            .is_ok_and(|free| free < self.options.free_space_reserve_bytes)
    }

    /// Counters since the directory was opened.
    pub fn stats(&self) -> EngineStats {
        self.stats.read()
    }
}
