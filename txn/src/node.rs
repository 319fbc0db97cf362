//! Node: a data directory opened; its Raft groups, shards, timestamp oracle and recovery.
//!
//! ```text
//!   open: engine ─► replicas (meta 0, shards 1..=n) replay ─► whenever one leads: its locks rebuilt ─► serve
//! ```
//! A node that is alone waits until it leads everything, and finishes what a crash has left, before it serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use consensus::{Group, Groups, GroupsOptions, LocalTransport, Members, NodeId, Transport};
use parking_lot::Mutex;
use storage::mvcc::Wanted;
use storage::path::Parts;
use storage::{Engine, Row};
use tokio::sync::watch;

use crate::command::{Timestamp, TransactionId};
use crate::interrupt::Interrupt;
use crate::leaders::Leaders;
use crate::live::Live;
use crate::locks::{Incarnation, LockConfig};
use crate::machine::records::{self, Record};
use crate::oracle::{Oracle, clock};
use crate::paths::Paths;
use crate::placement::{META, Placement, ShardId};
use crate::remote::Remote;
use crate::replica::{Replica, Replicas};
use crate::shard::Shard;
use crate::state::State;
use crate::transaction::Inner;
use crate::{Key, TableId, Transaction, TransactionOptions, TxnError};

/// How a node of a cluster is connected to the others.
#[derive(Clone)]
pub struct ClusterConfig {
    /// This node's number, from 1.
    pub node: NodeId,
    /// Carries requests to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Called with the groups before the first is opened: requests of other nodes can be answered from here on.
    pub connect: Arc<dyn Fn(&Arc<Groups>) + Send + Sync>,
    /// Voters of the groups of a new directory; [`Members::Unknown`] joins a cluster and is told what to have replicas of.
    pub members: Members,
}

impl ClusterConfig {
    /// A node without others.
    fn alone() -> ClusterConfig {
        ClusterConfig {
            node: 1,
            transport: LocalTransport::new().end(1),
            connect: Arc::new(|_| ()),
            members: Members::Alone,
        }
    }
}

impl std::fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} of {:?}", self.node, self.members)
    }
}

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
    /// How it is connected to other nodes; `None` if it is alone.
    pub cluster: Option<ClusterConfig>,
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
            cluster: None,
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
    pub(crate) groups: Arc<Groups>,
    /// Other nodes.
    pub(crate) remote: Arc<Remote>,
    pub(crate) replicas: Replicas,
    /// The groups this node leads.
    pub(crate) leaders: Arc<Leaders>,
    /// Version of the registry that is applied here.
    pub(crate) registry: watch::Sender<u64>,
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
    /// What is known of the other nodes (DESIGN C9).
    pub(crate) cluster: Arc<crate::cluster::ClusterState>,
    #[cfg(test)]
    pub(crate) crash_at: Mutex<Option<&'static str>>,
}

