//! Savepoints: giving back what was taken after a mark, and no more (DESIGN L7).
//!
//! Each lock taken is logged with the savepoint counter of its transaction. A rollback undoes the log's end: a mode is taken
//! away, or, if it was X over an A, the A is held again. In SERIALIZABLE what was seen stays seen: S stays, X becomes S.

use super::mode::ModeSet;
use super::owner::OwnerId;
use super::table::LockTable;
use super::{Event, TxnId, Values};

impl LockTable {
    /// Gives back what a transaction took after `step`, and ends its waits. `false` if it holds nothing here.
    pub fn rollback_to(&mut self, txn: TxnId, step: u64, values: &dyn Values) -> bool {
        let Some(owner) = self.owners.find(txn) else {
            return false;
        };
        for ticket in self.owners[owner].tickets.clone() {
            self.withdraw(ticket);
        }
        let keeps_reads = self.owners[owner].owner.serializable;
        while self.owners[owner].log.last().is_some_and(|taken| taken.step > step) {
            self.undo_last(owner, keeps_reads);
        }
        if !self.regain(owner, values) && !self.owners[owner].doomed {
            self.owners[owner].doomed = true;
            self.events.push(Event::Aborted {
                txn,
                ticket: None,
                reason: super::AbortReason::Lost,
            });
        }
        self.forget_idle(owner);
        self.wake(values);
        true
    }

    /// Undoes what was logged after a length of the log: a batch that could not be granted whole.
    pub(super) fn undo(&mut self, owner: OwnerId, length: usize) {
        while self.owners[owner].log.len() > length {
            self.undo_last(owner, false);
        }
    }

    fn undo_last(&mut self, owner: OwnerId, keeps_reads: bool) {
        let Some(taken) = self.owners[owner].log.pop() else {
            return;
        };
        self.log_entries -= 1;
        let (mut node, modes) = (taken.node, taken.modes);
        if modes == ModeSet::A {
            self.undo_add(owner, node);
            return;
        }
        if self.tree[node].folded {
            match self.undo_folded(owner, node, keeps_reads && modes.is_shared()) {
                Some(leaf) => node = leaf,
                None => return,
            }
        }
        if keeps_reads && modes.is_shared() {
            let at_table = self.tree[node].kind == super::tree::Kind::Table;
            let kept = if at_table { ModeSet::TABLE_SHARE } else { ModeSet::S };
            self.strengthen(owner, node, kept);
            self.weaken(owner, node, modes - kept);
        } else {
            self.weaken(owner, node, modes);
        }
        let ceded = self.holds.find(&self.tree, node, owner).filter(|&hold| {
            let hold = &self.holds[hold];
            hold.ceded && modes.contains(ModeSet::X) && !hold.explicit.intersects(ModeSet::X | ModeSet::S)
        });
        if let Some(hold) = ceded {
            self.hold_again(owner, hold);
        }
    }

    fn undo_add(&mut self, owner: OwnerId, node: super::tree::NodeId) {
        let Some(hold) = self.holds.find(&self.tree, node, owner) else {
            return;
        };
        if self.adds.pop(hold, node) {
            return;
        }
        self.owners[owner].adds.retain(|other| *other != hold);
        if self.holds[hold].ceded {
            self.change(owner, node, |hold| hold.ceded = false);
        } else {
            self.weaken(owner, node, ModeSet::A);
        }
    }
}
