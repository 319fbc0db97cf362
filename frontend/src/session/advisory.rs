//! Advisory locks: keys that applications lock, of a session or of its transaction.
//!
//! ```text
//!   (shop, 42)   held: session 3 twice, exclusive     queue: session 5, shared · session 6, exclusive
//! ```
//! They guard nothing of ours, so they live in the memory of the node and end with their session. They do take part in
//! deadlocks: a session waits either here or for a lock of a transaction, and a cycle may lead through both, so whoever
//! waits here looks along both kinds of edges, when the wait begins and every second after (`deadlock_timeout`).
//!
//! Invariants
//!  - Two sessions never hold a key in conflicting modes.
//!  - A waiter at the head of a queue conflicts with a holder; nobody passes a waiter, except who holds the key already.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use planner::system::AdvisoryLock;
use planner::{SqlError, SqlResult, SqlState};
use storage::Datum;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::shared::Shared;

/// How often a waiter looks for a deadlock.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A key: one bigint, or two integers; the two kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `pg_advisory_lock(bigint)`
    One(i64),
    /// `pg_advisory_lock(int, int)`
    Two(i32, i32),
}

/// A key in a database.
type Place = (Arc<str>, Key);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Shared rather than exclusive.
    pub is_shared: bool,
    /// Until the end of the transaction rather than of the session.
    pub of_transaction: bool,
}

/// The advisory locks of a node.
#[derive(Default)]
pub struct Advisory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    locks: BTreeMap<Place, Lock>,
    /// Locks of running transactions in the order they were taken, by session.
    of_transactions: HashMap<u32, Vec<(Place, bool)>>,
}

#[derive(Default)]
struct Lock {
    holders: Vec<Holder>,
    queue: VecDeque<Waiter>,
}

struct Holder {
    session: u32,
    wish: Wish,
    count: usize,
}

struct Waiter {
    session: u32,
    is_shared: bool,
    wake: Arc<Notify>,
}

impl Lock {
    /// Whether other holders let a session have a mode.
    fn is_free_for(&self, session: u32, is_shared: bool) -> bool {
        let conflicts = |holder: &Holder| holder.session != session && !(holder.wish.is_shared && is_shared);
        !self.holders.iter().any(conflicts)
    }

    fn is_held_by(&self, session: u32) -> bool {
        self.holders.iter().any(|holder| holder.session == session)
    }

    /// Waiters that a session with this wish has to let go first.
    fn ahead_of(&self, session: u32) -> impl Iterator<Item = &Waiter> {
        self.queue.iter().take_while(move |waiter| waiter.session != session)
    }

    fn may_have(&self, session: u32, is_shared: bool) -> bool {
        let waits_for_queue =
            !self.is_held_by(session) && self.ahead_of(session).any(|waiter| !(waiter.is_shared && is_shared));
        self.is_free_for(session, is_shared) && !waits_for_queue
    }

    /// Sessions that stand in the way of one.
    fn blockers(&self, session: u32, is_shared: bool) -> Vec<u32> {
        let holders = self
            .holders
            .iter()
            .filter(|holder| holder.session != session && !(holder.wish.is_shared && is_shared))
            .map(|holder| holder.session);
        let ahead = self
            .ahead_of(session)
            .filter(|waiter| !(self.is_held_by(session) || waiter.is_shared && is_shared))
            .map(|waiter| waiter.session);
        holders.chain(ahead).collect()
    }

    fn take(&mut self, session: u32, wish: Wish) {
        let same = |holder: &&mut Holder| holder.session == session && holder.wish == wish;
        match self.holders.iter_mut().find(same) {
            Some(holder) => holder.count += 1,
            None => self.holders.push(Holder {
                session,
                wish,
                count: 1,
            }),
        }
    }

    /// Gives one hold back; `false` if there is none.
    fn give(&mut self, session: u32, wish: Wish) -> bool {
        let Some(at) = self
            .holders
            .iter()
            .position(|holder| holder.session == session && holder.wish == wish)
        else {
            return false;
        };
        self.holders[at].count -= 1;
        if self.holders[at].count == 0 {
            self.holders.swap_remove(at);
        }
        self.queue.iter().for_each(|waiter| waiter.wake.notify_one());
        true
    }
}

