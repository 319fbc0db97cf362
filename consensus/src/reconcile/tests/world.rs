//! A cluster without bytes: nodes that go down and come back, groups that elect leaders where a majority is up, replicas that
//! catch up, and steps that are carried out, late, twice or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::reconcile::{Cluster, GroupView, Limits, NodeState, NodeView, Step, plan};
use crate::types::{GroupId, NodeId};

/// A cluster, and what its invariants need to be remembered.
pub(super) struct World {
    pub(super) cluster: Cluster,
    /// Newest membership each replica knows, by its place in the log.
    knows: BTreeMap<(GroupId, NodeId), u64>,
    /// Entries a round of catching up brings.
    pub(super) speed: u64,
}

impl World {
    /// One node, which leads all shards alone.
    pub(super) fn new(shards: u64, limits: Limits) -> World {
        let mut cluster = Cluster {
            limits,
            ..Cluster::default()
        };
        cluster.nodes.insert(1, NodeView::new(NodeState::Active));
        let mut knows = BTreeMap::new();
        for id in 0..=shards {
            let group = GroupView {
                leader: Some(1),
                voters: BTreeSet::from([1]),
                open: BTreeSet::from([1]),
                lags: BTreeMap::from([(1, 0)]),
                membership_index: 1,
                ..GroupView::default()
            };
            knows.insert((GroupId(id), 1), 1);
            cluster.groups.insert(GroupId(id), group);
        }
        World {
            cluster,
            knows,
            speed: 1000,
        }
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.cluster.nodes.get(&node).is_some_and(|node| node.down_ms.is_none())
    }

    fn has_majority(&self, group: &GroupView, voters: &BTreeSet<NodeId>) -> bool {
        let up = voters
            .iter()
            .filter(|node| self.is_up(**node) && group.open.contains(node));
        up.count() * 2 > voters.len()
    }

    /// Registers a node.
    pub(super) fn add(&mut self, domain: Option<String>) -> NodeId {
        let id = self.cluster.nodes.keys().max().map_or(1, |id| id + 1);
        let mut node = NodeView::new(NodeState::Joining);
        node.domain = domain;
        self.cluster.nodes.insert(id, node);
        id
    }

    pub(super) fn set_state(&mut self, node: NodeId, state: NodeState) {
        if let Some(view) = self.cluster.nodes.get_mut(&node)
            && view.state != NodeState::Decommissioned
        {
            view.state = state;
        }
    }

    pub(super) fn crash(&mut self, node: NodeId) {
        if let Some(view) = self.cluster.nodes.get_mut(&node) {
            view.down_ms.get_or_insert(0);
        }
        self.elect();
    }

    pub(super) fn start(&mut self, node: NodeId) {
        let Some(view) = self.cluster.nodes.get_mut(&node) else {
            return;
        };
        if view.down_ms.take().is_none() {
            return;
        }
        for group in self.cluster.groups.values_mut() {
            group.lags.entry(node).and_modify(|lag| *lag += 500);
        }
        self.elect();
    }

    /// Time passes: who is down is so for longer, leaders are elected, replicas catch up.
    pub(super) fn tick(&mut self, ms: u64) {
        for node in self.cluster.nodes.values_mut() {
            if let Some(down_ms) = &mut node.down_ms {
                *down_ms += ms;
            }
        }
        self.elect();
        let up: BTreeSet<NodeId> = self
            .cluster
            .nodes
            .keys()
            .copied()
            .filter(|node| self.is_up(*node))
            .collect();
        for (id, group) in &mut self.cluster.groups {
            if group.leader.is_none() {
                continue;
            }
            for node in group
                .voters
                .union(&group.learners)
                .filter(|node| group.open.contains(node))
            {
                let lag = group.lags.entry(*node).or_insert(5000);
                if up.contains(node) {
                    *lag = lag.saturating_sub(self.speed);
                    self.knows.insert((*id, *node), group.membership_index);
                }
            }
        }
    }

