//! World: the lock table under test beside the plain list of what it granted.

use std::collections::{BTreeMap, BTreeSet};

use storage::{Numeric, Path};

use super::Action;
use super::meaning::*;
use crate::locks::*;
use crate::{AddIncrement, Key, LockName, LockRequest, Mode, RowPart, TableId};

pub(super) struct Numbers;

impl Values for Numbers {
    fn number(&self, _: TableId, _: &Key, path: &Path) -> Option<Numeric> {
        (!path.steps.is_empty()).then(|| Numeric::from_i64(10))
    }
}

pub(super) const MIN: i64 = 0;
pub(super) const MAX: i64 = 20;

/// A granted lock: when, which, and what it adds.
pub(super) type Granted = (u64, (LockName, Mode), i64);

pub(super) struct World {
    table: LockTable,
    names: Vec<LockName>,
    granted: BTreeMap<TxnId, Vec<Granted>>,
    waiting: BTreeMap<Ticket, (TxnId, Vec<Granted>)>,
    steps: BTreeMap<TxnId, u64>,
    sealed: BTreeSet<TxnId>,
    policy: DeadlockPolicy,
}

impl World {
    pub(super) fn new(config: LockConfig) -> World {
        World {
            table: LockTable::new(config, Epoch::default()),
            names: names(),
            granted: BTreeMap::new(),
            waiting: BTreeMap::new(),
            steps: BTreeMap::new(),
            sealed: BTreeSet::new(),
            policy: config.policy,
        }
    }

    fn request(&mut self, txn: TxnId, locks: Vec<LockRequest>, by: i64, wait: bool) {
        let step = self.steps.entry(txn).or_default();
        *step += 1;
        let step = *step;
        let coordinator = Incarnation { node: 1, start: 1 };
        // Odd transactions are SERIALIZABLE; ages differ from numbers.
        let owner = Owner {
            txn,
            coordinator,
            session: 0,
            priority: txn.0 * 7 % 5,
            serializable: txn.0 % 2 == 1,
        };
        let mode = if wait { WaitMode::Wait } else { WaitMode::NoWait };
        let request = Request {
            owner,
            epoch: None,
            step,
            locks: &locks,
            wait: mode,
        };
        let asked: Vec<Granted> = locks
            .iter()
            .map(|lock| (step, (lock.name.clone(), lock.mode), by))
            .collect();
        match self.table.request(request, &Numbers) {
            Outcome::Granted { exclusive } => self.grant(txn, asked, &exclusive),
            Outcome::Queued(ticket) => {
                assert!(!self.table.waits(ticket).is_empty(), "whoever waits waits for somebody");
                self.waiting.insert(ticket, (txn, asked));
            }
            Outcome::Refused(Refusal::NotAvailable { .. }) => {
                let others = self
                    .granted
                    .iter()
                    .filter(|(other, _)| **other != txn)
                    .flat_map(|(_, locks)| locks);
                let conflicts = others.into_iter().any(|(_, lock, _)| {
                    asked.iter().any(|(_, asked, _)| {
                        let exclusive = (asked.0.clone(), Mode::Exclusive);
                        conflict(lock, asked) || (asked.1 == Mode::Add && conflict(lock, &exclusive))
                    })
                });
                // Escalated and converted locks are stronger than what the oracle knows was asked for.
                let stronger = self.table.stats().escalations > 0
                    || self.granted.values().flatten().any(|(_, lock, _)| lock.1 == Mode::Add);
                assert!(
                    conflicts || stronger || !self.waiting.is_empty(),
                    "refused for nothing: {asked:?}"
                );
            }
            Outcome::Refused(Refusal::Memory) => {}
            Outcome::Refused(Refusal::Aborted(reason)) => self.aborted(txn, &reason),
            Outcome::Refused(Refusal::Invalid { .. }) => panic!("only valid requests are made"),
        }
        self.settle();
    }

    fn grant(&mut self, txn: TxnId, mut asked: Vec<Granted>, exclusive: &[usize]) {
        for &at in exclusive {
            asked[at].1.1 = Mode::Exclusive;
        }
        self.granted.entry(txn).or_default().extend(asked);
    }

    /// A transaction whose wait ended badly: a deadlock's victim lives on with what it has, others are rolled back.
    fn aborted(&mut self, txn: TxnId, reason: &AbortReason) {
        match reason {
            AbortReason::Deadlock(_) | AbortReason::Died { .. } | AbortReason::AddOutOfRange => {}
            AbortReason::Wounded { .. } | AbortReason::Lost => self.release(txn),
        }
    }

    fn release(&mut self, txn: TxnId) {
        self.table.release(txn, &Numbers);
        self.forget(txn);
    }

