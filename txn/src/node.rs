//! Node: a data directory opened; its Raft groups, shards, timestamp oracle and recovery.
//!
//! ```text
//!   open: engine ─► groups (meta 0, shards 1..=n) replay ─► oracle above its durable bound ─► recover prepared ─► serve
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ahash::HashMap;
use consensus::{Groups, GroupsOptions, LocalTransport};
use parking_lot::Mutex;
use storage::mvcc::Wanted;
use storage::path::Parts;
use storage::{Engine, Row};
use tokio::sync::watch;

use crate::command::{Body, Timestamp, TransactionId};
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::locks::{Incarnation, LockConfig};
use crate::machine::records::{self, Record};
use crate::oracle::{Oracle, clock};
use crate::paths::Paths;
use crate::placement::{META, Placement, ShardId};
use crate::shard::Shard;
use crate::state::State;
use crate::transaction::Inner;
use crate::{Key, TableId, Transaction, TransactionOptions, TxnError};

/// How a node is opened.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Data directory; created if missing.
    pub data: PathBuf,
    /// Shards of a new data directory.
    pub shard_count: u32,
    /// Deadlock policy.
    pub deadlock: crate::DeadlockPolicy,
    /// How long a wait lasts before probes leave the node (cluster only).
    pub deadlock_timeout: Duration,
    /// Age below which old versions are garbage.
    pub retention: Duration,
    /// Free space on the data directory's device below which writes are refused (53100).
    pub free_space_reserve_bytes: u64,
    /// Memory of a shard's lock table beyond which locks are refused (53200).
    pub lock_memory_bytes_max: usize,
}

impl Default for NodeConfig {
    /// A directory that must still be named.
    fn default() -> NodeConfig {
        NodeConfig {
            data: PathBuf::new(),
            shard_count: 8,
            deadlock: crate::DeadlockPolicy::Detect,
            deadlock_timeout: Duration::from_secs(1),
            retention: Duration::from_secs(600),
            free_space_reserve_bytes: storage::EngineOptions::default().free_space_reserve_bytes,
            lock_memory_bytes_max: LockConfig::default().memory_bytes_max,
        }
    }
}

/// An open data directory.
pub struct Node {
    pub(crate) inner: Arc<NodeInner>,
}

/// What transactions and background tasks share with the node.
pub(crate) struct NodeInner {
    pub(crate) config: NodeConfig,
    pub(crate) engine: Arc<Engine>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) placement: Placement,
    groups: Arc<Groups>,
    shards: Vec<Arc<Shard>>,
    registry: watch::Receiver<u64>,
    /// Why storage can be used no more, once that is so.
    failure: watch::Receiver<Option<String>>,
    /// Nothing is proposed by the node itself any more.
    pub(crate) is_stopping: AtomicBool,
    newest_id: AtomicU64,
    /// This start of the node, to which its transactions' locks belong (DESIGN L9).
    pub(crate) incarnation: Incarnation,
    pub(crate) live: Arc<Live>,
    /// What documents look like (DESIGN C7).
    pub(crate) paths: Paths,
    /// Newest state of each sequence used since the start, proposed or applied.
    sequences: Mutex<HashMap<u32, Vec<u8>>>,
    #[cfg(test)]
    pub(crate) crash_at: Mutex<Option<&'static str>>,
}

/// This node's number: it is alone.
const NODE: u64 = 1;

/// Key in local metadata of the number of shards a data directory was made with.
const SHARD_COUNT: &[u8] = b"shard-count";

/// A row of `pg_locks`.
#[derive(Clone, Debug)]
pub struct LockEntry {
    /// Session of the holder or waiter.
    pub session: u32,
    /// Transaction.
    pub transaction: u64,
    /// Shard.
    pub shard: u32,
    /// Name: table id, encoded key, path steps (the planner turns ids into names).
    pub name: crate::LockName,
    /// Mode.
    pub mode: crate::Mode,
    /// Held, or waited for.
    pub granted: bool,
}

