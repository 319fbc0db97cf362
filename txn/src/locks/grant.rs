//! Grant: giving modes to holds and taking them away, with the intentions, counts and class marks that follow.
//!
//! An intention is not stored but counted: a hold has IX as long as some child of its node is written below by the same
//! owner. So a second lock under the same parent touches nothing above it.

use super::hold::{Contribution, Hold, HoldId};
use super::mode::ModeSet;
use super::owner::OwnerId;
use super::table::LockTable;
use super::tree::{Kind, NONE, NodeId, ROOT};

impl LockTable {
    /// Adds explicit modes to what an owner holds at a node. The caller has checked that nobody is in the way.
    pub(super) fn strengthen(&mut self, owner: OwnerId, node: NodeId, modes: ModeSet) -> HoldId {
        let hold = self.hold_or_insert(owner, node);
        let before = self.holds[hold].explicit;
        self.change(owner, node, |hold| hold.explicit |= modes);
        if before.is_empty() {
            self.count_in_row(owner, node, 1);
        }
        if modes.changes_here() && !before.changes_here() {
            self.mark_class(owner, node, 1);
        }
        hold
    }

    /// Takes explicit modes away. Nothing is granted to waiters before [`Self::wake`].
    pub(super) fn weaken(&mut self, owner: OwnerId, node: NodeId, modes: ModeSet) {
        let Some(hold) = self.holds.find(&self.tree, node, owner) else {
            return;
        };
        let before = self.holds[hold].explicit;
        let after = before - modes;
        if before.changes_here() && !after.changes_here() {
            self.mark_class(owner, node, -1);
        }
        if !before.is_empty() && after.is_empty() {
            self.count_in_row(owner, node, -1);
        }
        self.change(owner, node, |hold| hold.explicit = after);
    }

    pub(super) fn hold_or_insert(&mut self, owner: OwnerId, node: NodeId) -> HoldId {
        if let Some(hold) = self.holds.find(&self.tree, node, owner) {
            return hold;
        }
        if self.tree[node].kind == Kind::Row {
            let table = self.hold_or_insert(owner, self.tree[node].parent);
            self.holds[table].below += 1;
        }
        self.holds
            .insert(&mut self.tree, node, owner, &mut self.owners[owner].first_hold)
    }

    /// Changes a hold and then, as far up as it makes a difference, the counts of its ancestors.
    pub(super) fn change(&mut self, owner: OwnerId, mut node: NodeId, change: impl FnOnce(&mut Hold)) {
        let id = self.hold_or_insert(owner, node);
        let held = self.holds[id].effective();
        let mut before = self.holds[id].contribution();
        change(&mut self.holds[id]);
        let (mut after, mut parent) = self.settle(id, held);
        while before != after {
            node = parent;
            if node == ROOT {
                break;
            }
            let id = self.hold_or_insert(owner, node);
            let hold = &mut self.holds[id];
            let held = hold.effective();
            let (was, is) = (before, after);
            before = hold.contribution();
            count(&mut hold.child_reads, was.reads, is.reads);
            count(&mut hold.child_writes, was.writes, is.writes);
            (after, parent) = self.settle(id, held);
        }
    }

    /// Brings a node up to date with a hold that changed, removes the hold if nothing is left of it, and tells what it
    /// contributes to its parent, and which that is, because the node may be gone.
    fn settle(&mut self, id: HoldId, before: ModeSet) -> (Contribution, NodeId) {
        let (node, held) = (self.holds[id].node, self.holds[id].effective());
        let contribution = self.holds[id].contribution();
        let parent = self.tree[node].parent;
        self.tree[node].held |= held;
        if !held.contains(before) {
            self.touch(node, before - held);
            if self.holds[id].is_idle() {
                self.drop_hold(id);
            } else {
                self.holds.relax(&mut self.tree, node, 4);
            }
        } else if self.holds[id].is_idle() {
            self.drop_hold(id);
        }
        (contribution, parent)
    }

    /// Removes a hold, and its node if nobody else needs it.
    pub(super) fn drop_hold(&mut self, id: HoldId) {
        let (owner, node) = (self.holds[id].owner, self.holds[id].node);
        if self.tree[node].kind == Kind::Row {
            let table = self.tree[node].parent;
            if let Some(table) = self.holds.find(&self.tree, table, owner) {
                self.holds[table].below -= 1;
            }
        }
        self.holds
            .remove(&mut self.tree, id, &mut self.owners[owner].first_hold);
        self.tree.prune(node);
    }

    /// Counts explicit locks below their row, for escalation.
    fn count_in_row(&mut self, owner: OwnerId, node: NodeId, by: i32) {
        let Some(row) = self.tree.above(node, Kind::Row).filter(|&row| row != node) else {
            return;
        };
        if let Some(hold) = self.holds.find(&self.tree, row, owner) {
            let below = &mut self.holds[hold].below;
            *below = below.wrapping_add_signed(by);
        }
    }

    /// Remembers that waiters of a node, and of nodes that overlap it, may have become grantable, because modes that
    /// conflict with what they want have gone.
    pub(super) fn touch(&mut self, node: NodeId, gone: ModeSet) {
        if self.tickets.is_empty() {
            return;
        }
        let LockTable {
            tree, queues, dirty, ..
        } = self;
        let mut look = |node: NodeId| {
            if tree[node].queued && queues[&node].wanted.conflicts(gone) {
                dirty.push(node);
            }
            false
        };
        look(node);
        tree.any_overlapping(node, look);
    }

    /// Takes everything from an owner and forgets it. Its waits must have been taken out of their queues.
    pub(super) fn drop_owner(&mut self, owner: OwnerId) {
        for hold in std::mem::take(&mut self.owners[owner].adds) {
            let node = self.holds[hold].node;
            self.adds.remove(hold, node);
        }
        loop {
            let id = self.owners[owner].first_hold;
            if id == NONE {
                break;
            }
            let node = self.holds[id].node;
            self.touch(node, self.holds[id].effective());
            self.holds
                .remove(&mut self.tree, id, &mut self.owners[owner].first_hold);
            self.tree.prune(node);
        }
        self.log_entries -= self.owners[owner].log.len();
        self.owners.remove(owner);
    }
}

fn count(count: &mut u32, before: bool, after: bool) {
    match (before, after) {
        (false, true) => *count += 1,
        (true, false) => *count -= 1,
        _ => {}
    }
}
