//! Outbox: what a shard proposes next, and what it has proposed.
//!
//! ```text
//!   Finish ─┐                  goes with the next command; if none comes, when what is in flight is applied; at once if
//!   Forget ─┴─► waiting        nothing is
//!   OnePhase, Prepare, … ─► [waiting + this] ─► command n ─► in flight ─► applied
//! ```
//!
//! Nobody outside waits for a Finish, but everybody pays for an entry of the log: under load they cost none of their own.
//! What waits has its place in the order already (`next_sequence`), so it counts as proposed.

use std::collections::VecDeque;
use std::sync::Arc;

use consensus::OnQueued;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::{Awaited, Core, Shard};
use crate::TxnError;
use crate::command::{Body, Command, Epoch, TransactionId};
use crate::commit::Reply;
use crate::locks::TxnId;

/// What a shard proposes next, and what it has proposed.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Newest proposal of the epoch.
    sequence: u64,
    waiting: Vec<Item>,
    /// Who has seen the effects of what waits.
    waiters: Vec<oneshot::Sender<bool>>,
    in_flight: VecDeque<InFlight>,
    /// Commands up to this one lie in the queue of the log writer.
    queued: u64,
    /// Who waits for a command to be queued.
    queue_waiters: Vec<(u64, oneshot::Sender<bool>)>,
}

/// A body, and the transaction whose writes can be read from the family once it is applied.
struct Item {
    body: Body,
    completes: Option<TransactionId>,
}

/// A command on its way through the log.
#[derive(Default)]
struct InFlight {
    sequence: u64,
    done: Done,
}

/// What is to be done when a command is applied, or lost.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) completed: Vec<TransactionId>,
    /// Who has seen its effects; told whether they are there to stay.
    pub(crate) waiters: Vec<oneshot::Sender<bool>>,
}

impl Outbox {
    /// The sequence that what is proposed or queued now will have.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// Sequence of the newest command that waits or is in flight.
    pub(super) fn newest(&self) -> Option<u64> {
        if self.waiting.is_empty() {
            self.in_flight.back().map(|command| command.sequence)
        } else {
            Some(self.next_sequence())
        }
    }

    /// Commands up to this one are applied.
    pub(super) fn applied(&mut self, sequence: u64) -> Done {
        let mut done = Done::default();
        while self
            .in_flight
            .front()
            .is_some_and(|command| command.sequence <= sequence)
        {
            let command = self.in_flight.pop_front().expect("front was there");
            done.completed.extend(command.done.completed);
            done.waiters.extend(command.done.waiters);
        }
        done
    }

    /// Nothing in flight will be applied; what waits goes with the next epoch.
    pub(super) fn begin_epoch(&mut self) -> Done {
        self.sequence = 0;
        self.queued = 0;
        for (_, waiter) in self.queue_waiters.drain(..) {
            // The waiter may have given up.
            let _ = waiter.send(false);
        }
        self.applied(u64::MAX)
    }

    /// Commands up to this one are queued: tells who waits for that.
    fn on_queued(&mut self, sequence: u64) {
        self.queued = self.queued.max(sequence);
        let queued = self.queued;
        for (_, waiter) in self.queue_waiters.extract_if(.., |(wanted, _)| *wanted <= queued) {
            let _ = waiter.send(true);
        }
    }

