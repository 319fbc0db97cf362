//! Holds: what each transaction holds at each node, in two lists: by node, and by owner.
//!
//! ```text
//!   node  ──► hold (t1) ⇄ hold (t2)          explicit    modes asked for by name
//!               ⇅           ⇅                child_*     how many children of the node its owner reads or writes below,
//!   owner t1 ──► …                                       from which IS and IX at this node follow
//! ```

use std::ops::{Index, IndexMut};

use ahash::AHashMap;

use super::mode::ModeSet;
use super::owner::OwnerId;
use super::tree::{Kind, NONE, NodeId, Tree};

/// Position of a hold in its slab.
pub(super) type HoldId = u32;

/// What one owner holds at one node.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) owner: OwnerId,
    pub(super) node: NodeId,
    previous: HoldId,
    next: HoldId,
    owner_previous: HoldId,
    owner_next: HoldId,
    /// Children of the node where the owner has a reading mode.
    pub(super) child_reads: u32,
    /// Children of the node where the owner has a writing mode.
    pub(super) child_writes: u32,
    /// At a table: rows locked. At a row: locks below it. At a path class: writes marked at exactly this path.
    pub(super) below: u32,
    pub(super) explicit: ModeSet,
    place: Place,
    /// Whether an A lock was given back here for an X lock on the same path (DESIGN L5); it keeps the node.
    pub(super) ceded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Table,
    Class,
    Other,
}

/// What a hold adds to its parent's counts.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Contribution {
    pub(super) reads: bool,
    pub(super) writes: bool,
}

impl Hold {
    /// All modes held here, intentions included.
    #[inline]
    pub(super) fn effective(&self) -> ModeSet {
        let (read, write) = match self.place {
            Place::Table => (ModeSet::ROW_SHARE, ModeSet::ROW_EXCLUSIVE),
            Place::Class | Place::Other => (ModeSet::IS, ModeSet::IX),
        };
        let mut modes = self.explicit;
        if self.child_reads > 0 {
            modes |= read;
        }
        if self.child_writes > 0 {
            modes |= write;
        }
        if self.place == Place::Class && self.below > 0 {
            modes |= ModeSet::W;
        }
        modes
    }

    #[inline]
    pub(super) fn contribution(&self) -> Contribution {
        let modes = self.effective();
        Contribution {
            reads: modes.reads(),
            writes: modes.writes(),
        }
    }

    /// Whether nothing keeps it.
    pub(super) fn is_idle(&self) -> bool {
        self.explicit.is_empty() && self.child_reads == 0 && self.child_writes == 0 && self.below == 0 && !self.ceded
    }
}

/// A node with more holders than this gets its holds indexed by owner.
const CROWD: u32 = 12;

/// All holds of a table.
#[derive(Clone)]
pub(super) struct Holds {
    slab: Vec<Hold>,
    free: HoldId,
    live: usize,
    crowd: AHashMap<(NodeId, OwnerId), HoldId>,
}

impl Index<HoldId> for Holds {
    type Output = Hold;
    #[inline]
    fn index(&self, hold: HoldId) -> &Hold {
        &self.slab[hold as usize]
    }
}

impl IndexMut<HoldId> for Holds {
    #[inline]
    fn index_mut(&mut self, hold: HoldId) -> &mut Hold {
        &mut self.slab[hold as usize]
    }
}

impl Holds {
    pub(super) fn new() -> Holds {
        Holds {
            slab: Vec::new(),
            free: NONE,
            live: 0,
            crowd: AHashMap::new(),
        }
    }

    /// Number of holds.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Bytes of memory in use.
    pub(super) fn size(&self) -> usize {
        self.live * size_of::<Hold>() + self.crowd.len() * (size_of::<(NodeId, OwnerId, HoldId)>() + 4)
    }

    /// The hold of an owner at a node.
    #[inline]
    pub(super) fn find(&self, tree: &Tree, node: NodeId, owner: OwnerId) -> Option<HoldId> {
        if tree[node].crowded {
            return self.crowd.get(&(node, owner)).copied();
        }
        self.at(tree, node).find(|&hold| self[hold].owner == owner)
    }

    /// What an owner holds at a node.
    #[inline]
    pub(super) fn effective(&self, tree: &Tree, node: NodeId, owner: OwnerId) -> ModeSet {
        self.find(tree, node, owner)
            .map_or(ModeSet::NONE, |hold| self[hold].effective())
    }

