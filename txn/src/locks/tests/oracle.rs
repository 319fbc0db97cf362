//! Random schedules against an oracle: a plain list of granted locks, compared pair by pair by what their names mean.
//!
//! After every step: no two granted locks of different transactions conflict; every granted lock is still covered by what the
//! table says its transaction holds; nobody waits alone; no cycle of waits is left; whoever was refused without waiting
//! had a reason. At the end everybody releases: every wait has ended, and the table is empty.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use storage::{Numeric, Path, Step};

use crate::locks::*;
use crate::{AddIncrement, Key, LockName, LockRequest, Mode, RowPart, TableId};

/// What a schedule does next.
#[derive(Clone, Debug)]
enum Action {
    Lock {
        txn: u64,
        batch: Vec<(usize, usize)>,
        wait: bool,
    },
    Add {
        txn: u64,
        path: usize,
        by: i64,
        wait: bool,
    },
    RollBack {
        txn: u64,
        back: u64,
    },
    Cancel {
        txn: u64,
    },
    Release {
        txn: u64,
    },
    Seal {
        txn: u64,
    },
    EndEpoch,
}

fn path(text: &str) -> Path {
    Path {
        column: 0,
        steps: text
            .split('/')
            .filter(|step| !step.is_empty())
            .map(|step| Step::Member(step.into()))
            .collect(),
    }
}

fn names() -> Vec<LockName> {
    let key = |text: &'static str| Bytes::from_static(text.as_bytes());
    let (index, global) = (9, false);
    let mut names = vec![LockName::Table(1), LockName::RowSet { table: 1, row: None }];
    for row in ["r0", "r1"] {
        for part in [RowPart::Row, RowPart::Identity, RowPart::Data] {
            names.push(LockName::Row {
                table: 1,
                key: key(row),
                part,
            });
        }
        for text in ["", "a", "a/x", "b"] {
            names.push(LockName::path(1, key(row), path(text)));
        }
    }
    for text in ["", "a", "a/x", "a/y"] {
        names.push(LockName::PathClass {
            table: 1,
            path: path(text),
        });
    }
    for value in ["u", "v", "w"] {
        for row in [None, Some(key("r0")), Some(key("r1"))] {
            names.push(LockName::IndexValue {
                table: 1,
                index,
                global,
                value: key(value),
                row,
            });
        }
    }
    for (from, to) in [("", None), ("u", Some(key("v"))), ("v", None), ("ua", Some(key("va")))] {
        names.push(LockName::IndexInterval {
            table: 1,
            index,
            global,
            from: key(from),
            to,
        });
    }
    names
}

const PATH_MODES: [Mode; 5] = [
    Mode::IntentionShared,
    Mode::IntentionExclusive,
    Mode::Shared,
    Mode::SharedIntentionExclusive,
    Mode::Exclusive,
];
const TABLE_MODES: [Mode; 8] = [
    Mode::AccessShare,
    Mode::RowShare,
    Mode::RowExclusive,
    Mode::ShareUpdateExclusive,
    Mode::TableShare,
    Mode::ShareRowExclusive,
    Mode::TableExclusive,
    Mode::AccessExclusive,
];

/// The n-th mode a name may have, S and X most of the time.
fn mode(name: &LockName, choice: usize) -> Mode {
    match name {
        LockName::Table(_) => TABLE_MODES[choice % 8],
        LockName::PathClass { .. } => Mode::Shared,
        _ if choice < 8 => PATH_MODES[2 + (choice % 2) * 2],
        _ => PATH_MODES[choice % 5],
    }
}

// What the oracle believes about modes, written apart from the table's own matrix.

fn path_modes_meet(one: Mode, other: Mode) -> bool {
    use Mode::{Add, IntentionExclusive as Ix, IntentionShared as Is, Shared, SharedIntentionExclusive as Six};
    matches!(
        (one, other),
        (Is | Ix, Is | Ix) | (Is, Shared | Six) | (Shared | Six, Is) | (Shared, Shared) | (Add, Add)
    )
}

fn table_modes_meet(one: Mode, other: Mode) -> bool {
    use Mode::*;
    let weaker = |mode| {
        TABLE_MODES
            .iter()
            .position(|&known| known == mode)
            .expect("a table mode")
    };
    let (low, high) = if weaker(one) <= weaker(other) {
        (one, other)
    } else {
        (other, one)
    };
    match high {
        AccessShare | RowShare | RowExclusive => true,
        ShareUpdateExclusive => matches!(low, AccessShare | RowShare | RowExclusive),
        TableShare => matches!(low, AccessShare | RowShare | TableShare),
        ShareRowExclusive => matches!(low, AccessShare | RowShare),
        TableExclusive => low == AccessShare,
        _ => false,
    }
}

fn writes(mode: Mode) -> bool {
    !matches!(mode, Mode::IntentionShared | Mode::Shared)
}

fn intention(mode: Mode) -> Mode {
    if writes(mode) {
        Mode::IntentionExclusive
    } else {
        Mode::IntentionShared
    }
}

