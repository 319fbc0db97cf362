//! LockTable: what a shard leader asks of its locks.

use std::collections::BTreeMap;

use ahash::AHashMap;

use super::add::Adds;
use super::hold::Holds;
use super::owner::{OwnerId, OwnerState, Owners};
use super::queue::{Queue, Waiting};
use super::take::{Attempt, wanted};
use super::tree::{NONE, NodeId, Tree};
use super::{AbortReason, DeadlockPolicy, Epoch, Event, Incarnation, LockRequest, Owner, Ticket, TxnId, Values};
use crate::{LockName, Mode};

/// Limits and policy of a lock table.
#[derive(Clone, Copy, Debug)]
pub struct LockConfig {
    /// What is done about deadlocks.
    pub policy: DeadlockPolicy,
    /// Most bytes of memory; beyond it requests are refused.
    pub memory_bytes_max: usize,
    /// Most locks of one transaction below one row before they are traded for one.
    pub row_paths_max: u32,
    /// Most rows of one table and shard one transaction locks before they are traded for the table.
    pub table_rows_max: u32,
}

impl Default for LockConfig {
    fn default() -> LockConfig {
        LockConfig {
            policy: DeadlockPolicy::default(),
            memory_bytes_max: 256 << 20,
            row_paths_max: 1_000,
            table_rows_max: 50_000,
        }
    }
}

/// What to do when a batch cannot be granted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitMode {
    /// Wait.
    Wait,
    /// Refuse the batch, and hold nothing of it.
    NoWait,
    /// Wait until it could be granted, and hold nothing: lock-free reads wait for ACCESS EXCLUSIVE so.
    Instant,
}

/// A batch of locks of one transaction: all are granted, or none and the batch waits.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub owner: Owner,
    /// The epoch in which the transaction's earlier locks of this shard were granted, if it has any: a request in another
    /// one is refused, because they are gone (DESIGN L9).
    pub epoch: Option<Epoch>,
    /// Savepoint counter of the transaction; [`LockTable::rollback_to`] gives back what was taken at larger ones.
    pub step: u64,
    /// The locks.
    pub locks: &'a [LockRequest],
    /// Whether to wait.
    pub wait: WaitMode,
}

/// Answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All locks are held. The requests at `exclusive` asked for A and are covered by X: their value must be read and the
    /// sum checked by the caller.
    Granted {
        /// Positions of requests.
        exclusive: Vec<usize>,
    },
    /// Nothing of the batch is held yet: an [`Event`] for this ticket will tell.
    Queued(Ticket),
    /// Nothing of the batch is held, nothing will come.
    Refused(Refusal),
}

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// [`WaitMode::NoWait`], and this lock is not free. 55P03.
    NotAvailable {
        /// Lock.
        name: LockName,
        /// Mode asked for.
        mode: Mode,
    },
    /// The table is at its memory cap. 53200; nothing held was lost.
    Memory,
    /// The transaction cannot go on, or not wait.
    Aborted(AbortReason),
    /// A mode that its name cannot have. A defect of the caller.
    Invalid {
        /// Lock.
        name: LockName,
        /// Mode asked for.
        mode: Mode,
    },
}

/// Counters of a lock table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "counts of what their names say")]
pub struct LockStats {
    pub waits: u64,
    pub waits_granted: u64,
    pub deadlocks: u64,
    pub overtakes: u64,
    pub wounds: u64,
    pub deaths: u64,
    pub escalations: u64,
    pub escalations_refused: u64,
    pub memory_refusals: u64,
}

/// The locks of one shard leader.
#[derive(Clone)]
pub struct LockTable {
    pub(super) config: LockConfig,
    pub(super) epoch: Epoch,
    pub(super) tree: Tree,
    pub(super) holds: Holds,
    pub(super) owners: Owners,
    pub(super) adds: Adds,
    pub(super) queues: AHashMap<NodeId, Queue>,
    pub(super) tickets: BTreeMap<Ticket, Waiting>,
    pub(super) next_ticket: u64,
    /// Nodes whose waiters may have become grantable.
    pub(super) dirty: Vec<NodeId>,
    /// Tickets whose blockers have changed.
    pub(super) recheck: Vec<Ticket>,
    /// Owners and the row or table of which they have many locks.
    pub(super) growth: Vec<(OwnerId, NodeId)>,
    pub(super) events: Vec<Event>,
    pub(super) stats: LockStats,
    pub(super) log_entries: usize,
    pub(super) waiting_bytes: usize,
    /// Number of tickets that may pass others.
    pub(super) passing: usize,
}

impl LockTable {
    /// An empty table.
    pub fn new(config: LockConfig, epoch: Epoch) -> LockTable {
        LockTable {
            config,
            epoch,
            tree: Tree::new(),
            holds: Holds::new(),
            owners: Owners::default(),
            adds: Adds::default(),
            queues: AHashMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 1,
            dirty: Vec::new(),
            recheck: Vec::new(),
            growth: Vec::new(),
            events: Vec::new(),
            stats: LockStats::default(),
            log_entries: 0,
            waiting_bytes: 0,
            passing: 0,
        }
    }

