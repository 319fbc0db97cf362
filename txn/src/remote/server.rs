//! Server: answers what other nodes ask of the shards this node leads, and of the transactions it coordinates.
//!
//! Every question is answered by a task of its own, which is dropped when the asker has given up: a lock wait leaves the
//! queue then.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use consensus::{NodeId, Service, TransportError};
use futures::future::BoxFuture;
use storage::mvcc::{Direction, Wanted};

use super::client::SERVICE;
use super::message::{
    Answer, Ask, Envelope, LockAsk, LockEntryWire, LookWire, NewestAsk, NodeAsk, PageAsk, RowAsk, ShardAsk, WaitWire,
    own_from_wire, row_to_wire,
};
use super::orders::Begin;
use crate::command::{Epoch, TransactionId, Writes};
use crate::commit::{Message, Reply};
use crate::interrupt::Interrupt;
use crate::locks::{AbortReason, TxnId};
use crate::node::NodeInner;
use crate::shard::Shard;
use crate::shard::asker::Asker;
use crate::shard::lock::Batch;
use crate::shard::read::{Look, Question};
use crate::shard::steps::Payload;
use crate::{Key, LockRequest, LockWait, TableId, TransactionOutcome, TxnError};

/// How long a message of a commit waits to take the shard's answer back.
const TAKE_ALONG: Duration = Duration::from_secs(2);

/// How long a commit that is on its way is waited for.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The answering side of a node.
struct Server {
    node: Weak<NodeInner>,
}

/// Begins to answer other nodes, and to look after their transactions.
pub(crate) fn start(node: &Arc<NodeInner>) {
    node.remote.begin(node);
    let server = Server {
        node: Arc::downgrade(node),
    };
    node.groups.serve(SERVICE, Arc::new(server));
    super::watch::start(node);
}

#[async_trait]
impl Service for Server {
    async fn answer(&self, _from: NodeId, body: Bytes) -> Result<Bytes, TransportError> {
        let Some(node) = self.node.upgrade() else {
            return Err(TransportError::Unreachable("the node is shutting down".into()));
        };
        let failed = |error: TxnError| TransportError::Failed(error.to_string());
        let Envelope { attempt, ask } = Envelope::decode(&body).map_err(failed)?;
        answer(&node, attempt, ask).await.encode().map_err(failed)
    }
}

/// Answers a question. Boxed, because what is asked here may be what a question to another node comes back as.
pub(super) fn answer(node: &Arc<NodeInner>, attempt: u32, ask: Ask) -> BoxFuture<'_, Answer> {
    Box::pin(answer_either(node, attempt, ask))
}

async fn answer_either(node: &Arc<NodeInner>, attempt: u32, ask: Ask) -> Answer {
    match ask {
        Ask::Node(ask) => answer_for_node(node, ask),
        Ask::Shard(id, ask) => {
            let Some(shard) = node.local_leader(id) else {
                return Answer::NotLeader(node.leader_hint(id));
            };
            let answer = answer_for_shard(node, &shard, attempt, *ask).await;
            match answer.unwrap_or_else(Answer::Refused) {
                // Nothing it said is worth anything (N3): the next leader is asked.
                Answer::Refused(TxnError::Unavailable) if node.local_leader(id).is_none() => {
                    Answer::NotLeader(node.leader_hint(id))
                }
                answer => answer,
            }
        }
    }
}

