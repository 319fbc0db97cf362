//! Transaction: the coordinator's side, which the planner drives.
//!
//! ```text
//!   begin ─► begin_statement ─► get, scan            snapshot (READ COMMITTED: of the statement) + own writes
//!               ▲      │        lock ─► read_locked  newest state under the lock (DESIGN L4)
//!               │      ▼        write                into the buffer, seen from the next command on
//!               └── next statement ─► commit: one shard in one command, several in two phases
//! ```
//!
//! Isolation, in terms of what a read looks at:
//!
//! | level           | snapshot of get and scan                     | read_locked finds a newer row    |
//! |-----------------|----------------------------------------------|----------------------------------|
//! | READ COMMITTED  | drawn per statement                          | `changed`: evaluate it again     |
//! | REPEATABLE READ | drawn by the first statement                 | 40001 if a path read changed     |
//! | SERIALIZABLE    | drawn anew after locks were granted: what is | 40001 likewise; the locks that   |
//! |                 | read under S is the newest committed state   | the planner asked for prevent it |

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use parking_lot::{Mutex, MutexGuard};
use storage::path::Parts;
use storage::{PathOp, Row};

use crate::buffer::{Clear, FinalEntry};
use crate::command::{Timestamp, TransactionId};
use crate::interrupt::Interrupt;
use crate::node::NodeInner;
use crate::reading::Seen;
use crate::shard::asker::Asker;
use crate::shard::read::Look;
use crate::state::{self, Phase, State};
use crate::{IndexId, Key, LockRequest, ShardRows, TableId, TxnError, finish, locking, reading, scan, shard_rows};

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
    /// The row goes on under another key of its table, where it is put by another write.
    Move(Key),
}

/// A row read under its lock.
#[derive(Clone, Debug, Default)]
pub struct LockedRow {
    /// The newest state: committed, proposed by others, and this transaction's own writes of earlier commands.
    pub row: Option<Row>,
    /// Whether any path of it changed since this statement's snapshot (then qualifications are evaluated again).
    pub changed: bool,
    /// If another transaction has changed its key since: where it went on, and when.
    pub moved: Option<(Key, u64)>,
    /// When it was put as a whole, 0 if that is not known.
    pub put_at: u64,
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
    pub(crate) inner: Arc<Inner>,
}

/// What a transaction's streams and waits share with it.
pub(crate) struct Inner {
    pub(crate) node: Arc<NodeInner>,
    pub(crate) id: TransactionId,
    pub(crate) options: TransactionOptions,
    pub(crate) owner: crate::locks::Owner,
    pub(crate) interrupt: Interrupt,
    pub(crate) state: Mutex<State>,
    /// One lock request at a time, so that a transaction waits at one place.
    pub(crate) locking: tokio::sync::Mutex<()>,
    /// A timestamp at or below every snapshot in use, 0 if there is none; garbage collection stays below it.
    pub(crate) oldest_snapshot: std::sync::atomic::AtomicU64,
    /// It forgets paths at commit: what is known until then says nothing about what will be.
    pub(crate) forgets_paths: std::sync::atomic::AtomicBool,
    /// Columns whose paths its locks do not make known.
    pub(crate) closed: Mutex<Vec<crate::paths::Column>>,
}

impl Transaction {
    /// Number shown as the virtual transaction.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// All locks of the node, held and waited for (`pg_locks`).
    pub fn node_locks(&self) -> Vec<crate::node::LockEntry> {
        self.inner.node.locks()
    }

    /// Sessions that block a session (`pg_blocking_pids`).
    pub fn blocking(&self, session: u32) -> Vec<u32> {
        self.inner.node.blocking(session)
    }

    /// Isolation level.
    pub fn isolation(&self) -> Isolation {
        self.inner.options.isolation
    }

    /// Whether what is read must be locked first: SERIALIZABLE, unless it is READ ONLY. That one reads at one snapshot, which
    /// is a place in the order of commits, and order of commits is the order of a serial execution.
    pub fn reads_under_locks(&self) -> bool {
        self.inner.reads_under_locks()
    }

