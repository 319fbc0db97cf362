//! Path classes: `table/*/doc/a`, the path of every row, which SERIALIZABLE scans lock in S (DESIGN §3).
//!
//! ```text
//!   orders ─ * ─ doc      IX t1          t1 writes orders/7/doc/a: it marks the class of its path with W and the
//!            │   └ a      W  t1          classes above with IX, so a scan over doc/a, doc or doc/a/x meets it here.
//!            └ …                         t2, who writes orders/8/doc/a, has the same marks: W meets W and IX.
//! ```
//!
//! Marks exist only while somebody uses the classes of a table. The first reader marks what is held already
//! ([`LockTable::open_classes`]); when the last mark and the last reader are gone, the root goes, and writers pay nothing again.

use smallvec::{SmallVec, smallvec};

use super::mode::ModeSet;
use super::names;
use super::owner::OwnerId;
use super::table::LockTable;
use super::tree::{Kind, NodeId, ROOT};
use crate::{LockName, LockRequest, TableId};

/// Classes from the root to one of a path.
pub(super) type Chain = SmallVec<[NodeId; 12]>;

impl LockTable {
    /// The root of the path classes of a node's table, if they are in use and the node is a row or a part of its data.
    pub(super) fn class_root(&self, node: NodeId) -> Option<NodeId> {
        let kind = self.tree[node].kind;
        if !self.tree.has_classes() || !(kind.is_data() || kind == Kind::Row) {
            return None;
        }
        self.tree.child(self.tree.above(node, Kind::Table)?, &names::CLASS)
    }

    /// The path class of a node of a row, made if missing, with the classes above it.
    pub(super) fn class_chain(&mut self, root: NodeId, node: NodeId) -> Chain {
        let row = self
            .tree
            .above(node, Kind::Row)
            .expect("a class is asked for at or below a row");
        let mut chain: Chain = smallvec![root];
        let mut class = root;
        for step in self.tree.steps_below(node, row) {
            let Some(segment) = names::class_step(self.tree[step].kind, &self.tree[step].key) else {
                continue;
            };
            class = self.tree.child_or_insert(class, &segment);
            chain.push(class);
        }
        chain
    }

    /// What a writer wants of each class in a chain.
    pub(super) fn class_modes(chain: &Chain) -> impl Iterator<Item = (NodeId, ModeSet)> + '_ {
        let last = chain.len() - 1;
        chain
            .iter()
            .enumerate()
            .map(move |(at, &class)| (class, if at == last { ModeSet::W } else { ModeSet::IX }))
    }

    /// Marks or unmarks a write on the path class of a node, if classes are in use.
    pub(super) fn mark_class(&mut self, owner: OwnerId, node: NodeId, by: i32) {
        let Some(root) = self.class_root(node) else { return };
        let class = *self
            .class_chain(root, node)
            .last()
            .expect("a chain begins with its root");
        self.change(owner, class, |hold| hold.below = hold.below.wrapping_add_signed(by));
    }

    /// Begins to use the path classes that a batch names, before any of it is taken or planned: its own writes must mark
    /// them too. The caller closes them when the batch is done.
    pub(super) fn open_classes_of(&mut self, requests: &[LockRequest]) -> SmallVec<[NodeId; 1]> {
        let mut roots = SmallVec::new();
        for request in requests {
            if let LockName::PathClass { table, .. } = request.name {
                let root = self.open_classes(table);
                self.tree[root].pinned = true;
                roots.push(root);
            }
        }
        roots
    }

    /// The batch is done: classes nobody needs go, because its locks were covered or refused.
    pub(super) fn close_classes(&mut self, roots: SmallVec<[NodeId; 1]>) {
        for root in roots {
            self.tree[root].pinned = false;
            self.tree.prune(root);
        }
    }

    /// Begins to use the path classes of a table: what is being written is marked, and who waits to write will mark too.
    fn open_classes(&mut self, table: TableId) -> NodeId {
        let name = LockName::Table(table);
        let table_node = self.tree.child_or_insert(ROOT, &names::segments(&name)[0]);
        if let Some(root) = self.tree.child(table_node, &names::CLASS) {
            return root;
        }
        self.unfold_below(table_node, None);
        let root = self.tree.child_or_insert(table_node, &names::CLASS);
        let mut writes: Vec<(OwnerId, NodeId)> = Vec::new();
        for (owner, state) in self.owners.iter() {
            for hold in self.holds.of(state.first_hold) {
                let hold = &self.holds[hold];
                let kind = self.tree[hold.node].kind;
                let written = hold.explicit.changes_here() && (kind.is_data() || kind == Kind::Row);
                if written && self.tree.is_within(hold.node, table_node) {
                    writes.push((owner, hold.node));
                }
            }
        }
        for (owner, node) in writes {
            self.mark_class(owner, node, 1);
        }
        let waiting: Vec<_> = self
            .tickets
            .iter()
            .filter(|(_, waiting)| waiting.requests.iter().any(|request| request.name.table() == table))
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in waiting {
            self.replan(ticket, &[]);
        }
        root
    }
}
