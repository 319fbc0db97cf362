//! Locks of a shard: the lock table, and who is asleep until it answers.
//!
//! The table is a synchronous core; its events are turned into wake-ups here, which happen after the mutex is released.

use std::time::Instant;

use ahash::HashMap;
use bytes::Bytes;
use storage::mvcc::{self, Wanted};
use storage::path::Parts;
use storage::{Datum, Numeric, Path, Step};
use tokio::sync::oneshot;

use super::asker::Asker;
use super::ended::Ended;
use super::pending::Pending;
use super::{Core, Shard};
use crate::command::{Epoch, TransactionId, decode, encode};
use crate::commit::Attempt;
use crate::live::Live;
use crate::locks::{
    AbortReason, Event, LockConfig, LockTable, Outcome, Owner, Refusal, Request, Ticket, TxnId, Values, Wait, WaitMode,
};
use crate::{Isolation, Key, LockName, LockRequest, LockWait, Mode, TableId, TxnError};

/// What a sleeper is told: positions of requests that asked for A and are covered by X, or why it waits no more.
type Answer = Result<Vec<usize>, AbortReason>;

/// The lock table and its sleepers.
pub(crate) struct Locks {
    table: LockTable,
    sleepers: HashMap<Ticket, oneshot::Sender<Answer>>,
    /// Who asked for ACCESS EXCLUSIVE: only then lock-free reads look at the table at all.
    exclusive_tables: Vec<(TransactionId, TableId)>,
    /// Transactions of other nodes that are over here.
    pub(crate) ended: Ended,
}

/// What is to be done once the mutex is released.
#[must_use]
#[derive(Default)]
pub(crate) struct Wakeups {
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    dooms: Vec<(TransactionId, AbortReason)>,
}

impl Wakeups {
    /// Wakes sleepers, and stops transactions that were not asleep.
    pub(crate) fn wake(self, live: &Live) {
        for (sleeper, answer) in self.answers {
            // A sleeper that went away has its wait cancelled by its guard.
            let _ = sleeper.send(answer);
        }
        for (id, reason) in self.dooms {
            if let Some(inner) = live.get(id) {
                inner.interrupt.doom(error_of(live, inner.owner.serializable, reason));
            } else if live.remote.is_elsewhere(id) {
                // Nobody who was not asleep is told of a deadlock, so the isolation does not matter.
                live.remote.doom(id, error_of(live, false, reason));
            }
        }
    }
}

/// What a transaction is told about the end of its wait.
fn error_of(live: &Live, is_serializable: bool, reason: AbortReason) -> TxnError {
    match reason {
        AbortReason::Deadlock(cycle) => {
            let lines = cycle.iter().map(|wait| describe(live, wait));
            let detail = lines.collect::<Vec<_>>().join("\n");
            match is_serializable {
                true => TxnError::Serialization { detail },
                false => TxnError::Deadlock { detail },
            }
        }
        AbortReason::Wounded { by } => {
            TxnError::serialization(format!("an older transaction ({by}) needs a lock this one holds"))
        }
        AbortReason::Died { older } => TxnError::serialization(format!(
            "this transaction would have to wait for an older one ({older})"
        )),
        AbortReason::Lost => TxnError::locks_lost(),
        AbortReason::AddOutOfRange => TxnError::AddOutOfRange,
    }
}

/// One line of a deadlock's detail, in PostgreSQL's words.
fn describe(live: &Live, wait: &Wait) -> String {
    let Wait {
        waiter_session,
        blocker_session,
        mode,
        name,
        ..
    } = wait;
    let name = live.lock_text(name);
    format!("Process {waiter_session} waits for {mode} on {name}; blocked by process {blocker_session}.")
}

/// Numbers that `A` locks are granted on: the newest state of their path.
struct Numbers<'a> {
    shard: &'a Shard,
    pending: &'a Pending,
}

impl Values for Numbers<'_> {
    fn number(&self, table: TableId, key: &Key, path: &Path) -> Option<Numeric> {
        let encoded = mvcc::row_key(table, key);
        let unapplied = self.pending.unapplied(&encoded);
        let hidden_below = self.shard.facts.clears.hidden_below(&[table], u64::MAX);
        // A row that cannot be read is no number: X is taken, and reading it under X says what is wrong.
        let mut parts = Parts::new();
        parts.add(path);
        let wanted = Wanted {
            parts: Some(&parts),
            own: &[],
        };
        let state = mvcc::newest_row(&self.shard.view(), &encoded, hidden_below, &unapplied, wanted).ok()?;
        number_at(state.row?.get(usize::from(path.column))?, path)
    }
}