fn table_intention(mode: Mode) -> Mode {
    if writes(mode) {
        Mode::RowExclusive
    } else {
        Mode::RowShare
    }
}

/// The places of a row from its root to a part.
fn row_steps(part: &RowPart) -> Vec<String> {
    match part {
        RowPart::Row => vec![],
        RowPart::Identity => vec!["#key".into()],
        RowPart::Data => vec!["#data".into()],
        RowPart::Path(path) => {
            let mut steps = vec!["#data".to_string(), path.column.to_string()];
            steps.extend(path.steps.iter().map(|step| format!("{step:?}")));
            steps
        }
    }
}

fn hierarchical(one: &[String], one_mode: Mode, other: &[String], other_mode: Mode) -> bool {
    if one == other {
        !path_modes_meet(one_mode, other_mode)
    } else if other.starts_with(one) {
        !path_modes_meet(one_mode, intention(other_mode))
    } else if one.starts_with(other) {
        !path_modes_meet(intention(one_mode), other_mode)
    } else {
        false
    }
}

fn conflict(one: &(LockName, Mode), other: &(LockName, Mode)) -> bool {
    let ((one, one_mode), (other, other_mode)) = (one, other);
    let (one_mode, other_mode) = (*one_mode, *other_mode);
    match (one, other) {
        (LockName::Table(_), LockName::Table(_)) => !table_modes_meet(one_mode, other_mode),
        (LockName::Table(_), _) => !table_modes_meet(one_mode, table_intention(other_mode)),
        (_, LockName::Table(_)) => !table_modes_meet(table_intention(one_mode), other_mode),
        (
            LockName::Row {
                key: one_key,
                part: one,
                ..
            },
            LockName::Row {
                key: other_key,
                part: other,
                ..
            },
        ) => one_key == other_key && hierarchical(&row_steps(one), one_mode, &row_steps(other), other_mode),
        (LockName::PathClass { .. }, LockName::PathClass { .. }) => false,
        (LockName::PathClass { path: class, .. }, LockName::Row { part, .. }) => {
            class_conflict(class, part, other_mode)
        }
        (LockName::Row { part, .. }, LockName::PathClass { path: class, .. }) => class_conflict(class, part, one_mode),
        (LockName::RowSet { .. }, LockName::RowSet { .. }) => !path_modes_meet(one_mode, other_mode),
        (
            LockName::IndexValue {
                value: one_value,
                row: one_row,
                ..
            },
            LockName::IndexValue {
                value: other_value,
                row: other_row,
                ..
            },
        ) => {
            let steps = |row: &Option<Key>| row.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
            one_value == other_value && hierarchical(&steps(one_row), one_mode, &steps(other_row), other_mode)
        }
        (LockName::IndexInterval { from, to, .. }, LockName::IndexValue { value, row, .. }) => {
            let mode = if row.is_some() {
                intention(other_mode)
            } else {
                other_mode
            };
            from <= value && to.as_ref().is_none_or(|to| value < to) && !path_modes_meet(one_mode, mode)
        }
        (LockName::IndexValue { .. }, LockName::IndexInterval { .. }) => {
            conflict(&(other.clone(), other_mode), &(one.clone(), one_mode))
        }
        (
            LockName::IndexInterval {
                from: one_from,
                to: one_to,
                ..
            },
            LockName::IndexInterval {
                from: other_from,
                to: other_to,
                ..
            },
        ) => {
            let before = |from: &Key, to: &Option<Key>| to.as_ref().is_none_or(|to| from < to);
            before(one_from, other_to) && before(other_from, one_to) && !path_modes_meet(one_mode, other_mode)
        }
        _ => false,
    }
}

/// A reader of a path of all rows meets whoever changes that path, something around it or something in it.
fn class_conflict(class: &Path, part: &RowPart, mode: Mode) -> bool {
    let changed = match part {
        RowPart::Row | RowPart::Data => Some([].as_slice()),
        RowPart::Path(path) => Some(path.steps.as_slice()),
        RowPart::Identity => None,
    };
    matches!(mode, Mode::Exclusive | Mode::Add)
        && changed.is_some_and(|changed| class.steps.starts_with(changed) || changed.starts_with(&class.steps))
}