async fn answer_for_shard(
    node: &Arc<NodeInner>,
    shard: &Arc<Shard>,
    attempt: u32,
    ask: ShardAsk,
) -> Result<Answer, TxnError> {
    let orders = &node.remote.orders;
    Ok(match ask {
        ShardAsk::Lock(ask) => return lock(node, shard, attempt, ask).await,
        ShardAsk::RollBack {
            transaction,
            order,
            step,
        } => match orders.begin((shard.id, transaction), order, attempt).await {
            Begin::Late | Begin::Answered(_) => Answer::Done,
            Begin::Run { run, .. } => {
                shard.roll_back_locks(transaction, step);
                // A lock that waits to be asked for again would be asked for anew.
                run.answer(Answer::Done)
            }
        },
        ShardAsk::Release { transaction } => {
            shard.release_for_good(transaction);
            orders.forget((shard.id, transaction));
            Answer::Done
        }
        ShardAsk::Row(ask) => row(shard, ask).await?,
        ShardAsk::Newest(ask) => newest(shard, ask)?,
        ShardAsk::Entries {
            held,
            table,
            index,
            value,
        } => {
            let (rows, (epoch, dependency)) = shard.newest_entries(held, (table, index), &value)?;
            Answer::Entries {
                rows,
                epoch,
                dependency,
            }
        }
        ShardAsk::Page(ask) => page(shard, ask).await?,
        ShardAsk::WaitApplied { epoch, sequence } => done(shard.wait_applied(epoch, sequence).await)?,
        ShardAsk::Confirm { transaction, epoch } => done(shard.confirm(transaction, epoch).await)?,
        ShardAsk::Stage {
            transaction,
            started_ms,
            part,
            epoch,
            versions,
        } => {
            let staged = shard.stage((transaction, started_ms, part), epoch, versions)?;
            done(staged.applied().await)?
        }
        ShardAsk::Unstage { transaction } => {
            shard.unstage(transaction);
            Answer::Done
        }
        ShardAsk::CommitOnePhase {
            transaction,
            epoch,
            writes,
        } => commit_one_phase(node, shard, transaction, epoch, writes).await?,
        ShardAsk::Resolve { transaction } => resolve(shard, transaction).await?,
        ShardAsk::Deliver { message, writes, epoch } => deliver(node, shard, message, Payload { writes, epoch }).await,
        ShardAsk::Outcome { transaction } => {
            let outcome = shard.outcome(transaction)?;
            Answer::Outcome {
                outcome: outcome.map(Into::into),
                horizon_ms: shard.facts.horizon_ms.load(std::sync::atomic::Ordering::Acquire),
            }
        }
        ShardAsk::Sequence { sequence } => Answer::Sequence(node.sequence_here(shard, sequence)?),
        ShardAsk::MoveSequence {
            sequence,
            expected,
            state,
        } => {
            let advance = move |current: Option<Vec<u8>>| match current == expected {
                true => Ok(state.clone()),
                // Somebody else was first: it is read again.
                false => Err(TxnError::serialization("the sequence has moved on")),
            };
            done(node.move_sequence_here(shard, sequence, &advance).await.map(drop))?
        }
        ShardAsk::Learn(news) => Answer::Learned(crate::paths::Paths::learn_here(node, news).await?),
        ShardAsk::Overtake { waiter, passed } => {
            let mut core = shard.core();
            let (_, wakeups) = shard.with_table(&mut core, |table, values| table.overtake(waiter, passed, values));
            drop(core);
            wakeups.wake(&node.live);
            Answer::Done
        }
        ShardAsk::EndWait {
            transaction,
            ticket,
            cycle,
        } => {
            shard.end_wait(transaction, ticket, AbortReason::Deadlock(cycle));
            Answer::Done
        }
    })
}

fn done(result: Result<(), TxnError>) -> Result<Answer, TxnError> {
    result.map(|()| Answer::Done)
}

