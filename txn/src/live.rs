//! Live: the running transactions of a node, and what its shards tell them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use ahash::HashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::command::TransactionId;
use crate::commit::{Attempt, Reply};
use crate::leaders::Leaders;
use crate::locks::TxnId;
use crate::oracle::COUNTER_BITS;
use crate::placement::ShardId;
use crate::remote::Remote;
use crate::shard::Shard;
use crate::transaction::Inner;
use crate::{LockName, RowPart, TxnError};

/// Number of maps, so that sessions do not meet at one mutex.
const MAP_COUNT: usize = 16;

/// Makes text of a lock's name; only the planner knows what ids are called.
pub type NameLocks = Box<dyn Fn(&LockName) -> String + Send + Sync>;

/// What a coordinator hears of shards.
#[derive(Debug)]
pub(crate) enum Heard {
    Reply(Reply),
    /// Why something was refused; a reply says that it was.
    Refused(TxnError),
}

/// The running transactions of a node.
#[derive(Default)]
pub(crate) struct Live {
    maps: [Mutex<HashMap<TransactionId, Weak<Inner>>>; MAP_COUNT],
    /// Shards where somebody waits; a cycle across shards needs two.
    pub(crate) waiting_shards: AtomicU32,
    /// Requests for ACCESS EXCLUSIVE that are held or wait, on all shards.
    exclusive_tables: AtomicU32,
    /// Wakes the detector of deadlocks across shards.
    pub(crate) detect: Notify,
    name_locks: OnceLock<NameLocks>,
    /// Coordinators of commits over several shards, by transaction: when each began, and where it hears answers.
    coordinators: Mutex<HashMap<TxnId, (u64, mpsc::UnboundedSender<Heard>)>>,
    /// Other nodes.
    pub(crate) remote: Arc<Remote>,
    /// The groups this node leads.
    leaders: OnceLock<Weak<Leaders>>,
}

impl Live {
    fn map(&self, id: TransactionId) -> &Mutex<HashMap<TransactionId, Weak<Inner>>> {
        // Numbers follow the clock: of those that begin alone in their millisecond only the bits that tell it differ.
        let id = id >> crate::node::NODE_BITS;
        &self.maps[(id ^ (id >> (COUNTER_BITS - crate::node::NODE_BITS))) as usize % MAP_COUNT]
    }

    /// A transaction begins.
    pub(crate) fn insert(&self, inner: &Arc<Inner>) {
        self.map(inner.id).lock().insert(inner.id, Arc::downgrade(inner));
    }

    /// A transaction has ended.
    pub(crate) fn remove(&self, id: TransactionId) {
        self.map(id).lock().remove(&id);
    }

    /// A running transaction.
    pub(crate) fn get(&self, id: TransactionId) -> Option<Arc<Inner>> {
        self.map(id).lock().get(&id).and_then(Weak::upgrade)
    }

    /// All running transactions.
    pub(crate) fn all(&self) -> Vec<Arc<Inner>> {
        self.maps
            .iter()
            .flat_map(|map| map.lock().values().filter_map(Weak::upgrade).collect::<Vec<_>>())
            .collect()
    }

    /// A coordinator begins; it hears what shards answer.
    pub(crate) fn coordinate(&self, attempt: Attempt) -> mpsc::UnboundedReceiver<Heard> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.coordinators
            .lock()
            .insert(attempt.txn, (attempt.started_ms, sender));
        receiver
    }

    /// A coordinator has ended.
    pub(crate) fn coordinated(&self, txn: TxnId) {
        self.coordinators.lock().remove(&txn);
    }

    /// When the oldest running attempt to commit began.
    pub(crate) fn oldest_attempt_ms(&self) -> Option<u64> {
        self.coordinators
            .lock()
            .values()
            .map(|(started_ms, _)| *started_ms)
            .min()
    }

    /// Whether a transaction's coordinator lives.
    pub(crate) fn is_coordinating(&self, txn: TxnId) -> bool {
        self.coordinators.lock().contains_key(&txn)
    }

    /// Hands a shard's answer to a coordinator, wherever it is.
    pub(crate) fn reply(&self, txn: TxnId, reply: Reply) {
        if !self.hear(txn, Heard::Reply(reply)) && self.remote.is_elsewhere(txn.0) {
            self.remote.reply(txn, reply);
        }
    }

    /// Tells a coordinator of this node why a shard on another one did not do what it was asked.
    pub(crate) fn refused(&self, txn: TxnId, error: TxnError) {
        self.hear(txn, Heard::Refused(error));
    }

    fn hear(&self, txn: TxnId, heard: Heard) -> bool {
        match self.coordinators.lock().get(&txn) {
            // A coordinator that has its answer needs no more.
            Some((_, coordinator)) => coordinator.send(heard).is_ok(),
            None => false,
        }
    }

    /// The oldest snapshot in use on this node.
    pub(crate) fn oldest_snapshot(&self) -> Option<u64> {
        let all = self.all();
        let snapshots = all.iter().map(|inner| inner.oldest_snapshot.load(Ordering::SeqCst));
        snapshots.filter(|at| *at > 0).min()
    }

    /// Sets where the groups are found that this node leads.
    pub(crate) fn set_leaders(&self, leaders: &Arc<Leaders>) {
        // It is the same table for the node's whole life.
        let _ = self.leaders.set(Arc::downgrade(leaders));
    }

    /// A shard this node leads.
    pub(crate) fn shard(&self, id: ShardId) -> Option<Arc<Shard>> {
        self.leaders.get()?.upgrade()?.get(id)
    }

    /// Whether somebody may hold a table in ACCESS EXCLUSIVE.
    pub(crate) fn has_exclusive_tables(&self) -> bool {
        self.exclusive_tables.load(Ordering::Acquire) > 0
    }

    /// The number of requests for ACCESS EXCLUSIVE changed.
    pub(crate) fn note_exclusive_tables(&self, before: usize, after: usize) {
        // Wraps around for a decrease, as unsigned additions do.
        self.exclusive_tables
            .fetch_add((after as u32).wrapping_sub(before as u32), Ordering::AcqRel);
    }

    /// A shard's number of waits changed from or to none.
    pub(crate) fn note_waiting(&self, has_waits: bool) {
        if has_waits {
            self.waiting_shards.fetch_add(1, Ordering::AcqRel);
        } else {
            self.waiting_shards.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Sets how locks are named in errors; the first call counts.
    pub(crate) fn set_name_locks(&self, name_locks: NameLocks) {
        // A second planner on one node would name them alike.
        let _ = self.name_locks.set(name_locks);
    }

    /// Text of a lock's name.
    pub(crate) fn lock_text(&self, name: &LockName) -> String {
        match self.name_locks.get() {
            Some(name_locks) => name_locks(name),
            None => plain_text(name),
        }
    }
}

/// A name by ids and bytes.
fn plain_text(name: &LockName) -> String {
    let table = name.table();
    match name {
        LockName::Table(_) => format!("{table}"),
        LockName::Row { key, part, .. } => match part {
            RowPart::Row => format!("{table}/{key:x}"),
            RowPart::Identity => format!("{table}/{key:x}/#key"),
            RowPart::Data => format!("{table}/{key:x}/#data"),
            RowPart::Path(path) => format!("{table}/{key:x}/{path:?}"),
        },
        LockName::IndexValue { index, value, .. } => format!("{table}/index {index}/{value:x}"),
        LockName::IndexInterval { index, .. } => format!("{table}/index {index}/interval"),
        LockName::PathClass { path, .. } => format!("{table}/*/{path:?}"),
        LockName::RowSet { .. } => format!("{table}/*"),
    }
}