/// The exact number at a path.
fn number_at(datum: &Datum, path: &Path) -> Option<Numeric> {
    match datum {
        Datum::Jsonb(document) => {
            let mut place = document.view();
            for step in &path.steps {
                place = match step {
                    Step::Member(name) => place.step(name)?,
                    Step::Element(index) => place.element(i64::from(*index))?,
                };
            }
            place.as_number()
        }
        Datum::Int2(value) if path.steps.is_empty() => Some(Numeric::from_i64(i64::from(*value))),
        Datum::Int4(value) if path.steps.is_empty() => Some(Numeric::from_i64(i64::from(*value))),
        Datum::Int8(value) if path.steps.is_empty() => Some(Numeric::from_i64(*value)),
        Datum::Numeric(value) if path.steps.is_empty() => Some(value.clone()),
        _ => None,
    }
}

impl Locks {
    pub(crate) fn new(config: LockConfig, epoch: Epoch) -> Locks {
        Locks {
            table: LockTable::new(config, epoch),
            sleepers: HashMap::default(),
            exclusive_tables: Vec::new(),
            ended: Ended::default(),
        }
    }

    /// Turns the table's events into wake-ups.
    fn wakeups(&mut self) -> Wakeups {
        let mut wakeups = Wakeups::default();
        for event in self.table.take_events() {
            match event {
                Event::Granted { ticket, exclusive, .. } => {
                    wakeups
                        .answers
                        .extend(self.sleepers.remove(&ticket).map(|sleeper| (sleeper, Ok(exclusive))));
                }
                Event::Aborted {
                    ticket: Some(ticket),
                    reason,
                    ..
                } => {
                    wakeups
                        .answers
                        .extend(self.sleepers.remove(&ticket).map(|sleeper| (sleeper, Err(reason))));
                }
                Event::Aborted {
                    txn,
                    ticket: None,
                    reason,
                } => wakeups.dooms.push((txn.0, reason)),
                Event::Escalated { txn, name, mode, count } => {
                    tracing::info!(txn = txn.0, ?name, %mode, count, "locks were traded for a coarser one");
                }
            }
        }
        wakeups
    }

    /// Whether somebody else may hold a table in ACCESS EXCLUSIVE.
    pub(crate) fn hides_table(&self, table: TableId, id: TransactionId) -> bool {
        self.exclusive_tables
            .iter()
            .any(|(other, held)| *held == table && *other != id)
    }

    /// The table is thrown away: its requests for ACCESS EXCLUSIVE are counted no more.
    pub(super) fn forget_exclusive_tables(&mut self, live: &Live) {
        live.note_exclusive_tables(self.exclusive_tables.len(), 0);
        self.exclusive_tables.clear();
    }

    /// All transactions that hold something or wait.
    pub(crate) fn transactions(&self) -> Vec<TransactionId> {
        self.table.transactions().into_iter().map(|txn| txn.0).collect()
    }

    /// Requests for ACCESS EXCLUSIVE of some transactions are counted no more.
    pub(super) fn forget_exclusive(&mut self, live: &Live, is_gone: impl Fn(TransactionId) -> bool) {
        let before = self.exclusive_tables.len();
        self.exclusive_tables.retain(|(holder, _)| !is_gone(*holder));
        live.note_exclusive_tables(before, self.exclusive_tables.len());
    }

    /// How many wait.
    pub(crate) fn waiter_count(&self) -> usize {
        self.sleepers.len()
    }

    /// The waits-for graph of this shard.
    pub(crate) fn edges(&self) -> Vec<Wait> {
        self.table.edges()
    }

    /// All locks held and waited for.
    pub(crate) fn entries(&self) -> Vec<crate::locks::Entry> {
        self.table.entries()
    }

    /// Sessions in the way of a transaction.
    pub(crate) fn blocking_sessions(&self, id: TransactionId) -> Vec<u32> {
        let of_waiter = |wait: &Wait| wait.waiter.0 == id;
        self.table
            .edges()
            .into_iter()
            .filter(of_waiter)
            .map(|wait| wait.blocker_session)
            .collect()
    }