impl Node {
    /// Opens or creates a data directory, replays, recovers prepared transactions, and serves.
    ///
    /// # Errors
    /// [`TxnError::Io`] with a clear text when the directory is in use, of a newer version, or unreadable.
    pub async fn open(config: NodeConfig) -> Result<Arc<Node>, TxnError> {
        let engine_options = storage::EngineOptions {
            free_space_reserve_bytes: config.free_space_reserve_bytes,
            ..storage::EngineOptions::default()
        };
        let engine = Engine::open(&config.data, engine_options)?;
        let (failed, failure) = watch::channel(None);
        let shard_count = shard_count(&engine, config.shard_count)?;
        let groups = Groups::open(
            engine.clone(),
            LocalTransport::new().end(NODE),
            GroupsOptions {
                on_fatal: Arc::new(move |error| {
                    tracing::error!(%error, "storage failed: the node stops");
                    failed.send_replace(Some(error.to_string()));
                }),
                ..GroupsOptions::default()
            },
        )?;
        let oracle = Arc::new(Oracle::new(0));
        let live = Arc::new(Live::default());
        let mut shards = Vec::new();
        let mut registry = None;
        for id in 0..=shard_count {
            let locks = LockConfig {
                policy: config.deadlock,
                memory_bytes_max: config.lock_memory_bytes_max,
                ..LockConfig::default()
            };
            let (shard, machine) = crate::open::open_shard(&groups, id, (&oracle, &live), locks).await?;
            if id == META {
                registry = Some(machine.registry_version());
            }
            shards.push(shard);
        }
        let bound = records::number(&shards[META as usize].group.family().newest(), Record::Bound)?;
        oracle.begin_at(bound);
        let paths = Paths::load(&shards[META as usize].group.family().newest())?;
        let inner = Arc::new(NodeInner {
            placement: Placement::new(shard_count),
            config,
            engine,
            oracle,
            groups,
            shards,
            registry: registry.expect("the meta group was opened first"),
            failure,
            is_stopping: AtomicBool::new(false),
            newest_id: AtomicU64::new(bound),
            incarnation: Incarnation {
                node: 1,
                start: bound + 1,
            },
            live,
            paths,
            sequences: Mutex::default(),
            #[cfg(test)]
            crash_at: Mutex::new(None),
        });
        crate::housekeeping::extend_bound(&inner).await?;
        inner.live.set_shards(&inner.shards);
        crate::recovery::recover(
            &inner,
            Incarnation {
                node: NODE as u32,
                start: bound,
            },
        )
        .await?;
        crate::housekeeping::start(&inner);
        crate::detection::start(&inner);
        Ok(Arc::new(Node { inner }))
    }

    /// Starts a transaction.
    pub fn begin(self: &Arc<Self>, options: TransactionOptions) -> Transaction {
        let id = self.inner.next_id();
        let inner = Arc::new(Inner {
            node: self.inner.clone(),
            id,
            owner: crate::shard::lock::owner(id, self.inner.incarnation, &options),
            options,
            interrupt: Interrupt::default(),
            state: Mutex::new(State::new()),
            locking: tokio::sync::Mutex::new(()),
            oldest_snapshot: AtomicU64::new(0),
            forgets_paths: AtomicBool::new(false),
            closed: Mutex::default(),
        });
        self.inner.live.insert(&inner);
        Transaction { inner }
    }

    /// Number of the newest transaction.
    pub fn newest_transaction(&self) -> TransactionId {
        self.inner.newest_id.load(Ordering::Relaxed)
    }

    /// Reads the newest committed state of one row outside of any transaction, if it can be had at once: a row on one shard
    /// needs no timestamp (DESIGN T3). `None` if a write to the row or a lock on the table is on its way, or the table has a
    /// newer version: then a transaction has to wait for it.
    ///
    /// # Errors
    /// What reading the row raises.
    pub fn read_at_once(
        &self,
        (table, version): (TableId, u64),
        key: &Key,
        parts: Option<&Parts>,
    ) -> Result<Option<Option<Row>>, TxnError> {
        let shard = self.inner.shard(self.inner.placement.row(table, key))?;
        if !shard.group.is_lease_open() {
            return Ok(None);
        }
        shard.read_at_once((table, version), key, Wanted { parts, own: &[] })
    }

    /// All locks held and waited for.
    pub fn locks(&self) -> Vec<LockEntry> {
        self.inner.locks()
    }

    /// Sessions that block this one (`pg_blocking_pids`).
    pub fn blocking(&self, session: u32) -> Vec<u32> {
        self.inner.blocking(session)
    }

