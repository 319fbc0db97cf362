//! Client: asks leaders on other nodes.
//!
//! It asks whoever led last, follows what it is told, and tries again until [`PATIENCE`] is over. Everything may be sent
//! again: what may not be done twice is numbered, and a commit in one phase is not repeated but asked about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::{GroupId, NodeId, ServiceId, TransportError};
use storage::Row;
use storage::mvcc::{Chunk, Wanted};

use super::message::{
    Answer, Ask, Envelope, LockAsk, LockWire, LookWire, NewestAsk, NodeAsk, PageAsk, RowAsk, ShardAsk, WaitWire,
    own_to_wire, row_from_wire,
};
use super::tell::is_once;
use crate::command::{Epoch, Timestamp, TransactionId, Write, Writes};
use crate::commit::Message;
use crate::locks::Owner;
use crate::node::NodeInner;
use crate::placement::{META, ShardId};
use crate::shard::asker::Asker;
use crate::shard::lock::Batch;
use crate::shard::read::{Look, Newest, Question};
use crate::shard::steps::Payload;
use crate::{IndexId, Key, LockWait, TableId, TxnError};

/// The service that answers for shards and coordinators.
pub(super) const SERVICE: ServiceId = ServiceId(20);

/// How long a leader is looked for: elections are over by then, or there is no quorum.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a request is sent again, growing from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// How long a node is given to answer what never waits.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);

impl NodeInner {
    /// The other nodes, as far as this one knows: the meta group is on every node.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        let me = self.groups.node();
        let meta = self.groups.group(GroupId(u64::from(META)));
        let mut peers: Vec<NodeId> = meta.map_or_else(Vec::new, |meta| meta.voters().into_iter().collect());
        peers.extend(self.remote.hints.read().values());
        peers.retain(|peer| *peer != me);
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// Whom to ask for a shard's leader, the `tries`th time.
    fn whom(&self, shard: ShardId, tries: usize) -> Option<NodeId> {
        let hint = self.remote.hints.read().get(&shard).copied();
        if let Some(leader) = hint.or_else(|| self.leader_hint(shard)) {
            return Some(leader);
        }
        let peers = self.peers();
        (!peers.is_empty()).then(|| peers[tries % peers.len()])
    }

    /// Asks a shard's leader.
    ///
    /// # Errors
    /// [`TxnError::NoLeader`] when none is found in time; for what is asked only once, [`TxnError::OutcomeUnknown`] when no
    /// answer came.
    pub(crate) async fn ask_shard(self: &Arc<Self>, shard: ShardId, ask: ShardAsk) -> Result<Answer, TxnError> {
        let ask = Ask::Shard(shard, Box::new(ask));
        let began = Instant::now();
        let (mut pause, mut attempt, mut tries) = (PAUSE_MIN, 0, 0);
        while began.elapsed() < PATIENCE {
            let Some(target) = self.whom(shard, tries) else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                tries += 1;
                continue;
            };
            match self.ask_once(target, attempt, &ask).await {
                Ok(Answer::NotLeader(leader)) => {
                    let is_news = leader.is_some_and(|leader| leader != target);
                    self.hint(shard, leader.filter(|_| is_news));
                    // A hint is followed at once, but two nodes may point at each other.
                    if is_news && tries < 2 {
                        tries += 1;
                        continue;
                    }
                }
                Ok(answer) => {
                    self.hint(shard, Some(target));
                    return Ok(answer);
                }
                Err(error) => {
                    tracing::debug!(shard, target, %error, "a leader does not answer");
                    self.hint(shard, None);
                    attempt += 1;
                    if is_once(&ask) {
                        return Err(TxnError::OutcomeUnknown);
                    }
                }
            }
            if self.is_stopping.load(std::sync::atomic::Ordering::Acquire) {
                return Err(TxnError::Unavailable);
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Err(TxnError::NoLeader { shard })
    }

    fn hint(&self, shard: ShardId, leader: Option<NodeId>) {
        if self.remote.hints.read().get(&shard).copied() == leader {
            return;
        }
        let mut hints = self.remote.hints.write();
        match leader {
            Some(leader) => hints.insert(shard, leader),
            None => hints.remove(&shard),
        };
    }

    async fn ask_once(self: &Arc<Self>, target: NodeId, attempt: u32, ask: &Ask) -> Result<Answer, TransportError> {
        if target == self.groups.node() {
            // It leads since this was asked for.
            return Ok(super::server::answer(self, attempt, ask.clone()).await);
        }
        let body = Envelope::encode(attempt, ask).map_err(|error| TransportError::Failed(error.to_string()))?;
        let answer: Bytes = self.groups.transport().ask(target, SERVICE, body).await?;
        Answer::decode(&answer).map_err(|error| TransportError::Failed(error.to_string()))
    }

    /// Asks a node something it answers at once.
    ///
    /// # Errors
    /// [`TxnError::Unavailable`] if it does not.
    pub(crate) async fn ask_node(self: &Arc<Self>, target: NodeId, ask: NodeAsk) -> Result<Answer, TxnError> {
        let ask = Ask::Node(ask);
        match tokio::time::timeout(NODE_TIMEOUT, self.ask_once(target, 0, &ask)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(TxnError::Unavailable),
        }
    }
}

/// A shard that another node leads, or nobody at the moment.
#[derive(Clone)]
pub(crate) struct RemoteShard {
    pub(crate) node: Arc<NodeInner>,
    pub(crate) id: ShardId,
}

/// Entries of an index value, and what they rest on.
pub(crate) type FoundEntries = (Vec<Key>, (Epoch, u64));

impl RemoteShard {
    pub(super) async fn ask(&self, ask: ShardAsk) -> Result<Answer, TxnError> {
        self.node.ask_shard(self.id, ask).await
    }

