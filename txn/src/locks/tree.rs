//! Tree: the nodes of the radix tree, found by (parent, step) through one hash index and pruned when nobody needs them.
//!
//! Nodes live in one slab and name each other by position, so that a lock costs no allocation of its own: a key of up to
//! 24 bytes lies inside its node, and the index is a flat array of positions (linear probing, removal by shifting back).

use std::hash::{BuildHasher, Hasher};
use std::ops::{Index, IndexMut};

use smallvec::SmallVec;

use super::fold::{Folded, Folds};
use super::interval::Spans;
use super::mode::ModeSet;

/// Position of a node in the slab.
pub(super) type NodeId = u32;
/// Position that means none.
pub(super) const NONE: u32 = u32::MAX;
/// The shard: never locked itself.
pub(super) const ROOT: NodeId = 0;
/// The bytes of one step: a table id, an encoded key, a member.
pub(super) type StepKey = SmallVec<[u8; 24]>;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Root,
    Table,
    Row,
    /// `#key`
    Identity,
    /// `#data`
    Data,
    Column,
    /// A member or an element; both have their text as key.
    Member,
    Index,
    /// A value of an index.
    Value,
    /// One row's entry at a value.
    Entry,
    /// An interval of values.
    Interval,
    /// `table/*`: the path classes of a table.
    Class,
    ClassColumn,
    ClassMember,
    /// The set of rows of a table.
    RowSet,
}

impl Kind {
    /// Whether the node stands for a path of all rows.
    pub(super) fn is_class(self) -> bool {
        matches!(self, Kind::Class | Kind::ClassColumn | Kind::ClassMember)
    }

    /// Whether the node is a row's data or a path in it.
    pub(super) fn is_data(self) -> bool {
        matches!(self, Kind::Data | Kind::Column | Kind::Member)
    }
}

/// One step of a name.
pub(super) struct Segment<'a> {
    pub(super) kind: Kind,
    pub(super) key: SegmentKey<'a>,
}

/// The bytes of a step, borrowed from the name where it has them.
pub(super) enum SegmentKey<'a> {
    Borrowed(&'a [u8]),
    Built(StepKey),
}

impl Segment<'_> {
    pub(super) fn key(&self) -> &[u8] {
        match &self.key {
            SegmentKey::Borrowed(key) => key,
            SegmentKey::Built(key) => key,
        }
    }
}

/// A node of the tree.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) key: StepKey,
    pub(super) parent: NodeId,
    hash: u32,
    /// Head of the list of holds.
    pub(super) first_hold: u32,
    pub(super) hold_count: u32,
    /// Number of children; of a folded row, where its fold is.
    children: u32,
    /// At least what its holders hold together; it may lag behind releases where there are many holders.
    pub(super) held: ModeSet,
    pub(super) kind: Kind,
    /// Whether somebody waits here.
    pub(super) queued: bool,
    /// Whether it stays though nobody needs it: path classes while a batch that reads some is under way.
    pub(super) pinned: bool,
    /// Whether its holds are found through the index of crowded nodes.
    pub(super) crowded: bool,
    /// Whether it is a row whose only lock is kept folded ([`super::fold`]).
    pub(super) folded: bool,
}

/// The tree.
#[derive(Clone)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: NodeId,
    live: usize,
    key_bytes: usize,
    slots: Vec<u32>,
    hashing: ahash::RandomState,
    /// Number of tables whose path classes are in use.
    class_count: usize,
    /// Values and intervals of each index that has any, in order.
    pub(super) spans: Spans,
    /// What is folded at rows.
    folds: Folds,
}

impl Index<NodeId> for Tree {
    type Output = Node;
    #[inline]
    fn index(&self, node: NodeId) -> &Node {
        &self.nodes[node as usize]
    }
}

impl IndexMut<NodeId> for Tree {
    #[inline]
    fn index_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[node as usize]
    }
}

const SLOTS_MIN: usize = 64;
/// A slab that was larger than this once is given back when its last node goes.
const KEEP_NODES: usize = 16 * 1024;

