//! Queues: who waits where, behind whom, and who goes on when something is released (DESIGN L6).
//!
//! A ticket stands in the queue of *every* node where its batch still needs a mode, and holds none of them; it is granted
//! when nothing stands against it at any of them. What stands against it is one function, [`LockTable::any_blocker`], which
//! the grant, the deadlock policies, `pg_locks` and `pg_blocking_pids()` share:
//!
//! ```text
//!   row 7:  held by t1 (IX)      queue: t2 S · t3 IX · t1 X
//!           t3 waits for t2, an earlier waiter, though nobody *holds* what conflicts with IX;
//!           t1, an upgrade, passes t2, because t2 waits for what t1 holds anyway.
//! ```

use smallvec::SmallVec;

use super::mode::ModeSet;
use super::owner::{OwnerId, Ticket, TxnId};
use super::plan::Plan;
use super::table::LockTable;
use super::tree::NodeId;
use super::{DeadlockPolicy, Event, Values};
use crate::LockRequest;

/// A batch that waits.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) owner: OwnerId,
    pub(super) step: u64,
    /// What was asked for, then what conversions added; an A without room has become an X.
    pub(super) requests: Vec<LockRequest>,
    /// Number of requests the caller made.
    pub(super) asked: usize,
    /// Requests that are X though the caller asked for A.
    pub(super) exclusive: Vec<usize>,
    pub(super) plan: Plan,
    /// Waits for the moment of the grant and holds nothing after it.
    pub(super) instant: bool,
    /// Earlier waiters it need not wait for, because that would be a deadlock.
    pub(super) passes: SmallVec<[Ticket; 2]>,
}

/// An entry of a node's queue.
#[derive(Clone, Copy)]
pub(super) struct Queued {
    pub(super) ticket: Ticket,
    pub(super) owner: OwnerId,
    pub(super) modes: ModeSet,
    /// Whether it stands before all others: the owner gave back an A here in order to wait (DESIGN L5).
    pub(super) front: bool,
}

/// Who waits at a node.
#[derive(Clone, Default)]
pub(super) struct Queue {
    pub(super) entries: Vec<Queued>,
    /// What they want together: most releases and requests conflict with none of it, and need not look further.
    pub(super) wanted: ModeSet,
}

/// What decides a place in a queue.
#[derive(Clone, Copy)]
pub(super) struct Rank {
    pub(super) front: bool,
    /// What the one who asks holds there already.
    pub(super) held: ModeSet,
    pub(super) seq: u64,
    pub(super) age: (u64, TxnId),
}

impl Rank {
    /// Before everybody who waits.
    pub(super) const FIRST: Rank = Rank {
        front: true,
        held: ModeSet::NONE,
        seq: 0,
        age: (0, TxnId(0)),
    };
    /// Behind everybody who waits.
    pub(super) const LAST: Rank = Rank {
        front: false,
        held: ModeSet::NONE,
        seq: u64::MAX,
        age: (u64::MAX, TxnId(u64::MAX)),
    };
}

/// Something that stands against a request.
#[derive(Clone, Copy)]
pub(super) struct Blocker {
    pub(super) owner: OwnerId,
    /// The conflicting earlier waiter's ticket; `None` for a holder.
    pub(super) ticket: Option<Ticket>,
    /// Where they meet: the blocker's node.
    pub(super) node: NodeId,
    /// Where the one who waits wants something: the same node, or one that overlaps it.
    pub(super) wanted_at: NodeId,
    pub(super) modes: ModeSet,
}

impl LockTable {
    /// Calls `visit` with all that stands against `modes` for `owner` at `node`, conflicting holders first, then
    /// conflicting earlier waiters, until it returns true.
    pub(super) fn any_blocker(
        &self,
        owner: OwnerId,
        node: NodeId,
        modes: ModeSet,
        rank: Rank,
        passes: &[Ticket],
        mut visit: impl FnMut(Blocker) -> bool,
    ) -> bool {
        let wanted_at = node;
        let mut at = |node: NodeId| {
            if self.tree[node].held.conflicts(modes) {
                for id in self.holds.at(&self.tree, node) {
                    let hold = &self.holds[id];
                    let held = hold.effective();
                    if hold.owner != owner
                        && held.conflicts(modes)
                        && visit(Blocker {
                            owner: hold.owner,
                            ticket: None,
                            node,
                            wanted_at,
                            modes: held,
                        })
                    {
                        return true;
                    }
                }
            }
            if !self.tree[node].queued {
                return false;
            }
            let queue = &self.queues[&node];
            let stops = |queued: &Queued| {
                let conflicts = queued.owner != owner && queued.modes.conflicts(modes);
                conflicts && self.is_ahead(queued, rank) && !passes.contains(&queued.ticket) && {
                    let (owner, ticket, modes) = (queued.owner, Some(queued.ticket), queued.modes);
                    visit(Blocker {
                        owner,
                        ticket,
                        node,
                        wanted_at,
                        modes,
                    })
                }
            };
            queue.wanted.conflicts(modes) && queue.entries.iter().any(stops)
        };
        // Both must be asked even if the node itself is free: a value and an interval around it are different nodes.
        at(node) || self.tree.any_overlapping(node, &mut at)
    }

