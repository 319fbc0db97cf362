//! Plan: what a batch that cannot be granted at once needs, node by node, and what its transaction gives back first.
//!
//! A transaction that reads where it has only added must have X there (DESIGN L5). It gives back its A, under which it has
//! seen nothing, *before* it waits: two adders who both go on to read would otherwise wait for each other for ever. It waits in
//! front of the queue, and its increments stay written down, so that a rollback to a savepoint can hold them again.

use ahash::AHashMap;
use smallvec::SmallVec;

use super::hold::Hold;
use super::mode::ModeSet;
use super::names;
use super::owner::{OwnerId, Ticket};
use super::queue::Rank;
use super::table::LockTable;
use super::take::{number, wanted};
use super::tree::{Kind, NodeId, ROOT};
use super::{AbortReason, Event, Values};
use crate::{LockName, LockRequest, Mode};

/// What a batch needs.
#[derive(Clone, Default)]
pub(super) struct Plan {
    /// Modes at nodes, intentions and class marks included; one entry a node.
    pub(super) wants: Vec<Want>,
    /// Locks asked for by name.
    pub(super) explicit: Vec<Explicit>,
    /// Positions in `wants`, once there are too many to look through.
    places: AHashMap<NodeId, usize>,
}

/// Plans up to this length are looked through.
const SHORT: usize = 32;

/// Modes wanted at a node beyond what the owner holds there.
#[derive(Clone)]
pub(super) struct Want {
    pub(super) node: NodeId,
    pub(super) modes: ModeSet,
    /// Whether it stands before all others there.
    pub(super) front: bool,
}

/// A lock to take when nothing stands against the batch.
#[derive(Clone)]
pub(super) struct Explicit {
    pub(super) node: NodeId,
    pub(super) modes: ModeSet,
    /// Position of the request.
    pub(super) request: usize,
}

impl Plan {
    fn want(&mut self, node: NodeId, modes: ModeSet, front: bool) {
        if let Some(at) = self.find(node) {
            self.wants[at].modes |= modes;
            return;
        }
        self.wants.push(Want { node, modes, front });
        if self.places.is_empty() && self.wants.len() > SHORT {
            self.places = self
                .wants
                .iter()
                .enumerate()
                .map(|(at, want)| (want.node, at))
                .collect();
        } else if !self.places.is_empty() {
            self.places.insert(node, self.wants.len() - 1);
        }
    }

    /// Position of a node in `wants`.
    fn find(&self, node: NodeId) -> Option<usize> {
        if self.places.is_empty() {
            self.wants.iter().position(|want| want.node == node)
        } else {
            self.places.get(&node).copied()
        }
    }
}

impl LockTable {
    /// Finds out what requests need. Nodes are made for it, which stand in the plan or are held.
    /// Nodes in `front` count as held before: their owner has just given something back there.
    pub(super) fn plan(&mut self, owner: OwnerId, requests: &[LockRequest], front: &[NodeId]) -> Plan {
        let mut plan = Plan::default();
        for (at, request) in requests.iter().enumerate() {
            self.plan_one(owner, at, request, front, &mut plan);
        }
        plan
    }

    fn plan_one(&mut self, owner: OwnerId, at: usize, request: &LockRequest, front: &[NodeId], plan: &mut Plan) {
        let Some(modes) = wanted(request) else { return };
        let segments = names::segments(&request.name);
        let (leaf, above) = segments.split_last().expect("a name has a table");
        let mut parent = ROOT;
        for segment in above {
            let node = self.step_into(parent, segment);
            let hold = self.holds.find(&self.tree, node, owner).map(|id| &self.holds[id]);
            let held = hold.map_or(ModeSet::NONE, Hold::effective);
            let intention = modes.intention(parent == ROOT);
            if !held.covers(intention) {
                plan.want(node, intention, front.contains(&node));
            }
            parent = node;
        }
        let node = self.step_into(parent, leaf);
        let hold = self.holds.find(&self.tree, node, owner).map(|id| &self.holds[id]);
        let held = hold.map_or(ModeSet::NONE, Hold::effective);
        // With nothing to wait for it stands in the queue too: the node must be there when the batch is granted.
        let wanted = if held.covers(modes) { ModeSet::NONE } else { modes };
        plan.want(node, wanted, front.contains(&node));
        // Even if something covers it now: that may be of a later command, and be rolled back before this one.
        plan.explicit.push(Explicit {
            node,
            modes,
            request: at,
        });
        let root = if modes.changes_here() {
            self.class_root(node)
        } else {
            None
        };
        if let Some(root) = root {
            let chain = self.class_chain(root, node);
            for (class, modes) in LockTable::class_modes(&chain) {
                let held = self.holds.effective(&self.tree, class, owner);
                if !held.covers(modes) {
                    plan.want(class, modes, front.contains(&class));
                }
            }
        }
    }