impl State {
    fn give(&mut self, place: &Place, session: u32, wish: Wish) -> bool {
        let Some(lock) = self.locks.get_mut(place) else {
            return false;
        };
        let given = lock.give(session, wish);
        if lock.holders.is_empty() && lock.queue.is_empty() {
            self.locks.remove(place);
        }
        given
    }

    fn try_take(&mut self, place: &Place, session: u32, wish: Wish) -> bool {
        let lock = self.locks.entry(place.clone()).or_default();
        if !lock.may_have(session, wish.is_shared) {
            return false;
        }
        lock.take(session, wish);
        if wish.of_transaction {
            let taken = self.of_transactions.entry(session).or_default();
            taken.push((place.clone(), wish.is_shared));
        }
        true
    }
}

/// A place in a queue, given up when dropped.
struct Turn<'a> {
    advisory: &'a Advisory,
    place: Place,
    session: u32,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.advisory.state.lock();
        let Some(lock) = state.locks.get_mut(&self.place) else {
            return;
        };
        lock.queue.retain(|waiter| waiter.session != self.session);
        lock.queue.iter().for_each(|waiter| waiter.wake.notify_one());
        if lock.holders.is_empty() && lock.queue.is_empty() {
            state.locks.remove(&self.place);
        }
    }
}

impl Advisory {
    /// Takes a lock if it is free.
    pub fn try_lock(&self, shared: &Shared, key: Key, wish: Wish) -> bool {
        let place = place(shared, key);
        let mut state = self.state.lock();
        let taken = state.try_take(&place, shared.identity.id, wish);
        if state
            .locks
            .get(&place)
            .is_some_and(|lock| lock.holders.is_empty() && lock.queue.is_empty())
        {
            state.locks.remove(&place);
        }
        taken
    }

    /// Takes a lock, waiting on this thread. `blocked_by` says whom a session waits for elsewhere.
    ///
    /// # Errors
    /// 57014 when cancelled or out of time, 55P03 after `lock_timeout`, 40P01 in a deadlock.
    pub fn lock(&self, shared: &Shared, key: Key, wish: Wish, blocked_by: &dyn Fn(u32) -> Vec<u32>) -> SqlResult<()> {
        let session = shared.identity.id;
        let place = place(shared, key);
        let wake = Arc::new(Notify::new());
        {
            let mut state = self.state.lock();
            if state.try_take(&place, session, wish) {
                return Ok(());
            }
            let lock = state.locks.entry(place.clone()).or_default();
            lock.queue.push_back(Waiter {
                session,
                is_shared: wish.is_shared,
                wake: wake.clone(),
            });
        }
        let _turn = Turn {
            advisory: self,
            place: place.clone(),
            session,
        };
        let cancel = shared.cancel.lock().clone();
        let statement_end = *shared.deadline.lock();
        let patience_end = lock_timeout(shared).map(|timeout| Instant::now() + timeout);
        loop {
            self.check_deadlock(session, blocked_by)?;
            let look_again = Instant::now() + LOOK_AGAIN;
            let wake_up = [statement_end, patience_end]
                .into_iter()
                .flatten()
                .fold(look_again, Instant::min);
            let is_cancelled = tokio::task::block_in_place(|| {
                Handle::current().block_on(async {
                    tokio::select! {
                        () = cancel.cancelled() => true,
                        () = wake.notified() => false,
                        () = tokio::time::sleep_until(wake_up) => false,
                    }
                })
            });
            let is_past = |end: Option<Instant>| end.is_some_and(|end| end <= Instant::now());
            if is_cancelled {
                return Err(cancelled("user request"));
            }
            if self.state.lock().try_take(&place, session, wish) {
                return Ok(());
            }
            if is_past(statement_end) {
                return Err(cancelled("statement timeout"));
            }
            if is_past(patience_end) {
                return Err(SqlError::new(
                    SqlState::LOCK_NOT_AVAILABLE,
                    "canceling statement due to lock timeout",
                ));
            }
        }
    }

    /// Gives a lock of the session back; `false` if it has none.
    pub fn unlock(&self, shared: &Shared, key: Key, is_shared: bool) -> bool {
        let wish = Wish {
            is_shared,
            of_transaction: false,
        };
        self.state.lock().give(&place(shared, key), shared.identity.id, wish)
    }

    /// Gives back all locks a session holds beyond its transaction.
    pub fn unlock_all(&self, session: u32) {
        self.release(session, |holder| !holder.wish.of_transaction);
    }