    /// Bytes of a table's rows on disk, roughly: what is still in memory is not counted.
    pub fn table_bytes(&self, table: u32) -> u64 {
        let (from, to) = storage::mvcc::row_range(table, None, None);
        self.range_bytes(&from, &to)
    }

    /// Bytes of an index's entries on disk, roughly.
    pub fn index_bytes(&self, index: u32) -> u64 {
        let (from, to) = storage::mvcc::entry_range(index, None, None);
        self.range_bytes(&from, &to)
    }

    /// Bytes of everything the shards hold, on disk and in memory, roughly.
    pub fn total_bytes(&self) -> u64 {
        self.inner
            .shards
            .iter()
            .map(|shard| shard.group.family().size_bytes())
            .sum()
    }

    fn range_bytes(&self, from: &[u8], to: &[u8]) -> u64 {
        self.inner
            .shards
            .iter()
            .map(|shard| shard.group.family().range_bytes_estimate(from, to))
            .sum()
    }

    /// Writes everything that is still only in the log and in memory to table files (CHECKPOINT). Blocks the thread.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn checkpoint(&self) -> Result<(), TxnError> {
        Ok(self.inner.engine.flush_all()?)
    }

    /// Sets how locks are called in errors: ids are all this layer knows.
    pub fn name_locks_with(&self, name_locks: crate::NameLocks) {
        self.inner.live.set_name_locks(name_locks);
    }

    /// Cancels whatever lock wait or read this session is in: it gets [`TxnError::Cancelled`].
    pub fn cancel(&self, session: u32) {
        for inner in self.inner.live.all() {
            if inner.options.session == session {
                inner.interrupt.cancel();
            }
        }
    }

    /// Moves the durable state of a sequence on, non-transactionally: `advance` makes the next state of the current one
    /// (`None` if it was never used), which is returned once it is durable. What it hands out of the new state is never
    /// handed out again, whatever happens to the transaction.
    ///
    /// # Errors
    /// What `advance` returns, or [`TxnError::Unavailable`].
    pub async fn advance_sequence(
        &self,
        sequence: u32,
        advance: &(dyn Fn(Option<Vec<u8>>) -> Result<Vec<u8>, TxnError> + Send + Sync),
    ) -> Result<Vec<u8>, TxnError> {
        if self.inner.is_disk_full() {
            return Err(TxnError::DiskFull);
        }
        let shard = self.inner.shard(META)?;
        let (state, receiver) = {
            let mut sequences = self.inner.sequences.lock();
            let current = match sequences.get(&sequence) {
                Some(state) => Some(state.clone()),
                None => shard
                    .group
                    .family()
                    .newest()
                    .get(&records::sequence(sequence))?
                    .map(|state| state.to_vec()),
            };
            let state = advance(current)?;
            let receiver = shard.keep_house(Body::Sequence {
                sequence,
                state: state.clone().into(),
            })?;
            sequences.insert(sequence, state.clone());
            (state, receiver)
        };
        match receiver.applied().await {
            Ok(()) => Ok(state),
            Err(_) => {
                self.inner.sequences.lock().remove(&sequence);
                Err(TxnError::Unavailable)
            }
        }
    }

    /// What [`Self::registry_version`] is now.
    pub fn newest_registry_version(&self) -> u64 {
        *self.inner.registry.borrow()
    }

    /// Commit timestamp of the newest registry change; catalogs older than this are stale.
    pub fn registry_version(&self) -> watch::Receiver<u64> {
        self.inner.registry.clone()
    }

    /// Waits until storage fails (a device reports EIO): nothing can be written any more, and the process should end. What
    /// was acknowledged is found again by the next start, if the device still has it.
    pub async fn failed(&self) -> String {
        let mut failure = self.inner.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_default(),
            // The node is gone, and with it whoever could have failed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Checks every invariant that can be checked at rest.
    ///
    /// # Errors
    /// A description of the first violation.
    pub async fn check_invariants(&self) -> Result<(), String> {
        crate::housekeeping::check_invariants(&self.inner).await
    }

    /// Flushes and closes.
    pub async fn shutdown(&self) {
        if let Err(error) = Paths::drain(&self.inner).await {
            tracing::warn!(%error, "new paths of documents are found again when they are written again");
        }
        self.inner.is_stopping.store(true, Ordering::Release);
        for inner in self.inner.live.all() {
            inner.interrupt.doom(TxnError::Unavailable);
        }
        if let Err(error) = self.inner.groups.shutdown(true).await {
            tracing::error!(%error, "what is not flushed is replayed at the next start");
        }
    }
}