    /// The holds at a node, newest first.
    pub(super) fn at<'a>(&'a self, tree: &Tree, node: NodeId) -> impl Iterator<Item = HoldId> + 'a {
        let mut next = tree[node].first_hold;
        std::iter::from_fn(move || {
            let hold = next;
            (hold != NONE).then(|| {
                next = self[hold].next;
                hold
            })
        })
    }

    /// The holds of an owner, newest first, given the head of its list.
    pub(super) fn of<'a>(&'a self, first: HoldId) -> impl Iterator<Item = HoldId> + 'a {
        let mut next = first;
        std::iter::from_fn(move || {
            let hold = next;
            (hold != NONE).then(|| {
                next = self[hold].owner_next;
                hold
            })
        })
    }

    /// Adds an idle hold, which the caller must give something to hold or remove. `first` heads the owner's list.
    pub(super) fn insert(&mut self, tree: &mut Tree, node: NodeId, owner: OwnerId, first: &mut HoldId) -> HoldId {
        let place = match tree[node].kind {
            Kind::Table => Place::Table,
            kind if kind.is_class() => Place::Class,
            _ => Place::Other,
        };
        let hold = Hold {
            owner,
            node,
            previous: NONE,
            next: tree[node].first_hold,
            owner_previous: NONE,
            owner_next: *first,
            child_reads: 0,
            child_writes: 0,
            below: 0,
            explicit: ModeSet::NONE,
            place,
            ceded: false,
        };
        let (next, owner_next) = (hold.next, hold.owner_next);
        let id = self.free;
        let id = if id == NONE {
            self.slab.push(hold);
            (self.slab.len() - 1) as HoldId
        } else {
            self.free = self[id].next;
            self[id] = hold;
            id
        };
        if next != NONE {
            self[next].previous = id;
        }
        if owner_next != NONE {
            self[owner_next].owner_previous = id;
        }
        *first = id;
        self.live += 1;
        let place = &mut tree[node];
        place.first_hold = id;
        place.hold_count += 1;
        if place.crowded {
            self.crowd.insert((node, owner), id);
        } else if place.hold_count > CROWD {
            place.crowded = true;
            let mut next = id;
            while next != NONE {
                let owner = self[next].owner;
                self.crowd.insert((node, owner), next);
                next = self[next].next;
            }
        }
        id
    }

    /// Takes a hold out of both lists. The caller prunes the node.
    pub(super) fn remove(&mut self, tree: &mut Tree, id: HoldId, first: &mut HoldId) {
        let Hold {
            owner,
            node,
            previous,
            next,
            owner_previous,
            owner_next,
            ..
        } = self[id];
        match previous {
            NONE => tree[node].first_hold = next,
            previous => self[previous].next = next,
        }
        if next != NONE {
            self[next].previous = previous;
        }
        match owner_previous {
            NONE => *first = owner_next,
            previous => self[previous].owner_next = owner_next,
        }
        if owner_next != NONE {
            self[owner_next].owner_previous = owner_previous;
        }
        let free = self.free;
        let hold = &mut self[id];
        hold.next = free;
        hold.node = NONE;
        self.free = id;
        self.live -= 1;
        let place = &mut tree[node];
        place.hold_count -= 1;
        if place.crowded {
            self.crowd.remove(&(node, owner));
            tree[node].crowded = tree[node].hold_count != 0;
        }
        self.relax(tree, node, CROWD / 3);
        if self.live == 0 && self.slab.len() > KEEP_HOLDS {
            *self = Holds::new();
        }
    }

    /// Recomputes what is held at a node if it has at most `most` holders. With more, `held` may stay too large for a while:
    /// whoever is stopped by it looks again ([`Self::relax`] without a bound).
    pub(super) fn relax(&self, tree: &mut Tree, node: NodeId, most: u32) {
        if tree[node].hold_count <= most {
            let mut held = ModeSet::NONE;
            for hold in self.at(tree, node) {
                held |= self[hold].effective();
            }
            tree[node].held = held;
        }
    }
}

/// A slab that was larger than this once is given back when its last hold goes.
const KEEP_HOLDS: usize = 16 * 1024;