    /// Number of locks the session's transaction has taken.
    pub fn mark(&self, session: u32) -> usize {
        self.state.lock().of_transactions.get(&session).map_or(0, Vec::len)
    }

    /// Gives back what the transaction has taken since a mark; all of it at its end (mark 0).
    pub fn roll_back_to(&self, session: u32, mark: usize) {
        let mut state = self.state.lock();
        let Some(taken) = state.of_transactions.get_mut(&session) else {
            return;
        };
        let undone = taken.split_off(mark.min(taken.len()));
        if taken.is_empty() {
            state.of_transactions.remove(&session);
        }
        for (place, is_shared) in undone {
            let wish = Wish {
                is_shared,
                of_transaction: true,
            };
            state.give(&place, session, wish);
        }
    }

    /// A session is gone.
    pub fn end_session(&self, session: u32) {
        self.state.lock().of_transactions.remove(&session);
        self.release(session, |_| true);
    }

    fn release(&self, session: u32, goes: impl Fn(&Holder) -> bool) {
        self.state.lock().locks.retain(|_, lock| {
            let before = lock.holders.len();
            lock.holders.retain(|holder| holder.session != session || !goes(holder));
            if lock.holders.len() < before {
                lock.queue.iter().for_each(|waiter| waiter.wake.notify_one());
            }
            !(lock.holders.is_empty() && lock.queue.is_empty())
        });
    }

    /// Sessions that block this one here.
    pub fn blocking(&self, session: u32) -> Vec<u32> {
        let state = self.state.lock();
        let waits = |lock: &&Lock| lock.queue.iter().any(|waiter| waiter.session == session);
        let Some(lock) = state.locks.values().find(waits) else {
            return Vec::new();
        };
        let is_shared = lock
            .queue
            .iter()
            .any(|waiter| waiter.session == session && waiter.is_shared);
        lock.blockers(session, is_shared)
    }

    /// All locks, for `pg_locks`.
    pub fn entries(&self) -> Vec<AdvisoryLock> {
        let state = self.state.lock();
        let mut entries = Vec::new();
        for ((database, key), lock) in &state.locks {
            let mut push = |session: u32, is_shared: bool, granted: bool| {
                let (class, object, parts) = match *key {
                    Key::One(key) => ((key >> 32) as u32, key as u32, 1),
                    Key::Two(class, object) => (class as u32, object as u32, 2),
                };
                let entry = AdvisoryLock {
                    database: database.to_string(),
                    class,
                    object,
                    parts,
                    session,
                    is_shared,
                    granted,
                };
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            };
            for holder in &lock.holders {
                push(holder.session, holder.wish.is_shared, true);
            }
            for waiter in &lock.queue {
                push(waiter.session, waiter.is_shared, false);
            }
        }
        entries
    }

