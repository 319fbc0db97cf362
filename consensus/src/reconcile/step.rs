//! What the reconciler asks for: steps, and moves they belong to.

use std::collections::BTreeSet;
use std::fmt;

use crate::ring::Placement;
use crate::types::{GroupId, NodeId};

use super::NodeState;

/// A change of the replicas of one group, from beginning to end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Move {
    /// The group.
    pub group: GroupId,
    /// Nodes that get a replica.
    pub add: BTreeSet<NodeId>,
    /// Nodes that lose theirs.
    pub remove: BTreeSet<NodeId>,
    /// What is added does not vote.
    pub is_learner: bool,
}

/// How a move ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum End {
    /// As planned.
    Done,
    /// Given up before the voters were changed: a node was lost, or something else is wanted now.
    Abandoned,
}

/// What to do. Every step may be done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Record where replicas should be.
    Want(Placement),
    /// Record the state of a node.
    SetState(NodeId, NodeState),
    /// Record that a move begins.
    Begin(Move),
    /// Record that a move has ended.
    End(GroupId, End),
    /// Open a replica on a node, without members: it waits to be added.
    Open(GroupId, NodeId),
    /// Close and delete the replica of a node that is no member. The node refuses if it knows a membership that is newer
    /// than the one this was decided by.
    Close {
        /// The group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// Place in the log of the membership that does not name the node.
        membership_index: u64,
    },
    /// Add a replica that does not vote.
    AddLearner(GroupId, NodeId),
    /// Remove replicas that do not vote.
    RemoveLearners(GroupId, BTreeSet<NodeId>),
    /// Make these the voters. Those that were and are not any more leave a shard, and go on as learners of the meta group.
    ChangeVoters(GroupId, BTreeSet<NodeId>),
    /// Hand leadership over.
    TransferLeader(GroupId, NodeId),
}

impl Step {
    /// The group whose membership or leader it changes.
    pub fn changes(&self) -> Option<GroupId> {
        match self {
            Step::AddLearner(group, _)
            | Step::RemoveLearners(group, _)
            | Step::ChangeVoters(group, _)
            | Step::TransferLeader(group, _) => Some(*group),
            Step::Want(_)
            | Step::SetState(..)
            | Step::Begin(_)
            | Step::End(..)
            | Step::Open(..)
            | Step::Close { .. } => None,
        }
    }
}

fn list(nodes: &BTreeSet<NodeId>) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    names.join(" ")
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}:", self.group)?;
        for node in &self.add {
            write!(f, " +n{node}")?;
        }
        for node in &self.remove {
            write!(f, " -n{node}")?;
        }
        f.write_str(if self.is_learner { " (learner)" } else { "" })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Want(placement) => {
                f.write_str("want")?;
                for (group, wanted) in placement {
                    let replicas = wanted.replicas.iter().copied().collect();
                    write!(f, " {group}=[{}]", list(&replicas))?;
                    if let Some(leader) = wanted.leader {
                        write!(f, "/n{leader}")?;
                    }
                }
                Ok(())
            }
            Step::SetState(node, state) => write!(f, "n{node} is {}", state.name()),
            Step::Begin(moved) => write!(f, "begin {moved}"),
            Step::End(group, End::Done) => write!(f, "end group {group}"),
            Step::End(group, End::Abandoned) => write!(f, "abandon group {group}"),
            Step::Open(group, node) => write!(f, "open group {group} on n{node}"),
            Step::Close { group, node, .. } => write!(f, "close group {group} on n{node}"),
            Step::AddLearner(group, node) => write!(f, "add learner n{node} to group {group}"),
            Step::RemoveLearners(group, nodes) => write!(f, "remove learners {} of group {group}", list(nodes)),
            Step::ChangeVoters(group, voters) => write!(f, "voters of group {group}: {}", list(voters)),
            Step::TransferLeader(group, node) => write!(f, "lead group {group} from n{node}"),
        }
    }
}
