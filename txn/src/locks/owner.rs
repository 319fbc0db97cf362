//! Owners: the transactions that hold locks here, and for each a log of what it took, for savepoints.

use std::ops::{Index, IndexMut};

use ahash::AHashMap;
use smallvec::SmallVec;

use super::hold::HoldId;
use super::mode::ModeSet;
use super::tree::{NONE, NodeId};

/// Number of a transaction, never used twice in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TxnId(pub u64);

impl std::fmt::Display for TxnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One start of a coordinator: its node, and which start of it. Locks of an earlier start are nobody's (DESIGN L9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Incarnation {
    /// Node.
    pub node: u32,
    /// Grows with every start of the node.
    pub start: u64,
}

/// One unbroken leadership of a shard: a rejected proposal starts the next generation (DESIGN T4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Epoch {
    /// Raft term.
    pub term: u64,
    /// Generation in the term.
    pub generation: u64,
}

/// Who asks for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// Transaction.
    pub txn: TxnId,
    /// Its coordinator.
    pub coordinator: Incarnation,
    /// Session shown in `pg_locks`.
    pub session: u32,
    /// Start timestamp, kept by retries: smaller is older. Deadlocks abort the youngest.
    pub priority: u64,
    /// Whether locks on what was read outlive a rollback to a savepoint (DESIGN L7).
    pub serializable: bool,
}

impl Owner {
    /// Order of age: less is older; a transaction number decides between equal priorities.
    pub(super) fn age(&self) -> (u64, TxnId) {
        (self.priority, self.txn)
    }
}

/// Number of a lock wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Ticket(pub u64);

/// Position of an owner in its slab.
pub(super) type OwnerId = u32;

/// An explicit mode taken.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    /// Savepoint counter at the time; never decreases along the log.
    pub(super) step: u64,
    pub(super) node: NodeId,
    pub(super) modes: ModeSet,
}

/// A transaction that holds locks here or waits for some.
#[derive(Clone)]
pub(super) struct OwnerState {
    pub(super) owner: Owner,
    pub(super) first_hold: HoldId,
    pub(super) log: Vec<Taken>,
    /// Holds with increments, held or ceded.
    pub(super) adds: SmallVec<[HoldId; 2]>,
    pub(super) tickets: SmallVec<[Ticket; 1]>,
    /// Marked committing or prepared: it waits for nothing, keeps its locks over the end of an epoch, cannot be wounded.
    pub(super) sealed: bool,
    /// Lost locks or was wounded: nothing is granted to it any more.
    pub(super) doomed: bool,
    pub(super) live: bool,
}

impl OwnerState {
    /// Logs a lock, in its place: a wait that lasted over later commands is undone with its own.
    pub(super) fn record(&mut self, taken: Taken) {
        let at = self
            .log
            .iter()
            .rposition(|before| before.step <= taken.step)
            .map_or(0, |at| at + 1);
        self.log.insert(at, taken);
    }

    /// Takes modes at a node out of log entries of later commands: they are logged for an earlier one from now on.
    pub(super) fn reclaim(&mut self, step: u64, node: NodeId, modes: ModeSet) -> ModeSet {
        let mut reclaimed = ModeSet::NONE;
        for taken in self.log.iter_mut().rev().take_while(|taken| taken.step > step) {
            if taken.node == node && taken.modes != ModeSet::A && taken.modes.intersects(modes) {
                reclaimed |= taken.modes - (taken.modes - modes);
                taken.modes = taken.modes - modes;
            }
        }
        reclaimed
    }
}

/// All owners of a table.
#[derive(Clone, Default)]
pub(super) struct Owners {
    slab: Vec<OwnerState>,
    free: Vec<OwnerId>,
    by_txn: AHashMap<TxnId, OwnerId>,
}

impl Index<OwnerId> for Owners {
    type Output = OwnerState;
    #[inline]
    fn index(&self, owner: OwnerId) -> &OwnerState {
        &self.slab[owner as usize]
    }
}

impl IndexMut<OwnerId> for Owners {
    #[inline]
    fn index_mut(&mut self, owner: OwnerId) -> &mut OwnerState {
        &mut self.slab[owner as usize]
    }
}

/// Log entries whose memory a reused owner may keep.
const KEEP_LOG: usize = 256;

impl Owners {
    pub(super) fn find(&self, txn: TxnId) -> Option<OwnerId> {
        self.by_txn.get(&txn).copied()
    }

    pub(super) fn find_or_insert(&mut self, owner: &Owner) -> OwnerId {
        if let Some(id) = self.find(owner.txn) {
            return id;
        }
        let id = match self.free.pop() {
            Some(id) => {
                let state = &mut self[id];
                state.owner = *owner;
                state.live = true;
                id
            }
            None => {
                self.slab.push(OwnerState {
                    owner: *owner,
                    first_hold: NONE,
                    log: Vec::new(),
                    adds: SmallVec::new(),
                    tickets: SmallVec::new(),
                    sealed: false,
                    doomed: false,
                    live: true,
                });
                (self.slab.len() - 1) as OwnerId
            }
        };
        self.by_txn.insert(owner.txn, id);
        id
    }

    /// Forgets an owner that holds nothing and waits for nothing.
    pub(super) fn remove(&mut self, id: OwnerId) {
        let state = &mut self.slab[id as usize];
        assert!(
            state.first_hold == NONE && state.tickets.is_empty(),
            "an owner goes after its locks and waits"
        );
        state.log.clear();
        state.log.shrink_to(KEEP_LOG);
        state.adds.clear();
        (state.sealed, state.doomed, state.live) = (false, false, false);
        self.by_txn.remove(&state.owner.txn);
        self.free.push(id);
    }

    /// All owners, by position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (OwnerId, &OwnerState)> {
        self.slab
            .iter()
            .enumerate()
            .filter(|(_, state)| state.live)
            .map(|(at, state)| (at as OwnerId, state))
    }

    pub(super) fn len(&self) -> usize {
        self.by_txn.len()
    }

    /// Bytes of memory in use besides the logs, which the table counts.
    pub(super) fn size(&self) -> usize {
        self.len() * (size_of::<OwnerState>() + size_of::<(TxnId, OwnerId)>() + 2)
    }
}
