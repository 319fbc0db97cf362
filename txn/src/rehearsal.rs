//! Rehearsal: a statement is run to see which locks it asks for; none is taken, and nothing it wrote stays.
//!
//! ```text
//!   savepoint ─► begin_rehearsal ─► the statement runs: requests are noted as granted ─► end_rehearsal ─► rollback_to
//! ```
//! What a statement locks depends on the data it meets (index values, missing parents, foreign keys), so the answer that
//! cannot be wrong is the one the statement itself gives. Other transactions are not waited for and notice nothing; what
//! they hold or change meanwhile may make the real run ask for something else.

use crate::placement::META;
use crate::transaction::Inner;
use crate::{LockName, LockRequest, Mode, Transaction};

/// A lock that a rehearsed statement asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RehearsedLock {
    /// Shard that would grant it.
    pub shard: u32,
    /// Name.
    pub name: LockName,
    /// Mode.
    pub mode: Mode,
}

/// How a transaction would commit as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitPlan {
    /// Shards with writes, ascending. More than one is a two-phase commit.
    pub written: Vec<u32>,
    /// Shards where it holds locks only; SERIALIZABLE confirms those before it decides.
    pub read: Vec<u32>,
    /// Whether the meta group (shard 0) is among those written: it decides then.
    pub changes_registry: bool,
}

/// Whether a statement is only rehearsed.
pub(crate) fn is_on(inner: &Inner) -> bool {
    inner.state.lock().rehearsal.is_some()
}

impl Transaction {
    /// From now on lock requests are noted, not made.
    pub fn begin_rehearsal(&self) {
        self.inner.state.lock().rehearsal = Some(Vec::new());
    }

    /// Ends what [`begin_rehearsal`](Self::begin_rehearsal) began: the locks asked for since, in that order.
    pub fn end_rehearsal(&self) -> Vec<RehearsedLock> {
        self.inner.state.lock().rehearsal.take().unwrap_or_default()
    }

    /// How the transaction would commit with the writes it has and, beside the locks it holds, those of a rehearsal.
    pub fn commit_plan(&self, rehearsed: &[RehearsedLock]) -> CommitPlan {
        let state = self.inner.state.lock();
        let mut written = state.buffer.shards(&self.inner.node.placement);
        written.sort_unstable();
        written.dedup();
        let held = state.shards.iter().map(|used| used.shard);
        let mut read: Vec<u32> = held.chain(rehearsed.iter().map(|lock| lock.shard)).collect();
        read.retain(|shard| !written.contains(shard));
        read.sort_unstable();
        read.dedup();
        CommitPlan {
            changes_registry: written.contains(&META),
            written,
            read,
        }
    }
}

/// Notes the requests of a shard if this is a rehearsal.
pub(crate) fn note(inner: &Inner, groups: &[(u32, Vec<LockRequest>)]) -> bool {
    let mut state = inner.state.lock();
    let Some(noted) = &mut state.rehearsal else {
        return false;
    };
    for (shard, requests) in groups {
        noted.extend(requests.iter().map(|request| RehearsedLock {
            shard: *shard,
            name: request.name.clone(),
            mode: request.mode,
        }));
    }
    // As after locks were granted: SERIALIZABLE reads anew.
    state.note_grant();
    true
}