    /// Groups without a leader elect one where a majority is up and has what was committed.
    fn elect(&mut self) {
        for id in self.cluster.groups.keys().copied().collect::<Vec<_>>() {
            let group = &self.cluster.groups[&id];
            let may_lead = |node: NodeId| self.is_up(node) && group.open.contains(&node);
            let can_commit = self.has_majority(group, &group.voters)
                && group
                    .joint_to
                    .as_ref()
                    .is_none_or(|voters| self.has_majority(group, voters));
            let leader = group.leader.filter(|leader| may_lead(*leader) && can_commit);
            let best = group
                .voters
                .iter()
                .copied()
                .filter(|node| may_lead(*node) && group.lags.get(node) == Some(&0));
            let leader = leader.or_else(|| best.min().filter(|_| can_commit));
            self.cluster.groups.get_mut(&id).expect("exists").leader = leader;
        }
    }

    /// Carries a step out as the shell would: whatever is not possible is not done.
    pub(super) fn carry_out(&mut self, step: &Step) {
        match step {
            Step::Want(placement) => self.cluster.wanted = placement.clone(),
            Step::SetState(node, state) => self.set_state(*node, *state),
            Step::Begin(moved) => drop(self.cluster.moves.insert(moved.group, moved.clone())),
            Step::End(group, _) => drop(self.cluster.moves.remove(group)),
            Step::Open(group, node) => {
                if self.is_up(*node) {
                    self.cluster.groups.get_mut(group).expect("exists").open.insert(*node);
                }
            }
            Step::Close {
                group,
                node,
                membership_index,
            } => self.close(*group, *node, *membership_index),
            Step::AddLearner(id, node) => {
                self.change(*id, |group| {
                    if !group.voters.contains(node) {
                        group.learners.insert(*node);
                    }
                });
            }
            Step::RemoveLearners(id, nodes) => {
                self.change(*id, |group| group.learners.retain(|node| !nodes.contains(node)));
            }
            Step::ChangeVoters(id, voters) => self.change_voters(*id, voters, true),
            Step::TransferLeader(id, node) => {
                let is_up = self.is_up(*node);
                let group = self.cluster.groups.get_mut(id).expect("exists");
                if is_up && group.leader.is_some() && group.voters.contains(node) && group.lags.get(node) == Some(&0) {
                    group.leader = Some(*node);
                }
            }
        }
        self.elect();
    }

    /// A node closes a replica unless it knows a newer membership.
    fn close(&mut self, id: GroupId, node: NodeId, membership_index: u64) {
        let is_newer = self
            .knows
            .get(&(id, node))
            .is_some_and(|known| *known > membership_index);
        if self.is_up(node) && !is_newer {
            let group = self.cluster.groups.get_mut(&id).expect("exists");
            assert!(
                !group.voters.contains(&node),
                "P4: a voter of group {id} is closed on n{node}"
            );
            group.open.remove(&node);
            group.lags.remove(&node);
            self.knows.remove(&(id, node));
        }
    }

    fn change(&mut self, id: GroupId, change: impl FnOnce(&mut GroupView)) {
        let group = self.cluster.groups.get_mut(&id).expect("exists");
        if group.leader.is_some() && group.joint_to.is_none() {
            change(group);
            group.membership_index += 1;
        }
        self.learn(id);
    }

    /// Healthy replicas learn of a membership as it is committed.
    fn learn(&mut self, id: GroupId) {
        let group = &self.cluster.groups[&id];
        for node in group.voters.union(&group.learners) {
            if self.cluster.is_healthy(group, *node) {
                self.knows.insert((id, *node), group.membership_index);
            }
        }
    }

