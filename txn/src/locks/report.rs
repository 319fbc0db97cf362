//! Reports: what is held and awaited, who blocks whom, what must be made durable with a Prepare, and self-checks.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::hold::Hold;
use super::mode::ModeSet;
use super::names;
use super::owner::{OwnerId, Ticket};
use super::table::LockTable;
use super::tree::{Kind, Node, NodeId, ROOT};
use super::{LockRequest, Owner, TxnId};
use crate::{LockName, Mode};

/// A line of `pg_locks`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Holder or waiter.
    pub owner: Owner,
    /// Lock.
    pub name: LockName,
    /// Mode.
    pub mode: Mode,
    /// Held, or waited for.
    pub granted: bool,
}

/// An edge of the waits-for graph: a waiter and one thing that stands against it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wait {
    /// The wait.
    pub ticket: Ticket,
    /// Who waits.
    pub waiter: TxnId,
    /// Its session.
    pub waiter_session: u32,
    /// Who is in the way.
    pub blocker: TxnId,
    /// Its session.
    pub blocker_session: u32,
    /// If the blocker is only an earlier waiter: its ticket, which may be overtaken to break a deadlock.
    pub passable: Option<Ticket>,
    /// What is wanted.
    pub name: LockName,
    /// In which mode.
    pub mode: Mode,
    /// Where the two meet.
    pub met_at: LockName,
    /// The blocker's strongest mode there.
    pub met_mode: Option<Mode>,
}

