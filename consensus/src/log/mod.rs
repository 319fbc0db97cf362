//! The Raft log of all groups of a node: what openraft's log storage is to us.
//!
//! ```text
//!   group 0: GroupLog ─┐ append, vote, truncate, purge, committed
//!   group 1: GroupLog ─┼──────────────► queue ──► writer thread: batch, sync, callbacks, next round
//!   group 2: GroupLog ─┘                               │
//!      │ recent entries, vote, ids in memory           ▼
//!      └── entries that have left memory ◄───── raft-log (RocksDB)
//! ```
//!
//! A [`GroupLog`] answers from memory what openraft asks on its hot path: the vote, the ends of the log, and entries that
//! were just appended, so that applying reads no storage. An entry leaves memory only after the writer has written it.
//!
//! # Invariants
//!
//! - **C2** The committed id is saved with the next round, behind the entries it covers; no sync waits for it, because a
//!   restart that finds an older one only replays less before it leads. Purging deletes only what openraft allows: never beyond a flushed snapshot.
//! - **C3** What one group asks for reaches the log in the order it was asked, whatever it is; see [`writer`].

pub mod codec;
mod group_log;
mod store;
pub mod writer;

pub use group_log::GroupLog;
pub use store::LogStore;
pub use writer::LogWriter;
