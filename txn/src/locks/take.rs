//! Take: the way of a lock nobody is in the way of: one walk down the tree, one change of counts up again.

use super::Values;
use super::class::Chain;
use super::mode::ModeSet;
use super::names;
use super::owner::{OwnerId, Taken};
use super::queue::Rank;
use super::table::LockTable;
use super::tree::{Kind, NodeId, ROOT};
use crate::{AddIncrement, LockName, LockRequest, Mode, RowPart};

/// How an attempt to take a lock at once ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Held, or nothing had to be taken because a stronger lock covers it.
    Taken,
    /// Held or covered in X, though A was wanted: the caller must look at the value.
    TakenExclusive,
    /// Somebody holds or waits for something that conflicts; nothing was taken.
    Blocked,
    /// Increments of the same transaction must be given back first; nothing was taken.
    Converts,
}

impl Attempt {
    fn taken(wanted: ModeSet, got: ModeSet) -> Attempt {
        if wanted == ModeSet::A && got != wanted {
            Attempt::TakenExclusive
        } else {
            Attempt::Taken
        }
    }
}

impl LockTable {
    /// Takes one lock if nobody is in the way. With `holds` false it is only looked whether it could be.
    pub(super) fn try_take(
        &mut self,
        owner: OwnerId,
        step: u64,
        request: &LockRequest,
        holds: bool,
        values: &dyn Values,
    ) -> Attempt {
        let Some(wanted) = wanted(request) else {
            return Attempt::Blocked;
        };
        let segments = names::segments(&request.name);
        let (leaf, above) = segments.split_last().expect("a name has a table");
        let mut parent = ROOT;
        let mut reads_above = false;
        for segment in above {
            let node = self.step_into(parent, segment);
            if holds && segment.kind == Kind::Row && self.tree.is_new(node) && self.may_fold(wanted, above) {
                self.take_folded(owner, step, node, wanted, &segments[3..]);
                return Attempt::Taken;
            }
            let hold = self.holds.find(&self.tree, node, owner).map(|id| &self.holds[id]);
            let (explicit, held) = hold.map_or_else(Default::default, |hold| (hold.explicit, hold.effective()));
            if explicit.covers_below(wanted) {
                return Attempt::taken(wanted, wanted - ModeSet::A);
            }
            reads_above |= explicit.is_shared();
            let intention = wanted.intention(parent == ROOT);
            if !held.covers(intention) && self.is_blocked(owner, node, intention, held) {
                self.tree.prune(node);
                return Attempt::Blocked;
            }
            parent = node;
        }
        let node = self.step_into(parent, leaf);
        let hold = self.holds.find(&self.tree, node, owner).map(|id| &self.holds[id]);
        let (explicit, held) = hold.map_or_else(Default::default, |hold| (hold.explicit, hold.effective()));
        let modes = self.modes_at(owner, node, wanted, reads_above, request, values);
        let adds = modes == ModeSet::A;
        let attempt = if modes.is_shared() && self.overlaps_adds(owner, &request.name) {
            Attempt::Converts
        } else if !adds && explicit.covers(modes) {
            // An intention that happens to be as strong is not enough: it goes with the lock below that it is for.
            return Attempt::taken(wanted, modes);
        } else if (!held.covers(modes) && self.is_blocked(owner, node, modes, held))
            || (holds && !self.may_mark(owner, node, modes))
        {
            Attempt::Blocked
        } else {
            Attempt::taken(wanted, modes)
        };
        if !holds || matches!(attempt, Attempt::Blocked | Attempt::Converts) {
            self.tree.prune(node);
            return attempt;
        }
        self.take(owner, step, node, modes, request.add.as_ref().filter(|_| adds));
        attempt
    }

