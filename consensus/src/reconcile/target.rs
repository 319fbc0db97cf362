//! What is wanted: the ring's placement of shards, the voters of the meta group, and what that means for one group.

use std::collections::BTreeSet;

use crate::ring::{Placement, Standing, Wanted, place};
use crate::types::{GroupId, NodeId};

use super::{Cluster, GroupView, NodeState};

/// Voters and learners a group should have.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) voters: BTreeSet<NodeId>,
    pub(super) learners: BTreeSet<NodeId>,
    /// Voters it should have where there are nodes for them.
    pub(super) voter_count: usize,
}

/// Voters of the meta group. Not fewer where nodes are missing: those that are left could not replace them.
fn meta_count(cluster: &Cluster) -> usize {
    let full = cluster
        .nodes
        .keys()
        .filter(|node| cluster.standing(**node) == Standing::Full);
    if full.count() >= 5 { 5 } else { 3 }
}

/// Where replicas should be, for nodes and groups as they are.
pub(super) fn wanted(cluster: &Cluster) -> Placement {
    let members = cluster.members();
    // A group that was never placed begins where it is.
    let mut before = cluster.wanted.clone();
    for (id, group) in &cluster.groups {
        before.entry(*id).or_insert_with(|| Wanted {
            replicas: group.voters.iter().copied().collect(),
            leader: group.leader,
        });
    }
    for (id, wanted) in &mut before {
        let group = cluster.groups.get(id);
        let moved = cluster.moves.get(id);
        // What a node may keep is what it has, not what it was to get before it drained or went down.
        wanted.replicas.retain(|node| {
            let has = group.is_some_and(|group| group.voters.contains(node));
            let gets = || moved.is_some_and(|moved| moved.add.contains(node)) && cluster.is_active(*node);
            cluster.standing(*node) != Standing::Keeps || has || gets()
        });
    }
    let shards: Vec<GroupId> = cluster
        .groups
        .keys()
        .copied()
        .filter(|id| *id != GroupId::META)
        .collect();
    let mut wanted = place(&members, &shards, cluster.limits.replicas, &before);
    if let Some(meta) = cluster.groups.get(&GroupId::META) {
        // The meta group is led from anywhere: what leads now goes on.
        if let (Some(leader), Some(before)) = (meta.leader, before.get_mut(&GroupId::META)) {
            before.leader = Some(leader);
        }
        wanted.extend(place(&members, &[GroupId::META], meta_count(cluster), &before));
    }
    wanted
}

impl Target {
    /// What the recorded placement means for a group.
    pub(super) fn of(cluster: &Cluster, id: GroupId, group: &GroupView) -> Option<Target> {
        let wanted = cluster.wanted.get(&id)?;
        let mut voters: BTreeSet<NodeId> = wanted.replicas.iter().copied().collect();
        let mut learners = BTreeSet::new();
        // Two voters are one more that can stop the group and none that can replace another: the second one learns.
        if voters.len().is_multiple_of(2)
            && let Some(extra) = voters
                .iter()
                .rev()
                .max_by_key(|node| !group.voters.contains(node))
                .copied()
        {
            voters.remove(&extra);
            learners.insert(extra);
        }
        if id == GroupId::META {
            let takes_part = |state| state != NodeState::Decommissioned;
            let others = cluster
                .nodes
                .iter()
                .filter(|(_, node)| takes_part(node.state))
                .map(|(id, _)| *id);
            learners.extend(others.filter(|node| !voters.contains(node)));
        }
        let voter_count = if id == GroupId::META {
            meta_count(cluster)
        } else {
            cluster.limits.replicas
        };
        Some(Target {
            voters,
            learners,
            voter_count,
        })
    }

    /// Whether changing the voters is safe (P2, P3).
    pub(super) fn may_become(&self, cluster: &Cluster, group: &GroupView, voters: &BTreeSet<NodeId>) -> bool {
        let healthy = cluster.healthy_count(group, voters);
        let before = cluster.healthy_count(group, &group.voters);
        let are_new_healthy = voters
            .difference(&group.voters)
            .all(|node| cluster.is_healthy(group, *node));
        are_new_healthy && healthy * 2 > voters.len() && healthy >= before.min(self.voter_count)
    }
}