    /// Waits for a command to be queued; `None` if it is.
    pub(super) fn wait_queued(&mut self, sequence: u64) -> Option<oneshot::Receiver<bool>> {
        if sequence <= self.queued {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.queue_waiters.push((sequence, sender));
        Some(receiver)
    }

    /// Those who wait for a command; `None` if it is applied.
    pub(super) fn waiters(&mut self, sequence: u64) -> Option<&mut Vec<oneshot::Sender<bool>>> {
        if sequence == self.next_sequence() && !self.waiting.is_empty() {
            return Some(&mut self.waiters);
        }
        // Sequences have no gaps.
        let first = self.in_flight.front()?.sequence;
        let place = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.in_flight.get_mut(place).map(|command| &mut command.done.waiters)
    }
}

impl Shard {
    /// Proposes a body, behind what waits. `completes` names the transaction whose writes it makes readable.
    pub(crate) fn propose(
        self: &Arc<Self>,
        core: &mut Core,
        body: Body,
        completes: Option<TransactionId>,
    ) -> Result<(u64, Awaited), TxnError> {
        core.check_epoch(None)?;
        let is_promised = body.is_promised();
        core.outbox.waiting.push(Item { body, completes });
        let proposed = self.send(core, is_promised);
        if proposed.is_err() {
            // What waited before waits on; this one is refused.
            core.outbox.waiting.pop();
        }
        proposed
    }

    /// Queues a body that nobody waits for.
    pub(crate) fn propose_later(
        self: &Arc<Self>,
        core: &mut Core,
        body: Body,
        completes: Option<TransactionId>,
    ) -> Result<u64, TxnError> {
        core.check_epoch(None)?;
        let sequence = core.outbox.next_sequence();
        core.outbox.waiting.push(Item { body, completes });
        if core.outbox.in_flight.is_empty() {
            self.flush(core)?;
        }
        Ok(sequence)
    }

    /// Proposes what waits.
    pub(crate) fn flush(self: &Arc<Self>, core: &mut Core) -> Result<(), TxnError> {
        if core.outbox.waiting.is_empty() {
            return Ok(());
        }
        let (_, awaited) = self.send(core, true)?;
        // Its application is told by the machine; its loss by the end of leadership.
        drop(awaited);
        Ok(())
    }

    /// What is done when a command is in the log writer's queue: whatever is queued after it, on any shard of this node, is
    /// durable only if it is. So a vote need not wait for the disk, because the decision that counts on it comes later; and a
    /// commit may be decided while what it has seen of others is on its way. Only for a group without other voters.
    fn on_queued(self: &Arc<Self>, epoch: Epoch, sequence: u64, votes: SmallVec<[TxnId; 1]>) -> OnQueued {
        let shard = Arc::downgrade(self);
        Arc::new(move || {
            let Some(shard) = shard.upgrade() else { return };
            {
                let mut core = shard.core();
                if core.epoch != epoch {
                    return;
                }
                core.outbox.on_queued(sequence);
            }
            for vote in &votes {
                shard.live.reply(*vote, Reply::Voted(shard.id, true));
            }
        })
    }

    fn send(self: &Arc<Self>, core: &mut Core, is_promised: bool) -> Result<(u64, Awaited), TxnError> {
        let outbox = &mut core.outbox;
        let sequence = outbox.next_sequence();
        let bodies = outbox.waiting.iter().map(|item| &item.body);
        let command = Command::encode(core.epoch, sequence, bodies)?;
        let on_queued = self.group.is_alone().then(|| {
            // Where another node decides, the vote has to be durable before.
            let is_decided_here = |anchor| self.live.shard(anchor).is_some_and(|anchor| anchor.group.is_alone());
            let votes = outbox.waiting.iter().filter_map(|item| item.body.vote());
            let votes = votes
                .filter(|(_, anchor)| is_decided_here(*anchor))
                .map(|(txn, _)| txn)
                .collect();
            self.on_queued(core.epoch, sequence, votes)
        });
        // Under the mutex, so that the log has the order of the sequence.
        let proposal = self
            .group
            .try_propose_in(core.epoch.term, command, is_promised, on_queued)?;
        outbox.sequence = sequence;
        let completed = outbox.waiting.drain(..).filter_map(|item| item.completes).collect();
        let done = Done {
            completed,
            waiters: std::mem::take(&mut outbox.waiters),
        };
        outbox.in_flight.push_back(InFlight { sequence, done });
        Ok((
            sequence,
            Awaited {
                shard: self.clone(),
                epoch: core.epoch,
                proposal,
            },
        ))
    }
}