/// Key in local metadata of the start this node had last.
const START: &[u8] = b"start";

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
        let cluster = config.cluster.clone().unwrap_or_else(ClusterConfig::alone);
        let incarnation = begin_incarnation(&engine, cluster.node)?;
        let groups = Groups::open(
            engine.clone(),
            cluster.transport.clone(),
            GroupsOptions {
                node: cluster.node,
                on_fatal: Arc::new(move |error| {
                    tracing::error!(%error, "storage failed: the node stops");
                    failed.send_replace(Some(error.to_string()));
                }),
                ..GroupsOptions::default()
            },
        )?;
        (cluster.connect)(&groups);
        let live = Arc::new(Live::default());
        let inner = Arc::new(NodeInner {
            placement: Placement::new(shard_count),
            config,
            engine,
            oracle: Arc::new(Oracle::new(0)),
            groups,
            replicas: Replicas::default(),
            leaders: Arc::default(),
            registry: watch::Sender::new(0),
            failure,
            is_stopping: AtomicBool::new(false),
            newest_id: AtomicU64::new(incarnation.start),
            incarnation,
            remote: live.remote.clone(),
            live,
            paths: Paths::default(),
            cluster: Arc::default(),
            #[cfg(test)]
            crash_at: Mutex::new(None),
        });
        inner.live.set_leaders(&inner.leaders);
        crate::remote::start(&inner);
        let node = Arc::new(Node { inner });
        if let Err(error) = node.inner.open_replicas(cluster.members, shard_count).await {
            // Nothing of it may run on: the caller may open the directory again.
            let _ = node.inner.groups.shutdown(false).await;
            return Err(error);
        }
        crate::housekeeping::start(&node.inner);
        crate::cluster::start(&node.inner);
        crate::detection::start(&node.inner);
        Ok(node)
    }

    /// The Raft groups below, for whoever places replicas or carries requests between nodes.
    pub fn groups(&self) -> &Arc<Groups> {
        &self.inner.groups
    }

    /// Opens a replica of a group on this node, which waits to be added to the group's members. It leads whenever it is
    /// elected. Idempotent; remembered over restarts.
    ///
    /// # Errors
    /// Its log or family cannot be read.
    pub async fn open_replica(&self, shard: u32) -> Result<(), TxnError> {
        Replicas::open(&self.inner, shard, Members::Unknown).await.map(drop)
    }

    /// Closes a replica and deletes its data. Only when the group's members include this node no more.
    ///
    /// # Errors
    /// Storage failed; calling it again finishes.
    pub async fn remove_replica(&self, shard: u32) -> Result<(), TxnError> {
        Replicas::remove(&self.inner, shard).await
    }

    /// Who leads a group, as far as its replica here knows; `None` without a replica.
    pub fn leader_of(&self, shard: u32) -> Option<NodeId> {
        self.inner.leader_hint(shard)
    }

    /// Whether this node leads a group and serves it.
    pub fn leads(&self, shard: u32) -> bool {
        self.inner.local_leader(shard).is_some_and(|shard| shard.has_lease())
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
        let replicas = self.inner.replicas.all();
        replicas.iter().map(|replica| replica.group.family().size_bytes()).sum()
    }

    fn range_bytes(&self, from: &[u8], to: &[u8]) -> u64 {
        let of_replica = |replica: &Arc<Replica>| replica.group.family().range_bytes_estimate(from, to);
        self.inner.replicas.all().iter().map(of_replica).sum()
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
        self.inner.move_sequence(sequence, advance).await
    }

    /// What [`Self::registry_version`] is now.
    pub fn newest_registry_version(&self) -> u64 {
        *self.inner.registry.borrow()
    }

    /// Commit timestamp of the newest registry change; catalogs older than this are stale.
    pub fn registry_version(&self) -> watch::Receiver<u64> {
        self.inner.registry.subscribe()
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
        for shard in self.local_leaders() {
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
        let leaders = self.local_leaders();
        for inner in self.live.all() {
            if inner.options.session == session {
                sessions.extend(
                    leaders
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
    /// A number for a transaction that begins: above every earlier one of this node, telling when that is (`outcome`), and
    /// given by no other node.
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

    /// The leader of a shard, if this node leads it: its locks are rebuilt. It may have lost its lease meanwhile, and says
    /// so itself. Costs no lock and no allocation.
    pub(crate) fn local_leader(&self, id: ShardId) -> Option<Arc<Shard>> {
        self.leaders.get(id)
    }

    /// All leaders of this node, the meta group's first.
    pub(crate) fn local_leaders(&self) -> Vec<Arc<Shard>> {
        self.leaders.all()
    }

    /// Who leads a group, as far as its replica here knows.
    pub(crate) fn leader_hint(&self, id: ShardId) -> Option<NodeId> {
        self.replicas.get(id)?.leader_hint()
    }

    /// A shard's leader.
    pub(crate) fn shard(&self, id: ShardId) -> Result<Arc<Shard>, TxnError> {
        self.local_leader(id).ok_or(TxnError::Unavailable)
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

impl NodeInner {
    /// Opens the replicas this node has, and waits for those that nobody else can lead.
    async fn open_replicas(self: &Arc<Self>, members: Members, shard_count: u32) -> Result<(), TxnError> {
        let node = self.incarnation.node;
        let recorded = Replicas::recorded(self)?;
        let ids: Vec<ShardId> = match (recorded.is_empty(), &members) {
            (false, _) => recorded,
            // What else it is to have a replica of it is told.
            (true, Members::Unknown) => vec![META],
            (true, Members::Alone | Members::Voters(_)) => (0..=shard_count).collect(),
        };
        let mut is_alone = members == Members::Alone;
        for id in ids {
            let replica = Replicas::open(self, id, members.clone()).await?;
            is_alone = is_alone && replica.is_alone(u64::from(node)).await;
            if is_alone {
                replica.leading().await?;
            }
        }
        if is_alone {
            crate::housekeeping::extend_bound(self).await?;
            let dead = Incarnation {
                start: self.incarnation.start - 1,
                ..self.incarnation
            };
            crate::recovery::recover(self, dead).await?;
        }
        Ok(())
    }

    /// The replica of the meta group is open, and does not lead yet.
    pub(crate) fn open_meta(&self, group: &Group) -> Result<(), TxnError> {
        let view = group.family().newest();
        // What was handed out before is below, whatever the clock says now.
        self.newest_id
            .fetch_max(records::number(&view, Record::Bound)?, Ordering::AcqRel);
        self.paths.reload(&view)
    }

    /// Begins to lead the meta group: what it keeps for all is as its family says.
    pub(crate) fn begin_meta(&self, meta: &Shard) -> Result<(), TxnError> {
        let view = meta.view();
        self.oracle.begin_at(records::number(&view, Record::Bound)?);
        self.paths.reload(&view)
    }
}

/// Numbers this start of the node: above every earlier one, durably.
fn begin_incarnation(engine: &Engine, node: NodeId) -> Result<Incarnation, TxnError> {
    let last = match engine.local_get(START)? {
        None => 0,
        Some(bytes) => match <[u8; 8]>::try_from(bytes.as_slice()) {
            Ok(bytes) => u64::from_be_bytes(bytes),
            Err(_) => {
                return Err(TxnError::Corrupted(
                    "the start of the node in local metadata is damaged".into(),
                ));
            }
        },
    };
    let start = clock().max(last + 1);
    engine.local_put(START, &start.to_be_bytes())?;
    let node = u32::try_from(node).map_err(|_| TxnError::Limit(format!("node number {node} is too large")))?;
    Ok(Incarnation { node, start })
}

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