    /// As [`Self::ask`], until the asker is interrupted.
    async fn ask_for(&self, asker: Asker<'_>, ask: ShardAsk) -> Result<Answer, TxnError> {
        tokio::select! {
            answer = self.ask(ask) => answer,
            error = asker.interrupt.interrupted() => Err(error),
        }
    }

    /// Takes a batch of locks. The epoch is that of earlier locks there; the answer names the one they are granted in.
    pub(crate) async fn lock(
        &self,
        asker: Asker<'_>,
        epoch: Option<Epoch>,
        batch: Batch<'_>,
    ) -> Result<(Epoch, Result<bool, TxnError>, u64), TxnError> {
        let mut written = Vec::new();
        for (at, request) in batch.requests.iter().enumerate() {
            if let (Some(_), crate::LockName::Row { table, key, .. }) = (&request.add, &request.name)
                && (batch.has_written)(*table, key)?
            {
                written.push(at as u32);
            }
        }
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now()).as_millis() as u64;
        let ask = ShardAsk::Lock(LockAsk {
            owner: asker.owner,
            epoch,
            step: batch.step,
            requests: batch.requests.iter().map(LockWire::from).collect(),
            written,
            wait: match batch.wait {
                LockWait::Wait(_) => WaitWire::Wait(batch.deadline.map(left)),
                LockWait::NoWait => WaitWire::NoWait,
                LockWait::Skip => WaitWire::Skip,
            },
        });
        match self.ask_for(asker, ask).await? {
            Answer::Locked { epoch, granted, seen } => Ok((epoch, granted, seen)),
            other => Err(other.unexpected()),
        }
    }

    /// Gives back the locks taken after a step, unless it is too late for that.
    pub(crate) async fn roll_back_locks(&self, transaction: TransactionId, order: u64, step: u64) {
        let ask = ShardAsk::RollBack {
            transaction,
            order,
            step,
        };
        if let Err(error) = self.ask(ask).await {
            // They are held longer than they need be.
            tracing::debug!(shard = self.id, transaction, %error, "locks are not given back");
        }
    }

    /// Reads a row at a snapshot.
    pub(crate) async fn read_row(
        &self,
        asker: Asker<'_>,
        (table, planned, key): (TableId, Option<u64>, &Key),
        at: Timestamp,
        wanted: Wanted<'_>,
    ) -> Result<Option<Row>, TxnError> {
        let ask = ShardAsk::Row(RowAsk {
            owner: asker.owner,
            table,
            planned,
            key: key.clone(),
            at,
            parts: wanted.parts.cloned(),
            own: own_to_wire(wanted.own),
        });
        match self.ask_for(asker, ask).await? {
            Answer::Row(row) => row.as_ref().map(row_from_wire).transpose(),
            other => Err(other.unexpected()),
        }
    }

    /// The newest state of a row.
    pub(crate) async fn newest(&self, asker: Asker<'_>, question: Question<'_>) -> Result<Newest, TxnError> {
        let ask = ShardAsk::Newest(NewestAsk {
            table: question.table,
            key: question.key.clone(),
            parts: question.wanted.parts.cloned(),
            own: own_to_wire(question.wanted.own),
            look: match question.look {
                Look::Whole => LookWire::Whole,
                Look::Existence => LookWire::Existence,
                Look::Paths { read, added } => LookWire::Paths {
                    read: read.to_vec(),
                    added: added.to_vec(),
                },
            },
            epoch: question.epoch,
            since: question.since,
        });
        match self.ask_for(asker, ask).await? {
            Answer::Newest(newest) => newest.into_newest(),
            other => Err(other.unexpected()),
        }
    }

    /// Rows of an index value in the newest state.
    pub(crate) async fn newest_entries(
        &self,
        asker: Asker<'_>,
        held: Option<Epoch>,
        (table, index): (TableId, IndexId),
        value: &Key,
    ) -> Result<FoundEntries, TxnError> {
        let value = value.clone();
        let ask = ShardAsk::Entries {
            held,
            table,
            index,
            value,
        };
        match self.ask_for(asker, ask).await? {
            Answer::Entries {
                rows,
                epoch,
                dependency,
            } => Ok((rows, (epoch, dependency))),
            other => Err(other.unexpected()),
        }
    }

