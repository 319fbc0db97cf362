//! Escalation: one coarser lock for very many fine ones, if it can be had without waiting (DESIGN L8).
//!
//! More than 1,000 locks on paths of one row are traded for one on its `#data`, locks in more than 50,000 rows of a table
//! for one on the table in this shard: exclusive if any of them writes, shared otherwise. Nothing is loosened: the coarse
//! lock covers every traded one, marks path classes as a whole, and takes the place of the oldest of them for savepoints.
//! An attempt that fails is made again after a tenth as many locks more.

use super::Event;
use super::mode::ModeSet;
use super::names;
use super::owner::{OwnerId, Taken};
use super::queue::Rank;
use super::table::LockTable;
use super::tree::{Kind, NodeId};

impl LockTable {
    /// Notes that an owner has taken one more lock in a row.
    pub(super) fn note_growth(&mut self, owner: OwnerId, row: NodeId) {
        let due = |count: u32, most: u32| count > most && (count - most) % (most / 10 + 1) == 1 % (most / 10 + 1);
        let below = |node| {
            self.holds
                .find(&self.tree, node, owner)
                .map_or(0, |hold| self.holds[hold].below)
        };
        let table = self.tree[row].parent;
        if due(below(row), self.config.row_paths_max) {
            self.growth.push((owner, row));
        }
        if due(below(table), self.config.table_rows_max) {
            self.growth.push((owner, table));
        }
    }

    /// Tries the escalations that have become due.
    pub(super) fn escalate_pending(&mut self) {
        while let Some((owner, node)) = self.growth.pop() {
            let grown = |kind: Kind, most: u32| {
                self.tree[node].kind == kind
                    && self
                        .holds
                        .find(&self.tree, node, owner)
                        .is_some_and(|hold| self.holds[hold].below > most)
            };
            if self.tree[node].hold_count == super::tree::NONE {
                continue;
            }
            if grown(Kind::Row, self.config.row_paths_max) {
                self.unfold(node);
                let data = self.tree.child_or_insert(node, &names::DATA);
                self.escalate(owner, data);
                self.tree.prune(data);
            } else if grown(Kind::Table, self.config.table_rows_max) {
                self.unfold_below(node, Some(owner));
                self.escalate(owner, node);
            }
        }
    }

    fn escalate(&mut self, owner: OwnerId, target: NodeId) {
        let mut traded: Vec<NodeId> = Vec::new();
        let mut writes = false;
        for hold in self.holds.of(self.owners[owner].first_hold) {
            let hold = &self.holds[hold];
            let fine = !hold.explicit.is_empty() || hold.ceded;
            if fine && self.tree.is_within(hold.node, target) {
                writes |= hold.explicit.writes() || hold.ceded;
                if hold.node != target {
                    traded.push(hold.node);
                }
            }
        }
        if traded.is_empty() {
            return;
        }
        let at_table = self.tree[target].kind == Kind::Table;
        let modes = match (at_table, writes) {
            (true, true) => ModeSet::TABLE_EXCLUSIVE,
            (true, false) => ModeSet::TABLE_SHARE,
            (false, true) => ModeSet::X,
            (false, false) => ModeSet::S,
        };
        // Without waiting, and without passing anybody who waits.
        if !self.may_hold(owner, target, modes, Rank::LAST) {
            self.stats.escalations_refused += 1;
            return;
        }
        let before = self
            .holds
            .find(&self.tree, target, owner)
            .map_or(ModeSet::NONE, |hold| self.holds[hold].explicit);
        self.strengthen(owner, target, modes);
        self.rewrite_log(owner, target, modes, before);
        let count = traded.len();
        for node in traded {
            let Some(hold) = self.holds.find(&self.tree, node, owner) else {
                continue;
            };
            if self.owners[owner].adds.contains(&hold) {
                self.owners[owner].adds.retain(|other| *other != hold);
                self.adds.remove(hold, node);
            }
            let explicit = self.holds[hold].explicit;
            let ceded = self.holds[hold].ceded;
            if ceded {
                self.change(owner, node, |hold| hold.ceded = false);
            }
            if !explicit.is_empty() {
                self.weaken(owner, node, explicit);
            }
        }
        self.stats.escalations += 1;
        let (txn, name) = (self.owners[owner].owner.txn, self.tree.name(target));
        let mode = modes.modes()[0];
        self.events.push(Event::Escalated { txn, name, mode, count });
    }

    /// Logs the coarse lock in the place of the first lock it replaces, as far as it is not logged before that.
    fn rewrite_log(&mut self, owner: OwnerId, target: NodeId, modes: ModeSet, before: ModeSet) {
        let tree = &self.tree;
        let state = &mut self.owners[owner];
        let length = state.log.len();
        let mut first = None;
        state.log.retain(|taken| {
            let traded = taken.node != target && tree.is_within(taken.node, target);
            if traded {
                first = first.or(Some(taken.step));
            }
            !traded
        });
        if let Some(step) = first {
            let new = (modes - before) | state.reclaim(step, target, modes);
            if !new.is_empty() {
                state.record(Taken {
                    step,
                    node: target,
                    modes: new,
                });
            }
        }
        self.log_entries = self.log_entries + self.owners[owner].log.len() - length;
    }
}