    fn forget(&mut self, txn: TxnId) {
        self.granted.remove(&txn);
        self.waiting.retain(|_, (waiter, _)| *waiter != txn);
        self.sealed.remove(&txn);
    }

    /// Digests events until there are none.
    fn settle(&mut self) {
        loop {
            let events = self.table.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                match event {
                    Event::Granted { ticket, txn, exclusive } => {
                        let (waiter, asked) = self.waiting.remove(&ticket).expect("a grant is of a wait");
                        assert_eq!(waiter, txn);
                        self.grant(txn, asked, &exclusive);
                    }
                    Event::Aborted { txn, ticket, reason } => {
                        if let Some(ticket) = ticket {
                            self.waiting.remove(&ticket);
                        }
                        self.aborted(txn, &reason);
                    }
                    Event::Escalated { .. } => {}
                }
            }
        }
    }

    pub(super) fn act(&mut self, action: &Action) {
        let busy = |txn: &u64| self.sealed.contains(&TxnId(*txn));
        match action {
            Action::Lock { txn, .. }
            | Action::Add { txn, .. }
            | Action::RollBack { txn, .. }
            | Action::Cancel { txn }
                if busy(txn) => {}
            Action::Lock { txn, batch, wait } => {
                let names = &self.names;
                let lock = |&(name, choice): &(usize, usize)| {
                    let name = &names[name % names.len()];
                    LockRequest::new(name.clone(), mode(name, choice))
                };
                let locks = batch.iter().map(lock).collect();
                self.request(TxnId(*txn), locks, 0, *wait);
            }
            Action::Add {
                txn,
                path: at,
                by,
                wait,
            } => {
                let rows = [Bytes::from_static(b"r0"), Bytes::from_static(b"r1")];
                let name = LockName::path(1, rows[at % 2].clone(), path(["a/x", "b"][at / 2 % 2]));
                let number = Numeric::from_i64;
                let add = Some(AddIncrement {
                    by: number(*by),
                    min: Some(number(MIN)),
                    max: Some(number(MAX)),
                });
                self.request(
                    TxnId(*txn),
                    vec![LockRequest {
                        name,
                        mode: Mode::Add,
                        add,
                    }],
                    *by,
                    *wait,
                );
            }
            Action::RollBack { txn, back } => {
                let txn = TxnId(*txn);
                let step = self.steps.entry(txn).or_default();
                *step = step.saturating_sub(*back);
                let step = *step;
                self.waiting.retain(|_, (waiter, _)| *waiter != txn);
                if let Some(locks) = self.granted.get_mut(&txn) {
                    for (taken, (_, mode), _) in locks.iter_mut() {
                        let shared = matches!(mode, Mode::Shared | Mode::SharedIntentionExclusive | Mode::Exclusive);
                        let table = matches!(
                            mode,
                            Mode::TableShare | Mode::ShareRowExclusive | Mode::TableExclusive | Mode::AccessExclusive
                        );
                        if *taken > step && txn.0 % 2 == 1 && (shared || table) {
                            (*taken, *mode) = (0, if table { Mode::TableShare } else { Mode::Shared });
                        }
                    }
                    locks.retain(|(taken, ..)| *taken <= step);
                }
                self.table.rollback_to(txn, step, &Numbers);
                self.settle();
            }
            Action::Cancel { txn } => {
                let tickets: Vec<Ticket> = self
                    .waiting
                    .iter()
                    .filter(|(_, (waiter, _))| waiter.0 == *txn)
                    .map(|(&ticket, _)| ticket)
                    .collect();
                for ticket in tickets {
                    if self.table.cancel(ticket, &Numbers) {
                        self.waiting.remove(&ticket);
                    }
                }
                self.settle();
            }
            Action::Release { txn } => {
                self.release(TxnId(*txn));
                self.settle();
            }
            Action::Seal { txn } => {
                let waits = self.waiting.values().any(|(waiter, _)| waiter.0 == *txn);
                if !waits && self.table.seal(TxnId(*txn)) {
                    self.sealed.insert(TxnId(*txn));
                }
            }
            Action::EndEpoch => {
                let next = Epoch {
                    generation: self.table.epoch().generation + 1,
                    ..Epoch::default()
                };
                let lost = self.table.clear(next, &Numbers);
                assert!(
                    lost.iter().all(|txn| !self.sealed.contains(txn)),
                    "prepared transactions keep their locks"
                );
                for txn in lost {
                    self.forget(txn);
                }
                let unsealed = self
                    .granted
                    .iter()
                    .filter(|(txn, locks)| !self.sealed.contains(txn) && !locks.is_empty());
                assert_eq!(unsealed.count(), 0, "all others lose theirs");
                self.settle();
            }
        }
        self.check();
    }

    fn check(&self) {
        self.table.check_invariants().unwrap();
        assert!(self.table.tickets_are_sound());
        for (txn, locks) in &self.granted {
            let others = self.granted.iter().filter(|(other, _)| *other > txn);
            for (other, other_locks) in others {
                for (_, lock, _) in locks {
                    let clash = other_locks.iter().find(|(_, other, _)| conflict(lock, other));
                    // Whoever has given back an A for an X holds neither while it waits.
                    let converts = |txn: &TxnId| self.waiting.values().any(|(waiter, _)| waiter == txn);
                    let add = lock.1 == Mode::Add && converts(txn);
                    let excused = |clash: &Granted| add || (clash.1.1 == Mode::Add && converts(other));
                    assert!(clash.is_none_or(excused), "t{txn} {lock:?} beside t{other} {clash:?}");
                }
            }
            let held: Vec<_> = self
                .table
                .locks_of(*txn)
                .into_iter()
                .map(|lock| (lock.name, lock.mode))
                .collect();
            if !self.waiting.values().any(|(waiter, _)| waiter == txn) {
                for (_, lock, _) in locks {
                    let covered = held.iter().any(|held| covers(held, lock)) || table_covers(&held, lock);
                    assert!(covered, "t{txn} lost {lock:?}, has {held:?}");
                }
            }
            assert!(
                !locks.is_empty() || held.is_empty() || txn.0 % 2 == 1,
                "t{txn} keeps {held:?}"
            );
        }
        self.check_sums();
        self.check_waits();
    }

    /// No subset of held increments leaves the type.
    fn check_sums(&self) {
        let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (txn, locks) in &self.granted {
            let held = self.table.locks_of(*txn);
            for (_, (name, mode), by) in locks {
                let is_held = held.iter().any(|lock| lock.name == *name && lock.mode == Mode::Add);
                if *mode == Mode::Add && is_held {
                    let sum = sums.entry(format!("{name:?}")).or_default();
                    if *by > 0 { sum.0 += by } else { sum.1 += by }
                }
            }
        }
        for (name, (rises, falls)) in sums {
            assert!(10 + rises <= MAX && 10 + falls >= MIN, "{name}: +{rises} {falls}");
        }
    }

    fn check_waits(&self) {
        if self.policy == DeadlockPolicy::WoundWait || self.policy == DeadlockPolicy::Detect {
            let mut edges: BTreeMap<TxnId, BTreeSet<TxnId>> = BTreeMap::new();
            for wait in self.table.edges() {
                edges.entry(wait.waiter).or_default().insert(wait.blocker);
            }
            // Takes away who waits for nobody that waits, until nothing changes: what is left is in cycles.
            loop {
                let waiters: BTreeSet<TxnId> = edges.keys().copied().collect();
                let before = edges.len();
                edges.retain(|_, blockers| blockers.iter().any(|blocker| waiters.contains(blocker)));
                if edges.len() == before {
                    break;
                }
            }
            assert!(edges.is_empty(), "cycle left: {edges:?}");
        }
        if let [(ticket, (txn, asked))] = &self.waiting.iter().collect::<Vec<_>>()[..] {
            let others = self.granted.iter().filter(|(other, _)| *other != txn);
            let stands = others.flat_map(|(_, locks)| locks).any(|(_, lock, _)| {
                asked
                    .iter()
                    .any(|(_, asked, _)| conflict(lock, asked) || asked.1 == Mode::Add)
            });
            let escalated = self.table.stats().escalations > 0;
            let kept = self.granted.keys().any(|txn| txn.0 % 2 == 1);
            let converts = self.granted[txn_or_first(self, txn)]
                .iter()
                .any(|(_, lock, _)| lock.1 == Mode::Add);
            assert!(
                stands || escalated || kept || converts,
                "{ticket:?} of t{txn} waits for nobody: {asked:?}"
            );
        }
    }

    pub(super) fn finish(mut self) {
        for txn in 1..=TXNS {
            self.release(TxnId(txn));
            self.settle();
            self.check();
        }
        assert!(self.waiting.is_empty(), "waits that never ended: {:?}", self.waiting);
        assert_eq!(self.table.size(), 0, "the table is empty");
    }
}

/// The transaction itself if it holds anything, or any other, so that there is something to look at.
pub(super) fn txn_or_first<'a>(world: &'a World, txn: &'a TxnId) -> &'a TxnId {
    if world.granted.contains_key(txn) {
        txn
    } else {
        world.granted.keys().next().expect("somebody holds something")
    }
}
