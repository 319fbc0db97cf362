//! Spans: which values and intervals of an index overlap, so that a lock on one meets locks on the other.
//!
//! Values and intervals are sibling nodes below their index. A lock on a value conflicts with what is held at the value
//! *and* at every interval around it; a lock on an interval with what is held at the values inside it and at the intervals
//! it overlaps. Intervals are few (SERIALIZABLE scans in flight), so they are searched one by one.

use std::collections::BTreeMap;
use std::ops::Bound;

use ahash::AHashMap;

use super::tree::{Kind, NodeId, StepKey, Tree};

/// Values and intervals with nodes, per index node.
#[derive(Clone, Default)]
pub(super) struct Spans {
    indexes: AHashMap<NodeId, Span>,
    value_count: usize,
}

#[derive(Clone, Default)]
struct Span {
    values: BTreeMap<StepKey, NodeId>,
    intervals: Vec<NodeId>,
}

impl Spans {
    pub(super) fn size(&self) -> usize {
        self.value_count * (size_of::<StepKey>() + 2 * size_of::<NodeId>())
    }

    pub(super) fn insert_value(&mut self, index: NodeId, value: StepKey, node: NodeId) {
        self.indexes.entry(index).or_default().values.insert(value, node);
        self.value_count += 1;
    }

    pub(super) fn remove_value(&mut self, index: NodeId, value: &StepKey) {
        if let Some(span) = self.indexes.get_mut(&index) {
            span.values.remove(value);
            self.value_count -= 1;
            self.drop_empty(index);
        }
    }

    pub(super) fn insert_interval(&mut self, index: NodeId, node: NodeId) {
        self.indexes.entry(index).or_default().intervals.push(node);
    }

    pub(super) fn remove_interval(&mut self, index: NodeId, node: NodeId) {
        if let Some(span) = self.indexes.get_mut(&index) {
            span.intervals.retain(|&other| other != node);
            self.drop_empty(index);
        }
    }

    fn drop_empty(&mut self, index: NodeId) {
        if self
            .indexes
            .get(&index)
            .is_some_and(|span| span.values.is_empty() && span.intervals.is_empty())
        {
            self.indexes.remove(&index);
        }
    }
}

/// The key of an interval's node.
pub(super) fn encode(from: &[u8], to: Option<&[u8]>) -> StepKey {
    let mut key = StepKey::new();
    key.extend_from_slice(&(from.len() as u32).to_be_bytes());
    key.extend_from_slice(from);
    if let Some(to) = to {
        key.push(1);
        key.extend_from_slice(to);
    }
    key
}

/// First value of an interval, and the first beyond it.
pub(super) fn decode(key: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (length, rest) = key.split_at(4);
    let length = u32::from_be_bytes(length.try_into().expect("four bytes: written by encode")) as usize;
    let (from, to) = rest.split_at(length);
    (from, to.split_first().map(|(_, to)| to))
}

fn contains(interval: (&[u8], Option<&[u8]>), value: &[u8]) -> bool {
    interval.0 <= value && interval.1.is_none_or(|to| value < to)
}

fn overlap(one: (&[u8], Option<&[u8]>), other: (&[u8], Option<&[u8]>)) -> bool {
    one.1.is_none_or(|to| other.0 < to) && other.1.is_none_or(|to| one.0 < to)
}

impl Tree {
    /// Calls `visit` with every other node whose locks a lock at `node` must be compatible with, until it returns true.
    pub(super) fn any_overlapping(&self, node: NodeId, mut visit: impl FnMut(NodeId) -> bool) -> bool {
        let kind = self[node].kind;
        if kind != Kind::Value && kind != Kind::Interval {
            return false;
        }
        let Some(span) = self.spans.indexes.get(&self[node].parent) else {
            return false;
        };
        let key = self[node].key.as_slice();
        if kind == Kind::Value {
            return span
                .intervals
                .iter()
                .any(|&other| contains(decode(&self[other].key), key) && visit(other));
        }
        let interval = decode(key);
        let empty = interval.1.is_some_and(|to| to <= interval.0);
        if empty {
            return false;
        }
        let to = interval
            .1
            .map_or(Bound::Unbounded, |to| Bound::Excluded(StepKey::from_slice(to)));
        let inside = (Bound::Included(StepKey::from_slice(interval.0)), to);
        span.intervals
            .iter()
            .any(|&other| other != node && overlap(decode(&self[other].key), interval) && visit(other))
            || span.values.range(inside).any(|(_, &value)| visit(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_half_open() {
        let key = encode(b"b", Some(b"d"));
        let interval = decode(&key);
        assert_eq!(interval, (&b"b"[..], Some(&b"d"[..])));
        assert!(contains(interval, b"b") && contains(interval, b"cz"));
        assert!(!contains(interval, b"a") && !contains(interval, b"d"));
        assert!(overlap(interval, (b"a", None)) && overlap(interval, (b"c", Some(b"c1"))));
        assert!(!overlap(interval, (b"d", None)) && !overlap(interval, (b"", Some(b"b"))));
    }

    #[test]
    fn an_unbounded_interval_keeps_its_first_value() {
        assert_eq!(decode(&encode(b"", None)), (&b""[..], None));
        assert_eq!(decode(&encode(b"x", None)), (&b"x"[..], None));
        assert_eq!(decode(&encode(b"x", Some(b""))), (&b"x"[..], Some(&b""[..])));
    }
}
