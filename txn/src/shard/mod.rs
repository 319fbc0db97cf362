//! Shard: the leader's side of one Raft group: its locks, what is on its way, and what is proposed next.
//!
//! ```text
//!   lock ──► LockTable ──granted──► read_newest = family + unapplied commits
//!                │                         │
//!                │ release at propose      ▼
//!                └────────────── commit: mark ─ draw timestamp ─ propose ──► log ──► apply ──► on_applied
//! ```
//!
//! One mutex guards lock table, marks and proposals. It is held for microseconds and never over an await: a point read
//! takes it once to see that nothing it must wait for is on its way, and then reads RocksDB without it.
//!
//! Invariants
//!  T2  A transaction is marked (in [`pending`]) before its commit timestamp is drawn.
//!  T3  A snapshot read at t begins when every overlapping marked transaction is applied or known to be above t.
//!  T4  Proposals of an epoch are numbered without gaps, in the order of their timestamps for one-phase commits and
//!      decisions; locks pass on when the commit is proposed; what depends on a proposal waits until it is applied.

pub(crate) mod commit;
pub(crate) mod garbage;
pub(crate) mod lock;
pub(crate) mod pending;
pub(crate) mod read;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use consensus::{Group, Proposal, Role};
use parking_lot::Mutex;
use storage::mvcc::Clears;
use tokio::sync::oneshot;

use crate::command::{Body, Command, Epoch, Outcome, TransactionId, decode};
use crate::live::Live;
use crate::oracle::Oracle;
use crate::placement::ShardId;
use crate::state::{ShardUse, State};
use crate::{DeadlockPolicy, TxnError};
use pending::Pending;

/// The leader of one Raft group.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) group: Arc<Group>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) live: Arc<Live>,
    core: Mutex<Core>,
}

/// What apply and readers tell each other, beside the family.
pub(crate) struct Facts {
    pub(crate) clears: Clears,
    /// Reads below get [`TxnError::SnapshotTooOld`].
    pub(crate) safe_point: AtomicU64,
    pub(crate) garbage: garbage::Garbage,
    pub(crate) long_chains: garbage::LongChains,
}

impl Default for Facts {
    fn default() -> Self {
        let garbage = garbage::Garbage::needing_scan();
        Facts {
            clears: Clears::default(),
            safe_point: AtomicU64::new(0),
            garbage,
            long_chains: Default::default(),
        }
    }
}

/// What the mutex guards.
pub(crate) struct Core {
    pub(crate) locks: lock::Locks,
    pub(crate) pending: Pending,
    pub(crate) epoch: Epoch,
    /// Newest proposal of the epoch.
    sequence: u64,
    /// Newest applied command of the epoch.
    applied: u64,
    proposals: VecDeque<InFlight>,
    /// Transactions anchored here that all participants have finished.
    finished: Vec<TransactionId>,
}

/// A command on its way through the log.
struct InFlight {
    sequence: u64,
    /// Transaction whose writes can be read from the family once this is applied.
    completes: Option<TransactionId>,
    /// Who has seen its effects; told whether they are there to stay.
    waiters: Vec<oneshot::Sender<bool>>,
}

/// A command on its way: resolves when it is applied here.
pub(crate) struct Awaited {
    shard: Arc<Shard>,
    epoch: Epoch,
    proposal: Proposal,
}

impl Awaited {
    /// What apply made of the command.
    pub(crate) async fn outcome(self) -> Result<Outcome, TxnError> {
        match self.proposal.await {
            Ok(applied) => decode(&applied.reply),
            Err(error) => {
                let error = TxnError::from(error);
                self.shard.on_rejected(self.epoch, &error);
                Err(error)
            }
        }
    }
}

impl Shard {
    pub(crate) fn new(
        id: ShardId,
        group: Arc<Group>,
        oracle: Arc<Oracle>,
        facts: Arc<Facts>,
        live: Arc<Live>,
        (policy, epoch): (DeadlockPolicy, Epoch),
    ) -> Shard {
        let core = Core {
            locks: lock::Locks::new(policy, epoch),
            pending: Pending::default(),
            epoch,
            sequence: 0,
            applied: 0,
            proposals: VecDeque::new(),
            finished: Vec::new(),
        };
        Shard {
            id,
            group,
            oracle,
            facts,
            live,
            core: Mutex::new(core),
        }
    }