    /// Makes the plan of a waiting ticket again; it keeps its places, and stands in front at the nodes of `front`.
    pub(super) fn replan(&mut self, ticket: Ticket, front: &[NodeId]) {
        let mut waiting = self.dequeue(ticket);
        let old = std::mem::take(&mut waiting.plan);
        waiting.plan = self.plan(waiting.owner, &waiting.requests, front);
        for want in &mut waiting.plan.wants {
            if let Some(at) = old.find(want.node) {
                want.front = old.wants[at].front || front.contains(&want.node);
            }
        }
        self.enqueue(ticket, waiting);
        self.recheck.push(ticket);
        for want in &old.wants {
            self.touch(want.node, want.modes);
            self.tree.prune(want.node);
        }
    }

    /// Whether an owner holds increments that a lock on `name` reads or overwrites.
    pub(super) fn overlaps_adds(&self, owner: OwnerId, name: &LockName) -> bool {
        let adds = &self.owners[owner].adds;
        !adds.is_empty() && adds.iter().any(|&hold| self.is_under_add(hold, name))
    }

    fn is_under_add(&self, hold: u32, name: &LockName) -> bool {
        let hold = &self.holds[hold];
        if hold.ceded {
            return false;
        }
        let mut steps = self.tree.steps_below(hold.node, ROOT);
        if matches!(name, LockName::PathClass { .. }) {
            // table/*/doc/a against table/row/#data/doc/a
            steps.remove(2);
            steps.remove(1);
            let class = names::segments(name);
            let class = class
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != 1)
                .map(|(_, segment)| segment.key());
            return class
                .zip(&steps)
                .all(|(key, &step)| key == self.tree[step].key.as_slice());
        }
        if matches!(
            name,
            LockName::RowSet { .. } | LockName::IndexValue { .. } | LockName::IndexInterval { .. }
        ) {
            return false;
        }
        let segments = names::segments(name);
        let mut pairs = segments.iter().zip(&steps);
        pairs.all(|(segment, &step)| {
            let node = &self.tree[step];
            segment.kind == node.kind && segment.key() == node.key.as_slice()
        })
    }

    /// Gives back the A locks that a batch reads or overwrites and asks for X on their paths instead. Returns the nodes at
    /// which the owner held something for them, where it now waits in front.
    pub(super) fn cede_overlapped(
        &mut self,
        owner: OwnerId,
        requests: &mut Vec<LockRequest>,
        values: &dyn Values,
    ) -> Ceded {
        let mut ceded = Ceded::default();
        for at in 0..requests.len() {
            let request = &requests[at];
            let sees = wanted(request).is_some_and(ModeSet::is_shared);
            if !sees && (request.mode != Mode::Add || self.add_has_room(owner, request, values)) {
                continue;
            }
            if request.mode == Mode::Add {
                requests[at].mode = Mode::Exclusive;
                ceded.exclusive.push(at);
            }
            let name = requests[at].name.clone();
            let holds: SmallVec<[u32; 2]> = self.owners[owner]
                .adds
                .iter()
                .copied()
                .filter(|&hold| self.is_under_add(hold, &name))
                .collect();
            for hold in holds {
                let node = self.holds[hold].node;
                requests.push(LockRequest::new(self.tree.name(node), Mode::Exclusive));
                ceded.front.extend(self.front_of(node));
                self.cede(owner, node);
            }
        }
        if !ceded.front.is_empty() {
            // Its other waits counted on the intentions that went with the A.
            for ticket in self.owners[owner].tickets.clone() {
                self.replan(ticket, &ceded.front);
            }
        }
        ceded
    }

    /// Whether an A may be asked for as such.
    fn add_has_room(&mut self, owner: OwnerId, request: &LockRequest, values: &dyn Values) -> bool {
        let mut node = ROOT;
        let mut reads_above = false;
        for segment in names::segments(&request.name) {
            let held = self.holds.find(&self.tree, node, owner).filter(|_| node != ROOT);
            reads_above |= held.is_some_and(|hold| self.holds[hold].explicit.is_shared());
            match self.tree.child(node, &segment) {
                Some(child) => {
                    self.unfold(child);
                    node = child;
                }
                // Nobody adds where there is no node; whether it fits is seen when it is granted.
                None => return !reads_above && request.add.is_some() && !names::is_truncated(&request.name),
            }
        }
        self.modes_at(owner, node, ModeSet::A, reads_above, request, values) == ModeSet::A
    }

    fn adds_at(&self, owner: OwnerId, node: NodeId) -> bool {
        self.holds
            .find(&self.tree, node, owner)
            .is_some_and(|hold| self.holds[hold].explicit.contains(ModeSet::A))
    }

    /// The nodes where an A lock makes its owner a holder.
    fn front_of(&mut self, node: NodeId) -> Vec<NodeId> {
        let mut front = self.tree.steps_below(node, ROOT).to_vec();
        if let Some(root) = self.class_root(node) {
            front.extend(self.class_chain(root, node));
        }
        front
    }

    fn cede(&mut self, owner: OwnerId, node: NodeId) {
        let Some(hold) = self.holds.find(&self.tree, node, owner) else {
            return;
        };
        self.holds[hold].ceded = true;
        self.adds.cede(hold, node);
        self.weaken(owner, node, ModeSet::A);
    }

    /// Holds again what was given back, after a conversion that did not happen. `false` if somebody stands in the way now.
    pub(super) fn regain(&mut self, owner: OwnerId, values: &dyn Values) -> bool {
        for hold in self.owners[owner].adds.clone() {
            let (node, ceded) = (self.holds[hold].node, self.holds[hold].ceded);
            if !ceded || self.holds[hold].explicit.contains(ModeSet::X) || self.awaits(owner, node) {
                continue;
            }
            let value = number(&self.tree.name(node), values);
            if !self.adds.fits_again(hold, node, value.as_ref()) || !self.may_hold(owner, node, ModeSet::A, Rank::FIRST)
            {
                return false;
            }
            self.hold_again(owner, hold);
            // Whoever came to wait meanwhile has one more holder in the way.
            for place in self.front_of(node) {
                let queue = self.queues.get(&place).into_iter().flat_map(|queue| &queue.entries);
                self.recheck.extend(queue.map(|queued| queued.ticket));
            }
        }
        true
    }

    /// Whether a wait of an owner is for X at this very node.
    fn awaits(&self, owner: OwnerId, node: NodeId) -> bool {
        let tickets = self.owners[owner]
            .tickets
            .iter()
            .map(|ticket| &self.tickets[ticket].plan.explicit);
        tickets
            .flatten()
            .any(|item| item.node == node && item.modes.contains(ModeSet::X))
    }

    /// Makes a ceded A a held one.
    pub(super) fn hold_again(&mut self, owner: OwnerId, hold: u32) {
        let node = self.holds[hold].node;
        self.adds.resume(hold, node);
        self.strengthen(owner, node, ModeSet::A);
        self.holds[hold].ceded = false;
    }

    /// Whether no holder is in the way of an owner's modes at a node, its ancestors and its class; waiters are passed, or
    /// not, as `rank` says.
    pub(super) fn may_hold(&mut self, owner: OwnerId, node: NodeId, modes: ModeSet, rank: Rank) -> bool {
        let mut places: SmallVec<[(NodeId, ModeSet); 16]> = SmallVec::new();
        for step in self.tree.steps_below(node, ROOT) {
            let at_table = self.tree[step].kind == Kind::Table;
            places.push((step, if step == node { modes } else { modes.intention(at_table) }));
        }
        let mut class = None;
        if let Some(root) = self.class_root(node).filter(|_| modes.changes_here()) {
            let chain = self.class_chain(root, node);
            places.extend(LockTable::class_modes(&chain));
            class = chain.last().copied();
        }
        let free = places
            .into_iter()
            .all(|(place, modes)| !self.any_blocker(owner, place, modes, rank, &[], |_| true));
        if let Some(class) = class {
            self.tree.prune(class);
        }
        free
    }

    /// Whether what an owner added fits the values now, wherever it gave back an A and has X instead.
    pub(super) fn converted_fit(&self, owner: OwnerId, values: &dyn Values) -> bool {
        self.owners[owner].adds.iter().all(|&hold| {
            let state = &self.holds[hold];
            !state.ceded
                || self
                    .adds
                    .fits_alone(hold, number(&self.tree.name(state.node), values).as_ref())
        })
    }

    /// Turns the A requests of a waiting ticket that have no room (any more) into X requests.
    pub(super) fn withdraw_adds_without_room(&mut self, ticket: Ticket, values: &dyn Values) {
        let waiting = &self.tickets[&ticket];
        let adds: SmallVec<[(NodeId, usize); 2]> = waiting
            .plan
            .explicit
            .iter()
            .filter(|item| item.modes == ModeSet::A)
            .map(|item| (item.node, item.request))
            .collect();
        if adds.is_empty() {
            return;
        }
        let mut full = Vec::new();
        for &(node, request) in &adds {
            let together = adds.iter().filter(|(other, _)| *other == node);
            let together = together.filter_map(|(_, request)| waiting.requests[*request].add.as_ref());
            let value = number(&waiting.requests[request].name, values);
            let hold = self.holds.find(&self.tree, node, waiting.owner);
            let ceded = hold.is_some_and(|hold| self.holds[hold].ceded);
            if ceded || !self.adds.allows(node, together, value.as_ref()) {
                full.push(request);
            }
        }
        if full.is_empty() {
            return;
        }
        let owner = waiting.owner;
        let waiting = self.tickets.get_mut(&ticket).expect("looked at above");
        for &request in &full {
            waiting.requests[request].mode = Mode::Exclusive;
            if request < waiting.asked {
                waiting.exclusive.push(request);
            }
        }
        // Increments it already holds there are part of what has no room beside others: they wait with it.
        let held: SmallVec<[NodeId; 2]> = adds
            .iter()
            .filter(|(node, request)| full.contains(request) && self.adds_at(owner, *node))
            .map(|(node, _)| *node)
            .collect();
        let mut front = Vec::new();
        for node in held {
            front.extend(self.front_of(node));
            self.cede(owner, node);
        }
        for ticket in self.owners[owner].tickets.clone() {
            self.replan(ticket, &front);
        }
    }

    /// Ends a wait without a grant. A conversion tries to hold again what it gave back; if it cannot, its transaction has
    /// lost a lock and says so (DESIGN L9).
    pub(super) fn end_wait(&mut self, ticket: Ticket, values: &dyn Values) -> bool {
        let Some(owner) = self.tickets.get(&ticket).map(|waiting| waiting.owner) else {
            return false;
        };
        self.withdraw(ticket);
        if !self.regain(owner, values) && !self.owners[owner].doomed {
            self.owners[owner].doomed = true;
            let txn = self.owners[owner].owner.txn;
            self.events.push(Event::Aborted {
                txn,
                ticket: None,
                reason: AbortReason::Lost,
            });
        }
        self.forget_idle(owner);
        true
    }
}

/// What was given back before a wait.
#[derive(Default)]
pub(super) struct Ceded {
    /// Nodes where the owner held something because of them.
    pub(super) front: Vec<NodeId>,
    /// Requests of the batch that asked for A and got X.
    pub(super) exclusive: Vec<usize>,
}
