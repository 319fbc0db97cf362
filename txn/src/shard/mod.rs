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
//!  T4  Proposals of an epoch are numbered without gaps; one-phase commits are in the order of their timestamps; locks pass
//!      on when the commit is proposed; what depends on a proposal waits until it is applied.

pub(crate) mod asker;
pub(crate) mod commit;
pub(crate) mod garbage;
pub(crate) mod lock;
pub(crate) mod outbox;
pub(crate) mod pending;
pub(crate) mod read;
pub(crate) mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::HashMap;
use consensus::{Group, Proposal};
use parking_lot::{Mutex, RwLock};
use storage::mvcc::Clears;
use tokio::sync::oneshot;

use crate::TxnError;
use crate::command::{Epoch, Outcome};
use crate::commit::{Anchor, Participant};
use crate::live::Live;
use crate::locks::LockConfig;
use crate::oracle::{Oracle, clock_ms};
use crate::placement::ShardId;
use outbox::Outbox;
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
    /// Attempts to commit that began before are refused.
    pub(crate) horizon_ms: AtomicU64,
    /// Versions of tables whose definition was changed (DESIGN C8).
    pub(crate) table_versions: RwLock<HashMap<u32, u64>>,
    pub(crate) garbage: garbage::Garbage,
    pub(crate) long_chains: garbage::LongChains,
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            clears: Clears::default(),
            safe_point: AtomicU64::new(0),
            horizon_ms: AtomicU64::new(0),
            table_versions: RwLock::default(),
            garbage: garbage::Garbage::needing_scan(),
            long_chains: Default::default(),
        }
    }
}

/// What the mutex guards.
pub(crate) struct Core {
    pub(crate) locks: lock::Locks,
    pub(crate) pending: Pending,
    pub(crate) epoch: Epoch,
    pub(crate) outbox: Outbox,
    /// Transactions that other shards decide, and those that this one decides.
    pub(crate) participant: Participant,
    pub(crate) anchor: Anchor,
    /// When the newest transaction that left a record here began to commit.
    newest_step_ms: u64,
}

/// A command on its way: resolves when it is applied here.
pub(crate) struct Awaited {
    shard: Arc<Shard>,
    epoch: Epoch,
    proposal: Proposal,
}