    /// The epoch locks are granted in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Counters.
    pub fn stats(&self) -> LockStats {
        self.stats
    }

    /// What happened since it was last asked: grants, ended waits, escalations. To be asked after every other call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Bytes of memory in use.
    pub fn size(&self) -> usize {
        self.tree.size()
            + self.holds.size()
            + self.owners.size()
            + self.adds.size()
            + self.log_entries * size_of::<super::owner::Taken>()
            + self.waiting_bytes
    }

    /// Asks for a batch of locks.
    pub fn request(&mut self, request: Request<'_>, values: &dyn Values) -> Outcome {
        if let Some(refusal) = self.refusal(&request) {
            return Outcome::Refused(refusal);
        }
        let owner = self.owners.find_or_insert(&request.owner);
        let roots = self.open_classes_of(request.locks);
        let outcome = self.request_whole(owner, &request, values);
        self.close_classes(roots);
        self.forget_idle(owner);
        self.wake(values);
        outcome
    }

    fn request_whole(&mut self, owner: OwnerId, request: &Request<'_>, values: &dyn Values) -> Outcome {
        let logged = self.owners[owner].log.len();
        let hold = request.wait != WaitMode::Instant;
        let mut exclusive = Vec::new();
        for (at, lock) in request.locks.iter().enumerate() {
            match self.try_take(owner, request.step, lock, hold, values) {
                Attempt::Taken => {}
                Attempt::TakenExclusive => exclusive.push(at),
                attempt @ (Attempt::Blocked | Attempt::Converts) => {
                    self.undo(owner, logged);
                    self.growth.clear();
                    if attempt == Attempt::Blocked && request.wait == WaitMode::NoWait {
                        return Outcome::Refused(Refusal::NotAvailable {
                            name: lock.name.clone(),
                            mode: lock.mode,
                        });
                    }
                    return self.queue_up(owner, request, at, values);
                }
            }
            if self.size() > self.config.memory_bytes_max {
                self.undo(owner, logged);
                self.growth.clear();
                return self.out_of_memory();
            }
        }
        // Holding something already it may have passed somebody whom another wait of the same transaction stands behind.
        self.recheck.extend(self.owners[owner].tickets.iter().copied());
        Outcome::Granted { exclusive }
    }

    fn refusal(&self, request: &Request<'_>) -> Option<Refusal> {
        let state = self.owners.find(request.owner.txn).map(|owner| &self.owners[owner]);
        let lost = match (request.epoch, state) {
            (Some(epoch), Some(state)) => epoch != self.epoch || state.doomed,
            (Some(_), None) => true,
            (None, Some(state)) => state.doomed || state.owner.coordinator != request.owner.coordinator,
            (None, None) => false,
        };
        if lost {
            return Some(Refusal::Aborted(AbortReason::Lost));
        }
        let invalid = request.locks.iter().find(|lock| wanted(lock).is_none())?;
        Some(Refusal::Invalid {
            name: invalid.name.clone(),
            mode: invalid.mode,
        })
    }

    fn out_of_memory(&mut self) -> Outcome {
        self.stats.memory_refusals += 1;
        Outcome::Refused(Refusal::Memory)
    }

    /// Lets a batch wait that could not be taken at once because of the request at `stopped`.
    fn queue_up(&mut self, owner: OwnerId, request: &Request<'_>, stopped: usize, values: &dyn Values) -> Outcome {
        let mut requests = request.locks.to_vec();
        let ceded = self.cede_overlapped(owner, &mut requests, values);
        let plan = self.plan(owner, &requests, &ceded.front);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let asked = request.locks.len();
        let instant = request.wait == WaitMode::Instant;
        let waiting = Waiting {
            owner,
            step: request.step,
            requests,
            asked,
            exclusive: ceded.exclusive,
            plan,
            instant,
            passes: Default::default(),
        };
        self.enqueue(ticket, waiting);
        if self.is_grantable(ticket, values) {
            self.grant(ticket, values);
        } else if request.wait == WaitMode::NoWait || self.size() > self.config.memory_bytes_max {
            self.end_wait(ticket, values);
            if request.wait != WaitMode::NoWait {
                return self.out_of_memory();
            }
            let LockRequest { name, mode, .. } = request.locks[stopped].clone();
            return Outcome::Refused(Refusal::NotAvailable { name, mode });
        } else {
            self.stats.waits += 1;
            self.judge(ticket, values);
        }
        self.wake(values);
        self.outcome_of(ticket)
    }

    /// What became of a ticket while it was being queued.
    fn outcome_of(&mut self, ticket: Ticket) -> Outcome {
        let own = |event: &Event| match event {
            Event::Granted { ticket: of, .. } => *of == ticket,
            Event::Aborted { ticket: of, .. } => *of == Some(ticket),
            Event::Escalated { .. } => false,
        };
        let Some(at) = self.events.iter().position(own) else {
            return Outcome::Queued(ticket);
        };
        match self.events.remove(at) {
            Event::Granted { exclusive, .. } => Outcome::Granted { exclusive },
            Event::Aborted { reason, .. } => Outcome::Refused(Refusal::Aborted(reason)),
            Event::Escalated { .. } => Outcome::Queued(ticket),
        }
    }

