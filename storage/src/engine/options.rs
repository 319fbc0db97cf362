//! How RocksDB is configured, each choice with its reason.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options, WriteBufferManager};

const MIB: usize = 1 << 20;

/// Limits of an open data directory. All of them are in bytes.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Cache of uncompressed blocks, shared by all families.
    pub block_cache_bytes: usize,
    /// Bound of unflushed writes of all families together.
    pub write_buffers_bytes: usize,
    /// WAL size at which whatever keeps its oldest file alive is flushed; bounds what a restart reads.
    pub wal_bytes_max: u64,
    /// Free space below which writes are refused.
    pub free_space_reserve_bytes: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 256 * MIB,
            write_buffers_bytes: 256 * MIB,
            wal_bytes_max: 512 << 20,
            free_space_reserve_bytes: 256 << 20,
        }
    }
}

/// What all families share.
pub(crate) struct Resources {
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl Resources {
    pub(crate) fn new(options: &EngineOptions) -> Self {
        Self {
            cache: Cache::new_lru_cache(options.block_cache_bytes),
            // Not stalling: at the bound RocksDB flushes the oldest memtable. A stall would stop the log writer, and with
            // it every group, because one shard is bulk loaded.
            write_buffers: WriteBufferManager::new_write_buffer_manager(options.write_buffers_bytes, false),
        }
    }
}

/// Options of the database as a whole.
pub(crate) fn database(engine: &EngineOptions, resources: &Resources) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_write_buffer_manager(&resources.write_buffers);
    options.set_max_total_wal_size(engine.wal_bytes_max);
    // A torn last record is a write nobody was told of; anything after a hole would break the log's order.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    let jobs = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)) as i32;
    options.set_max_background_jobs(jobs);
    // Spread the write-back of flushes and compactions, or a log sync waits for all of it at once.
    options.set_bytes_per_sync(MIB as u64);
    // RocksDB keeps files open; its default of no limit exhausts `ulimit -n` on large data.
    options.set_max_open_files(4096);
    // Iterators and handles of dropped families must not delete files on the thread of a statement.
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_skip_stats_update_on_db_open(true);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    options
}

fn table(resources: &Resources, block_size: usize) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&resources.cache);
    table.set_block_size(block_size);
    table.set_format_version(5);
    // Index and filter blocks count against the cache, so memory stays bounded whatever the data's size; those of level 0
    // stay in, because every read asks them.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table
}

/// A shard's state machine: point reads and ordered scans of versioned keys.
pub(crate) fn shard_family(engine: &EngineOptions, resources: &Resources) -> Options {
    let mut options = Options::default();
    let mut table = table(resources, 8 << 10);
    // Answers "not there" for transaction records, prepared states and the newest version of keys.
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    options.set_block_based_table_factory(&table);
    // lz4 only: fast enough to be left on at every level, and one C library to build. Level 0 and 1 are rewritten soon.
    options.set_compression_per_level(&[
        DBCompressionType::None,
        DBCompressionType::None,
        DBCompressionType::Lz4,
        DBCompressionType::Lz4,
        DBCompressionType::Lz4,
        DBCompressionType::Lz4,
        DBCompressionType::Lz4,
    ]);
    options.set_level_compaction_dynamic_level_bytes(true);
    // The sum over all families is bounded by the write buffer manager; one family alone may take a quarter of it.
    options.set_write_buffer_size((engine.write_buffers_bytes / 4).max(MIB));
    options.set_max_write_buffer_number(4);
    // Nine families allocate arenas even when idle: small blocks keep that at kilobytes.
    options.set_arena_block_size(256 << 10);
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(0.02);
    options
}

/// The Raft log: written once, read back soon if at all, deleted from the front by ranges.
pub(crate) fn log_family(engine: &EngineOptions, resources: &Resources) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&table(resources, 32 << 10));
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size((engine.write_buffers_bytes / 4).max(MIB));
    // Merging two memtables into a file lets a purge in the second delete most of the first before it is written.
    options.set_min_write_buffer_number_to_merge(2);
    options.set_max_write_buffer_number(4);
    options
}

/// Local metadata: a handful of keys.
pub(crate) fn local_family(resources: &Resources) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&table(resources, 4 << 10));
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(MIB);
    options.set_arena_block_size(64 << 10);
    options
}

/// Files written for another node: compressed, as they cross the network.
pub(crate) fn exported_file() -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    options
}
