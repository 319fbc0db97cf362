//! Members of a group: who they are, how far behind, and the changes a reconciler makes.

use std::collections::{BTreeMap, BTreeSet};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, EmptyNode};

use crate::types::NodeId;
use crate::{ConsensusError, Group};

/// The newest membership of a group that a node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Membership {
    /// Voters; while they change, those of before.
    pub voters: BTreeSet<NodeId>,
    /// Replicas that do not vote.
    pub learners: BTreeSet<NodeId>,
    /// The voters a change leads to that was begun and not finished.
    pub joint_to: Option<BTreeSet<NodeId>>,
    /// Whether it is known to be committed.
    pub is_committed: bool,
    /// Its place in the log.
    pub index: u64,
    /// Entries that replicas lack; known to the leader only.
    pub lags: BTreeMap<NodeId, u64>,
}

impl Membership {
    /// Whether a node has a part in the group, or gets one.
    pub fn contains(&self, node: NodeId) -> bool {
        let becomes = self.joint_to.as_ref().is_some_and(|voters| voters.contains(&node));
        self.voters.contains(&node) || self.learners.contains(&node) || becomes
    }
}

impl Group {
    /// The newest membership this node knows.
    pub fn membership(&self) -> Membership {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |config: &crate::types::StoredMembership| config.log_id().as_ref().map_or(0, |id| id.index);
        let newest = &metrics.membership_config;
        let mut configs = newest.get_joint_config().iter().cloned();
        let last = metrics.last_log_index.unwrap_or(0);
        // A log that is empty begins at index 0: one entry is lacking, not none.
        let lag = |matched: Option<u64>| matched.map_or(last + 1, |matched| last.saturating_sub(matched));
        let lags = metrics.replication.iter().flatten();
        Membership {
            voters: configs.next().unwrap_or_default(),
            joint_to: configs.next(),
            learners: newest.membership().learner_ids().collect(),
            is_committed: index(newest) == index(&metrics.committed_membership_config),
            index: index(newest),
            lags: lags
                .map(|(node, matched)| (*node, lag(matched.as_ref().map(|id| id.index))))
                .collect(),
        }
    }

    /// As [`add_learner`](Self::add_learner), but returns once the learner is a member, however far behind.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`] or [`ConsensusError::Membership`].
    pub async fn admit_learner(&self, node: NodeId) -> Result<(), ConsensusError> {
        self.changed(self.raft.add_learner(node, EmptyNode::new(), false).await)
    }

    /// As [`change_voters`](Self::change_voters), but those that were voters and are not any more go on as learners.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`] or [`ConsensusError::Membership`].
    pub async fn change_voters_keeping(&self, voters: BTreeSet<NodeId>) -> Result<(), ConsensusError> {
        self.changed(self.raft.change_membership(voters, true).await)
    }

    /// Removes replicas that do not vote.
    ///
    /// # Errors
    /// [`ConsensusError::NotLeader`] or [`ConsensusError::Membership`].
    pub async fn remove_learners(&self, nodes: BTreeSet<NodeId>) -> Result<(), ConsensusError> {
        let change = ChangeMembers::RemoveNodes(nodes);
        self.changed(self.raft.change_membership(change, true).await)
    }
}
