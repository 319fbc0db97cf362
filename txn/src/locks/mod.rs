//! Path locks: who may read or change which part of a document, and in what order they wait.
//!
//! ```text
//!   orders            IX t1 t2       a writer below marks every ancestor with an intention lock,
//!   └─ 7              IX t1          so a reader of the whole order meets t1 here, at one node,
//!      └─ #data       IX t1          instead of searching the subtree
//!         └─ items    X  t1   │ S t3     t3 waits, in this node's queue, for t1
//!   └─ 8              X  t2
//! ```
//!
//! The table of one shard leader: a synchronous core without clock or I/O. A [`Request`] is a batch of locks of one
//! transaction, and is granted whole or waits whole, holding nothing of itself meanwhile. What happens to waits comes out
//! as [`Event`]s. The caller owns time (`lock_timeout` is [`LockTable::cancel`]) and messages.
//!
//! # Rules, and where they live
//!
//! - **L1** modes: `mode` (the table), `grant` (intentions are counted from what is held below).
//! - **L2** row locks of SQL: `name::RowPart`, and PostgreSQL's table modes in `mode`.
//! - **L5** adding: `add` (sums and limits), `plan` (reading where one has added).
//! - **L6** waiting: `queue`; one function says what stands against a request.
//! - **L7** savepoints: `savepoint`. **L8** escalation: `escalate`; memory cap: [`LockTable::request`].
//! - **L9** ownership: `owner`, [`LockTable::clear`], [`LockTable::drop_coordinator`], [`LockTable::restore`].
//! - Index intervals: `interval`. Path classes: `class`. Deadlocks: `deadlock` for one shard, `detector` across shards.
//!
//! # Invariants (checked by [`LockTable::check_invariants`])
//!
//! 1. A holder of X, A or IX at a node has IX at every ancestor; of S or IS, IS.
//! 2. Two holders of a node, or of an index value and an interval around it, never conflict.
//! 3. Nobody waits whom nothing stands against.
//! 4. While a path class of a table is in use, every write below that table is marked on its class.
//!
//! # Why this way
//!
//! - *Batches are atomic.* Taking a batch lock by lock, as most lock managers do, leaves a waiter holding half of its
//!   statement's locks: more deadlocks and longer waits for others. The price is that a batch stands in several queues.
//! - *A set of modes for each holder*, not one combined mode: SIX, several table modes of one transaction and undoing to a
//!   savepoint all become set operations.
//! - *Intentions are never stored or sent*, so they cannot be stale (a peer persisted them and had to take that back).
//! - *Class marks only while classes are read.* Marking always would double the cost of every write for SERIALIZABLE scans
//!   that most systems never run.
//!
//! # Limits
//!
//! A node with its place in the index is 72 bytes, a hold 40, an entry of a log 16. A row's only path lock is one of each
//! and 40 bytes for what is folded (`fold`); further paths of a row are one of each.
//! Paths are kept apart to 64 steps; deeper ones lock their ancestor there. The number of intervals of one index that are
//! locked at a time should stay in the hundreds: they are searched one by one.

mod add;
mod class;
mod deadlock;
mod detector;
mod escalate;
mod fold;
mod grant;
mod hold;
mod interval;
mod mode;
mod names;
mod owner;
mod plan;
mod queue;
mod report;
mod savepoint;
mod table;
mod take;
mod tree;

#[cfg(test)]
mod tests;

pub use add::Values;
pub use detector::{Decision, Detector};
pub use owner::{Epoch, Incarnation, Owner, Ticket, TxnId};
pub use report::{Entry, Wait};
pub use table::{LockConfig, LockStats, LockTable, Outcome, Refusal, Request, WaitMode};

use crate::{DeadlockPolicy, LockName, LockRequest, Mode};

/// What happened to waits and locks during a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A queued batch is held now (or, for an instant one, could have been).
    Granted {
        /// Its ticket.
        ticket: Ticket,
        /// Its transaction.
        txn: TxnId,
        /// Requests that asked for A and are covered by X; see [`Outcome::Granted`].
        exclusive: Vec<usize>,
    },
    /// A wait ended without a grant, or a transaction without a wait cannot go on.
    Aborted {
        /// Transaction.
        txn: TxnId,
        /// The wait that ended.
        ticket: Option<Ticket>,
        /// Why.
        reason: AbortReason,
    },
    /// Locks were traded for a coarser one.
    Escalated {
        /// Transaction.
        txn: TxnId,
        /// The coarse lock.
        name: LockName,
        /// Its mode.
        mode: Mode,
        /// Number of locks traded.
        count: usize,
    },
}

/// Why a wait ended, or a transaction cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// Chosen to break this cycle. The transaction may go back to a savepoint. 40P01; 40001 in SERIALIZABLE.
    Deadlock(Vec<Wait>),
    /// `wound_wait`: an older transaction needs its locks; it must be rolled back. 40001.
    Wounded {
        /// The older one.
        by: TxnId,
    },
    /// `wait_die`: it would have to wait for an older transaction. 40001.
    Died {
        /// The older one.
        older: TxnId,
    },
    /// Its locks are gone: another epoch, a dead coordinator, an A that could not be held again. 40001.
    Lost,
    /// What it added does not fit the value it got to see. 22003.
    AddOutOfRange,
}