    pub(crate) fn check_invariants(&self) -> Result<(), String> {
        self.table.check_invariants()
    }

    /// Protects a transaction's locks from policies and epochs, and gives what its Prepare record keeps of them.
    pub(crate) fn seal(&mut self, id: TransactionId) -> Result<Bytes, TxnError> {
        if self.ended.contains(id) {
            // A message that comes late, or of a coordinator that counted as dead.
            return Err(TxnError::locks_lost());
        }
        let locks = self.table.locks_of(TxnId(id));
        let names: Vec<(&LockName, Mode)> = locks
            .iter()
            .map(|lock| {
                (
                    &lock.name,
                    if lock.mode == Mode::Add {
                        Mode::Exclusive
                    } else {
                        lock.mode
                    },
                )
            })
            .collect();
        let encoded = encode(&names)?;
        if !locks.is_empty() && !self.table.seal(TxnId(id)) {
            return Err(TxnError::locks_lost());
        }
        Ok(encoded)
    }

    /// Takes the locks of a prepared transaction again, as its Prepare record has kept them.
    pub(crate) fn restore(&mut self, attempt: Attempt, locks: &[u8], live: &Live) -> Result<(), TxnError> {
        let locks: Vec<(LockName, Mode)> = if locks.is_empty() { Vec::new() } else { decode(locks)? };
        let requests: Vec<LockRequest> = locks
            .into_iter()
            .map(|(name, mode)| LockRequest::new(name, mode))
            .collect();
        let before = self.exclusive_tables.len();
        for request in &requests {
            if let (LockName::Table(table), Mode::AccessExclusive) = (&request.name, request.mode) {
                self.exclusive_tables.push((attempt.txn.0, *table));
            }
        }
        live.note_exclusive_tables(before, self.exclusive_tables.len());
        let priority = attempt.txn.0;
        let (txn, coordinator) = (attempt.txn, attempt.coordinator);
        let owner = Owner {
            txn,
            coordinator,
            session: 0,
            priority,
            serializable: false,
        };
        if !requests.is_empty() {
            self.table.restore(owner, &requests);
        }
        Ok(())
    }
}

/// Whether the asker has written to a row itself.
pub(crate) type HasWritten<'a> = &'a (dyn Fn(TableId, &Key) -> Result<bool, TxnError> + Sync);

/// A batch of locks wanted of one shard.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) requests: &'a [LockRequest],
    /// Savepoint counter of the transaction.
    pub(crate) step: u64,
    pub(crate) wait: LockWait,
    /// When waiting ends.
    pub(crate) deadline: Option<Instant>,
    pub(crate) has_written: HasWritten<'a>,
}

/// Withdraws a wait whose sleeper goes away before the answer (a dropped statement).
struct SleepGuard<'a> {
    shard: &'a Shard,
    ticket: Ticket,
}

impl Drop for SleepGuard<'_> {
    fn drop(&mut self) {
        self.shard.cancel_wait(self.ticket);
    }
}

impl Shard {
    fn numbers<'a>(&'a self, pending: &'a Pending) -> Numbers<'a> {
        Numbers { shard: self, pending }
    }

    /// Takes a batch of locks; `false` if [`LockWait::Skip`] found one that is not free. The number is that of the newest
    /// proposal an error rests on, 0 if there is none.
    pub(crate) async fn lock(&self, asker: Asker<'_>, epoch: Epoch, batch: Batch<'_>) -> (Result<bool, TxnError>, u64) {
        let Batch {
            requests,
            step,
            wait,
            deadline,
            has_written,
        } = batch;
        if let Err(error) = self.confirm_lease().await {
            return (Err(error), 0);
        }
        let wait_mode = match wait {
            LockWait::Wait(_) => WaitMode::Wait,
            LockWait::NoWait | LockWait::Skip => WaitMode::NoWait,
        };
        let request = Request {
            owner: asker.owner,
            epoch: None,
            step,
            locks: requests,
            wait: wait_mode,
        };
        let granted = match self.ask(asker, Some(epoch), request, deadline).await {
            Ok(exclusive) => self.check_sums(has_written, requests, &exclusive).map(|()| true),
            Err(TxnError::LockNotAvailable { timeout: false, .. }) if wait == LockWait::Skip => Ok(false),
            Err(error) => Err(error),
        };
        let seen = match granted {
            // The sums hold increments of commits that may yet be lost (T4).
            Err(TxnError::AddOutOfRange) => self.core().outbox.newest().unwrap_or(0),
            _ => 0,
        };
        (granted, seen)
    }