    /// Fails if the session waits for itself, through others.
    fn check_deadlock(&self, session: u32, blocked_by: &dyn Fn(u32) -> Vec<u32>) -> SqlResult<()> {
        let mut seen = Vec::new();
        let mut open = vec![session];
        while let Some(waiter) = open.pop() {
            for blocker in self.blocking(waiter).into_iter().chain(blocked_by(waiter)) {
                if blocker == session {
                    let detail = format!(
                        "Process {session} waits for an advisory lock; blocked by process {}.",
                        self.blocking(session).first().copied().unwrap_or(waiter)
                    );
                    return Err(SqlError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected").detail(detail));
                }
                if !seen.contains(&blocker) {
                    seen.push(blocker);
                    open.push(blocker);
                }
            }
        }
        Ok(())
    }
}

/// Answers one of the functions of this page; `None` for another function.
///
/// # Errors
/// As [`Advisory::lock`].
pub fn call(
    advisory: &Advisory,
    shared: &Shared,
    function: &str,
    args: &[Datum],
    blocked_by: &dyn Fn(u32) -> Vec<u32>,
) -> Option<SqlResult<Datum>> {
    if function == "pg_advisory_unlock_all" {
        advisory.unlock_all(shared.identity.id);
        return Some(Ok(Datum::Null));
    }
    let (rest, is_try) = match function.strip_prefix("pg_try_advisory_") {
        Some(rest) => (rest, true),
        None => (function.strip_prefix("pg_advisory_")?, false),
    };
    let (rest, is_shared) = match rest.strip_suffix("_shared") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let key = key(args)?;
    let of_transaction = rest == "xact_lock";
    let wish = Wish {
        is_shared,
        of_transaction,
    };
    Some(match (rest, is_try) {
        ("unlock", false) => {
            let given = advisory.unlock(shared, key, is_shared);
            if !given {
                let mode = if is_shared { "ShareLock" } else { "ExclusiveLock" };
                shared.warn(SqlState::WARNING, format!("you don't own a lock of type {mode}"));
            }
            Ok(Datum::Bool(given))
        }
        ("lock" | "xact_lock", true) => Ok(Datum::Bool(advisory.try_lock(shared, key, wish))),
        // A function of type void gives an empty value, which is not NULL.
        ("lock" | "xact_lock", false) => advisory.lock(shared, key, wish, blocked_by).map(|()| Datum::text("")),
        _ => return None,
    })
}

fn key(args: &[Datum]) -> Option<Key> {
    match args {
        [Datum::Int8(key)] => Some(Key::One(*key)),
        [Datum::Int4(class), Datum::Int4(object)] => Some(Key::Two(*class, *object)),
        _ => None,
    }
}

fn place(shared: &Shared, key: Key) -> Place {
    (shared.identity.database.as_str().into(), key)
}

fn lock_timeout(shared: &Shared) -> Option<Duration> {
    let text = shared.show("lock_timeout")?;
    planner::statement::milliseconds(&text)
        .filter(|milliseconds| *milliseconds > 0)
        .map(Duration::from_millis)
}

fn cancelled(why: &str) -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, format!("canceling statement due to {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::shared::tests::shared;

    const SHARED: Wish = Wish {
        is_shared: true,
        of_transaction: false,
    };
    const EXCLUSIVE: Wish = Wish {
        is_shared: false,
        of_transaction: false,
    };
    const OF_TRANSACTION: Wish = Wish {
        is_shared: false,
        of_transaction: true,
    };

    fn session(id: u32) -> Shared {
        let mut session = shared();
        session.identity.id = id;
        session
    }

    #[test]
    fn readers_share_and_a_writer_does_not() {
        let (advisory, one, two) = (Advisory::default(), session(1), session(2));
        assert!(advisory.try_lock(&one, Key::One(7), SHARED));
        assert!(advisory.try_lock(&two, Key::One(7), SHARED));
        assert!(!advisory.try_lock(&one, Key::One(7), EXCLUSIVE));
        assert!(advisory.unlock(&two, Key::One(7), true));
        assert!(advisory.try_lock(&one, Key::One(7), EXCLUSIVE));
    }

    #[test]
    fn a_lock_is_given_back_as_often_as_it_was_taken() {
        let (advisory, one, two) = (Advisory::default(), session(1), session(2));
        for _ in 0..2 {
            assert!(advisory.try_lock(&one, Key::Two(1, 2), EXCLUSIVE));
        }
        assert!(advisory.unlock(&one, Key::Two(1, 2), false));
        assert!(!advisory.try_lock(&two, Key::Two(1, 2), EXCLUSIVE));
        assert!(advisory.unlock(&one, Key::Two(1, 2), false));
        assert!(!advisory.unlock(&one, Key::Two(1, 2), false));
        assert!(advisory.try_lock(&two, Key::Two(1, 2), EXCLUSIVE));
        assert!(
            advisory.try_lock(&one, Key::One((1 << 32) | 2), EXCLUSIVE),
            "another kind of key"
        );
    }

    #[test]
    fn a_transaction_gives_its_locks_back_at_savepoint_and_end() {
        let (advisory, one, two) = (Advisory::default(), session(1), session(2));
        assert!(advisory.try_lock(&one, Key::One(1), OF_TRANSACTION));
        let mark = advisory.mark(1);
        assert!(advisory.try_lock(&one, Key::One(2), OF_TRANSACTION));
        advisory.roll_back_to(1, mark);
        assert!(advisory.try_lock(&two, Key::One(2), EXCLUSIVE));
        assert!(!advisory.try_lock(&two, Key::One(1), EXCLUSIVE));
        advisory.roll_back_to(1, 0);
        assert!(advisory.try_lock(&two, Key::One(1), EXCLUSIVE));
        advisory.end_session(2);
        assert!(advisory.entries().is_empty());
    }
}
