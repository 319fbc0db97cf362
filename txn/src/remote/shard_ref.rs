//! ShardRef: a shard's leader, to be asked without knowing where it is.
//!
//! Where this node leads, a call is a call: nothing is allocated, no other task is woken. What goes to another node is boxed,
//! so that it makes the future of a local call neither larger nor its type deeper.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use storage::Row;
use storage::mvcc::Wanted;

use super::RemoteShard;
use crate::command::{Epoch, Timestamp, TransactionId, Write};
use crate::commit::Message;
use crate::node::NodeInner;
use crate::placement::ShardId;
use crate::shard::Shard;
use crate::shard::asker::Asker;
use crate::shard::read::{Newest, Question};
use crate::shard::steps::Payload;
use crate::{IndexId, Key, TableId, TxnError};

/// A shard's leader.
#[derive(Clone)]
pub(crate) enum ShardRef {
    /// This node leads.
    Local(Arc<Shard>),
    /// Another node leads, or nobody at the moment.
    Remote(RemoteShard),
}

impl NodeInner {
    /// A shard's leader, wherever it is.
    pub(crate) fn leader(self: &Arc<Self>, id: ShardId) -> ShardRef {
        match self.local_leader(id) {
            Some(shard) => ShardRef::Local(shard),
            None => ShardRef::Remote(RemoteShard { node: self.clone(), id }),
        }
    }
}

impl ShardRef {
    /// Whether this node leads.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, ShardRef::Local(_))
    }

    /// Gives back the locks a transaction took after a step. `order` is the newest number it has used.
    pub(crate) async fn roll_back_locks(&self, id: TransactionId, order: u64, step: u64) {
        match self {
            ShardRef::Local(shard) => shard.roll_back_locks(id, step),
            ShardRef::Remote(shard) => shard.roll_back_locks(id, order, step).boxed().await,
        }
    }

    /// Gives back all locks of a transaction that wrote nothing there, or was rolled back.
    pub(crate) fn release(&self, id: TransactionId) {
        match self {
            ShardRef::Local(shard) => shard.release(id),
            ShardRef::Remote(shard) => shard.release(id),
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
            ShardRef::Remote(shard) => shard.read_row(asker, row, at, wanted).boxed().await,
        }
    }

    /// The newest state of a row; see [`Shard::newest`].
    pub(crate) async fn newest(&self, asker: Asker<'_>, question: Question<'_>) -> Result<Newest, TxnError> {
        match self {
            ShardRef::Local(shard) => shard.newest(question),
            ShardRef::Remote(shard) => shard.newest(asker, question).boxed().await,
        }
    }

    /// Rows of an index value; see [`Shard::newest_entries`].
    pub(crate) async fn newest_entries(
        &self,
        asker: Asker<'_>,
        held: Option<Epoch>,
        index: (TableId, IndexId),
        value: &Key,
    ) -> Result<(Vec<Key>, (Epoch, u64)), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.newest_entries(held, index, value),
            ShardRef::Remote(shard) => shard.newest_entries(asker, held, index, value).boxed().await,
        }
    }

    /// Waits until a proposal of an epoch is applied.
    pub(crate) async fn wait_applied(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.wait_applied(epoch, sequence).await,
            ShardRef::Remote(shard) => shard.wait_applied(epoch, sequence).boxed().await,
        }
    }

    /// See [`Shard::wait_queued`]: what this node logs next says nothing about another node's disk.
    pub(crate) async fn wait_queued(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.wait_queued(epoch, sequence).await,
            ShardRef::Remote(shard) => shard.wait_applied(epoch, sequence).boxed().await,
        }
    }

    /// Whether a transaction's locks of an epoch have stood.
    pub(crate) async fn confirm(&self, id: TransactionId, epoch: Epoch) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.check_epoch(epoch),
            ShardRef::Remote(shard) => shard.confirm(id, epoch).boxed().await,
        }
    }

    /// Takes a message of a coordinator; see [`Shard::deliver`]. Another node's refusal is heard as the answers are.
    pub(crate) fn deliver(&self, message: Message, payload: Payload) -> Result<(), TxnError> {
        match self {
            ShardRef::Local(shard) => shard.deliver(message, payload),
            ShardRef::Remote(shard) => {
                shard.deliver(message, payload);
                Ok(())
            }
        }
    }

    /// Tells readers the timestamp a prepared transaction will have if it commits. Readers on other nodes wait for the
    /// decision, which is as near as this would be.
    pub(crate) fn date(&self, id: TransactionId, timestamp: Timestamp) {
        match self {
            ShardRef::Local(shard) => shard.date(id, timestamp),
            ShardRef::Remote(_) => {}
        }
    }

    /// Stages part of a transaction's writes; the future ends when they are applied.
    pub(crate) fn stage(
        &self,
        part: (TransactionId, u64, u32),
        epoch: Option<Epoch>,
        versions: Vec<Write>,
    ) -> Result<BoxFuture<'static, Result<(), TxnError>>, TxnError> {
        match self {
            ShardRef::Local(shard) => Ok(shard.stage(part, epoch, versions)?.applied().boxed()),
            ShardRef::Remote(shard) => {
                let shard = shard.clone();
                let staged = tokio::spawn(async move { shard.stage(part, epoch, versions).await });
                Ok(async move { staged.await.unwrap_or(Err(TxnError::Unavailable)) }.boxed())
            }
        }
    }

    /// What a transaction staged there is not going to be committed.
    pub(crate) fn unstage(&self, id: TransactionId) {
        match self {
            ShardRef::Local(shard) => shard.unstage(id),
            ShardRef::Remote(shard) => shard.unstage(id),
        }
    }

    /// How many wait for locks there, as far as is known here.
    pub(crate) fn waiter_count(&self) -> usize {
        match self {
            ShardRef::Local(shard) => shard.waiter_count(),
            ShardRef::Remote(_) => 0,
        }
    }
}