    /// Whether somebody else may hold a table in ACCESS EXCLUSIVE.
    pub(crate) fn hides_table(&self, table: TableId, id: TransactionId) -> bool {
        self.core().locks.hides_table(table, id)
    }

    /// Waits until a table could be read, without holding anything: lock-free reads wait for ACCESS EXCLUSIVE so.
    pub(crate) async fn wait_for_table(&self, asker: Asker<'_>, table: TableId) -> Result<(), TxnError> {
        let locks = [LockRequest {
            name: LockName::Table(table),
            mode: Mode::AccessShare,
            add: None,
        }];
        let request = Request {
            owner: asker.owner,
            epoch: None,
            step: 0,
            locks: &locks,
            wait: WaitMode::Instant,
        };
        self.ask(asker, None, request, None).await.map(drop)
    }

    async fn ask(
        &self,
        asker: Asker<'_>,
        epoch: Option<Epoch>,
        request: Request<'_>,
        deadline: Option<Instant>,
    ) -> Result<Vec<usize>, TxnError> {
        let (ticket, mut answer) = {
            let mut core = self.core();
            core.check_epoch(epoch)?;
            let Core { locks, pending, .. } = &mut *core;
            if locks.ended.contains(asker.id()) {
                return Err(TxnError::locks_lost());
            }
            if request.wait != WaitMode::Instant {
                let before = locks.exclusive_tables.len();
                for lock in request.locks {
                    if let (LockName::Table(table), Mode::AccessExclusive) = (&lock.name, lock.mode) {
                        locks.exclusive_tables.push((asker.id(), *table));
                    }
                }
                if locks.exclusive_tables.len() > before {
                    self.live.note_exclusive_tables(before, locks.exclusive_tables.len());
                }
            }
            let had_waits = !locks.sleepers.is_empty();
            let outcome = locks.table.request(request, &self.numbers(pending));
            let answered = match outcome {
                Outcome::Granted { exclusive } => Ok(Ok(exclusive)),
                Outcome::Refused(refusal) => Ok(Err(self.refusal(asker.owner.serializable, refusal))),
                Outcome::Queued(ticket) => {
                    let (sender, receiver) = oneshot::channel();
                    locks.sleepers.insert(ticket, sender);
                    Err((ticket, receiver))
                }
            };
            let wakeups = locks.wakeups();
            self.note_waiting(locks, had_waits);
            drop(core);
            wakeups.wake(&self.live);
            match answered {
                Ok(answer) => return answer,
                Err(queued) => queued,
            }
        };
        self.live.detect.notify_one();
        let _guard = SleepGuard { shard: self, ticket };
        let answer = tokio::select! {
            answer = &mut answer => answer,
            error = asker.interrupt.interrupted() => return Err(error),
            () = sleep_until(deadline) => {
                let name = request.locks.first().map_or_else(String::new, |lock| self.live.lock_text(&lock.name));
                return Err(TxnError::LockNotAvailable { name, timeout: true });
            }
        };
        match answer {
            Ok(Ok(exclusive)) => Ok(exclusive),
            Ok(Err(reason)) => Err(error_of(&self.live, asker.owner.serializable, reason)),
            Err(_) => Err(TxnError::Unavailable),
        }
    }

    fn refusal(&self, is_serializable: bool, refusal: Refusal) -> TxnError {
        match refusal {
            Refusal::NotAvailable { name, .. } => TxnError::LockNotAvailable {
                name: self.live.lock_text(&name),
                timeout: false,
            },
            Refusal::Memory => TxnError::LockMemory,
            Refusal::Aborted(reason) => error_of(&self.live, is_serializable, reason),
            Refusal::Invalid { name, mode } => TxnError::Limit(format!(
                "lock mode {mode} cannot be had on {}",
                self.live.lock_text(&name)
            )),
        }
    }

