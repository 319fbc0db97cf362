//! What openraft is told about our types, and short names for the results.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use openraft::raft::responder::Responder;
use tokio::sync::oneshot;

/// A node of the cluster.
pub type NodeId = u64;

/// A Raft group: the meta group is 0, shards follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct GroupId(pub u64);

impl GroupId {
    /// The schema registry.
    pub const META: GroupId = GroupId(0);
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Called once a command is in the queue of the log writer: see [`Group::try_propose_in`](crate::Group::try_propose_in).
pub type OnQueued = Arc<dyn Fn() + Send + Sync>;

/// A command as it lies in the log. Cloning shares the bytes.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Command(pub Bytes, #[serde(skip)] pub(crate) Option<OnQueued>);

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Command {}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying a command answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reply(pub Bytes);

/// Hands the result of a proposal to its future. openraft's own logs a warning for every future nobody waits for.
pub struct Completion<T> {
    pub(crate) done: oneshot::Sender<T>,
    pub(crate) _in_flight: Option<InFlight>,
}

/// Bytes of a command between proposing and applying, counted until it is dropped.
pub(crate) struct InFlight {
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl InFlight {
    /// Counts the bytes; `None` if that would be more than `max` together.
    pub(crate) fn count(bytes: usize, total: &Arc<AtomicUsize>, max: usize) -> Option<InFlight> {
        let before = total.fetch_add(bytes, Ordering::Relaxed);
        let counted = InFlight {
            bytes,
            total: total.clone(),
        };
        // One command alone may be larger than the bound.
        (before == 0 || before + bytes <= max).then_some(counted)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<T: Send + 'static> Responder<TypeConfig, T> for Completion<T> {
    fn on_complete(self, result: T) {
        // The proposer may have gone; the entry is applied all the same.
        let _ = self.done.send(result);
    }
}

/// Our types: a term has one leader, and nodes are addressed by the transport and not by the log. Written out, because
/// openraft's macro cannot name a generic responder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl openraft::RaftTypeConfig for TypeConfig {
    type D = Command;
    type R = Reply;
    type NodeId = NodeId;
    type Node = openraft::EmptyNode;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, NodeId>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Command, NodeId, openraft::EmptyNode>;
    type Entry = openraft::Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::TokioRuntime;
    type Responder<T>
        = Completion<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::type_config::alias::PayloadOf<TypeConfig>;
pub(crate) type CommittedLeaderId = openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term), index)
}
