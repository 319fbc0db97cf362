//! Transaction: the coordinator's side, which the planner drives.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use storage::{PathOp, Row};

use crate::{IndexId, Key, LockRequest, Node, TableId, TxnError};

/// Isolation levels; READ UNCOMMITTED is READ COMMITTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the levels of their names")]
pub enum Isolation {
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// What is done about deadlocks (DESIGN §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the policies of their names")]
pub enum DeadlockPolicy {
    #[default]
    Detect,
    WoundWait,
    WaitDie,
}

/// How a transaction starts.
#[derive(Clone, Debug, Default)]
pub struct TransactionOptions {
    /// Isolation.
    pub isolation: Isolation,
    /// READ ONLY
    pub read_only: bool,
    /// Session (backend) id shown in `pg_locks` and deadlock details.
    pub session: u32,
    /// Priority for wound_wait and wait_die: a retry keeps its first start timestamp.
    pub priority: Option<u64>,
}

/// How long to wait for locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Until granted, or this long (`lock_timeout`).
    Wait(Option<Duration>),
    /// Not at all: [`TxnError::LockNotAvailable`].
    NoWait,
    /// Not at all: the answer says which requests were not granted (none is held then).
    Skip,
}

/// A half-open range of encoded keys; `None` is unbounded.
#[derive(Clone, Debug, Default)]
pub struct KeyRange {
    /// First key.
    pub from: Option<Key>,
    /// First key beyond.
    pub to: Option<Key>,
}

/// A write to one row, kept in the coordinator's buffer until COMMIT.
#[derive(Clone, Debug)]
pub enum RowWrite {
    /// A new row, or a whole new version of it.
    Put(Row),
    /// Path operations on an existing row.
    Change(Vec<PathOp>),
    /// The row goes away.
    Delete,
}

/// A row read under its lock.
#[derive(Clone, Debug)]
pub struct LockedRow {
    /// The newest state: committed, proposed by others, and this transaction's own writes of earlier commands.
    pub row: Option<Row>,
    /// Whether any path of it changed since this statement's snapshot (then qualifications are evaluated again).
    pub changed: bool,
}

/// A point to roll back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavepointMark(pub u64);

/// Rows of a scan in key order, all shards merged, in batches of up to 1024.
pub type RowStream = BoxStream<'static, Result<Vec<(Key, Row)>, TxnError>>;
/// Entries of an index scan in value order: (value, primary key of the row).
pub type EntryStream = BoxStream<'static, Result<Vec<(Key, Key)>, TxnError>>;

/// A running transaction. All methods take `&self`: a statement's operators share it.
///
/// Dropping it without [`commit`](Self::commit) rolls it back.
pub struct Transaction {
    pub(crate) node: Arc<Node>,
}

#[allow(unused_variables, reason = "bodies arrive with the first txn slice")]
impl Transaction {
    /// Number shown as the virtual transaction.
    pub fn id(&self) -> u64 {
        todo!()
    }
    /// Isolation level.
    pub fn isolation(&self) -> Isolation {
        todo!()
    }
    /// Starts a statement: a fresh snapshot under READ COMMITTED, and a new command number (a statement sees only the
    /// writes of earlier commands). A keyed single-shard read may pass `needs_snapshot = false` (DESIGN T3).
    ///
    /// # Errors
    /// [`TxnError::Unavailable`], or what broke the transaction meanwhile (40001 after lost locks).
    pub async fn begin_statement(&self, needs_snapshot: bool) -> Result<(), TxnError> {
        todo!()
    }
    /// Makes this statement's earlier writes visible to the rest of it (data-modifying CTEs, AFTER actions of foreign keys).
    pub fn next_command(&self) {
        todo!()
    }
    /// Reads a row at the statement's snapshot with this transaction's own writes on top.
    pub async fn get(&self, table: TableId, key: &Key) -> Result<Option<Row>, TxnError> {
        todo!()
    }
    /// Scans rows in key order at the statement's snapshot with own writes on top.
    pub fn scan(&self, table: TableId, range: KeyRange, reverse: bool) -> RowStream {
        todo!()
    }
    /// Scans index entries in value order at the snapshot with own writes on top; entries may be stale by one check: the
    /// caller re-evaluates the condition on the row it fetches.
    pub fn scan_index(
        &self,
        table: TableId,
        index: IndexId,
        global: bool,
        range: KeyRange,
        reverse: bool,
    ) -> EntryStream {
        todo!()
    }
    /// Takes all locks in one request per shard, sorted; on return all are held, or none of the new ones (`Skip`: `false`).
    pub async fn lock(&self, requests: Vec<LockRequest>, wait: LockWait) -> Result<bool, TxnError> {
        todo!()
    }
    /// Reads the newest state of a row whose lock is held (DESIGN L4). Under REPEATABLE READ and SERIALIZABLE fails with
    /// [`TxnError::Serialization`] if one of `read_paths` (empty: any path) changed since the snapshot.
    pub async fn read_locked(
        &self,
        table: TableId,
        key: &Key,
        read_paths: &[storage::Path],
    ) -> Result<LockedRow, TxnError> {
        todo!()
    }
    /// Entries of one index value in the newest state (uniqueness and foreign key checks, under the value's lock).
    pub async fn read_index_locked(
        &self,
        table: TableId,
        index: IndexId,
        global: bool,
        value: &Key,
    ) -> Result<Vec<Key>, TxnError> {
        todo!()
    }
    /// Buffers a write.
    pub fn write(&self, table: TableId, key: &Key, write: RowWrite) -> Result<(), TxnError> {
        todo!()
    }
    /// Buffers an index entry, or its removal.
    pub fn write_index(
        &self,
        table: TableId,
        index: IndexId,
        global: bool,
        value: &Key,
        row: &Key,
        present: bool,
    ) -> Result<(), TxnError> {
        todo!()
    }
    /// Deletes every row and index entry of a table at commit (TRUNCATE, DROP TABLE); needs ACCESS EXCLUSIVE.
    pub fn clear_table(&self, table: TableId) -> Result<(), TxnError> {
        todo!()
    }
    /// Deletes every entry of an index at commit (DROP INDEX).
    pub fn clear_index(&self, table: TableId, index: IndexId) -> Result<(), TxnError> {
        todo!()
    }
    /// Marks a point.
    pub fn savepoint(&self) -> SavepointMark {
        todo!()
    }
    /// Undoes writes and restores the locks of the mark (DESIGN L7).
    pub async fn rollback_to(&self, mark: SavepointMark) -> Result<(), TxnError> {
        todo!()
    }
    /// Commits; on return the transaction is durable. Returns the commit timestamp (0 if nothing was written).
    pub async fn commit(&self) -> Result<u64, TxnError> {
        todo!()
    }
    /// Rolls back; a no-op after commit.
    pub async fn rollback(&self) {
        todo!()
    }
}
