//! Who should lead: as evenly as the replicas allow.
//!
//! A shard can be led by its replicas only, so evening out may take a chain: n1 gives a shard to n2 that n3 cannot take, and
//! n2 gives another to n3. The shortest chain is found by a search from the node that lacks one.

use std::collections::{BTreeMap, VecDeque};

use super::{Member, Placement, Standing, shares};
use crate::types::{GroupId, NodeId};

/// Leaders being chosen.
struct Leaders<'a> {
    held: &'a BTreeMap<GroupId, Vec<NodeId>>,
    leaders: BTreeMap<GroupId, NodeId>,
    loads: BTreeMap<NodeId, u64>,
    bounds: BTreeMap<NodeId, (u64, u64)>,
}

/// Chooses a leader of each shard that has a replica on a node that may lead. Those of before stay as far as they may.
pub(super) fn choose(
    members: &BTreeMap<NodeId, &Member>,
    held: &BTreeMap<GroupId, Vec<NodeId>>,
    before: &Placement,
) -> BTreeMap<GroupId, NodeId> {
    let full = members.values().filter(|member| member.standing == Standing::Full);
    let weights: BTreeMap<NodeId, u64> = full
        .map(|member| (member.id, u64::from(member.weight.max(1))))
        .collect();
    let bounds = shares(&weights, held.len() as u64, held.len() as u64);
    let loads = weights.keys().map(|node| (*node, 0)).collect();
    let leaders = BTreeMap::new();
    let mut leaders = Leaders {
        held,
        leaders,
        loads,
        bounds,
    };
    let may_lead = |shard: &GroupId, node: &NodeId| held[shard].contains(node) && weights.contains_key(node);
    for shard in held.keys() {
        let leader = before.get(shard).and_then(|wanted| wanted.leader);
        if let Some(leader) = leader.filter(|leader| may_lead(shard, leader)) {
            leaders.set(*shard, leader);
        }
    }
    for (shard, nodes) in held {
        if leaders.leaders.contains_key(shard) {
            continue;
        }
        // The replica with the smallest part of its share; the ring's favourite among equals.
        let part = |node: &NodeId| leaders.loads[node] * 1_000_000 / weights[node];
        if let Some(leader) = nodes
            .iter()
            .filter(|node| may_lead(shard, node))
            .min_by_key(|node| part(node))
        {
            leaders.set(*shard, *leader);
        }
    }
    leaders.even_out();
    leaders.leaders
}

impl Leaders<'_> {
    fn set(&mut self, shard: GroupId, leader: NodeId) {
        if let Some(before) = self.leaders.insert(shard, leader) {
            self.loads.entry(before).and_modify(|load| *load -= 1);
        }
        self.loads.entry(leader).and_modify(|load| *load += 1);
    }

    fn even_out(&mut self) {
        // First nobody has too much, then nobody too little. Each chain lessens the sum of what is wrong by one.
        while self.shift(|load, (_, most)| load < most, |load, (_, most)| load > most) {}
        while self.shift(|load, (least, _)| load < least, |load, (least, _)| load > least) {}
    }

    /// Moves leaders along one chain from a node that gives to a node that takes. `false` if there is none.
    fn shift(&mut self, takes: impl Fn(u64, (u64, u64)) -> bool, gives: impl Fn(u64, (u64, u64)) -> bool) -> bool {
        let is = |node: &NodeId, what: &dyn Fn(u64, (u64, u64)) -> bool| what(self.loads[node], self.bounds[node]);
        if !self.loads.keys().any(|node| is(node, &gives)) {
            return false;
        }
        let takers: Vec<NodeId> = self.loads.keys().copied().filter(|node| is(node, &takes)).collect();
        // How each node found would pass a leader on: which shard, and to whom.
        let mut next: BTreeMap<NodeId, Option<(GroupId, NodeId)>> = takers.iter().map(|node| (*node, None)).collect();
        let mut queue: VecDeque<NodeId> = takers.into();
        while let Some(to) = queue.pop_front() {
            for (shard, from) in &self.leaders {
                if next.contains_key(from) || !self.held[shard].contains(&to) {
                    continue;
                }
                next.insert(*from, Some((*shard, to)));
                if is(from, &gives) {
                    self.follow(*from, &next);
                    return true;
                }
                queue.push_back(*from);
            }
        }
        false
    }

    fn follow(&mut self, mut from: NodeId, next: &BTreeMap<NodeId, Option<(GroupId, NodeId)>>) {
        while let Some(Some((shard, to))) = next.get(&from) {
            self.set(*shard, *to);
            from = *to;
        }
    }
}
