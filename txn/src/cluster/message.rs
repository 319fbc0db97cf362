//! What nodes ask each other about the cluster.

use std::collections::BTreeSet;

use consensus::reconcile::NodeState;
use consensus::{GroupId, Membership, NodeId, ServiceId};
use serde::{Deserialize, Serialize};

use super::api::Registered;
use super::overview::Overview;
use super::records::{NodeDescription, Settings};

/// The service that answers.
pub(crate) const SERVICE: ServiceId = ServiceId(11);

/// A question or an order. All of them may be repeated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// To a node: how are you?
    Report,
    /// To a node: open a replica and wait to be added.
    Open(GroupId),
    /// To a node: close and delete a replica, unless you know a newer membership.
    Close { group: GroupId, membership_index: u64 },
    /// To a group's leader: change your members, if they are still those of this place in the log.
    Change {
        group: GroupId,
        membership_index: u64,
        change: GroupChange,
    },
    /// To the leader of the meta group: this node is, or wants to be, of the cluster, with this number.
    Register(NodeDescription, Option<NodeId>),
    /// To the leader of the meta group: a node is to be something else.
    SetState(NodeId, NodeState),
    /// To the leader of the meta group: settings of the cluster.
    Set(Settings),
    /// To the leader of the meta group: how is the cluster?
    Overview,
}

/// A change of a group's members or leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum GroupChange {
    AddLearner(NodeId),
    RemoveLearners(BTreeSet<NodeId>),
    ChangeVoters(BTreeSet<NodeId>),
    TransferLeader(NodeId),
}

/// An answer to [`Ask`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Report(Report),
    Registered(Registered),
    Overview(Overview),
    /// This node is not the one to ask; that one leads, if it is known.
    NotLeader(Option<NodeId>),
    /// It was not done, and why.
    Refused(String),
}

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Number of this start of the node.
    pub(crate) start: u64,
    pub(crate) version: String,
    pub(crate) replicas: Vec<ReplicaReport>,
}

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaReport {
    pub(crate) group: GroupId,
    /// Who leads, as far as the node knows.
    pub(crate) leader: Option<NodeId>,
    pub(crate) term: u64,
    pub(crate) applied: u64,
    /// Bytes on disk and in memory, roughly.
    pub(crate) bytes: u64,
    /// From the leader, while it serves.
    pub(crate) membership: Option<Membership>,
}