    /// The guarded part. Never held over an await.
    pub(crate) fn core(&self) -> parking_lot::MutexGuard<'_, Core> {
        self.core.lock()
    }

    /// Proposes a command as the next of the epoch. `completes` names the transaction whose writes it makes readable.
    pub(crate) fn propose(
        self: &Arc<Self>,
        core: &mut Core,
        body: Body,
        completes: Option<TransactionId>,
    ) -> Result<(u64, Awaited), TxnError> {
        let sequence = core.sequence + 1;
        let is_promised = body.is_promised();
        let command = Command {
            epoch: core.epoch,
            sequence,
            body,
        }
        .encode()?;
        // Under the mutex, so that the log has the order of the sequence.
        let proposal = self.group.try_propose_in(core.epoch.term, command, is_promised)?;
        core.sequence = sequence;
        core.proposals.push_back(InFlight {
            sequence,
            completes,
            waiters: Vec::new(),
        });
        Ok((
            sequence,
            Awaited {
                shard: self.clone(),
                epoch: core.epoch,
                proposal,
            },
        ))
    }

    /// A command of this shard was applied. Called by the state machine, in log order.
    pub(crate) fn on_applied(&self, epoch: Epoch, sequence: u64) {
        let mut done = Vec::new();
        {
            let mut core = self.core.lock();
            if core.epoch != epoch {
                return;
            }
            core.applied = core.applied.max(sequence);
            while core
                .proposals
                .front()
                .is_some_and(|proposal| proposal.sequence <= sequence)
            {
                let proposal = core.proposals.pop_front().expect("front was there");
                if let Some(transaction) = proposal.completes {
                    core.pending.remove(transaction);
                }
                done.push(proposal);
            }
        }
        for waiter in done.into_iter().flat_map(|proposal| proposal.waiters) {
            // The waiter may have given up.
            let _ = waiter.send(true);
        }
    }

    /// A proposal of this epoch was rejected: nothing proposed after it can be applied, and all unprepared locks fall with
    /// the epoch (DESIGN T4, L9).
    pub(crate) fn on_rejected(&self, epoch: Epoch, error: &TxnError) {
        let mut lost = Vec::new();
        let wakeups;
        {
            let mut core = self.core.lock();
            if core.epoch != epoch {
                return;
            }
            core.epoch.generation += 1;
            let epoch = core.epoch;
            wakeups = self.begin_lock_epoch(&mut core, epoch);
            (core.sequence, core.applied) = (0, 0);
            for proposal in std::mem::take(&mut core.proposals) {
                if let Some(transaction) = proposal.completes {
                    core.pending.remove(transaction);
                }
                lost.push(proposal);
            }
        }
        wakeups.wake(&self.live);
        tracing::warn!(shard = self.id, %error, lost = lost.len(), "a proposal was rejected: a new epoch begins");
        for waiter in lost.into_iter().flat_map(|proposal| proposal.waiters) {
            let _ = waiter.send(false);
        }
    }

    /// This node does not lead in a term any more.
    pub(crate) fn on_term_over(&self, term: u64) {
        let epoch = self.core.lock().epoch;
        if epoch.term == term {
            self.on_rejected(epoch, &TxnError::Unavailable);
        }
    }

    /// Waits until a proposal of an epoch is applied.
    pub(crate) async fn wait_applied(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        let receiver = {
            let mut core = self.core.lock();
            if core.epoch != epoch {
                return Err(TxnError::serialization(
                    "a commit this transaction has seen was lost with its leader",
                ));
            }
            if core.applied >= sequence {
                return Ok(());
            }
            let Some(proposal) = core.proposals.iter_mut().find(|proposal| proposal.sequence == sequence) else {
                return Ok(());
            };
            let (sender, receiver) = oneshot::channel();
            proposal.waiters.push(sender);
            receiver
        };
        match receiver.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TxnError::serialization(
                "a commit this transaction has seen was lost with its leader",
            )),
        }
    }

    /// Whether this node still leads in a term.
    pub(crate) fn leads_in(&self, term: u64) -> bool {
        let now = self.group.current_leadership();
        now.term == term && now.role == Role::Serving
    }

    /// Notes that a transaction has seen the effects of a proposal.
    pub(crate) fn note_dependency(&self, state: &mut State, sequence: u64) {
        match state.shard_use(self.id) {
            Some(used) => used.dependency = used.dependency.max(sequence),
            None => {
                let epoch = self.core.lock().epoch;
                state.shards.push(ShardUse {
                    shard: self.id,
                    epoch,
                    dependency: sequence,
                });
            }
        }
    }

    /// Reads below this timestamp are refused.
    pub(crate) fn safe_point(&self) -> u64 {
        self.facts.safe_point.load(Ordering::Acquire)
    }

    /// Whether the locks of an epoch still stand (DESIGN L9).
    pub(crate) fn check_epoch(&self, epoch: Epoch) -> Result<(), TxnError> {
        if self.core.lock().epoch == epoch {
            Ok(())
        } else {
            Err(TxnError::locks_lost())
        }
    }
}