    /// Starts a statement: a fresh snapshot under READ COMMITTED, and a new command number (a statement sees only the
    /// writes of earlier commands). With `needs_snapshot = false` the snapshot is drawn by the first read that wants one.
    ///
    /// # Errors
    /// [`TxnError::Unavailable`], or what broke the transaction meanwhile (40001 after lost locks).
    pub async fn begin_statement(&self, needs_snapshot: bool) -> Result<(), TxnError> {
        self.inner.interrupt.begin_statement();
        {
            let mut state = self.inner.usable()?;
            state.command += 1;
            if self.inner.options.isolation == Isolation::ReadCommitted {
                state.snapshot = None;
            }
            if !needs_snapshot || self.inner.snapshot_at_once(&mut state)?.is_some() {
                return Ok(());
            }
        }
        self.inner.snapshot().await.map(drop)
    }

    /// Makes this statement's earlier writes visible to the rest of it (data-modifying CTEs, AFTER actions of foreign keys).
    pub fn next_command(&self) {
        self.inner.state.lock().command += 1;
    }

    /// Reads a row at the statement's snapshot with this transaction's own writes on top.
    pub async fn get(&self, table: TableId, key: &Key) -> Result<Option<Row>, TxnError> {
        reading::get(&self.inner, table, key, None).await
    }

    /// As [`get`](Self::get), but of large documents only these parts have to be there.
    pub async fn get_parts(&self, table: TableId, key: &Key, parts: &Parts) -> Result<Option<Row>, TxnError> {
        reading::get(&self.inner, table, key, Some(parts)).await
    }

    /// Scans rows in key order at the statement's snapshot with own writes on top.
    pub fn scan(&self, table: TableId, range: KeyRange, reverse: bool) -> RowStream {
        scan::rows(self.inner.clone(), (table, None), range, reverse, scan::At::Snapshot)
    }

    /// As [`scan`](Self::scan), but only these columns (positions, ascending) are decoded: others may come as NULL, and the
    /// rows may end behind the last one wanted.
    pub fn scan_columns(&self, table: TableId, columns: Arc<[u16]>, range: KeyRange, reverse: bool) -> RowStream {
        scan::rows(
            self.inner.clone(),
            (table, Some(columns)),
            range,
            reverse,
            scan::At::Snapshot,
        )
    }

    /// Ranges of a table shard by shard at the statement's snapshot, in no common order; `None` if the rows would have to be
    /// merged with this transaction's own writes, or locked.
    pub async fn parts(&self, table: TableId, ranges: &[KeyRange]) -> Result<Option<Vec<ShardRows>>, TxnError> {
        shard_rows::parts(&self.inner, table, ranges).await
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
        scan::entries(
            self.inner.clone(),
            (table, index, global),
            range,
            reverse,
            scan::At::Snapshot,
        )
    }

    /// As [`scan`](Self::scan), but reads the newest committed state instead of the snapshot: for constraint checks, under
    /// locks that keep it as it is.
    pub fn scan_newest(&self, table: TableId, range: KeyRange, reverse: bool) -> RowStream {
        scan::rows(self.inner.clone(), (table, None), range, reverse, scan::At::Newest)
    }

    /// As [`scan_index`](Self::scan_index), but reads the newest committed state instead of the snapshot.
    pub fn scan_index_newest(&self, table: TableId, index: IndexId, global: bool, range: KeyRange) -> EntryStream {
        scan::entries(
            self.inner.clone(),
            (table, index, global),
            range,
            false,
            scan::At::Newest,
        )
    }

    /// Takes all locks in one request per shard, sorted; on return all are held, or none of the new ones (`Skip`: `false`).
    pub async fn lock(&self, requests: Vec<LockRequest>, wait: LockWait) -> Result<bool, TxnError> {
        locking::lock(&self.inner, requests, wait).await
    }