async fn lock(node: &Arc<NodeInner>, shard: &Arc<Shard>, attempt: u32, ask: LockAsk) -> Result<Answer, TxnError> {
    let LockAsk {
        owner,
        epoch,
        step,
        requests,
        written,
        wait,
    } = ask;
    let received = Instant::now();
    let transaction = owner.txn.0;
    let requests: Vec<LockRequest> = requests
        .into_iter()
        .map(super::message::LockWire::into_request)
        .collect::<Result<_, _>>()?;
    let (run, again) = match node.remote.orders.begin((shard.id, transaction), step, attempt).await {
        Begin::Late => return Ok(Answer::Late),
        Begin::Answered(answer) => return Ok(answer),
        Begin::Run { run, again } => (run, again),
    };
    if again {
        // It may have been granted, and the answer lost.
        shard.roll_back_locks(transaction, step.saturating_sub(1));
    }
    let (wait, deadline) = match wait {
        WaitWire::Wait(timeout_ms) => {
            let timeout = timeout_ms.map(Duration::from_millis);
            (
                LockWait::Wait(timeout),
                timeout.and_then(|timeout| received.checked_add(timeout)),
            )
        }
        WaitWire::NoWait => (LockWait::NoWait, None),
        WaitWire::Skip => (LockWait::Skip, None),
    };
    let has_written = |table: TableId, key: &Key| {
        let names = |at: &u32| match requests.get(*at as usize).map(|request| &request.name) {
            Some(crate::LockName::Row {
                table: of, key: row, ..
            }) => *of == table && row == key,
            Some(_) | None => false,
        };
        Ok(written.iter().any(names))
    };
    let batch = Batch {
        requests: &requests,
        step,
        wait,
        deadline,
        has_written: &has_written,
    };
    let interrupt = run.interrupt.clone();
    let asker = Asker {
        owner,
        interrupt: &interrupt,
    };
    let epoch = epoch.unwrap_or_else(|| shard.core().epoch);
    let (granted, seen) = shard.lock(asker, epoch, batch).await;
    if granted == Err(TxnError::Cancelled) {
        // Stopped for a repetition or for something later; dropping the run says so.
        return Ok(Answer::Late);
    }
    Ok(run.answer(Answer::Locked { epoch, granted, seen }))
}

async fn row(shard: &Arc<Shard>, ask: RowAsk) -> Result<Answer, TxnError> {
    let own = own_from_wire(ask.own.as_ref())?;
    let interrupt = Interrupt::default();
    let asker = Asker {
        owner: ask.owner,
        interrupt: &interrupt,
    };
    let wanted = Wanted {
        parts: ask.parts.as_ref(),
        own: &own,
    };
    let row = shard
        .read_row(asker, (ask.table, ask.planned, &ask.key), ask.at, wanted)
        .await?;
    Ok(Answer::Row(row.as_ref().map(row_to_wire)))
}

fn newest(shard: &Arc<Shard>, ask: NewestAsk) -> Result<Answer, TxnError> {
    let own = own_from_wire(ask.own.as_ref())?;
    let look = match &ask.look {
        LookWire::Whole => Look::Whole,
        LookWire::Existence => Look::Existence,
        LookWire::Paths { read, added } => Look::Paths { read, added },
    };
    let question = Question {
        table: ask.table,
        key: &ask.key,
        wanted: Wanted {
            parts: ask.parts.as_ref(),
            own: &own,
        },
        look,
        epoch: ask.epoch,
        since: ask.since,
    };
    Ok(Answer::Newest(shard.newest(question)?.into()))
}

async fn page(shard: &Arc<Shard>, ask: PageAsk) -> Result<Answer, TxnError> {
    let interrupt = Interrupt::default();
    let asker = Asker {
        owner: ask.owner,
        interrupt: &interrupt,
    };
    let range: (&[u8], &[u8]) = (&ask.from, &ask.to);
    // Each page: another leader may answer the next one, and does not know what this one has waited for.
    shard
        .wait_to_scan(asker, (ask.table, ask.planned), ask.index, range, ask.at)
        .await?;
    let direction = match ask.is_reverse {
        true => Direction::Reverse,
        false => Direction::Forward,
    };
    let count_max = ask.count_max as usize;
    Ok(match ask.index {
        None => {
            let snapshot = (ask.at, ask.columns.as_deref());
            let chunk = shard.scan_rows(ask.table, range, direction, snapshot, count_max)?;
            let item = |(key, row): (Key, storage::Row)| (key, row_to_wire(&row));
            Answer::Rows {
                items: chunk.items.into_iter().map(item).collect(),
                next: chunk.next,
            }
        }
        Some(index) => {
            let chunk = shard.scan_entries(ask.table, index, range, direction, ask.at, count_max)?;
            Answer::IndexEntries {
                items: chunk.items,
                next: chunk.next,
            }
        }
    })
}