impl LockTable {
    /// All explicit locks held and waited for. Intentions show at tables only, as PostgreSQL's ROW SHARE and ROW EXCLUSIVE.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (_, state) in self.owners.iter() {
            for hold in self.holds.of(state.first_hold) {
                let hold = &self.holds[hold];
                let node = hold.node;
                let at_table = self.tree[node].kind == Kind::Table;
                let shown = if at_table { hold.effective() } else { hold.explicit };
                for mode in shown.modes() {
                    entries.push(Entry {
                        owner: state.owner,
                        name: self.tree.name(node),
                        mode,
                        granted: true,
                    });
                }
                if let Some((name, modes)) = self.tree.folded_lock(node) {
                    let of_folded = modes.modes().into_iter().map(|mode| Entry {
                        owner: state.owner,
                        name: name.clone(),
                        mode,
                        granted: true,
                    });
                    entries.extend(of_folded);
                }
            }
        }
        for waiting in self.tickets.values() {
            let owner = self.owners[waiting.owner].owner;
            for item in &waiting.plan.explicit {
                let LockRequest { name, mode, .. } = waiting.requests[item.request].clone();
                entries.push(Entry {
                    owner,
                    name,
                    mode,
                    granted: false,
                });
            }
        }
        entries
    }

    /// The waits-for graph: every waiter with all that stands against it.
    pub fn edges(&self) -> Vec<Wait> {
        self.tickets.keys().flat_map(|&ticket| self.waits(ticket)).collect()
    }

    /// What stands against one ticket.
    pub fn waits(&self, ticket: Ticket) -> Vec<Wait> {
        let mut waits = Vec::new();
        if self.tickets.contains_key(&ticket) {
            self.any_blocker_of(ticket, |blocker| {
                waits.push(self.describe(ticket, blocker));
                false
            });
        }
        waits
    }

    /// Who stands against a transaction's waits.
    pub fn blockers(&self, txn: TxnId) -> Vec<TxnId> {
        let mut blockers = Vec::new();
        let Some(owner) = self.owners.find(txn) else {
            return blockers;
        };
        for &ticket in &self.owners[owner].tickets {
            self.any_blocker_of(ticket, |blocker| {
                let txn = self.owners[blocker.owner].owner.txn;
                if !blockers.contains(&txn) {
                    blockers.push(txn);
                }
                false
            });
        }
        blockers
    }

    /// Number of transactions that hold or await locks.
    pub fn transaction_count(&self) -> usize {
        self.owners.len()
    }

    /// Number of (transaction, node) pairs held, intentions included.
    pub fn hold_count(&self) -> usize {
        self.holds.len()
    }

    /// The explicit locks of a transaction, as requests that would take them again: what its Prepare record carries.
    pub fn locks_of(&self, txn: TxnId) -> Vec<LockRequest> {
        let Some(owner) = self.owners.find(txn) else {
            return Vec::new();
        };
        let mut locks = Vec::new();
        for id in self.holds.of(self.owners[owner].first_hold) {
            let hold = &self.holds[id];
            if let Some((name, modes)) = self.tree.folded_lock(hold.node) {
                let of_folded = modes.modes().into_iter();
                locks.extend(of_folded.map(|mode| LockRequest::new(name.clone(), mode)));
            }
            if hold.explicit.is_empty() {
                continue;
            }
            let name = self.tree.name(hold.node);
            for mode in hold.explicit.modes() {
                if mode == Mode::Add {
                    let adds = self.adds.increments(id).into_iter();
                    locks.extend(adds.map(|add| LockRequest {
                        name: name.clone(),
                        mode,
                        add: Some(add),
                    }));
                } else {
                    locks.push(LockRequest::new(name.clone(), mode));
                }
            }
        }
        // The list of holds is newest first; ancestors before descendants reads better in records and logs.
        locks.reverse();
        locks
    }

    /// Gives a transaction the locks of its Prepare record and seals it: a new leader before it serves (DESIGN C4).
    ///
    /// # Panics
    /// If they conflict with locks held: two prepared transactions cannot.
    pub fn restore(&mut self, owner: Owner, locks: &[LockRequest]) {
        let id = self.owners.find_or_insert(&owner);
        let roots = self.open_classes_of(locks);
        for lock in locks {
            let mut node = ROOT;
            for segment in names::segments(&lock.name) {
                node = self.step_into(node, &segment);
            }
            let Some(modes) = super::take::wanted(lock) else {
                continue;
            };
            assert!(
                self.may_hold(id, node, modes, super::queue::Rank::FIRST),
                "prepared transactions hold compatible locks"
            );
            self.take(id, 0, node, modes, lock.add.as_ref().filter(|_| modes == ModeSet::A));
        }
        self.close_classes(roots);
        self.growth.clear();
        self.owners[id].sealed = true;
    }

    /// Checks everything that can be checked at rest.
    ///
    /// # Errors
    /// Names the invariant that is broken, and where.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut counted: BTreeMap<(NodeId, OwnerId), (u32, u32)> = BTreeMap::new();
        for (node, _) in self.tree.iter() {
            self.check_holders(node)?;
            for id in self.holds.at(&self.tree, node) {
                let hold = &self.holds[id];
                let contribution = hold.contribution();
                let parent = self.tree[node].parent;
                let counts = counted.entry((parent, hold.owner)).or_default();
                counts.0 += u32::from(contribution.reads);
                counts.1 += u32::from(contribution.writes);
            }
            self.adds.check(node, self.holds.at(&self.tree, node))?;
            if let Some(folded) = self.tree.folded(node) {
                let place = &self.tree[node];
                if place.hold_count != 1 || place.queued || self.class_root(node).is_some() {
                    return Err(format!(
                        "{:?} is folded, and more than one looks at it",
                        self.tree.name(node)
                    ));
                }
                let counts = counted.entry((node, self.holds[place.first_hold].owner)).or_default();
                counts.0 += u32::from(folded.modes.reads());
                counts.1 += u32::from(folded.modes.writes());
            }
        }
        for (node, _) in self.tree.iter() {
            for id in self.holds.at(&self.tree, node) {
                let hold = &self.holds[id];
                let counts = counted.remove(&(node, hold.owner)).unwrap_or_default();
                if counts != (hold.child_reads, hold.child_writes) {
                    return Err(format!("L1: counts of {:?} at {:?}", counts, self.tree.name(node)));
                }
                self.check_below(hold)?;
                self.check_marked(hold)?;
            }
        }
        counted.retain(|(node, _), counts| *node != ROOT && *counts != (0, 0));
        if let Some(((node, _), _)) = counted.first_key_value() {
            return Err(format!(
                "L1: a lock below {:?} without an intention there",
                self.tree.name(*node)
            ));
        }
        self.check_waiters()
    }

    /// No two holders of a node, or of nodes that overlap, conflict.
    fn check_holders(&self, node: NodeId) -> Result<(), String> {
        let mut near: Vec<NodeId> = vec![node];
        self.tree.any_overlapping(node, |other| {
            near.push(other);
            false
        });
        for one in self.holds.at(&self.tree, node).map(|id| &self.holds[id]) {
            if !self.tree[node].held.contains(one.effective()) {
                return Err(format!("the union at {:?} lacks a holder", self.tree.name(node)));
            }
            for other in near
                .iter()
                .flat_map(|&near| self.holds.at(&self.tree, near))
                .map(|id| &self.holds[id])
            {
                if one.owner != other.owner && one.effective().conflicts(other.effective()) {
                    let (one, other) = (one.effective(), other.effective());
                    return Err(format!("L1: {one} and {other} are held at {:?}", self.tree.name(node)));
                }
            }
        }
        Ok(())
    }

    /// The counts that escalation and class marks go by.
    fn check_below(&self, hold: &Hold) -> Result<(), String> {
        let own = || {
            self.holds
                .of(self.owners[hold.owner].first_hold)
                .map(|id| &self.holds[id])
        };
        let kind = self.tree[hold.node].kind;
        let expected = match kind {
            Kind::Table => {
                let rows = own().filter(|other| self.tree[other.node].kind == Kind::Row);
                rows.filter(|other| self.tree[other.node].parent == hold.node).count()
            }
            Kind::Row => {
                let below = |other: &&Hold| other.node != hold.node && self.tree.is_within(other.node, hold.node);
                let folded = usize::from(self.tree[hold.node].folded);
                own().filter(|other| !other.explicit.is_empty()).filter(below).count() + folded
            }
            kind if kind.is_class() => {
                let writes = |other: &&Hold| {
                    let kind = self.tree[other.node].kind;
                    other.explicit.changes_here() && (kind.is_data() || kind == Kind::Row)
                };
                own()
                    .filter(writes)
                    .filter(|other| self.class_of(other.node) == Some(hold.node))
                    .count()
            }
            _ => 0,
        };
        if expected == hold.below as usize {
            Ok(())
        } else {
            Err(format!(
                "{} counted, {expected} found below {:?} ({kind:?})",
                hold.below,
                self.tree.name(hold.node)
            ))
        }
    }

    /// While the classes of a table are in use every write there is marked.
    fn check_marked(&self, hold: &Hold) -> Result<(), String> {
        if !hold.explicit.changes_here() || self.class_root(hold.node).is_none() {
            return Ok(());
        }
        let mark = self
            .class_of(hold.node)
            .and_then(|class| self.holds.find(&self.tree, class, hold.owner));
        match mark.filter(|&mark| self.holds[mark].below > 0) {
            Some(_) => Ok(()),
            None => Err(format!(
                "a write at {:?} is not marked on its class",
                self.tree.name(hold.node)
            )),
        }
    }

    fn class_of(&self, node: NodeId) -> Option<NodeId> {
        let mut class = self.class_root(node)?;
        for step in self.tree.steps_below(node, self.tree.above(node, Kind::Row)?) {
            if let Some(segment) = names::class_step(self.tree[step].kind, &self.tree[step].key) {
                class = self.tree.child(class, &segment)?;
            }
        }
        Some(class)
    }

    /// Nobody waits whom nothing stands against, except for room for an increment; every queue entry has its ticket.
    fn check_waiters(&self) -> Result<(), String> {
        for (&ticket, waiting) in &self.tickets {
            let adds = waiting.plan.explicit.iter().any(|item| item.modes == ModeSet::A);
            if !adds && !self.any_blocker_of(ticket, |_| true) {
                return Err(format!("L6: {ticket:?} waits for nobody"));
            }
        }
        for (node, queue) in &self.queues {
            let known = queue
                .entries
                .iter()
                .all(|queued| self.tickets.contains_key(&queued.ticket));
            if !known || queue.entries.is_empty() || !self.tree[*node].queued {
                return Err(format!(
                    "L6: the queue at {:?} is not that of its tickets",
                    self.tree.name(*node)
                ));
            }
        }
        let is_idle = |id: NodeId, node: &Node| node.hold_count == 0 && !node.queued && !self.has_child(id);
        let idle = self.tree.iter().find(|(id, node)| is_idle(*id, node));
        match idle {
            Some((node, _)) => Err(format!("{:?} is kept for nobody", self.tree.name(node))),
            None => Ok(()),
        }
    }

    fn has_child(&self, parent: NodeId) -> bool {
        self.tree.iter().any(|(_, node)| node.parent == parent)
    }

    /// The table as text: the tree with holders and queues, for tests and the admin API. `label` names a node.
    pub fn dump(&self, label: &dyn Fn(&LockName) -> String) -> String {
        let mut children: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for (id, node) in self.tree.iter() {
            children.entry(node.parent).or_default().push(id);
        }
        for list in children.values_mut() {
            list.sort_by(|&one, &other| {
                let key = |id: NodeId| (self.tree[id].kind, self.tree[id].key.clone());
                key(one).cmp(&key(other))
            });
        }
        let mut text = String::new();
        self.dump_below(ROOT, 0, &children, label, &mut text);
        text
    }

    fn dump_below(
        &self,
        parent: NodeId,
        depth: usize,
        children: &BTreeMap<NodeId, Vec<NodeId>>,
        label: &dyn Fn(&LockName) -> String,
        text: &mut String,
    ) {
        for &id in children.get(&parent).into_iter().flatten() {
            let node = &self.tree[id];
            let name = match node.kind {
                Kind::Index => format!(
                    "index {}",
                    u32::from_be_bytes(node.key[..].try_into().unwrap_or_default())
                ),
                Kind::Class => "*".into(),
                Kind::RowSet => "#rows".into(),
                _ => label(&self.tree.name(id)),
            };
            let mut line = format!("{:indent$}{name}", "", indent = depth * 2);
            let mut holders: Vec<(TxnId, String)> = self
                .holds
                .at(&self.tree, id)
                .map(|hold| &self.holds[hold])
                .map(|hold| {
                    let intended = hold.explicit.is_empty();
                    let modes = if hold.ceded && intended {
                        "(A)".into()
                    } else {
                        hold.effective().to_string()
                    };
                    (self.owners[hold.owner].owner.txn, modes)
                })
                .collect();
            holders.sort();
            let pad = 28usize.saturating_sub(line.chars().count());
            let _ = write!(line, "{:pad$}", "");
            for (txn, modes) in holders {
                let _ = write!(line, " t{txn}:{modes}");
            }
            if let Some(queue) = self.queues.get(&id) {
                line.push_str("  |");
                for queued in &queue.entries {
                    let txn = self.owners[queued.owner].owner.txn;
                    let _ = write!(line, " t{txn}:{}{}", queued.modes, if queued.front { "↑" } else { "" });
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
            self.dump_folded(id, depth + 1, label, text);
            self.dump_below(id, depth + 1, children, label, text);
        }
    }

    /// What is folded at a row, as it would be unfolded.
    fn dump_folded(&self, row: NodeId, depth: usize, label: &dyn Fn(&LockName) -> String, text: &mut String) {
        let Some(folded) = self.tree.folded(row) else { return };
        let txn = self.owners[self.holds[self.tree[row].first_hold].owner].owner.txn;
        let LockName::Row { table, key, .. } = self.tree.name(row) else {
            return;
        };
        let count = folded.segments().count();
        for at in 0..count {
            let part = names::part_of(folded.segments().take(at + 1));
            let (table, key) = (table, key.clone());
            let name = label(&LockName::Row { table, key, part });
            let mut line = format!("{:indent$}{name}", "", indent = (depth + at) * 2);
            let pad = 28usize.saturating_sub(line.chars().count());
            let modes = if at + 1 == count {
                folded.modes
            } else {
                folded.intentions()
            };
            let _ = write!(line, "{:pad$} t{txn}:{modes}", "");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    /// All transactions with a lock or a wait.
    pub fn transactions(&self) -> Vec<TxnId> {
        let mut all: Vec<TxnId> = self.owners.iter().map(|(_, state)| state.owner.txn).collect();
        all.sort_unstable();
        all
    }

    /// Whether no ticket waits twice and every one belongs to its owner.
    #[cfg(test)]
    pub(super) fn tickets_are_sound(&self) -> bool {
        let mut seen = ahash::AHashSet::new();
        self.owners.iter().all(|(owner, state)| {
            state
                .tickets
                .iter()
                .all(|ticket| seen.insert(*ticket) && self.tickets[ticket].owner == owner)
        }) && seen.len() == self.tickets.len()
    }
}
