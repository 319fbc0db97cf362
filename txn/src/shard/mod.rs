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
//!  C4  A shard leads in one term. Without an open lease of that term nothing is granted or read, and once leadership is
//!      over nothing is done any more: the next leader, here or elsewhere, is another [`Shard`].

pub(crate) mod asker;
pub(crate) mod commit;
pub(crate) mod ended;
pub(crate) mod garbage;
pub(crate) mod lock;
pub(crate) mod outbox;
pub(crate) mod pending;
pub(crate) mod read;
mod restored;
pub(crate) mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::HashMap;
use consensus::{Group, Proposal};
use parking_lot::{Mutex, RwLock};
use storage::mvcc::Clears;
use tokio::sync::oneshot;

use crate::TxnError;
use crate::command::{Decision, Epoch, Outcome};
use crate::commit::{Anchor, Participant, Reply};
use crate::live::Live;
use crate::locks::LockConfig;
use crate::oracle::Oracle;
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
    /// The term it leads in.
    term: u64,
    lock_config: LockConfig,
    /// Newest state of each sequence used in this leadership, proposed or applied (of the meta group).
    pub(crate) sequences: Mutex<HashMap<u32, Vec<u8>>>,
    core: Mutex<Core>,
}

/// How long somebody waits for a quorum to confirm that this node still leads.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// What whoever still comes is told, once leadership is over.
    over: Option<TxnError>,
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
                // Not refused by apply: this node leads no more, or the group has stopped.
                let error = TxnError::from(error);
                self.shard.end(&error);
                Err(error)
            }
        }
    }
}

impl Shard {
    /// The leader of a group in a term whose first entry is applied: whatever earlier leaders left is read from its family.
    pub(crate) fn begin(
        (id, group): (ShardId, Arc<Group>),
        (oracle, facts, live): (Arc<Oracle>, Arc<Facts>, Arc<Live>),
        (lock_config, epoch): (LockConfig, Epoch),
    ) -> Result<Shard, TxnError> {
        let core = restored::core(id, &group.family().newest(), (lock_config, epoch), &live)?;
        Ok(Shard {
            id,
            group,
            oracle,
            facts,
            live,
            term: epoch.term,
            lock_config,
            sequences: Mutex::default(),
            core: Mutex::new(core),
        })
    }

    /// Whether no other node can lead now: what was granted here stands, and what is read here is the newest (C4).
    pub(crate) fn has_lease(&self) -> bool {
        self.group.is_lease_open_in(self.term)
    }

    /// Waits until [`Self::has_lease`]; asks the quorum if it has not answered for long.
    ///
    /// # Errors
    /// [`TxnError::Unavailable`]: another node leads, or a quorum cannot be reached.
    pub(crate) async fn confirm_lease(&self) -> Result<(), TxnError> {
        if self.has_lease() {
            return Ok(());
        }
        let confirmed = tokio::time::timeout(CONFIRM_TIMEOUT, self.group.ensure_linearizable()).await;
        match confirmed {
            Ok(Ok(())) if self.has_lease() => Ok(()),
            Ok(Err(consensus::ConsensusError::Engine(error))) => Err(error.into()),
            Ok(_) | Err(_) => Err(TxnError::Unavailable),
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

    /// A command of this epoch was refused by apply: so is everything proposed after it, and all unprepared locks fall with
    /// the epoch (DESIGN T4, L9). Told in the order of the log, so that the family is what the old epoch has left.
    pub(crate) fn on_rejected(self: &Arc<Self>, epoch: Epoch, error: &TxnError) {
        let next = Epoch {
            generation: epoch.generation + 1,
            ..epoch
        };
        let restored = {
            let core = self.core.lock();
            if core.epoch != epoch {
                return;
            }
            restored::core(self.id, &self.view(), (self.lock_config, next), &self.live)
        };
        match restored {
            Ok(restored) => self.change_epoch(epoch, restored, error),
            Err(error) => {
                tracing::error!(shard = self.id, %error, "the epoch ends, and no other can begin");
                self.end(&error);
            }
        }
    }

    /// Leadership is over, or the group has stopped: nothing is done here any more (C4). What was on its way may be applied
    /// or not; the next leader knows.
    pub(crate) fn end(self: &Arc<Self>, error: &TxnError) {
        let (epoch, mut ended) = {
            let core = self.core.lock();
            if core.over.is_some() {
                return;
            }
            let epoch = Epoch {
                generation: core.epoch.generation + 1,
                ..core.epoch
            };
            (core.epoch, Core::empty(self.id, (self.lock_config, epoch)))
        };
        ended.over = Some(match error {
            TxnError::Io(_) | TxnError::Corrupted(_) => error.clone(),
            _ => TxnError::locks_lost(),
        });
        self.change_epoch(epoch, ended, error);
    }

    /// Throws away what is known in an epoch, and tells whoever waits for any of it.
    fn change_epoch(self: &Arc<Self>, epoch: Epoch, mut next: Core, error: &TxnError) {
        let mut core = self.core.lock();
        if core.epoch != epoch {
            // Somebody else was faster. What the new core counts is taken back.
            next.locks.forget_exclusive_tables(&self.live);
            return;
        }
        let mut replies = Vec::new();
        if next.over.is_none() {
            // What was not applied by now never will be; otherwise the next leader has to find out.
            let votes = core.participant.voting().filter(|txn| !next.pending.contains(txn.0));
            replies.extend(votes.map(|txn| (txn, Reply::Voted(self.id, false))));
            let undecided = core
                .anchor
                .deciding()
                .filter(|txn| next.anchor.decision(*txn).is_none());
            replies.extend(undecided.map(|txn| (txn, Reply::Decided(Decision::Abort))));
        }
        let wakeups = self.begin_lock_epoch(&mut core, next.epoch);
        core.locks.forget_exclusive_tables(&self.live);
        let mut before = std::mem::replace(&mut *core, next);
        drop(core);
        let lost = before.outbox.begin_epoch();
        wakeups.wake(&self.live);
        for (txn, reply) in replies {
            self.live.reply(txn, reply);
        }
        if lost.completed.is_empty() && *error == TxnError::Unavailable {
            // Leadership ended with nothing on its way: a shutdown, or another leader.
            tracing::debug!(shard = self.id, "the epoch ends");
        } else {
            tracing::warn!(shard = self.id, %error, lost = lost.completed.len(), "a proposal was lost: the epoch ends");
        }
        for waiter in lost.waiters {
            let _ = waiter.send(false);
        }
        // Readers that wait for what was pending look again.
        drop(before);
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

    /// Whether the locks of an epoch still stand, and nobody else can have granted others (DESIGN L9, C4).
    pub(crate) fn check_epoch(&self, epoch: Epoch) -> Result<(), TxnError> {
        self.core.lock().check_epoch(Some(epoch))?;
        if self.has_lease() {
            Ok(())
        } else {
            Err(TxnError::locks_lost())
        }
    }
}