/// Commits in one phase. A task of its own: once it is proposed it runs to its end, whether or not the asker waits.
async fn commit_one_phase(
    node: &Arc<NodeInner>,
    shard: &Arc<Shard>,
    transaction: TransactionId,
    epoch: Epoch,
    writes: Writes,
) -> Result<Answer, TxnError> {
    let (node, shard) = (node.clone(), shard.clone());
    let commit = tokio::spawn(async move {
        if shard.has_ended(transaction) {
            return Err(TxnError::locks_lost());
        }
        let committed = match shard.commit_one_phase(transaction, Some(epoch), writes, || Ok(())) {
            Ok(proposed) => proposed.awaited.applied().await.map(|()| proposed.timestamp),
            Err(error) => Err(error),
        };
        shard.release_for_good(transaction);
        node.remote.orders.forget((shard.id, transaction));
        committed
    });
    match commit.await {
        Ok(committed) => committed.map(Answer::Committed),
        Err(_) => Err(TxnError::OutcomeUnknown),
    }
}

/// What became of a commit in one phase, whoever led when it was asked for. Whatever of it still comes is refused.
async fn resolve(shard: &Arc<Shard>, transaction: TransactionId) -> Result<Answer, TxnError> {
    shard.end_for_good(transaction);
    let signal = shard.core().pending.wait_for(transaction);
    if let Some(signal) = signal
        && tokio::time::timeout(RESOLVE_TIMEOUT, signal).await.is_err()
    {
        return Err(TxnError::OutcomeUnknown);
    }
    shard.release_for_good(transaction);
    let outcome = shard.outcome(transaction)?;
    match outcome {
        Some(TransactionOutcome::Committed) => Ok(Answer::Committed(shard.oracle.newest())),
        Some(TransactionOutcome::Aborted) | None => Err(TxnError::locks_lost()),
        Some(TransactionOutcome::InProgress) => Err(TxnError::OutcomeUnknown),
    }
}

/// Takes a message of a commit, and its answer back if it comes soon.
async fn deliver(node: &Arc<NodeInner>, shard: &Arc<Shard>, message: Message, payload: Payload) -> Answer {
    let txn = message.attempt().txn;
    let wants_reply = match &message {
        Message::Prepare(..) | Message::Mark(..) | Message::Confirm(..) | Message::Decide(..) => {
            node.remote.is_elsewhere(txn.0)
        }
        Message::Finish(..) | Message::Ask(..) | Message::Acknowledge(..) | Message::Release(..) => false,
    };
    if !wants_reply {
        let refused = shard.deliver(message, payload).err();
        return Answer::Delivered {
            replies: Vec::new(),
            refused,
        };
    }
    let (_slot, mut replies) = node.remote.take_along(txn);
    let refused = shard.deliver(message, payload).err();
    let mut taken: Vec<Reply> = Vec::new();
    if let Ok(Some(reply)) = tokio::time::timeout(TAKE_ALONG, replies.recv()).await {
        taken.push(reply);
    }
    replies.close();
    while let Ok(reply) = replies.try_recv() {
        taken.push(reply);
    }
    Answer::Delivered {
        replies: taken,
        refused,
    }
}

fn answer_for_node(node: &Arc<NodeInner>, ask: NodeAsk) -> Answer {
    match ask {
        NodeAsk::Reply(txn, reply) => {
            node.live.reply(txn, reply);
            Answer::Done
        }
        NodeAsk::Doom(id, error) => {
            if let Some(inner) = node.live.get(id) {
                inner.interrupt.doom(error);
            }
            Answer::Done
        }
        NodeAsk::Alive(ids) => {
            let is_coming = |id: &TransactionId| node.live.is_coordinating(TxnId(*id));
            let is_gone = |id: &TransactionId| node.live.get(*id).is_none() && !is_coming(id);
            Answer::Alive {
                gone: ids.iter().copied().filter(is_gone).collect(),
                coming: ids.iter().copied().filter(is_coming).collect(),
                oldest_snapshot: node.live.oldest_snapshot(),
            }
        }
        NodeAsk::Edges => Answer::Edges(crate::detection::edges_here(node)),
        NodeAsk::Locks => {
            let wire = |entry: crate::node::LockEntry| LockEntryWire {
                session: entry.session,
                transaction: entry.transaction,
                shard: entry.shard,
                name: entry.name,
                mode: entry.mode,
                granted: entry.granted,
            };
            Answer::Locks(node.locks().into_iter().map(wire).collect())
        }
    }
}
