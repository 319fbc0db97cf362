//! Atomic commit across shards: who says what to whom, and what a crash leaves to be done (DESIGN §4).
//!
//! ```text
//!   coordinator          anchor (a written shard)      participants (the others)      readers (only S held)
//!      ├── Mark ────────────►│ locks stand                     │                            │
//!      ├── Prepare ──────────┼────────────────────────────────►│ log writes and locks       │
//!      │◄─ Marked ───────────┤                                 │                            │
//!      │◄─ Voted ────────────┼─────────────────────────────────┤                            │
//!      │   draw the timestamp                                  │                            │
//!      ├── Confirm ──────────┼─────────────────────────────────┼───────────────────────────►│ locks stood
//!      ├── Decide ──────────►│ log COMMIT: the commit point    │                            │
//!      │◄─ Decided ──────────┤                                 │                            │
//!   answer the client        ├── Finish ──────────────────────►│ writes at the timestamp    │
//!                            │◄─ Acknowledge ──────────────────┤                            │
//! ```
//!
//! Four pure cores, without clock or I/O. Messages and time come in, actions come out; the shell sends, proposes, and tells
//! what was applied.
//!
//! - [`Coordinator`]: one transaction, from COMMIT to the client's answer.
//! - [`record`]: what a replica makes of a logged command, given what it has logged before.
//! - [`Participant`]: what a shard's leader does about transactions prepared there.
//! - [`Anchor`]: what a shard's leader does about transactions decided there.
//!
//! Payloads (writes, locks) are the shell's: the cores name transactions and shards only.
//!
//! # Invariants (checked by the simulation in `tests`)
//!
//!  P1  All or nothing: no shard finishes with COMMIT while another finishes with ABORT.
//!  P2  What the client was told is what happens: COMMITTED only after the decision is logged, ABORTED only when no COMMIT can be.
//!  P3  The first decision record of a transaction stands for ever.
//!  P4  A transaction that voted waits for the anchor's decision however long it takes, and always gets one in the end.
//!  P5  After a shard has heard ABORT, a late Prepare of that transaction does nothing there.
//!  P6  A shard votes, or decides COMMIT, only while the locks it granted the transaction stand.
//!
//! # Why this way
//!
//! - *The decision lives on a shard that was written*, not on a log of the coordinator: a coordinator is a session, its
//!   death must cost nothing but the transactions it had not decided.
//! - *Anybody may ask, and asking decides*: the anchor answers a question without a record by logging ABORT, so that a
//!   participant never has to find out whether a coordinator lives. A coordinator slower than
//!   [`ASK_AFTER_MS`] after its first Prepare is aborted; it hears so as the answer to its Decide.
//! - *Presumed abort was rejected*: without a record of ABORT the same question could be answered twice differently.

mod anchor;
mod coordinator;
mod participant;
pub mod record;

#[cfg(test)]
mod tests;

pub use anchor::Anchor;
pub use coordinator::{Answer, Coordinator, Plan, Task};
pub use participant::Participant;

use crate::locks::{Incarnation, TxnId};

/// A Raft group of data.
pub type ShardId = u32;
/// A point in the order of commits.
pub type Timestamp = u64;

/// How long a participant that voted waits for the decision before it asks the anchor.
pub const ASK_AFTER_MS: u64 = 1_000;
/// How often what has not been answered is sent again.
pub const RESEND_AFTER_MS: u64 = 1_000;
/// How long an anchor keeps its locks for a coordinator that does not come to decide.
pub const MARK_KEPT_MS: u64 = 10_000;
/// How far back a shard's horizon lies: attempts that began before it are refused, and their records forgotten.
pub const HORIZON_MS: u64 = 10 * 60 * 1_000;

/// A transaction on its way to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    /// Transaction.
    pub txn: TxnId,
    /// Who coordinates it.
    pub coordinator: Incarnation,
    /// When the attempt began, in milliseconds of the coordinator's clock: compared with the horizon only.
    pub started_ms: u64,
}

/// Who takes part with writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Parties {
    /// The shard that decides. It takes part with writes, which travel with the decision.
    pub anchor: ShardId,
    /// The others.
    pub participants: Vec<ShardId>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Decision {
    /// At this timestamp.
    Commit(Timestamp),
    /// Not at all.
    Abort,
}

/// A command of the shard's log that belongs to a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Logged {
    /// A participant's vote: its writes and all its locks go with it.
    Prepare(Attempt, Parties),
    /// The anchor's decision; its own writes go with COMMIT.
    Decide(Attempt, Decision, Parties),
    /// The decision, at a participant.
    Finish(Attempt, Decision),
    /// Records nobody can ask for any more.
    Forget(Vec<TxnId>),
}

/// A message to a shard's leader. Every one may be lost, repeated or late.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Message {
    /// Coordinator to participant: log your writes and locks, and vote.
    Prepare(Attempt, Parties),
    /// Coordinator to anchor: keep your locks, a decision is coming.
    Mark(Attempt, Parties),
    /// Coordinator to a shard without writes: have your locks stood?
    Confirm(Attempt),
    /// Coordinator to anchor: commit.
    Decide(Attempt, Timestamp, Parties),
    /// Coordinator or anchor to participant: the decision. The shard to acknowledge to.
    Finish(Attempt, Decision, ShardId),
    /// Participant to anchor: what was decided? From this shard.
    Ask(Attempt, Parties, ShardId),
    /// Participant to anchor: done. From this shard.
    Acknowledge(Attempt, ShardId),
    /// Coordinator to a shard without writes: let go.
    Release(Attempt),
}

impl Message {
    /// Whose commit it is about.
    pub fn attempt(&self) -> Attempt {
        match self {
            Message::Prepare(attempt, _)
            | Message::Mark(attempt, _)
            | Message::Confirm(attempt)
            | Message::Decide(attempt, ..)
            | Message::Finish(attempt, ..)
            | Message::Ask(attempt, ..)
            | Message::Acknowledge(attempt, _)
            | Message::Release(attempt) => *attempt,
        }
    }
}

/// An answer to the coordinator. Every one may be lost, repeated or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Reply {
    /// A participant's vote.
    Voted(ShardId, bool),
    /// Whether the anchor's locks stand, and nothing is decided.
    Marked(ShardId, bool),
    /// Whether the locks of a shard without writes have stood.
    Confirmed(ShardId, bool),
    /// What stands on the anchor.
    Decided(Decision),
    /// The attempt began before the anchor's horizon: it does nothing any more, and what it did may be forgotten.
    TooLate,
}

/// What a shard leader's core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Propose a command; tell the core when it is applied. If its epoch ends instead, the core is thrown away.
    Propose(Logged),
    /// Answer the coordinator.
    Reply(Attempt, Reply),
    /// Send to another shard's leader (or to this one).
    Send(ShardId, Message),
    /// Release the transaction's locks and marks: nothing of it will happen here any more.
    Release(TxnId),
}
