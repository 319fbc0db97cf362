//! Transactions: path locks, timestamps, two-phase commit, shard state machines, recovery.
//!
//! ```text
//!   Transaction (coordinator: buffer, snapshot, savepoints)
//!        │ lock, read, prepare, decide
//!   Shard (leader: lock table, marks, unapplied writes) ── propose ─► Raft group ─► Machine (apply)
//! ```
//!
//! This file fixes what the planner may call; `PROTOCOL.md` beside this crate says how it works.

mod additions;
mod buffer;
pub mod cluster;
mod command;
pub mod commit;
mod detection;
pub mod error;
mod finish;
mod housekeeping;
mod interrupt;
mod leaders;
mod live;
mod locking;
pub mod locks;
mod machine;
pub mod name;
pub mod node;
mod oracle;
pub mod outcome;

mod paths;
mod placement;
mod reading;
mod recovery;
mod rehearsal;
mod remote;
mod replica;
mod scan;
mod shard;
mod shard_rows;
mod staging;
mod state;
pub mod transaction;

#[cfg(test)]
mod tests;

pub use error::TxnError;
pub use live::NameLocks;
pub use machine::records::Position;
pub use name::{AddIncrement, IndexId, Key, LockName, LockRequest, Mode, RowPart, TableId};
pub use node::{Node, NodeConfig};
pub use outcome::TransactionOutcome;
pub use reading::Seen;
pub use rehearsal::{CommitPlan, RehearsedLock};
pub use shard_rows::ShardRows;
pub use transaction::{
    DeadlockPolicy, Isolation, KeyRange, LockWait, LockedRow, RowWrite, SavepointMark, Transaction, TransactionOptions,
};