    /// All that stands against a ticket. One owner may be named more than once.
    pub(super) fn any_blocker_of(&self, ticket: Ticket, mut visit: impl FnMut(Blocker) -> bool) -> bool {
        let waiting = &self.tickets[&ticket];
        let age = self.owners[waiting.owner].owner.age();
        waiting.plan.wants.iter().any(|want| {
            let held = self.holds.effective(&self.tree, want.node, waiting.owner);
            let (front, seq) = (want.front, ticket.0);
            let rank = Rank { front, held, seq, age };
            self.any_blocker(waiting.owner, want.node, want.modes, rank, &waiting.passes, &mut visit)
        })
    }

    /// Whether a conflicting queue entry stands before a rank. `detect`: arrival, but who holds what the other waits for
    /// anyway goes first. `wound_wait`: the older first, so that nobody ever waits for a younger waiter. `wait_die`: arrival
    /// alone, judged when it arrives.
    fn is_ahead(&self, queued: &Queued, rank: Rank) -> bool {
        let arrived = queued.ticket.0 < rank.seq;
        match self.config.policy {
            DeadlockPolicy::Detect if queued.front != rank.front => queued.front,
            DeadlockPolicy::Detect => arrived && !rank.held.conflicts(queued.modes),
            DeadlockPolicy::WaitDie => arrived,
            DeadlockPolicy::WoundWait => {
                let age = self.owners[queued.owner].owner.age();
                if age == rank.age { arrived } else { age < rank.age }
            }
        }
    }

    /// The order in which a queue is looked through; who may go is decided by [`Self::any_blocker`].
    fn place(&self, queued: &Queued) -> (bool, u64, TxnId, Ticket) {
        match self.config.policy {
            DeadlockPolicy::Detect => (!queued.front, 0, TxnId(0), queued.ticket),
            DeadlockPolicy::WaitDie => (true, 0, TxnId(0), queued.ticket),
            DeadlockPolicy::WoundWait => {
                let (priority, txn) = self.owners[queued.owner].owner.age();
                (true, priority, txn, queued.ticket)
            }
        }
    }

    /// Puts a ticket into the queues of its plan.
    pub(super) fn enqueue(&mut self, ticket: Ticket, waiting: Waiting) {
        let owner = waiting.owner;
        for want in &waiting.plan.wants {
            let (modes, front) = (want.modes, want.front);
            let queued = Queued {
                ticket,
                owner,
                modes,
                front,
            };
            let mut queue = self.queues.remove(&want.node).unwrap_or_default();
            let at = queue
                .entries
                .partition_point(|other| self.place(other) < self.place(&queued));
            queue.entries.insert(at, queued);
            queue.wanted |= modes;
            self.queues.insert(want.node, queue);
            self.tree[want.node].queued = true;
        }
        self.waiting_bytes += waiting.size();
        self.passing += usize::from(!waiting.passes.is_empty());
        self.owners[owner].tickets.push(ticket);
        self.tickets.insert(ticket, waiting);
    }

    /// Takes a ticket out of all queues. Those behind it may become grantable, and are looked at by [`Self::wake`].
    pub(super) fn dequeue(&mut self, ticket: Ticket) -> Waiting {
        let waiting = self
            .tickets
            .remove(&ticket)
            .expect("only a waiting ticket is taken out");
        self.waiting_bytes -= waiting.size();
        self.passing -= usize::from(!waiting.passes.is_empty());
        self.owners[waiting.owner].tickets.retain(|other| *other != ticket);
        for want in &waiting.plan.wants {
            let queue = self
                .queues
                .get_mut(&want.node)
                .expect("a ticket stands in the queues of its plan");
            queue.entries.retain(|queued| queued.ticket != ticket);
            queue.wanted = queue
                .entries
                .iter()
                .fold(ModeSet::NONE, |wanted, queued| wanted | queued.modes);
            if queue.entries.is_empty() {
                self.queues.remove(&want.node);
                self.tree[want.node].queued = false;
            }
        }
        waiting
    }