    /// Rows of part of a range at a snapshot.
    pub(crate) async fn scan_rows(&self, asker: Asker<'_>, page: PageAsk) -> Result<Chunk<(Key, Row)>, TxnError> {
        match self.ask_for(asker, ShardAsk::Page(page)).await? {
            Answer::Rows { items, next } => {
                let item = |(key, row): (Key, Bytes)| Ok((key, row_from_wire(&row)?));
                let items = items.into_iter().map(item).collect::<Result<_, TxnError>>()?;
                Ok(Chunk { items, next })
            }
            other => Err(other.unexpected()),
        }
    }

    /// Index entries of part of a range at a snapshot.
    pub(crate) async fn scan_entries(&self, asker: Asker<'_>, page: PageAsk) -> Result<Chunk<(Key, Key)>, TxnError> {
        match self.ask_for(asker, ShardAsk::Page(page)).await? {
            Answer::IndexEntries { items, next } => Ok(Chunk { items, next }),
            other => Err(other.unexpected()),
        }
    }

    /// Something that is only done or refused.
    async fn order(&self, ask: ShardAsk) -> Result<(), TxnError> {
        match self.ask(ask).await? {
            Answer::Done => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    /// Waits until a proposal of an epoch is applied.
    pub(crate) async fn wait_applied(&self, epoch: Epoch, sequence: u64) -> Result<(), TxnError> {
        self.order(ShardAsk::WaitApplied { epoch, sequence }).await
    }

    /// Whether a transaction's locks have stood.
    pub(crate) async fn confirm(&self, transaction: TransactionId, epoch: Epoch) -> Result<(), TxnError> {
        self.order(ShardAsk::Confirm { transaction, epoch }).await
    }

    /// Stages part of a transaction's writes; on return they are applied.
    pub(crate) async fn stage(
        &self,
        (transaction, started_ms, part): (TransactionId, u64, u32),
        epoch: Option<Epoch>,
        versions: Vec<Write>,
    ) -> Result<(), TxnError> {
        let ask = ShardAsk::Stage {
            transaction,
            started_ms,
            part,
            epoch,
            versions,
        };
        self.order(ask).await
    }

    /// Commits what is all on this shard. If no answer comes, finds out.
    pub(crate) async fn commit_one_phase(
        &self,
        transaction: TransactionId,
        epoch: Epoch,
        writes: Writes,
    ) -> Result<Timestamp, TxnError> {
        let ask = ShardAsk::CommitOnePhase {
            transaction,
            epoch,
            writes,
        };
        match self.ask(ask).await {
            Ok(Answer::Committed(timestamp)) => Ok(timestamp),
            Ok(other) => Err(other.unexpected()),
            Err(error) => Err(error),
        }
    }

    /// What became of a commit in one phase.
    pub(crate) async fn resolve(&self, transaction: TransactionId) -> Result<Timestamp, TxnError> {
        match self.ask(ShardAsk::Resolve { transaction }).await {
            Ok(Answer::Committed(timestamp)) => Ok(timestamp),
            Ok(Answer::Refused(error)) => Err(error),
            Ok(_) | Err(_) => Err(TxnError::OutcomeUnknown),
        }
    }

    /// Makes paths known (meta group). Repeating it changes nothing.
    pub(crate) async fn learn(&self, news: Vec<super::message::NewsWire>) -> Result<(), TxnError> {
        match self.ask(ShardAsk::Learn(news)).await? {
            Answer::Learned(_) => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    /// Sends a coordinator's message; what is answered at once, and why it was refused, reaches the coordinator.
    pub(crate) fn deliver(&self, message: Message, payload: Payload) {
        let shard = self.clone();
        tokio::spawn(async move {
            let txn = message.attempt().txn;
            let ask = ShardAsk::Deliver {
                message,
                writes: payload.writes,
                epoch: payload.epoch,
            };
            match shard.ask(ask).await {
                Ok(Answer::Delivered { replies, refused }) => {
                    let live = &shard.node.live;
                    refused.into_iter().for_each(|error| live.refused(txn, error));
                    replies.into_iter().for_each(|reply| live.reply(txn, reply));
                }
                // The coordinator reminds whoever does not answer.
                Ok(other) => tracing::warn!(shard = shard.id, ?other, "a message of a commit was not understood"),
                Err(error) => tracing::debug!(shard = shard.id, %error, "a message of a commit was lost"),
            }
        });
    }

    /// Gives back everything of a transaction.
    pub(crate) fn release(&self, transaction: TransactionId) {
        self.node.remote.release(self.id, transaction);
    }

    /// What was staged will not be committed.
    pub(crate) fn unstage(&self, transaction: TransactionId) {
        self.node.remote.unstage(self.id, transaction);
    }
}

/// What a scan wants of a shard, without the range.
pub(crate) fn page(owner: Owner, (table, planned): (TableId, Option<u64>), index: Option<IndexId>) -> PageAsk {
    PageAsk {
        owner,
        table,
        planned,
        index,
        from: Bytes::new(),
        to: Bytes::new(),
        is_reverse: false,
        at: 0,
        columns: None,
        count_max: 0,
    }
}