    /// Reads the newest state of a row whose lock is held (DESIGN L4). Under REPEATABLE READ and SERIALIZABLE fails with
    /// [`TxnError::Serialization`] if one of `read_paths` (empty: any path) changed since the snapshot.
    pub async fn read_locked(
        &self,
        table: TableId,
        key: &Key,
        read_paths: &[storage::Path],
    ) -> Result<LockedRow, TxnError> {
        reading::read_locked(&self.inner, table, key, (read_paths, &[]), None).await
    }

    /// As [`read_locked`](Self::read_locked) for a statement that adds to `added` under A: additions of others to those paths
    /// are no conflict (DESIGN §4). If it reads nothing else, `read_paths` is empty and stands for nothing. Of large documents
    /// only `parts` have to be there, if it names any.
    ///
    /// # Errors
    /// [`TxnError::Serialization`] likewise.
    pub async fn read_locked_to_add(
        &self,
        table: TableId,
        key: &Key,
        read_paths: &[storage::Path],
        added: &[storage::Path],
        parts: Option<&Parts>,
    ) -> Result<LockedRow, TxnError> {
        reading::read_locked(&self.inner, table, key, (read_paths, added), parts).await
    }

    /// Reads the newest state of a row, own writes on top, whatever the snapshot, under a lock that keeps it as it is.
    pub async fn read_newest(&self, table: TableId, key: &Key) -> Result<Option<Row>, TxnError> {
        reading::read_newest(&self.inner, table, key, Look::Whole, None).await
    }

    /// Whether a row is there in the newest state, own writes included, under a lock that keeps it there.
    pub async fn exists(&self, table: TableId, key: &Key) -> Result<bool, TxnError> {
        let nothing = Parts::new();
        let row = reading::read_newest(&self.inner, table, key, Look::Existence, Some(&nothing)).await?;
        Ok(row.is_some())
    }

    /// As [`read_newest`](Self::read_newest) without the row's lock: the answer may be old at once, and only says what to lock
    /// and read again. If an answer of the statement rests on it none the less (the row is gone), it is to be told so by
    /// [`saw`](Self::saw). Of large documents only `parts` have to be there, if it names any.
    pub async fn look_newest(
        &self,
        table: TableId,
        key: &Key,
        parts: Option<&Parts>,
    ) -> Result<(Option<Row>, Seen), TxnError> {
        reading::look_newest(&self.inner, table, key, Look::Whole, parts).await
    }

    /// The statement's answer rests on what [`look_newest`](Self::look_newest) gave.
    ///
    /// # Errors
    /// What ended the transaction.
    pub fn saw(&self, seen: Seen) -> Result<(), TxnError> {
        reading::saw(&self.inner, seen)
    }

    /// Entries of one index value in the newest state (uniqueness and foreign key checks, under the value's lock).
    pub async fn read_index_locked(
        &self,
        table: TableId,
        index: IndexId,
        global: bool,
        value: &Key,
    ) -> Result<Vec<Key>, TxnError> {
        reading::read_index_locked(&self.inner, table, index, global, value).await
    }

    /// Before a statement runs that was planned for these versions of tables: waits for whoever has one of them in ACCESS
    /// EXCLUSIVE, so that the statement can be planned anew if there is a newer version by then. From here on what reads a
    /// table that has a newer version fails with [`TxnError::Serialization`] (DESIGN C8).
    ///
    /// # Errors
    /// What interrupts waiting.
    pub async fn await_tables(&self, planned: &Arc<[(TableId, u64)]>) -> Result<(), TxnError> {
        let inner = &self.inner;
        inner.interrupt.begin_statement();
        inner.usable()?.planned = planned.clone();
        if !inner.node.live.has_exclusive_tables() {
            return Ok(());
        }
        for (table, _) in planned.iter() {
            for id in inner.node.placement.table(*table) {
                // Elsewhere the read itself waits, and is told if it was planned for another version.
                let Some(shard) = inner.node.local_leader(id) else {
                    continue;
                };
                if shard.hides_table(*table, inner.id) {
                    shard.wait_for_table(inner.asker(), *table).await?;
                }
            }
        }
        Ok(())
    }