impl NodeInner {
    /// All locks held and waited for.
    pub(crate) fn locks(&self) -> Vec<LockEntry> {
        let mut entries = Vec::new();
        for shard in &self.shards {
            let of_shard = shard.core().locks.entries();
            entries.extend(of_shard.into_iter().map(|entry| LockEntry {
                session: entry.owner.session,
                transaction: entry.owner.txn.0,
                shard: shard.id,
                name: entry.name,
                mode: entry.mode,
                granted: entry.granted,
            }));
        }
        entries
    }

    /// Sessions that block this one (`pg_blocking_pids`).
    pub(crate) fn blocking(&self, session: u32) -> Vec<u32> {
        let mut sessions: Vec<u32> = Vec::new();
        for inner in self.live.all() {
            if inner.options.session == session {
                sessions.extend(
                    self.shards
                        .iter()
                        .flat_map(|shard| shard.core().locks.blocking_sessions(inner.id)),
                );
            }
        }
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Without this the groups' tasks would keep the directory in use. What is durable does not change.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let groups = self.inner.groups.clone();
            runtime.spawn(async move { groups.shutdown(false).await });
        }
    }
}

impl NodeInner {
    /// A number for a transaction that begins: above every earlier one, and telling when that is (`outcome`).
    fn next_id(&self) -> TransactionId {
        let now = clock();
        let next = |newest: u64| id_above(newest.max(now), self.incarnation.node);
        let update = |newest| Some(next(newest));
        match self
            .newest_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
        {
            Ok(newest) | Err(newest) => next(newest),
        }
    }

    /// A shard's leader.
    pub(crate) fn shard(&self, id: ShardId) -> Result<&Arc<Shard>, TxnError> {
        self.shards.get(id as usize).ok_or(TxnError::Unavailable)
    }

    /// All shards, the meta group first.
    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// A timestamp above every one drawn before.
    pub(crate) async fn draw(&self) -> Result<Timestamp, TxnError> {
        self.draw_at_once()?.ok_or(TxnError::Unavailable)
    }

    /// As [`Self::draw`], if it need not be asked for.
    pub(crate) fn draw_at_once(&self) -> Result<Option<Timestamp>, TxnError> {
        self.oracle.draw().ok_or(TxnError::Unavailable).map(Some)
    }

    /// Whether so little space is left that writes are refused.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.engine.below_reserve()
    }

    /// Where tests stop a coordinator as if its process had died.
    pub(crate) async fn crash_point(&self, name: &'static str) {
        #[cfg(test)]
        if self.crash_at.lock().take_if(|point| *point == name).is_some() {
            std::future::pending::<()>().await;
        }
        #[cfg(not(test))]
        let _ = name;
    }
}

/// The next number of a transaction that this node coordinates. Its lowest bits name the node, so that nodes never give the
/// same number, and whoever knows the transaction knows whom to tell.
fn id_above(number: u64, node: u32) -> TransactionId {
    let count = (number >> NODE_BITS) + 1;
    (count << NODE_BITS) | (u64::from(node) & ((1 << NODE_BITS) - 1))
}

/// Lowest bits of a transaction's number, which name its coordinator's node.
pub(crate) const NODE_BITS: u32 = 10;

/// The number of shards of the directory: what it was made with, whatever is asked for now.
fn shard_count(engine: &Engine, wanted: u32) -> Result<u32, TxnError> {
    if let Some(bytes) = engine.local_get(SHARD_COUNT)? {
        return match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(u32::from_be_bytes(bytes)),
            Err(_) => Err(TxnError::Corrupted(
                "the number of shards in local metadata is damaged".into(),
            )),
        };
    }
    let count = wanted.clamp(1, SHARD_COUNT_MAX);
    engine.local_put(SHARD_COUNT, &count.to_be_bytes())?;
    Ok(count)
}

/// Most shards of one node.
const SHARD_COUNT_MAX: u32 = 256;
