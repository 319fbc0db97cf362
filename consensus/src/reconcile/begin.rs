//! Which moves begin, and which leaders are handed over.

use std::collections::{BTreeMap, BTreeSet};

use crate::ring::Standing;
use crate::types::{GroupId, NodeId};

use super::advance::successor;
use super::target::Target;
use super::{Cluster, GroupView, Move, Step};

/// How much a move is needed; less is sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Voters are missing, or dead.
    Lacking,
    /// A node waits to be emptied, or to be told what there is.
    Asked,
    /// For balance.
    Balance,
}

/// Moves that may begin now (P5).
pub(super) fn begin(cluster: &Cluster) -> Vec<Step> {
    let mut candidates: Vec<(Urgency, Move)> = Vec::new();
    for (id, group) in &cluster.groups {
        let is_settled = group.leader.is_some() && !group.is_changing && group.joint_to.is_none();
        if is_settled
            && !cluster.moves.contains_key(id)
            && let Some(candidate) = choose(cluster, *id, group)
        {
            candidates.push(candidate);
        }
    }
    candidates.sort_by_key(|(urgency, moved)| (*urgency, moved.group));
    let mut count = cluster.moves.len();
    let mut to_node: BTreeMap<NodeId, usize> = BTreeMap::new();
    for node in cluster.moves.values().flat_map(|moved| &moved.add) {
        *to_node.entry(*node).or_default() += 1;
    }
    let mut steps = Vec::new();
    for (_, moved) in candidates {
        let is_node_free = |node: &NodeId| {
            to_node
                .get(node)
                .is_none_or(|count| *count < cluster.limits.node_moves_max)
        };
        if count >= cluster.limits.moves_max || !moved.add.iter().all(is_node_free) {
            continue;
        }
        count += 1;
        for node in &moved.add {
            *to_node.entry(*node).or_default() += 1;
        }
        steps.push(Step::Begin(moved));
    }
    steps
}

/// The move a group needs most, if one can be made now.
fn choose(cluster: &Cluster, id: GroupId, group: &GroupView) -> Option<(Urgency, Move)> {
    let target = Target::of(cluster, id, group)?;
    let is_leaving = |node: &NodeId| cluster.standing(*node) == Standing::Leaves;
    let has_dead = group
        .voters
        .iter()
        .any(|node| is_leaving(node) && !cluster.is_alive(*node));
    let urgency = if group.voters.len() < target.voters.len() || has_dead {
        Urgency::Lacking
    } else if group.voters.iter().any(is_leaving) {
        Urgency::Asked
    } else {
        Urgency::Balance
    };
    let (add, remove) = voter_change(cluster, group, &target);
    if !add.is_empty() || !remove.is_empty() {
        let moved = Move {
            group: id,
            add,
            remove,
            is_learner: false,
        };
        return Some((urgency, moved));
    }
    learner_change(cluster, id, group, &target).map(|moved| (Urgency::Asked, moved))
}

/// Voters to add and to remove in one change.
fn voter_change(cluster: &Cluster, group: &GroupView, target: &Target) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
    let can_be_added = |node: &&NodeId| cluster.standing(**node) == Standing::Full;
    let missing: Vec<NodeId> = target
        .voters
        .difference(&group.voters)
        .filter(can_be_added)
        .copied()
        .collect();
    let mut extra: Vec<NodeId> = group.voters.difference(&target.voters).copied().collect();
    // The dead go first, then those that have to; a leader last.
    extra.sort_by_key(|node| {
        let has_to_go = cluster.standing(*node) == Standing::Leaves;
        (cluster.is_alive(*node), !has_to_go, group.leader == Some(*node), *node)
    });
    let (have, want) = (group.voters.len(), target.voters.len());
    let none = (BTreeSet::new(), BTreeSet::new());
    if have < want {
        // Two at once, so that the number stays odd (P3).
        let mut count = (want - have).min(missing.len());
        if (have + count).is_multiple_of(2) {
            // What makes an even number odd adds one more; one too few is none.
            count = count.saturating_sub(1);
        }
        if count > 0 {
            return (missing.into_iter().take(count).collect(), BTreeSet::new());
        }
    } else if have > want {
        let remove: BTreeSet<NodeId> = extra.into_iter().take(have - want).collect();
        let rest: BTreeSet<NodeId> = group.voters.difference(&remove).copied().collect();
        let is_enough = rest.len() >= target.voter_count && target.may_become(cluster, group, &rest);
        return if is_enough { (BTreeSet::new(), remove) } else { none };
    }
    match (missing.first(), extra.first()) {
        (Some(add), Some(remove)) => (BTreeSet::from([*add]), BTreeSet::from([*remove])),
        _ => none,
    }
}

/// Learners to add, or to remove.
fn learner_change(cluster: &Cluster, id: GroupId, group: &GroupView, target: &Target) -> Option<Move> {
    let members: BTreeSet<NodeId> = group.voters.union(&group.learners).copied().collect();
    let is_alive = |node: &&NodeId| cluster.is_alive(**node);
    let add: BTreeSet<NodeId> = target
        .learners
        .difference(&members)
        .filter(is_alive)
        .take(1)
        .copied()
        .collect();
    let is_unwanted = |node: &&NodeId| !target.learners.contains(node) && !target.voters.contains(node);
    let remove: BTreeSet<NodeId> = group.learners.iter().filter(is_unwanted).copied().collect();
    let moved = |add, remove| Move {
        group: id,
        add,
        remove,
        is_learner: true,
    };
    if !remove.is_empty() {
        Some(moved(BTreeSet::new(), remove))
    } else if !add.is_empty() {
        Some(moved(add, BTreeSet::new()))
    } else {
        None
    }
}

/// Leaders that are handed over: at once those of nodes that should lead nothing, a few at a time the rest.
pub(super) fn transfer(cluster: &Cluster, before: &[Step]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut count = 0;
    for (id, group) in &cluster.groups {
        let is_busy = cluster.moves.contains_key(id)
            || before.iter().any(|step| step.changes() == Some(*id))
            || before
                .iter()
                .any(|step| matches!(step, Step::Begin(moved) if moved.group == *id));
        let is_settled = !group.is_changing && group.joint_to.is_none();
        let (Some(leader), false, true) = (group.leader, is_busy, is_settled) else {
            continue;
        };
        let wanted = cluster.wanted.get(id).and_then(|wanted| wanted.leader);
        if wanted.is_none_or(|wanted| wanted == leader) {
            continue;
        }
        let Some(to) = successor(cluster, *id, group, &BTreeSet::new()) else {
            continue;
        };
        let has_to = cluster.standing(leader) != Standing::Full;
        if !has_to && (Some(to) != wanted || count >= cluster.limits.transfers_max) {
            continue;
        }
        count += usize::from(!has_to);
        steps.push(Step::TransferLeader(*id, to));
    }
    steps
}