    /// Lets those look again who stood behind a ticket that is not waiting any more, and gives back its nodes.
    pub(super) fn abandon(&mut self, waiting: &Waiting) {
        for want in &waiting.plan.wants {
            self.touch(want.node, want.modes);
        }
        for want in &waiting.plan.wants {
            self.tree.prune(want.node);
        }
    }

    /// Whether nothing stands against a ticket. An A that has no room any more becomes an X first.
    pub(super) fn is_grantable(&mut self, ticket: Ticket, values: &dyn Values) -> bool {
        self.withdraw_adds_without_room(ticket, values);
        !self.any_blocker_of(ticket, |_| true)
    }

    /// Grants a ticket that nothing stands against.
    pub(super) fn grant(&mut self, ticket: Ticket, values: &dyn Values) {
        let mut waiting = self.dequeue(ticket);
        let (owner, step) = (waiting.owner, waiting.step);
        let txn = self.owners[owner].owner.txn;
        if waiting.instant {
            self.abandon(&waiting);
            self.forget_idle(owner);
        } else {
            for item in &waiting.plan.explicit {
                let add = waiting.requests[item.request]
                    .add
                    .as_ref()
                    .filter(|_| item.modes == ModeSet::A);
                self.take(owner, step, item.node, item.modes, add);
            }
            if !self.converted_fit(owner, values) {
                self.events.push(Event::Aborted {
                    txn,
                    ticket: Some(ticket),
                    reason: super::AbortReason::AddOutOfRange,
                });
                return;
            }
        }
        let exclusive = std::mem::take(&mut waiting.exclusive);
        self.events.push(Event::Granted { txn, ticket, exclusive });
        self.stats.waits_granted += 1;
        // Its other waits are behind nobody new, but whoever waits for them now waits for a holder.
        for other in self.owners[owner].tickets.clone() {
            self.recheck.push(other);
        }
    }

    /// Grants what has become grantable since it was last called, and judges waits whose blockers have changed.
    pub(super) fn wake(&mut self, values: &dyn Values) {
        loop {
            if let Some(node) = self.dirty.pop() {
                self.wake_at(node, values);
            } else if let Some(ticket) = self.recheck.pop() {
                // What its owner was granted meanwhile may let it pass somebody.
                if self.tickets.contains_key(&ticket) && self.is_grantable(ticket, values) {
                    self.grant(ticket, values);
                }
                if self.tickets.contains_key(&ticket) {
                    self.judge(ticket, values);
                }
            } else {
                break;
            }
        }
        self.escalate_pending();
    }

    fn wake_at(&mut self, node: NodeId, values: &dyn Values) {
        let Some(queue) = self.queues.get(&node) else { return };
        let queue: SmallVec<[Queued; 8]> = queue.entries.iter().copied().collect();
        // Behind two different transactions that have or want X here nobody can be grantable who holds nothing here, unless
        // it may pass.
        let mut exclusive: SmallVec<[OwnerId; 2]> = SmallVec::new();
        for queued in queue {
            let full = exclusive.len() == 2 && self.passing == 0;
            if !self.tickets.contains_key(&queued.ticket)
                || (full && self.holds.find(&self.tree, node, queued.owner).is_none())
            {
                continue;
            }
            if self.is_grantable(queued.ticket, values) {
                self.grant(queued.ticket, values);
            }
            if !full && queued.modes.contains(ModeSet::X) && !exclusive.contains(&queued.owner) {
                exclusive.push(queued.owner);
            }
        }
    }

    /// Cancels a wait and tells whether there was one.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> bool {
        if !self.tickets.contains_key(&ticket) {
            return false;
        }
        let waiting = self.dequeue(ticket);
        self.abandon(&waiting);
        true
    }
}

impl Waiting {
    /// Bytes it takes, and will take when granted: the memory cap never refuses what already waits.
    fn size(&self) -> usize {
        size_of::<Waiting>()
            + self.requests.len() * size_of::<LockRequest>()
            + self.plan.wants.len()
                * (size_of::<super::plan::Want>() + size_of::<Queued>() + size_of::<super::hold::Hold>())
            + self.plan.explicit.len() * (size_of::<super::plan::Explicit>() + size_of::<super::owner::Taken>())
    }
}