    /// Ends a wait (lock_timeout, cancel). `false` if it has ended already: then an event says how.
    pub fn cancel(&mut self, ticket: Ticket, values: &dyn Values) -> bool {
        let waited = self.end_wait(ticket, values);
        self.wake(values);
        waited
    }

    /// Ends the waits of a transaction that another part of the system chose as victim (cross-shard deadlocks).
    pub fn abort_waiting(&mut self, txn: TxnId, reason: AbortReason, values: &dyn Values) -> bool {
        let waiting = self
            .owners
            .find(txn)
            .filter(|&owner| !self.owners[owner].tickets.is_empty());
        if let Some(owner) = waiting {
            self.stats.deadlocks += 1;
            self.abort_waits(owner, reason, values);
            self.wake(values);
        }
        waiting.is_some()
    }

    /// Releases everything of a transaction: it committed, was proposed (hand-over), or rolled back. Whatever it wrote must
    /// be what [`Values`] and readers see by now.
    pub fn release(&mut self, txn: TxnId, values: &dyn Values) -> bool {
        let Some(owner) = self.owners.find(txn) else {
            return false;
        };
        self.drop_waits(owner);
        self.drop_owner(owner);
        self.wake(values);
        true
    }

    fn drop_waits(&mut self, owner: OwnerId) {
        for ticket in self.owners[owner].tickets.clone() {
            self.withdraw(ticket);
        }
    }

    /// Marks a transaction as prepared or committing: it keeps its locks over the end of an epoch and of its coordinator,
    /// and no policy aborts it. `false` if it holds nothing here, has lost what it held, or waits here: all locks are held
    /// before the first Prepare (DESIGN §3), so one of the two requests came late, for a transaction that has ended.
    pub fn seal(&mut self, txn: TxnId) -> bool {
        let stands = |state: &OwnerState| !state.doomed && state.tickets.is_empty();
        let Some(owner) = self.owners.find(txn).filter(|&owner| stands(&self.owners[owner])) else {
            return false;
        };
        self.owners[owner].sealed = true;
        true
    }

    /// Whether a transaction's locks of an epoch have stood without a break (read-only validation at commit, DESIGN §4).
    pub fn confirm(&self, txn: TxnId, epoch: Epoch) -> bool {
        epoch == self.epoch && self.owners.find(txn).is_some_and(|owner| !self.owners[owner].doomed)
    }

    /// Releases the unprepared locks of a coordinator's dead incarnation and those before it; tells whose.
    pub fn drop_coordinator(&mut self, dead: Incarnation, values: &dyn Values) -> Vec<TxnId> {
        self.drop_where(values, |owner| {
            owner.coordinator.node == dead.node && owner.coordinator.start <= dead.start
        })
    }

    /// Releases the unprepared locks of some transactions, whose coordinators are gone; tells whose.
    pub fn drop_transactions(&mut self, is_gone: impl Fn(TxnId) -> bool, values: &dyn Values) -> Vec<TxnId> {
        self.drop_where(values, |owner| is_gone(owner.txn))
    }

    /// Ends the epoch: all unprepared locks fall; tells whose. Waits end with [`AbortReason::Lost`].
    pub fn clear(&mut self, next: Epoch, values: &dyn Values) -> Vec<TxnId> {
        assert!(next > self.epoch, "epochs only grow");
        self.epoch = next;
        self.drop_where(values, |_| true)
    }

    fn drop_where(&mut self, values: &dyn Values, falls: impl Fn(&Owner) -> bool) -> Vec<TxnId> {
        let fallen = self
            .owners
            .iter()
            .filter(|(_, state)| !state.sealed && falls(&state.owner));
        let mut fallen: Vec<(TxnId, OwnerId)> = fallen.map(|(owner, state)| (state.owner.txn, owner)).collect();
        fallen.sort_unstable();
        for &(txn, owner) in &fallen {
            for ticket in self.owners[owner].tickets.clone() {
                self.events.push(Event::Aborted {
                    txn,
                    ticket: Some(ticket),
                    reason: AbortReason::Lost,
                });
            }
            self.drop_waits(owner);
        }
        for &(_, owner) in &fallen {
            self.drop_owner(owner);
        }
        self.wake(values);
        fallen.into_iter().map(|(txn, _)| txn).collect()
    }

    /// Forgets an owner that holds nothing, waits for nothing, and about whom nothing need be remembered.
    pub(super) fn forget_idle(&mut self, owner: OwnerId) {
        let state = &self.owners[owner];
        if state.first_hold == NONE && state.tickets.is_empty() && !state.doomed && !state.sealed && state.live {
            self.log_entries -= state.log.len();
            self.owners.remove(owner);
        }
    }
}
