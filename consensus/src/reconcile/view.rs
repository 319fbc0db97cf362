//! What the reconciler looks at: nodes, groups, what was recorded, and the limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::ring::{Member, Placement, Standing, WEIGHT};
use crate::types::{GroupId, NodeId};

use super::Move;

/// What a node was told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Registered; it gets a replica of the meta group and nothing else until that has caught up.
    Joining,
    /// Holds replicas and leads.
    Active,
    /// Keeps its replicas and leads nothing: it may be stopped without anybody noticing.
    Draining,
    /// Is to be emptied; it is decommissioned when it holds nothing any more.
    Leaving,
    /// Out of the cluster for ever.
    Decommissioned,
}

impl NodeState {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Joining => "joining",
            NodeState::Active => "active",
            NodeState::Draining => "draining",
            NodeState::Leaving => "leaving",
            NodeState::Decommissioned => "decommissioned",
        }
    }
}

/// A node as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// What it was told to be.
    pub state: NodeState,
    /// Its share beside others ([`WEIGHT`]).
    pub weight: u32,
    /// Its failure domain.
    pub domain: Option<String>,
    /// For how long it has not been heard of; `None` if it is alive.
    pub down_ms: Option<u64>,
}

impl NodeView {
    /// A node that is alive and ordinary.
    pub fn new(state: NodeState) -> NodeView {
        NodeView {
            state,
            weight: WEIGHT,
            domain: None,
            down_ms: None,
        }
    }
}

/// A group as its leader, and the nodes that hold replicas, report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// Who leads and serves; without a leader nothing else here is newer than the last one said.
    pub leader: Option<NodeId>,
    /// Voters of the newest membership, which is committed.
    pub voters: BTreeSet<NodeId>,
    /// Replicas that do not vote.
    pub learners: BTreeSet<NodeId>,
    /// Where a change of voters that was begun leads; it has to be finished before another.
    pub joint_to: Option<BTreeSet<NodeId>>,
    /// The newest membership is not committed yet.
    pub is_changing: bool,
    /// Place of the membership in the log.
    pub membership_index: u64,
    /// Entries of the log that replicas lack, as the leader knows.
    pub lags: BTreeMap<NodeId, u64>,
    /// Nodes that have a replica open, member or not.
    pub open: BTreeSet<NodeId>,
}

/// What bounds the reconciler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Replicas of each shard.
    pub replicas: usize,
    /// Replicas on a node that has been down for so long are made again elsewhere.
    pub dead_ms: u64,
    /// Moves at once in the cluster.
    pub moves_max: usize,
    /// Moves at once to one node.
    pub node_moves_max: usize,
    /// Leaders handed over in one round.
    pub transfers_max: usize,
    /// A replica that lacks no more entries has caught up.
    pub lag_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            replicas: 3,
            dead_ms: 300_000,
            moves_max: 4,
            node_moves_max: 2,
            transfers_max: 2,
            lag_max: 64,
        }
    }
}

/// Everything the reconciler looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// All nodes ever registered.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// All groups, the meta group included.
    pub groups: BTreeMap<GroupId, GroupView>,
    /// Recorded: where replicas should be.
    pub wanted: Placement,
    /// Recorded: moves in progress.
    pub moves: BTreeMap<GroupId, Move>,
    /// The limits.
    pub limits: Limits,
}

impl Cluster {
    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|view| view.down_ms.is_none())
    }

    pub(super) fn is_active(&self, node: NodeId) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|view| view.state == NodeState::Active)
    }

    /// What the ring may do with a node.
    pub(super) fn standing(&self, node: NodeId) -> Standing {
        let Some(view) = self.nodes.get(&node) else {
            return Standing::Leaves;
        };
        match (view.state, view.down_ms) {
            (NodeState::Joining | NodeState::Leaving | NodeState::Decommissioned, _) => Standing::Leaves,
            (_, Some(down_ms)) if down_ms >= self.limits.dead_ms => Standing::Leaves,
            (NodeState::Draining, _) | (NodeState::Active, Some(_)) => Standing::Keeps,
            (NodeState::Active, None) => Standing::Full,
        }
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let member = |(id, view): (&NodeId, &NodeView)| Member {
            id: *id,
            weight: view.weight,
            domain: view.domain.clone(),
            standing: self.standing(*id),
        };
        self.nodes.iter().map(member).collect()
    }

    /// Whether a replica is there, up, and close behind the leader.
    pub fn is_healthy(&self, group: &GroupView, node: NodeId) -> bool {
        let lag = group.lags.get(&node).copied();
        let has_caught_up = group.leader == Some(node) || lag.is_some_and(|lag| lag <= self.limits.lag_max);
        self.is_alive(node) && group.open.contains(&node) && has_caught_up
    }

    pub(super) fn healthy_count(&self, group: &GroupView, voters: &BTreeSet<NodeId>) -> usize {
        voters.iter().filter(|node| self.is_healthy(group, **node)).count()
    }
}
