//! Fold: the only lock in a row, kept as one node and one hold instead of a chain of them.
//!
//! ```text
//!   orders ─ 7                   IX t1    folded: #data/items/3 X          one node, one hold, and this
//!
//!   orders ─ 7                   IX t1
//!            └─ #data            IX t1    the same, unfolded: what everybody but this file knows
//!               └─ items         IX t1
//!                  └─ 3          X  t1
//! ```
//!
//! Most transactions lock one path of a row, and most rows are locked by one transaction at a time. So S or X on a path of a
//! row that has no node yet makes the row's node and hold only, with the counts they would have, and writes down beside them
//! what is below. Whoever walks to the row next, its owner included, unfolds it first, and it stays unfolded: nobody ever
//! meets a folded lock, and waits, sums, classes and escalation need not know of it.
//!
//! Invariants
//!  1. A folded row has one hold, no children and no queue, and its table's path classes are not in use.
//!  2. The log of its owner has the lock at the row's node; unfolding moves that entry to the leaf.

use smallvec::SmallVec;

use super::hold::Contribution;
use super::mode::ModeSet;
use super::names;
use super::owner::{OwnerId, Taken};
use super::table::LockTable;
use super::tree::{Kind, NodeId, Segment, SegmentKey};

/// What is below a folded row.
#[derive(Clone)]
pub(super) struct Folded {
    /// Where in the owner's log the lock was written down; it may have moved since.
    logged_at: u32,
    /// Held at the end of the path.
    pub(super) modes: ModeSet,
    /// The steps below `#data`: length (one byte, or 255 and four more) and bytes of each.
    steps: SmallVec<[u8; 24]>,
}

/// Length byte of a step whose length is in the four bytes behind.
const LONG: u8 = u8::MAX;

/// All folded locks of a tree.
#[derive(Clone, Default)]
pub(super) struct Folds {
    slab: Vec<Folded>,
    free: Vec<u32>,
    /// Bytes of steps that lie outside the slab.
    step_bytes: usize,
}

/// A slab that was larger than this once is given back when its last fold goes.
const KEEP_FOLDS: usize = 16 * 1024;

impl Folds {
    pub(super) fn insert(&mut self, folded: Folded) -> u32 {
        self.step_bytes += spilled(&folded);
        match self.free.pop() {
            Some(at) => {
                self.slab[at as usize] = folded;
                at
            }
            None => {
                self.slab.push(folded);
                (self.slab.len() - 1) as u32
            }
        }
    }

    pub(super) fn remove(&mut self, at: u32) -> Folded {
        let gone = Folded {
            logged_at: 0,
            modes: ModeSet::NONE,
            steps: SmallVec::new(),
        };
        let folded = std::mem::replace(&mut self.slab[at as usize], gone);
        self.step_bytes -= spilled(&folded);
        self.free.push(at);
        if self.free.len() == self.slab.len() && self.slab.len() > KEEP_FOLDS {
            *self = Folds::default();
        }
        folded
    }

    pub(super) fn get(&self, at: u32) -> &Folded {
        &self.slab[at as usize]
    }

    /// Bytes of memory in use.
    pub(super) fn size(&self) -> usize {
        (self.slab.len() - self.free.len()) * size_of::<Folded>() + self.step_bytes
    }
}

fn spilled(folded: &Folded) -> usize {
    if folded.steps.spilled() { folded.steps.len() } else { 0 }
}

impl Folded {
    /// Writes down the steps of a path, `#data` left out.
    fn new(modes: ModeSet, segments: &[Segment<'_>], logged_at: usize) -> Folded {
        let mut steps = SmallVec::new();
        for segment in segments {
            let key = segment.key();
            match u8::try_from(key.len()) {
                Ok(length) if length != LONG => steps.push(length),
                _ => {
                    steps.push(LONG);
                    steps.extend_from_slice(&(key.len() as u32).to_be_bytes());
                }
            }
            steps.extend_from_slice(key);
        }
        Folded {
            logged_at: logged_at as u32,
            modes,
            steps,
        }
    }

    /// What its holder has at the nodes above its end.
    pub(super) fn intentions(&self) -> ModeSet {
        intentions(self.modes)
    }

    /// The nodes below the row, from `#data` on.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let mut rest = &self.steps[..];
        let mut kind = Kind::Column;
        let below = std::iter::from_fn(move || {
            let (&length, behind) = rest.split_first()?;
            let (length, behind) = match (length, behind.split_first_chunk::<4>()) {
                (LONG, Some((length, behind))) => (u32::from_be_bytes(*length) as usize, behind),
                (length, _) => (usize::from(length), behind),
            };
            let (key, behind) = behind.split_at_checked(length)?;
            rest = behind;
            let key = SegmentKey::Borrowed(key);
            Some(Segment {
                kind: std::mem::replace(&mut kind, Kind::Member),
                key,
            })
        });
        std::iter::once(names::DATA).chain(below)
    }
}

