//! ShardRef: a shard's leader, to be asked without knowing where it is.
//!
//! Where this node leads, a call is a call: nothing is allocated, no other task is woken.

use std::sync::Arc;

use storage::Row;
use storage::mvcc::Wanted;

use crate::command::{Epoch, Timestamp, TransactionId};
use crate::commit::Message;
use crate::node::NodeInner;
use crate::placement::ShardId;
use crate::shard::Shard;
use crate::shard::asker::Asker;
use crate::shard::lock::Batch;
use crate::shard::read::{Newest, Question};
use crate::shard::steps::Payload;
use crate::{IndexId, Key, TableId, TxnError};

/// A shard's leader.
#[derive(Clone)]
pub(crate) enum ShardRef {
    /// This node leads.
    Local(Arc<Shard>),
}

impl NodeInner {
    /// A shard's leader, wherever it is.
    pub(crate) fn leader(&self, id: ShardId) -> Result<ShardRef, TxnError> {
        Ok(ShardRef::Local(self.shard(id)?.clone()))
    }
}

impl ShardRef {
    /// See [`Shard::lock`].
    pub(crate) async fn lock(&self, asker: Asker<'_>, epoch: Epoch, batch: Batch<'_>) -> (Result<bool, TxnError>, u64) {
        match self {
            ShardRef::Local(shard) => shard.lock(asker, epoch, batch).await,
        }
    }

    /// The epoch in which locks would be granted now.
    pub(crate) fn epoch(&self) -> Epoch {
        match self {
            ShardRef::Local(shard) => shard.core().epoch,
        }
    }

    /// Gives back the locks a transaction took after a step.
    pub(crate) async fn roll_back_locks(&self, id: TransactionId, step: u64) {
        match self {
            ShardRef::Local(shard) => shard.roll_back_locks(id, step),
        }
    }

    /// Gives back all locks of a transaction that wrote nothing there, or was rolled back.
    pub(crate) fn release(&self, id: TransactionId) {
        match self {
            ShardRef::Local(shard) => shard.release(id),
        }
    }

    /// Reads a row at a snapshot; see [`Shard::read_row`].
    pub(crate) async fn read_row(
        &self,
        asker: Asker<'_>,
        row: (TableId, Option<u64>, &Key),
        at: Timestamp,
        wanted: Wanted<'_>,
    ) -> Result<Option<Row>, TxnError> {
        match self {
            ShardRef::Local(shard) => shard.read_row(asker, row, at, wanted).await,
        }
    }

    /// The newest state of a row; see [`Shard::newest`].
    pub(crate) async fn newest(&self, question: Question<'_>) -> Result<Newest, TxnError> {
        match self {
            ShardRef::Local(shard) => shard.newest(question),
        }
    }

    /// Rows of an index value; see [`Shard::newest_entries`].
    pub(crate) async fn newest_entries(
        &self,
        held: Option<Epoch>,
        index: (TableId, IndexId),
        value: &Key,
    ) -> Result<(Vec<Key>, (Epoch, u64)), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.newest_entries(held, index, value),
        }
    }

    /// Waits until a proposal of an epoch is applied.
    pub(crate) async fn wait_applied(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.wait_applied(epoch, sequence).await,
        }
    }

    /// See [`Shard::wait_queued`].
    pub(crate) async fn wait_queued(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.wait_queued(epoch, sequence).await,
        }
    }

    /// Takes a message of a coordinator; see [`Shard::deliver`].
    pub(crate) fn deliver(&self, message: Message, payload: Payload) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.deliver(message, payload),
        }
    }

    /// Tells readers the timestamp a prepared transaction will have if it commits.
    pub(crate) fn date(&self, id: TransactionId, timestamp: Timestamp) {
        match self {
            ShardRef::Local(shard) => shard.date(id, timestamp),
        }
    }

    /// What a transaction staged there is not going to be committed.
    pub(crate) fn unstage(&self, id: TransactionId) {
        match self {
            ShardRef::Local(shard) => shard.unstage(id),
        }
    }

    /// How many wait for locks there, if that can be had at once.
    pub(crate) fn waiter_count(&self) -> usize {
        match self {
            ShardRef::Local(shard) => shard.waiter_count(),
        }
    }
}
