//! Points of nodes on the ring, and the order in which a shard meets the nodes.

use xxhash_rust::xxh3::xxh3_64;

use super::Member;
use crate::types::{GroupId, NodeId};

/// Points of a node of weight [`WEIGHT`](super::WEIGHT). With so many a node's arc differs from its share by a tenth; the
/// bound on loads evens out the rest.
const POINTS: u64 = 128;
/// Points of one node at most, whatever its weight.
const POINTS_MAX: u64 = 4096;

/// The points of all nodes, in order.
pub(super) struct Points(Vec<(u64, NodeId)>);

impl Points {
    /// Places the points of each member. Where one lies depends on nothing but the node's number and that of the point.
    pub(super) fn new<'a>(members: impl Iterator<Item = &'a Member>) -> Points {
        let mut points = Vec::new();
        for member in members {
            let count = (POINTS * u64::from(member.weight) / u64::from(super::WEIGHT)).clamp(1, POINTS_MAX);
            points.extend((0..count).map(|index| (hash(b'n', member.id, index), member.id)));
        }
        points.sort_unstable();
        Points(points)
    }

    /// All nodes in the order in which a shard meets them, going round from its own point.
    pub(super) fn walk(&self, shard: GroupId, node_count: usize) -> Vec<NodeId> {
        let from = self.0.partition_point(|(at, _)| *at < hash(b's', shard.0, 0));
        let mut met = Vec::with_capacity(node_count);
        for (_, node) in self.0[from..].iter().chain(&self.0[..from]) {
            if !met.contains(node) {
                met.push(*node);
                if met.len() == node_count {
                    break;
                }
            }
        }
        met
    }
}

/// A place on the ring. The hash is part of the meaning of placements: another one would move everything once.
fn hash(kind: u8, id: u64, index: u64) -> u64 {
    let mut bytes = [kind; 17];
    bytes[1..9].copy_from_slice(&id.to_be_bytes());
    bytes[9..].copy_from_slice(&index.to_be_bytes());
    xxh3_64(&bytes)
}
