//! Locks: the product's lock table as part of a state: shared between states until it is changed, and compared by what it says.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use txn::locks::{Epoch, Event, LockConfig, LockTable, TxnId};

/// The lock table of a leader.
#[derive(Clone)]
pub struct Locks {
    table: Arc<LockTable>,
    /// Of what is held and awaited, and who stands before whom. What else a table contains (positions in slabs, numbers of
    /// tickets) decides nothing but which of several cycles is found first.
    digest: u64,
    /// Whether the table's invariants held after the last change.
    pub is_sound: bool,
}

impl Locks {
    /// Without locks.
    pub fn new(epoch: Epoch) -> Locks {
        let table = Arc::new(LockTable::new(LockConfig::default(), epoch));
        Locks {
            table,
            digest: 0,
            is_sound: true,
        }
    }

    /// To look at.
    pub fn table(&self) -> &LockTable {
        &self.table
    }

    /// Whether a transaction holds something.
    pub fn holds(&self, txn: TxnId) -> bool {
        self.table
            .entries()
            .iter()
            .any(|entry| entry.granted && entry.owner.txn == txn)
    }

    /// Changes it; what happened to waits comes with the answer.
    pub fn change<T>(&mut self, call: impl FnOnce(&mut LockTable) -> T) -> (T, Vec<Event>) {
        let table = Arc::make_mut(&mut self.table);
        let answer = call(table);
        let events = table.take_events();
        self.digest = digest(table);
        self.is_sound = table.check_invariants().is_ok();
        (answer, events)
    }
}

fn digest(table: &LockTable) -> u64 {
    let entry = |entry: txn::locks::Entry| (entry.owner.txn, entry.granted, entry.mode, hash(&entry.name));
    let mut entries: Vec<_> = table.entries().into_iter().map(entry).collect();
    entries.sort_unstable();
    let edge = |wait: txn::locks::Wait| (wait.waiter, wait.blocker, wait.passable.is_some(), hash(&wait.met_at));
    let mut edges: Vec<_> = table.edges().into_iter().map(edge).collect();
    edges.sort_unstable();
    hash(&(entries, edges, table.transactions()))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl PartialEq for Locks {
    fn eq(&self, other: &Locks) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Locks {}

impl Hash for Locks {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.table.entries().into_iter();
        let text = held.map(|entry| {
            let waits = if entry.granted { "" } else { " waits" };
            format!("t{} {}{waits}", entry.owner.txn, entry.mode)
        });
        f.debug_list().entries(text).finish()
    }
}