/// What a lock below contributes to a node's counts.
fn contribution(modes: ModeSet) -> Contribution {
    Contribution {
        reads: modes.reads(),
        writes: modes.writes(),
    }
}

/// The intentions of an ancestor of a lock.
fn intentions(modes: ModeSet) -> ModeSet {
    let mut above = ModeSet::NONE;
    if modes.reads() {
        above |= ModeSet::IS;
    }
    if modes.writes() {
        above |= ModeSet::IX;
    }
    above
}

impl LockTable {
    /// Whether a lock may be taken folded at a row that has just been made.
    pub(super) fn may_fold(&self, wanted: ModeSet, above: &[Segment<'_>]) -> bool {
        let is_path = above.len() >= 3 && above[1].kind == Kind::Row && above[2].kind == Kind::Data;
        is_path && (wanted == ModeSet::X || wanted == ModeSet::S) && !self.tree.has_classes()
    }

    /// Takes a lock folded: `row` was made for it, and `below` are the steps from the column on.
    pub(super) fn take_folded(
        &mut self,
        owner: OwnerId,
        step: u64,
        row: NodeId,
        modes: ModeSet,
        below: &[Segment<'_>],
    ) {
        let logged_at = self.owners[owner].log.len();
        let counted = contribution(intentions(modes));
        self.change(owner, row, |hold| {
            hold.child_reads = u32::from(counted.reads);
            hold.child_writes = u32::from(counted.writes);
            hold.below = 1;
        });
        self.tree.fold(row, Folded::new(modes, below, logged_at));
        self.note_growth(owner, row);
        self.owners[owner].record(Taken { step, node: row, modes });
        self.log_entries += 1;
    }

    /// The node reached by a step, made if missing; a folded row is unfolded.
    pub(super) fn step_into(&mut self, parent: NodeId, segment: &Segment<'_>) -> NodeId {
        let node = self.tree.child_or_insert(parent, segment);
        if self.tree[node].folded {
            self.unfold(node);
        }
        node
    }

    /// Makes the nodes and holds of a folded lock.
    pub(super) fn unfold(&mut self, row: NodeId) {
        let Some((owner, leaf, logged_at)) = self.make_folded(row) else {
            return;
        };
        let log = &mut self.owners[owner].log;
        let is_it = |taken: &Taken| taken.node == row;
        let found = log.get(logged_at).is_some_and(is_it).then_some(logged_at);
        if let Some(at) = found.or_else(|| log.iter().rposition(is_it)) {
            log[at].node = leaf;
        }
    }

    /// The row keeps its hold: the counts in it are right already. Tells whose it is, where the lock is now, and where it was
    /// logged.
    fn make_folded(&mut self, row: NodeId) -> Option<(OwnerId, NodeId, usize)> {
        let folded = self.tree.unfold(row)?;
        let mut hold = self.tree[row].first_hold;
        let owner = self.holds[hold].owner;
        let above = intentions(folded.modes);
        let counted = contribution(above);
        let mut node = row;
        for segment in folded.segments() {
            node = self.tree.child_or_insert(node, &segment);
            hold = self
                .holds
                .insert(&mut self.tree, node, owner, &mut self.owners[owner].first_hold);
            self.holds[hold].child_reads = u32::from(counted.reads);
            self.holds[hold].child_writes = u32::from(counted.writes);
            self.tree[node].held = above;
        }
        let leaf = &mut self.holds[hold];
        (leaf.child_reads, leaf.child_writes, leaf.explicit) = (0, 0, folded.modes);
        self.tree[node].held = folded.modes;
        Some((owner, node, folded.logged_at as usize))
    }

    /// Undoes a folded lock that was taken out of the log. Gives the node where it is undone as any other, if `keeps` says
    /// that something of it stays.
    pub(super) fn undo_folded(&mut self, owner: OwnerId, row: NodeId, keeps: bool) -> Option<NodeId> {
        if keeps {
            return self.make_folded(row).map(|(_, leaf, _)| leaf);
        }
        self.change(owner, row, |hold| {
            (hold.child_reads, hold.child_writes, hold.below) = (0, 0, 0);
        });
        None
    }

    /// Unfolds what owners hold below a table, of one owner or of all.
    pub(super) fn unfold_below(&mut self, table: NodeId, of: Option<OwnerId>) {
        let mut rows: Vec<NodeId> = Vec::new();
        for (owner, state) in self.owners.iter() {
            if of.is_some_and(|of| of != owner) {
                continue;
            }
            let nodes = self.holds.of(state.first_hold).map(|hold| self.holds[hold].node);
            rows.extend(nodes.filter(|&node| self.tree[node].folded && self.tree[node].parent == table));
        }
        for row in rows {
            self.unfold(row);
        }
    }
}
