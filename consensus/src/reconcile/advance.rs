//! The next step of a move, from the real membership of its group.

use std::collections::BTreeSet;

use crate::ring::Standing;
use crate::types::{GroupId, NodeId};

use super::target::Target;
use super::{Cluster, End, GroupView, Move, Step, is_member};

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A replica is being made.
    Opening,
    /// It receives a snapshot or the log: so many entries are missing, if that is known.
    CatchingUp(Option<u64>),
    /// The voters are being changed.
    Switching,
    /// What left is being removed.
    Closing,
    /// The group has no leader at the moment.
    Waiting,
}

impl Phase {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Opening => "opening",
            Phase::CatchingUp(_) => "catching up",
            Phase::Switching => "switching",
            Phase::Closing => "closing",
            Phase::Waiting => "waiting",
        }
    }
}

/// Where a move is, and what comes next if anything can be done.
fn next(cluster: &Cluster, moved: &Move, group: &GroupView) -> (Phase, Vec<Step>) {
    let id = moved.group;
    if group.leader.is_none() || group.is_changing {
        return (Phase::Waiting, Vec::new());
    }
    if let Some(voters) = &group.joint_to {
        // Whoever began the change did not finish it.
        return (Phase::Switching, vec![Step::ChangeVoters(id, voters.clone())]);
    }
    let Some(target) = Target::of(cluster, id, group) else {
        return (Phase::Waiting, Vec::new());
    };
    let mut after: BTreeSet<NodeId> = group.voters.difference(&moved.remove).copied().collect();
    if !moved.is_learner {
        after.extend(&moved.add);
    }
    let is_switched = after == group.voters;
    if !is_begun_well(cluster, moved, group, &target) {
        return (Phase::Closing, vec![Step::End(id, End::Abandoned)]);
    }
    let adding = || moved.add.iter().copied().filter(|node| !group.voters.contains(node));
    let opening: Vec<Step> = adding()
        .filter(|node| !group.open.contains(node) && cluster.is_alive(*node))
        .map(|node| Step::Open(id, node))
        .collect();
    if !opening.is_empty() {
        return (Phase::Opening, opening);
    }
    if let Some(node) = adding().find(|node| !group.learners.contains(node)) {
        let steps = if cluster.is_alive(node) {
            vec![Step::AddLearner(id, node)]
        } else {
            Vec::new()
        };
        return (Phase::CatchingUp(None), steps);
    }
    if let Some(node) = adding().find(|node| !cluster.is_healthy(group, *node)) {
        return (Phase::CatchingUp(group.lags.get(&node).copied()), Vec::new());
    }
    if !is_switched {
        let steps = switch(cluster, moved, group, &target, after);
        return (Phase::Switching, steps);
    }
    // What was a voter may be wanted as a learner from now on.
    let is_unwanted = |node: &&NodeId| !target.learners.contains(node);
    let learners = group.learners.intersection(&moved.remove).filter(is_unwanted);
    let learners: BTreeSet<NodeId> = learners.copied().collect();
    if !learners.is_empty() {
        return (Phase::Closing, vec![Step::RemoveLearners(id, learners)]);
    }
    let closing: Vec<Step> = closing(cluster, id, group, &moved.remove);
    if !closing.is_empty() {
        return (Phase::Closing, closing);
    }
    (Phase::Closing, vec![Step::End(id, End::Done)])
}

/// Whether a move still leads to what is wanted. Once its voters are in place it is finished in any case.
fn is_begun_well(cluster: &Cluster, moved: &Move, group: &GroupView, target: &Target) -> bool {
    let wanted = if moved.is_learner {
        &target.learners
    } else {
        &target.voters
    };
    let is_lost = |node: &NodeId| match (group.voters.contains(node), moved.is_learner) {
        (true, _) => false,
        (false, true) => !cluster.is_alive(*node) && cluster.standing(*node) == Standing::Leaves,
        (false, false) => cluster.standing(*node) == Standing::Leaves || !cluster.is_active(*node),
    };
    let adds_well = moved
        .add
        .iter()
        .all(|node| group.voters.contains(node) || wanted.contains(node));
    let is_wanted_again = |node: &NodeId| {
        let is_learner_wanted = moved.is_learner && target.learners.contains(node);
        is_member(group, *node) && (target.voters.contains(node) || is_learner_wanted)
    };
    adds_well && !moved.remove.iter().any(is_wanted_again) && !moved.add.iter().any(is_lost)
}

/// The change of voters, or what has to come before.
fn switch(cluster: &Cluster, moved: &Move, group: &GroupView, target: &Target, voters: BTreeSet<NodeId>) -> Vec<Step> {
    if !target.may_become(cluster, group, &voters) {
        return Vec::new();
    }
    // A leader that leaves hands over first, so that nobody waits for an election. A lone voter has nobody to hand over to:
    // it leads until the change is committed.
    if group.leader.is_some_and(|leader| moved.remove.contains(&leader))
        && let Some(to) = successor(cluster, moved.group, group, &moved.remove)
    {
        return vec![Step::TransferLeader(moved.group, to)];
    }
    vec![Step::ChangeVoters(moved.group, voters)]
}

/// Who should lead instead: the wanted leader, or whoever is fit.
pub(super) fn successor(
    cluster: &Cluster,
    id: GroupId,
    group: &GroupView,
    without: &BTreeSet<NodeId>,
) -> Option<NodeId> {
    let wanted = cluster.wanted.get(&id).and_then(|wanted| wanted.leader);
    let is_fit = |node: &NodeId| {
        let is_other = group.leader != Some(*node) && !without.contains(node);
        is_other && cluster.is_healthy(group, *node) && cluster.standing(*node) == Standing::Full
    };
    let fit = group.voters.iter().copied().filter(is_fit);
    fit.min_by_key(|node| (Some(*node) != wanted, group.lags.get(node).copied()))
}

/// Closes replicas of nodes that are no members (P4).
fn closing(cluster: &Cluster, id: GroupId, group: &GroupView, nodes: &BTreeSet<NodeId>) -> Vec<Step> {
    let may_go = |node: &&NodeId| group.open.contains(node) && !is_member(group, **node) && cluster.is_alive(**node);
    let close = |node: &NodeId| Step::Close {
        group: id,
        node: *node,
        membership_index: group.membership_index,
    };
    nodes.iter().filter(may_go).map(close).collect()
}

/// The next steps of a group's move; without a move, what is left of earlier ones is finished or removed.
pub(super) fn advance(cluster: &Cluster, id: GroupId, group: &GroupView) -> Vec<Step> {
    if let Some(moved) = cluster.moves.get(&id) {
        return next(cluster, moved, group).1;
    }
    if group.leader.is_none() || group.is_changing {
        return Vec::new();
    }
    match &group.joint_to {
        Some(voters) => vec![Step::ChangeVoters(id, voters.clone())],
        None => closing(cluster, id, group, &group.open),
    }
}

pub(super) fn phase(cluster: &Cluster, moved: &Move) -> Phase {
    let group = cluster.groups.get(&moved.group);
    group.map_or(Phase::Waiting, |group| next(cluster, moved, group).0)
}
