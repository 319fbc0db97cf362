//! What a node tells others without waiting for it, and what it knows of them.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use ahash::HashMap;
use consensus::NodeId;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::message::{Ask, NodeAsk, ShardAsk};
use super::orders::Orders;
use crate::TxnError;
use crate::command::{TransactionId, Writes};
use crate::commit::{Message, Reply};
use crate::locks::TxnId;
use crate::node::{NODE_BITS, NodeInner};
use crate::placement::ShardId;

/// How long a coordinator counts as on its way to decide after it has said so.
const COMING: Duration = Duration::from_secs(4);

/// A node's connections to the others, as its transactions and shards see them.
#[derive(Default)]
pub(crate) struct Remote {
    node: OnceLock<(NodeId, Weak<NodeInner>, Handle)>,
    /// Who led a shard when it was asked last.
    pub(super) hints: RwLock<HashMap<ShardId, NodeId>>,
    /// Who waits to take a shard's answer to a coordinator along.
    slots: Mutex<HashMap<TxnId, Vec<mpsc::UnboundedSender<Reply>>>>,
    pub(super) orders: Arc<Orders>,
    /// Coordinators of other nodes that live and decide.
    coming: Mutex<HashMap<TxnId, Instant>>,
}

/// The node that coordinates a transaction, as far as its number tells.
pub(crate) fn coordinator_of(id: TransactionId) -> NodeId {
    id & ((1 << NODE_BITS) - 1)
}

impl Remote {
    /// From now on others can be told.
    pub(super) fn begin(&self, node: &Arc<NodeInner>) {
        // A node is opened once.
        let _ = self
            .node
            .set((node.groups.node(), Arc::downgrade(node), Handle::current()));
    }

    /// Whether a transaction is coordinated by another node, which must be told instead.
    pub(crate) fn is_elsewhere(&self, id: TransactionId) -> bool {
        self.node
            .get()
            .is_some_and(|(me, ..)| coordinator_of(id) != *me & ((1 << NODE_BITS) - 1))
    }

    /// Does something for which the node is needed, behind whoever asks for it.
    fn later<F>(&self, work: impl FnOnce(Arc<NodeInner>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some((_, node, runtime)) = self.node.get() else {
            return;
        };
        if let Some(node) = node.upgrade() {
            runtime.spawn(work(node));
        }
    }

    /// Hands a shard's answer to a coordinator on another node: with the answer to its message, if that is still waited for.
    pub(crate) fn reply(&self, txn: TxnId, reply: Reply) {
        if let Some(slots) = self.slots.lock().get(&txn)
            && slots.iter().any(|slot| slot.send(reply).is_ok())
        {
            return;
        }
        self.later(|node| async move {
            // It asks again if this is lost.
            let _ = node.ask_node(coordinator_of(txn.0), NodeAsk::Reply(txn, reply)).await;
        });
    }

    /// Takes answers to a coordinator along, while the guard lives.
    pub(super) fn take_along(self: &Arc<Self>, txn: TxnId) -> (TakeAlong, mpsc::UnboundedReceiver<Reply>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.slots.lock().entry(txn).or_default().push(sender);
        let remote = self.clone();
        (TakeAlong { remote, txn }, receiver)
    }

    /// Tells a coordinator on another node that its transaction cannot go on.
    pub(crate) fn doom(&self, id: TransactionId, error: TxnError) {
        self.later(|node| async move {
            // It is told again when it uses its locks.
            let _ = node.ask_node(coordinator_of(id), NodeAsk::Doom(id, error)).await;
        });
    }

    /// Sends a message to a shard that is led elsewhere. If it is lost, time makes the sender repeat it.
    pub(crate) fn send(&self, to: ShardId, message: Message) {
        self.later(|node| async move {
            let ask = ShardAsk::Deliver {
                message,
                writes: Writes::default(),
                epoch: None,
            };
            if let Err(error) = node.ask_shard(to, ask).await {
                tracing::debug!(shard = to, %error, "a message between shards was lost");
            }
        });
    }

    /// Gives back what a transaction may hold on a shard led elsewhere.
    pub(super) fn release(&self, shard: ShardId, transaction: TransactionId) {
        self.later(|node| async move {
            if let Err(error) = node.ask_shard(shard, ShardAsk::Release { transaction }).await {
                // The leader asks whether the transaction lives.
                tracing::debug!(shard, transaction, %error, "locks are given back later");
            }
        });
    }

    /// What was staged on a shard led elsewhere will not be committed.
    pub(super) fn unstage(&self, shard: ShardId, transaction: TransactionId) {
        self.later(|node| async move {
            if let Err(error) = node.ask_shard(shard, ShardAsk::Unstage { transaction }).await {
                tracing::warn!(shard, transaction, %error, "staged writes wait for the horizon");
            }
        });
    }

    /// A coordinator of another node lives and decides.
    pub(super) fn note_coming(&self, txn: TxnId) {
        let mut coming = self.coming.lock();
        coming.retain(|_, at| at.elapsed() < COMING);
        coming.insert(txn, Instant::now());
    }

    /// Whether a coordinator of another node is known to live and decide.
    pub(crate) fn is_coming(&self, txn: TxnId) -> bool {
        self.coming.lock().get(&txn).is_some_and(|at| at.elapsed() < COMING)
    }
}

/// Somebody who takes answers along.
pub(super) struct TakeAlong {
    remote: Arc<Remote>,
    txn: TxnId,
}

impl Drop for TakeAlong {
    fn drop(&mut self) {
        let mut slots = self.remote.slots.lock();
        if let Some(waiting) = slots.get_mut(&self.txn) {
            waiting.retain(|slot| !slot.is_closed());
            if waiting.is_empty() {
                slots.remove(&self.txn);
            }
        }
    }
}

/// What may be done only once, and is asked about if no answer comes.
pub(super) fn is_once(ask: &Ask) -> bool {
    matches!(ask, Ask::Shard(_, ask) if matches!(**ask, ShardAsk::CommitOnePhase { .. }))
}