    /// As [`await_tables`](Self::await_tables), without waiting: the statement was planned anew.
    pub fn plan_for(&self, planned: &Arc<[(TableId, u64)]>) {
        self.inner.state.lock().planned = planned.clone();
    }

    /// Says for which version of a table the writes to it are made. When the table has a newer one by the time they are
    /// applied, the commit is refused with [`TxnError::Serialization`] (DESIGN C8).
    pub fn expect_table(&self, table: TableId, version: u64) {
        state::note_version(&mut self.inner.state.lock().expects, table, version);
    }

    /// Gives a table a new version at commit: its definition is changed. Needs ACCESS EXCLUSIVE.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn change_table(&self, table: TableId, version: u64) -> Result<(), TxnError> {
        let mut state = self.inner.writable()?;
        state::note_version(&mut state.changes, table, version);
        Ok(())
    }

    /// Buffers a write.
    ///
    /// # Errors
    /// [`TxnError::DiskFull`] below the free-space reserve, or what ended the transaction.
    pub fn write(&self, table: TableId, key: &Key, write: RowWrite) -> Result<(), TxnError> {
        let mut state = self.inner.writable()?;
        let command = state.command;
        state.buffer.write_row(command, table, key, write);
        self.inner.bound(&mut state)
    }

    /// Buffers an index entry, or its removal.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_index(
        &self,
        table: TableId,
        index: IndexId,
        global: bool,
        value: &Key,
        row: &Key,
        present: bool,
    ) -> Result<(), TxnError> {
        let mut state = self.inner.writable()?;
        let command = state.command;
        let (value, row) = (value.clone(), row.clone());
        state.buffer.write_entry(
            command,
            FinalEntry {
                table,
                index,
                global,
                value,
                row,
                present,
            },
        );
        self.inner.bound(&mut state)
    }

    /// Deletes every row and index entry of a table at commit (TRUNCATE, DROP TABLE); needs ACCESS EXCLUSIVE. The space of
    /// index entries is reclaimed only if their indexes are cleared by [`clear_index`](Self::clear_index) too.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn clear_table(&self, table: TableId) -> Result<(), TxnError> {
        let mut state = self.inner.writable()?;
        let command = state.command;
        state.buffer.clear(command, Clear::Table(table));
        Ok(())
    }

    /// Deletes every entry of an index at commit (DROP INDEX).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn clear_index(&self, table: TableId, index: IndexId) -> Result<(), TxnError> {
        let mut state = self.inner.writable()?;
        let command = state.command;
        state.buffer.clear(command, Clear::Index(table, index));
        Ok(())
    }

    /// Marks a point.
    pub fn savepoint(&self) -> SavepointMark {
        self.inner.state.lock().savepoint()
    }

    /// Forgets the newest point: nobody goes back to it any more.
    pub fn forget(&self, mark: SavepointMark) {
        self.inner.state.lock().forget(mark);
    }

    /// Undoes writes and restores the locks of the mark (DESIGN L7).
    ///
    /// # Errors
    /// What ended the transaction as a whole.
    pub async fn rollback_to(&self, mark: SavepointMark) -> Result<(), TxnError> {
        self.inner.interrupt.begin_statement();
        locking::roll_back_to(&self.inner, mark).await
    }

    /// Waits until everything this transaction was shown is durable: a read under a lock sees commits that are still on
    /// their way to the disk (DESIGN T4), and nobody outside may learn of them before. To be awaited before an answer or an
    /// error of a statement leaves the server; [`commit`](Self::commit) includes it.
    ///
    /// # Errors
    /// [`TxnError::Serialization`] if something it was shown was lost.
    pub async fn settle(&self) -> Result<(), TxnError> {
        reading::settle(&self.inner).await
    }

    /// Commits; on return the transaction is durable. Returns the commit timestamp (0 if nothing was written).
    ///
    /// # Errors
    /// The transaction is rolled back, except after [`TxnError::OutcomeUnknown`].
    pub async fn commit(&self) -> Result<u64, TxnError> {
        finish::commit(&self.inner).await
    }

    /// Rolls back; a no-op after commit.
    pub async fn rollback(&self) {
        finish::roll_back(&self.inner);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        finish::roll_back(&self.inner);
    }
}

