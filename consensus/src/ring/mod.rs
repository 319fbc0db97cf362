//! Ring: which nodes hold the replicas of each shard, and which of them should lead it.
//!
//! A consistent-hash ring with virtual nodes and bounded load. Every node has points on a circle in proportion to its
//! weight; a shard has one, and meets the nodes in the order in which their points follow it. It would like the first ones,
//! but no node takes more than its share.
//!
//! ```text
//!        n2   n1                     shard 7 meets n3, n1, n2, n4
//!      ·──────·── s7                 with three replicas: n3 n1 n2,
//!   n4 ·        · n3                 or n3 n1 n4 if n2 has its share
//!      ·────────· n1
//! ```
//!
//! The input holds the placement of before, and what is within bounds stays where it is; the ring decides about what is new
//! or has to go. A ring without memory moves about twice as much as it must when loads are bounded tightly (a replica that
//! is pushed on pushes others), and each of these moves is a copy of a shard over the network.
//!
//! Invariants
//!  R1  Replicas of a shard are on different nodes, and on as many failure domains as there are.
//!  R2  A node that leaves holds nothing; one that drains gets nothing new and leads nothing.
//!  R3  Loads are bounded: with equal weights and no domains, replicas differ by one at most between nodes, and so do
//!      preferred leaders as far as the replicas allow.
//!  R4  Adding a node moves only its share, and only to it; removing one moves what it held (and, rarely, one replica more,
//!      where that is needed to leave all even).
//!  R5  A pure function of its arguments (no clock, no seed); applied to its own result it changes nothing.
//!
//! Failure domains come before balance: a rack with one node gets a replica of every shard if there are only three racks.
//! Sources: Karger et al. 1997 (consistent hashing); Mirrokni, Thorup, Zadimoghaddam 2018 (bounded loads).

mod balance;
mod leaders;
mod points;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::types::{GroupId, NodeId};

/// Weight of an ordinary node.
pub const WEIGHT: u32 = 100;

/// What a node may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Replicas and leaders.
    Full,
    /// What it has, and no leader: it is down for a while, or will be.
    Keeps,
    /// Nothing: it is gone, or will be.
    Leaves,
}

/// A node as the ring sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// Its share beside others; [`WEIGHT`] is an ordinary one.
    pub weight: u32,
    /// Nodes of one domain fail together (a rack, a zone). Without one a node is a domain of its own.
    pub domain: Option<String>,
    /// What it may hold.
    pub standing: Standing,
}

/// Where the replicas of one shard should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wanted {
    /// Nodes that should hold a replica, in ascending order.
    pub replicas: Vec<NodeId>,
    /// Which of them should lead. `None` if all of them drain.
    pub leader: Option<NodeId>,
}

/// Where all shards should be.
pub type Placement = BTreeMap<GroupId, Wanted>;

/// Places shards: `replicas` of each, or as many as there are nodes for. What `before` says is kept as far as the
/// invariants allow.
pub fn place(members: &[Member], shards: &[GroupId], replicas: usize, before: &Placement) -> Placement {
    let members: BTreeMap<NodeId, &Member> = members.iter().map(|member| (member.id, member)).collect();
    let mut shards = shards.to_vec();
    shards.sort_unstable();
    shards.dedup();
    let held = balance::Balance::new(&members, &shards, replicas, before).balanced();
    let leaders = leaders::choose(&members, &held, before);
    let wanted = |(shard, mut replicas): (GroupId, Vec<NodeId>)| {
        replicas.sort_unstable();
        let leader = leaders.get(&shard).copied();
        (shard, Wanted { replicas, leader })
    };
    held.into_iter().map(wanted).collect()
}

/// Shares of a whole by weight, rounded down and up. Nobody can take more than `each_max`: what is left over goes to the
/// others.
fn shares(weights: &BTreeMap<NodeId, u64>, whole: u64, each_max: u64) -> BTreeMap<NodeId, (u64, u64)> {
    let (mut open, mut rest) = (weights.clone(), whole);
    let mut shares = BTreeMap::new();
    loop {
        let sum: u64 = open.values().sum::<u64>().max(1);
        let too_large = |weight: u64| u128::from(rest) * u128::from(weight) > u128::from(each_max) * u128::from(sum);
        let full: Vec<NodeId> = open
            .iter()
            .filter(|(_, weight)| too_large(**weight))
            .map(|(id, _)| *id)
            .collect();
        if full.is_empty() {
            shares.extend(open.iter().map(|(id, weight)| {
                let part = u128::from(rest) * u128::from(*weight);
                let (down, up) = (part / u128::from(sum), part.div_ceil(u128::from(sum)));
                (*id, (down as u64, up as u64))
            }));
            return shares;
        }
        for id in full {
            open.remove(&id);
            rest = rest.saturating_sub(each_max);
            shares.insert(id, (each_max, each_max));
        }
    }
}
