//! Cluster: who belongs to it, where replicas should be, and the task that gets them there (DESIGN C9).
//!
//! ```text
//!   register, drain, decommission ──► leader of the meta group ── Body::Cluster ──► records of the meta group
//!                                          │  each second                                   (every node has them)
//!                                          ├─ asks every node: replicas, lags, leaders      [message, service]
//!                                          ├─ consensus::reconcile::plan                    [manager]
//!                                          └─ steps: to nodes (open, close) and to leaders of groups (members, transfer)
//! ```
//!
//! The records say what nodes there are and what is wanted; the Raft membership of a group is the truth about its replicas.
//! Whether a node is alive is known by asking it, and written nowhere.
//!
//! Invariants
//!  N1  A node has one number for ever, given once: registering again with the same uuid gives the same number, and no number
//!      is given twice.
//!  N2  A move is recorded before its first step and until after its last; whoever leads the meta group next goes on.
//!  N3  An order to a group is carried out only by its leader, and only if its membership is still the one the order was
//!      made for.

mod api;
mod manager;
mod message;
mod overview;
pub(crate) mod records;
mod service;

pub use api::{NodeOrder, Registered};
pub use overview::{MoveStatus, NodeStatus, Overview, ReplicaStatus, ShardStatus};
pub use records::{NodeAddresses, NodeDescription, NodeRecord, Settings};

pub(crate) use manager::{ClusterState, start};