impl Inner {
    /// See [`Transaction::reads_under_locks`].
    pub(crate) fn reads_under_locks(&self) -> bool {
        self.options.isolation == Isolation::Serializable && !self.options.read_only
    }

    /// The state, if the transaction can go on.
    pub(crate) fn usable(&self) -> Result<MutexGuard<'_, State>, TxnError> {
        self.interrupt.check()?;
        let state = self.state.lock();
        match state.phase {
            Phase::Active => Ok(state),
            Phase::Committing | Phase::Ended => Err(TxnError::serialization("the transaction has ended")),
        }
    }

    /// As [`Self::usable`], for writing.
    fn writable(&self) -> Result<MutexGuard<'_, State>, TxnError> {
        let state = self.usable()?;
        if self.node.is_disk_full() {
            return Err(TxnError::DiskFull);
        }
        Ok(state)
    }

    /// Sets the writes of a large transaction aside.
    fn bound(&self, state: &mut State) -> Result<(), TxnError> {
        if state.buffer.is_large() {
            state.buffer.set_aside(&self.node.engine, self.id)?;
        }
        Ok(())
    }

    /// On whose behalf shards are asked.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker {
            owner: self.owner,
            interrupt: &self.interrupt,
        }
    }

    /// The snapshot that reads of the current statement use, if there is one.
    fn drawn_snapshot(&self, state: &State) -> Option<Timestamp> {
        let is_stale = state.snapshot_is_stale && self.reads_under_locks();
        state.snapshot.filter(|_| !is_stale)
    }

    /// The snapshot that reads of the current statement use, drawn if there is none; `None` if it must be asked for
    /// ([`Self::snapshot`]).
    pub(crate) fn snapshot_at_once(&self, state: &mut State) -> Result<Option<Timestamp>, TxnError> {
        if let Some(snapshot) = self.drawn_snapshot(state) {
            return Ok(Some(snapshot));
        }
        self.hold_back_garbage(state);
        let Some(snapshot) = self.node.draw_at_once()? else {
            return Ok(None);
        };
        state.snapshot = Some(snapshot);
        state.snapshot_is_stale = false;
        Ok(Some(snapshot))
    }

    /// The snapshot that reads of the current statement use, drawn if there is none.
    pub(crate) async fn snapshot(&self) -> Result<Timestamp, TxnError> {
        let grant_count = {
            let mut state = self.usable()?;
            if let Some(snapshot) = self.snapshot_at_once(&mut state)? {
                return Ok(snapshot);
            }
            state.grant_count
        };
        let snapshot = self.node.draw().await?;
        let mut state = self.usable()?;
        // Another part of the statement may have drawn meanwhile: all of it reads at one.
        if let Some(drawn) = self.drawn_snapshot(&state) {
            return Ok(drawn);
        }
        state.snapshot = Some(snapshot);
        // What was granted meanwhile may protect what is younger.
        state.snapshot_is_stale = state.grant_count != grant_count;
        Ok(snapshot)
    }

    /// Garbage collection looks at this, and must not overtake the snapshot that is drawn next.
    fn hold_back_garbage(&self, state: &State) {
        use std::sync::atomic::Ordering;
        let keeps_older = self.oldest_snapshot.load(Ordering::Relaxed) != 0
            && (state.open_scans > 0 || self.options.isolation == Isolation::RepeatableRead);
        if !keeps_older {
            self.oldest_snapshot
                .store(self.node.oracle.newest().max(1), Ordering::SeqCst);
        }
    }
}