    /// The modes a request needs at its node: an A beside the owner's own reading, without an exact value, or with too
    /// little room up to the limits is an X (DESIGN L5).
    pub(super) fn modes_at(
        &self,
        owner: OwnerId,
        node: NodeId,
        wanted: ModeSet,
        reads_above: bool,
        request: &LockRequest,
        values: &dyn Values,
    ) -> ModeSet {
        if wanted != ModeSet::A {
            return wanted;
        }
        let hold = self.holds.find(&self.tree, node, owner).map(|id| &self.holds[id]);
        let only_adds = hold.is_none_or(|hold| !hold.ceded && (hold.effective() - ModeSet::A).is_empty());
        let alone = !reads_above && only_adds && !names::is_truncated(&request.name);
        let value = || number(&request.name, values);
        match &request.add {
            Some(add) if alone && self.adds.allows(node, [add], value().as_ref()) => ModeSet::A,
            _ => ModeSet::X,
        }
    }

    /// Gives a lock to an owner and writes it down.
    pub(super) fn take(&mut self, owner: OwnerId, step: u64, node: NodeId, modes: ModeSet, add: Option<&AddIncrement>) {
        let hold = self.holds.find(&self.tree, node, owner);
        let explicit = hold.map_or(ModeSet::NONE, |hold| self.holds[hold].explicit);
        let mut new = modes - explicit;
        if !new.is_empty() {
            let hold = self.strengthen(owner, node, new);
            if let Some(row) = self.tree.above(node, Kind::Row) {
                self.note_growth(owner, row);
            }
            if new == ModeSet::A && add.is_some() {
                self.owners[owner].adds.push(hold);
            }
        }
        if let (Some(add), Some(hold)) = (add, self.holds.find(&self.tree, node, owner)) {
            self.adds.push(hold, node, step, add);
        }
        if self.owners[owner].log.last().is_some_and(|taken| taken.step > step) {
            new |= self.owners[owner].reclaim(step, node, modes - new);
        }
        if !new.is_empty() || add.is_some() {
            let modes = if add.is_some() { ModeSet::A } else { new };
            self.owners[owner].record(Taken { step, node, modes });
            self.log_entries += 1;
        }
    }

    /// Whether a new request of an owner would wait at a node.
    pub(super) fn is_blocked(&mut self, owner: OwnerId, node: NodeId, modes: ModeSet, held: ModeSet) -> bool {
        let place = &self.tree[node];
        let stands_alone = place.kind != Kind::Value && place.kind != Kind::Interval;
        let conflicts = place.held.conflicts(modes);
        if stands_alone && !conflicts && !place.queued {
            return false;
        }
        if conflicts {
            // What is held may have become less since it was last added up.
            self.holds.relax(&mut self.tree, node, u32::MAX);
        }
        let rank = Rank {
            held,
            age: self.owners[owner].owner.age(),
            ..Rank::LAST
        };
        self.any_blocker(owner, node, modes, rank, &[], |_| true)
    }

    /// Whether a writer may mark the path classes of a node, if they are in use.
    fn may_mark(&mut self, owner: OwnerId, node: NodeId, modes: ModeSet) -> bool {
        if !modes.changes_here() {
            return true;
        }
        let Some(root) = self.class_root(node) else { return true };
        let chain: Chain = self.class_chain(root, node);
        for (class, modes) in LockTable::class_modes(&chain) {
            let held = self.holds.effective(&self.tree, class, owner);
            if !held.covers(modes) && self.is_blocked(owner, class, modes, held) {
                self.tree.prune(chain[chain.len() - 1]);
                return false;
            }
        }
        true
    }
}

/// The modes a request asks for at its node.
pub(super) fn wanted(request: &LockRequest) -> Option<ModeSet> {
    let at_table = matches!(request.name, LockName::Table(_));
    let is_class = matches!(request.name, LockName::PathClass { .. });
    // A class is a promise about rows to come; writing one whole would have to be seen by readers of single rows.
    let modes = ModeSet::of(request.mode, at_table).filter(|modes| !is_class || !modes.writes())?;
    let is_path = matches!(
        &request.name,
        LockName::Row {
            part: RowPart::Path(_),
            ..
        }
    );
    Some(if request.mode == Mode::Add && !is_path && !at_table {
        ModeSet::X
    } else {
        modes
    })
}

/// The current number at a name.
pub(super) fn number(name: &LockName, values: &dyn Values) -> Option<storage::Numeric> {
    match name {
        LockName::Row {
            table,
            key,
            part: RowPart::Path(path),
        } => values.number(*table, key, path),
        _ => None,
    }
}
