//! Transactions: path locks, timestamps, two-phase commit, shard state machines, recovery.
//!
//! ```text
//!   Transaction (coordinator: buffer, snapshot, savepoints)
//!        │ lock, read, prepare, decide
//!   Shard (leader: lock table, marks, unapplied writes) ── propose ─► Raft group ─► Machine (apply)
//! ```
//!
//! This file fixes what the planner may call; `PROTOCOL.md` beside this crate says how it works.

pub mod error;
pub mod locks;
pub mod name;
pub mod node;
pub mod transaction;

pub use error::TxnError;
pub use name::{AddIncrement, IndexId, Key, LockName, LockRequest, Mode, RowPart, TableId};
pub use node::{Node, NodeConfig};
pub use transaction::{
    DeadlockPolicy, Isolation, KeyRange, LockWait, LockedRow, RowWrite, SavepointMark, Transaction, TransactionOptions,
};