impl Tree {
    pub(super) fn new() -> Tree {
        let mut tree = Tree {
            nodes: Vec::new(),
            free: NONE,
            live: 0,
            key_bytes: 0,
            slots: vec![NONE; SLOTS_MIN],
            hashing: ahash::RandomState::new(),
            class_count: 0,
            spans: Spans::default(),
            folds: Folds::default(),
        };
        tree.nodes.push(Node::new(NONE, 0, Kind::Root, &[]));
        tree
    }

    /// Bytes of memory in use by live nodes.
    pub(super) fn size(&self) -> usize {
        self.live * (size_of::<Node>() + 2 * size_of::<u32>()) + self.key_bytes + self.spans.size() + self.folds.size()
    }

    /// Whether any table's path classes are in use.
    pub(super) fn has_classes(&self) -> bool {
        self.class_count > 0
    }

    /// Live nodes with their positions, for reports and checks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let live = |(at, node): (usize, _)| (at as NodeId, node);
        self.nodes
            .iter()
            .enumerate()
            .skip(1)
            .map(live)
            .filter(|(_, node)| node.hold_count != NONE)
    }

    fn hash(&self, parent: NodeId, kind: Kind, key: &[u8]) -> u32 {
        let mut hasher = self.hashing.build_hasher();
        hasher.write_u64(u64::from(parent) << 8 | kind as u64);
        hasher.write(key);
        hasher.finish() as u32
    }

    fn slot(&self, hash: u32, parent: NodeId, kind: Kind, key: &[u8]) -> (usize, NodeId) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let id = self.slots[at];
            if id == NONE {
                return (at, NONE);
            }
            let node = &self.nodes[id as usize];
            if node.hash == hash && node.parent == parent && node.kind == kind && node.key.as_slice() == key {
                return (at, id);
            }
            at = (at + 1) & mask;
        }
    }

    /// The child reached by a step, if it exists.
    pub(super) fn child(&self, parent: NodeId, segment: &Segment<'_>) -> Option<NodeId> {
        let (kind, key) = (segment.kind, segment.key());
        let (_, id) = self.slot(self.hash(parent, kind, key), parent, kind, key);
        (id != NONE).then_some(id)
    }

    /// The child reached by a step, made if missing. A node nobody holds, waits at or passes through must be given back
    /// with [`Self::prune`].
    pub(super) fn child_or_insert(&mut self, parent: NodeId, segment: &Segment<'_>) -> NodeId {
        let (kind, key) = (segment.kind, segment.key());
        let hash = self.hash(parent, kind, key);
        let (slot, found) = self.slot(hash, parent, kind, key);
        if found != NONE {
            return found;
        }
        let node = Node::new(parent, hash, kind, key);
        let id = self.free;
        let id = if id == NONE {
            self.nodes.push(node);
            (self.nodes.len() - 1) as NodeId
        } else {
            self.free = self.nodes[id as usize].parent;
            self.nodes[id as usize] = node;
            id
        };
        self.slots[slot] = id;
        self.live += 1;
        self.nodes[parent as usize].children += 1;
        let key = &self.nodes[id as usize].key;
        self.key_bytes += if key.spilled() { key.len() } else { 0 };
        match kind {
            Kind::Value => self.spans.insert_value(parent, key.clone(), id),
            Kind::Interval => self.spans.insert_interval(parent, id),
            Kind::Class => self.class_count += 1,
            _ => {}
        }
        if self.live * 3 > self.slots.len() * 2 {
            self.rehash(self.slots.len() * 2);
        }
        id
    }

    /// Takes out a node that nobody holds, waits at or passes through, and then its ancestors if they have become so.
    pub(super) fn prune(&mut self, mut id: NodeId) {
        while id != ROOT {
            let node = &mut self.nodes[id as usize];
            if node.hold_count != 0 || (node.children != 0 && !node.folded) || node.queued || node.pinned {
                return;
            }
            if node.folded {
                self.folds.remove(node.children);
                node.folded = false;
            }
            let (parent, hash, kind, key) = (node.parent, node.hash, node.kind, std::mem::take(&mut node.key));
            node.hold_count = NONE;
            node.parent = self.free;
            self.free = id;
            self.live -= 1;
            self.key_bytes -= if key.spilled() { key.len() } else { 0 };
            match kind {
                Kind::Value => self.spans.remove_value(parent, &key),
                Kind::Interval => self.spans.remove_interval(parent, id),
                Kind::Class => self.class_count -= 1,
                _ => {}
            }
            self.unlink(id, hash);
            self.nodes[parent as usize].children -= 1;
            id = parent;
        }
        if self.live == 0 && self.nodes.len() > KEEP_NODES {
            let spans = std::mem::take(&mut self.spans);
            *self = Tree {
                spans,
                hashing: self.hashing.clone(),
                ..Tree::new()
            };
        }
    }

    /// Whether a node was made just now: nobody holds anything there or below, or waits.
    pub(super) fn is_new(&self, node: NodeId) -> bool {
        let node = &self[node];
        node.hold_count == 0 && node.children == 0 && !node.queued && !node.pinned && !node.folded
    }

    /// Keeps what is below a new row folded.
    pub(super) fn fold(&mut self, row: NodeId, folded: Folded) {
        let at = self.folds.insert(folded);
        let node = &mut self[row];
        (node.folded, node.children) = (true, at);
    }

    /// What is folded at a node.
    pub(super) fn folded(&self, node: NodeId) -> Option<&Folded> {
        let place = &self[node];
        place.folded.then(|| self.folds.get(place.children))
    }

    /// Takes out what is folded at a row.
    pub(super) fn unfold(&mut self, row: NodeId) -> Option<Folded> {
        let node = &mut self.nodes[row as usize];
        if !std::mem::take(&mut node.folded) {
            return None;
        }
        Some(self.folds.remove(std::mem::take(&mut node.children)))
    }

    /// Empties the slot of a node and shifts back those behind it that would not be found any more.
    fn unlink(&mut self, id: NodeId, hash: u32) {
        let mask = self.slots.len() - 1;
        let mut hole = hash as usize & mask;
        while self.slots[hole] != id {
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let next = self.slots[at];
            if next == NONE {
                break;
            }
            let home = self.nodes[next as usize].hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = next;
                hole = at;
            }
        }
        self.slots[hole] = NONE;
        if self.slots.len() > SLOTS_MIN && self.live * 8 < self.slots.len() {
            self.rehash(self.slots.len() / 2);
        }
    }

    fn rehash(&mut self, size: usize) {
        let old = std::mem::replace(&mut self.slots, vec![NONE; size]);
        let mask = size - 1;
        for id in old.into_iter().filter(|&id| id != NONE) {
            let mut at = self.nodes[id as usize].hash as usize & mask;
            while self.slots[at] != NONE {
                at = (at + 1) & mask;
            }
            self.slots[at] = id;
        }
    }

    /// Whether `node` is `ancestor` or below it.
    pub(super) fn is_within(&self, mut node: NodeId, ancestor: NodeId) -> bool {
        loop {
            if node == ancestor {
                return true;
            }
            if node == ROOT || node == NONE {
                return false;
            }
            node = self[node].parent;
        }
    }

    /// The nearest node of a kind at or above `node`.
    pub(super) fn above(&self, mut node: NodeId, kind: Kind) -> Option<NodeId> {
        while node != ROOT {
            if self[node].kind == kind {
                return Some(node);
            }
            node = self[node].parent;
        }
        None
    }

    /// The steps from below `ancestor` down to `node`.
    pub(super) fn steps_below(&self, mut node: NodeId, ancestor: NodeId) -> SmallVec<[NodeId; 12]> {
        let mut steps = SmallVec::new();
        while node != ancestor {
            steps.push(node);
            node = self[node].parent;
        }
        steps.reverse();
        steps
    }
}

impl Node {
    fn new(parent: NodeId, hash: u32, kind: Kind, key: &[u8]) -> Node {
        Node {
            key: StepKey::from_slice(key),
            parent,
            hash,
            first_hold: NONE,
            hold_count: 0,
            children: 0,
            held: ModeSet::NONE,
            kind,
            queued: false,
            pinned: false,
            crowded: false,
            folded: false,
        }
    }
}