    /// Changes voters in two steps, as openraft does; without `finish` whoever asked for it dies in between.
    pub(super) fn change_voters(&mut self, id: GroupId, voters: &BTreeSet<NodeId>, finish: bool) {
        let group = &self.cluster.groups[&id];
        let known: BTreeSet<NodeId> = group.voters.union(&group.learners).copied().collect();
        let is_possible = group.leader.is_some()
            && voters.is_subset(&known)
            && self.has_majority(group, voters)
            && self.has_majority(group, &group.voters)
            && group.joint_to.as_ref().is_none_or(|other| other == voters);
        if !is_possible || group.voters == *voters {
            return;
        }
        // What was begun must be finished, whoever died in between.
        let is_begun = group.joint_to.is_some();
        let target = self.cluster.limits.replicas.min(3);
        let before = self.cluster.healthy_count(group, &group.voters);
        let after = self.cluster.healthy_count(group, voters);
        // Asked for by a view that may be older than the world: what died since is not the reconciler's doing.
        let new = voters
            .difference(&group.voters)
            .filter(|node| self.is_up(**node))
            .count();
        let died = voters.difference(&group.voters).count() - new;
        assert!(
            is_begun || after + died >= before.min(target),
            "P2: group {id} goes from {before} to {after} healthy voters"
        );
        let group = self.cluster.groups.get_mut(&id).expect("exists");
        group.membership_index += 1;
        if !finish {
            group.joint_to = Some(voters.clone());
            return;
        }
        group.joint_to = None;
        let before = std::mem::replace(&mut group.voters, voters.clone());
        if id == GroupId::META {
            group.learners.extend(before);
        }
        group.learners.retain(|node| !voters.contains(node));
        if group.leader.is_some_and(|leader| !voters.contains(&leader)) {
            group.leader = None;
        }
        self.learn(id);
    }

    /// What must hold at every moment, and of every plan.
    pub(super) fn check(&self, steps: &[Step]) {
        let mut changed = BTreeSet::new();
        for group in steps.iter().filter_map(Step::changes) {
            assert!(changed.insert(group), "P1: two changes of group {group}: {steps:?}");
        }
        let begun = steps.iter().filter(|step| matches!(step, Step::Begin(_))).count();
        let limits = &self.cluster.limits;
        assert!(begun == 0 || self.cluster.moves.len() + begun <= limits.moves_max, "P5");
        for (id, group) in &self.cluster.groups {
            assert!(!group.voters.is_empty(), "group {id} has no voters");
            assert!(group.voters.len() % 2 == 1, "P3: group {id} has {:?}", group.voters);
        }
    }

    /// Plans and carries out until nothing is left to do. `false` if that takes too long.
    pub(super) fn settle(&mut self, rounds_max: usize) -> bool {
        let mut idle = 0;
        for _ in 0..rounds_max {
            let steps = plan(&self.cluster);
            self.check(&steps);
            steps.iter().for_each(|step| self.carry_out(step));
            self.tick(1000);
            idle = if steps.is_empty() && self.cluster.moves.is_empty() {
                idle + 1
            } else {
                0
            };
            // What lags may still be transferred to or activated once it has caught up.
            if idle > 10 {
                return true;
            }
        }
        false
    }

    /// The cluster as text.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (id, node) in &self.cluster.nodes {
            let down = node.down_ms.map_or(String::new(), |ms| format!(", down for {ms} ms"));
            writeln!(text, "  n{id} {}{down}", node.state.name()).unwrap();
        }
        for (id, group) in &self.cluster.groups {
            let nodes = |nodes: &BTreeSet<NodeId>| {
                nodes
                    .iter()
                    .map(|node| format!("n{node}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let leader = group.leader.map_or("nobody".into(), |leader| format!("n{leader}"));
            write!(text, "  group {id}: {} led by {leader}", nodes(&group.voters)).unwrap();
            if !group.learners.is_empty() {
                write!(text, ", learners {}", nodes(&group.learners)).unwrap();
            }
            if let Some(voters) = &group.joint_to {
                write!(text, ", on the way to {}", nodes(voters)).unwrap();
            }
            let members = |node: &NodeId| group.voters.contains(node) || group.learners.contains(node);
            let left: BTreeSet<NodeId> = group.open.iter().copied().filter(|node| !members(node)).collect();
            if !left.is_empty() {
                write!(text, ", also on {}", nodes(&left)).unwrap();
            }
            if let Some(moved) = self.cluster.moves.get(id) {
                write!(text, " ({})", crate::reconcile::phase(&self.cluster, moved).name()).unwrap();
            }
            text.push('\n');
        }
        text
    }
}
