//! Reconciler: from how the cluster is to how it should be, one safe step at a time (DESIGN C9).
//!
//! ```text
//!   nodes, states, health ──► ring ──► wanted placement (recorded)
//!                                          │
//!   real memberships, leaders, lags ──► compare ──► begin a move (recorded)
//!                                                      │
//!       open a replica ─► add it as a learner ─► it catches up ─► change the voters ─► close what left ─► end (recorded)
//! ```
//!
//! [`plan`] is a pure function of [`Cluster`], called again and again by the leader of the meta group; the shell carries out
//! the [`Step`]s. A move is recorded before its first step and after its last one. What its next step is follows from the
//! real membership of its group, so that a reconciler that dies, anywhere, is continued by the next one, and a step that was
//! lost or done twice does no harm.
//!
//! Invariants
//!  P1  One change per group at a time: a group has one move at most, and one step that changes its membership or leader.
//!  P2  No step lowers the number of healthy voters of a group, unless as many are left as are wanted.
//!  P3  A replica becomes a voter only when it is up and has caught up; voters change only where a majority of the new ones
//!      is healthy. The number of voters stays odd.
//!  P4  A replica is closed only where the committed membership of its group does not name it and no move adds it; the node
//!      itself refuses if it knows a newer membership ([`Step::Close`]).
//!  P5  No more moves than the limits allow, in the cluster and to one node; groups that lack replicas come first.
//!  P6  Nothing recorded and nothing to do: no steps.
//!
//! A node that is down for a moment keeps its replicas and gets nothing; after [`Limits::dead_ms`] what it held is made again
//! elsewhere, if there are nodes for it. Where there are not, its replicas stay members: dropping them would make the quorum
//! no easier to reach and forget who has the data. For the same reason a node is decommissioned only when others have taken
//! over what it holds; lower the number of replicas to get along with fewer nodes.
//!
//! The meta group is treated alike, with voters of its own number (five on five nodes and more, else three) and a learner on
//! every other node. A node joins by becoming such a learner; it is active when it has caught up.

mod advance;
mod begin;
mod step;
mod target;
mod view;

#[cfg(test)]
mod tests;

pub use advance::Phase;
pub use step::{End, Move, Step};
pub use view::{Cluster, GroupView, Limits, NodeState, NodeView};

use crate::types::{GroupId, NodeId};

/// What to do next. Steps of one answer do not depend on each other, but for records, which come first.
pub fn plan(cluster: &Cluster) -> Vec<Step> {
    let mut steps = Vec::new();
    let wanted = target::wanted(cluster);
    let is_wanted_recorded = wanted == cluster.wanted;
    if !is_wanted_recorded {
        steps.push(Step::Want(wanted));
    }
    steps.extend(change_states(cluster));
    for (id, group) in &cluster.groups {
        steps.extend(advance::advance(cluster, *id, group));
    }
    if is_wanted_recorded {
        steps.extend(begin::begin(cluster));
        steps.extend(begin::transfer(cluster, &steps));
    }
    steps
}

/// How far a move is.
pub fn phase(cluster: &Cluster, moved: &Move) -> Phase {
    advance::phase(cluster, moved)
}

/// Nodes that have joined, and nodes that hold nothing any more.
fn change_states(cluster: &Cluster) -> Vec<Step> {
    let Some(meta) = cluster.groups.get(&GroupId::META) else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    for (id, node) in &cluster.nodes {
        match node.state {
            NodeState::Joining if is_member(meta, *id) && cluster.is_healthy(meta, *id) => {
                steps.push(Step::SetState(*id, NodeState::Active));
            }
            NodeState::Leaving if is_empty(cluster, *id) => {
                steps.push(Step::SetState(*id, NodeState::Decommissioned));
            }
            NodeState::Joining
            | NodeState::Active
            | NodeState::Draining
            | NodeState::Leaving
            | NodeState::Decommissioned => {}
        }
    }
    steps
}

fn is_member(group: &GroupView, node: NodeId) -> bool {
    let becomes = group.joint_to.as_ref().is_some_and(|voters| voters.contains(&node));
    group.voters.contains(&node) || group.learners.contains(&node) || becomes
}

/// Whether nothing depends on a node: it is a learner of the meta group at most.
fn is_empty(cluster: &Cluster, node: NodeId) -> bool {
    cluster.groups.iter().all(|(id, group)| {
        let becomes_voter = group.joint_to.as_ref().is_some_and(|voters| voters.contains(&node));
        let is_voter = group.voters.contains(&node) || becomes_voter;
        let holds = is_member(group, node) || group.open.contains(&node);
        let is_known = group.leader.is_some() && !group.is_changing;
        is_known && !is_voter && (*id == GroupId::META || !holds)
    }) && cluster.moves.values().all(|moved| !moved.add.contains(&node))
}