    /// Increments that X was taken for: the sum is checked here, because no other transaction's increments bound it.
    fn check_sums(
        &self,
        has_written: HasWritten<'_>,
        requests: &[LockRequest],
        exclusive: &[usize],
    ) -> Result<(), TxnError> {
        if exclusive.is_empty() {
            return Ok(());
        }
        let core = self.core();
        let numbers = self.numbers(&core.pending);
        for request in exclusive.iter().filter_map(|index| requests.get(*index)) {
            let (
                LockName::Row {
                    table,
                    key,
                    part: crate::RowPart::Path(path),
                },
                Some(add),
            ) = (&request.name, &request.add)
            else {
                continue;
            };
            let own = has_written(*table, key)?;
            // What this transaction wrote itself is checked when it evaluates; here only what is committed.
            let Some(number) = numbers.number(*table, key, path).filter(|_| !own) else {
                continue;
            };
            let sum = number.add(&add.by).map_err(|_| TxnError::AddOutOfRange)?;
            let is_below = add.min.as_ref().is_some_and(|min| sum < *min);
            let is_above = add.max.as_ref().is_some_and(|max| sum > *max);
            if is_below || is_above {
                return Err(TxnError::AddOutOfRange);
            }
        }
        Ok(())
    }

    fn cancel_wait(&self, ticket: Ticket) {
        let mut core = self.core();
        let Core { locks, pending, .. } = &mut *core;
        if locks.sleepers.remove(&ticket).is_none() {
            return;
        }
        locks.table.cancel(ticket, &self.numbers(pending));
        let wakeups = locks.wakeups();
        self.note_waiting(locks, true);
        drop(core);
        wakeups.wake(&self.live);
    }

    /// Keeps count of shards where somebody waits.
    fn note_waiting(&self, locks: &Locks, had_waits: bool) {
        let has_waits = !locks.sleepers.is_empty();
        if has_waits != had_waits {
            self.live.note_waiting(has_waits);
        }
    }

    /// Calls the lock table and gives the wake-ups that came of it.
    pub(crate) fn with_table<T>(
        &self,
        core: &mut Core,
        call: impl FnOnce(&mut LockTable, &dyn Values) -> T,
    ) -> (T, Wakeups) {
        let Core { locks, pending, .. } = core;
        let had_waits = !locks.sleepers.is_empty();
        let result = call(&mut locks.table, &self.numbers(pending));
        let wakeups = locks.wakeups();
        self.note_waiting(locks, had_waits);
        (result, wakeups)
    }

    /// Gives back all locks of a transaction. What it wrote must be visible to readers under locks by now.
    pub(crate) fn release_locks(&self, core: &mut Core, id: TransactionId) -> Wakeups {
        if !core.locks.exclusive_tables.is_empty() {
            let before = core.locks.exclusive_tables.len();
            core.locks.exclusive_tables.retain(|(holder, _)| *holder != id);
            self.live
                .note_exclusive_tables(before, core.locks.exclusive_tables.len());
        }
        self.with_table(core, |table, values| table.release(TxnId(id), values))
            .1
    }

    /// Gives back the locks taken after a step.
    pub(crate) fn roll_back_locks(&self, id: TransactionId, step: u64) {
        let mut core = self.core();
        let (_, wakeups) = self.with_table(&mut core, |table, values| table.rollback_to(TxnId(id), step, values));
        drop(core);
        wakeups.wake(&self.live);
    }

    /// All unprepared locks fall with the epoch (DESIGN T4).
    pub(crate) fn begin_lock_epoch(&self, core: &mut Core, epoch: Epoch) -> Wakeups {
        let (fallen, mut wakeups) = self.with_table(core, |table, values| table.clear(epoch, values));
        wakeups
            .dooms
            .extend(fallen.into_iter().map(|txn| (txn.0, AbortReason::Lost)));
        wakeups
    }
}

/// Returns at the deadline, or never.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The owner of a transaction's locks.
pub(crate) fn owner(
    id: TransactionId,
    incarnation: crate::locks::Incarnation,
    options: &crate::TransactionOptions,
) -> Owner {
    Owner {
        txn: TxnId(id),
        coordinator: incarnation,
        session: options.session,
        priority: options.priority.unwrap_or(id),
        serializable: options.isolation == Isolation::Serializable,
    }
}
