//! Who holds replicas: what was there stays, what is missing follows the ring, what is too much moves on.

use std::collections::{BTreeMap, BTreeSet};

use super::points::Points;
use super::{Member, Placement, Standing, shares};
use crate::types::{GroupId, NodeId};

/// Replicas being placed.
pub(super) struct Balance<'a> {
    members: &'a BTreeMap<NodeId, &'a Member>,
    replicas: usize,
    /// Place of each node in the walk of each shard.
    ranks: BTreeMap<GroupId, BTreeMap<NodeId, usize>>,
    held: BTreeMap<GroupId, Vec<NodeId>>,
    /// Replicas that were there before: those that are new cost nothing to move.
    kept: BTreeSet<(GroupId, NodeId)>,
    /// Replicas of each node that may get some.
    loads: BTreeMap<NodeId, u64>,
    /// Least and most replicas of each such node.
    bounds: BTreeMap<NodeId, (u64, u64)>,
}

impl<'a> Balance<'a> {
    pub(super) fn new(
        members: &'a BTreeMap<NodeId, &'a Member>,
        shards: &[GroupId],
        replicas: usize,
        before: &Placement,
    ) -> Balance<'a> {
        let staying = || members.values().filter(|member| member.standing != Standing::Leaves);
        let points = Points::new(staying().copied());
        let node_count = staying().count();
        let rank = |shard: &GroupId| {
            let walk = points.walk(*shard, node_count);
            (
                *shard,
                walk.into_iter().enumerate().map(|(rank, node)| (node, rank)).collect(),
            )
        };
        let mut balance = Balance {
            members,
            replicas,
            ranks: shards.iter().map(rank).collect(),
            held: BTreeMap::new(),
            kept: BTreeSet::new(),
            loads: BTreeMap::new(),
            bounds: BTreeMap::new(),
        };
        balance.keep(shards, before);
        balance.bound();
        balance
    }

    /// Takes over what may stay.
    fn keep(&mut self, shards: &[GroupId], before: &Placement) {
        for shard in shards {
            let ranks = &self.ranks[shard];
            let before = before.get(shard).map_or(&[][..], |wanted| &wanted.replicas);
            let mut kept: Vec<NodeId> = before.iter().copied().filter(|node| ranks.contains_key(node)).collect();
            // Where there are too many now, those stay that the ring likes best.
            kept.sort_unstable_by_key(|node| ranks[node]);
            kept.dedup();
            kept.truncate(self.replicas);
            self.kept.extend(kept.iter().map(|node| (*shard, *node)));
            self.held.insert(*shard, kept);
        }
    }

    /// Shares of the nodes that may get replicas, of whatever is not kept by those that may not.
    fn bound(&mut self) {
        let full = self.members.values().filter(|member| member.standing == Standing::Full);
        let weights: BTreeMap<NodeId, u64> = full
            .map(|member| (member.id, u64::from(member.weight.max(1))))
            .collect();
        let mut whole = 0;
        for nodes in self.held.values() {
            let kept = nodes.iter().filter(|node| !weights.contains_key(node)).count();
            whole += (self.replicas - kept).min(weights.len()) as u64;
        }
        self.loads = weights.keys().map(|node| (*node, 0)).collect();
        for node in self.held.values().flatten() {
            self.loads.entry(*node).and_modify(|load| *load += 1);
        }
        self.loads.retain(|node, _| weights.contains_key(node));
        self.bounds = shares(&weights, whole, self.held.len() as u64);
    }

    /// The replicas of each shard.
    pub(super) fn balanced(mut self) -> BTreeMap<GroupId, Vec<NodeId>> {
        self.fill();
        self.spread();
        while self.shed() || self.raise() {}
        self.held
    }

    /// Gives every shard the replicas it lacks.
    fn fill(&mut self) {
        let shards: Vec<GroupId> = self.held.keys().copied().collect();
        // One replica of each shard after the other, so that an early shard does not take all the room of its favourites.
        for _ in 0..self.replicas {
            for shard in &shards {
                if self.held[shard].len() < self.replicas
                    && let Some(node) = self.best(*shard, &self.held[shard])
                {
                    self.add(*shard, node);
                }
            }
        }
    }

    /// The best node for another replica of a shard beside these.
    fn best(&self, shard: GroupId, beside: &[NodeId]) -> Option<NodeId> {
        let held = &self.held[&shard];
        let candidates = self.loads.iter().filter(|(node, _)| !held.contains(node));
        let key = |(node, load): &(&NodeId, &u64)| {
            let (least, most) = self.bounds[*node];
            let is_domain_taken = beside.iter().any(|other| self.is_same_domain(**node, *other));
            let over = load.saturating_sub(most.saturating_sub(1));
            (is_domain_taken, over, **load >= least, self.ranks[&shard][*node])
        };
        candidates.min_by_key(key).map(|(node, _)| *node)
    }

    fn is_same_domain(&self, one: NodeId, other: NodeId) -> bool {
        let domain = |node: NodeId| self.members.get(&node).and_then(|member| member.domain.as_deref());
        one == other || (domain(one).is_some() && domain(one) == domain(other))
    }

    /// Domains of these nodes.
    fn domain_count(&self, nodes: &[NodeId]) -> usize {
        let is_first = |index: &usize| {
            !nodes[..*index]
                .iter()
                .any(|earlier| self.is_same_domain(*earlier, nodes[*index]))
        };
        (0..nodes.len()).filter(is_first).count()
    }

    /// Moves replicas that share a domain to domains that have none (R1).
    fn spread(&mut self) {
        let shards: Vec<GroupId> = self.held.keys().copied().collect();
        for shard in shards {
            // Each round adds a domain.
            while let Some((from, to)) = self.spreading_move(shard) {
                self.move_replica(shard, from, to);
            }
        }
    }

    fn spreading_move(&self, shard: GroupId) -> Option<(NodeId, NodeId)> {
        let held = &self.held[&shard];
        let shares_domain = |node: &&NodeId| {
            let with = held.iter().filter(|other| self.is_same_domain(**node, **other)).count();
            with > 1 && self.loads.contains_key(node)
        };
        let from = *held
            .iter()
            .filter(shares_domain)
            .max_by_key(|node| self.ranks[&shard][node])?;
        let rest: Vec<NodeId> = held.iter().copied().filter(|node| *node != from).collect();
        let to = self.best(shard, &rest)?;
        let is_new = rest.iter().all(|node| !self.is_same_domain(*node, to));
        is_new.then_some((from, to))
    }

    /// Whether a replica may move without lowering the number of the shard's domains.
    fn may_move(&self, shard: GroupId, from: NodeId, to: NodeId) -> bool {
        let held = &self.held[&shard];
        if held.contains(&to) {
            return false;
        }
        let moved: Vec<NodeId> = held.iter().map(|node| if *node == from { to } else { *node }).collect();
        self.domain_count(&moved) >= self.domain_count(held)
    }

    /// Takes one replica from a node that has more than its share. `false` if there is nothing to do.
    fn shed(&mut self) -> bool {
        let over = |(node, load): &(&NodeId, &u64)| **load > self.bounds[*node].1;
        let overloaded: Vec<NodeId> = self.loads.iter().filter(over).map(|(node, _)| *node).collect();
        let has_room = |node: &NodeId| self.loads[node] < self.bounds[node].1;
        let room: BTreeSet<NodeId> = self.loads.keys().copied().filter(|node| has_room(node)).collect();
        let needs = |node: &NodeId| self.loads[node] >= self.bounds[node].0;
        for from in overloaded {
            let mut best = None;
            for (shard, held) in &self.held {
                if !held.contains(&from) {
                    continue;
                }
                let ranks = &self.ranks[shard];
                for to in room.iter().filter(|to| self.may_move(*shard, from, **to)) {
                    // To those that lack something first; then whatever the ring wants gone most.
                    let is_kept = self.kept.contains(&(*shard, from));
                    let key = (needs(to), is_kept, ranks[to] as i64 - ranks[&from] as i64, *shard, *to);
                    best = best.min(Some(key)).or(Some(key));
                }
            }
            if let Some((_, _, _, shard, to)) = best {
                self.move_replica(shard, from, to);
                return true;
            }
        }
        false
    }

    /// Gives one replica to a node that has less than its share. `false` if there is nothing to do.
    fn raise(&mut self) -> bool {
        let under = |(node, load): &(&NodeId, &u64)| **load < self.bounds[*node].0;
        let starving: Vec<NodeId> = self.loads.iter().filter(under).map(|(node, _)| *node).collect();
        let gives = |node: &NodeId| self.loads.get(node).is_some_and(|load| *load > self.bounds[node].0);
        for to in starving {
            let mut best = None;
            for (shard, held) in &self.held {
                let ranks = &self.ranks[shard];
                for from in held
                    .iter()
                    .filter(|from| gives(from) && self.may_move(*shard, **from, to))
                {
                    let is_kept = self.kept.contains(&(*shard, *from));
                    let key = (is_kept, ranks[&to] as i64 - ranks[from] as i64, *shard, *from);
                    best = best.min(Some(key)).or(Some(key));
                }
            }
            if let Some((_, _, shard, from)) = best {
                self.move_replica(shard, from, to);
                return true;
            }
        }
        false
    }

    fn add(&mut self, shard: GroupId, node: NodeId) {
        self.held.entry(shard).or_default().push(node);
        self.loads.entry(node).and_modify(|load| *load += 1);
    }

    fn move_replica(&mut self, shard: GroupId, from: NodeId, to: NodeId) {
        self.held.entry(shard).or_default().retain(|node| *node != from);
        self.loads.entry(from).and_modify(|load| *load -= 1);
        self.add(shard, to);
    }
}