/// Whether holding one lock gives all that another one gave.
fn covers(held: &(LockName, Mode), lost: &(LockName, Mode)) -> bool {
    let (mode, wanted) = (held.1, lost.1);
    let all = matches!(mode, Mode::Exclusive | Mode::TableExclusive | Mode::AccessExclusive);
    let reads = all
        || matches!(
            mode,
            Mode::Shared | Mode::SharedIntentionExclusive | Mode::TableShare | Mode::ShareRowExclusive
        );
    let above = match (&held.0, &lost.0) {
        (LockName::Table(_), LockName::Table(_)) => false,
        (LockName::Table(_), _) => true,
        (
            LockName::Row {
                key: one, part: above, ..
            },
            LockName::Row { key: other, part, .. },
        ) => one == other && row_steps(part).starts_with(&row_steps(above)),
        (LockName::PathClass { path: above, .. }, LockName::PathClass { path, .. }) => {
            path.steps.starts_with(&above.steps)
        }
        (
            LockName::IndexValue {
                value: one, row: None, ..
            },
            LockName::IndexValue { value: other, .. },
        ) => one == other,
        _ => false,
    };
    let same = held.0 == lost.0
        && (mode == wanted
            || (mode == Mode::Exclusive)
            || (mode == Mode::SharedIntentionExclusive && wanted != Mode::Exclusive && wanted != Mode::Add)
            || matches!(
                (mode, wanted),
                (
                    Mode::Shared | Mode::IntentionExclusive | Mode::Add,
                    Mode::IntentionShared
                )
            )
            || matches!((mode, wanted), (Mode::Add, Mode::IntentionExclusive)));
    same || (above && (all || (reads && !writes(wanted))))
}

/// Whether all modes held at the table together keep out whatever a lost one kept out.
fn table_covers(held: &[(LockName, Mode)], lost: &(LockName, Mode)) -> bool {
    let modes: Vec<Mode> = held
        .iter()
        .filter(|(name, _)| matches!(name, LockName::Table(_)))
        .map(|(_, mode)| *mode)
        .collect();
    let kept_out = |other| modes.iter().any(|&mode| !table_modes_meet(mode, other));
    matches!(lost.0, LockName::Table(_))
        && TABLE_MODES
            .iter()
            .all(|&other| table_modes_meet(lost.1, other) || kept_out(other))
}

struct Numbers;

impl Values for Numbers {
    fn number(&self, _: TableId, _: &Key, path: &Path) -> Option<Numeric> {
        (!path.steps.is_empty()).then(|| Numeric::from_i64(10))
    }
}

const MIN: i64 = 0;
const MAX: i64 = 20;

/// A granted lock: when, which, and what it adds.
type Granted = (u64, (LockName, Mode), i64);

struct World {
    table: LockTable,
    names: Vec<LockName>,
    granted: BTreeMap<TxnId, Vec<Granted>>,
    waiting: BTreeMap<Ticket, (TxnId, Vec<Granted>)>,
    steps: BTreeMap<TxnId, u64>,
    sealed: BTreeSet<TxnId>,
    policy: DeadlockPolicy,
}

impl World {
    fn new(config: LockConfig) -> World {
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

    fn act(&mut self, action: &Action) {
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

    fn finish(mut self) {
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
fn txn_or_first<'a>(world: &'a World, txn: &'a TxnId) -> &'a TxnId {
    if world.granted.contains_key(txn) {
        txn
    } else {
        world.granted.keys().next().expect("somebody holds something")
    }
}

const TXNS: u64 = 5;

fn action() -> impl Strategy<Value = Action> {
    let txn = 1..=TXNS;
    let batch = prop::collection::vec((0usize..40, 0usize..10), 1..4);
    prop_oneof![
        10 => (txn.clone(), batch, prop::bool::weighted(0.85)).prop_map(|(txn, batch, wait)| Action::Lock { txn, batch, wait }),
        4 => (txn.clone(), 0usize..4, -6i64..7, prop::bool::weighted(0.85))
            .prop_map(|(txn, path, by, wait)| Action::Add { txn, path, by, wait }),
        2 => (txn.clone(), 0u64..4).prop_map(|(txn, back)| Action::RollBack { txn, back }),
        1 => txn.clone().prop_map(|txn| Action::Cancel { txn }),
        3 => txn.clone().prop_map(|txn| Action::Release { txn }),
        1 => txn.prop_map(|txn| Action::Seal { txn }),
        1 => Just(Action::EndEpoch),
    ]
}

fn schedule() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..60)
}

fn play(config: LockConfig, schedule: &[Action]) {
    let mut world = World::new(config);
    for action in schedule {
        world.act(action);
    }
    world.finish();
}

/// More schedules on demand: `PROPTEST_CASES=100000 cargo test -p txn oracle`.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(256),
        max_shrink_iters: 100_000,
        ..default
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_schedule_breaks_the_table_under_detect(schedule in schedule()) {
        play(LockConfig::default(), &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_under_wound_wait(schedule in schedule()) {
        play(LockConfig { policy: DeadlockPolicy::WoundWait, ..LockConfig::default() }, &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_under_wait_die(schedule in schedule()) {
        play(LockConfig { policy: DeadlockPolicy::WaitDie, ..LockConfig::default() }, &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_when_locks_escalate_early(schedule in schedule()) {
        play(LockConfig { row_paths_max: 1, table_rows_max: 1, ..LockConfig::default() }, &schedule);
    }

    #[test]
    fn no_schedule_breaks_the_table_when_memory_is_short(schedule in schedule(), memory in 1_000usize..12_000) {
        play(LockConfig { memory_bytes_max: memory, ..LockConfig::default() }, &schedule);
    }
}
