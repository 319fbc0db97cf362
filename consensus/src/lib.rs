//! Consensus: Raft groups on openraft, over one log of all groups of a node.
//!
//! ```text
//!   leader task ── propose ──►  Group ──► openraft ──► LogStore ─┐ appends, votes, truncations of all groups,
//!        ▲                        │                              ▼ in call order
//!        │ applied, reply         │                        one writer thread: one batch, one sync, then callbacks
//!        └──── Machine ◄── apply ─┘ committed                    │
//!               │ one batch per entry, without WAL               ▼
//!               ▼                                            raft-log
//!           shard-7.0001                                     (column families of one RocksDB)
//! ```
//!
//! # How to use it
//!
//! Open a [`Groups`] per node; [`Groups::open_group`] per group with a [`Machine`]. On the leader, [`Group::propose`] puts a
//! command into the log in call order and returns a future of its reply; many may be in flight. [`Group::leadership`] says
//! when this node leads and may serve; [`Group::is_lease_open`] whether it may read without asking anybody.
//! A [`Transport`] carries requests between nodes; [`Groups::handle`] answers them. [`LocalTransport`] does it in one
//! process. Layers above ask other nodes through it too ([`Service`], [`Groups::serve`]).
//!
//! # Invariants (DESIGN §5)
//!
//! - **C1** Applying is a pure function of (family, command), and all a machine knows is in its family: the adapter adds
//!   the applied log id to the batch of each entry ([`machine`]).
//! - **C2** purged ≤ flushed ≤ applied ≤ committed. State machines are written without WAL; building a snapshot flushes
//!   their family before openraft may purge ([`snapshot`]); the committed id is saved ([`log`]), so a restart replays.
//! - **C3** One writer, one sync per round for all groups, in call order, callbacks after the sync ([`log::writer`]).
//! - **C4** A restarted leader does not lead again in its old term; a restarted voter refuses votes for a lease; a lease is
//!   80 % of openraft's; a leader serves after its first entry is applied; `pre_vote` and `transfer_leader` are real
//!   ([`groups`], [`leadership`], [`network`]).
//! - **C5** A snapshot is a RocksDB snapshot; files are written when a follower needs them, installed into a new family that
//!   becomes current in one synced write; taken after so many bytes of log. A full device is waited for; a broken one stops
//!   the group.
//! - **C6** Requests of one group to one node arrive in the order they were made; several are in flight. Between processes
//!   they are frames of one stream ([`rpc`]).

pub mod error;
pub mod group;
pub mod groups;
pub mod leadership;
pub mod log;
pub mod machine;
pub mod members;
pub mod network;
pub mod reconcile;
pub mod ring;
pub mod rpc;
pub mod snapshot;
pub mod transport;
pub mod types;

#[cfg(test)]
mod tests;

pub use error::ConsensusError;
pub use group::{Applied, Group, Proposal};
pub use groups::{Groups, GroupsOptions, Members};
pub use leadership::{Leadership, Role};
pub use machine::{CommandEntry, Machine};
pub use members::Membership;
pub use rpc::{Rpc, RpcOptions};
pub use transport::{LocalTransport, Request, Response, Service, ServiceId, Transport, TransportError};
pub use types::{GroupId, NodeId, OnQueued};
