//! Node: a data directory opened; its Raft groups, shards, timestamp oracle and recovery.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Transaction, TransactionOptions, TxnError};

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
}

/// An open data directory.
pub struct Node {}

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

#[allow(unused_variables, reason = "bodies arrive with the first txn slice")]
impl Node {
    /// Opens or creates a data directory, replays, recovers prepared transactions, and serves.
    ///
    /// # Errors
    /// [`TxnError::Io`] with a clear text when the directory is in use, of a newer version, or unreadable.
    pub async fn open(config: NodeConfig) -> Result<Arc<Node>, TxnError> {
        todo!()
    }
    /// Starts a transaction.
    pub fn begin(self: &Arc<Self>, options: TransactionOptions) -> Transaction {
        todo!()
    }
    /// All locks held and waited for.
    pub fn locks(&self) -> Vec<LockEntry> {
        todo!()
    }
    /// Sessions that block this one (`pg_blocking_pids`).
    pub fn blocking(&self, session: u32) -> Vec<u32> {
        todo!()
    }
    /// Cancels whatever lock wait or read this session is in: it gets [`TxnError::Cancelled`].
    pub fn cancel(&self, session: u32) {
        todo!()
    }
    /// Reserves `count` values of a sequence durably (registry row `sequence`), non-transactionally; returns the state
    /// before: (last value, is_called).
    pub async fn advance_sequence(
        &self,
        sequence: u32,
        advance: &(dyn Fn(Option<Vec<u8>>) -> Result<Vec<u8>, TxnError> + Send + Sync),
    ) -> Result<Vec<u8>, TxnError> {
        todo!()
    }
    /// Commit timestamp of the newest registry change; catalogs older than this are stale.
    pub fn registry_version(&self) -> tokio::sync::watch::Receiver<u64> {
        todo!()
    }
    /// Checks every invariant that can be checked at rest.
    pub async fn check_invariants(&self) -> Result<(), String> {
        todo!()
    }
    /// Flushes and closes.
    pub async fn shutdown(&self) {
        todo!()
    }
}