impl Awaited {
    /// Waits until the command is applied.
    ///
    /// # Errors
    /// [`TxnError::Serialization`] if it was refused because of a lost proposal before it, [`TxnError::OutcomeUnknown`] if
    /// leadership was lost meanwhile.
    pub(crate) async fn applied(self) -> Result<(), TxnError> {
        match self.proposal.await {
            Ok(applied) if *applied.reply == *crate::machine::APPLIED => Ok(()),
            Ok(_) => {
                self.shard.on_rejected(self.epoch, &TxnError::locks_lost());
                Err(TxnError::locks_lost())
            }
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
        (locks, epoch): (LockConfig, Epoch),
        (participant, anchor): (Participant, Anchor),
    ) -> Shard {
        let core = Core {
            locks: lock::Locks::new(locks, epoch),
            pending: Pending::default(),
            epoch,
            outbox: Outbox::default(),
            participant,
            anchor,
            // Whatever was left by earlier leaders, it began before now.
            newest_step_ms: clock_ms(),
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

    /// A command of this shard was applied, or refused because a proposal before it was lost (`None`). Called by the state
    /// machine, in log order.
    pub(crate) fn on_applied(self: &Arc<Self>, epoch: Epoch, sequence: u64, outcomes: Option<Vec<Outcome>>) {
        let Some(outcomes) = outcomes else {
            return self.on_rejected(epoch, &TxnError::locks_lost());
        };
        let mut core = self.core.lock();
        if core.epoch != epoch {
            return;
        }
        let done = core.outbox.applied(sequence);
        let mut effects = steps::Effects::default();
        for transaction in &done.completed {
            let is_staged = core.pending.is_staged(*transaction);
            core.pending.remove(*transaction);
            if is_staged {
                // Others had to wait until what was staged can be read (`pending` P3).
                effects.release(self, &mut core, *transaction);
            }
        }
        for outcome in outcomes {
            self.on_outcome(&mut core, outcome, &mut effects);
        }
        if let Err(error) = self.flush(&mut core) {
            drop(core);
            self.on_rejected(epoch, &error);
        } else {
            drop(core);
        }
        effects.carry_out(self);
        for waiter in done.waiters {
            // The waiter may have given up.
            let _ = waiter.send(true);
        }
    }

    /// A proposal of this epoch was rejected: nothing proposed after it can be applied, and all unprepared locks fall with
    /// the epoch (DESIGN T4, L9).
    pub(crate) fn on_rejected(self: &Arc<Self>, epoch: Epoch, error: &TxnError) {
        let mut core = self.core.lock();
        if core.epoch != epoch {
            return;
        }
        core.epoch.generation += 1;
        let epoch = core.epoch;
        let wakeups = self.begin_lock_epoch(&mut core, epoch);
        let lost = core.outbox.begin_epoch();
        for transaction in &lost.completed {
            core.pending.remove(*transaction);
        }
        drop(core);
        wakeups.wake(&self.live);
        if lost.completed.is_empty() && *error == TxnError::Unavailable {
            // Leadership ended with nothing on its way: a shutdown, or another leader.
            tracing::debug!(shard = self.id, "the epoch ends");
        } else {
            tracing::warn!(shard = self.id, %error, lost = lost.completed.len(), "a proposal was rejected: a new epoch begins");
        }
        for waiter in lost.waiters {
            let _ = waiter.send(false);
        }
    }

    /// This node does not lead in a term any more.
    pub(crate) fn on_term_over(self: &Arc<Self>, term: u64) {
        let epoch = self.core.lock().epoch;
        if epoch.term == term {
            self.on_rejected(epoch, &TxnError::Unavailable);
        }
    }

    /// Waits until a proposal of an epoch is applied.
    pub(crate) async fn wait_applied(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        let lost = || TxnError::serialization("a commit this transaction has seen was lost with its leader");
        let receiver = {
            let mut core = self.core.lock();
            if core.epoch != epoch {
                return Err(lost());
            }
            let Some(waiters) = core.outbox.waiters(sequence) else {
                return Ok(());
            };
            let (sender, receiver) = oneshot::channel();
            waiters.push(sender);
            receiver
        };
        match receiver.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(lost()),
        }
    }

    /// Waits until a proposal of an epoch cannot be lost unless everything that is logged on this node from now on is lost
    /// with it (see `outbox`); with other voters, until it is applied.
    pub(crate) async fn wait_queued(self: &Arc<Self>, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        if !self.group.is_alone() {
            return self.wait_applied(epoch, sequence).await;
        }
        let lost = || TxnError::serialization("a commit this transaction has seen was lost with its leader");
        let receiver = {
            let mut core = self.core();
            if core.epoch != epoch {
                return Err(lost());
            }
            // What waits for company is sent now.
            if sequence == core.outbox.next_sequence() {
                self.flush(&mut core)?;
            }
            core.outbox.wait_queued(sequence)
        };
        match receiver {
            None => Ok(()),
            Some(receiver) => match receiver.await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err(lost()),
            },
        }
    }

    /// How many wait for locks of this shard.
    pub(crate) fn waiter_count(&self) -> usize {
        self.core.lock().locks.waiter_count()
    }

    /// Waits until nothing is on its way through the log.
    pub(crate) async fn settle(&self) {
        loop {
            let (epoch, sequence) = {
                let core = self.core.lock();
                let Some(sequence) = core.outbox.newest() else { return };
                (core.epoch, sequence)
            };
            if self.wait_applied(epoch, sequence).await.is_err() {
                return;
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
